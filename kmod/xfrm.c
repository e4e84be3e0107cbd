// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last line: whatever reaches the XFRM input code for a group that does
 * not forward is dropped there, however it came past the gate.
 *
 * Handlers of a high priority on ESP, v4 and v6: before decryption where there
 * is a handler call (plain ESP, ESP-in-UDP), and once more in the callback
 * after it, which no path leaves out. A packet that is let through is passed
 * on to the next handler (-EINVAL, 1), as if this one did not exist.
 *
 * A prepared group lets through: the gate has sorted the packets. So does one
 * that was closed a moment ago, what the gate let in before.
 */
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/xfrm.h>

#include "mcipsec.h"

/* Above the handlers of IP VTI (100) and the xfrm interface (10). */
#define MCIPSEC_XFRM_PRIORITY	250

static bool mcipsec_xfrm_closed(const struct sk_buff *skb, u16 family, const void *daddr)
{
	struct mcipsec_net *mn = mcipsec_net(dev_net(skb->dev));
	struct mcipsec_group *g;
	bool lapsed, closed = false;

	rcu_read_lock();
	g = mcipsec_group_by_addr(mn, family, daddr, NULL);
	if (g) {
		enum mcipsec_action action = mcipsec_group_action(g, &lapsed);

		closed = action < MCIPSEC_ACTION_FORWARD && !mcipsec_group_drains(g, action);
		if (closed) {
			mcipsec_count(g, MCIPSEC_STAT_DROP_XFRM);
			if (lapsed)
				mcipsec_count(g, MCIPSEC_STAT_DROP_LEASE);
		}
	}
	rcu_read_unlock();
	return closed;
}

static int mcipsec_xfrm4_rcv(struct sk_buff *skb)
{
	if (!mcipsec_xfrm_closed(skb, AF_INET, &ip_hdr(skb)->daddr))
		return -EINVAL;
	kfree_skb(skb);
	return 0;
}

static int mcipsec_xfrm4_input(struct sk_buff *skb, int nexthdr, __be32 spi, int encap_type)
{
	return mcipsec_xfrm4_rcv(skb);
}

static int mcipsec_xfrm6_rcv(struct sk_buff *skb)
{
	if (!mcipsec_xfrm_closed(skb, AF_INET6, &ipv6_hdr(skb)->daddr))
		return -EINVAL;
	kfree_skb(skb);
	return 0;
}

static int mcipsec_xfrm6_input(struct sk_buff *skb, int nexthdr, __be32 spi, int encap_type)
{
	return mcipsec_xfrm6_rcv(skb);
}

/* After decryption; < 0 drops the packet, 1 asks the next handler. */
static int mcipsec_xfrm_cb(struct sk_buff *skb, int err)
{
	const struct xfrm_state *x;

	/* On an error the packet is dropped anyway, and may hold no SA. */
	if (err || !skb_sec_path(skb))
		return 1;
	x = xfrm_input_state(skb);
	return mcipsec_xfrm_closed(skb, x->props.family, &x->id.daddr) ? -EPERM : 1;
}

/* ICMP errors: the gate has sorted them, the next handler may know the SA. */
static int mcipsec_xfrm4_err(struct sk_buff *skb, u32 info)
{
	return 1;
}

static int mcipsec_xfrm6_err(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type,
			     u8 code, int offset, __be32 info)
{
	return 1;
}

static struct xfrm4_protocol mcipsec_xfrm4 = {
	.handler = mcipsec_xfrm4_rcv,
	.input_handler = mcipsec_xfrm4_input,
	.cb_handler = mcipsec_xfrm_cb,
	.err_handler = mcipsec_xfrm4_err,
	.priority = MCIPSEC_XFRM_PRIORITY,
};

static struct xfrm6_protocol mcipsec_xfrm6 = {
	.handler = mcipsec_xfrm6_rcv,
	.input_handler = mcipsec_xfrm6_input,
	.cb_handler = mcipsec_xfrm_cb,
	.err_handler = mcipsec_xfrm6_err,
	.priority = MCIPSEC_XFRM_PRIORITY,
};

int mcipsec_xfrm_register(void)
{
	int err;

	err = xfrm4_protocol_register(&mcipsec_xfrm4, IPPROTO_ESP);
	if (err)
		return err;
	err = xfrm6_protocol_register(&mcipsec_xfrm6, IPPROTO_ESP);
	if (err)
		xfrm4_protocol_deregister(&mcipsec_xfrm4, IPPROTO_ESP);
	return err;
}

void mcipsec_xfrm_unregister(void)
{
	xfrm6_protocol_deregister(&mcipsec_xfrm6, IPPROTO_ESP);
	xfrm4_protocol_deregister(&mcipsec_xfrm4, IPPROTO_ESP);
}
