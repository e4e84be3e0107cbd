/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_life mcipsec_life
 * @{ @ingroup mcipsec
 *
 * The command mcipsec-liveness: asks the peer of an IKE_SA for life, by an empty
 * INFORMATIONAL (RFC 7296 section 1.4), whatever dpd_delay says. The answer shows as
 * a record with a higher message id of our own; without one charon repeats the
 * request as usual and ends the IKE_SA.
 *
 * Threading: the lock of the table is taken here and must not be held.
 */

#ifndef MCIPSEC_LIFE_H_
#define MCIPSEC_LIFE_H_

#include "mcipsec_table.h"

#include <plugins/vici/vici_dispatcher.h>

typedef struct mcipsec_life_t mcipsec_life_t;

/**
 * Asks peers for life.
 */
struct mcipsec_life_t {

	/**
	 * Unregister the command and destroy.
	 */
	void (*destroy)(mcipsec_life_t *this);
};

/**
 * Register the command.
 */
mcipsec_life_t *mcipsec_life_create(vici_dispatcher_t *dispatcher,
									mcipsec_table_t *table);

#endif /** MCIPSEC_LIFE_H_ @}*/
