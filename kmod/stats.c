// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet counters of a group, per CPU. A counter is one machine word, so that
 * counting is one instruction and a reader never sees half of one; on 32 bit
 * it wraps at 2^32.
 */
#include "mcipsec.h"

static const u8 mcipsec_stat_pass[__MCIPSEC_CLASS_MAX] = {
	[MCIPSEC_CLASS_IN_ESP] = MCIPSEC_STAT_FORWARD_IN,
	[MCIPSEC_CLASS_IN_IKE] = MCIPSEC_STAT_FORWARD_IN,
	[MCIPSEC_CLASS_IN_ICMP] = MCIPSEC_STAT_FORWARD_IN,
	[MCIPSEC_CLASS_IN_PING] = MCIPSEC_STAT_FORWARD_IN,
	[MCIPSEC_CLASS_OUT_ESP] = MCIPSEC_STAT_FORWARD_OUT,
	[MCIPSEC_CLASS_OUT_IKE] = MCIPSEC_STAT_FORWARD_OUT,
	[MCIPSEC_CLASS_PRIVATE] = MCIPSEC_STAT_FORWARD_PRIVATE,
};

static const u8 mcipsec_stat_drop[__MCIPSEC_CLASS_MAX] = {
	[MCIPSEC_CLASS_IN_ESP] = MCIPSEC_STAT_DROP_ESP,
	[MCIPSEC_CLASS_IN_IKE] = MCIPSEC_STAT_DROP_IKE,
	[MCIPSEC_CLASS_IN_ICMP] = MCIPSEC_STAT_DROP_ICMP,
	[MCIPSEC_CLASS_IN_PING] = MCIPSEC_STAT_DROP_PING,
	[MCIPSEC_CLASS_OUT_ESP] = MCIPSEC_STAT_DROP_OUT,
	[MCIPSEC_CLASS_OUT_IKE] = MCIPSEC_STAT_DROP_OUT,
	[MCIPSEC_CLASS_PRIVATE] = MCIPSEC_STAT_DROP_PRIVATE,
};

void mcipsec_count_pass(const struct mcipsec_group *g, enum mcipsec_class class)
{
	mcipsec_count(g, mcipsec_stat_pass[class]);
}

void mcipsec_count_drop(const struct mcipsec_group *g, enum mcipsec_class class, bool lapsed)
{
	mcipsec_count(g, mcipsec_stat_drop[class]);
	if (lapsed)
		mcipsec_count(g, MCIPSEC_STAT_DROP_LEASE);
}

int mcipsec_stats_fill(struct sk_buff *skb, const struct mcipsec_group *g)
{
	struct nlattr *nest = nla_nest_start(skb, MCIPSEC_A_STATS);
	unsigned int i;
	int cpu;

	if (!nest)
		return -EMSGSIZE;
	for (i = MCIPSEC_STAT_FORWARD_IN; i <= MCIPSEC_STAT_MAX; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(g->stats, cpu)->count[i]);
		if (nla_put_u64_64bit(skb, i, sum, MCIPSEC_STAT_PAD)) {
			nla_nest_cancel(skb, nest);
			return -EMSGSIZE;
		}
	}
	nla_nest_end(skb, nest);
	return 0;
}
