// SPDX-License-Identifier: GPL-2.0-only
/*
 * What kind of packet is this? Looks at headers only and changes nothing. The
 * caller has found that the destination (source, for packets of this node) is
 * a gateway address.
 *
 * ESP is protocol 50 (RFC 4303), fragments of it included; IKE is UDP 500 and,
 * behind four zero bytes, UDP 4500, where anything else is ESP (RFC 3948). A
 * later fragment of UDP has no ports: it counts as IKE, whose messages are the
 * ones that get fragmented. An ICMP error counts when it quotes a packet that
 * the gateway sent as ESP or IKE, and an echo request as what it is; every
 * other ICMP, neighbour discovery above all, is none of ours.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "mcipsec.h"

#define MCIPSEC_PORT_IKE	500
#define MCIPSEC_PORT_NATT	4500

static bool mcipsec_ike_port(__be16 port)
{
	return port == htons(MCIPSEC_PORT_IKE) || port == htons(MCIPSEC_PORT_NATT);
}

/* UDP at @off; @in: its destination port is ours, else its source port. */
static enum mcipsec_class mcipsec_classify_udp(const struct sk_buff *skb, int off, bool in)
{
	enum mcipsec_class ike = in ? MCIPSEC_CLASS_IN_IKE : MCIPSEC_CLASS_OUT_IKE;
	enum mcipsec_class esp = in ? MCIPSEC_CLASS_IN_ESP : MCIPSEC_CLASS_OUT_ESP;
	const struct udphdr *uh;
	struct udphdr _uh;
	const __be32 *marker;
	__be32 _marker;
	__be16 port;

	uh = skb_header_pointer(skb, off, sizeof(_uh), &_uh);
	if (!uh)
		return ike;
	port = in ? uh->dest : uh->source;
	if (port == htons(MCIPSEC_PORT_IKE))
		return ike;
	if (port != htons(MCIPSEC_PORT_NATT))
		return MCIPSEC_CLASS_NONE;
	/* Shorter than the marker: a NAT keepalive. */
	marker = skb_header_pointer(skb, off + sizeof(_uh), sizeof(_marker), &_marker);
	return marker && *marker ? esp : ike;
}

/* Does the packet quoted at @off, with its transport header, concern us? */
static bool mcipsec_quoted_transport(const struct sk_buff *skb, int off, u8 proto,
				     bool later_fragment)
{
	const __be16 *source;
	__be16 _source;

	if (proto == IPPROTO_ESP)
		return true;
	if (proto != IPPROTO_UDP)
		return false;
	if (later_fragment)
		return true;
	source = skb_header_pointer(skb, off, sizeof(_source), &_source);
	return source && mcipsec_ike_port(*source);
}

static enum mcipsec_class mcipsec_classify_icmp4(const struct sk_buff *skb, int off,
						 __be32 daddr)
{
	const struct icmphdr *ih;
	const struct iphdr *quoted;
	struct icmphdr _ih;
	struct iphdr _quoted;

	ih = skb_header_pointer(skb, off, sizeof(_ih), &_ih);
	if (!ih)
		return MCIPSEC_CLASS_NONE;
	switch (ih->type) {
	case ICMP_DEST_UNREACH:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		break;
	case ICMP_ECHO:
		return MCIPSEC_CLASS_IN_PING;
	default:
		return MCIPSEC_CLASS_NONE;
	}
	off += sizeof(_ih);
	quoted = skb_header_pointer(skb, off, sizeof(_quoted), &_quoted);
	if (!quoted || quoted->version != 4 || quoted->ihl < 5 || quoted->saddr != daddr)
		return MCIPSEC_CLASS_NONE;
	if (!mcipsec_quoted_transport(skb, off + quoted->ihl * 4, quoted->protocol,
				      quoted->frag_off & htons(IP_OFFSET)))
		return MCIPSEC_CLASS_NONE;
	return MCIPSEC_CLASS_IN_ICMP;
}

enum mcipsec_class mcipsec_classify_in4(const struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);
	int off = skb_network_offset(skb) + ip_hdrlen(skb);

	switch (iph->protocol) {
	case IPPROTO_ESP:
		return MCIPSEC_CLASS_IN_ESP;
	case IPPROTO_UDP:
		if (iph->frag_off & htons(IP_OFFSET))
			return MCIPSEC_CLASS_IN_IKE;
		return mcipsec_classify_udp(skb, off, true);
	case IPPROTO_ICMP:
		if (iph->frag_off & htons(IP_OFFSET))
			return MCIPSEC_CLASS_NONE;
		return mcipsec_classify_icmp4(skb, off, iph->daddr);
	}
	return MCIPSEC_CLASS_NONE;
}

