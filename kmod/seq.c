// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sequence state of SAs in bulk (invariant I3).
 *
 * Export walks the namespace's SAs and copies 48 bytes each. A walk holds
 * xfrm_state_lock, inside which no x->lock may be taken (elsewhere the order
 * is the other way round): so it only collects and holds some SAs, stops, and
 * they are copied outside.
 *
 * Import never lowers anything. oseq becomes at least what was given plus the
 * margin, in the 64 bits of RFC 4303 where the SA has them; at the end of the
 * number space it stays there, where the SA sends nothing more, rather than
 * wrap. Inbound, the window moves to what was given and all of it counts as
 * received (RFC 4303 3.4.3): the price is what arrived since the last sync,
 * which could be replayed once after a crash (DESIGN, "Sequence state").
 *
 * SAs in hardware are refused: some use the sequence number as nonce.
 */
#include <linux/slab.h>
#include <net/xfrm.h>

#include "mcipsec.h"

#define MCIPSEC_SEQ_BATCH	128

/*
 * The group of the last SA, per direction. Neighbours mostly share it, and to
 * compare an address is much cheaper than to look it up. Valid while RCU is
 * held.
 */
struct mcipsec_seq_memo {
	struct mcipsec_group	*group[2];	/* [1]: outbound */
	xfrm_address_t		addr[2];
	u16			family[2];
};

static struct mcipsec_group *mcipsec_seq_group(struct mcipsec_net *mn,
					       struct mcipsec_seq_memo *memo,
					       const struct xfrm_state *x, bool *out)
{
	u16 family = x->props.family;
	struct mcipsec_group *g;

	if (memo->family[1] == family &&
	    xfrm_addr_equal(&memo->addr[1], &x->props.saddr, family)) {
		*out = true;
		return memo->group[1];
	}
	if (memo->family[0] == family &&
	    xfrm_addr_equal(&memo->addr[0], &x->id.daddr, family)) {
		*out = false;
		return memo->group[0];
	}
	g = mcipsec_group_by_state(mn, x, out);
	if (g) {
		memo->group[*out] = g;
		memo->family[*out] = family;
		memo->addr[*out] = *out ? x->props.saddr : x->id.daddr;
	}
	return g;
}

/* Low and high half of a number, for the two layouts of the kernel. */
static u64 mcipsec_join(u32 high, u32 low)
{
	return (u64)high << 32 | low;
}

static bool mcipsec_is_esn(const struct xfrm_state *x)
{
	return x->props.flags & XFRM_STATE_ESN;
}

static u64 mcipsec_oseq_max(const struct xfrm_state *x)
{
	return mcipsec_is_esn(x) ? U64_MAX : U32_MAX;
}

/* The four below under x->lock. */
static u64 mcipsec_oseq_read(const struct xfrm_state *x)
{
	if (!x->replay_esn)
		return x->replay.oseq;
	return mcipsec_join(mcipsec_is_esn(x) ? x->replay_esn->oseq_hi : 0, x->replay_esn->oseq);
}

static void mcipsec_oseq_write(struct xfrm_state *x, u64 oseq)
{
	if (!x->replay_esn) {
		x->replay.oseq = lower_32_bits(oseq);
		return;
	}
	x->replay_esn->oseq = lower_32_bits(oseq);
	if (mcipsec_is_esn(x))
		x->replay_esn->oseq_hi = upper_32_bits(oseq);
}

static u64 mcipsec_seq_read(const struct xfrm_state *x)
{
	if (!x->replay_esn)
		return x->replay.seq;
	return mcipsec_join(mcipsec_is_esn(x) ? x->replay_esn->seq_hi : 0, x->replay_esn->seq);
}

static void mcipsec_seq_write(struct xfrm_state *x, u64 seq)
{
	if (!x->replay_esn) {
		x->replay.seq = lower_32_bits(seq);
		x->replay.bitmap = U32_MAX;
		return;
	}
	x->replay_esn->seq = lower_32_bits(seq);
	if (mcipsec_is_esn(x))
		x->replay_esn->seq_hi = upper_32_bits(seq);
	memset(x->replay_esn->bmp, 0xff, x->replay_esn->bmp_len * sizeof(__u32));
}

static u32 mcipsec_window(const struct xfrm_state *x)
{
	return x->replay_esn ? x->replay_esn->replay_window : x->props.replay_window;
}

