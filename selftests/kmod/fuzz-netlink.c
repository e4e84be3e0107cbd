// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz-netlink - random requests to the module's netlink family, of every command
 * and attribute: well-formed ones with borderline values, ones with attributes left
 * out, doubled, cut or nested where they do not belong, and plain noise.
 *
 * usage: fuzz-netlink SECONDS [SEED [PROCESSES]]
 *
 * Several processes work at once, so that requests meet. Only the kernel is judged
 * here, by its log and by what the caller checks afterwards; prints how many
 * requests were accepted and refused, as "sent N accepted N refused N". For the same
 * SEED each process sends the same requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/mcipsec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nl.h"

#define GROUPS 6	/* few, so that requests name groups that are there */

struct totals {
	unsigned long sent, accepted, refused;
};

static uint64_t state;

static uint64_t rnd(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static int one_in(int n)
{
	return rnd(n) == 0;
}

static const uint32_t edges[] = { 0, 1, 2, 3, 64, 65, 256, 1024, 1025, 0x7fffffff, 0x80000000, ~0U };

static uint32_t number(void)
{
	return one_in(3) ? edges[rnd(sizeof(edges) / sizeof(edges[0]))] : rnd(GROUPS);
}

static uint64_t now_plus_some(void)
{
	switch (rnd(4)) {
	case 0:
		return 0;
	case 1:
		return ~0ULL;
	default:
		return now_ns(CLOCK_BOOTTIME) + rnd(5000000);
	}
}

static void noise(void *to, size_t len)
{
	unsigned char *p = to;

	while (len--)
		*p++ = rnd(256);
}

static struct mcipsec_addr address(void)
{
	struct mcipsec_addr a = { .family = one_in(3) ? AF_INET6 : AF_INET };

	if (one_in(12)) {
		noise(&a, sizeof(a));
		return a;
	}
	/* 198.51.100.x is the tests' gateway's */
	if (a.family == AF_INET)
		memcpy(a.addr, (unsigned char[]){ 198, 51, 100, rnd(4) }, 4);
	else
		memcpy(a.addr, (unsigned char[]){ 0x20, 1, 0xd, 0xb8, 0, 0xff, 0, rnd(4) }, 8);
	return a;
}

/* An SA of the tests' topology, or none. */
static struct mcipsec_seq sequence(void)
{
	struct mcipsec_seq s;

	memset(&s, 0, sizeof(s));
	if (one_in(4)) {
		noise(&s, sizeof(s));
		return s;
	}
	s.spi = htonl(rnd(2) ? 0x100 : 0x200);
	s.proto = 50;
	s.family = AF_INET;
	s.flags = rnd(8);
	memcpy(s.daddr, s.spi == htonl(0x100) ? "\xc6\x33\x64\x01" : "\xc0\x00\x02\x0a", 4);
	s.oseq = rnd(3) ? rnd(1000) : ~0ULL;
	s.seq = rnd(3) ? rnd(1000) : ~0ULL;
	return s;
}

static void put(struct nlmsghdr *nlh, int type);

static void put_nested(struct nlmsghdr *nlh, int type, int inner, int most)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);
	int n = one_in(20) ? most : (int)rnd(4);

	while (n-- > 0 && mnl_nlmsg_get_payload_len(nlh) < 30000)
		put(nlh, one_in(10) ? (int)rnd(MCIPSEC_A_MAX + 2) : inner);
	mnl_attr_nest_end(nlh, nest);
}

