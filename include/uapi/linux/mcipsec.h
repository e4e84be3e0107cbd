/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * mcipsec - generic netlink contract between mcipsec.ko and user space.
 *
 * Documentation/netlink/specs/mcipsec.yaml describes the same family. All
 * objects live in the network namespace of the socket. Multi-byte integers
 * are in host order unless their type is __beXX.
 */
#ifndef _UAPI_LINUX_MCIPSEC_H
#define _UAPI_LINUX_MCIPSEC_H

#include <linux/types.h>

#define MCIPSEC_GENL_NAME	"mcipsec"
#define MCIPSEC_GENL_VERSION	1
#define MCIPSEC_MCGRP_EVENTS	"events"

#define MCIPSEC_COOKIE_LEN	16
#define MCIPSEC_GROUP_MAX	1024	/* highest tunnel-group id, 1.. */
#define MCIPSEC_LEASE_MAX	64	/* highest lease id, 1..; 0 is none */
#define MCIPSEC_ADDR_MAX	256	/* gateway addresses per group */
#define MCIPSEC_NEXTHOP_MAX	64	/* next-hops per group and side */
#define MCIPSEC_STATIC_PEER_MAX	65536	/* static tunnels per group */
#define MCIPSEC_LEASE_SEC_MAX	3600	/* a lease ends at most so far ahead */
#define MCIPSEC_SEQ_PER_MSG	500	/* struct mcipsec_seq per message */
#define MCIPSEC_HOLD_MAX	65536	/* SAs of a group that wait for their numbers */

/* MIMP states of a tunnel-group (seed "MIMP Protocol States"). */
enum mcipsec_state {
	MCIPSEC_STATE_DISCOVERY,	/* blackhole, no shunting */
	MCIPSEC_STATE_NOT_ELIGIBLE,	/* blackhole, no shunting */
	MCIPSEC_STATE_ELIGIBLE,		/* forward, peer not reached */
	MCIPSEC_STATE_STANDBY,		/* shunt if possible, else blackhole */
	MCIPSEC_STATE_MASTER,		/* forward, peer reached */
	__MCIPSEC_STATE_MAX
};

/* What the gate does now; reported, derived from state, flags and lease. */
enum mcipsec_action {
	MCIPSEC_ACTION_BLACKHOLE,
	MCIPSEC_ACTION_SHUNT,
	MCIPSEC_ACTION_FORWARD,
	MCIPSEC_ACTION_PREPARED,	/* shunt; forward what the peer shunted */
};

/* MCIPSEC_A_GROUP_FLAGS */
#define MCIPSEC_F_PREPARED	(1U << 0)	/* with standby: step 2 of a hand-over */
#define MCIPSEC_F_NOMINAL	(1U << 1)	/* protection status is nominal */
#define MCIPSEC_F_STRICT_REPLAY	(1U << 2)	/* import adds the margin inbound, too */
/*
 * An expired lease that is renewed does not open the group again: that takes
 * a STATE_SET after the renewal. Without the flag the renewal is enough.
 */
#define MCIPSEC_F_STICKY_LEASE	(1U << 3)

/* MCIPSEC_A_SWITCHOVER_FLAGS */
#define MCIPSEC_SWO_IGNORE_PROTECTION	(1U << 0)
#define MCIPSEC_SWO_TO_MASTER		(1U << 1)	/* end state of this node */
#define MCIPSEC_SWO_TO_STANDBY		(1U << 2)

