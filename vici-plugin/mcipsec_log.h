/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_log mcipsec_log
 * @{ @ingroup mcipsec
 *
 * Session log: raises mcipsec-log for set-up, tear-down, rekeys and failures
 * of active groups. Never key material.
 */

#ifndef MCIPSEC_LOG_H_
#define MCIPSEC_LOG_H_

#include "mcipsec_event.h"
#include "mcipsec_table.h"

typedef struct mcipsec_log_t mcipsec_log_t;

/**
 * Listens for what belongs to the session log.
 */
struct mcipsec_log_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_log_t *this);
};

/**
 * Create the listener.
 */
mcipsec_log_t *mcipsec_log_create(mcipsec_table_t *table,
								  mcipsec_event_t *event);

#endif /** MCIPSEC_LOG_H_ @}*/
