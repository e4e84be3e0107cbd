/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_retransmit mcipsec_retransmit
 * @{ @ingroup mcipsec
 *
 * Repeats the last response of the chassis before us, if it got lost at the
 * takeover: the peer repeats its request, and charon does not have the answer.
 *
 * RFC 7296 section 2.1 (retransmissions), RFC 7383 section 2.6.1 (only the
 * first fragment of a repeated request is answered).
 */

#ifndef MCIPSEC_RETRANSMIT_H_
#define MCIPSEC_RETRANSMIT_H_

#include "mcipsec_table.h"

typedef struct mcipsec_retransmit_t mcipsec_retransmit_t;

/**
 * Listens for repeated requests.
 */
struct mcipsec_retransmit_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_retransmit_t *this);
};

/**
 * Create the listener.
 */
mcipsec_retransmit_t *mcipsec_retransmit_create(mcipsec_table_t *table);

/**
 * Send synced packets through the gate.
 *
 * @param packets	packets, chunk_t*
 * @param src		source address and port
 * @param dst		destination address and port
 */
void mcipsec_send_packets(array_t *packets, host_t *src, host_t *dst);

#endif /** MCIPSEC_RETRANSMIT_H_ @}*/
