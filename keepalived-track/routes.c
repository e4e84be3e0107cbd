// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * routes - see routes.h.
 *
 * One dump a family and protocol, filtered by the kernel, so that a full
 * Internet table beside ours costs no copies. Changes go over a second socket
 * while the dump runs; a dump that was disturbed is done again.
 */
#include "routes.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "plan.h"

#define BUF_SIZE	32768
#define DUMP_TRIES	5
#define FLAGS_KEPT	(RTNH_F_ONLINK | RTNH_F_PERVASIVE)

static const uint8_t protocols[] = { 201, 202, 203, 204, 211, 212, 213, 214 };

struct rewrite {
	struct plan *plan;
	routes_choose choose;
	void *data;
	struct mnl_socket *writer;
	uint8_t protocol;	/* of the dump that runs */
	int changed;
	int err;		/* first one */
};

uint8_t routes_fenced(uint8_t protocol)
{
	switch (protocol) {
	case 201:
	case 202:
	case 203:
		return 204;
	case 211:
	case 212:
	case 213:
		return 214;
	}
	return 0;
}

static struct mnl_socket *open_route_socket(void)
{
	const struct timeval limit = { .tv_sec = 2 };
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl)
		return NULL;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &limit,
		   sizeof(limit));
	return nl;
}

/* The state of a link (dead, link down) is reported but not accepted. */
static void clear_nexthop_state(struct nlattr *multipath)
{
	struct rtnexthop *nh = mnl_attr_get_payload(multipath);
	int left = mnl_attr_get_payload_len(multipath);

	while (RTNH_OK(nh, left)) {
		left -= RTNH_ALIGN(nh->rtnh_len);
		nh->rtnh_flags &= FLAGS_KEPT;
		nh = RTNH_NEXT(nh);
	}
}

static void copy_attributes(struct nlmsghdr *to, const struct nlmsghdr *from)
{
	bool nexthop_object = false;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, from, sizeof(struct rtmsg))
		if (mnl_attr_get_type(attr) == RTA_NH_ID)
			nexthop_object = true;

	mnl_attr_for_each(attr, from, sizeof(struct rtmsg)) {
		struct nlattr *copy = mnl_nlmsg_get_payload_tail(to);
		const uint16_t type = mnl_attr_get_type(attr);

		switch (type) {
		case RTA_CACHEINFO:
			continue;
		case RTA_OIF:
		case RTA_GATEWAY:
		case RTA_VIA:
		case RTA_MULTIPATH:
			if (nexthop_object)
				continue;
			break;
		}
		mnl_attr_put(to, attr->nla_type, mnl_attr_get_payload_len(attr),
			     mnl_attr_get_payload(attr));
		if (type == RTA_MULTIPATH)
			clear_nexthop_state(copy);
	}
}

static int write_back(struct mnl_socket *nl, const struct nlmsghdr *route,
		      uint8_t protocol)
{
	char buf[BUF_SIZE], answer[BUF_SIZE];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;
	ssize_t len;

	if (route->nlmsg_len > sizeof(buf))
		return -EMSGSIZE;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	memcpy(rtm, mnl_nlmsg_get_payload(route), sizeof(*rtm));
	rtm->rtm_protocol = protocol;
	rtm->rtm_flags &= FLAGS_KEPT;
	copy_attributes(nlh, route);

	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	len = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (len < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)len, 0, 0, NULL, NULL) < 0 ? -errno : 0;
}

/* The kernel's key of a route. False: not one that a plan can name. */
static bool route_key(const struct nlmsghdr *nlh, struct plan_route *key)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	memset(key, 0, sizeof(*key));
	key->family = rtm->rtm_family;
	key->prefix_len = rtm->rtm_dst_len;
	key->table = rtm->rtm_table;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) {
		const uint16_t len = mnl_attr_get_payload_len(attr);

		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			if (len > sizeof(key->addr))
				return false;
			memcpy(key->addr, mnl_attr_get_payload(attr), len);
			break;
		case RTA_TABLE:
			if (len == sizeof(uint32_t))
				key->table = mnl_attr_get_u32(attr);
			break;
		case RTA_PRIORITY:
			if (len == sizeof(uint32_t))
				key->metric = mnl_attr_get_u32(attr);
			break;
		}
	}
	return !rtm->rtm_src_len && !(rtm->rtm_flags & RTM_F_CLONED);
}

static int route_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct rewrite *rw = data;
	struct plan_route key, *route;
	uint8_t wanted;
	int err;

	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*rtm) ||
	    rtm->rtm_protocol != rw->protocol || !route_key(nlh, &key))
		return MNL_CB_OK;
	route = plan_find_route(rw->plan, &key);
	if (!route)
		return MNL_CB_OK;
	wanted = rw->choose(route, rtm->rtm_protocol, rw->data);
	if (!wanted || wanted == rtm->rtm_protocol)
		return MNL_CB_OK;
	err = write_back(rw->writer, nlh, wanted);
	if (!err)
		rw->changed++;
	else if (err != -ENOENT && err != -ESRCH && !rw->err)
		rw->err = err;		/* those two: it went meanwhile */
	return MNL_CB_OK;
}

/* -EINTR: the table changed under the dump, which may have missed routes. */
static int dump(struct mnl_socket *nl, uint8_t family, uint8_t protocol,
		struct rewrite *rw)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool disturbed = false;
	struct rtmsg *rtm;
	int ret;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = family;
	rtm->rtm_protocol = protocol;
	rw->protocol = protocol;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (len < 0)
			return -errno;
		if (((struct nlmsghdr *)buf)->nlmsg_flags & NLM_F_DUMP_INTR) {
			/* libmnl would stop here and leave the rest unread. */
			disturbed = true;
			for (int left = (int)len, first = 1; ; first = 0) {
				nlh = first ? (struct nlmsghdr *)buf :
					      mnl_nlmsg_next(nlh, &left);
				if (!mnl_nlmsg_ok(nlh, left))
					break;
				nlh->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
			}
		}
		ret = mnl_cb_run(buf, (size_t)len, 0, 0, route_cb, rw);
		if (ret < 0)
			return -errno;
	} while (ret != MNL_CB_STOP);
	return disturbed ? -EINTR : 0;
}

static int rewrite_all(struct mnl_socket *nl, struct rewrite *rw)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int err = 0;

	for (size_t f = 0; f < sizeof(families); f++) {
		bool named = false;

		for (size_t i = 0; i < rw->plan->n_routes && !named; i++)
			named = rw->plan->routes[i].family == families[f];
		for (size_t p = 0; named && p < sizeof(protocols); p++) {
			err = dump(nl, families[f], protocols[p], rw);
			if (err)
				return err;
		}
	}
	return 0;
}

int routes_rewrite(struct plan *plan, routes_choose choose, void *data)
{
	struct rewrite rw = { .plan = plan, .choose = choose, .data = data };
	struct mnl_socket *reader;
	int err, tries = DUMP_TRIES, one = 1;

	if (!plan->n_routes)
		return 0;
	rw.writer = open_route_socket();
	reader = open_route_socket();
	if (!rw.writer || !reader) {
		err = -errno;
		goto out;
	}
	/* Filter by protocol in the kernel; without it the callback does. */
	mnl_socket_setsockopt(reader, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	do
		err = rewrite_all(reader, &rw);
	while (err == -EINTR && --tries);
out:
	if (rw.writer)
		mnl_socket_close(rw.writer);
	if (reader)
		mnl_socket_close(reader);
	if (err)
		return err;
	return rw.err ? rw.err : rw.changed;
}
