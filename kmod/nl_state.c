// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that say who forwards: STATE_SET, LEASE_SET, SWITCHOVER.
 *
 * A STATE_SET checks all of its groups before it changes the first, then flips
 * each by one store; so groups that share a message flip together or not.
 */
#include <linux/slab.h>
#include <linux/stringify.h>

#include "netlink.h"

/* One GROUP of a STATE_SET. */
struct mcipsec_flip {
	struct mcipsec_group	*g;
	u64			generation;
	u32			flags;
	u8			state;
	bool			has_generation;
	u32			drains;		/* the group's number, 0: it does not */
};

/* Under the lock; changes nothing. */
static int mcipsec_flip_parse(struct mcipsec_net *mn, const struct nlattr *nest,
			      const u8 *cookie, struct netlink_ext_ack *extack,
			      struct mcipsec_flip *flip)
{
	struct nlattr *attrs[ARRAY_SIZE(mcipsec_group_policy)];
	int err;

	err = nla_parse_nested(attrs, ARRAY_SIZE(attrs) - 1, nest, mcipsec_group_policy, extack);
	if (err)
		return err;
	if (!attrs[MCIPSEC_A_GROUP_ID] || !attrs[MCIPSEC_A_STATE]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "GROUP needs GROUP_ID and STATE");
		return -EINVAL;
	}
	flip->g = mcipsec_find(mn, attrs[MCIPSEC_A_GROUP_ID], extack);
	if (IS_ERR(flip->g))
		return PTR_ERR(flip->g);
	flip->state = nla_get_u8(attrs[MCIPSEC_A_STATE]);
	if (flip->state >= __MCIPSEC_STATE_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[MCIPSEC_A_STATE],
				    "STATE must be 0..4 (discovery, notEligible, eligible, standby, master)");
		return -EINVAL;
	}
	if (attrs[MCIPSEC_A_FLAGS])
		flip->flags = nla_get_u32(attrs[MCIPSEC_A_FLAGS]);
	else
		flip->flags = MCIPSEC_MODE_FLAGS(flip->g->mode) & ~MCIPSEC_F_PREPARED;
	if (flip->flags & ~MCIPSEC_F_ALL) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[MCIPSEC_A_FLAGS], "FLAGS has unknown bits");
		return -EINVAL;
	}
	if ((flip->flags & MCIPSEC_F_PREPARED) && flip->state != MCIPSEC_STATE_STANDBY) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[MCIPSEC_A_FLAGS],
				    "PREPARED goes with STATE standby only");
		return -EINVAL;
	}
	flip->has_generation = attrs[MCIPSEC_A_GENERATION];
	if (flip->has_generation)
		flip->generation = nla_get_u64(attrs[MCIPSEC_A_GENERATION]);
	if (flip->g->lease && mcipsec_lease_busy(flip->g->lease, cookie)) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[MCIPSEC_A_GROUP_ID],
				    "the group belongs to another COOKIE whose lease runs");
		return -EBUSY;
	}
	return 0;
}

/*
 * Under the lock; true if the group let packets through and does not now. A
 * standby was told to be one and gives way to a master that waits for our word:
 * what is under way may end. A node that must not forward stops here and now.
 */
static bool mcipsec_flip_apply(struct mcipsec_flip *flip, const u8 *cookie)
{
	struct mcipsec_group *g = flip->g;
	bool lapsed, opened, closed, told;
	u32 was = g->mode;

	opened = mcipsec_group_action(g, &lapsed) >= MCIPSEC_ACTION_FORWARD;
	told = MCIPSEC_MODE_STATE(was) != flip->state || MCIPSEC_MODE_FLAGS(was) != flip->flags;
	if (flip->has_generation && flip->generation != g->generation) {
		WRITE_ONCE(g->generation, flip->generation);
		told = true;
	}
	memcpy(g->cookie, cookie, MCIPSEC_COOKIE_LEN);
	g->owned = true;
	if (opened && flip->state == MCIPSEC_STATE_STANDBY)
		mcipsec_group_drain(g);
	mcipsec_group_set_mode(g, flip->state, flip->flags);
	closed = mcipsec_group_action(g, &lapsed) < MCIPSEC_ACTION_FORWARD;
	if (opened && closed)
		flip->drains = g->id;
	else
		mcipsec_group_drained(g);
	if (told || was != g->mode)
		mcipsec_event(g, MCIPSEC_EVENT_STATE, GFP_KERNEL);
	return opened && closed;
}

/* Let packets that were passed by the old state reach their end. */
static void mcipsec_flips_drain(struct mcipsec_net *mn, const struct mcipsec_flip *flips,
				unsigned int n)
{
	struct mcipsec_group *g;
	unsigned int i;

	/* Without the lock: a lease may have to be renewed meanwhile. */
	synchronize_rcu_expedited();
	mutex_lock(&mn->lock);
	for (i = 0; i < n; i++) {
		g = flips[i].drains ? mcipsec_group_get(mn, flips[i].drains) : NULL;
		if (g)
			mcipsec_group_drained(g);
	}
	mutex_unlock(&mn->lock);
}

