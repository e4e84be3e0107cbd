// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * plan - see plan.h and Documentation/fence-plan.rst.
 */
#include "plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/mcipsec.h>
#include <linux/rtnetlink.h>

#include "log.h"

#define WORDS_MAX	12
#define METRIC_IPV6	1024	/* IP6_RT_PRIO_USER: what 0 becomes */

/* Make room for one more element, doubling; NULL: out of memory. */
static void *grow(void *array, size_t n, size_t size)
{
	if (n && (n < 16 || n & (n - 1)))
		return array;
	return reallocarray(array, n < 16 ? 16 : n * 2, size);
}

#define APPEND(array, n, element) ({					\
	void *room_ = grow((array), (n), sizeof(*(array)));		\
	if (room_) {							\
		(array) = room_;					\
		(array)[(n)++] = (element);				\
	}								\
	room_ ? 0 : -ENOMEM;						\
})

static int number(const char *text, long min, long max, long *out)
{
	char *end;

	if (!text || !*text || *text == '+' || *text == ' ')
		return -EINVAL;
	errno = 0;
	*out = strtol(text, &end, 10);
	return errno || *end || *out < min || *out > max ? -EINVAL : 0;
}

static int add_track(struct plan *plan, uint32_t group, char **word, int words)
{
	struct plan_track track = { .group = group };
	long value;

	if (words != 5 || word[3][0] != '/' ||
	    strlen(word[3]) > PLAN_PATH_MAX || number(word[4], -255, 255, &value))
		return -EINVAL;
	strcpy(track.path, word[3]);
	track.value = (int)value;
	return APPEND(plan->tracks, plan->n_tracks, track);
}

static int parse_prefix(char *text, struct plan_route *route)
{
	char *slash = strchr(text, '/');
	long len;

	if (!slash)
		return -EINVAL;
	*slash = '\0';
	route->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(route->family, text, route->addr) != 1 ||
	    number(slash + 1, 0, route->family == AF_INET ? 32 : 128, &len))
		return -EINVAL;
	route->prefix_len = (uint8_t)len;
	return 0;
}

static int add_route(struct plan *plan, uint32_t group, char **word, int words)
{
	struct plan_route route = { .group = group };
	long value;
	int i;

	if (words < 4 || parse_prefix(word[3], &route))
		return -EINVAL;
	if (route.family == AF_INET6)
		route.metric = METRIC_IPV6;
	for (i = 4; i + 1 < words; i += 2) {
		if (!strcmp(word[i], "table")) {
			if (number(word[i + 1], 1, UINT32_MAX, &value))
				return -EINVAL;
			route.table = (uint32_t)value;
		} else if (!strcmp(word[i], "metric")) {
			if (number(word[i + 1], 0, UINT32_MAX, &value))
				return -EINVAL;
			if (value || route.family == AF_INET)
				route.metric = (uint32_t)value;
		} else if (strcmp(word[i], "dev")) {
			return -EINVAL;
		}
	}
	if (i != words || !route.table)
		return -EINVAL;
	return APPEND(plan->routes, plan->n_routes, route);
}

static int add_group(struct plan *plan, uint32_t group)
{
	for (size_t i = 0; i < plan->n_groups; i++)
		if (plan->groups[i] == group)
			return 0;
	return APPEND(plan->groups, plan->n_groups, group);
}

static int split(char *line, char **word)
{
	int words = 0;

	for (char *w = strtok(line, " \t"); w; w = strtok(NULL, " \t")) {
		if (words == WORDS_MAX)
			return -EINVAL;
		word[words++] = w;
	}
	return words;
}

/* 0, -EINVAL for a bad argument, -ENOMEM, 1 for a statement we do not know. */
static int statement(struct plan *plan, char **word, int words)
{
	long group;
	int err;

	if (words < 3 || strcmp(word[0], "group"))
		return 1;
	if (number(word[1], 1, MCIPSEC_GROUP_MAX, &group))
		return -EINVAL;
	if (!strcmp(word[2], "track"))
		err = add_track(plan, (uint32_t)group, word, words);
	else if (!strcmp(word[2], "route"))
		err = add_route(plan, (uint32_t)group, word, words);
	else
		return 1;
	return err ? err : add_group(plan, (uint32_t)group);
}

static int header(char **word, int words)
{
	long version;

	if (words != 2 || strcmp(word[0], "mcipsec-fence-plan") ||
	    number(word[1], PLAN_VERSION, PLAN_VERSION, &version))
		return -EINVAL;
	return 0;
}

static int compare_routes(const void *one, const void *other)
{
	const struct plan_route *a = one, *b = other;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	if (a->prefix_len != b->prefix_len)
		return a->prefix_len < b->prefix_len ? -1 : 1;
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

static int refuse(const char *path, unsigned int line, const char *why)
{
	log_err("%s:%u: %s; the plan in force stays", path, line, why);
	return -EINVAL;
}

/* Returns what plan_load() does. */
static int parse(struct plan *plan, FILE *file, const char *path)
{
	char line[PLAN_LINE_MAX + 2], *word[WORDS_MAX];
	bool begun = false, ended = false;
	unsigned int n = 0;

	while (fgets(line, sizeof(line), file)) {
		char *eol = strchr(line, '\n');
		int words, err;

		n++;
		if (!eol)
			return refuse(path, n, "line is cut or longer than 511 bytes");
		*eol = '\0';
		if (ended)
			return refuse(path, n, "'end' has to be the last line");
		if (line[0] == '#')
			continue;
		words = split(line, word);
		if (!words)
			continue;
		if (words < 0)
			return refuse(path, n, "too many words");
		if (!begun) {
			if (header(word, words))
				return refuse(path, n, "'mcipsec-fence-plan 1' is expected");
			begun = true;
			continue;
		}
		if (words == 1 && !strcmp(word[0], "end")) {
			ended = true;
			continue;
		}
		err = statement(plan, word, words);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			return refuse(path, n, "bad argument");
		if (err > 0)
			log_warn("%s:%u: unknown statement '%s%s%s' skipped", path, n,
				 word[0], words > 2 ? " ... " : "",
				 words > 2 ? word[2] : "");
	}
	if (ferror(file))
		return -EIO;
	if (!ended)
		return refuse(path, n, "'end' is missing");
	qsort(plan->routes, plan->n_routes, sizeof(*plan->routes), compare_routes);
	return 0;
}

int plan_load(struct plan *plan, const char *path)
{
	struct plan fresh = { 0 };
	FILE *file;
	int err;

	file = fopen(path, "re");
	if (!file)
		return -errno;
	err = parse(&fresh, file, path);
	fclose(file);
	if (err) {
		plan_free(&fresh);
		return err;
	}
	plan_free(plan);
	*plan = fresh;
	return 0;
}

void plan_free(struct plan *plan)
{
	free(plan->tracks);
	free(plan->routes);
	free(plan->groups);
	memset(plan, 0, sizeof(*plan));
}

struct plan_route *plan_find_route(const struct plan *plan,
				   const struct plan_route *key)
{
	if (!plan->n_routes)
		return NULL;
	return bsearch(key, plan->routes, plan->n_routes, sizeof(*plan->routes),
		       compare_routes);
}
