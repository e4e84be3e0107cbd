/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_life mcipsec_life
 * @{ @ingroup mcipsec
 *
 * What a peer is asked after two lives of its IKE_SA met.
 *
 * The command mcipsec-liveness: asks for life, by an empty INFORMATIONAL (RFC 7296
 * section 1.4), whatever dpd_delay says. The answer shows as a record with a higher
 * message id of our own; without one charon repeats the request as usual and ends the
 * IKE_SA.
 *
 * The command mcipsec-doubt: both chassis may have used the message ids that come
 * next, so the peer is asked for them (RFC 6311) before anything else. And the other one
 * may have proposed a CHILD_SA that the peer made: nobody has its keys, it is deleted, and
 * the CHILD_SAs of that IKE_SA are rekeyed.
 *
 * Threading: the lock of the table is taken here and must not be held.
 */

#ifndef MCIPSEC_LIFE_H_
#define MCIPSEC_LIFE_H_

#include "mcipsec_table.h"

#include <plugins/vici/vici_dispatcher.h>

typedef struct mcipsec_life_t mcipsec_life_t;

/**
 * Asks peers.
 */
struct mcipsec_life_t {

	/**
	 * Unregister the commands and destroy.
	 */
	void (*destroy)(mcipsec_life_t *this);
};

/**
 * Register the commands.
 */
mcipsec_life_t *mcipsec_life_create(vici_dispatcher_t *dispatcher,
									mcipsec_table_t *table);

#endif /** MCIPSEC_LIFE_H_ @}*/
