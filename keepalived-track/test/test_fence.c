// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_fence - the decisions of a round, with a module and routes of our own
 * making; track files are real files.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fence.h"
#include "../routes.h"
#include "../trackfile.h"
#include "tap.h"

#define NOW	1000000ULL

/* --- the module: group n is world[n]; err stands for the whole answer --------- */

static struct {
	int err;
	struct group_status status;
} world[8];
static void (*between)(void);	/* runs once, before routes are changed */

uint64_t boottime_ns(void) { return NOW; }
int module_resolve(struct module *m) { m->family = 1; return 0; }

int module_group_get(struct module *m, uint32_t id, struct group_status *out)
{
	(void)m;
	*out = world[id].status;
	return world[id].err;
}

bool group_forwards(const struct group_status *s)
{
	return s->action == MCIPSEC_ACTION_FORWARD;
}

bool group_abandoned(const struct group_status *s, uint64_t now)
{
	return !group_forwards(s) && s->lease_id && s->lease_expiry <= now;
}

/* --- routes: the protocol of each line of the plan ----------------------------- */

static uint8_t installed[4];
static int routes_err;

uint8_t routes_fenced(uint8_t protocol)
{
	return protocol >= 201 && protocol <= 203 ? 204 :
	       protocol >= 211 && protocol <= 213 ? 214 : 0;
}

int routes_rewrite(struct plan *plan, routes_choose choose, void *data)
{
	int changed = 0;

	if (between) {
		between();
		between = NULL;
	}
	for (size_t i = 0; i < plan->n_routes; i++) {
		const uint8_t wanted = choose(&plan->routes[i], installed[i], data);

		if (wanted && wanted != installed[i]) {
			installed[i] = wanted;
			changed++;
		}
	}
	return routes_err ? routes_err : changed;
}

/* --- set-up --------------------------------------------------------------------- */

static char dir[32];
static struct fence fence;

static const char *file(char name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%c", dir, name);
	return path;
}

static int held(char name)
{
	int value;
	const int err = trackfile_read(file(name), &value);

	return err ? 10000 + err : value;
}

static void group(uint32_t id, uint8_t state, uint8_t action, uint32_t lease,
		  uint64_t expiry)
{
	world[id].err = 0;
	world[id].status = (struct group_status){
		.id = id, .state = state, .action = action, .lease_id = lease,
		.lease_expiry = expiry };
}

static void forwarding(uint32_t id)
{
	group(id, MCIPSEC_STATE_MASTER, MCIPSEC_ACTION_FORWARD, 1, NOW + 1);
}

static void expired(uint32_t id)
{
	group(id, MCIPSEC_STATE_MASTER, MCIPSEC_ACTION_BLACKHOLE, 1, NOW);
}

/* Group 1 and 2 share file s; each has a file of its own and a route. */
static void set_up(void)
{
	char text[64];
	FILE *out;

	plan_free(&fence.plan);
	memset(&fence, 0, sizeof(fence));
	snprintf(text, sizeof(text), "%s", file('p'));
	out = fopen(text, "w");
	fprintf(out, "mcipsec-fence-plan 1\n"
		"group 1 track %1$s/a -150\ngroup 2 track %1$s/b -100\n"
		"group 1 track %1$s/s -20\ngroup 2 track %1$s/s -30\n"
		"group 1 route 10.0.0.1/32 table 2\n"
		"group 2 route 10.0.0.2/32 table 2\nend\n", dir);
	fclose(out);
	if (plan_load(&fence.plan, text))
		abort();
	trackfile_write(file('a'), 0);
	trackfile_write(file('b'), 0);
	trackfile_write(file('s'), 0);
	installed[0] = 201;
	installed[1] = 212;
	forwarding(1);
	forwarding(2);
	routes_err = 0;
	between = NULL;
}

static bool all_is(int a, int b, int s, int one, int two)
{
	return held('a') == a && held('b') == b && held('s') == s &&
	       installed[0] == one && installed[1] == two;
}

/* --- the table ------------------------------------------------------------------- */

enum { D, N, E, S, M };		/* the five states */
enum { B, SH, F, P };		/* the four actions */

static const struct {
	uint8_t state, action;
	uint32_t lease;
	uint64_t expiry;
	int err;
	int falls;
} judgement[] = {
	/*  1 */ { M, F,  1, NOW + 1, 0, 0 },	/* forwards */
	/*  2 */ { E, F,  1, NOW + 1, 0, 0 },
	/*  3 */ { M, F,  0, 0,       0, 0 },	/* works alone, without a lease */
	/*  4 */ { M, B,  1, NOW,     0, 1 },	/* ran out, this very moment */
	/*  5 */ { E, B,  1, NOW - 1, 0, 1 },
	/*  6 */ { M, B,  1, NOW + 1, 0, 0 },	/* renewed, agent decides */
	/*  7 */ { S, SH, 1, NOW + 1, 0, 0 },	/* the agent's business */
	/*  8 */ { S, P,  1, NOW + 1, 0, 0 },
	/*  9 */ { S, B,  1, NOW + 1, 0, 0 },
	/* 10 */ { S, SH, 1, NOW - 1, 0, 1 },	/* died between state and routes */
	/* 11 */ { D, B,  1, 0,       0, 1 },	/* never had a lease */
	/* 12 */ { N, B,  1, NOW + 1, 0, 0 },
	/* 13 */ { S, B,  0, 0,       0, 0 },
	/* 14 */ { M, F,  1, NOW + 1, -ENOENT, 1 },	/* module or group gone */
	/* 15 */ { M, F,  1, NOW + 1, -ETIMEDOUT, 0 },	/* no answer: no verdict */
};

