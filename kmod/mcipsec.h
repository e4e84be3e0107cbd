/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mcipsec - what the files of the module share.
 *
 * Objects: one struct mcipsec_net a network namespace; in it groups by id and
 * gateway addresses by hash, and the leases.
 *
 * Locking: a namespace's configuration changes under mcipsec_net.lock. The
 * packet path takes no lock: it runs under RCU, reads a group's mode with one
 * READ_ONCE() and a lease's end with one atomic64_read(). What it can reach is
 * freed after a grace period.
 *
 * Life: a group pins the module. The first group of a namespace registers the
 * netfilter hooks there, the last takes them away, so that other namespaces
 * pay nothing. A namespace that goes takes its groups along.
 */
#ifndef _MCIPSEC_H
#define _MCIPSEC_H

#include <linux/hrtimer.h>
#include <linux/in6.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>
#include <net/dst_cache.h>
#include <net/genetlink.h>
#include <net/xfrm.h>
#include <linux/mcipsec.h>

#include "action.h"

#define MCIPSEC_HASH_BITS	10
#define MCIPSEC_HOLD_BUCKETS	256

struct mcipsec_net;
struct mcipsec_peers;

/*
 * A lease: its groups forward only until @expiry. One word, compared with the
 * clock for every packet, so that a frozen agent needs no timer to be fenced;
 * the timer only tells about it.
 */
struct mcipsec_lease {
	atomic64_t		expiry;		/* CLOCK_BOOTTIME ns */
	u16			era;		/* counts renewals after an expiry */
	bool			owned;		/* cookie is set */
	unsigned long		reported;	/* bit 0: LEASE_EXPIRED was sent */
	u8			cookie[MCIPSEC_COOKIE_LEN];
	u32			id;
	struct hrtimer		timer;
	struct mcipsec_net	*mn;
};

/* Exists from a namespace's first group on, until the namespace goes. */
struct mcipsec_table {
	struct rcu_head		rcu;		/* kvfree_rcu() wants it early */
	struct hlist_head	addrs[1 << MCIPSEC_HASH_BITS];
	struct mcipsec_lease	leases[MCIPSEC_LEASE_MAX + 1];	/* [0] unused */
};

struct mcipsec_net {
	struct net		*net;
	struct mutex		lock;		/* all configuration below */
	struct xarray		groups;		/* by id; read under RCU, too */
	unsigned int		n_groups;
	struct mcipsec_table __rcu *table;
	bool			gate_off;	/* MCIPSEC_CMD_DEBUG_SET */
};

struct mcipsec_nexthop {
	struct mcipsec_addr	addr;
	struct dst_cache	cache;
};

struct mcipsec_nexthops {
	struct rcu_head		rcu;
	unsigned int		n;
	bool			by_kind;	/* of tunnels; some have flags */
	struct mcipsec_nexthop	nh[];
};

/* A gateway address, in the hash and on its group's list. */
struct mcipsec_gwaddr {
	struct hlist_node	node;
	struct list_head	list;
	struct rcu_head		rcu;
	struct mcipsec_group	*group;
	struct mcipsec_addr	addr;
	bool			keep;		/* mark of a replacement */
};

struct mcipsec_stats {
	unsigned long		count[__MCIPSEC_STAT_MAX];
};

/*
 * State, flags and era of a group in one word, so that a flip is one store:
 * bits 0-7 MCIPSEC_STATE_*, 8-15 MCIPSEC_F_*, 16-31 era of the lease that the
 * state was set in.
 */
#define MCIPSEC_MODE(state, flags, era)	((u32)(state) | (u32)(flags) << 8 | (u32)(era) << 16)
#define MCIPSEC_MODE_STATE(mode)	((u8)((mode) & 0xff))
#define MCIPSEC_MODE_FLAGS(mode)	(((mode) >> 8) & 0xff)
#define MCIPSEC_MODE_ERA(mode)		((u16)((mode) >> 16))

#define MCIPSEC_F_ALL	(MCIPSEC_F_PREPARED | MCIPSEC_F_NOMINAL | \
			 MCIPSEC_F_STRICT_REPLAY | MCIPSEC_F_STICKY_LEASE)

struct mcipsec_group {
	u32			mode;		/* MCIPSEC_MODE() */
	struct mcipsec_lease	*lease;		/* NULL: none */
	struct mcipsec_nexthops __rcu *public;
	struct mcipsec_nexthops __rcu *private;
	struct mcipsec_peers __rcu *static_peers;
	struct mcipsec_stats __percpu *stats;

	/* under mcipsec_net.lock */
	struct mcipsec_net	*mn;
	u32			id;
	u64			generation;
	u64			since;		/* of the state, CLOCK_BOOTTIME ns */
	bool			owned;
	bool			draining;	/* read under RCU, too */
	u8			cookie[MCIPSEC_COOKIE_LEN];
	struct list_head	addrs;
	unsigned int		n_addrs;
	struct mcipsec_peers	*peers_coming;	/* of a list not whole yet */
	struct rcu_head		rcu;
	unsigned int		n_holds;	/* read under RCU, too, as the holds are */
	struct hlist_head	holds[MCIPSEC_HOLD_BUCKETS];
};

/* Where a packet came in, as far as it is known. */
struct mcipsec_ingress {
	int			ifindex;	/* 0: this node */
	u32			vrf;		/* of the interface it would leave by */
	u8			mac[ETH_ALEN] __aligned(2);	/* source */
	bool			has_mac;
};

/* main.c */
struct mcipsec_net *mcipsec_net(const struct net *net);

/* group.c */
struct mcipsec_group *mcipsec_group_by_addr(struct mcipsec_net *mn, u16 family,
					    const void *addr, const u32 *vrf);
