// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xfrm.c - see xfrm.h.
 */
#include "xfrm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 128
#define BITMAP (WINDOW / 32)

static char request[NL_BUFFER];

/* Tunnel n / 2 has the far end 10.x.y.z; odd SAs come from the gateway. */
static void sa_ends(unsigned int n, xfrm_address_t *saddr, xfrm_address_t *daddr)
{
	uint32_t far = htonl(10u << 24 | (n / 2 + 1)), near;

	inet_pton(AF_INET, XFRM_GATEWAY, &near);
	memset(saddr, 0, sizeof(*saddr));
	memset(daddr, 0, sizeof(*daddr));
	saddr->a4 = n & 1 ? near : far;
	daddr->a4 = n & 1 ? far : near;
}

static uint32_t sa_spi(unsigned int n)
{
	return htonl(0x10000 + n);
}

static struct nlmsghdr *start(uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(request);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return nlh;
}

static bool done(struct nl *nl, int err, const char *what, unsigned int n)
{
	if (err)
		fprintf(stderr, "%s of SA %u: %s (%s)\n", what, n, strerror(-err), nl->error);
	return !err;
}

bool xfrm_add(struct nl *nl, unsigned int from, unsigned int to)
{
	struct {
		struct xfrm_algo_aead alg;
		char key[20];
	} aead = {.alg = {.alg_key_len = 160, .alg_icv_len = 128}};
	struct {
		struct xfrm_replay_state_esn esn;
		uint32_t bitmap[BITMAP];
	} replay = {.esn = {.bmp_len = BITMAP, .replay_window = WINDOW}};

	strcpy(aead.alg.alg_name, "rfc4106(gcm(aes))");
	for (unsigned int n = from; n < to; n++) {
		struct nlmsghdr *nlh = start(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL);
		struct xfrm_usersa_info *sa = mnl_nlmsg_put_extra_header(nlh, sizeof(*sa));

		sa_ends(n, &sa->saddr, &sa->id.daddr);
		sa->id.spi = sa_spi(n);
		sa->id.proto = IPPROTO_ESP;
		sa->family = AF_INET;
		sa->mode = XFRM_MODE_TUNNEL;
		sa->reqid = n / 2 + 1;
		sa->flags = XFRM_STATE_ESN;
		sa->lft.soft_byte_limit = sa->lft.hard_byte_limit = XFRM_INF;
		sa->lft.soft_packet_limit = sa->lft.hard_packet_limit = XFRM_INF;
		memcpy(aead.key, &n, sizeof(n));
		mnl_attr_put(nlh, XFRMA_ALG_AEAD, sizeof(aead.alg) + sizeof(aead.key), &aead);
		mnl_attr_put(nlh, XFRMA_REPLAY_ESN_VAL, sizeof(replay), &replay);
		if (!done(nl, nl_talk(nl, nlh, NULL, NULL), "NEWSA", n))
			return false;
	}
	return true;
}

bool xfrm_delete(struct nl *nl, unsigned int from, unsigned int to)
{
	for (unsigned int n = from; n < to; n++) {
		struct nlmsghdr *nlh = start(XFRM_MSG_DELSA, 0);
		struct xfrm_usersa_id *id = mnl_nlmsg_put_extra_header(nlh, sizeof(*id));
		xfrm_address_t saddr;

		sa_ends(n, &saddr, &id->daddr);
		id->spi = sa_spi(n);
		id->proto = IPPROTO_ESP;
		id->family = AF_INET;
		mnl_attr_put(nlh, XFRMA_SRCADDR, sizeof(saddr), &saddr);
		if (!done(nl, nl_talk(nl, nlh, NULL, NULL), "DELSA", n))
			return false;
	}
	return true;
}

static struct nlmsghdr *start_ae(uint16_t type, uint16_t flags, unsigned int n)
{
	struct nlmsghdr *nlh = start(type, flags);
	struct xfrm_aevent_id *id = mnl_nlmsg_put_extra_header(nlh, sizeof(*id));

	sa_ends(n, &id->saddr, &id->sa_id.daddr);
	id->sa_id.spi = sa_spi(n);
	id->sa_id.proto = IPPROTO_ESP;
	id->sa_id.family = AF_INET;
	id->reqid = n / 2 + 1;
	return nlh;
}

static int take_oseq(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct xfrm_aevent_id))
	{
		const struct xfrm_replay_state_esn *esn = mnl_attr_get_payload(attr);

		if (mnl_attr_get_type(attr) == XFRMA_REPLAY_ESN_VAL)
			*(uint64_t *)data = (uint64_t)esn->oseq_hi << 32 | esn->oseq;
	}
	return MNL_CB_OK;
}

uint64_t xfrm_get_oseq(struct nl *nl, unsigned int n)
{
	struct nlmsghdr *nlh = start_ae(XFRM_MSG_GETAE, 0, n);
	uint64_t oseq = UINT64_MAX;

	/* The answer is all that is needed, as a fair opponent would do it. */
	nlh->nlmsg_flags &= ~NLM_F_ACK;
	nlh->nlmsg_seq = nl->seq++;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0 ||
	    mnl_socket_recvfrom(nl->sock, nl->buffer, sizeof(nl->buffer)) < 0 ||
	    ((struct nlmsghdr *)nl->buffer)->nlmsg_type != XFRM_MSG_NEWAE) {
		fprintf(stderr, "GETAE of SA %u failed\n", n);
		exit(1);
	}
	take_oseq((struct nlmsghdr *)nl->buffer, &oseq);
	return oseq;
}

void xfrm_set_oseq(struct nl *nl, unsigned int n, uint64_t oseq, uint64_t seq)
{
	struct {
		struct xfrm_replay_state_esn esn;
		uint32_t bitmap[BITMAP];
	} replay = {.esn = {.bmp_len = BITMAP, .replay_window = WINDOW}};
	struct nlmsghdr *nlh = start_ae(XFRM_MSG_NEWAE, NLM_F_REPLACE, n);

	replay.esn.oseq = oseq;
	replay.esn.oseq_hi = oseq >> 32;
	replay.esn.seq = seq;
	replay.esn.seq_hi = seq >> 32;
	memset(replay.bitmap, 0xff, sizeof(replay.bitmap));
	mnl_attr_put(nlh, XFRMA_REPLAY_ESN_VAL, sizeof(replay), &replay);
	if (!done(nl, nl_talk(nl, nlh, NULL, NULL), "NEWAE", n))
		exit(1);
}