static void test_judgement(void)
{
	for (size_t i = 0; i < sizeof(judgement) / sizeof(*judgement); i++) {
		bool fallen, error;

		set_up();
		group(1, judgement[i].state, judgement[i].action, judgement[i].lease,
		      judgement[i].expiry);
		world[1].err = judgement[i].err;
		error = fence_round(&fence) != 0;
		fallen = all_is(-150, 0, -20, 204, 212);
		TAP(fallen == judgement[i].falls &&
		    (fallen || all_is(0, 0, 0, 201, 212)) &&
		    error == (judgement[i].err == -ETIMEDOUT),
		    "fence %2zu: %s, the other group stands", i + 1,
		    judgement[i].falls ? "falls" : "stays");
	}
}

static void test_values(void)
{
	set_up();
	expired(1);
	expired(2);
	fence_round(&fence);
	TAP(all_is(-150, -100, -30, 204, 214), "fence: of several values the lowest");

	set_up();
	trackfile_write(file('a'), -200);
	expired(1);
	fence_round(&fence);
	TAP(held('a') == -200, "fence: a lower value stays");

	set_up();
	trackfile_write(file('a'), -255);
	expired(1);
	fence_round(&fence);
	TAP(held('a') == -150, "fence: an unfinished first stage is finished");

	set_up();
	trackfile_write(file('s'), -30);
	expired(1);
	fence_round(&fence);
	TAP(held('s') == -30, "fence: what another group asked for stays");

	set_up();
	unlink(file('a'));
	expired(1);
	fence_round(&fence);
	TAP(held('a') == -150, "fence: a file that is missing is written");

	set_up();
	unlink(file('a'));
	if (symlink("b", file('a')))
		abort();
	expired(1);
	TAP(fence_round(&fence) == -ELOOP && held('b') == 0,
	    "fence: a symbolic link is not followed, and said");
	unlink(file('a'));
}

static void test_repetition(void)
{
	set_up();
	expired(1);
	fence_round(&fence);
	installed[0] = 201;
	fence_round(&fence);
	TAP(installed[0] == 201, "fence: routes are not looked at in each round");
	for (int i = 0; i < FENCE_ROUTES_EVERY; i++)
		fence_round(&fence);
	TAP(installed[0] == 204, "fence: but now and then");
	installed[0] = 201;
	fence_plan_changed(&fence);
	fence_round(&fence);
	TAP(installed[0] == 204, "fence: and with a new plan");
	trackfile_write(file('a'), 0);
	fence_round(&fence);
	TAP(held('a') == -150, "fence: files are looked at in each round");
	forwarding(1);
	fence_round(&fence);
	TAP(held('a') == -150, "fence: nothing is raised");
	trackfile_write(file('a'), 0);
	installed[0] = 202;
	expired(1);
	fence_round(&fence);
	TAP(held('a') == -150 && installed[0] == 204, "fence: the next fall");

	set_up();
	expired(1);
	routes_err = -EPERM;
	TAP(fence_round(&fence) == -EPERM, "fence: routes that fail are said");
	routes_err = 0;
	installed[0] = 201;
	TAP(!fence_round(&fence) && installed[0] == 204, "fence: and tried again");
}

static void agent_returns(void)
{
	forwarding(1);
}

static void agent_returns_as_standby(void)
{
	group(1, MCIPSEC_STATE_STANDBY, MCIPSEC_ACTION_SHUNT, 1, NOW + 1);
	installed[0] = 203;	/* what it wrote just before trackd did */
}

static void agent_returns_and_writes(void)
{
	forwarding(1);
	trackfile_write(file('a'), 5);
}

static void test_return(void)
{
	set_up();
	expired(1);
	between = agent_returns;
	fence_round(&fence);
	TAP(all_is(0, 0, 0, 201, 212), "fence: given back when the agent returned meanwhile");

	set_up();
	expired(1);
	expired(2);
	between = agent_returns;
	fence_round(&fence);
	TAP(all_is(0, -100, -30, 201, 214), "fence: but not what another group needs");

	set_up();
	expired(1);
	between = agent_returns_as_standby;
	fence_round(&fence);
	TAP(installed[0] == 203 && held('a') == 0, "fence: also when it returned as standby");

	set_up();
	expired(1);
	between = agent_returns_and_writes;
	fence_round(&fence);
	TAP(held('a') == 5, "fence: what the agent wrote meanwhile stays");
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_fence.XXXXXX");
	if (!mkdtemp(dir) || !freopen("/dev/null", "w", stderr))
		return 1;
	test_judgement();
	test_values();
	test_repetition();
	test_return();
	plan_free(&fence.plan);
	for (const char *name = "absp"; *name; name++)
		unlink(file(*name));
	rmdir(dir);
	return tap_end();
}
