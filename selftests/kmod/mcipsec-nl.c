// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mcipsec-nl - the module's netlink requests, one a call, for its tests.
 *
 *   group add|set|put ID [addr A]... [public NH]... [private NH]... [lease N]
 *         (add: create, must not exist; set: replace; put: create, no EXCL)
 *         [noaddr] [nopublic] [noprivate]      send the list empty
 *   group del ID
 *   group static ID [begin] [more] [LOCAL,REMOTE]...    its static tunnels
 *   group get [ID]                 "key value" lines; counters as "stat NAME N"
 *   state COOKIE ID=STATE[,FLAG]...[@GENERATION]...
 *   lease COOKIE ID MS             ends in MS from now; "revoke": ended
 *   seq get [ID]                   SPI DADDR FLAGS OSEQ SEQ PACKETS
 *   seq set ID [margin N] [hold end|set|drop] SPI/DADDR/OSEQ/SEQ[/MARK]...
 *   switchover ID SWITCHOVER-ID [FLAGS]
 *   events MS COUNT [READY-FILE]   prints up to COUNT events within MS
 *   gate on|off                    DEBUG_SET
 *   bad CASE                       a malformed request, see bad()
 *
 * A is ADDRESS or ADDRESS%DEVICE (VRF), NH also A/static or A/dynamic. Exit: 0 done; 1 refused, "ERRNO: the
 * kernel's message" on stderr; 2 usage; 3 no module.
 */
#include "nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/mcipsec.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const states[] = {"discovery", "notEligible", "eligible", "standby", "master"};
static const char *const actions[] = {"blackhole", "shunt", "forward", "prepared"};
static const char *const flags[] = {"prepared", "nominal", "strict-replay", "sticky-lease"};
static const char *const kinds[] = {"static", "dynamic"};
static const char *const events[] = {"?",	      "group-new",     "group-del", "state",
				     "lease-expired", "lease-renewed", "switchover"};
static const char *const stats[] = {
	[MCIPSEC_STAT_FORWARD_IN] = "forward_in",
	[MCIPSEC_STAT_FORWARD_OUT] = "forward_out",
	[MCIPSEC_STAT_FORWARD_PRIVATE] = "forward_private",
	[MCIPSEC_STAT_SHUNT_PUBLIC] = "shunt_public",
	[MCIPSEC_STAT_SHUNT_PRIVATE] = "shunt_private",
	[MCIPSEC_STAT_DROP_ESP] = "drop_esp",
	[MCIPSEC_STAT_DROP_IKE] = "drop_ike",
	[MCIPSEC_STAT_DROP_ICMP] = "drop_icmp",
	[MCIPSEC_STAT_DROP_OUT] = "drop_out",
	[MCIPSEC_STAT_DROP_PRIVATE] = "drop_private",
	[MCIPSEC_STAT_DROP_LOOP] = "drop_loop",
	[MCIPSEC_STAT_DROP_NOROUTE] = "drop_noroute",
	[MCIPSEC_STAT_DROP_XFRM] = "drop_xfrm",
	[MCIPSEC_STAT_DROP_GRO] = "drop_gro",
	[MCIPSEC_STAT_DROP_LEASE] = "drop_lease",
	[MCIPSEC_STAT_DROP_HOLD] = "drop_hold",
	[MCIPSEC_STAT_DROP_PING] = "drop_ping",
};

static char request[NL_BUFFER];

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void usage(const char *what)
{
	fprintf(stderr, "mcipsec-nl: usage: %s\n", what);
	exit(2);
}

static const char *name_of(const char *const *names, size_t n, unsigned int i)
{
	return i < n ? names[i] : "?";
}

static unsigned int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	usage(name);
	return 0;
}

static int refused(const struct nl *nl, int err)
{
	fprintf(stderr, "%s: %s\n", strerrorname_np(-err), nl->error);
	return 1;
}

static struct mcipsec_addr parse_addr(const char *text)
{
	struct mcipsec_addr addr = {0};
	char host[64];
	const char *vrf, *kind = strchr(text, '/');

