/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_times mcipsec_times
 * @{ @ingroup mcipsec
 *
 * How long the last packets of a tunnel-group were held by output commit: their
 * median and 99th percentile. Not locked; the table's lock covers it.
 */

#ifndef MCIPSEC_TIMES_H_
#define MCIPSEC_TIMES_H_

#include <stdint.h>
#include <sys/time.h>

/** Packets that are remembered */
#define MCIPSEC_TIMES	1024

typedef struct mcipsec_times_t mcipsec_times_t;

/**
 * A ring of the last ones
 */
struct mcipsec_times_t {

	/** us */
	uint32_t us[MCIPSEC_TIMES];

	/** number of all that were added */
	uint64_t count;
};

/**
 * Add a packet that was held since then.
 *
 * @param since		when it was ready, by time_monotonic()
 * @param now		when it left
 */
void mcipsec_times_add(mcipsec_times_t *this, const struct timeval *since,
					   const struct timeval *now);

/**
 * Nearest-rank quantiles of the remembered ones, us; 0 if there are none.
 */
void mcipsec_times_get(const mcipsec_times_t *this, uint32_t *median,
					   uint32_t *p99);

#endif /** MCIPSEC_TIMES_H_ @}*/
