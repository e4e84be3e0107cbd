/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap - a line of TAP a test point, and the exit code of the whole.
 */
#ifndef MCIPSEC_TRACK_TAP_H
#define MCIPSEC_TRACK_TAP_H

#include <stdio.h>

static int tap_count, tap_failed;

#define TAP(cond, fmt, ...) do {					\
	const int ok_ = !!(cond);					\
	tap_failed += !ok_;						\
	printf("%sok %d - " fmt "\n", ok_ ? "" : "not ", ++tap_count,	\
	       ##__VA_ARGS__);						\
} while (0)

static inline int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return !!tap_failed;
}

#endif