	snprintf(host, sizeof(host), "%.*s", kind ? (int)(kind - text) : (int)strlen(text), text);
	if (kind)
		addr.flags = 1U << index_of(kinds, LENGTH(kinds), kind + 1);
	vrf = strchr(host, '%');
	if (vrf)
		host[vrf++ - host] = 0;
	if (inet_pton(AF_INET, host, addr.addr) == 1)
		addr.family = AF_INET;
	else if (inet_pton(AF_INET6, host, addr.addr) == 1)
		addr.family = AF_INET6;
	else
		usage("an address");
	if (vrf) {
		addr.vrf_ifindex = if_nametoindex(vrf);
		if (!addr.vrf_ifindex)
			usage("a device");
	}
	return addr;
}

static void parse_cookie(uint8_t cookie[MCIPSEC_COOKIE_LEN], const char *text)
{
	memset(cookie, 0, MCIPSEC_COOKIE_LEN);
	memcpy(cookie, text, strnlen(text, MCIPSEC_COOKIE_LEN));
}

/* All arguments of one kind as one nest; also empty, where `no` is given. */
static void put_addrs(struct nlmsghdr *nlh, char **argv, const char *word, int nest, int type)
{
	struct nlattr *attr = NULL;
	char no[32];

	snprintf(no, sizeof(no), "no%s", word);
	for (char **a = argv; *a; a++) {
		if (!strcmp(*a, no) && !attr)
			attr = mnl_attr_nest_start(nlh, nest);
		if (strcmp(*a, word) || !a[1])
			continue;
		struct mcipsec_addr addr = parse_addr(*++a);

		if (!attr)
			attr = mnl_attr_nest_start(nlh, nest);
		mnl_attr_put(nlh, type, sizeof(addr), &addr);
	}
	if (attr)
		mnl_attr_nest_end(nlh, attr);
}

static void print_addr(const char *word, const struct nlattr *attr)
{
	const struct mcipsec_addr *a = mnl_attr_get_payload(attr);
	char text[INET6_ADDRSTRLEN], dev[IF_NAMESIZE] = "";

	inet_ntop(a->family, a->addr, text, sizeof(text));
	if (a->vrf_ifindex)
		if_indextoname(a->vrf_ifindex, dev);
	printf("%s %s%s%s", word, text, *dev ? "%" : "", dev);
	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (a->flags & 1U << i)
			printf("/%s", kinds[i]);
	printf("\n");
}

static void print_flags(uint32_t bits)
{
	const char *comma = "";

	printf("flags ");
	for (size_t i = 0; i < LENGTH(flags); i++) {
		if (!(bits & 1U << i))
			continue;
		printf("%s%s", comma, flags[i]);
		comma = ",";
	}
	printf("%s\n", *comma ? "" : "none");
}

static int print_group(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr, *a;

	(void)data;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		switch (mnl_attr_get_type(attr)) {
		case MCIPSEC_A_EVENT:
			printf("event %s\n", name_of(events, LENGTH(events), mnl_attr_get_u8(attr)));
			break;
		case MCIPSEC_A_GROUP_ID: printf("group %u\n", mnl_attr_get_u32(attr)); break;
		case MCIPSEC_A_STATE:
			printf("state %s\n", name_of(states, LENGTH(states), mnl_attr_get_u8(attr)));
			break;
		case MCIPSEC_A_ACTION:
			printf("action %s\n", name_of(actions, LENGTH(actions), mnl_attr_get_u8(attr)));
			break;
		case MCIPSEC_A_FLAGS: print_flags(mnl_attr_get_u32(attr)); break;
		case MCIPSEC_A_GENERATION:
			printf("generation %llu\n", (unsigned long long)mnl_attr_get_u64(attr));
			break;
		case MCIPSEC_A_LEASE_ID: printf("lease %u\n", mnl_attr_get_u32(attr)); break;
		case MCIPSEC_A_LEASE_EXPIRY:
			printf("expiry %llu\n", (unsigned long long)mnl_attr_get_u64(attr));
			break;
		case MCIPSEC_A_SWITCHOVER_ID:
			printf("switchover %llu\n", (unsigned long long)mnl_attr_get_u64(attr));
			break;
		case MCIPSEC_A_TIME:
			printf("time %llu\n", (unsigned long long)mnl_attr_get_u64(attr));
			break;
		case MCIPSEC_A_ADDRS:
			mnl_attr_for_each_nested(a, attr) print_addr("addr", a);
			break;
		case MCIPSEC_A_PUBLIC_NEXTHOPS:
			mnl_attr_for_each_nested(a, attr) print_addr("public", a);
			break;
		case MCIPSEC_A_PRIVATE_NEXTHOPS:
			mnl_attr_for_each_nested(a, attr) print_addr("private", a);
			break;
		case MCIPSEC_A_STATIC_PEERS_COUNT:
			printf("static_peers %u\n", mnl_attr_get_u32(attr));
			break;
		case MCIPSEC_A_STATS:
			mnl_attr_for_each_nested(a, attr)
			{
				unsigned int type = mnl_attr_get_type(a);

				if (type > MCIPSEC_STAT_PAD && type < LENGTH(stats))
					printf("stat %s %llu\n", stats[type],
					       (unsigned long long)mnl_attr_get_u64(a));
			}
			break;
		default: break;
		}
	}
	fflush(stdout);
	return MNL_CB_OK;
}

