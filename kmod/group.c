// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: which gateway addresses they own, what they do, where they shunt.
 *
 * Invariants: a new group is in discovery (fail closed, I1). An address
 * belongs to at most one group of a namespace. Replacing addresses never takes
 * an address that stays out of the hash, not for one packet. A group whose
 * mode changed is seen by each packet either before or after, never between.
 *
 * Threading: changes under mcipsec_net.lock, lookups under RCU.
 */
#include <linux/hash.h>
#include <linux/slab.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include "mcipsec.h"

/*
 * No secret in it: the table holds what the administrator configured, and no
 * packet's address makes a chain of it longer.
 */
static u32 mcipsec_hash(u16 family, const void *addr)
{
	u32 word = family == AF_INET ? *(const u32 *)addr : ipv6_addr_hash(addr);

	return hash_32(word, MCIPSEC_HASH_BITS);
}

static bool mcipsec_addr_is(const struct mcipsec_addr *a, u16 family, const void *addr)
{
	if (a->family != family)
		return false;
	return family == AF_INET ? *(const u32 *)a->addr == *(const u32 *)addr :
				   ipv6_addr_equal((const struct in6_addr *)a->addr, addr);
}

static struct mcipsec_gwaddr *mcipsec_gwaddr_find(struct mcipsec_table *table, u16 family,
						  const void *addr)
{
	struct mcipsec_gwaddr *a;

	hlist_for_each_entry_rcu(a, &table->addrs[mcipsec_hash(family, addr)], node, true)
		if (mcipsec_addr_is(&a->addr, family, addr))
			return a;
	return NULL;
}

/*
 * The group that owns an address, NULL if none does. With @vrf only where the
 * address is known in that VRF (0: main table). Under RCU.
 */
struct mcipsec_group *mcipsec_group_by_addr(struct mcipsec_net *mn, u16 family,
					    const void *addr, const u32 *vrf)
{
	struct mcipsec_table *table = rcu_dereference(mn->table);
	struct mcipsec_gwaddr *a;

	if (!table)
		return NULL;
	a = mcipsec_gwaddr_find(table, family, addr);
	if (!a || (vrf && a->addr.vrf_ifindex != *vrf))
		return NULL;
	return a->group;
}

/*
 * The group of an SA: the one that owns its destination (inbound) or source
 * (outbound, *@out). Under RCU. Mark, if_id and reqid play no part.
 */
struct mcipsec_group *mcipsec_group_by_state(struct mcipsec_net *mn,
					     const struct xfrm_state *x, bool *out)
{
	struct mcipsec_group *g;

	*out = false;
	g = mcipsec_group_by_addr(mn, x->props.family, &x->id.daddr, NULL);
	if (g)
		return g;
	*out = true;
	return mcipsec_group_by_addr(mn, x->props.family, &x->props.saddr, NULL);
}

/* By id; under mcipsec_net.lock or RCU. */
struct mcipsec_group *mcipsec_group_get(struct mcipsec_net *mn, u32 id)
{
	return xa_load(&mn->groups, id);
}

/* What a group does now; *@lapsed: it would forward, had its lease not ended. */
enum mcipsec_action mcipsec_group_action(const struct mcipsec_group *g, bool *lapsed)
{
	const struct mcipsec_lease *lease = READ_ONCE(g->lease);
	u32 mode = READ_ONCE(g->mode);
	u32 flags = MCIPSEC_MODE_FLAGS(mode);
	u8 state = MCIPSEC_MODE_STATE(mode);
	bool can_shunt, ok = true;

	*lapsed = false;
	if (lease && state >= MCIPSEC_STATE_ELIGIBLE) {
		ok = mcipsec_lease_runs(lease);
		if (ok && (flags & MCIPSEC_F_STICKY_LEASE))
			ok = MCIPSEC_MODE_ERA(mode) == READ_ONCE(lease->era);
		*lapsed = !ok && state != MCIPSEC_STATE_STANDBY;
	}
	can_shunt = rcu_access_pointer(g->public) || rcu_access_pointer(g->private);
	return mcipsec_action_of(state, flags, ok, can_shunt);
}

/*
 * Does a packet still pass the last line that the gate let in? It does for a grace
 * period after a group went from forwarding to @action, if that is shunting: the
 * gate shuts at once, what is behind it ends its way. Under RCU.
 */
bool mcipsec_group_drains(const struct mcipsec_group *g, enum mcipsec_action action)
{
	const struct mcipsec_lease *lease;

	if (action != MCIPSEC_ACTION_SHUNT)
		return false;
	smp_rmb();	/* with mcipsec_group_drain() */
	if (likely(!READ_ONCE(g->draining)))
		return false;
	lease = READ_ONCE(g->lease);
	return !lease || mcipsec_lease_runs(lease);
}

