// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mcipsec-track - does a tunnel-group forward? For keepalived's track_script
 * and for shells.
 *
 * It asks the kernel module, not the agent: the answer is right, and comes in
 * time, also while the agent hangs. The gate compares the lease with the clock
 * for each packet; so does the module when it reports the action.
 *
 * exit: 0 forwards, 1 does not, 2 unknown (no module, no such group, no answer
 * within 50 ms, wrong usage).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/mcipsec.h>

#include "module.h"

#define ANSWER_MS	20	/* each of two questions; 50 ms is the promise */

enum { FORWARDS = 0, FORWARDS_NOT = 1, UNKNOWN = 2 };

static int usage(FILE *to, int status)
{
	fputs("usage: mcipsec-track TUNNEL-GROUP\n"
	      "\n"
	      "Asks the kernel whether a tunnel-group (1..1024) forwards.\n"
	      "exit: 0 it forwards, 1 it does not, 2 unknown\n"
	      "\n"
	      "  -h, --help  this text\n", to);
	return status;
}

static int parse_group(const char *text, uint32_t *id)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value < 1 || value > MCIPSEC_GROUP_MAX)
		return -EINVAL;
	*id = (uint32_t)value;
	return 0;
}

static int unknown(const char *what, int err, const char *absent)
{
	fprintf(stderr, "mcipsec-track: %s: %s\n", what,
		err == -ENOENT ? absent : strerror(-err));
	return UNKNOWN;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	struct group_status status;
	struct module module;
	uint32_t group;
	int opt, err;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1)
		return opt == 'h' ? usage(stdout, 0) : usage(stderr, UNKNOWN);
	if (argc - optind != 1)
		return usage(stderr, UNKNOWN);
	if (parse_group(argv[optind], &group)) {
		fprintf(stderr, "mcipsec-track: tunnel-group '%s': 1..%d is allowed\n",
			argv[optind], MCIPSEC_GROUP_MAX);
		return UNKNOWN;
	}

	err = module_open(&module, ANSWER_MS);
	if (err)
		return unknown("netlink", err, "not there");
	err = module_resolve(&module);
	if (err)
		return unknown("kernel module mcipsec", err, "not loaded");
	err = module_group_get(&module, group, &status);
	if (err)
		return unknown(argv[optind], err, "no such tunnel-group here");
	module_close(&module);
	return group_forwards(&status) ? FORWARDS : FORWARDS_NOT;
}