static struct mcipsec_static_peer parse_static_peer(char *text)
{
	struct mcipsec_static_peer p = {0};
	struct mcipsec_addr local, remote;
	char *comma = strchr(text, ',');

	if (!comma)
		usage("LOCAL,REMOTE");
	*comma = 0;
	local = parse_addr(text);
	remote = parse_addr(comma + 1);
	p.family = local.family;
	memcpy(p.local, local.addr, sizeof(p.local));
	memcpy(p.remote, remote.addr, sizeof(p.remote));
	return p;
}

static int do_static(struct nl *nl, char **argv)
{
	static struct mcipsec_static_peer peers[1024];
	struct nlmsghdr *nlh;
	uint16_t how = 0;
	bool more = false;
	size_t n = 0;
	int err;

	for (char **a = argv + 1; *a; a++) {
		if (!strcmp(*a, "begin"))
			how = NLM_F_REPLACE;
		else if (!strcmp(*a, "more"))
			more = true;
		else if (n < LENGTH(peers))
			peers[n++] = parse_static_peer(*a);
		else
			usage("at most 1024 of LOCAL,REMOTE");
	}
	nlh = nl_genl(nl, request, MCIPSEC_CMD_STATIC_PEERS_SET, how);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[0], NULL, 0));
	if (n)
		mnl_attr_put(nlh, MCIPSEC_A_STATIC_PEERS, n * sizeof(peers[0]), peers);
	if (more)
		mnl_attr_put(nlh, MCIPSEC_A_STATIC_PEERS_MORE, 0, NULL);
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

static int do_group(struct nl *nl, char **argv)
{
	struct nlmsghdr *nlh;
	uint16_t how;
	int err;

	if (!argv[0])
		usage("group add|set|put|del|get");
	if (!strcmp(argv[0], "get")) {
		nlh = nl_genl(nl, request, MCIPSEC_CMD_GROUP_GET, argv[1] ? 0 : NLM_F_DUMP);
		if (argv[1])
			mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[1], NULL, 0));
		err = nl_talk(nl, nlh, print_group, NULL);
		return err ? refused(nl, err) : 0;
	}
	if (!argv[1])
		usage("group add|set|put|del|static ID");
	if (!strcmp(argv[0], "static"))
		return do_static(nl, argv + 1);
	if (!strcmp(argv[0], "del")) {
		nlh = nl_genl(nl, request, MCIPSEC_CMD_GROUP_DEL, 0);
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[1], NULL, 0));
	} else {
		how = !strcmp(argv[0], "add") ? NLM_F_CREATE | NLM_F_EXCL
		      : !strcmp(argv[0], "set") ? NLM_F_REPLACE
						: NLM_F_CREATE;
		nlh = nl_genl(nl, request, MCIPSEC_CMD_GROUP_NEW, how);
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[1], NULL, 0));
		put_addrs(nlh, argv + 2, "addr", MCIPSEC_A_ADDRS, MCIPSEC_A_ADDR);
		put_addrs(nlh, argv + 2, "public", MCIPSEC_A_PUBLIC_NEXTHOPS, MCIPSEC_A_NEXTHOP);
		put_addrs(nlh, argv + 2, "private", MCIPSEC_A_PRIVATE_NEXTHOPS, MCIPSEC_A_NEXTHOP);
		for (char **a = argv + 2; *a; a++)
			if (!strcmp(*a, "lease") && a[1])
				mnl_attr_put_u32(nlh, MCIPSEC_A_LEASE_ID, strtoul(a[1], NULL, 0));
	}
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

