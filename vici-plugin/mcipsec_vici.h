/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_vici mcipsec_vici
 * @{ @ingroup mcipsec
 *
 * The commands of the plugin on charon's vici socket, see
 * Documentation/vici-mcipsec.rst.
 *
 * Commands run in worker threads of charon and are serialised here, except for
 * mcipsec-ack, mcipsec-status and mcipsec-version, which only take the lock of
 * the table: an acknowledgement never waits for an import.
 */

#ifndef MCIPSEC_VICI_H_
#define MCIPSEC_VICI_H_

#include "mcipsec_announce.h"
#include "mcipsec_gate.h"
#include "mcipsec_group.h"
#include "mcipsec_import.h"

/** Version of the interface; a test builds a plugin of another one */
#ifndef MCIPSEC_PROTOCOL
#define MCIPSEC_PROTOCOL	1
#endif

/** Version of the plugin */
#define MCIPSEC_VERSION		"0.1"

typedef struct mcipsec_vici_t mcipsec_vici_t;

/**
 * Command handlers.
 */
struct mcipsec_vici_t {

	/**
	 * Unregister the commands.
	 */
	void (*destroy)(mcipsec_vici_t *this);
};

/**
 * Register the commands.
 */
mcipsec_vici_t *mcipsec_vici_create(vici_dispatcher_t *dispatcher,
					mcipsec_table_t *table, mcipsec_event_t *event,
					mcipsec_announce_t *announce, mcipsec_gate_t *gate,
					mcipsec_group_t *group, mcipsec_import_t *import);

#endif /** MCIPSEC_VICI_H_ @}*/
