// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fence - see fence.h; Documentation/fence-plan.rst gives the rules.
 */
#include "fence.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "routes.h"
#include "trackfile.h"

#define FIRST_STAGE_NS	20000000	/* long enough for keepalived to act */

static const char *const state_names[] = {
	[MCIPSEC_STATE_DISCOVERY] = "discovery",
	[MCIPSEC_STATE_NOT_ELIGIBLE] = "notEligible",
	[MCIPSEC_STATE_ELIGIBLE] = "eligible",
	[MCIPSEC_STATE_STANDBY] = "standby",
	[MCIPSEC_STATE_MASTER] = "master",
};

static const char *state_name(uint8_t state)
{
	return state < __MCIPSEC_STATE_MAX ? state_names[state] : "unknown";
}

/* As module_group_get(), also right after the module was loaded anew. */
static int ask(struct fence *f, uint32_t group, struct group_status *status)
{
	int err = module_group_get(&f->module, group, status);

	if (!err)
		return 0;
	err = module_resolve(&f->module);
	return err ? err : module_group_get(&f->module, group, status);
}

static void tell(uint32_t group, bool fenced, const struct group_status *status)
{
	if (!status)
		log_warn("tunnel-group %u: not in the kernel, fenced", group);
	else if (fenced)
		log_warn("tunnel-group %u: %s, lease ran out, fenced", group,
			 state_name(status->state));
	else
		log_info("tunnel-group %u: %s, in the agent's hands", group,
			 state_name(status->state));
}

/* Fill f->fenced. Returns how many groups have to fall that had not yet. */
static int judge(struct fence *f, int *err)
{
	const uint64_t now = boottime_ns();
	int fresh = 0;

	memset(f->fenced, 0, sizeof(f->fenced));
	for (size_t i = 0; i < f->plan.n_groups; i++) {
		const uint32_t group = f->plan.groups[i];
		struct group_status status;
		int ret = ask(f, group, &status);

		if (ret && ret != -ENOENT) {
			if (f->module_err != ret)
				log_err("tunnel-group %u: module: %s", group,
					strerror(-ret));
			f->module_err = ret;
			f->fenced[group] = f->told[group];
			*err = ret;
			continue;
		}
		f->fenced[group] = ret == -ENOENT || group_abandoned(&status, now);
		if (f->fenced[group] != f->told[group])
			tell(group, f->fenced[group], ret ? NULL : &status);
		f->told[group] = f->fenced[group];
		if (!f->fenced[group])
			f->done[group] = false;
		else if (!f->done[group])
			fresh++;
	}
	return fresh;
}

/* The value a fenced file has to hold: the lowest of all fenced groups. */
static int lowest_value(const struct fence *f, const char *path)
{
	int value = INT_MAX;

	for (size_t i = 0; i < f->plan.n_tracks; i++) {
		const struct plan_track *t = &f->plan.tracks[i];

		if (f->fenced[t->group] && t->value < value &&
		    !strcmp(t->path, path))
			value = t->value;
	}
	return value;
}

static bool first_stage_wanted(const struct fence *f, const char *path)
{
	for (size_t i = 0; i < f->plan.n_tracks; i++)
		if (f->plan.tracks[i].value <= PLAN_FIRST_STAGE &&
		    !strcmp(f->plan.tracks[i].path, path))
			return true;
	return false;
}

/* True for the first fenced line of each path, which acts for all of them. */
static bool speaks_for_path(const struct fence *f, size_t index)
{
	const struct plan_track *t = &f->plan.tracks[index];

	if (!f->fenced[t->group])
		return false;
	for (size_t i = 0; i < index; i++)
		if (f->fenced[f->plan.tracks[i].group] &&
		    !strcmp(f->plan.tracks[i].path, t->path))
			return false;
	return true;
}

static int write_value(const char *path, int value, int *err)
{
	int ret = trackfile_write(path, value);

	if (ret) {
		log_err("%s: %s", path, strerror(-ret));
		*err = ret;
	}
	return ret;
}

/* Returns whether a second stage has to follow. */
static bool tracks_first_stage(struct fence *f, int *err)
{
	bool second = false;

	for (size_t i = 0; i < f->plan.n_tracks; i++) {
		struct plan_track *t = &f->plan.tracks[i];
		int value, held;

		t->touched = 0;
		if (!speaks_for_path(f, i))
			continue;
		value = lowest_value(f, t->path);
		if (trackfile_read(t->path, &held))
			held = INT_MAX;		/* no file, or not a number */
		if (held <= value && (held != PLAN_FIRST_STAGE ||
				      first_stage_wanted(f, t->path)))
			continue;
		t->undo = held;
		t->touched = 1;
		second = true;
		if (held != PLAN_FIRST_STAGE)
			write_value(t->path, PLAN_FIRST_STAGE, err);
	}
	return second;
}