/* ID=STATE[,FLAG]...[@GENERATION] */
static void put_state(struct nlmsghdr *nlh, char *text)
{
	char *generation = strchr(text, '@'), *state = strchr(text, '='), *flag;
	struct nlattr *nest;
	uint32_t bits = 0;

	if (!state)
		usage("ID=STATE");
	*state++ = 0;
	if (generation)
		*generation++ = 0;
	flag = strchr(state, ',');
	if (flag)
		*flag++ = 0;
	for (flag = flag ? strtok(flag, ",") : NULL; flag; flag = strtok(NULL, ","))
		bits |= 1U << index_of(flags, LENGTH(flags), flag);
	nest = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUP);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(text, NULL, 0));
	mnl_attr_put_u8(nlh, MCIPSEC_A_STATE, index_of(states, LENGTH(states), state));
	mnl_attr_put_u32(nlh, MCIPSEC_A_FLAGS, bits);
	if (generation)
		mnl_attr_put_u64(nlh, MCIPSEC_A_GENERATION, strtoull(generation, NULL, 0));
	mnl_attr_nest_end(nlh, nest);
}

static int do_state(struct nl *nl, char **argv)
{
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_STATE_SET, 0);
	uint8_t cookie[MCIPSEC_COOKIE_LEN];
	struct nlattr *nest;
	int err;

	if (!argv[0] || !argv[1])
		usage("state COOKIE ID=STATE...");
	parse_cookie(cookie, argv[0]);
	mnl_attr_put(nlh, MCIPSEC_A_COOKIE, sizeof(cookie), cookie);
	nest = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUPS);
	for (char **a = argv + 1; *a; a++)
		put_state(nlh, *a);
	mnl_attr_nest_end(nlh, nest);
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

static int do_lease(struct nl *nl, char **argv)
{
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_LEASE_SET, 0);
	uint8_t cookie[MCIPSEC_COOKIE_LEN];
	uint64_t end = 0;
	int err;

	if (!argv[0] || !argv[1] || !argv[2])
		usage("lease COOKIE ID MS|revoke");
	parse_cookie(cookie, argv[0]);
	if (strcmp(argv[2], "revoke"))
		end = now_ns(CLOCK_BOOTTIME) + strtoull(argv[2], NULL, 0) * 1000000;
	mnl_attr_put(nlh, MCIPSEC_A_COOKIE, sizeof(cookie), cookie);
	mnl_attr_put_u32(nlh, MCIPSEC_A_LEASE_ID, strtoul(argv[1], NULL, 0));
	mnl_attr_put_u64(nlh, MCIPSEC_A_LEASE_EXPIRY, end);
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

static int print_seq(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	unsigned int group = 0;

	(void)data;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		const struct mcipsec_seq *s = mnl_attr_get_payload(attr);

		if (mnl_attr_get_type(attr) == MCIPSEC_A_GROUP_ID)
			group = mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) != MCIPSEC_A_SEQ)
			continue;
		for (size_t n = mnl_attr_get_payload_len(attr) / sizeof(*s); n--; s++) {
			char text[INET6_ADDRSTRLEN];

			inet_ntop(s->family, s->daddr, text, sizeof(text));
			printf("0x%08x %s %s%s%s%s %llu %llu %llu group %u\n", ntohl(s->spi), text,
			       s->flags & MCIPSEC_SEQ_F_OUT ? "out" : "in",
			       s->flags & MCIPSEC_SEQ_F_ESN ? ",esn" : "",
			       s->flags & MCIPSEC_SEQ_F_OFFLOAD ? ",offload" : "",
			       s->flags & MCIPSEC_SEQ_F_NOREPLAY ? ",noreplay" : "",
			       (unsigned long long)s->oseq, (unsigned long long)s->seq,
			       (unsigned long long)s->packets, group);
		}
	}
	return MNL_CB_OK;
}

static int print_result(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	(void)data;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		const char *name = NULL;

		switch (mnl_attr_get_type(attr)) {
		case MCIPSEC_A_SEQ_UPDATED: name = "updated"; break;
		case MCIPSEC_A_SEQ_UNCHANGED: name = "unchanged"; break;
		case MCIPSEC_A_SEQ_MISSING: name = "missing"; break;
		case MCIPSEC_A_SEQ_REFUSED: name = "refused"; break;
		case MCIPSEC_A_SEQ_EXHAUSTED: name = "exhausted"; break;
		default: break;
		}
		if (name)
			printf("%s %u ", name, mnl_attr_get_u32(attr));
	}
	printf("\n");
	return MNL_CB_OK;
}

