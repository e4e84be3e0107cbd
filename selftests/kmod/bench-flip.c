// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-flip N - how long from the request that flips a group to the first
 * packet that is treated by the new state, with 1 SA and with N.
 *
 * One thread: the kernel carries a netlink request out inside sendto(), and the
 * next system call sends a packet from the gateway address, whose treatment
 * (EPERM or not) is checked. So no scheduling of a second thread is measured.
 * Closing includes the grace period after which no CPU holds the old state;
 * opening and closing are kept apart. Half of the flips with 1 SA come before
 * those with N, half after, so that a machine that changes its speed favours
 * neither. Run it in a namespace of its own that can route 10.0.0.0/8 from the
 * gateway address. A table on stderr, one JSON object on stdout; exit 1 if a
 * packet was treated by the old state.
 */
#include "nl.h"
#include "xfrm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/mcipsec.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define FLIPS 100

static char request[NL_BUFFER];

static int packets; /* a socket bound to the gateway address */

static void open_packets(void)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(500)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(500)};

	packets = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, XFRM_GATEWAY, &from.sin_addr);
	inet_pton(AF_INET, "10.0.0.1", &to.sin_addr);
	if (bind(packets, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(packets, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("socket of the gateway address");
		exit(1);
	}
}

/* Send one; does it pass? */
static bool packet_passes(void)
{
	if (send(packets, "ike", 3, 0) == 3)
		return true;
	if (errno != EPERM) {
		perror("send");
		exit(1);
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static void flip(struct nl *nl, int open)
{
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_STATE_SET, 0);
	uint8_t cookie[MCIPSEC_COOKIE_LEN] = "bench";
	struct nlattr *groups, *group;

	mnl_attr_put(nlh, MCIPSEC_A_COOKIE, sizeof(cookie), cookie);
	groups = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUPS);
	group = mnl_attr_nest_start(nlh, MCIPSEC_A_GROUP);
	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
	mnl_attr_put_u8(nlh, MCIPSEC_A_STATE, open ? MCIPSEC_STATE_MASTER : MCIPSEC_STATE_STANDBY);
	mnl_attr_nest_end(nlh, group);
	mnl_attr_nest_end(nlh, groups);
	if (nl_talk(nl, nlh, NULL, NULL)) {
		fprintf(stderr, "STATE_SET: %s\n", nl->error);
		exit(1);
	}
}

struct sample {
	double open[FLIPS], close[FLIPS];
};

/* Microseconds of flips @from..@to, both ways. */
static void measure(struct nl *nl, struct sample *us, int from, int to)
{
	for (int i = from; i < to; i++) {
		for (int open = 1; open >= 0; open--) {
			uint64_t start = now_ns(CLOCK_MONOTONIC);

			flip(nl, open);
			if (packet_passes() != open) {
				fprintf(stderr, "a packet was treated by the old state\n");
				exit(1);
			}
			(open ? us->open : us->close)[i] = (now_ns(CLOCK_MONOTONIC) - start) / 1e3;
		}
	}
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? atoi(argv[1]) : 10000;
	struct nl *genl = nl_open(NETLINK_GENERIC), *xfrm = nl_open(NETLINK_XFRM);
	struct sample one, many;
	double o1, on, c1, cn, ratio;

	if (!nl_find_mcipsec(genl))
		return 4;
	nl_make_group(genl, XFRM_GATEWAY);
	open_packets();
	measure(genl, &one, 0, FLIPS / 2); /* warm up; overwritten */
	if (!xfrm_add(xfrm, 0, 1))
		return 1;
	measure(genl, &one, 0, FLIPS / 2);
	if (!xfrm_add(xfrm, 1, n))
		return 1;
	measure(genl, &many, 0, FLIPS);
	if (!xfrm_delete(xfrm, 1, n))
		return 1;
	measure(genl, &one, FLIPS / 2, FLIPS);

	o1 = median(one.open, FLIPS);
	on = median(many.open, FLIPS);
	c1 = median(one.close, FLIPS);
	cn = median(many.close, FLIPS);
	ratio = on / o1 > cn / c1 ? on / o1 : cn / c1;
	fprintf(stderr,
		"flip request to first packet by the new state, us, medians of %d\n"
		"     SAs      open     close\n"
		"%8u  %8.1f  %8.1f\n"
		"%8u  %8.1f  %8.1f\n"
		"   ratio  %8.2f  %8.2f\n",
		FLIPS, 1, o1, c1, n, on, cn, on / o1, cn / c1);
	printf("{\"bench\":\"kmod_flip\",\"sas\":%u,\"open_us_1\":%.1f,\"open_us_n\":%.1f,"
	       "\"close_us_1\":%.1f,\"close_us_n\":%.1f,\"ratio\":%.3f}\n",
	       n, o1, on, c1, cn, ratio);
	return 0;
}
