/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gate does with a packet, as pure functions of a group's state: no
 * packet, no lock, no clock. selftest/action.c holds them against a table.
 *
 * Seed, "MIMP Protocol States": discovery and notEligible blackhole without
 * shunting; standby shunts where a next-hop is configured, else blackholes;
 * master and eligible forward. A lease that has lapsed takes forwarding away
 * and nothing else: a standby without an agent still shunts.
 */
#ifndef _MCIPSEC_ACTION_H
#define _MCIPSEC_ACTION_H

#include <linux/types.h>
#include <linux/mcipsec.h>

/* What a packet is to its group. */
enum mcipsec_class {
	MCIPSEC_CLASS_NONE,		/* not gated */
	MCIPSEC_CLASS_IN_ESP,		/* ESP and ESP-in-UDP to a gateway address */
	MCIPSEC_CLASS_IN_IKE,		/* IKE and fragments of UDP to it */
	MCIPSEC_CLASS_IN_ICMP,		/* errors to it that quote its ESP or IKE */
	MCIPSEC_CLASS_IN_PING,		/* echo requests to it */
	MCIPSEC_CLASS_OUT_ESP,		/* ESP of this node, from a gateway address */
	MCIPSEC_CLASS_OUT_IKE,		/* IKE of this node, from a gateway address */
	MCIPSEC_CLASS_PRIVATE,		/* clear packet about to enter a tunnel */
	__MCIPSEC_CLASS_MAX
};

enum mcipsec_verdict {
	MCIPSEC_PASS,
	MCIPSEC_DROP,
	MCIPSEC_SHUNT,
};

/* Did the packet come from the redundant next-hop? */
enum mcipsec_origin {
	MCIPSEC_ORIGIN_OTHER,		/* another device, or another neighbour */
	MCIPSEC_ORIGIN_DEVICE,		/* its device, neighbour not known */
	MCIPSEC_ORIGIN_NEXTHOP,		/* its device and its neighbour */
};

/*
 * What a group does now. @flags are MCIPSEC_F_*, @lease_ok whether its lease
 * runs (true without a lease), @can_shunt whether it has any next-hop.
 */
static inline enum mcipsec_action
mcipsec_action_of(u8 state, u32 flags, bool lease_ok, bool can_shunt)
{
	switch (state) {
	case MCIPSEC_STATE_MASTER:
	case MCIPSEC_STATE_ELIGIBLE:
		return lease_ok ? MCIPSEC_ACTION_FORWARD : MCIPSEC_ACTION_BLACKHOLE;
	case MCIPSEC_STATE_STANDBY:
		if (!can_shunt)
			return MCIPSEC_ACTION_BLACKHOLE;
		if ((flags & MCIPSEC_F_PREPARED) && lease_ok)
			return MCIPSEC_ACTION_PREPARED;
		return MCIPSEC_ACTION_SHUNT;
	default:
		return MCIPSEC_ACTION_BLACKHOLE;
	}
}

/*
 * What happens to a packet. Packets of this node are never shunted: they are
 * nobody's to send. A prepared group lets through what the peer shunted here
 * and the ESP that comes of it, but no IKE of its own.
 */
static inline enum mcipsec_verdict
mcipsec_verdict_of(enum mcipsec_action action, enum mcipsec_class class,
		   enum mcipsec_origin origin)
{
	bool own = class == MCIPSEC_CLASS_OUT_ESP || class == MCIPSEC_CLASS_OUT_IKE;

	if (class == MCIPSEC_CLASS_NONE)
		return MCIPSEC_PASS;
	switch (action) {
	case MCIPSEC_ACTION_FORWARD:
		return MCIPSEC_PASS;
	case MCIPSEC_ACTION_SHUNT:
		if (own || origin == MCIPSEC_ORIGIN_NEXTHOP)
			return MCIPSEC_DROP;
		return MCIPSEC_SHUNT;
	case MCIPSEC_ACTION_PREPARED:
		if (own)
			return class == MCIPSEC_CLASS_OUT_ESP ? MCIPSEC_PASS : MCIPSEC_DROP;
		return origin == MCIPSEC_ORIGIN_OTHER ? MCIPSEC_SHUNT : MCIPSEC_PASS;
	default:
		return MCIPSEC_DROP;
	}
}

int mcipsec_action_selftest(void);

#endif /* _MCIPSEC_ACTION_H */