static void tracks_second_stage(struct fence *f, int *err)
{
	for (size_t i = 0; i < f->plan.n_tracks; i++) {
		struct plan_track *t = &f->plan.tracks[i];
		int value, held;

		if (!t->touched)
			continue;
		/* Another value by now: the agent lives, and wrote it. */
		if (trackfile_read(t->path, &held) || held != PLAN_FIRST_STAGE) {
			t->touched = 0;
			continue;
		}
		value = lowest_value(f, t->path);
		if (!write_value(t->path, value, err))
			log_warn("%s: %d", t->path, value);
	}
}

static uint8_t demote(struct plan_route *route, uint8_t protocol, void *data)
{
	const struct fence *f = data;
	uint8_t wanted = f->fenced[route->group] ? routes_fenced(protocol) : 0;

	if (wanted)
		route->undo = protocol;
	return wanted;
}

static int demote_routes(struct fence *f)
{
	int ret;

	for (size_t i = 0; i < f->plan.n_routes; i++)
		f->plan.routes[i].undo = 0;
	ret = routes_rewrite(&f->plan, demote, f);
	if (ret < 0)
		log_err("routes: %s", strerror(-ret));
	else if (ret)
		log_warn("%d route(s) are ipsec-fenced now", ret);
	return ret < 0 ? ret : 0;
}

static uint8_t restore(struct plan_route *route, uint8_t protocol, void *data)
{
	const bool *back = data;

	return back[route->group] &&
	       protocol == routes_fenced(route->undo) ? route->undo : 0;
}

/*
 * The agent renewed its lease between our question and our writing. back: the
 * groups concerned; a file that another fenced group names stays down.
 */
static void give_back(struct fence *f, const bool *back)
{
	for (size_t i = 0; i < f->plan.n_tracks; i++) {
		struct plan_track *t = &f->plan.tracks[i];
		int held;

		if (t->touched)
			t->touched = !trackfile_read(t->path, &held) &&
				     (held == PLAN_FIRST_STAGE ||
				      held == lowest_value(f, t->path));
	}
	for (uint32_t group = 1; group <= MCIPSEC_GROUP_MAX; group++)
		if (back[group])
			f->fenced[group] = f->done[group] = f->told[group] = false;
	for (size_t i = 0; i < f->plan.n_tracks; i++) {
		const struct plan_track *t = &f->plan.tracks[i];
		const int lowest = lowest_value(f, t->path);
		const int value = lowest < t->undo ? lowest : t->undo;
		int err;

		if (t->touched && value != INT_MAX)
			write_value(t->path, value, &err);
	}
	routes_rewrite(&f->plan, restore, (void *)back);
}

static void check_again(struct fence *f)
{
	bool back[MCIPSEC_GROUP_MAX + 1] = { false }, any = false;

	for (size_t i = 0; i < f->plan.n_groups; i++) {
		const uint32_t group = f->plan.groups[i];
		struct group_status status;

		if (f->fenced[group] && !ask(f, group, &status) &&
		    !group_abandoned(&status, boottime_ns())) {
			log_warn("tunnel-group %u: %s, has its agent again, given back", group,
				 state_name(status.state));
			back[group] = any = true;
		}
	}
	if (any)
		give_back(f, back);
}

int fence_round(struct fence *f)
{
	struct timespec rest = { .tv_nsec = FIRST_STAGE_NS };
	bool second, acted;
	int fresh, err = 0;

	if (++f->rounds % FENCE_ROUTES_EVERY == 0)
		memset(f->done, 0, sizeof(f->done));
	fresh = judge(f, &err);
	if (!err)
		f->module_err = 0;
	second = tracks_first_stage(f, &err);
	acted = second || fresh;
	if (fresh) {
		int ret = demote_routes(f);

		if (ret)
			err = ret;
		for (size_t i = 0; i < f->plan.n_groups; i++)
			f->done[f->plan.groups[i]] =
				!ret && f->fenced[f->plan.groups[i]];
	}
	if (second) {
		nanosleep(&rest, NULL);
		tracks_second_stage(f, &err);
	}
	if (acted)
		check_again(f);
	return err;
}

void fence_plan_changed(struct fence *f)
{
	memset(f->done, 0, sizeof(f->done));
}