enum mcipsec_class mcipsec_classify_out4(const struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);

	switch (iph->protocol) {
	case IPPROTO_ESP:
		return MCIPSEC_CLASS_OUT_ESP;
	case IPPROTO_UDP:
		if (iph->frag_off & htons(IP_OFFSET))
			return MCIPSEC_CLASS_OUT_IKE;
		return mcipsec_classify_udp(skb, skb_network_offset(skb) + ip_hdrlen(skb), false);
	}
	return MCIPSEC_CLASS_NONE;
}

/*
 * The transport behind an IPv6 header at @off; < 0 if it cannot be found. Of a
 * later fragment it is what its fragment header names.
 */
static int mcipsec_transport6(const struct sk_buff *skb, int off, u8 *proto,
			      bool *later_fragment)
{
	const struct frag_hdr *fh;
	struct frag_hdr _fh;
	__be16 frag_off = 0;

	off = ipv6_skip_exthdr(skb, off + sizeof(struct ipv6hdr), proto, &frag_off);
	*later_fragment = frag_off & htons(IP6_OFFSET);
	if (off < 0 || !*later_fragment || *proto != NEXTHDR_FRAGMENT)
		return off;
	fh = skb_header_pointer(skb, off, sizeof(_fh), &_fh);
	if (!fh)
		return -1;
	*proto = fh->nexthdr;
	return off + sizeof(_fh);
}

static enum mcipsec_class mcipsec_classify_icmp6(const struct sk_buff *skb, int off,
						 const struct in6_addr *daddr)
{
	const struct icmp6hdr *ih;
	const struct ipv6hdr *quoted;
	struct icmp6hdr _ih;
	struct ipv6hdr _quoted;
	bool later;
	u8 proto;

	ih = skb_header_pointer(skb, off, sizeof(_ih), &_ih);
	if (!ih)
		return MCIPSEC_CLASS_NONE;
	if (ih->icmp6_type == ICMPV6_ECHO_REQUEST)
		return MCIPSEC_CLASS_IN_PING;
	if (ih->icmp6_type >= ICMPV6_INFOMSG_MASK)
		return MCIPSEC_CLASS_NONE;
	off += sizeof(_ih);
	quoted = skb_header_pointer(skb, off, sizeof(_quoted), &_quoted);
	if (!quoted || quoted->version != 6 || !ipv6_addr_equal(&quoted->saddr, daddr))
		return MCIPSEC_CLASS_NONE;
	proto = quoted->nexthdr;
	off = mcipsec_transport6(skb, off, &proto, &later);
	if (off < 0 || !mcipsec_quoted_transport(skb, off, proto, later))
		return MCIPSEC_CLASS_NONE;
	return MCIPSEC_CLASS_IN_ICMP;
}

enum mcipsec_class mcipsec_classify_in6(const struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	u8 proto = ip6h->nexthdr;
	bool later;
	int off;

	off = mcipsec_transport6(skb, skb_network_offset(skb), &proto, &later);
	if (off < 0)
		return MCIPSEC_CLASS_NONE;
	switch (proto) {
	case IPPROTO_ESP:
		return MCIPSEC_CLASS_IN_ESP;
	case IPPROTO_UDP:
		return later ? MCIPSEC_CLASS_IN_IKE : mcipsec_classify_udp(skb, off, true);
	case IPPROTO_ICMPV6:
		if (later)
			return MCIPSEC_CLASS_NONE;
		return mcipsec_classify_icmp6(skb, off, &ip6h->daddr);
	}
	return MCIPSEC_CLASS_NONE;
}

/* Where the packet went that an ICMP error (MCIPSEC_CLASS_IN_ICMP) quotes. */
bool mcipsec_quoted_daddr(const struct sk_buff *skb, u16 family, struct in6_addr *daddr)
{
	int off = skb_network_offset(skb);
	bool later;
	u8 proto;

	if (family == AF_INET) {
		off += ip_hdrlen(skb) + sizeof(struct icmphdr) + offsetof(struct iphdr, daddr);
		return !skb_copy_bits(skb, off, daddr, sizeof(__be32));
	}
	proto = ipv6_hdr(skb)->nexthdr;
	off = mcipsec_transport6(skb, off, &proto, &later);
	if (off < 0)
		return false;
	off += sizeof(struct icmp6hdr) + offsetof(struct ipv6hdr, daddr);
	return !skb_copy_bits(skb, off, daddr, sizeof(*daddr));
}

enum mcipsec_class mcipsec_classify_out6(const struct sk_buff *skb)
{
	u8 proto = ipv6_hdr(skb)->nexthdr;
	bool later;
	int off;

	off = mcipsec_transport6(skb, skb_network_offset(skb), &proto, &later);
	if (off < 0)
		return MCIPSEC_CLASS_NONE;
	switch (proto) {
	case IPPROTO_ESP:
		return MCIPSEC_CLASS_OUT_ESP;
	case IPPROTO_UDP:
		return later ? MCIPSEC_CLASS_OUT_IKE : mcipsec_classify_udp(skb, off, false);
	}
	return MCIPSEC_CLASS_NONE;
}