struct mcipsec_group *mcipsec_group_by_state(struct mcipsec_net *mn,
					     const struct xfrm_state *x, bool *out);
struct mcipsec_group *mcipsec_group_get(struct mcipsec_net *mn, u32 id);
struct mcipsec_group *mcipsec_group_create(struct mcipsec_net *mn, u32 id,
					   struct netlink_ext_ack *extack);
void mcipsec_group_destroy(struct mcipsec_group *g);
int mcipsec_group_set_addrs(struct mcipsec_group *g, const struct mcipsec_addr *addrs,
			    unsigned int n, struct netlink_ext_ack *extack,
			    unsigned int *bad);
struct mcipsec_nexthops *mcipsec_nexthops_create(const struct mcipsec_addr *addrs,
						 unsigned int n);
void mcipsec_nexthops_free(struct mcipsec_nexthops *nhs);
void mcipsec_group_set_nexthops(struct mcipsec_group *g, bool public,
				struct mcipsec_nexthops *nhs);
void mcipsec_group_set_mode(struct mcipsec_group *g, u8 state, u32 flags);
enum mcipsec_action mcipsec_group_action(const struct mcipsec_group *g, bool *lapsed);
bool mcipsec_group_drains(const struct mcipsec_group *g, enum mcipsec_action action);
void mcipsec_group_drain(struct mcipsec_group *g);
void mcipsec_group_drained(struct mcipsec_group *g);
void mcipsec_group_release_all(struct mcipsec_net *mn);

/* lease.c */
void mcipsec_lease_init(struct mcipsec_lease *lease, struct mcipsec_net *mn, u32 id);
void mcipsec_lease_stop(struct mcipsec_lease *lease);
bool mcipsec_lease_busy(const struct mcipsec_lease *lease, const u8 *cookie);
int mcipsec_lease_set(struct mcipsec_lease *lease, const u8 *cookie, u64 expiry);

static inline bool mcipsec_lease_runs(const struct mcipsec_lease *lease)
{
	/* Pairs with the order of stores in mcipsec_lease_set(). */
	return ktime_get_boottime_ns() < (u64)atomic64_read_acquire(&lease->expiry);
}

/* classify.c */
enum mcipsec_class mcipsec_classify_in4(const struct sk_buff *skb);
enum mcipsec_class mcipsec_classify_in6(const struct sk_buff *skb);
enum mcipsec_class mcipsec_classify_out4(const struct sk_buff *skb);
enum mcipsec_class mcipsec_classify_out6(const struct sk_buff *skb);
bool mcipsec_quoted_daddr(const struct sk_buff *skb, u16 family, struct in6_addr *daddr);

/* gate.c */
int mcipsec_gate_register(struct net *net);
void mcipsec_gate_unregister(struct net *net);

/* shunt.c */
unsigned int mcipsec_shunt(struct mcipsec_group *g, enum mcipsec_action action,
			   enum mcipsec_class class, const struct mcipsec_ingress *in,
			   struct sk_buff *skb, const struct nf_hook_state *state);

/* peer.c */
bool mcipsec_is_static_peer(const struct mcipsec_group *g, u16 family, const void *local,
			    const void *remote);
void mcipsec_peers_forget(struct mcipsec_group *g);
int mcipsec_peers_add(struct mcipsec_group *g, const struct mcipsec_static_peer *more,
		      unsigned int n);
void mcipsec_peers_publish(struct mcipsec_group *g);
unsigned int mcipsec_peers_count(const struct mcipsec_group *g);

/* xfrm.c */
int mcipsec_xfrm_register(void);
void mcipsec_xfrm_unregister(void);

/* gro.c */
int mcipsec_gro_register(void);
void mcipsec_gro_unregister(void);

/* hold.c */
bool mcipsec_held(struct mcipsec_group *g, const struct xfrm_state *x);
int mcipsec_hold_add(struct mcipsec_group *g, const struct mcipsec_seq *seq);
bool mcipsec_hold_end(struct mcipsec_group *g, const struct mcipsec_seq *seq);
void mcipsec_hold_end_all(struct mcipsec_group *g);

/* seq.c */
struct mcipsec_seq_result {
	u32 updated, unchanged, missing, refused, exhausted;
};

int mcipsec_seq_dump_start(struct netlink_callback *cb);
int mcipsec_seq_dump(struct sk_buff *skb, struct netlink_callback *cb);
int mcipsec_seq_dump_done(struct netlink_callback *cb);
void mcipsec_seq_import(struct mcipsec_group *g, const struct mcipsec_seq *seq,
			unsigned int n, u32 margin, bool end_hold,
			struct mcipsec_seq_result *result);
int mcipsec_seq_hold(struct mcipsec_group *g, const struct mcipsec_seq *seq, unsigned int n,
		     bool hold, struct mcipsec_seq_result *result);

/* stats.c */
static inline void mcipsec_count(const struct mcipsec_group *g, enum mcipsec_stat stat)
{
	this_cpu_inc(g->stats->count[stat]);
}

void mcipsec_count_pass(const struct mcipsec_group *g, enum mcipsec_class class);
void mcipsec_count_drop(const struct mcipsec_group *g, enum mcipsec_class class, bool lapsed);
int mcipsec_stats_fill(struct sk_buff *skb, const struct mcipsec_group *g);

/* netlink.c */
extern struct genl_family mcipsec_family;
extern bool mcipsec_debug;

/* event.c */
void mcipsec_event(const struct mcipsec_group *g, enum mcipsec_event event, gfp_t gfp);
void mcipsec_event_switchover(const struct mcipsec_group *g, u64 id, u32 flags);
bool mcipsec_event_heard(const struct mcipsec_net *mn);
int mcipsec_fill_state(struct sk_buff *skb, const struct mcipsec_group *g);

#endif /* _MCIPSEC_H */
