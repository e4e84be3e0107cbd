// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_plan - the fence plan's grammar (Documentation/fence-plan.rst), one line
 * of a table a rule, and what a refused plan must leave alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../plan.h"
#include "tap.h"

#define HEAD	"mcipsec-fence-plan 1\n"
#define END	"end\n"

static char path[64];

static int load(struct plan *plan, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
	return plan_load(plan, path);
}

/* A plan of one track file and one route, to see what stays. */
static void known_plan(struct plan *plan)
{
	if (load(plan, HEAD "group 7 track /t -1\n"
		 "group 7 route 10.0.0.1/32 table 9\n" END))
		abort();
}

static const struct {
	int err;
	const char *text;
	const char *what;
} grammar[] = {
	/*  1 */ { 0, HEAD END, "nothing to fence" },
	/*  2 */ { 0, HEAD "# text\n\n \t \n" END, "comments and empty lines" },
	/*  3 */ { 0, HEAD "group 1 track /a -150\n" END, "track file" },
	/*  4 */ { 0, HEAD "group\t1  track\t/a -255\n" END, "tabs, several blanks" },
	/*  5 */ { 0, HEAD "group 1024 route 10.0.0.0/8 table 254\n" END, "route" },
	/*  6 */ { 0, HEAD "group 1 route ::/0 table 4294967295 metric 5 dev x\n" END,
		   "IPv6 route with everything" },
	/*  7 */ { 0, HEAD "group 1 dance now\n" END, "unknown statement of a group" },
	/*  8 */ { 0, HEAD "future thing\n" END, "unknown statement" },
	/*  9 */ { -EINVAL, "", "empty file" },
	/* 10 */ { -EINVAL, HEAD, "no end" },
	/* 11 */ { -EINVAL, HEAD "end", "no line end" },
	/* 12 */ { -EINVAL, END, "no header" },
	/* 13 */ { -EINVAL, "mcipsec-fence-plan 2\n" END, "other version" },
	/* 14 */ { -EINVAL, "mcipsec-fence-plan\n" END, "no version" },
	/* 15 */ { -EINVAL, HEAD END "group 1 track /a -1\n", "more behind end" },
	/* 16 */ { -EINVAL, HEAD "group 0 track /a -1\n" END, "group 0" },
	/* 17 */ { -EINVAL, HEAD "group 1025 track /a -1\n" END, "group 1025" },
	/* 18 */ { -EINVAL, HEAD "group x track /a -1\n" END, "group x" },
	/* 19 */ { -EINVAL, HEAD "group 1 track a -1\n" END, "relative path" },
	/* 20 */ { -EINVAL, HEAD "group 1 track /a\n" END, "no value" },
	/* 21 */ { -EINVAL, HEAD "group 1 track /a -256\n" END, "value -256" },
	/* 22 */ { -EINVAL, HEAD "group 1 track /a 256\n" END, "value 256" },
	/* 23 */ { -EINVAL, HEAD "group 1 track /a 1 2\n" END, "two values" },
	/* 24 */ { -EINVAL, HEAD "group 1 route 10.0.0.1 table 2\n" END, "no length" },
	/* 25 */ { -EINVAL, HEAD "group 1 route 10.0.0.1/33 table 2\n" END, "/33" },
	/* 26 */ { -EINVAL, HEAD "group 1 route ::1/129 table 2\n" END, "/129" },
	/* 27 */ { -EINVAL, HEAD "group 1 route 10.0.0/8 table 2\n" END, "three bytes" },
	/* 28 */ { -EINVAL, HEAD "group 1 route 10.0.0.1/32\n" END, "no table" },
	/* 29 */ { -EINVAL, HEAD "group 1 route 10.0.0.1/32 table 0\n" END, "table 0" },
	/* 30 */ { -EINVAL, HEAD "group 1 route 10.0.0.1/32 table 2 metric\n" END,
		   "word without value" },
	/* 31 */ { -EINVAL, HEAD "group 1 route 10.0.0.1/32 table 2 via 10.0.0.2\n" END,
		   "unknown word" },
};

