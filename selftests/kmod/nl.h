/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nl.h - the little of netlink that the module's tests and benchmarks need, on
 * libmnl: a socket to a family, one request with its answer, and the kernel's
 * own words when it refuses. For one thread; a lack of memory ends the program.
 */
#ifndef MCIPSEC_SELFTEST_NL_H
#define MCIPSEC_SELFTEST_NL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NL_BUFFER (128 * 1024)

struct nl {
	struct mnl_socket *sock;
	uint16_t family; /* generic netlink id; 0 for another protocol */
	uint32_t events; /* its multicast group */
	uint32_t seq;
	char error[256]; /* of the last refusal, the kernel's words */
	char buffer[NL_BUFFER];
};

/* Open a socket; exits with a message if that fails. */
struct nl *nl_open(int protocol);

/* Find generic netlink family `mcipsec`; false if it is not there. */
bool nl_find_mcipsec(struct nl *nl);

/* Start a request in @buf (of at least NL_BUFFER bytes). */
struct nlmsghdr *nl_genl(struct nl *nl, void *buf, uint8_t cmd, uint16_t flags);

/*
 * Send and take everything that comes back, each message to @cb (may be NULL).
 * 0 or -errno of the kernel, with nl->error set.
 */
int nl_talk(struct nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* Create tunnel-group 1 with one IPv4 address; exits with a message if that fails. */
void nl_make_group(struct nl *nl, const char *address);

uint64_t now_ns(int clock);

#endif
