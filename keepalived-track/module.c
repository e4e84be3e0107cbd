// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * module - see module.h. The wire format is include/uapi/linux/mcipsec.h.
 */
#include "module.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <linux/mcipsec.h>

/* Large enough for one skb of a dump, whatever the page size (libmnl). */
#define BUF_SIZE	32768

uint64_t boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

int module_open(struct module *m, int timeout_ms)
{
	int err;

	memset(m, 0, sizeof(*m));
	m->timeout_ms = timeout_ms;
	m->seq = (uint32_t)time(NULL);
	m->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!m->nl)
		return -errno;
	if (mnl_socket_bind(m->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		module_close(m);
		return err;
	}
	m->port = mnl_socket_get_portid(m->nl);
	return 0;
}

void module_close(struct module *m)
{
	if (m->nl)
		mnl_socket_close(m->nl);
	memset(m, 0, sizeof(*m));
}

static struct nlmsghdr *request(struct module *m, void *buf, uint16_t type,
				uint16_t flags, uint8_t cmd, uint8_t version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++m->seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = version;
	return nlh;
}

/* Send, then feed every answer to cb until the kernel says it is done. */
static int talk(struct module *m, const struct nlmsghdr *nlh, mnl_cb_t cb,
		void *data)
{
	const uint64_t until = boottime_ns() + (uint64_t)m->timeout_ms * 1000000;
	struct pollfd pfd = { .fd = mnl_socket_get_fd(m->nl), .events = POLLIN };
	char buf[BUF_SIZE];

	if (mnl_socket_sendto(m->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		const uint64_t now = boottime_ns();
		ssize_t len;
		int ret;

		if (now >= until)
			return -ETIMEDOUT;
		ret = poll(&pfd, 1, (int)((until - now) / 1000000) + 1);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			return ret ? -errno : -ETIMEDOUT;
		len = mnl_socket_recvfrom(m->nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		/* An answer to a request that timed out earlier: not ours. */
		if (len >= (ssize_t)sizeof(*nlh) &&
		    ((struct nlmsghdr *)buf)->nlmsg_seq != m->seq)
			continue;
		ret = mnl_cb_run(buf, (size_t)len, m->seq, m->port, cb, data);
		if (ret < 0)
			return -errno;
		if (ret == MNL_CB_STOP)
			return 0;
	}
}

static void parse_mcast_groups(struct module *m, const struct nlattr *nest)
{
	const struct nlattr *grp, *attr;

	mnl_attr_for_each_nested(grp, nest) {
		const char *name = "";
		uint32_t id = 0;

		mnl_attr_for_each_nested(attr, grp) {
			if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME &&
			    !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
				name = mnl_attr_get_str(attr);
			if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID &&
			    !mnl_attr_validate(attr, MNL_TYPE_U32))
				id = mnl_attr_get_u32(attr);
		}
		if (!strcmp(name, MCIPSEC_MCGRP_EVENTS))
			m->events = id;
	}
}

static int family_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr, *groups = NULL;
	struct module *m = data;
	const char *name = "";
	uint16_t id = 0;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case CTRL_ATTR_FAMILY_NAME:
			if (!mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
				name = mnl_attr_get_str(attr);
			break;
		case CTRL_ATTR_FAMILY_ID:
			if (!mnl_attr_validate(attr, MNL_TYPE_U16))
				id = mnl_attr_get_u16(attr);
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			groups = attr;
			break;
		}
	}
	if (strcmp(name, MCIPSEC_GENL_NAME))
		return MNL_CB_OK;
	m->family = id;
	if (groups)
		parse_mcast_groups(m, groups);
	return MNL_CB_OK;
}

int module_resolve(struct module *m)
{
	char buf[MNL_NLMSG_HDRLEN + GENL_HDRLEN];
	int err, tries = 3;

	do {
		m->family = 0;
		m->events = 0;
		err = talk(m, request(m, buf, GENL_ID_CTRL, NLM_F_DUMP,
				      CTRL_CMD_GETFAMILY, 1), family_cb, m);
	} while (err == -EINTR && --tries);	/* a family came or went meanwhile */
	if (err)
		return err;
	return m->family ? 0 : -ENOENT;
}

static int group_cb(const struct nlmsghdr *nlh, void *data)
{
	struct group_status *s = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case MCIPSEC_A_GROUP_ID:
			if (!mnl_attr_validate(attr, MNL_TYPE_U32))
				s->id = mnl_attr_get_u32(attr);
			break;
		case MCIPSEC_A_STATE:
			if (!mnl_attr_validate(attr, MNL_TYPE_U8))
				s->state = mnl_attr_get_u8(attr);
			break;
		case MCIPSEC_A_ACTION:
			if (!mnl_attr_validate(attr, MNL_TYPE_U8))
				s->action = mnl_attr_get_u8(attr);
			break;
		case MCIPSEC_A_LEASE_ID:
			if (!mnl_attr_validate(attr, MNL_TYPE_U32))
				s->lease_id = mnl_attr_get_u32(attr);
			break;
		case MCIPSEC_A_LEASE_EXPIRY:
			if (!mnl_attr_validate(attr, MNL_TYPE_U64))
				s->lease_expiry = mnl_attr_get_u64(attr);
			break;
		}
	}
	return MNL_CB_OK;
}

int module_group_get(struct module *m, uint32_t id, struct group_status *out)
{
	char buf[MNL_NLMSG_HDRLEN + GENL_HDRLEN + 16];
	struct nlmsghdr *nlh;
	int err;

	memset(out, 0, sizeof(*out));
	if (!m->family)
		return -ENOENT;
	nlh = request(m, buf, m->family, NLM_F_ACK, MCIPSEC_CMD_GROUP_GET,
		      MCIPSEC_GENL_VERSION);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, id);
	err = talk(m, nlh, group_cb, out);
	if (err)
		return err;
	/* The id of an unloaded family may have gone to another one. */
	return out->id == id ? 0 : -EPROTO;
}

bool group_forwards(const struct group_status *s)
{
	return s->action == MCIPSEC_ACTION_FORWARD;
}

bool group_abandoned(const struct group_status *s, uint64_t now)
{
	return !group_forwards(s) && s->lease_id && s->lease_expiry <= now;
}