enum mcipsec_cmd {
	MCIPSEC_CMD_UNSPEC,
	/*
	 * Create a group (NLM_F_CREATE|NLM_F_EXCL) or change its addresses and
	 * next-hops (NLM_F_REPLACE). A new group is in discovery. CAP_NET_ADMIN.
	 * in: GROUP_ID, ADDRS, [PUBLIC_NEXTHOPS], [PRIVATE_NEXTHOPS], [LEASE_ID]
	 * With REPLACE an attribute that is absent leaves what it names as it
	 * was, an empty one clears it. An address belongs to one group only:
	 * -EADDRINUSE. -EEXIST with EXCL, -ENOENT without CREATE.
	 */
	MCIPSEC_CMD_GROUP_NEW,
	/* in: GROUP_ID. CAP_NET_ADMIN. Its addresses are free afterwards. */
	MCIPSEC_CMD_GROUP_DEL,
	/* do (GROUP_ID) or dump; out: a whole group with STATS. Unprivileged. */
	MCIPSEC_CMD_GROUP_GET,
	/*
	 * Set the state of one or more groups at once. CAP_NET_ADMIN.
	 * in: COOKIE, GROUPS { GROUP { ID, STATE, [FLAGS], [GENERATION] } ... }
	 * Without FLAGS they stay as they are, except that PREPARED ends.
	 * -EBUSY: owned by another cookie whose lease runs. All groups of the
	 * message change, or none. When the reply arrives no packet is treated
	 * by the old state any more: sequence state of a group that stopped
	 * forwarding is frozen. A group that shunts from now on lets those end
	 * their way until then that were past its hooks.
	 */
	MCIPSEC_CMD_STATE_SET,
	/*
	 * in: COOKIE, LEASE_ID, LEASE_EXPIRY (CLOCK_BOOTTIME ns, at most
	 * MCIPSEC_LEASE_SEC_MAX ahead; 0 or the past: expired). CAP_NET_ADMIN.
	 * -EBUSY: it runs and belongs to another cookie. When a lease that does
	 * not run changes its owner, groups whose states were set under another
	 * cookie go to discovery. A lease that was never set counts as expired.
	 */
	MCIPSEC_CMD_LEASE_SET,
	/* dump; in: [GROUP_ID]; out: GROUP_ID, SEQ (array). CAP_NET_ADMIN. */
	MCIPSEC_CMD_SEQ_GET,
	/*
	 * Monotonic import. CAP_NET_ADMIN.
	 * in: GROUP_ID, SEQ (array), [SEQ_MARGIN]
	 * oseq := max(oseq, given + margin) for SAs whose source is the group's
	 * (the margin never exceeds 2^24, with ESN 2^28; at the end of the number
	 * space the SA sends nothing more and is counted as exhausted);
	 * everything up to the given seq (with STRICT_REPLAY: + margin) counts as
	 * received for SAs whose destination is the group's.
	 * out: SEQ_UPDATED, SEQ_UNCHANGED, SEQ_MISSING, SEQ_REFUSED,
	 * SEQ_EXHAUSTED (of the updated and unchanged).
	 * SEQ_HOLD, enum mcipsec_hold, says that SAs have to wait for that: their
	 * clear packets are dropped before a number is used. With SET and DROP
	 * nothing is imported, and SEQ_UPDATED counts those for which it is new.
	 * -ENOSPC: more than MCIPSEC_HOLD_MAX in this group.
	 */
	MCIPSEC_CMD_SEQ_SET,
	/*
	 * Ask the agent for a controlled switchover. CAP_NET_ADMIN.
	 * in: GROUP_ID, SWITCHOVER_ID, [SWITCHOVER_FLAGS]
	 * -ENOENT no such group, -EPERM not master, -EAGAIN protection status
	 * is notReady, -ESRCH no agent (lease expired or no listener),
	 * -EALREADY TO_MASTER on the master.
	 */
	MCIPSEC_CMD_SWITCHOVER,
	/*
	 * multicast only: EVENT, TIME, GROUP_ID, STATE, ACTION, FLAGS,
	 * GENERATION, LEASE_ID, [SWITCHOVER_ID, SWITCHOVER_FLAGS]
	 */
	MCIPSEC_CMD_EVENT,
	/*
	 * CAP_NET_ADMIN; in: GATE_HOOK_OFF (u8). Tests: turns the PRE_ROUTING
	 * hook of this namespace off so that the last line of defence (XFRM
	 * handlers) can be tested. -EOPNOTSUPP unless the module was loaded
	 * with debug=1.
	 */
	MCIPSEC_CMD_DEBUG_SET,
	/*
	 * The group's static tunnels by their two ends, instead of those it
	 * had. The far end may ping the near one before an SA exists, and
	 * next-hops with MCIPSEC_ADDR_F_STATIC are theirs. CAP_NET_ADMIN.
	 * in: GROUP_ID, [STATIC_PEERS], [STATIC_PEERS_MORE]
	 * Several messages make a list: all but the last with MORE. One with
	 * NLM_F_REPLACE is the first of a list. -ENOSPC: more than
	 * MCIPSEC_STATIC_PEER_MAX. A message that is refused ends its list, and
	 * those the group had stay.
	 */
	MCIPSEC_CMD_STATIC_PEERS_SET,
	__MCIPSEC_CMD_MAX,
	MCIPSEC_CMD_MAX = __MCIPSEC_CMD_MAX - 1
};

