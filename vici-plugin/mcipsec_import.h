/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_import mcipsec_import
 * @{ @ingroup mcipsec
 *
 * Brings a record into charon as a PASSIVE IKE_SA, or as a CHILD_SA of one,
 * without a packet.
 *
 * An import is an idempotent upsert: the same or an older version does nothing.
 * An import that fails leaves nothing behind. Imports are serialised by the
 * caller; the lock of the table must not be held.
 */

#ifndef MCIPSEC_IMPORT_H_
#define MCIPSEC_IMPORT_H_

#include "mcipsec_record.h"
#include "mcipsec_table.h"

typedef struct mcipsec_import_t mcipsec_import_t;
typedef struct mcipsec_import_request_t mcipsec_import_request_t;

/**
 * Outcome of an import
 */
typedef enum {
	MCIPSEC_INSTALLED,
	MCIPSEC_AWAIT_CONF,
	MCIPSEC_STALE,
	MCIPSEC_CHANGED,
	MCIPSEC_FAILED,
} mcipsec_import_result_t;

/**
 * Names of outcomes, as in replies
 */
extern enum_name_t *mcipsec_import_result_names;

/**
 * A record, as it stood in the event; nothing is owned
 */
struct mcipsec_import_request_t {
	uint32_t group;
	const uint8_t *key;
	const uint8_t *parent;
	const uint8_t *lineage;
	uint64_t version;
	char *name;
	chunk_t data;

	/** what an active group has of it makes way */
	bool replace;

	/** number of the last record that the agent took: an active group follows
	 *  no record that was chosen before a later change here */
	uint64_t seen;

	/** receives a readable reason, static text */
	const char *reason;
	/** receives whether it failed only because the group is active */
	bool active;
};

/**
 * Did an entry of an active group change after what the agent has seen? Lock of
 * the table held.
 *
 * @param group		the group
 * @param ike		the IKE_SA, or the one of the CHILD_SA; NULL if it is not here
 */
bool mcipsec_import_changed(mcipsec_import_request_t *request,
							mcipsec_group_entry_t *group,
							mcipsec_ike_entry_t *ike);

/**
 * Imports records.
 */
struct mcipsec_import_t {

	/**
	 * Import an IKE_SA. key and lineage are set.
	 */
	mcipsec_import_result_t (*ike)(mcipsec_import_t *this,
								   mcipsec_import_request_t *request);

	/**
	 * Import a CHILD_SA. key and parent are set.
	 */
	mcipsec_import_result_t (*child)(mcipsec_import_t *this,
									 mcipsec_import_request_t *request);

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_import_t *this);
};

/**
 * Create the importer.
 */
mcipsec_import_t *mcipsec_import_create(mcipsec_table_t *table);

#endif /** MCIPSEC_IMPORT_H_ @}*/
