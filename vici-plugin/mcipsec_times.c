/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_times: see mcipsec_times.h.
 */

#include "mcipsec_times.h"

#include <stdlib.h>
#include <string.h>

void mcipsec_times_add(mcipsec_times_t *this, const struct timeval *since,
					   const struct timeval *now)
{
	int64_t us;

	us = (now->tv_sec - since->tv_sec) * (int64_t)1000000 +
		 (now->tv_usec - since->tv_usec);
	this->us[this->count++ % MCIPSEC_TIMES] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : us;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;

	return x < y ? -1 : x > y;
}

void mcipsec_times_get(const mcipsec_times_t *this, uint32_t *median,
					   uint32_t *p99)
{
	uint32_t sorted[MCIPSEC_TIMES];
	size_t n = this->count < MCIPSEC_TIMES ? this->count : MCIPSEC_TIMES;

	*median = *p99 = 0;
	if (n)
	{
		memcpy(sorted, this->us, n * sizeof(sorted[0]));
		qsort(sorted, n, sizeof(sorted[0]), compare);
		*median = sorted[(n - 1) / 2];
		*p99 = sorted[(n * 99 + 99) / 100 - 1];
	}
}
