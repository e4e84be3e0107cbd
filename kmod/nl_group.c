// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests about groups: GROUP_NEW, GROUP_DEL, GROUP_GET, STATIC_PEERS_SET. What a request asks
 * for is parsed before the lock is taken, and applied whole or not at all.
 */
#include <linux/slab.h>
#include <linux/stringify.h>

#include "netlink.h"

static bool mcipsec_addr_valid(const struct mcipsec_addr *a, u16 flags)
{
	static const u8 zero[16];

	if (a->flags & ~flags || !memcmp(a->addr, zero, sizeof(zero)))
		return false;
	if (a->family == AF_INET)
		return !memcmp(a->addr + 4, zero, sizeof(zero) - 4);
	return a->family == AF_INET6;
}

#define MCIPSEC_NEXTHOP_FLAGS (MCIPSEC_ADDR_F_STATIC | MCIPSEC_ADDR_F_DYNAMIC)

/* An array of addresses out of a nest; the caller frees it. */
static struct mcipsec_addr *mcipsec_parse_addrs(const struct nlattr *nest, unsigned int max,
						u16 flags, const char *too_many,
						struct netlink_ext_ack *extack, unsigned int *n)
{
	struct mcipsec_addr *addrs;
	const struct nlattr *attr;
	int rem;

	*n = 0;
	nla_for_each_nested(attr, nest, rem)
		(*n)++;
	if (*n > max) {
		NL_SET_BAD_ATTR(extack, nest);
		extack->_msg = too_many;
		return ERR_PTR(-EINVAL);
	}
	addrs = kcalloc(max(*n, 1U), sizeof(*addrs), GFP_KERNEL);
	if (!addrs)
		return ERR_PTR(-ENOMEM);
	*n = 0;
	nla_for_each_nested(attr, nest, rem) {
		memcpy(&addrs[*n], nla_data(attr), sizeof(*addrs));
		if (!mcipsec_addr_valid(&addrs[*n], flags)) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "address must be AF_INET or AF_INET6, not zero, padding and unknown flags zero");
			kfree(addrs);
			return ERR_PTR(-EINVAL);
		}
		(*n)++;
	}
	return addrs;
}

/* What GROUP_NEW carries; NULL arrays stand for absent attributes. */
struct mcipsec_group_config {
	struct mcipsec_addr	*addrs, *public, *private;
	unsigned int		n_addrs, n_public, n_private;
	bool			has_lease;
	u32			lease;
};

static void mcipsec_config_free(struct mcipsec_group_config *c)
{
	kfree(c->addrs);
	kfree(c->public);
	kfree(c->private);
}

static int mcipsec_config_parse(struct genl_info *info, struct mcipsec_group_config *c)
{
	struct nlattr *attr;
	struct mcipsec_addr *addrs;

	attr = info->attrs[MCIPSEC_A_ADDRS];
	if (attr) {
		addrs = mcipsec_parse_addrs(attr, MCIPSEC_ADDR_MAX, 0,
					    "ADDRS holds more than " __stringify(MCIPSEC_ADDR_MAX),
					    info->extack, &c->n_addrs);
		if (IS_ERR(addrs))
			return PTR_ERR(addrs);
		c->addrs = addrs;
	}
	attr = info->attrs[MCIPSEC_A_PUBLIC_NEXTHOPS];
	if (attr) {
		addrs = mcipsec_parse_addrs(attr, MCIPSEC_NEXTHOP_MAX, MCIPSEC_NEXTHOP_FLAGS,
					    "PUBLIC_NEXTHOPS holds more than "
					    __stringify(MCIPSEC_NEXTHOP_MAX),
					    info->extack, &c->n_public);
		if (IS_ERR(addrs))
			return PTR_ERR(addrs);
		c->public = addrs;
	}
	attr = info->attrs[MCIPSEC_A_PRIVATE_NEXTHOPS];
	if (attr) {
		addrs = mcipsec_parse_addrs(attr, MCIPSEC_NEXTHOP_MAX, MCIPSEC_NEXTHOP_FLAGS,
					    "PRIVATE_NEXTHOPS holds more than "
					    __stringify(MCIPSEC_NEXTHOP_MAX),
					    info->extack, &c->n_private);
		if (IS_ERR(addrs))
			return PTR_ERR(addrs);
		c->private = addrs;
	}
	attr = info->attrs[MCIPSEC_A_LEASE_ID];
	if (attr) {
		c->has_lease = true;
		c->lease = nla_get_u32(attr);
		if (c->lease > MCIPSEC_LEASE_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "LEASE_ID must be 0.."
					    __stringify(MCIPSEC_LEASE_MAX));
			return -EINVAL;
		}
	}
	return 0;
}