static void put(struct nlmsghdr *nlh, int type)
{
	static struct mcipsec_seq seqs[MCIPSEC_SEQ_PER_MSG];
	struct mcipsec_static_peer peers[20];
	struct mcipsec_addr a;
	unsigned char bytes[64];
	unsigned int n, i;

	if (mnl_nlmsg_get_payload_len(nlh) > 34000)
		return;
	if (one_in(25)) {	/* of the wrong kind or size */
		n = rnd(sizeof(bytes));
		noise(bytes, n);
		mnl_attr_put(nlh, type | (one_in(3) ? NLA_F_NESTED : 0), n, bytes);
		return;
	}
	switch (type) {
	case MCIPSEC_A_ADDRS:
		put_nested(nlh, type, MCIPSEC_A_ADDR, MCIPSEC_ADDR_MAX + 1);
		break;
	case MCIPSEC_A_PUBLIC_NEXTHOPS:
	case MCIPSEC_A_PRIVATE_NEXTHOPS:
		put_nested(nlh, type, MCIPSEC_A_NEXTHOP, MCIPSEC_NEXTHOP_MAX + 1);
		break;
	case MCIPSEC_A_GROUPS:
		put_nested(nlh, type, MCIPSEC_A_GROUP, 40);
		break;
	case MCIPSEC_A_GROUP: {
		struct nlattr *nest = mnl_attr_nest_start(nlh, type);

		if (!one_in(10))
			put(nlh, MCIPSEC_A_GROUP_ID);
		if (!one_in(10))
			put(nlh, MCIPSEC_A_STATE);
		if (one_in(2))
			put(nlh, MCIPSEC_A_FLAGS);
		if (one_in(2))
			put(nlh, MCIPSEC_A_GENERATION);
		mnl_attr_nest_end(nlh, nest);
		break;
	}
	case MCIPSEC_A_ADDR:
	case MCIPSEC_A_NEXTHOP:
		a = address();
		if (type == MCIPSEC_A_NEXTHOP)
			a.flags = rnd(4);
		mnl_attr_put(nlh, type, sizeof(a), &a);
		break;
	case MCIPSEC_A_STATIC_PEERS:
		n = rnd(20);
		for (i = 0; i < n; i++) {
			a = address();
			memset(&peers[i], 0, sizeof(peers[i]));
			memcpy(peers[i].local, a.addr, sizeof(peers[i].local));
			memcpy(peers[i].remote, a.addr, sizeof(peers[i].remote));
			peers[i].family = a.family;
			peers[i].reserved = one_in(20);
		}
		mnl_attr_put(nlh, type, n * sizeof(peers[0]), peers);
		break;
	case MCIPSEC_A_STATIC_PEERS_MORE:
		mnl_attr_put(nlh, type, 0, NULL);
		break;
	case MCIPSEC_A_COOKIE:
		memset(bytes, 'a' + rnd(2), MCIPSEC_COOKIE_LEN);
		mnl_attr_put(nlh, type, MCIPSEC_COOKIE_LEN, bytes);
		break;
	case MCIPSEC_A_SEQ:
		n = one_in(30) ? MCIPSEC_SEQ_PER_MSG : rnd(4);
		for (i = 0; i < n; i++)
			seqs[i] = sequence();
		mnl_attr_put(nlh, type, n * sizeof(seqs[0]), seqs);
		break;
	case MCIPSEC_A_LEASE_EXPIRY:
		mnl_attr_put_u64(nlh, type, now_plus_some());
		break;
	case MCIPSEC_A_GENERATION:
	case MCIPSEC_A_SWITCHOVER_ID:
		mnl_attr_put_u64(nlh, type, number());
		break;
	case MCIPSEC_A_STATE:
	case MCIPSEC_A_GATE_HOOK_OFF:
		mnl_attr_put_u8(nlh, type, rnd(7));
		break;
	case MCIPSEC_A_FLAGS:
	case MCIPSEC_A_SWITCHOVER_FLAGS:
		mnl_attr_put_u32(nlh, type, one_in(8) ? number() : rnd(16));
		break;
	default:
		mnl_attr_put_u32(nlh, type, number());
	}
}

/* What each command is meant to carry. */
static const int takes[][6] = {
	[MCIPSEC_CMD_GROUP_NEW] = { MCIPSEC_A_GROUP_ID, MCIPSEC_A_ADDRS, MCIPSEC_A_PUBLIC_NEXTHOPS,
				    MCIPSEC_A_PRIVATE_NEXTHOPS, MCIPSEC_A_LEASE_ID },
	[MCIPSEC_CMD_GROUP_DEL] = { MCIPSEC_A_GROUP_ID },
	[MCIPSEC_CMD_GROUP_GET] = { MCIPSEC_A_GROUP_ID },
	[MCIPSEC_CMD_STATE_SET] = { MCIPSEC_A_COOKIE, MCIPSEC_A_GROUPS },
	[MCIPSEC_CMD_LEASE_SET] = { MCIPSEC_A_COOKIE, MCIPSEC_A_LEASE_ID, MCIPSEC_A_LEASE_EXPIRY },
	[MCIPSEC_CMD_SEQ_GET] = { MCIPSEC_A_GROUP_ID },
	[MCIPSEC_CMD_SEQ_SET] = { MCIPSEC_A_GROUP_ID, MCIPSEC_A_SEQ, MCIPSEC_A_SEQ_MARGIN },
	[MCIPSEC_CMD_SWITCHOVER] = { MCIPSEC_A_GROUP_ID, MCIPSEC_A_SWITCHOVER_ID, MCIPSEC_A_SWITCHOVER_FLAGS },
	[MCIPSEC_CMD_DEBUG_SET] = { MCIPSEC_A_GATE_HOOK_OFF },
	[MCIPSEC_CMD_STATIC_PEERS_SET] = { MCIPSEC_A_GROUP_ID, MCIPSEC_A_STATIC_PEERS, MCIPSEC_A_STATIC_PEERS_MORE },
};
#define TAKES (sizeof(takes) / sizeof(takes[0]))

