// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shunting: a standby hands what is not its own to the master, through the
 * redundant next-hop of the packet's side, family and kind of tunnel (seed,
 * "Other Details About Shunting"). The outer packet goes as it is, one hop older.
 *
 * Loop rule: a packet that came from the next-hop itself is dropped rather
 * than sent back, told by the device and, on Ethernet, by the source address:
 * with one arm both gateways and the network share the device. TTL stands
 * behind it. Clear packets have been routed, so their TTL has gone down.
 *
 * A prepared group (step 2 of a hand-over) keeps what the next-hop sent.
 *
 * Threading: from the gate's hooks, under RCU; the route cache is per CPU, of
 * IPv4 alone: the clone that IPv6 makes for a known next-hop pins its device, so
 * one that was kept would not let the device, nor its namespace, go.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/neighbour.h>
#include <net/route.h>

#include "mcipsec.h"

static struct dst_entry *mcipsec_route4(struct net *net, struct mcipsec_nexthop *nh)
{
	struct flowi4 fl4 = {
		.flowi4_oif = nh->addr.vrf_ifindex,
		.flowi4_flags = FLOWI_FLAG_KNOWN_NH,
	};
	struct rtable *rt;

	memcpy(&fl4.daddr, nh->addr.addr, sizeof(fl4.daddr));
	rt = ip_route_output_key(net, &fl4);
	if (IS_ERR(rt))
		return NULL;
	if (rt->rt_type != RTN_UNICAST) {
		ip_rt_put(rt);
		return NULL;
	}
	dst_cache_set_ip4(&nh->cache, &rt->dst, fl4.saddr);
	return &rt->dst;
}

static struct dst_entry *mcipsec_route6(struct net *net, struct mcipsec_nexthop *nh)
{
	struct flowi6 fl6 = {
		.flowi6_oif = nh->addr.vrf_ifindex,
		.flowi6_flags = FLOWI_FLAG_KNOWN_NH,
	};
	struct dst_entry *dst;

	memcpy(&fl6.daddr, nh->addr.addr, sizeof(fl6.daddr));
	dst = ip6_route_output(net, NULL, &fl6);
	if (dst->error || (((struct rt6_info *)dst)->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST))) {
		dst_release(dst);
		return NULL;
	}
	return dst;
}

/* A route to the next-hop, held; NULL where it cannot be reached. */
static struct dst_entry *mcipsec_route(struct net *net, struct mcipsec_nexthop *nh)
{
	struct dst_entry *dst;

	local_bh_disable();
	dst = dst_cache_get(&nh->cache);
	if (!dst)
		dst = nh->addr.family == AF_INET ? mcipsec_route4(net, nh) :
						   mcipsec_route6(net, nh);
	local_bh_enable();
	if (dst && !(netif_running(dst->dev) && netif_carrier_ok(dst->dev))) {
		dst_release(dst);
		return NULL;
	}
	return dst;
}

/* Does the packet belong to a static tunnel? Told by the tunnel's two ends. */
static bool mcipsec_of_static(const struct mcipsec_group *g, enum mcipsec_class class,
			      const struct sk_buff *skb, u16 family)
{
	const void *local, *remote;
	const struct xfrm_state *x;
	struct in6_addr quoted;

	if (class == MCIPSEC_CLASS_PRIVATE) {
		x = dst_xfrm(skb_dst(skb));
		return x && mcipsec_is_static_peer(g, x->props.family, &x->props.saddr,
						   &x->id.daddr);
	}
	if (family == AF_INET) {
		local = &ip_hdr(skb)->daddr;
		remote = &ip_hdr(skb)->saddr;
	} else {
		local = &ipv6_hdr(skb)->daddr;
		remote = &ipv6_hdr(skb)->saddr;
	}
	if (class == MCIPSEC_CLASS_IN_ICMP) {
		if (!mcipsec_quoted_daddr(skb, family, &quoted))
			return false;
		remote = &quoted;
	}
	return mcipsec_is_static_peer(g, family, local, remote);
}

/*
 * The next-hop for a family and, where that makes a difference, for static or
 * dynamic tunnels: on the private side that of the VRF which the packet is in,
 * or where its family has next-hops in one VRF only, the one there.
 */
static struct mcipsec_nexthop *mcipsec_nexthop_find(const struct mcipsec_group *g,
						    struct mcipsec_nexthops *nhs,
						    enum mcipsec_class class, u16 family, u32 vrf,
						    const struct sk_buff *skb)
{
	struct mcipsec_nexthop *nh, *first = NULL, *only = NULL;
	bool here = false, elsewhere = false;
	unsigned int i;
	u16 kind = 0;

	if (!nhs)
		return NULL;
	if (nhs->by_kind)
		kind = mcipsec_of_static(g, class, skb, family) ? MCIPSEC_ADDR_F_STATIC :
								  MCIPSEC_ADDR_F_DYNAMIC;
	for (i = 0; i < nhs->n; i++) {
		bool serves;

		nh = &nhs->nh[i];
		if (nh->addr.family != family)
			continue;
		serves = !nh->addr.flags || nh->addr.flags & kind;
		if (nh->addr.vrf_ifindex == vrf) {
			if (serves)
				return nh;
			here = true;
		}
		if (!first)
			first = nh;
		if (nh->addr.vrf_ifindex != first->addr.vrf_ifindex)
			elsewhere = true;
		if (serves && !only)
			only = nh;
	}
	return here || elsewhere ? NULL : only;
}