/* SPI/DADDR/OSEQ/SEQ */
static struct mcipsec_seq parse_seq(char *text)
{
	struct mcipsec_seq s = {.proto = IPPROTO_ESP};
	char *spi = strtok(text, "/"), *daddr = strtok(NULL, "/");
	char *oseq = strtok(NULL, "/"), *seq = strtok(NULL, "/"), *mark = strtok(NULL, "/");
	struct mcipsec_addr addr;

	if (!seq)
		usage("SPI/DADDR/OSEQ/SEQ[/MARK]");
	addr = parse_addr(daddr);
	s.spi = htonl(strtoul(spi, NULL, 0));
	s.family = addr.family;
	memcpy(s.daddr, addr.addr, sizeof(s.daddr));
	s.oseq = strtoull(oseq, NULL, 0);
	s.seq = strtoull(seq, NULL, 0);
	if (mark)
		s.mark = strtoul(mark, NULL, 0);
	return s;
}

static uint8_t parse_hold(const char *text)
{
	static const char *const words[] = {"end", "set", "drop"};

	for (uint8_t i = 0; i < LENGTH(words); i++)
		if (!strcmp(text, words[i]))
			return i;
	usage("hold end|set|drop");
	return 0;
}

static int do_seq(struct nl *nl, char **argv)
{
	struct mcipsec_seq array[64];
	struct nlmsghdr *nlh;
	size_t n = 0;
	int err;

	if (!argv[0])
		usage("seq get|set");
	if (!strcmp(argv[0], "get")) {
		nlh = nl_genl(nl, request, MCIPSEC_CMD_SEQ_GET, NLM_F_DUMP);
		if (argv[1])
			mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[1], NULL, 0));
		err = nl_talk(nl, nlh, print_seq, NULL);
		return err ? refused(nl, err) : 0;
	}
	if (!argv[1])
		usage("seq set ID ...");
	nlh = nl_genl(nl, request, MCIPSEC_CMD_SEQ_SET, 0);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[1], NULL, 0));
	for (char **a = argv + 2; *a; a++) {
		if (!strcmp(*a, "margin") && a[1])
			mnl_attr_put_u32(nlh, MCIPSEC_A_SEQ_MARGIN, strtoul(*++a, NULL, 0));
		else if (!strcmp(*a, "hold") && a[1])
			mnl_attr_put_u8(nlh, MCIPSEC_A_SEQ_HOLD, parse_hold(*++a));
		else if (n < LENGTH(array))
			array[n++] = parse_seq(*a);
	}
	mnl_attr_put(nlh, MCIPSEC_A_SEQ, n * sizeof(array[0]), array);
	err = nl_talk(nl, nlh, print_result, NULL);
	return err ? refused(nl, err) : 0;
}

static int do_switchover(struct nl *nl, char **argv)
{
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_SWITCHOVER, 0);
	int err;

	if (!argv[0] || !argv[1])
		usage("switchover ID SWITCHOVER-ID [FLAGS]");
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strtoul(argv[0], NULL, 0));
	mnl_attr_put_u64(nlh, MCIPSEC_A_SWITCHOVER_ID, strtoull(argv[1], NULL, 0));
	if (argv[2])
		mnl_attr_put_u32(nlh, MCIPSEC_A_SWITCHOVER_FLAGS, strtoul(argv[2], NULL, 0));
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

static int do_events(struct nl *nl, char **argv)
{
	struct pollfd pfd = {.fd = mnl_socket_get_fd(nl->sock), .events = POLLIN};
	uint64_t end, now;
	int left;

	if (!argv[0] || !argv[1])
		usage("events MS COUNT [READY-FILE]");
	if (mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP, &nl->events,
				  sizeof(nl->events)) < 0)
		return refused(nl, -errno);
	if (argv[2])
		close(open(argv[2], O_CREAT | O_WRONLY, 0600));
	end = now_ns(CLOCK_BOOTTIME) + strtoull(argv[0], NULL, 0) * 1000000;
	left = atoi(argv[1]);
	while (left > 0) {
		ssize_t got;
		const struct nlmsghdr *in = (const struct nlmsghdr *)nl->buffer;
		int len;

		now = now_ns(CLOCK_BOOTTIME);
		if (now >= end)
			break;
		if (poll(&pfd, 1, (end - now) / 1000000 + 1) <= 0)
			continue;
		got = mnl_socket_recvfrom(nl->sock, nl->buffer, sizeof(nl->buffer));
		if (got < 0)
			return refused(nl, -errno);
		len = (int)got;
		for (; mnl_nlmsg_ok(in, len); in = mnl_nlmsg_next(in, &len), left--) {
			printf("received %llu\n", (unsigned long long)now_ns(CLOCK_BOOTTIME));
			print_group(in, NULL);
		}
		fflush(stdout);
	}
	return left > 0;
}

