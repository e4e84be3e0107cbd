// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ends of a group's static tunnels, which are known by configuration and
 * not by an SA: a ping from one end to the other is answered before the tunnel
 * is up, and what is theirs is shunted by the next-hop for static tunnels
 * (seed, "Tunnel ISAs", and its redundant next-hops).
 *
 * A list too long for one message comes in several and counts from the last on,
 * whole.
 *
 * Threading: changes under mcipsec_net.lock, lookups under RCU.
 */
#include <linux/bsearch.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "mcipsec.h"

struct mcipsec_peers {
	struct rcu_head		rcu;		/* kvfree_rcu() wants it early */
	unsigned int		n;
	struct mcipsec_static_peer peer[];	/* in order, once published */
};

static int mcipsec_peer_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mcipsec_static_peer));
}

/* Are these the ends of a static tunnel of the group? Under RCU. */
bool mcipsec_is_static_peer(const struct mcipsec_group *g, u16 family, const void *local,
			    const void *remote)
{
	const struct mcipsec_peers *peers = rcu_dereference(g->static_peers);
	size_t size = family == AF_INET ? sizeof(__be32) : sizeof(struct in6_addr);
	struct mcipsec_static_peer key = { .family = family };

	if (!peers)
		return false;
	memcpy(key.local, local, size);
	memcpy(key.remote, remote, size);
	return bsearch(&key, peers->peer, peers->n, sizeof(key), mcipsec_peer_cmp);
}

/* What was given without the last message of its list is forgotten. */
void mcipsec_peers_forget(struct mcipsec_group *g)
{
	kvfree(g->peers_coming);
	g->peers_coming = NULL;
}

/* Under mcipsec_net.lock; -ENOSPC: more than MCIPSEC_STATIC_PEER_MAX. */
int mcipsec_peers_add(struct mcipsec_group *g, const struct mcipsec_static_peer *more,
		      unsigned int n)
{
	struct mcipsec_peers *peers, *old = g->peers_coming;
	unsigned int before = old ? old->n : 0;

	if (n > MCIPSEC_STATIC_PEER_MAX - before)
		return -ENOSPC;
	peers = kvmalloc(struct_size(peers, peer, before + n), GFP_KERNEL_ACCOUNT);
	if (!peers)
		return -ENOMEM;
	peers->n = before + n;
	if (old)
		memcpy(peers->peer, old->peer, before * sizeof(*more));
	memcpy(peers->peer + before, more, n * sizeof(*more));
	mcipsec_peers_forget(g);
	g->peers_coming = peers;
	return 0;
}

/* From now on the group has the peers that were added. Under mcipsec_net.lock. */
void mcipsec_peers_publish(struct mcipsec_group *g)
{
	struct mcipsec_peers *peers = g->peers_coming;

	g->peers_coming = NULL;
	if (peers && !peers->n) {
		kvfree(peers);
		peers = NULL;
	}
	if (peers)
		sort(peers->peer, peers->n, sizeof(peers->peer[0]), mcipsec_peer_cmp, NULL);
	peers = rcu_replace_pointer(g->static_peers, peers, lockdep_is_held(&g->mn->lock));
	if (peers)
		kvfree_rcu(peers, rcu);
}

/* Under mcipsec_net.lock. */
unsigned int mcipsec_peers_count(const struct mcipsec_group *g)
{
	const struct mcipsec_peers *peers;

	peers = rcu_dereference_protected(g->static_peers, lockdep_is_held(&g->mn->lock));
	return peers ? peers->n : 0;
}
