// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: netfilter hooks, in each namespace that has a group.
 *
 *   PRE_ROUTING   before defragmentation: what comes for a gateway address
 *   LOCAL_OUT     ESP and IKE that this node sends from one. Not POST_ROUTING:
 *                 a standby may be a transit router for the master's packets,
 *                 which carry the same source address.
 *   POST_ROUTING  after source NAT: a clear packet whose route holds an SA of
 *                 a group. It has not been encrypted yet, so a packet that is
 *                 dropped or shunted here consumes no sequence number. An SA
 *                 that waits for its number drops here (hold.c).
 *
 * Groups are found by address alone: the cost is the same for one SA and for
 * 100,000, and a flip touches none of them.
 *
 * Threading: softirq or process context, under RCU, no lock.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/percpu.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>

#include "mcipsec.h"

/*
 * An xfrm interface scrubs a packet of all that tells where it came from
 * before POST_ROUTING sees it with its SA. So the first pass, toward the
 * interface, leaves a note for the second, which follows on the same CPU.
 */
struct mcipsec_note {
	const struct sk_buff	*skb;		/* only compared */
	struct mcipsec_ingress	in;
};

static DEFINE_PER_CPU(struct mcipsec_note, mcipsec_note);

static unsigned int mcipsec_gate(struct mcipsec_group *g, enum mcipsec_class class,
				 const struct mcipsec_ingress *in, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	enum mcipsec_action action;
	bool lapsed;

	action = mcipsec_group_action(g, &lapsed);
	if (in && (action == MCIPSEC_ACTION_SHUNT || action == MCIPSEC_ACTION_PREPARED))
		return mcipsec_shunt(g, action, class, in, skb, state);
	if (mcipsec_verdict_of(action, class, MCIPSEC_ORIGIN_OTHER) == MCIPSEC_PASS ||
	    (class == MCIPSEC_CLASS_OUT_ESP && mcipsec_group_drains(g, action))) {
		mcipsec_count_pass(g, class);
		return NF_ACCEPT;
	}
	mcipsec_count_drop(g, class, lapsed);
	return NF_DROP;
}

static void mcipsec_ingress_mac(struct mcipsec_ingress *in, const struct sk_buff *skb)
{
	in->has_mac = skb_mac_header_was_set(skb) &&
		      skb_network_header(skb) - skb_mac_header(skb) >= ETH_HLEN;
	if (in->has_mac)
		ether_addr_copy(in->mac, eth_hdr(skb)->h_source);
}

/*
 * The gateway address answers a ping only to a peer: to the far end of its static
 * tunnels, or who has an SA that ends here (seed, "Tunnel ISAs"). This node itself
 * may always: what comes by a VRF's device, and not by one that is in it, is its own.
 */
static bool mcipsec_may_ping(const struct mcipsec_group *g, const struct sk_buff *skb,
			     const struct nf_hook_state *state, const void *saddr,
			     const void *daddr)
{
	struct xfrm_state *x;

	if (state->in->flags & IFF_LOOPBACK || netif_is_l3_master(state->in) ||
	    mcipsec_is_static_peer(g, state->pf, daddr, saddr))
		return true;
	x = xfrm_state_lookup_byaddr(state->net, skb->mark, daddr, saddr, IPPROTO_ESP,
				     state->pf);
	if (!x)
		return false;
	xfrm_state_put(x);
	return true;
}

static unsigned int mcipsec_gate_in(struct sk_buff *skb, const struct nf_hook_state *state,
				    const void *saddr, const void *daddr)
{
	struct mcipsec_net *mn = mcipsec_net(state->net);
	u32 vrf = l3mdev_master_ifindex_rcu(state->in);
	struct mcipsec_ingress in = { .ifindex = state->in->ifindex, .vrf = vrf };
	enum mcipsec_class class;
	struct mcipsec_group *g;

	if (skb->pkt_type == PACKET_OTHERHOST)
		return NF_ACCEPT;
	g = mcipsec_group_by_addr(mn, state->pf, daddr, &vrf);
	if (!g || unlikely(READ_ONCE(mn->gate_off)))
		return NF_ACCEPT;
	class = state->pf == NFPROTO_IPV4 ? mcipsec_classify_in4(skb) :
					    mcipsec_classify_in6(skb);
	if (class == MCIPSEC_CLASS_NONE)
		return NF_ACCEPT;
	if (class == MCIPSEC_CLASS_IN_PING && !mcipsec_may_ping(g, skb, state, saddr, daddr)) {
		mcipsec_count(g, MCIPSEC_STAT_DROP_PING);
		return NF_DROP;
	}
	mcipsec_ingress_mac(&in, skb);
	return mcipsec_gate(g, class, &in, skb, state);
}

/* A VRF runs the hook once more with itself as the device: already judged. */
static unsigned int mcipsec_pre4(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	if (netif_is_l3_master(state->in) && (IPCB(skb)->flags & IPSKB_L3SLAVE))
		return NF_ACCEPT;
	return mcipsec_gate_in(skb, state, &ip_hdr(skb)->saddr, &ip_hdr(skb)->daddr);
}