static struct nlmsghdr *request(struct nl *nl, char *buf)
{
	unsigned int cmd = 1 + rnd(MCIPSEC_CMD_MAX), i, n;
	uint16_t flags = NLM_F_ACK;
	struct nlmsghdr *nlh;

	if (cmd == MCIPSEC_CMD_STATIC_PEERS_SET && one_in(4))
		flags |= NLM_F_REPLACE;
	if (cmd == MCIPSEC_CMD_GROUP_NEW)
		flags |= (uint16_t[]){ NLM_F_CREATE | NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE, 0 }[rnd(4)];
	if ((cmd == MCIPSEC_CMD_GROUP_GET && one_in(2)) || (cmd == MCIPSEC_CMD_SEQ_GET && !one_in(8)))
		flags |= NLM_F_DUMP;
	nlh = nl_genl(nl, buf, cmd, flags);
	if (one_in(15)) {	/* anything */
		for (n = rnd(8); n; n--)
			put(nlh, rnd(MCIPSEC_A_MAX + 2));
	} else if (cmd < TAKES) {
		for (i = 0; i < 6 && takes[cmd][i]; i++)
			if (!one_in(12))
				put(nlh, takes[cmd][i]);
	}
	if (one_in(20) && nlh->nlmsg_len > sizeof(*nlh) + sizeof(struct genlmsghdr)) {
		size_t head = sizeof(*nlh) + sizeof(struct genlmsghdr);

		for (n = 1 + rnd(3); n; n--)	/* some bytes flipped */
			buf[head + rnd(nlh->nlmsg_len - head)] ^= 1 << rnd(8);
	}
	return nlh;
}

/* Take what is there; true if a request was acknowledged without an error. */
static void drain(struct nl *nl, struct totals *totals)
{
	const struct nlmsghdr *nlh;
	ssize_t len;
	int left;

	while ((len = recv(mnl_socket_get_fd(nl->sock), nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT)) > 0) {
		left = len;
		for (nlh = (void *)nl->buffer; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_type == NLMSG_DONE)
				totals->accepted++;
			else if (nlh->nlmsg_type == NLMSG_ERROR && *(int *)mnl_nlmsg_get_payload(nlh))
				totals->refused++;
			else if (nlh->nlmsg_type == NLMSG_ERROR)
				totals->accepted++;
		}
	}
}

static void work(unsigned long seconds, struct totals *totals)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + seconds * 1000000000ULL;
	struct nl *nl = nl_open(NETLINK_GENERIC);
	static char buf[NL_BUFFER];
	struct nlmsghdr *nlh;
	int fd;

	if (!nl_find_mcipsec(nl))
		exit(3);
	/* fault injection with task-filter, where the kernel has it and it is set up */
	fd = open("/proc/self/make-it-fail", O_WRONLY);
	if (fd >= 0) {
		if (write(fd, "1", 1) != 1)
			perror("make-it-fail");
		close(fd);
	}
	while (now_ns(CLOCK_MONOTONIC) < end) {
		nlh = request(nl, buf);
		if (send(mnl_socket_get_fd(nl->sock), nlh, nlh->nlmsg_len, MSG_DONTWAIT) >= 0)
			totals->sent++;
		drain(nl, totals);
	}
}

int main(int argc, char **argv)
{
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	unsigned long processes = argc > 3 ? strtoul(argv[3], NULL, 0) : 2;
	struct totals *totals, sum = { 0 };
	int status, bad = 0;
	unsigned long i;

	if (!seconds || processes < 1 || processes > 16) {
		fprintf(stderr, "usage: fuzz-netlink SECONDS [SEED [PROCESSES]]\n");
		return 2;
	}
	totals = mmap(NULL, processes * sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED)
		return 1;
	for (i = 0; i < processes; i++) {
		if (fork() == 0) {
			state = seed * 0x9e3779b97f4a7c15ULL + i + 1;
			work(seconds, &totals[i]);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;
	for (i = 0; i < processes; i++) {
		sum.sent += totals[i].sent;
		sum.accepted += totals[i].accepted;
		sum.refused += totals[i].refused;
	}
	printf("sent %lu accepted %lu refused %lu\n", sum.sent, sum.accepted, sum.refused);
	return bad ? 1 : 0;
}
