/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long held packets waited: median and 99th percentile of the last ones.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mcipsec_times.h"

static void add(mcipsec_times_t *times, int64_t us)
{
	struct timeval since = { .tv_sec = 10, .tv_usec = 999000 }, now;

	us += since.tv_sec * 1000000 + since.tv_usec;
	now.tv_sec = us / 1000000;
	now.tv_usec = us % 1000000;
	mcipsec_times_add(times, &since, &now);
}

static void quantiles(void **state)
{
	mcipsec_times_t times = {};
	uint32_t median, p99;

	(void)state;
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, 0);
	assert_int_equal(p99, 0);
	add(&times, 5000);
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, 5000);
	assert_int_equal(p99, 5000);
	/* 1..100: the 50th and the 99th of them, in whatever order they came */
	times.count = 0;
	for (int i = 100; i; i--)
	{
		add(&times, i);
	}
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, 50);
	assert_int_equal(p99, 99);
}

static void only_the_last_ones_count(void **state)
{
	mcipsec_times_t times = {};
	uint32_t median, p99;

	(void)state;
	for (int i = 0; i < 3 * MCIPSEC_TIMES; i++)
	{
		add(&times, i < 2 * MCIPSEC_TIMES ? 1000000 : 7);
	}
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, 7);
	assert_int_equal(p99, 7);
	assert_int_equal(times.count, 3 * MCIPSEC_TIMES);
}

static void odd_clocks(void **state)
{
	mcipsec_times_t times = {};
	uint32_t median, p99;

	(void)state;
	add(&times, -1);
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, 0);
	times.count = 0;
	add(&times, INT64_C(1) << 33);
	mcipsec_times_get(&times, &median, &p99);
	assert_int_equal(median, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles),
		cmocka_unit_test(only_the_last_ones_count),
		cmocka_unit_test(odd_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
