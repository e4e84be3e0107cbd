/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_responder mcipsec_responder
 * @{ @ingroup mcipsec
 *
 * No dead peer detection of charon's own where a tunnel-group only responds, whatever
 * dpd_delay says (seed "Other Details": no dpd, or reply only). That of the peer is
 * answered by charon as ever, and the liveness check of mcipsec_life is another matter.
 * Nor a CHILD_SA that a command or a trap asks for on an IKE_SA that is up; a new IKE_SA
 * is kept back by mcipsec_gate. Rekeys do not come this way, but what follows one that
 * the peer does not know the CHILD_SA of: that is let through.
 */

#ifndef MCIPSEC_RESPONDER_H_
#define MCIPSEC_RESPONDER_H_

#include "mcipsec_table.h"

typedef struct mcipsec_responder_t mcipsec_responder_t;

/**
 * Stands in for send_dpd() and initiate() of every IKE_SA.
 */
struct mcipsec_responder_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy. IKE_SAs that are left must not be used any more.
	 */
	void (*destroy)(mcipsec_responder_t *this);
};

/**
 * Create the listener.
 */
mcipsec_responder_t *mcipsec_responder_create(mcipsec_table_t *table);

#endif /** MCIPSEC_RESPONDER_H_ @}*/
