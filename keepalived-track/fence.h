/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence - one round: compare what the module says with the plan, and make
 * track files and routes of abandoned tunnel-groups fall.
 *
 * Invariants: only ever lowers, except for what this very round changed and
 * the closing question shows to be wrong. A group that forwards, or whose
 * lease runs, is never touched. Single-threaded.
 */
#ifndef MCIPSEC_TRACK_FENCE_H
#define MCIPSEC_TRACK_FENCE_H

#include <stdbool.h>

#include <linux/mcipsec.h>

#include "module.h"
#include "plan.h"

/*
 * Track files are read in each round; routes, which may be many, in every tenth
 * round while a group is fenced: an agent that is half alive may write them.
 */
#define FENCE_ROUTES_EVERY	10

struct fence {
	struct module module;
	struct plan plan;
	bool fenced[MCIPSEC_GROUP_MAX + 1];	/* in this round */
	bool done[MCIPSEC_GROUP_MAX + 1];	/* routes followed already */
	bool told[MCIPSEC_GROUP_MAX + 1];	/* logged as fenced */
	int module_err;				/* last one logged */
	unsigned int rounds;
};

/*
 * 0, or -errno of the last thing that could not be done; a later round tries
 * it again.
 */
int fence_round(struct fence *f);

/* After a new plan: routes of fenced groups have to be looked at again. */
void fence_plan_changed(struct fence *f);

#endif
