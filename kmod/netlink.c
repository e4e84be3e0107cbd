// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "mcipsec" (Documentation/netlink/specs/
 * mcipsec.yaml). Requests are validated strictly; every refusal names the
 * attribute and the limit.
 *
 * Threading: parallel_ops; a request holds its namespace's lock only, so that
 * one namespace never waits for another.
 */
#include <linux/slab.h>
#include <linux/stringify.h>

#include "netlink.h"

static const struct nla_policy mcipsec_addr_policy[MCIPSEC_A_ADDR + 1] = {
	[MCIPSEC_A_ADDR] = NLA_POLICY_EXACT_LEN(sizeof(struct mcipsec_addr)),
};

static const struct nla_policy mcipsec_nexthop_policy[MCIPSEC_A_NEXTHOP + 1] = {
	[MCIPSEC_A_NEXTHOP] = NLA_POLICY_EXACT_LEN(sizeof(struct mcipsec_addr)),
};

const struct nla_policy mcipsec_group_policy[MCIPSEC_A_GENERATION + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_STATE] = { .type = NLA_U8 },
	[MCIPSEC_A_FLAGS] = { .type = NLA_U32 },
	[MCIPSEC_A_GENERATION] = { .type = NLA_U64 },
};

static const struct nla_policy mcipsec_groups_policy[MCIPSEC_A_GROUP + 1] = {
	[MCIPSEC_A_GROUP] = NLA_POLICY_NESTED(mcipsec_group_policy),
};

static const struct nla_policy mcipsec_group_new_policy[MCIPSEC_A_LEASE_ID + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_ADDRS] = NLA_POLICY_NESTED(mcipsec_addr_policy),
	[MCIPSEC_A_PUBLIC_NEXTHOPS] = NLA_POLICY_NESTED(mcipsec_nexthop_policy),
	[MCIPSEC_A_PRIVATE_NEXTHOPS] = NLA_POLICY_NESTED(mcipsec_nexthop_policy),
	[MCIPSEC_A_LEASE_ID] = { .type = NLA_U32 },
};

static const struct nla_policy mcipsec_group_id_policy[MCIPSEC_A_GROUP_ID + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
};

static const struct nla_policy mcipsec_state_set_policy[MCIPSEC_A_GROUPS + 1] = {
	[MCIPSEC_A_COOKIE] = NLA_POLICY_EXACT_LEN(MCIPSEC_COOKIE_LEN),
	[MCIPSEC_A_GROUPS] = NLA_POLICY_NESTED(mcipsec_groups_policy),
};

static const struct nla_policy mcipsec_lease_set_policy[MCIPSEC_A_COOKIE + 1] = {
	[MCIPSEC_A_LEASE_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_LEASE_EXPIRY] = { .type = NLA_U64 },
	[MCIPSEC_A_COOKIE] = NLA_POLICY_EXACT_LEN(MCIPSEC_COOKIE_LEN),
};

static const struct nla_policy mcipsec_seq_set_policy[MCIPSEC_A_SEQ_HOLD + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_SEQ] = { .type = NLA_BINARY },
	[MCIPSEC_A_SEQ_MARGIN] = { .type = NLA_U32 },
	[MCIPSEC_A_SEQ_HOLD] = NLA_POLICY_MAX(NLA_U8, __MCIPSEC_HOLD_MAX - 1),
};

static const struct nla_policy mcipsec_switchover_policy[MCIPSEC_A_SWITCHOVER_FLAGS + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_SWITCHOVER_ID] = { .type = NLA_U64 },
	[MCIPSEC_A_SWITCHOVER_FLAGS] = { .type = NLA_U32 },
};

static const struct nla_policy mcipsec_debug_policy[MCIPSEC_A_GATE_HOOK_OFF + 1] = {
	[MCIPSEC_A_GATE_HOOK_OFF] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct nla_policy
mcipsec_static_peers_policy[MCIPSEC_A_STATIC_PEERS_MORE + 1] = {
	[MCIPSEC_A_GROUP_ID] = { .type = NLA_U32 },
	[MCIPSEC_A_STATIC_PEERS] = { .type = NLA_BINARY },
	[MCIPSEC_A_STATIC_PEERS_MORE] = { .type = NLA_FLAG },
};

struct nlattr *mcipsec_need(struct genl_info *info, int type, const char *missing)
{
	struct nlattr *attr = info->attrs[type];

	if (!attr && info->extack)
		info->extack->_msg = missing;
	return attr;
}

int mcipsec_parse_id(const struct nlattr *attr, struct netlink_ext_ack *extack, u32 *id)
{
	*id = nla_get_u32(attr);
	if (*id >= 1 && *id <= MCIPSEC_GROUP_MAX)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr,
			    "GROUP_ID must be 1.." __stringify(MCIPSEC_GROUP_MAX));
	return -EINVAL;
}

struct mcipsec_group *mcipsec_find(struct mcipsec_net *mn, const struct nlattr *attr,
				   struct netlink_ext_ack *extack)
{
	struct mcipsec_group *g;
	int err;
	u32 id;

	err = mcipsec_parse_id(attr, extack, &id);
	if (err)
		return ERR_PTR(err);
	g = mcipsec_group_get(mn, id);
	if (g)
		return g;
	NL_SET_ERR_MSG_ATTR(extack, attr, "GROUP_ID names no group of this namespace");
	return ERR_PTR(-ENOENT);
}

