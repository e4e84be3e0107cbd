/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the netlink family share: netlink.c (the family, its
 * policies, what is left), nl_group.c, nl_state.c.
 */
#ifndef _MCIPSEC_NETLINK_H
#define _MCIPSEC_NETLINK_H

#include "mcipsec.h"

extern const struct nla_policy mcipsec_group_policy[MCIPSEC_A_GENERATION + 1];

/* An attribute that a request must carry; NULL with a message if it does not. */
struct nlattr *mcipsec_need(struct genl_info *info, int type, const char *missing);

/* The name of an attribute without its prefix, as users know it. */
#define MCIPSEC_NEED(info, name) \
	mcipsec_need(info, MCIPSEC_A_##name, #name " is required")

/* GROUP_ID within its limits, or -EINVAL with a message. */
int mcipsec_parse_id(const struct nlattr *attr, struct netlink_ext_ack *extack, u32 *id);

/* The group that GROUP_ID names, or an error with a message. Under the lock. */
struct mcipsec_group *mcipsec_find(struct mcipsec_net *mn, const struct nlattr *attr,
				   struct netlink_ext_ack *extack);

int mcipsec_nl_group_new(struct sk_buff *skb, struct genl_info *info);
int mcipsec_nl_group_del(struct sk_buff *skb, struct genl_info *info);
int mcipsec_nl_group_get(struct sk_buff *request, struct genl_info *info);
int mcipsec_nl_group_dump_start(struct netlink_callback *cb);
int mcipsec_nl_group_dump(struct sk_buff *skb, struct netlink_callback *cb);
int mcipsec_nl_static_peers_set(struct sk_buff *skb, struct genl_info *info);
int mcipsec_nl_state_set(struct sk_buff *skb, struct genl_info *info);
int mcipsec_nl_lease_set(struct sk_buff *skb, struct genl_info *info);
int mcipsec_nl_switchover(struct sk_buff *skb, struct genl_info *info);

#endif /* _MCIPSEC_NETLINK_H */
