// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-seq N - sequence state of N SAs, in bulk through the module against
 * one by one through XFRM, on the same SAs in the same run: the ratio is what
 * counts. Run it in a namespace of its own. A table on stderr, one JSON object
 * on stdout. Exit 1 if a number read back is wrong.
 */
#include "nl.h"
#include "xfrm.h"

#include <linux/genetlink.h>
#include <linux/mcipsec.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 5

static char request[NL_BUFFER];

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

static double seconds_since(uint64_t start)
{
	return (now_ns(CLOCK_MONOTONIC) - start) / 1e9;
}

struct export
{
	struct mcipsec_seq *seq;
	size_t n, room;
};

static int take(const struct nlmsghdr *nlh, void *data)
{
	struct export *e = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		size_t n = mnl_attr_get_payload_len(attr) / sizeof(*e->seq);

		if (mnl_attr_get_type(attr) != MCIPSEC_A_SEQ || e->n + n > e->room)
			continue;
		memcpy(e->seq + e->n, mnl_attr_get_payload(attr), n * sizeof(*e->seq));
		e->n += n;
	}
	return MNL_CB_OK;
}

static double bulk_export(struct nl *nl, struct export *e)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC);
	struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_SEQ_GET, NLM_F_DUMP);

	mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
	e->n = 0;
	if (nl_talk(nl, nlh, take, e)) {
		fprintf(stderr, "SEQ_GET: %s\n", nl->error);
		exit(1);
	}
	return seconds_since(start);
}

static double bulk_import(struct nl *nl, const struct export *e)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < e->n; i += MCIPSEC_SEQ_PER_MSG) {
		size_t n = e->n - i < MCIPSEC_SEQ_PER_MSG ? e->n - i : MCIPSEC_SEQ_PER_MSG;
		struct nlmsghdr *nlh = nl_genl(nl, request, MCIPSEC_CMD_SEQ_SET, 0);

		mnl_attr_put_u32(nlh, MCIPSEC_A_GROUP_ID, 1);
		mnl_attr_put(nlh, MCIPSEC_A_SEQ, n * sizeof(*e->seq), e->seq + i);
		if (nl_talk(nl, nlh, NULL, NULL)) {
			fprintf(stderr, "SEQ_SET: %s\n", nl->error);
			exit(1);
		}
	}
	return seconds_since(start);
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? atoi(argv[1]) : 10000, outbound = n / 2;
	double bulk_get[ROUNDS], one_get[ROUNDS], bulk_set[ROUNDS], one_set[ROUNDS];
	struct nl *genl = nl_open(NETLINK_GENERIC), *xfrm = nl_open(NETLINK_XFRM);
	struct export e = {.seq = calloc(n + 1, sizeof(*e.seq)), .room = n + 1};
	double get[2], set[2];
	uint64_t start;

	if (!nl_find_mcipsec(genl))
		return 4;
	nl_make_group(genl, XFRM_GATEWAY);
	if (!xfrm_add(xfrm, 0, n))
		return 1;
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t value = (r + 1) * 1000000ULL;

		bulk_get[r] = bulk_export(genl, &e);
		if (e.n != n) {
			fprintf(stderr, "exported %zu of %u SAs\n", e.n, n);
			return 1;
		}
		start = now_ns(CLOCK_MONOTONIC);
		for (unsigned int i = 0; i < n; i++)
			xfrm_get_oseq(xfrm, i);
		one_get[r] = seconds_since(start);

		for (size_t i = 0; i < e.n; i++)
			e.seq[i].oseq = e.seq[i].seq = value;
		bulk_set[r] = bulk_import(genl, &e);
		for (unsigned int i = 1; i < n; i += 2 * 997)
			if (xfrm_get_oseq(xfrm, i) != value) {
				fprintf(stderr, "SA %u: import lost\n", i);
				return 1;
			}
		start = now_ns(CLOCK_MONOTONIC);
		for (unsigned int i = 0; i < n; i++)
			xfrm_set_oseq(xfrm, i, i & 1 ? value + 1 : 0, i & 1 ? 0 : value + 1);
		one_set[r] = seconds_since(start);
	}
	get[0] = median(bulk_get, ROUNDS);
	get[1] = median(one_get, ROUNDS);
	set[0] = median(bulk_set, ROUNDS);
	set[1] = median(one_set, ROUNDS);
	fprintf(stderr,
		"%u SAs (%u outbound), medians of %d\n"
		"           bulk ms   one by one ms   ratio\n"
		"export   %9.1f   %13.1f   %5.1f  (against GETAE)\n"
		"import   %9.1f   %13.1f   %5.1f  (against NEWAE)\n",
		n, outbound, ROUNDS, get[0] * 1e3, get[1] * 1e3, get[1] / get[0], set[0] * 1e3,
		set[1] * 1e3, set[1] / set[0]);
	printf("{\"bench\":\"kmod_seq\",\"sas\":%u,\"export_ms\":%.2f,\"getae_ms\":%.2f,"
	       "\"export_ratio\":%.1f,\"import_ms\":%.2f,\"newae_ms\":%.2f,\"import_ratio\":%.1f}\n",
	       n, get[0] * 1e3, get[1] * 1e3, get[1] / get[0], set[0] * 1e3, set[1] * 1e3,
	       set[1] / set[0]);
	return 0;
}
