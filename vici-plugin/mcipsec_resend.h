/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_resend mcipsec_resend
 * @{ @ingroup mcipsec
 *
 * Finishes the request that the chassis before us had in flight.
 *
 * The peer may or may not have answered it: with a window of one, the message
 * id is free only after its answer. So the same bytes are repeated until the
 * answer comes, nothing else is initiated meanwhile, and what the peer made of
 * the request is mended: a CHILD_SA that it created with us is deleted (we have
 * no keys of it), one that it deleted is removed, an IKE_SA that it deleted too.
 * Only of a rekey of the IKE_SA nobody could use the answer: an empty request takes
 * its message id. A peer that has not seen the rekey answers that, and all goes on.
 *
 * RFC 7296 sections 2.1 to 2.3.
 */

#ifndef MCIPSEC_RESEND_H_
#define MCIPSEC_RESEND_H_

#include "mcipsec_announce.h"
#include "mcipsec_table.h"

typedef struct mcipsec_resend_t mcipsec_resend_t;

/**
 * Listens for the answers.
 */
struct mcipsec_resend_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_resend_t *this);
};

/**
 * Create the listener.
 */
mcipsec_resend_t *mcipsec_resend_create(mcipsec_table_t *table,
										mcipsec_announce_t *announce);

/**
 * Begin to repeat the imported request of an IKE_SA, if there is one.
 *
 * @param table		the table; its lock is not held
 * @param ike_sa	IKE_SA, checked out and ESTABLISHED
 * @return			DESTROY_ME if the IKE_SA has to go
 */
status_t mcipsec_resend_request(mcipsec_table_t *table, ike_sa_t *ike_sa);

/**
 * Does an IKE_SA wait for the answer to such a request?
 */
bool mcipsec_resend_pending(ike_sa_t *ike_sa);

#endif /** MCIPSEC_RESEND_H_ @}*/