/* Before the state that ends forwarding. Under mcipsec_net.lock, as is drained. */
void mcipsec_group_drain(struct mcipsec_group *g)
{
	WRITE_ONCE(g->draining, true);
	smp_wmb();	/* with mcipsec_group_drains() */
}

void mcipsec_group_drained(struct mcipsec_group *g)
{
	WRITE_ONCE(g->draining, false);
}

/* Under mcipsec_net.lock. The one store that flips a group. */
void mcipsec_group_set_mode(struct mcipsec_group *g, u8 state, u32 flags)
{
	if (MCIPSEC_MODE_STATE(g->mode) != state)
		g->since = ktime_get_boottime_ns();
	WRITE_ONCE(g->mode, MCIPSEC_MODE(state, flags, g->lease ? g->lease->era : 0));
}

static void mcipsec_nexthops_free_rcu(struct rcu_head *rcu)
{
	struct mcipsec_nexthops *nhs = container_of(rcu, struct mcipsec_nexthops, rcu);
	unsigned int i;

	for (i = 0; i < nhs->n; i++)
		dst_cache_destroy(&nhs->nh[i].cache);
	kfree(nhs);
}

/* After a grace period; @nhs may be NULL. */
void mcipsec_nexthops_free(struct mcipsec_nexthops *nhs)
{
	if (nhs)
		call_rcu(&nhs->rcu, mcipsec_nexthops_free_rcu);
}

/* NULL for none. */
struct mcipsec_nexthops *mcipsec_nexthops_create(const struct mcipsec_addr *addrs,
						 unsigned int n)
{
	struct mcipsec_nexthops *nhs;
	int err;

	if (!n)
		return NULL;
	nhs = kzalloc(struct_size(nhs, nh, n), GFP_KERNEL);
	if (!nhs)
		return ERR_PTR(-ENOMEM);
	for (; nhs->n < n; nhs->n++) {
		err = dst_cache_init(&nhs->nh[nhs->n].cache, GFP_KERNEL);
		if (err) {
			mcipsec_nexthops_free(nhs);
			return ERR_PTR(err);
		}
		nhs->nh[nhs->n].addr = addrs[nhs->n];
		nhs->by_kind |= addrs[nhs->n].flags;
	}
	return nhs;
}

/* Replace the next-hops of one side; NULL clears them. Under mcipsec_net.lock. */
void mcipsec_group_set_nexthops(struct mcipsec_group *g, bool public,
				struct mcipsec_nexthops *nhs)
{
	struct mcipsec_nexthops __rcu **slot = public ? &g->public : &g->private;

	mcipsec_nexthops_free(rcu_replace_pointer(*slot, nhs, lockdep_is_held(&g->mn->lock)));
}

static void mcipsec_gwaddr_remove(struct mcipsec_gwaddr *a)
{
	hlist_del_rcu(&a->node);
	list_del(&a->list);
	a->group->n_addrs--;
	kfree_rcu(a, rcu);
}

/*
 * Give a group exactly these addresses. Fails before anything changed, with
 * the index of the address at fault in *@bad.
 */
int mcipsec_group_set_addrs(struct mcipsec_group *g, const struct mcipsec_addr *addrs,
			    unsigned int n, struct netlink_ext_ack *extack,
			    unsigned int *bad)
{
	struct mcipsec_table *table = rcu_dereference_protected(g->mn->table,
								lockdep_is_held(&g->mn->lock));
	struct mcipsec_gwaddr *a, *tmp;
	LIST_HEAD(fresh);
	unsigned int i;

	list_for_each_entry(a, &g->addrs, list)
		a->keep = false;

	for (i = 0; i < n; i++) {
		*bad = i;
		a = mcipsec_gwaddr_find(table, addrs[i].family, addrs[i].addr);
		if (a && a->group != g) {
			NL_SET_ERR_MSG(extack, "ADDR belongs to another group of this namespace");
			goto busy;
		}
		if (a && a->addr.vrf_ifindex == addrs[i].vrf_ifindex) {
			if (a->keep)
				goto twice;
			a->keep = true;
			continue;
		}
		list_for_each_entry(a, &fresh, list)
			if (mcipsec_addr_is(&a->addr, addrs[i].family, addrs[i].addr))
				goto twice;
		a = kzalloc(sizeof(*a), GFP_KERNEL);
		if (!a) {
			list_for_each_entry_safe(a, tmp, &fresh, list)
				kfree(a);
			return -ENOMEM;
		}
		a->group = g;
		a->addr = addrs[i];
		a->keep = true;
		list_add_tail(&a->list, &fresh);
	}

	/* First what is new, then what goes: an address may change its VRF. */
	list_for_each_entry(a, &fresh, list) {
		u32 slot = mcipsec_hash(a->addr.family, a->addr.addr);

		hlist_add_head_rcu(&a->node, &table->addrs[slot]);
		g->n_addrs++;
	}
	list_splice_tail(&fresh, &g->addrs);
	list_for_each_entry_safe(a, tmp, &g->addrs, list)
		if (!a->keep)
			mcipsec_gwaddr_remove(a);
	return 0;

twice:
	NL_SET_ERR_MSG(extack, "ADDR is given twice");
busy:
	list_for_each_entry_safe(a, tmp, &fresh, list)
		kfree(a);
	return -EADDRINUSE;
}

