/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_export mcipsec_export
 * @{ @ingroup mcipsec
 *
 * Listens to charon's hooks: keeps what charon forgets (key derivation input,
 * keys, sent packets) and has changes announced.
 *
 * A responder's exchange is complete in charon when its response has been
 * encrypted: that is where everything that changed is announced, just before
 * the packet reaches the gate. What changes without a packet of ours (answers to
 * our own requests) is announced by a job.
 *
 * The listener runs inside charon's bus lock with the IKE_SA checked out: it
 * never blocks and never checks out anything.
 */

#ifndef MCIPSEC_EXPORT_H_
#define MCIPSEC_EXPORT_H_

#include "mcipsec_announce.h"
#include "mcipsec_table.h"

typedef struct mcipsec_export_t mcipsec_export_t;

/**
 * Listens for changes.
 */
struct mcipsec_export_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_export_t *this);
};

/**
 * Create the listener.
 */
mcipsec_export_t *mcipsec_export_create(mcipsec_table_t *table,
										mcipsec_announce_t *announce);

#endif /** MCIPSEC_EXPORT_H_ @}*/