int mcipsec_nl_state_set(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct nlattr *cookie, *groups, *attr;
	struct mcipsec_flip *flips;
	unsigned int i, n = 0;
	bool closed = false;
	int rem, err = 0;

	cookie = MCIPSEC_NEED(info, COOKIE);
	if (!cookie)
		return -EINVAL;
	groups = MCIPSEC_NEED(info, GROUPS);
	if (!groups)
		return -EINVAL;
	nla_for_each_nested(attr, groups, rem)
		n++;
	if (!n || n > MCIPSEC_GROUP_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, groups, "GROUPS must hold 1.."
				    __stringify(MCIPSEC_GROUP_MAX));
		return -EINVAL;
	}
	flips = kvcalloc(n, sizeof(*flips), GFP_KERNEL);
	if (!flips)
		return -ENOMEM;

	mutex_lock(&mn->lock);
	i = 0;
	nla_for_each_nested(attr, groups, rem) {
		err = mcipsec_flip_parse(mn, attr, nla_data(cookie), info->extack, &flips[i++]);
		if (err)
			break;
	}
	for (i = 0; !err && i < n; i++)
		closed |= mcipsec_flip_apply(&flips[i], nla_data(cookie));
	mutex_unlock(&mn->lock);

	if (closed)
		mcipsec_flips_drain(mn, flips, n);
	kvfree(flips);
	return err;
}

int mcipsec_nl_lease_set(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct nlattr *cookie, *id, *expiry;
	struct mcipsec_table *table;
	u64 end;
	int err;

	cookie = MCIPSEC_NEED(info, COOKIE);
	if (!cookie)
		return -EINVAL;
	id = MCIPSEC_NEED(info, LEASE_ID);
	if (!id)
		return -EINVAL;
	expiry = MCIPSEC_NEED(info, LEASE_EXPIRY);
	if (!expiry)
		return -EINVAL;
	if (!nla_get_u32(id) || nla_get_u32(id) > MCIPSEC_LEASE_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, id, "LEASE_ID must be 1.."
				    __stringify(MCIPSEC_LEASE_MAX));
		return -EINVAL;
	}
	end = nla_get_u64(expiry);
	if (end > ktime_get_boottime_ns() + MCIPSEC_LEASE_SEC_MAX * NSEC_PER_SEC) {
		NL_SET_ERR_MSG_ATTR(info->extack, expiry,
				    "LEASE_EXPIRY is more than " __stringify(MCIPSEC_LEASE_SEC_MAX)
				    " s of CLOCK_BOOTTIME ahead");
		return -EINVAL;
	}
	mutex_lock(&mn->lock);
	table = rcu_dereference_protected(mn->table, lockdep_is_held(&mn->lock));
	if (!table) {
		NL_SET_ERR_MSG(info->extack, "there is no group in this namespace yet");
		err = -ENOENT;
	} else {
		err = mcipsec_lease_set(&table->leases[nla_get_u32(id)], nla_data(cookie), end);
		if (err)
			NL_SET_ERR_MSG_ATTR(info->extack, cookie,
					    "the lease runs for another COOKIE");
	}
	mutex_unlock(&mn->lock);
	return err;
}

/* Under the lock; may the agent be asked for a switchover? */
static int mcipsec_switchover_check(const struct mcipsec_group *g, u32 flags,
				    struct netlink_ext_ack *extack)
{
	u8 state = MCIPSEC_MODE_STATE(g->mode);

	if (state != MCIPSEC_STATE_MASTER) {
		NL_SET_ERR_MSG(extack, "refused: this node is not the master of the group");
		return -EPERM;
	}
	if (flags & MCIPSEC_SWO_TO_MASTER) {
		NL_SET_ERR_MSG(extack, "this node is the master of the group already");
		return -EALREADY;
	}
	if (!(MCIPSEC_MODE_FLAGS(g->mode) & MCIPSEC_F_NOMINAL) &&
	    !(flags & MCIPSEC_SWO_IGNORE_PROTECTION)) {
		NL_SET_ERR_MSG(extack, "refused: protection status is notReady");
		return -EAGAIN;
	}
	if (g->lease && !mcipsec_lease_runs(g->lease)) {
		NL_SET_ERR_MSG(extack, "no agent: the lease has expired");
		return -ESRCH;
	}
	if (!mcipsec_event_heard(g->mn)) {
		NL_SET_ERR_MSG(extack, "no agent: nobody listens to events");
		return -ESRCH;
	}
	return 0;
}

int mcipsec_nl_switchover(struct sk_buff *skb, struct genl_info *info)
{
	const u32 known = MCIPSEC_SWO_IGNORE_PROTECTION | MCIPSEC_SWO_TO_MASTER |
			  MCIPSEC_SWO_TO_STANDBY;
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct nlattr *id, *swo_id, *attr;
	struct mcipsec_group *g;
	u32 flags = 0;
	int err;

	id = MCIPSEC_NEED(info, GROUP_ID);
	if (!id)
		return -EINVAL;
	swo_id = MCIPSEC_NEED(info, SWITCHOVER_ID);
	if (!swo_id)
		return -EINVAL;
	attr = info->attrs[MCIPSEC_A_SWITCHOVER_FLAGS];
	if (attr)
		flags = nla_get_u32(attr);
	if ((flags & ~known) ||
	    (flags & (MCIPSEC_SWO_TO_MASTER | MCIPSEC_SWO_TO_STANDBY)) ==
	    (MCIPSEC_SWO_TO_MASTER | MCIPSEC_SWO_TO_STANDBY)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "SWITCHOVER_FLAGS has unknown bits, or both ends");
		return -EINVAL;
	}
	mutex_lock(&mn->lock);
	g = mcipsec_find(mn, id, info->extack);
	err = IS_ERR(g) ? PTR_ERR(g) : mcipsec_switchover_check(g, flags, info->extack);
	if (!err)
		mcipsec_event_switchover(g, nla_get_u64(swo_id), flags);
	mutex_unlock(&mn->lock);
	return err;
}