static unsigned int mcipsec_pre6(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	if (netif_is_l3_master(state->in) && (IP6CB(skb)->flags & IP6SKB_L3SLAVE))
		return NF_ACCEPT;
	return mcipsec_gate_in(skb, state, &ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr);
}

/*
 * A VRF runs this hook with itself as the device, then with the one that the packet
 * leaves by: judged and counted there. What has the VRF's alone stays on this node.
 */
static bool mcipsec_comes_again(const struct nf_hook_state *state)
{
	return state->out && netif_is_l3_master(state->out);
}

static unsigned int mcipsec_out4(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	enum mcipsec_class class;
	struct mcipsec_group *g;

	g = mcipsec_group_by_addr(mcipsec_net(state->net), AF_INET, &ip_hdr(skb)->saddr, NULL);
	if (!g || mcipsec_comes_again(state))
		return NF_ACCEPT;
	class = mcipsec_classify_out4(skb);
	return class ? mcipsec_gate(g, class, NULL, skb, state) : NF_ACCEPT;
}

static unsigned int mcipsec_out6(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	enum mcipsec_class class;
	struct mcipsec_group *g;

	g = mcipsec_group_by_addr(mcipsec_net(state->net), AF_INET6, &ipv6_hdr(skb)->saddr,
				  NULL);
	if (!g || mcipsec_comes_again(state))
		return NF_ACCEPT;
	class = mcipsec_classify_out6(skb);
	return class ? mcipsec_gate(g, class, NULL, skb, state) : NF_ACCEPT;
}

/* Where a packet came in that is on its way out; @iif as IP noted it. */
static void mcipsec_ingress_of(struct mcipsec_ingress *in, const struct sk_buff *skb,
			       int iif, const struct net_device *dev)
{
	in->ifindex = skb->skb_iif ? iif : 0;
	in->vrf = dev ? l3mdev_master_ifindex_rcu(dev) : 0;
	in->has_mac = false;
	if (in->ifindex)
		mcipsec_ingress_mac(in, skb);
}

static void mcipsec_note_write(const struct sk_buff *skb, int iif,
			       const struct nf_hook_state *state)
{
	struct mcipsec_note *note;

	local_bh_disable();
	note = this_cpu_ptr(&mcipsec_note);
	note->skb = skb;
	mcipsec_ingress_of(&note->in, skb, iif, state->out);
	local_bh_enable();
}

static bool mcipsec_note_take(const struct sk_buff *skb, struct mcipsec_ingress *in)
{
	struct mcipsec_note *note;
	bool found;

	local_bh_disable();
	note = this_cpu_ptr(&mcipsec_note);
	found = note->skb == skb;
	if (found)
		*in = note->in;
	note->skb = NULL;
	local_bh_enable();
	return found;
}

static unsigned int mcipsec_gate_private(struct sk_buff *skb, int iif,
					 const struct nf_hook_state *state)
{
	struct mcipsec_ingress in;
	struct xfrm_state *x = dst_xfrm(skb_dst(skb));
	struct mcipsec_group *g;
	unsigned int verdict;

	if (!x) {
		if (state->out && state->out->type == ARPHRD_NONE)
			mcipsec_note_write(skb, iif, state);
		return NF_ACCEPT;
	}
	g = mcipsec_group_by_addr(mcipsec_net(state->net), x->props.family, &x->props.saddr,
				  NULL);
	if (!g)
		return NF_ACCEPT;
	if (!mcipsec_note_take(skb, &in))
		mcipsec_ingress_of(&in, skb, iif, state->in);
	verdict = mcipsec_gate(g, MCIPSEC_CLASS_PRIVATE, &in, skb, state);
	if (verdict == NF_ACCEPT && mcipsec_held(g, x)) {
		mcipsec_count(g, MCIPSEC_STAT_DROP_HOLD);
		verdict = NF_DROP;
	}
	return verdict;
}

static unsigned int mcipsec_post4(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	return mcipsec_gate_private(skb, IPCB(skb)->iif, state);
}

static unsigned int mcipsec_post6(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	return mcipsec_gate_private(skb, IP6CB(skb)->iif, state);
}

static const struct nf_hook_ops mcipsec_hooks[] = {
	{
		.hook = mcipsec_pre4,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_FIRST,
	},
	{
		.hook = mcipsec_out4,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP_PRI_FIRST,
	},
	{
		.hook = mcipsec_post4,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP_PRI_NAT_SRC + 1,
	},
	{
		.hook = mcipsec_pre6,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP6_PRI_FIRST,
	},
	{
		.hook = mcipsec_out6,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP6_PRI_FIRST,
	},
	{
		.hook = mcipsec_post6,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP6_PRI_NAT_SRC + 1,
	},
};

int mcipsec_gate_register(struct net *net)
{
	return nf_register_net_hooks(net, mcipsec_hooks, ARRAY_SIZE(mcipsec_hooks));
}

void mcipsec_gate_unregister(struct net *net)
{
	nf_unregister_net_hooks(net, mcipsec_hooks, ARRAY_SIZE(mcipsec_hooks));
}
