// SPDX-License-Identifier: GPL-2.0-only
/*
 * SAs that are about to be imported and must not send before their sequence
 * number is set (invariant I3): charon installs an SA at number zero, and what
 * left under zero on a group that forwards would repeat numbers that the other
 * gateway used under the same key. So the agent names the SA first; a clear
 * packet that would be encrypted with it is dropped until an import that is to
 * end that (MCIPSEC_HOLD_END) finds it. Whether the SA exists yet plays no part:
 * it may be replaced.
 *
 * Nothing of this costs a group that holds nothing more than one read.
 *
 * Threading: changes under mcipsec_net.lock, lookups under RCU.
 */
#include <linux/jhash.h>
#include <linux/slab.h>
#include <net/xfrm.h>

#include "mcipsec.h"

struct mcipsec_held_sa {
	struct hlist_node	node;
	struct rcu_head		rcu;
	xfrm_address_t		daddr;
	__be32			spi;
	u16			family;
};

static struct hlist_head *mcipsec_hold_bucket(struct mcipsec_group *g, __be32 spi)
{
	return &g->holds[jhash_1word((__force u32)spi, 0) % MCIPSEC_HOLD_BUCKETS];
}

static struct mcipsec_held_sa *mcipsec_hold_find(struct mcipsec_group *g, __be32 spi, u16 family,
						 const xfrm_address_t *daddr)
{
	struct mcipsec_held_sa *h;

	hlist_for_each_entry_rcu(h, mcipsec_hold_bucket(g, spi), node, true)
		if (h->spi == spi && h->family == family &&
		    xfrm_addr_equal(&h->daddr, daddr, family))
			return h;
	return NULL;
}

/* May @x not send yet? On the packet path. */
bool mcipsec_held(struct mcipsec_group *g, const struct xfrm_state *x)
{
	return unlikely(READ_ONCE(g->n_holds)) &&
	       mcipsec_hold_find(g, x->id.spi, x->props.family, &x->id.daddr);
}

/* 1: it is new, 0: it was there. */
int mcipsec_hold_add(struct mcipsec_group *g, const struct mcipsec_seq *seq)
{
	const xfrm_address_t *daddr = (const xfrm_address_t *)seq->daddr;
	struct mcipsec_held_sa *h;

	if (mcipsec_hold_find(g, seq->spi, seq->family, daddr))
		return 0;
	if (g->n_holds >= MCIPSEC_HOLD_MAX)
		return -ENOSPC;
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;
	h->spi = seq->spi;
	h->family = seq->family;
	h->daddr = *daddr;
	hlist_add_head_rcu(&h->node, mcipsec_hold_bucket(g, seq->spi));
	WRITE_ONCE(g->n_holds, g->n_holds + 1);
	return 1;
}

static void mcipsec_hold_remove(struct mcipsec_group *g, struct mcipsec_held_sa *h)
{
	hlist_del_rcu(&h->node);
	WRITE_ONCE(g->n_holds, g->n_holds - 1);
	kfree_rcu(h, rcu);
}

bool mcipsec_hold_end(struct mcipsec_group *g, const struct mcipsec_seq *seq)
{
	struct mcipsec_held_sa *h = NULL;

	if (g->n_holds)
		h = mcipsec_hold_find(g, seq->spi, seq->family,
				      (const xfrm_address_t *)seq->daddr);
	if (h)
		mcipsec_hold_remove(g, h);
	return h;
}

void mcipsec_hold_end_all(struct mcipsec_group *g)
{
	struct mcipsec_held_sa *h;
	struct hlist_node *tmp;
	unsigned int i;

	for (i = 0; i < MCIPSEC_HOLD_BUCKETS; i++)
		hlist_for_each_entry_safe(h, tmp, &g->holds[i], node)
			mcipsec_hold_remove(g, h);
}