/* Under the lock. What can fail comes first: all of a request is done, or nothing. */
static int mcipsec_config_apply(struct mcipsec_group *g, struct genl_info *info,
				const struct mcipsec_group_config *c)
{
	struct mcipsec_table *table = rcu_dereference_protected(g->mn->table,
								lockdep_is_held(&g->mn->lock));
	struct mcipsec_nexthops *public, *private;
	unsigned int bad;
	int err = 0;

	public = mcipsec_nexthops_create(c->public, c->n_public);
	if (IS_ERR(public))
		return PTR_ERR(public);
	private = mcipsec_nexthops_create(c->private, c->n_private);
	if (IS_ERR(private)) {
		mcipsec_nexthops_free(public);
		return PTR_ERR(private);
	}
	if (c->addrs)
		err = mcipsec_group_set_addrs(g, c->addrs, c->n_addrs, info->extack, &bad);
	if (err) {
		mcipsec_nexthops_free(public);
		mcipsec_nexthops_free(private);
		return err;
	}
	if (c->public)
		mcipsec_group_set_nexthops(g, true, public);
	if (c->private)
		mcipsec_group_set_nexthops(g, false, private);
	if (c->has_lease) {
		struct mcipsec_lease *lease = c->lease ? &table->leases[c->lease] : NULL;

		/*
		 * A state was given under the old lease, which may have ended:
		 * without one, or under another, it must not come back to life.
		 */
		if (g->lease && g->lease != lease)
			mcipsec_group_set_mode(g, MCIPSEC_STATE_DISCOVERY, 0);
		WRITE_ONCE(g->lease, lease);
	}
	return 0;
}

int mcipsec_nl_group_new(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct mcipsec_group_config config = {};
	u16 flags = info->nlhdr->nlmsg_flags;
	struct mcipsec_group *g;
	struct nlattr *attr;
	bool fresh;
	int err;
	u32 id;

	attr = MCIPSEC_NEED(info, GROUP_ID);
	if (!attr)
		return -EINVAL;
	err = mcipsec_parse_id(attr, info->extack, &id);
	if (err)
		return err;
	err = mcipsec_config_parse(info, &config);
	if (err)
		goto free;

	mutex_lock(&mn->lock);
	g = mcipsec_group_get(mn, id);
	fresh = !g;
	if (g && ((flags & NLM_F_EXCL) || !(flags & NLM_F_REPLACE))) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "the group exists");
		err = -EEXIST;
	} else if (!g && !(flags & NLM_F_CREATE)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "GROUP_ID names no group of this namespace");
		err = -ENOENT;
	} else if (!g && !config.n_addrs) {
		NL_SET_ERR_MSG(info->extack, "ADDRS is required, 1.."
			       __stringify(MCIPSEC_ADDR_MAX));
		err = -EINVAL;
	} else if (!g) {
		g = mcipsec_group_create(mn, id, info->extack);
		err = PTR_ERR_OR_ZERO(g);
	}
	if (!err) {
		err = mcipsec_config_apply(g, info, &config);
		if (err && fresh)
			mcipsec_group_destroy(g);
		else if (!err)
			mcipsec_event(g, fresh ? MCIPSEC_EVENT_GROUP_NEW : MCIPSEC_EVENT_STATE,
				      GFP_KERNEL);
	}
	mutex_unlock(&mn->lock);
free:
	mcipsec_config_free(&config);
	return err;
}

int mcipsec_nl_group_del(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct mcipsec_group *g;
	struct nlattr *attr;

	attr = MCIPSEC_NEED(info, GROUP_ID);
	if (!attr)
		return -EINVAL;
	mutex_lock(&mn->lock);
	g = mcipsec_find(mn, attr, info->extack);
	if (!IS_ERR(g)) {
		mcipsec_event(g, MCIPSEC_EVENT_GROUP_DEL, GFP_KERNEL);
		mcipsec_group_destroy(g);
	}
	mutex_unlock(&mn->lock);
	return PTR_ERR_OR_ZERO(g);
}

static bool mcipsec_static_peer_valid(const struct mcipsec_static_peer *p)
{
	struct mcipsec_addr local = { .family = p->family }, remote = local;

	memcpy(local.addr, p->local, sizeof(local.addr));
	memcpy(remote.addr, p->remote, sizeof(remote.addr));
	return !p->reserved && mcipsec_addr_valid(&local, 0) && mcipsec_addr_valid(&remote, 0);
}

static int mcipsec_static_peers_check(const struct nlattr *array,
				      struct netlink_ext_ack *extack)
{
	const struct mcipsec_static_peer *p = nla_data(array);
	unsigned int i, n = nla_len(array) / sizeof(*p);

	if (nla_len(array) % sizeof(*p)) {
		NL_SET_ERR_MSG_ATTR(extack, array,
				    "STATIC_PEERS must be an array of struct mcipsec_static_peer, 36 bytes each");
		return -EINVAL;
	}
	for (i = 0; i < n; i++)
		if (!mcipsec_static_peer_valid(&p[i])) {
			NL_SET_ERR_MSG_ATTR(extack, array,
					    "addresses must be AF_INET or AF_INET6, not zero, padding zero");
			return -EINVAL;
		}
	return 0;
}