static int mcipsec_nl_seq_set(struct sk_buff *request, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct mcipsec_seq_result result = {};
	struct nlattr *id, *array, *attr;
	struct mcipsec_group *g;
	unsigned int n;
	struct sk_buff *skb;
	u32 margin = 0;
	void *hdr;
	int err;

	id = MCIPSEC_NEED(info, GROUP_ID);
	if (!id)
		return -EINVAL;
	array = MCIPSEC_NEED(info, SEQ);
	if (!array)
		return -EINVAL;
	if (!nla_len(array) || nla_len(array) % sizeof(struct mcipsec_seq)) {
		NL_SET_ERR_MSG_ATTR(info->extack, array,
				    "SEQ must be an array of struct mcipsec_seq, 64 bytes each");
		return -EINVAL;
	}
	attr = info->attrs[MCIPSEC_A_SEQ_MARGIN];
	if (attr) {
		margin = nla_get_u32(attr);
		if (margin > MCIPSEC_SEQ_MARGIN_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "SEQ_MARGIN must be 0..2^28");
			return -EINVAL;
		}
	}
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	n = nla_len(array) / sizeof(struct mcipsec_seq);
	attr = info->attrs[MCIPSEC_A_SEQ_HOLD];
	mutex_lock(&mn->lock);
	g = mcipsec_find(mn, id, info->extack);
	err = PTR_ERR_OR_ZERO(g);
	if (!err && attr && nla_get_u8(attr) != MCIPSEC_HOLD_END) {
		err = mcipsec_seq_hold(g, nla_data(array), n,
				       nla_get_u8(attr) == MCIPSEC_HOLD_SET, &result);
		if (err == -ENOSPC)
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "more than "
					    __stringify(MCIPSEC_HOLD_MAX) " SAs of the group wait");
	} else if (!err) {
		mcipsec_seq_import(g, nla_data(array), n, margin, attr, &result);
	}
	mutex_unlock(&mn->lock);
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	hdr = genlmsg_put_reply(skb, info, &mcipsec_family, 0, MCIPSEC_CMD_SEQ_SET);
	if (!hdr || nla_put_u32(skb, MCIPSEC_A_GROUP_ID, nla_get_u32(id)) ||
	    nla_put_u32(skb, MCIPSEC_A_SEQ_UPDATED, result.updated) ||
	    nla_put_u32(skb, MCIPSEC_A_SEQ_UNCHANGED, result.unchanged) ||
	    nla_put_u32(skb, MCIPSEC_A_SEQ_MISSING, result.missing) ||
	    nla_put_u32(skb, MCIPSEC_A_SEQ_REFUSED, result.refused) ||
	    nla_put_u32(skb, MCIPSEC_A_SEQ_EXHAUSTED, result.exhausted)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

static int mcipsec_nl_debug_set(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct nlattr *attr;

	if (!mcipsec_debug) {
		NL_SET_ERR_MSG(info->extack, "the module was not loaded with debug=1");
		return -EOPNOTSUPP;
	}
	attr = MCIPSEC_NEED(info, GATE_HOOK_OFF);
	if (!attr)
		return -EINVAL;
	WRITE_ONCE(mn->gate_off, nla_get_u8(attr));
	return 0;
}

static const struct genl_ops mcipsec_ops[] = {
	{
		.cmd = MCIPSEC_CMD_GROUP_NEW,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_group_new,
		.policy = mcipsec_group_new_policy,
		.maxattr = ARRAY_SIZE(mcipsec_group_new_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_GROUP_DEL,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_group_del,
		.policy = mcipsec_group_id_policy,
		.maxattr = ARRAY_SIZE(mcipsec_group_id_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_GROUP_GET,
		.doit = mcipsec_nl_group_get,
		.start = mcipsec_nl_group_dump_start,
		.dumpit = mcipsec_nl_group_dump,
		.policy = mcipsec_group_id_policy,
		.maxattr = ARRAY_SIZE(mcipsec_group_id_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_STATE_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_state_set,
		.policy = mcipsec_state_set_policy,
		.maxattr = ARRAY_SIZE(mcipsec_state_set_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_LEASE_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_lease_set,
		.policy = mcipsec_lease_set_policy,
		.maxattr = ARRAY_SIZE(mcipsec_lease_set_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_SEQ_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.start = mcipsec_seq_dump_start,
		.dumpit = mcipsec_seq_dump,
		.done = mcipsec_seq_dump_done,
		.policy = mcipsec_group_id_policy,
		.maxattr = ARRAY_SIZE(mcipsec_group_id_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_SEQ_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_seq_set,
		.policy = mcipsec_seq_set_policy,
		.maxattr = ARRAY_SIZE(mcipsec_seq_set_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_SWITCHOVER,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_switchover,
		.policy = mcipsec_switchover_policy,
		.maxattr = ARRAY_SIZE(mcipsec_switchover_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_DEBUG_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_debug_set,
		.policy = mcipsec_debug_policy,
		.maxattr = ARRAY_SIZE(mcipsec_debug_policy) - 1,
	},
	{
		.cmd = MCIPSEC_CMD_STATIC_PEERS_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = mcipsec_nl_static_peers_set,
		.policy = mcipsec_static_peers_policy,
		.maxattr = ARRAY_SIZE(mcipsec_static_peers_policy) - 1,
	},
};

static const struct genl_multicast_group mcipsec_mcgrps[] = {
	{ .name = MCIPSEC_MCGRP_EVENTS },
};

struct genl_family mcipsec_family __ro_after_init = {
	.name = MCIPSEC_GENL_NAME,
	.version = MCIPSEC_GENL_VERSION,
	.maxattr = MCIPSEC_A_MAX,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = mcipsec_ops,
	.n_ops = ARRAY_SIZE(mcipsec_ops),
	.resv_start_op = __MCIPSEC_CMD_MAX,
	.mcgrps = mcipsec_mcgrps,
	.n_mcgrps = ARRAY_SIZE(mcipsec_mcgrps),
};
