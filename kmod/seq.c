// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sequence state of SAs in bulk (invariant I3).
 *
 * Export walks the namespace's SAs and copies 64 bytes each. A walk holds
 * xfrm_state_lock, inside which no x->lock may be waited for (elsewhere the
 * order is the other way round): so it only tries, and keeps an SA that is busy
 * for after the walk. It stops every now and then to let others in.
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

/* Under x->lock. */
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
	seq->oseq = mcipsec_oseq_read(x);
	seq->seq = mcipsec_seq_read(x);
	seq->packets = x->curlft.packets;
	seq->bytes = x->curlft.bytes;
	seq->mark = x->mark.v;
}

struct mcipsec_seq_dump {
	struct xfrm_state_walk	walk;
	struct mcipsec_net	*mn;
	u32			group;		/* 0: all */
	bool			done;
	unsigned int		n, next;	/* were busy, of these written */
	struct xfrm_state	*busy[MCIPSEC_SEQ_BATCH];

	/* of one call */
	struct sk_buff		*skb;
	struct netlink_callback	*cb;
	struct mcipsec_seq_memo	memo;
	unsigned int		budget;		/* SAs until the walk pauses */
	bool			full;		/* no room for another SA */

	/* a message of one group that can still grow */
	void			*hdr;
	struct nlattr		*array;
	u32			hdr_group;
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
		xfrm_state_put(dump->busy[dump->next++]);
	xfrm_state_walk_done(&dump->walk, dump->mn->net);
	kfree(dump);
	return 0;
}

static void mcipsec_seq_close(struct mcipsec_seq_dump *dump)
{
	struct sk_buff *skb = dump->skb;

	if (!dump->hdr)
		return;
	dump->array->nla_len = skb_tail_pointer(skb) - (unsigned char *)dump->array;
	genlmsg_end(skb, dump->hdr);
	dump->hdr = NULL;
}

static bool mcipsec_seq_open(struct mcipsec_seq_dump *dump, u32 group)
{
	struct sk_buff *skb = dump->skb;
	void *hdr;

	hdr = genlmsg_put(skb, NETLINK_CB(dump->cb->skb).portid, dump->cb->nlh->nlmsg_seq,
			  &mcipsec_family, NLM_F_MULTI, MCIPSEC_CMD_SEQ_GET);
	if (!hdr)
		return false;
	if (nla_put_u32(skb, MCIPSEC_A_GROUP_ID, group) ||
	    skb_tailroom(skb) < (int)(NLA_HDRLEN + sizeof(struct mcipsec_seq))) {
		genlmsg_cancel(skb, hdr);
		return false;
	}
	dump->array = nla_reserve(skb, MCIPSEC_A_SEQ, 0);
	dump->hdr = hdr;
	dump->hdr_group = group;
	return true;
}

/* Append one SA, if it is ours; false if there is no room. Under x->lock, RCU. */
static bool mcipsec_seq_put(struct mcipsec_seq_dump *dump, struct xfrm_state *x)
{
	struct sk_buff *skb = dump->skb;
	struct mcipsec_group *g;
	bool out;

	g = mcipsec_seq_group(dump->mn, &dump->memo, x, &out);
	if (!g || (dump->group && dump->group != g->id))
		return true;

	/* The length of an attribute has 16 bits. */
	if (dump->hdr && (dump->hdr_group != g->id ||
			  skb_tail_pointer(skb) - (unsigned char *)dump->array >
			  (long)(U16_MAX - sizeof(struct mcipsec_seq))))
		mcipsec_seq_close(dump);
	if (!dump->hdr && !mcipsec_seq_open(dump, g->id))
		return false;
	if (skb_tailroom(skb) < (int)sizeof(struct mcipsec_seq))
		return false;
	mcipsec_seq_copy(skb_put(skb, sizeof(struct mcipsec_seq)), x, out);
	return true;
}

