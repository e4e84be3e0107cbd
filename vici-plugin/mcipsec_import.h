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

	/** a CHILD_SA of an active group that is here follows the record */
	bool replace;

	/** receives a readable reason, static text */
	const char *reason;
	/** receives whether it failed only because the group is active */
	bool active;
};

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