static int do_gate(struct nl *nl, char **argv)
{
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_DEBUG_SET, 0);
	int err;

	if (!argv[0])
		usage("gate on|off");
	mnl_attr_put_u8(nlh, MCIPSEC_A_GATE_HOOK_OFF, !strcmp(argv[0], "off"));
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

/* Malformed requests, each of which must be refused with a message. */
static int do_bad(struct nl *nl, char **argv)
{
	uint8_t cookie[MCIPSEC_COOKIE_LEN] = "bad";
	struct mcipsec_addr addr = {.family = AF_INET, .addr = {192, 0, 2, 77}};
	struct nlmsghdr *nlh;
	struct nlattr *nest, *inner;
	const char *what = argv[0] ? argv[0] : "";
	int err;

	nlh = nl_genl(nl, request, MCIPSEC_CMD_GROUP_NEW, NLM_F_CREATE);
	if (!strcmp(what, "no-id")) {
		nest = mnl_attr_nest_start(nlh, MCIPSEC_A_ADDRS);
		mnl_attr_nest_end(nlh, nest);
	} else if (!strcmp(what, "short-addr") || !strcmp(what, "padding") ||
		   !strcmp(what, "family") || !strcmp(what, "zero-addr") ||
		   !strcmp(what, "addr-flags") || !strcmp(what, "twice") ||
		   !strcmp(what, "many-addrs")) {
		int n = !strcmp(what, "many-addrs") ? MCIPSEC_ADDR_MAX + 1
			: !strcmp(what, "twice")    ? 2
						    : 1;

		if (!strcmp(what, "padding"))
			addr.addr[9] = 1;
		if (!strcmp(what, "family"))
			addr.family = AF_UNIX;
		if (!strcmp(what, "addr-flags"))
			addr.flags = MCIPSEC_ADDR_F_STATIC;
		if (!strcmp(what, "zero-addr"))
			memset(addr.addr, 0, sizeof(addr.addr));
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 77);
		nest = mnl_attr_nest_start(nlh, MCIPSEC_A_ADDRS);
		while (n--) {
			if (!strcmp(what, "many-addrs"))
				addr.addr[2] = n >> 8, addr.addr[3] = n;
			mnl_attr_put(nlh, MCIPSEC_A_ADDR, sizeof(addr) - !strcmp(what, "short-addr"),
				     &addr);
		}
		mnl_attr_nest_end(nlh, nest);
	} else if (!strcmp(what, "unknown-attr")) {
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 77);
		mnl_attr_put_u32(nlh, 200, 1);
	} else if (!strcmp(what, "wrong-size-id")) {
		mnl_attr_put_u8(nlh, MCIPSEC_A_GROUP_ID, 7);
	} else if (!strcmp(what, "state") || !strcmp(what, "flags") || !strcmp(what, "no-state") ||
		   !strcmp(what, "prepared-master") || !strcmp(what, "second-group") ||
		   !strcmp(what, "no-groups") || !strcmp(what, "short-cookie")) {
		nlh = nl_genl(nl, request, MCIPSEC_CMD_STATE_SET, 0);
		mnl_attr_put(nlh, MCIPSEC_A_COOKIE, sizeof(cookie) - !strcmp(what, "short-cookie"),
			     cookie);
		nest = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUPS);
		if (strcmp(what, "no-groups")) {
			inner = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUP);
			mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
			if (strcmp(what, "no-state"))
				mnl_attr_put_u8(nlh, MCIPSEC_A_STATE,
						!strcmp(what, "state") ? 5 : MCIPSEC_STATE_MASTER);
			if (!strcmp(what, "flags"))
				mnl_attr_put_u32(nlh, MCIPSEC_A_FLAGS, 1U << 31);
			if (!strcmp(what, "prepared-master"))
				mnl_attr_put_u32(nlh, MCIPSEC_A_FLAGS, MCIPSEC_F_PREPARED);
			mnl_attr_nest_end(nlh, inner);
		}
		if (!strcmp(what, "second-group")) {
			inner = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUP);
			mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 999);
			mnl_attr_put_u8(nlh, MCIPSEC_A_STATE, MCIPSEC_STATE_MASTER);
			mnl_attr_nest_end(nlh, inner);
		}
		mnl_attr_nest_end(nlh, nest);
	} else if (!strcmp(what, "seq-size") || !strcmp(what, "seq-margin") ||
		   !strcmp(what, "seq-hold")) {
		char half[72] = {0};

		nlh = nl_genl(nl, request, MCIPSEC_CMD_SEQ_SET, 0);
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
		mnl_attr_put(nlh, MCIPSEC_A_SEQ, sizeof(struct mcipsec_seq) - !strcmp(what, "seq-size"), half);
		if (!strcmp(what, "seq-margin"))
			mnl_attr_put_u32(nlh, MCIPSEC_A_SEQ_MARGIN, MCIPSEC_SEQ_MARGIN_MAX + 1);
		if (!strcmp(what, "seq-hold"))
			mnl_attr_put_u8(nlh, MCIPSEC_A_SEQ_HOLD, __MCIPSEC_HOLD_MAX);
	} else if (!strcmp(what, "peers-size") || !strcmp(what, "peers-reserved") ||
		   !strcmp(what, "peers-zero") || !strcmp(what, "peers-no-group")) {
		struct mcipsec_static_peer peer = {.local = {1}, .remote = {2}, .family = AF_INET};

		peer.reserved = !strcmp(what, "peers-reserved");
		if (!strcmp(what, "peers-zero"))
			peer.remote[0] = 0;
		nlh = nl_genl(nl, request, MCIPSEC_CMD_STATIC_PEERS_SET, 0);
		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, strcmp(what, "peers-no-group") ? 1 : 77);
		mnl_attr_put(nlh, MCIPSEC_A_STATIC_PEERS,
			     sizeof(peer) - !strcmp(what, "peers-size"), &peer);
	} else if (!strcmp(what, "lease-far") || !strcmp(what, "lease-id")) {
		nlh = nl_genl(nl, request, MCIPSEC_CMD_LEASE_SET, 0);
		mnl_attr_put(nlh, MCIPSEC_A_COOKIE, sizeof(cookie), cookie);
		mnl_attr_put_u32(nlh, MCIPSEC_A_LEASE_ID,
				 !strcmp(what, "lease-id") ? MCIPSEC_LEASE_MAX + 1 : 1);
		mnl_attr_put_u64(nlh, MCIPSEC_A_LEASE_EXPIRY,
				 now_ns(CLOCK_BOOTTIME) + 3601ULL * 1000000000);
	} else if (!strcmp(what, "command")) {
		nlh = nl_genl(nl, request, 100, 0);
	} else {
		usage("bad CASE");
	}
	err = nl_talk(nl, nlh, NULL, NULL);
	return err ? refused(nl, err) : 0;
}

int main(int argc, char **argv)
{
	struct nl *nl = nl_open(NETLINK_GENERIC);

	if (argc < 2)
		usage("mcipsec-nl group|state|lease|seq|switchover|events|gate|bad ...");
	if (!nl_find_mcipsec(nl)) {
		fprintf(stderr, "mcipsec-nl: no generic netlink family mcipsec\n");
		return 3;
	}
	if (!strcmp(argv[1], "group"))
		return do_group(nl, argv + 2);
	if (!strcmp(argv[1], "state"))
		return do_state(nl, argv + 2);
	if (!strcmp(argv[1], "lease"))
		return do_lease(nl, argv + 2);
	if (!strcmp(argv[1], "seq"))
		return do_seq(nl, argv + 2);
	if (!strcmp(argv[1], "switchover"))
		return do_switchover(nl, argv + 2);
	if (!strcmp(argv[1], "events"))
		return do_events(nl, argv + 2);
	if (!strcmp(argv[1], "gate"))
		return do_gate(nl, argv + 2);
	if (!strcmp(argv[1], "bad"))
		return do_bad(nl, argv + 2);
	usage(argv[1]);
}
