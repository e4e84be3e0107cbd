/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_task mcipsec_task
 * @{ @ingroup mcipsec
 *
 * Tasks for charon's task manager, and its retransmission times, for exchanges
 * that the plugin drives itself. The IKE_SA is checked out by the caller.
 */

#ifndef MCIPSEC_TASK_H_
#define MCIPSEC_TASK_H_

#include <sa/ike_sa.h>
#include <sa/task.h>

/**
 * What a placeholder waits for
 */
typedef enum {
	/** the answer to a request of the other chassis */
	MCIPSEC_WAIT_REQUEST = 1,
	/** the answer to a message id synchronisation */
	MCIPSEC_WAIT_SYNC = 2,
} mcipsec_wait_t;

/**
 * A task that keeps charon from initiating anything else: queue it, then
 * initiate(). No packet is sent for it.
 */
task_t *mcipsec_placeholder_create(mcipsec_wait_t wait);

/**
 * Find the placeholder of an IKE_SA, optionally take it out.
 */
bool mcipsec_placeholder_find(ike_sa_t *ike_sa, mcipsec_wait_t wait,
							  bool remove);

/**
 * Does charon, or do we for it, wait for the answer to a request?
 */
bool mcipsec_task_active(ike_sa_t *ike_sa);

/**
 * Remove all placeholders, queued ones too.
 */
void mcipsec_placeholder_remove(ike_sa_t *ike_sa);

/**
 * A task that deletes a CHILD_SA that exists at the peer only; nothing, should it
 * exist here when its turn comes.
 *
 * @param spi		our inbound SPI, network order
 */
task_t *mcipsec_spi_delete_create(ike_sa_t *ike_sa, protocol_id_t protocol,
								  uint32_t spi);

/**
 * Milliseconds until a try (0 is the first) is repeated, 0 if it was the last.
 */
uint32_t mcipsec_retransmit_interval(u_int tries);

#endif /** MCIPSEC_TASK_H_ @}*/