/* With bottom halves off. */
static void mcipsec_seq_copy(struct mcipsec_seq *seq, struct xfrm_state *x, bool out)
{
	memset(seq, 0, sizeof(*seq));
	seq->spi = x->id.spi;
	seq->proto = x->id.proto;
	seq->family = x->props.family;
	memcpy(seq->daddr, &x->id.daddr,
	       x->props.family == AF_INET ? sizeof(x->id.daddr.a4) : sizeof(x->id.daddr.a6));
	if (mcipsec_is_esn(x))
		seq->flags |= MCIPSEC_SEQ_F_ESN;
	if (out)
		seq->flags |= MCIPSEC_SEQ_F_OUT;
	if (x->xso.dev)
		seq->flags |= MCIPSEC_SEQ_F_OFFLOAD;
	if (!mcipsec_window(x))
		seq->flags |= MCIPSEC_SEQ_F_NOREPLAY;
	spin_lock(&x->lock);
	seq->oseq = mcipsec_oseq_read(x);
	seq->seq = mcipsec_seq_read(x);
	seq->packets = x->curlft.packets;
	spin_unlock(&x->lock);
}

struct mcipsec_seq_dump {
	struct xfrm_state_walk	walk;
	struct mcipsec_net	*mn;
	u32			group;		/* 0: all */
	bool			done;
	unsigned int		n, next;	/* collected, of these written */
	struct xfrm_state	*state[MCIPSEC_SEQ_BATCH];
};

int mcipsec_seq_dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = mcipsec_dump_attrs(cb);
	struct mcipsec_net *mn = mcipsec_net(sock_net(cb->skb->sk));
	struct mcipsec_seq_dump *dump;
	u32 id = 0;

	if (attrs && attrs[MCIPSEC_A_GROUP_ID]) {
		bool known;

		id = nla_get_u32(attrs[MCIPSEC_A_GROUP_ID]);
		rcu_read_lock();
		known = mcipsec_group_get(mn, id);
		rcu_read_unlock();
		if (!known) {
			NL_SET_ERR_MSG_ATTR(cb->extack, attrs[MCIPSEC_A_GROUP_ID],
					    "GROUP_ID names no group of this namespace");
			return -ENOENT;
		}
	}
	dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	if (!dump)
		return -ENOMEM;
	dump->mn = mn;
	dump->group = id;
	xfrm_state_walk_init(&dump->walk, IPPROTO_ESP, NULL);
	*(struct mcipsec_seq_dump **)cb->ctx = dump;
	return 0;
}

int mcipsec_seq_dump_done(struct netlink_callback *cb)
{
	struct mcipsec_seq_dump *dump = *(struct mcipsec_seq_dump **)cb->ctx;

	while (dump->next < dump->n)
		xfrm_state_put(dump->state[dump->next++]);
	xfrm_state_walk_done(&dump->walk, dump->mn->net);
	kfree(dump);
	return 0;
}

static int mcipsec_seq_collect(struct xfrm_state *x, int count, void *ptr)
{
	struct mcipsec_seq_dump *dump = ptr;

	if (dump->n == MCIPSEC_SEQ_BATCH)
		return -ENOBUFS;
	if (x->km.state != XFRM_STATE_VALID)
		return 0;
	xfrm_state_hold(x);
	dump->state[dump->n++] = x;
	return 0;
}

/* A message of one group that can still grow. */
struct mcipsec_seq_msg {
	void		*hdr;
	struct nlattr	*array;
	u32		group;
};

static void mcipsec_seq_close(struct sk_buff *skb, struct mcipsec_seq_msg *msg)
{
	if (!msg->hdr)
		return;
	msg->array->nla_len = skb_tail_pointer(skb) - (unsigned char *)msg->array;
	genlmsg_end(skb, msg->hdr);
	msg->hdr = NULL;
}

static int mcipsec_seq_open(struct sk_buff *skb, struct netlink_callback *cb,
			    struct mcipsec_seq_msg *msg, u32 group)
{
	void *hdr;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &mcipsec_family,
			  NLM_F_MULTI, MCIPSEC_CMD_SEQ_GET);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, MCIPSEC_A_GROUP_ID, group) ||
	    skb_tailroom(skb) < (int)(NLA_HDRLEN + sizeof(struct mcipsec_seq))) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	msg->array = nla_reserve(skb, MCIPSEC_A_SEQ, 0);
	msg->hdr = hdr;
	msg->group = group;
	return 0;
}

/* Append one SA; 0 also if it is none of ours. Under RCU, bottom halves off. */
static int mcipsec_seq_put(struct sk_buff *skb, struct netlink_callback *cb,
			   struct mcipsec_seq_dump *dump, struct mcipsec_seq_msg *msg,
			   struct mcipsec_seq_memo *memo, struct xfrm_state *x)
{
	struct mcipsec_group *g;
	bool out;
	u32 id;
	int err;

	g = mcipsec_seq_group(dump->mn, memo, x, &out);
	id = g ? g->id : 0;
	if (!id || (dump->group && dump->group != id))
		return 0;

