// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nl.c - see nl.h. Every request asks for an acknowledgement and for the
 * kernel's extended message.
 */
#include "nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/mcipsec.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct nl *nl_open(int protocol)
{
	struct nl *nl = calloc(1, sizeof(*nl));
	int on = 1, size = 4 << 20;

	if (!nl) {
		perror("calloc");
		exit(3);
	}
	nl->sock = mnl_socket_open(protocol);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		perror("netlink socket");
		exit(3);
	}
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	nl->seq = 1;
	return nl;
}

uint64_t now_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

struct nlmsghdr *nl_genl(struct nl *nl, void *buf, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = nl->family ? nl->family : GENL_ID_CTRL;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

static void take_error(struct nl *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	size_t off = sizeof(*err);

	snprintf(nl->error, sizeof(nl->error), "%s", strerror(-err->error));
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		off += err->msg.nlmsg_len - sizeof(struct nlmsghdr);
	mnl_attr_for_each(attr, nlh, off)
	{
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(nl->error, sizeof(nl->error), "%s", mnl_attr_get_str(attr));
	}
}

int nl_talk(struct nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	nl->error[0] = 0;
	nlh->nlmsg_seq = nl->seq++;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nl->sock, nl->buffer, sizeof(nl->buffer));
		const struct nlmsghdr *in = (const struct nlmsghdr *)nl->buffer;
		int len = (int)got;

		if (got < 0)
			return -errno;
		for (; mnl_nlmsg_ok(in, len); in = mnl_nlmsg_next(in, &len)) {
			if (in->nlmsg_seq != nlh->nlmsg_seq)
				continue;
			if (in->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *err = mnl_nlmsg_get_payload(in);

				if (err->error)
					take_error(nl, in);
				return err->error;
			}
			if (in->nlmsg_type == NLMSG_DONE) {
				/* A dump that was refused ends with its error. */
				int result = *(const int *)mnl_nlmsg_get_payload(in);

				if (result < 0)
					snprintf(nl->error, sizeof(nl->error), "%s", strerror(-result));
				return result < 0 ? result : 0;
			}
			if (cb)
				cb(in, data);
		}
	}
}

static int family_attrs(const struct nlmsghdr *nlh, void *data)
{
	struct nl *nl = data;
	const struct nlattr *attr, *group, *a;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			nl->family = mnl_attr_get_u16(attr);
		if (mnl_attr_get_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested(group, attr)
		{
			mnl_attr_for_each_nested(a, group)
			{
				if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
					nl->events = mnl_attr_get_u32(a);
			}
		}
	}
	return MNL_CB_OK;
}

bool nl_find_mcipsec(struct nl *nl)
{
	char buf[256];
	struct nlmsghdr *nlh = nl_genl(nl, buf, CTRL_CMD_GETFAMILY, 0);

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, MCIPSEC_GENL_NAME);
	return nl_talk(nl, nlh, family_attrs, nl) == 0;
}

void nl_make_group(struct nl *nl, const char *address)
{
	struct mcipsec_addr addr = {.family = AF_INET};
	char buf[256];
	struct nlmsghdr *nlh = nl_genl(nl, buf, MCIPSEC_CMD_GROUP_NEW, NLM_F_CREATE);
	struct nlattr *nest;

	inet_pton(AF_INET, address, addr.addr);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
	nest = mnl_attr_nest_start(nlh, MCIPSEC_A_ADDRS);
	mnl_attr_put(nlh, MCIPSEC_A_ADDR, sizeof(addr), &addr);
	mnl_attr_nest_end(nlh, nest);
	if (nl_talk(nl, nlh, NULL, NULL)) {
		fprintf(stderr, "GROUP_NEW: %s\n", nl->error);
		exit(1);
	}
}