static enum mcipsec_origin mcipsec_origin(const struct mcipsec_nexthop *nh,
					  struct dst_entry *dst,
					  const struct mcipsec_ingress *in)
{
	enum mcipsec_origin origin = MCIPSEC_ORIGIN_DEVICE;
	struct neighbour *neigh;
	u8 ha[MAX_ADDR_LEN] __aligned(2);

	if (in->ifindex != dst->dev->ifindex)
		return MCIPSEC_ORIGIN_OTHER;
	/* A tunnel or another point-to-point link has one far end only. */
	if (dst->dev->type != ARPHRD_ETHER)
		return MCIPSEC_ORIGIN_NEXTHOP;
	if (!in->has_mac)
		return MCIPSEC_ORIGIN_DEVICE;
	neigh = dst_neigh_lookup(dst, nh->addr.addr);
	if (!neigh)
		return MCIPSEC_ORIGIN_DEVICE;
	if (READ_ONCE(neigh->nud_state) & NUD_VALID) {
		neigh_ha_snapshot(ha, neigh, dst->dev);
		origin = ether_addr_equal(ha, in->mac) ? MCIPSEC_ORIGIN_NEXTHOP :
							 MCIPSEC_ORIGIN_OTHER;
	}
	neigh_release(neigh);
	return origin;
}

/*
 * As IP does when it forwards: one hop less to live, false if there is none
 * left. Needs a writable header.
 */
static bool mcipsec_age(struct sk_buff *skb, u16 family)
{
	if (family == AF_INET) {
		if (ip_hdr(skb)->ttl <= 1)
			return false;
		ip_decrease_ttl(ip_hdr(skb));
		IPCB(skb)->flags |= IPSKB_FORWARDED;
	} else {
		if (ipv6_hdr(skb)->hop_limit <= 1)
			return false;
		ipv6_hdr(skb)->hop_limit--;
		IP6CB(skb)->flags |= IP6SKB_FORWARDED;
	}
	return true;
}

/*
 * Did it come from the peer? With next-hops of two kinds the peer may have sent
 * it by the other: its list of static tunnels need not be ours at every moment.
 */
static enum mcipsec_origin mcipsec_origin_of(struct net *net, struct mcipsec_nexthops *nhs,
					     const struct mcipsec_nexthop *nh,
					     struct dst_entry *dst,
					     const struct mcipsec_ingress *in)
{
	enum mcipsec_origin origin = mcipsec_origin(nh, dst, in);
	struct mcipsec_nexthop *other;
	unsigned int i;

	for (i = 0; nhs->by_kind && i < nhs->n && origin == MCIPSEC_ORIGIN_OTHER; i++) {
		other = &nhs->nh[i];
		if (other == nh || other->addr.family != nh->addr.family ||
		    other->addr.vrf_ifindex != nh->addr.vrf_ifindex)
			continue;
		dst = mcipsec_route(net, other);
		if (!dst)
			continue;
		origin = mcipsec_origin(other, dst, in);
		dst_release(dst);
	}
	return origin;
}

/* Send by @dst, whose reference goes with it. */
static unsigned int mcipsec_shunt_send(struct mcipsec_group *g, struct dst_entry *dst,
				       struct sk_buff *skb, bool public,
				       const struct nf_hook_state *state)
{
	if (public) {
		if (skb_cow(skb, LL_RESERVED_SPACE(dst->dev))) {
			dst_release(dst);
			return NF_DROP;
		}
		/* What was flooded would be shunted by each gateway it reached. */
		if (skb->pkt_type != PACKET_HOST || !mcipsec_age(skb, state->pf)) {
			mcipsec_count(g, MCIPSEC_STAT_DROP_LOOP);
			dst_release(dst);
			return NF_DROP;
		}
		skb_forward_csum(skb);
	}
	nf_reset_ct(skb);
	secpath_reset(skb);
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	mcipsec_count(g, public ? MCIPSEC_STAT_SHUNT_PUBLIC : MCIPSEC_STAT_SHUNT_PRIVATE);
	dst_output(state->net, state->sk, skb);
	return NF_STOLEN;
}

/*
 * Treat a packet of a group that shunts (or is prepared): for the gate, whose
 * verdict it returns.
 */
unsigned int mcipsec_shunt(struct mcipsec_group *g, enum mcipsec_action action,
			   enum mcipsec_class class, const struct mcipsec_ingress *in,
			   struct sk_buff *skb, const struct nf_hook_state *state)
{
	bool public = class != MCIPSEC_CLASS_PRIVATE;
	struct mcipsec_nexthops *nhs;
	struct mcipsec_nexthop *nh;
	enum mcipsec_origin origin;
	struct dst_entry *dst;

	nhs = public ? rcu_dereference(g->public) : rcu_dereference(g->private);
	nh = mcipsec_nexthop_find(g, nhs, class, state->pf, in->vrf, skb);
	if (!nh) {
		mcipsec_count_drop(g, class, false);
		return NF_DROP;
	}
	dst = mcipsec_route(state->net, nh);
	if (!dst) {
		mcipsec_count(g, MCIPSEC_STAT_DROP_NOROUTE);
		return NF_DROP;
	}
	origin = mcipsec_origin_of(state->net, nhs, nh, dst, in);
	switch (mcipsec_verdict_of(action, class, origin)) {
	case MCIPSEC_SHUNT:
		return mcipsec_shunt_send(g, dst, skb, public, state);
	case MCIPSEC_PASS:
		dst_release(dst);
		mcipsec_count_pass(g, class);
		return NF_ACCEPT;
	default:
		dst_release(dst);
		mcipsec_count(g, MCIPSEC_STAT_DROP_LOOP);
		return NF_DROP;
	}
}