	/* The length of an attribute has 16 bits. */
	if (msg->hdr && (msg->group != id ||
			 skb_tail_pointer(skb) - (unsigned char *)msg->array >
			 (long)(U16_MAX - sizeof(struct mcipsec_seq))))
		mcipsec_seq_close(skb, msg);
	if (!msg->hdr) {
		err = mcipsec_seq_open(skb, cb, msg, id);
		if (err)
			return err;
	}
	if (skb_tailroom(skb) < (int)sizeof(struct mcipsec_seq))
		return -EMSGSIZE;
	mcipsec_seq_copy(skb_put(skb, sizeof(struct mcipsec_seq)), x, out);
	return 0;
}

/* Write what has been collected; false when the message is full. */
static bool mcipsec_seq_write_batch(struct sk_buff *skb, struct netlink_callback *cb,
				    struct mcipsec_seq_dump *dump, struct mcipsec_seq_msg *msg)
{
	struct mcipsec_seq_memo memo = {};
	unsigned int from = dump->next;
	bool room = true;

	rcu_read_lock();
	local_bh_disable();
	while (room && dump->next < dump->n) {
		room = !mcipsec_seq_put(skb, cb, dump, msg, &memo, dump->state[dump->next]);
		if (room)
			dump->next++;
	}
	local_bh_enable();
	rcu_read_unlock();
	while (from < dump->next)
		xfrm_state_put(dump->state[from++]);
	return room;
}

int mcipsec_seq_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mcipsec_seq_dump *dump = *(struct mcipsec_seq_dump **)cb->ctx;
	struct mcipsec_seq_msg msg = {};

	while (mcipsec_seq_write_batch(skb, cb, dump, &msg) && !dump->done) {
		dump->n = 0;
		dump->next = 0;
		/* -ENOENT: this namespace has no SA. */
		dump->done = xfrm_state_walk(dump->mn->net, &dump->walk, mcipsec_seq_collect,
					     dump) != -ENOBUFS;
	}
	mcipsec_seq_close(skb, &msg);
	return skb->len;
}

/* Under x->lock; true if something went up. */
static bool mcipsec_seq_raise(struct xfrm_state *x, const struct mcipsec_seq *seq, bool out,
			      u32 margin, bool strict, bool *exhausted)
{
	u64 max = mcipsec_oseq_max(x);
	u64 want = out ? seq->oseq : seq->seq;
	bool raised = false;

	if (!mcipsec_is_esn(x))
		margin = min_t(u32, margin, MCIPSEC_SEQ_MARGIN_MAX_NOESN);
	if (out || strict)
		want = want > max - margin ? max : want + margin;
	want = min(want, max);

	if (out && want > mcipsec_oseq_read(x)) {
		mcipsec_oseq_write(x, want);
		raised = true;
	} else if (!out && mcipsec_window(x) && want > mcipsec_seq_read(x)) {
		mcipsec_seq_write(x, want);
		raised = true;
	}
	*exhausted = out && mcipsec_oseq_read(x) == max;
	return raised;
}

/* One record. Under RCU, bottom halves off. */
static void mcipsec_seq_import_one(struct mcipsec_group *g, struct mcipsec_seq_memo *memo,
				   const struct mcipsec_seq *seq, u32 margin, bool strict,
				   struct mcipsec_seq_result *result)
{
	bool out, raised, exhausted;
	struct xfrm_state *x;

	if ((seq->family != AF_INET && seq->family != AF_INET6) || seq->proto != IPPROTO_ESP) {
		result->refused++;
		return;
	}
	x = xfrm_state_lookup(g->mn->net, 0, (const xfrm_address_t *)seq->daddr, seq->spi,
			      seq->proto, seq->family);
	if (!x) {
		result->missing++;
		return;
	}
	if (mcipsec_seq_group(g->mn, memo, x, &out) != g || x->xso.dev) {
		result->refused++;
		goto put;
	}
	spin_lock(&x->lock);
	raised = mcipsec_seq_raise(x, seq, out, margin, strict, &exhausted);
	spin_unlock(&x->lock);
	if (raised)
		result->updated++;
	else
		result->unchanged++;
	result->exhausted += exhausted;
put:
	xfrm_state_put(x);
}

/* Import @n records into SAs of @g. Under mcipsec_net.lock, so that @g stays. */
void mcipsec_seq_import(struct mcipsec_group *g, const struct mcipsec_seq *seq,
			unsigned int n, u32 margin, struct mcipsec_seq_result *result)
{
	bool strict = MCIPSEC_MODE_FLAGS(g->mode) & MCIPSEC_F_STRICT_REPLAY;
	struct mcipsec_seq_memo memo;
	unsigned int i, end;

	for (i = 0; i < n; i = end) {
		end = min(n, i + MCIPSEC_SEQ_BATCH);
		memset(&memo, 0, sizeof(memo));
		rcu_read_lock();
		local_bh_disable();
		for (; i < end; i++)
			mcipsec_seq_import_one(g, &memo, &seq[i], margin, strict, result);
		local_bh_enable();
		rcu_read_unlock();
	}
}