int mcipsec_nl_static_peers_set(struct sk_buff *skb, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct nlattr *id, *array = info->attrs[MCIPSEC_A_STATIC_PEERS];
	struct mcipsec_group *g;
	int err;

	id = MCIPSEC_NEED(info, GROUP_ID);
	if (!id)
		return -EINVAL;
	mutex_lock(&mn->lock);
	g = mcipsec_find(mn, id, info->extack);
	if (IS_ERR(g)) {
		mutex_unlock(&mn->lock);
		return PTR_ERR(g);
	}
	if (info->nlhdr->nlmsg_flags & NLM_F_REPLACE)
		mcipsec_peers_forget(g);
	err = array ? mcipsec_static_peers_check(array, info->extack) : 0;
	if (!err && array)
		err = mcipsec_peers_add(g, nla_data(array),
					nla_len(array) / sizeof(struct mcipsec_static_peer));
	if (err == -ENOSPC)
		NL_SET_ERR_MSG_ATTR(info->extack, array, "more than "
				    __stringify(MCIPSEC_STATIC_PEER_MAX)
				    " static peers of the group");
	if (err)
		mcipsec_peers_forget(g);
	else if (!info->attrs[MCIPSEC_A_STATIC_PEERS_MORE])
		mcipsec_peers_publish(g);
	mutex_unlock(&mn->lock);
	return err;
}

static int mcipsec_fill_nexthops(struct sk_buff *skb, int type,
				 const struct mcipsec_nexthops *nhs)
{
	struct nlattr *nest;
	unsigned int i;

	if (!nhs)
		return 0;
	nest = nla_nest_start(skb, type);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < nhs->n; i++)
		if (nla_put(skb, MCIPSEC_A_NEXTHOP, sizeof(nhs->nh[i].addr), &nhs->nh[i].addr))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* A whole group, under the lock. On failure the caller cuts the message. */
static int mcipsec_fill_group(struct sk_buff *skb, const struct mcipsec_group *g)
{
	const struct mcipsec_nexthops *public, *private;
	const struct mcipsec_gwaddr *a;
	struct nlattr *nest;

	if (mcipsec_fill_state(skb, g) ||
	    nla_put_u64_64bit(skb, MCIPSEC_A_TIME, g->since, MCIPSEC_A_PAD))
		return -EMSGSIZE;
	if (g->lease && nla_put_u64_64bit(skb, MCIPSEC_A_LEASE_EXPIRY,
					  atomic64_read(&g->lease->expiry), MCIPSEC_A_PAD))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, MCIPSEC_A_ADDRS);
	if (!nest)
		return -EMSGSIZE;
	list_for_each_entry(a, &g->addrs, list)
		if (nla_put(skb, MCIPSEC_A_ADDR, sizeof(a->addr), &a->addr))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	public = rcu_dereference_protected(g->public, lockdep_is_held(&g->mn->lock));
	private = rcu_dereference_protected(g->private, lockdep_is_held(&g->mn->lock));
	if (mcipsec_fill_nexthops(skb, MCIPSEC_A_PUBLIC_NEXTHOPS, public) ||
	    mcipsec_fill_nexthops(skb, MCIPSEC_A_PRIVATE_NEXTHOPS, private) ||
	    nla_put_u32(skb, MCIPSEC_A_STATIC_PEERS_COUNT, mcipsec_peers_count(g)))
		return -EMSGSIZE;
	return mcipsec_stats_fill(skb, g);
}

/* Bytes that hold any group. */
#define MCIPSEC_GROUP_SIZE (1024 + \
	(MCIPSEC_ADDR_MAX + 2 * MCIPSEC_NEXTHOP_MAX) * (NLA_HDRLEN + sizeof(struct mcipsec_addr)))

int mcipsec_nl_group_get(struct sk_buff *request, struct genl_info *info)
{
	struct mcipsec_net *mn = mcipsec_net(genl_info_net(info));
	struct mcipsec_group *g;
	struct nlattr *attr;
	struct sk_buff *skb;
	int err = -EMSGSIZE;
	void *hdr;

	attr = MCIPSEC_NEED(info, GROUP_ID);
	if (!attr)
		return -EINVAL;
	skb = genlmsg_new(MCIPSEC_GROUP_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put_reply(skb, info, &mcipsec_family, 0, MCIPSEC_CMD_GROUP_GET);
	if (!hdr)
		goto free;
	mutex_lock(&mn->lock);
	g = mcipsec_find(mn, attr, info->extack);
	err = IS_ERR(g) ? PTR_ERR(g) : mcipsec_fill_group(skb, g);
	mutex_unlock(&mn->lock);
	if (err)
		goto free;
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
free:
	nlmsg_free(skb);
	return err;
}

int mcipsec_nl_group_dump_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = MCIPSEC_GROUP_SIZE;
	return 0;
}

int mcipsec_nl_group_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mcipsec_net *mn = mcipsec_net(sock_net(cb->skb->sk));
	unsigned long *next = (unsigned long *)cb->ctx;
	struct mcipsec_group *g;
	unsigned long id;
	void *hdr;

	mutex_lock(&mn->lock);
	xa_for_each_start(&mn->groups, id, g, *next) {
		hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				  &mcipsec_family, NLM_F_MULTI, MCIPSEC_CMD_GROUP_GET);
		if (!hdr)
			break;
		if (mcipsec_fill_group(skb, g)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		*next = id + 1;
	}
	mutex_unlock(&mn->lock);
	return skb->len;
}
