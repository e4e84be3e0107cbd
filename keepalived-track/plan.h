/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan - what has to fall when a tunnel-group stops forwarding.
 *
 * The agent leaves <run-dir>/fence.plan behind, written to a temporary file
 * and renamed. Documentation/fence-plan.rst is the full description; in short:
 *
 *	mcipsec-fence-plan 1
 *	group 1 track /run/mcipsec/vrrp/VRRP10.track -150
 *	group 1 route 192.168.1.1/32 table 2 metric 0 dev tunnel-1
 *	end
 *
 * "group N track PATH VALUE": the keepalived track file PATH has to hold VALUE
 * while group N does not forward. "group N route PREFIX table T [metric M]
 * [dev NAME]": a route of the agent, named by the kernel's own key (M defaults
 * to 0 for IPv4 and 1024 for IPv6; NAME is only for the reader). Lines that
 * begin with '#' are comments. A file whose last line is not "end" was cut.
 *
 * Invariants: a plan is taken over whole or not at all; a refused file leaves
 * the plan in force as it was. Single-threaded.
 */
#ifndef MCIPSEC_TRACK_PLAN_H
#define MCIPSEC_TRACK_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define PLAN_FILE	"fence.plan"
#define PLAN_VERSION	1
#define PLAN_LINE_MAX	511
#define PLAN_PATH_MAX	255
#define PLAN_FIRST_STAGE (-255)	/* keepalived: FAULT, gives mastership away */

struct plan_track {
	uint32_t group;
	int value;		/* to hold while the group does not forward */
	char path[PLAN_PATH_MAX + 1];
	int undo;		/* what the file held before this round */
	int touched;		/* this round wrote it */
};

struct plan_route {
	uint32_t group;
	uint32_t table;
	uint32_t metric;
	uint8_t family;		/* AF_INET or AF_INET6 */
	uint8_t prefix_len;
	uint8_t undo;		/* protocol before this round, 0: untouched */
	uint8_t addr[16];	/* network order, IPv4 in the first four */
};

struct plan {
	struct plan_track *tracks;
	size_t n_tracks;
	struct plan_route *routes;	/* sorted by the kernel's key */
	size_t n_routes;
	uint32_t *groups;		/* sorted, each once */
	size_t n_groups;
};

/*
 * Read a plan. 0: *plan holds the new one, what it held is freed. -ENOENT: no
 * such file; -EINVAL: refused (logged with file and line); other -errno: not
 * readable. On error *plan is left as it was.
 */
int plan_load(struct plan *plan, const char *path);
void plan_free(struct plan *plan);

/* The plan's line for a route of the kernel, NULL if it is not ours. */
struct plan_route *plan_find_route(const struct plan *plan,
				   const struct plan_route *key);

#endif