/* MCIPSEC_A_SEQ_HOLD */
enum mcipsec_hold {
	MCIPSEC_HOLD_END,	/* import; an SA that is found waits no longer */
	MCIPSEC_HOLD_SET,	/* these wait, whether they exist yet or not */
	MCIPSEC_HOLD_DROP,	/* these wait no longer, found or not */
	__MCIPSEC_HOLD_MAX
};

enum mcipsec_event {
	MCIPSEC_EVENT_GROUP_NEW = 1,
	MCIPSEC_EVENT_GROUP_DEL,
	MCIPSEC_EVENT_STATE,		/* state, flags or action changed by command */
	MCIPSEC_EVENT_LEASE_EXPIRED,	/* a forwarding group fell to blackhole */
	MCIPSEC_EVENT_LEASE_RENEWED,	/* ... and forwards again */
	MCIPSEC_EVENT_SWITCHOVER,	/* SWITCHOVER_ID, SWITCHOVER_FLAGS */
};

enum mcipsec_attr {
	MCIPSEC_A_UNSPEC,
	MCIPSEC_A_PAD,
	MCIPSEC_A_GROUP_ID,		/* u32, 1..MCIPSEC_GROUP_MAX */
	MCIPSEC_A_ADDRS,		/* nested: ADDR ... */
	MCIPSEC_A_ADDR,			/* binary, struct mcipsec_addr */
	MCIPSEC_A_PUBLIC_NEXTHOPS,	/* nested: NEXTHOP ... (per VRF, family, flags) */
	MCIPSEC_A_PRIVATE_NEXTHOPS,	/* nested: NEXTHOP ... (as those) */
	MCIPSEC_A_NEXTHOP,		/* binary, struct mcipsec_addr: address, VRF */
	MCIPSEC_A_LEASE_ID,		/* u32, 0..MCIPSEC_LEASE_MAX */
	MCIPSEC_A_LEASE_EXPIRY,		/* u64, CLOCK_BOOTTIME ns; 0: none */
	MCIPSEC_A_COOKIE,		/* binary, MCIPSEC_COOKIE_LEN */
	MCIPSEC_A_GROUPS,		/* nested: GROUP ... */
	MCIPSEC_A_GROUP,		/* nested: GROUP_ID, STATE, ... */
	MCIPSEC_A_STATE,		/* u8, enum mcipsec_state */
	MCIPSEC_A_ACTION,		/* u8, enum mcipsec_action, reported */
	MCIPSEC_A_FLAGS,		/* u32, MCIPSEC_F_* */
	MCIPSEC_A_GENERATION,		/* u64, election generation */
	MCIPSEC_A_STATS,		/* nested: MCIPSEC_STAT_* as u64 */
	MCIPSEC_A_SEQ,			/* binary, struct mcipsec_seq [] */
	MCIPSEC_A_SEQ_UPDATED,		/* u32 */
	MCIPSEC_A_SEQ_UNCHANGED,	/* u32 */
	MCIPSEC_A_SEQ_MISSING,		/* u32 */
	MCIPSEC_A_SEQ_REFUSED,		/* u32: offloaded SA, 2^31 jump, not of the group */
	MCIPSEC_A_EVENT,		/* u8, enum mcipsec_event */
	MCIPSEC_A_SWITCHOVER_ID,	/* u64 */
	MCIPSEC_A_SWITCHOVER_FLAGS,	/* u32, MCIPSEC_SWO_* */
	MCIPSEC_A_TIME,			/* u64, CLOCK_BOOTTIME ns: event; last change of state */
	MCIPSEC_A_GATE_HOOK_OFF,	/* u8 */
	MCIPSEC_A_SEQ_MARGIN,		/* u32, added to each oseq, 0..2^28 */
	MCIPSEC_A_SEQ_EXHAUSTED,	/* u32: at the end of the number space */
	MCIPSEC_A_SEQ_HOLD,		/* u8, enum mcipsec_hold */
	MCIPSEC_A_STATIC_PEERS,		/* binary, struct mcipsec_static_peer [] */
	MCIPSEC_A_STATIC_PEERS_MORE,	/* flag: the list goes on */
	MCIPSEC_A_STATIC_PEERS_COUNT,	/* u32, reported */
	__MCIPSEC_A_MAX,
	MCIPSEC_A_MAX = __MCIPSEC_A_MAX - 1
};