/* From the walk, under xfrm_state_lock; an error pauses it before this SA. */
static int mcipsec_seq_walk(struct xfrm_state *x, int count, void *ptr)
{
	struct mcipsec_seq_dump *dump = ptr;

	if (!dump->budget)
		return -ENOBUFS;
	dump->budget--;
	if (x->km.state != XFRM_STATE_VALID)
		return 0;
	if (spin_trylock(&x->lock)) {
		dump->full = !mcipsec_seq_put(dump, x);
		spin_unlock(&x->lock);
		return dump->full ? -ENOBUFS : 0;
	}
	xfrm_state_hold(x);
	dump->busy[dump->n++] = x;
	return 0;
}

/* Those that were busy; here their lock can be waited for. */
static void mcipsec_seq_put_busy(struct mcipsec_seq_dump *dump)
{
	while (!dump->full && dump->next < dump->n) {
		struct xfrm_state *x = dump->busy[dump->next];

		spin_lock_bh(&x->lock);
		dump->full = !mcipsec_seq_put(dump, x);
		spin_unlock_bh(&x->lock);
		if (!dump->full) {
			xfrm_state_put(x);
			dump->next++;
		}
	}
}

int mcipsec_seq_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mcipsec_seq_dump *dump = *(struct mcipsec_seq_dump **)cb->ctx;

	dump->skb = skb;
	dump->cb = cb;
	dump->full = false;
	for (;;) {
		/* Groups may go between two rounds: RCU does not last. */
		rcu_read_lock();
		memset(&dump->memo, 0, sizeof(dump->memo));
		mcipsec_seq_put_busy(dump);
		if (!dump->full && !dump->done) {
			dump->n = 0;
			dump->next = 0;
			dump->budget = MCIPSEC_SEQ_BATCH;
			/* -ENOENT: this namespace has no SA. */
			dump->done = xfrm_state_walk(dump->mn->net, &dump->walk,
						     mcipsec_seq_walk, dump) != -ENOBUFS;
		}
		rcu_read_unlock();
		if (dump->full || (dump->done && dump->next == dump->n))
			break;
		cond_resched();
	}
	mcipsec_seq_close(dump);
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

static bool mcipsec_seq_valid(const struct mcipsec_seq *seq)
{
	return (seq->family == AF_INET || seq->family == AF_INET6) && seq->proto == IPPROTO_ESP;
}

/* One record. Under RCU, bottom halves off. */
static void mcipsec_seq_import_one(struct mcipsec_group *g, struct mcipsec_seq_memo *memo,
				   const struct mcipsec_seq *seq, u32 margin, bool strict,
				   bool end_hold, struct mcipsec_seq_result *result)
{
	bool out, raised, exhausted;
	struct xfrm_state *x;

	if (!mcipsec_seq_valid(seq)) {
		result->refused++;
		return;
	}
	x = xfrm_state_lookup(g->mn->net, seq->mark, (const xfrm_address_t *)seq->daddr,
			      seq->spi, seq->proto, seq->family);
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
	if (end_hold)
		mcipsec_hold_end(g, seq);
	if (raised)
		result->updated++;
	else
		result->unchanged++;
	result->exhausted += exhausted;
put:
	xfrm_state_put(x);
}

/*
 * Import @n records into SAs of @g; with @end_hold those that are found wait no
 * longer. Under mcipsec_net.lock, so that @g stays.
 */
void mcipsec_seq_import(struct mcipsec_group *g, const struct mcipsec_seq *seq,
			unsigned int n, u32 margin, bool end_hold,
			struct mcipsec_seq_result *result)
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
			mcipsec_seq_import_one(g, &memo, &seq[i], margin, strict, end_hold,
					       result);
		local_bh_enable();
		rcu_read_unlock();
	}
}

/*
 * Let @n SAs wait for their numbers, or not any longer. Under mcipsec_net.lock.
 * On an error some of them wait, and are counted.
 */
int mcipsec_seq_hold(struct mcipsec_group *g, const struct mcipsec_seq *seq, unsigned int n,
		     bool hold, struct mcipsec_seq_result *result)
{
	unsigned int i;
	int changed;

	for (i = 0; i < n; i++) {
		if (!mcipsec_seq_valid(&seq[i])) {
			result->refused++;
			continue;
		}
		changed = hold ? mcipsec_hold_add(g, &seq[i]) : mcipsec_hold_end(g, &seq[i]);
		if (changed < 0)
			return changed;
		if (changed)
			result->updated++;
		else
			result->unchanged++;
	}
	return 0;
}
