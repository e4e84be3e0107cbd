// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events to the multicast group, and the attributes that events and GROUP_GET
 * share. An event that could not be sent is lost for its listener alone, who
 * sees ENOBUFS on his socket and reads the groups again (I9).
 */
#include <linux/slab.h>

#include "mcipsec.h"

int mcipsec_fill_state(struct sk_buff *skb, const struct mcipsec_group *g)
{
	const struct mcipsec_lease *lease = READ_ONCE(g->lease);
	u32 mode = READ_ONCE(g->mode);
	bool lapsed;

	if (nla_put_u32(skb, MCIPSEC_A_GROUP_ID, g->id) ||
	    nla_put_u8(skb, MCIPSEC_A_STATE, MCIPSEC_MODE_STATE(mode)) ||
	    nla_put_u8(skb, MCIPSEC_A_ACTION, mcipsec_group_action(g, &lapsed)) ||
	    nla_put_u32(skb, MCIPSEC_A_FLAGS, MCIPSEC_MODE_FLAGS(mode)) ||
	    nla_put_u64_64bit(skb, MCIPSEC_A_GENERATION, READ_ONCE(g->generation),
			      MCIPSEC_A_PAD) ||
	    nla_put_u32(skb, MCIPSEC_A_LEASE_ID, lease ? lease->id : 0))
		return -EMSGSIZE;
	return 0;
}

static void mcipsec_event_send(const struct mcipsec_group *g, enum mcipsec_event event,
			       const u64 *swo_id, u32 swo_flags, gfp_t gfp)
{
	struct sk_buff *skb;
	void *hdr;

	if (!mcipsec_event_heard(g->mn))
		return;
	skb = genlmsg_new(256, gfp);
	if (!skb)
		goto lost;
	hdr = genlmsg_put(skb, 0, 0, &mcipsec_family, 0, MCIPSEC_CMD_EVENT);
	if (!hdr)
		goto free;
	if (nla_put_u8(skb, MCIPSEC_A_EVENT, event) ||
	    nla_put_u64_64bit(skb, MCIPSEC_A_TIME, ktime_get_boottime_ns(), MCIPSEC_A_PAD) ||
	    mcipsec_fill_state(skb, g))
		goto free;
	if (swo_id && (nla_put_u64_64bit(skb, MCIPSEC_A_SWITCHOVER_ID, *swo_id, MCIPSEC_A_PAD) ||
		       nla_put_u32(skb, MCIPSEC_A_SWITCHOVER_FLAGS, swo_flags)))
		goto free;
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&mcipsec_family, g->mn->net, skb, 0, 0, gfp);
	return;
free:
	nlmsg_free(skb);
lost:
	pr_warn_ratelimited("mcipsec: group %u: an event could not be sent\n", g->id);
}

void mcipsec_event(const struct mcipsec_group *g, enum mcipsec_event event, gfp_t gfp)
{
	mcipsec_event_send(g, event, NULL, 0, gfp);
}

void mcipsec_event_switchover(const struct mcipsec_group *g, u64 id, u32 flags)
{
	mcipsec_event_send(g, MCIPSEC_EVENT_SWITCHOVER, &id, flags, GFP_KERNEL);
}

bool mcipsec_event_heard(const struct mcipsec_net *mn)
{
	return genl_has_listeners(&mcipsec_family, mn->net, 0);
}