static void test_grammar(void)
{
	for (size_t i = 0; i < sizeof(grammar) / sizeof(*grammar); i++) {
		struct plan plan = { 0 };
		int err;

		known_plan(&plan);
		err = load(&plan, grammar[i].text);
		TAP(err == grammar[i].err &&
		    (!err || (plan.n_groups == 1 && plan.groups[0] == 7 &&
			      plan.n_tracks == 1 && plan.n_routes == 1)),
		    "plan %2zu: %s: %s", i + 1, grammar[i].what,
		    err ? "refused, the old one stays" : "taken");
		plan_free(&plan);
	}
}

static void test_long_line(void)
{
	struct plan plan = { 0 };
	char text[1024] = HEAD "# ";

	memset(text + strlen(text), 'x', 600);
	strcat(text, "\n" END);
	TAP(load(&plan, text) == -EINVAL, "plan: a line of 600 bytes is refused");
	TAP(plan_load(&plan, "/nonexistent/plan") == -ENOENT, "plan: no file");
	plan_free(&plan);
}

static void test_content(void)
{
	struct plan plan = { 0 };
	struct plan_route key = { .family = AF_INET, .prefix_len = 32, .table = 2 };
	const struct plan_route *found;

	load(&plan, HEAD
	     "group 2 track /run/b.track -50\n"
	     "group 1 route 192.168.1.1/32 table 2 metric 7\n"
	     "group 2 route 192.168.1.1/32 table 2\n"
	     "group 1 route 2001:db8::1/128 table 3 metric 0\n"
	     "group 1 track /run/a.track -150\n" END);
	TAP(plan.n_groups == 2 && plan.n_tracks == 2 && plan.n_routes == 3,
	    "plan: everything is there, each group once");
	TAP(plan.tracks[0].group == 2 && plan.tracks[0].value == -50 &&
	    !strcmp(plan.tracks[0].path, "/run/b.track"), "plan: track file");
	inet_pton(AF_INET, "192.168.1.1", key.addr);
	found = plan_find_route(&plan, &key);
	TAP(found && found->group == 2, "plan: metric 0 is IPv4's default");
	key.metric = 7;
	found = plan_find_route(&plan, &key);
	TAP(found && found->group == 1, "plan: the metric is part of the key");
	key.table = 4;
	TAP(!plan_find_route(&plan, &key), "plan: so is the table");
	key = (struct plan_route){ .family = AF_INET6, .prefix_len = 128,
				   .table = 3, .metric = 1024 };
	inet_pton(AF_INET6, "2001:db8::1", key.addr);
	TAP(plan_find_route(&plan, &key), "plan: IPv6's metric 0 is 1024");
	plan_free(&plan);
}

static void test_many(void)
{
	struct plan plan = { 0 };
	FILE *file = fopen(path, "w");
	int missing = 0;

	fputs(HEAD, file);
	for (int i = 0; i < 5000; i++)
		fprintf(file, "group %d route 10.1.%d.%d/32 table 2\n", i % 1024 + 1,
			i / 256, i % 256);
	fputs(END, file);
	fclose(file);
	TAP(!plan_load(&plan, path) && plan.n_routes == 5000 && plan.n_groups == 1024,
	    "plan: 5000 routes of 1024 groups");
	for (int i = 0; i < 5000; i++) {
		struct plan_route key = { .family = AF_INET, .prefix_len = 32, .table = 2,
			.addr = { 10, 1, (uint8_t)(i / 256), (uint8_t)(i % 256) } };
		const struct plan_route *found = plan_find_route(&plan, &key);

		missing += !found || found->group != (uint32_t)(i % 1024 + 1);
	}
	TAP(!missing, "plan: each of them is found");
	plan_free(&plan);
}

int main(void)
{
	snprintf(path, sizeof(path), "/tmp/test_plan.%d", getpid());
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	test_grammar();
	test_long_line();
	test_content();
	test_many();
	unlink(path);
	return tap_end();
}