/* Counters of packets, each in MCIPSEC_A_STATS. */
enum mcipsec_stat {
	MCIPSEC_STAT_UNSPEC,
	MCIPSEC_STAT_PAD,
	MCIPSEC_STAT_FORWARD_IN,	/* ESP, IKE and pings of peers to the gateway, passed */
	MCIPSEC_STAT_FORWARD_OUT,	/* ESP and IKE from the gateway, passed */
	MCIPSEC_STAT_FORWARD_PRIVATE,	/* clear traffic into a tunnel, passed */
	MCIPSEC_STAT_SHUNT_PUBLIC,	/* sent to the public redundant next-hop */
	MCIPSEC_STAT_SHUNT_PRIVATE,	/* sent to the private redundant next-hop */
	MCIPSEC_STAT_DROP_ESP,		/* inbound, blackholed */
	MCIPSEC_STAT_DROP_IKE,
	MCIPSEC_STAT_DROP_ICMP,		/* errors that quote ESP or IKE */
	MCIPSEC_STAT_DROP_OUT,		/* outbound ESP and IKE of a non-master */
	MCIPSEC_STAT_DROP_PRIVATE,	/* clear traffic, blackholed */
	MCIPSEC_STAT_DROP_LOOP,		/* shunt would send back where it came from, or TTL */
	MCIPSEC_STAT_DROP_NOROUTE,	/* next-hop not reachable */
	MCIPSEC_STAT_DROP_XFRM,		/* caught by the last line, XFRM handlers */
	MCIPSEC_STAT_DROP_GRO,		/* caught in the GRO path of ESP */
	MCIPSEC_STAT_DROP_LEASE,	/* of the drops: because the lease had expired */
	MCIPSEC_STAT_DROP_HOLD,		/* of FORWARD_PRIVATE: the SA waits for its number */
	MCIPSEC_STAT_DROP_PING,		/* echo requests: of no peer, or blackholed */
	__MCIPSEC_STAT_MAX,
	MCIPSEC_STAT_MAX = __MCIPSEC_STAT_MAX - 1
};

/* What a next-hop is for; with neither flag, for all. */
#define MCIPSEC_ADDR_F_STATIC	(1U << 0)	/* tunnels with STATIC_PEERS */
#define MCIPSEC_ADDR_F_DYNAMIC	(1U << 1)	/* the others */

/* 24 bytes. IPv4 in the first four bytes of addr, rest zero. */
struct mcipsec_addr {
	__u8	addr[16];	/* network order */
	__u16	family;		/* AF_INET or AF_INET6 */
	__u16	flags;		/* next-hops: MCIPSEC_ADDR_F_*; else 0 */
	__u32	vrf_ifindex;	/* VRF device, 0: main table */
};

/* 36 bytes: the ends of a static tunnel, addresses as in struct mcipsec_addr. */
struct mcipsec_static_peer {
	__u8	local[16];	/* the gateway address */
	__u8	remote[16];	/* the far end */
	__u16	family;		/* AF_INET or AF_INET6, of both */
	__u16	reserved;	/* 0 */
};

#define MCIPSEC_SEQ_F_ESN	(1U << 0)
#define MCIPSEC_SEQ_F_OUT	(1U << 1)	/* source is the gateway's address */
#define MCIPSEC_SEQ_F_OFFLOAD	(1U << 2)	/* hardware offload: refused */
#define MCIPSEC_SEQ_F_NOREPLAY	(1U << 3)	/* no replay window */

#define MCIPSEC_SEQ_MARGIN_MAX		(1U << 28)
#define MCIPSEC_SEQ_MARGIN_MAX_NOESN	(1U << 24)
/* As oseq in SEQ_SET: the SA only receives until it is rekeyed. */
#define MCIPSEC_SEQ_RECEIVE_ONLY	(~0ULL)

/* 64 bytes: sequence state of one SA. */
struct mcipsec_seq {
	__be32	spi;
	__u8	proto;		/* IPPROTO_ESP */
	__u8	family;		/* of daddr */
	__u16	flags;		/* MCIPSEC_SEQ_F_* */
	__u8	daddr[16];	/* destination address of the SA */
	__u64	oseq;		/* last sent, 64 bit with ESN */
	__u64	seq;		/* highest received, 64 bit with ESN */
	__u64	packets;	/* processed, tells what changed */
	__u32	mark;		/* packets with it find the SA, 0: none needed */
	__u32	reserved;	/* 0 */
	__u64	bytes;		/* processed, of the clear packets; ignored in SEQ_SET */
};

#endif /* _UAPI_LINUX_MCIPSEC_H */
