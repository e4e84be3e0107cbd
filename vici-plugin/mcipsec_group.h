/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_group mcipsec_group
 * @{ @ingroup mcipsec
 *
 * What a tunnel-group does as a whole: take up, hand over, purge, rekey.
 *
 * Commands are serialised by the caller; the lock of the table must not be held.
 */

#ifndef MCIPSEC_GROUP_H_
#define MCIPSEC_GROUP_H_

#include "mcipsec_announce.h"
#include "mcipsec_gate.h"
#include "mcipsec_import.h"
#include "mcipsec_table.h"

typedef struct mcipsec_group_t mcipsec_group_t;

/**
 * Outcome of a rekey command
 */
typedef enum {
	MCIPSEC_REKEY_QUEUED,
	MCIPSEC_REKEY_BUSY,
	MCIPSEC_REKEY_MISSING,
	MCIPSEC_REKEY_PASSIVE,
} mcipsec_rekey_result_t;

/**
 * Names of outcomes, as in replies
 */
extern enum_name_t *mcipsec_rekey_result_names;

/**
 * Group operations.
 */
struct mcipsec_group_t {

	/**
	 * Change the state of a group and of its IKE_SAs.
	 */
	void (*set_state)(mcipsec_group_t *this, uint32_t group,
					  mcipsec_group_state_t state);

	/**
	 * Take up an IKE_SA that was imported into an active group.
	 */
	void (*take_up)(mcipsec_group_t *this, const uint8_t key[MCIPSEC_KEY_IKE]);

	/**
	 * Remove all IKE_SAs of a group without a packet.
	 *
	 * @return			number of IKE_SAs removed
	 */
	u_int (*purge)(mcipsec_group_t *this, uint32_t group);

	/**
	 * Remove one IKE_SA with its children, or one CHILD_SA, without a packet.
	 *
	 * @return			number of entries removed, 0 or 1
	 */
	u_int (*delete_ike)(mcipsec_group_t *this,
						const uint8_t key[MCIPSEC_KEY_IKE]);
	u_int (*delete_child)(mcipsec_group_t *this, uint32_t group,
						  const uint8_t key[MCIPSEC_KEY_CHILD]);

	/**
	 * Remove the IKE_SA of a request with its children, without a packet and
	 * without announcing that it ended: the requested state of it is about to
	 * be imported.
	 *
	 * @return			FALSE if it changed after what the agent had seen
	 */
	bool (*replace_ike)(mcipsec_group_t *this,
						mcipsec_import_request_t *request);

	/**
	 * Begin a rekey of a CHILD_SA.
	 */
	mcipsec_rekey_result_t (*rekey)(mcipsec_group_t *this, uint32_t group,
									const uint8_t key[MCIPSEC_KEY_CHILD]);

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_group_t *this);
};

/**
 * Create the group operations.
 */
mcipsec_group_t *mcipsec_group_create(mcipsec_table_t *table,
									  mcipsec_gate_t *gate);

#endif /** MCIPSEC_GROUP_H_ @}*/