static int mcipsec_table_create(struct mcipsec_net *mn)
{
	struct mcipsec_table *table;
	unsigned int i;

	if (rcu_access_pointer(mn->table))
		return 0;
	table = kvzalloc(sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (i = 1; i <= MCIPSEC_LEASE_MAX; i++)
		mcipsec_lease_init(&table->leases[i], mn, i);
	rcu_assign_pointer(mn->table, table);
	return 0;
}

/* A group in discovery without addresses. Under mcipsec_net.lock. */
struct mcipsec_group *mcipsec_group_create(struct mcipsec_net *mn, u32 id,
					   struct netlink_ext_ack *extack)
{
	struct mcipsec_group *g;
	int err;

	err = mcipsec_table_create(mn);
	if (err)
		return ERR_PTR(err);
	g = kzalloc(sizeof(*g), GFP_KERNEL);
	if (!g)
		return ERR_PTR(-ENOMEM);
	g->id = id;
	g->mn = mn;
	g->mode = MCIPSEC_MODE(MCIPSEC_STATE_DISCOVERY, 0, 0);
	g->since = ktime_get_boottime_ns();
	INIT_LIST_HEAD(&g->addrs);
	err = -ENOMEM;
	g->stats = alloc_percpu(struct mcipsec_stats);
	if (!g->stats)
		goto free;
	err = -EBUSY;
	if (!try_module_get(THIS_MODULE)) {
		NL_SET_ERR_MSG(extack, "the module is being unloaded");
		goto free_stats;
	}
	if (!mn->n_groups) {
		err = mcipsec_gate_register(mn->net);
		if (err) {
			NL_SET_ERR_MSG(extack, "netfilter hooks could not be registered");
			goto put;
		}
	}
	err = xa_insert(&mn->groups, id, g, GFP_KERNEL);
	if (err)
		goto unregister;
	mn->n_groups++;
	return g;

unregister:
	if (!mn->n_groups)
		mcipsec_gate_unregister(mn->net);
put:
	module_put(THIS_MODULE);
free_stats:
	free_percpu(g->stats);
free:
	kfree(g);
	return ERR_PTR(err);
}

static void mcipsec_group_free_rcu(struct rcu_head *rcu)
{
	struct mcipsec_group *g = container_of(rcu, struct mcipsec_group, rcu);

	free_percpu(g->stats);
	kfree(g);
}

/* Under mcipsec_net.lock. The group's addresses are free at once. */
void mcipsec_group_destroy(struct mcipsec_group *g)
{
	struct mcipsec_net *mn = g->mn;
	struct mcipsec_gwaddr *a, *tmp;

	xa_erase(&mn->groups, g->id);
	list_for_each_entry_safe(a, tmp, &g->addrs, list)
		mcipsec_gwaddr_remove(a);
	mcipsec_group_set_nexthops(g, true, NULL);
	mcipsec_group_set_nexthops(g, false, NULL);
	mcipsec_peers_forget(g);
	mcipsec_peers_publish(g);
	mcipsec_hold_end_all(g);
	call_rcu(&g->rcu, mcipsec_group_free_rcu);
	if (!--mn->n_groups)
		mcipsec_gate_unregister(mn->net);
	module_put(THIS_MODULE);
}

/* The namespace goes, nobody is left to ask for anything in it. */
void mcipsec_group_release_all(struct mcipsec_net *mn)
{
	struct mcipsec_table *table;
	struct mcipsec_group *g;
	unsigned long id;
	unsigned int i;

	mutex_lock(&mn->lock);
	xa_for_each(&mn->groups, id, g)
		mcipsec_group_destroy(g);
	table = rcu_replace_pointer(mn->table, NULL, lockdep_is_held(&mn->lock));
	mutex_unlock(&mn->lock);
	if (table) {
		for (i = 1; i <= MCIPSEC_LEASE_MAX; i++)
			mcipsec_lease_stop(&table->leases[i]);
		kvfree_rcu(table, rcu);
	}
	xa_destroy(&mn->groups);
}
