/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_event mcipsec_event
 * @{ @ingroup mcipsec
 *
 * The events that the plugin raises on charon's vici socket.
 *
 * Raising never blocks: charon queues the message for the client. Callers hold
 * the lock of the table, so that records appear in the order of their sequence
 * numbers.
 */

#ifndef MCIPSEC_EVENT_H_
#define MCIPSEC_EVENT_H_

#include "mcipsec_record.h"
#include "mcipsec_table.h"

#include <plugins/vici/vici_builder.h>
#include <plugins/vici/vici_dispatcher.h>

#define MCIPSEC_EVENT_RECORD	"mcipsec-record"
#define MCIPSEC_EVENT_LOG		"mcipsec-log"
#define MCIPSEC_EVENT_EXPIRED	"mcipsec-held-expired"

typedef struct mcipsec_event_t mcipsec_event_t;
typedef struct mcipsec_event_record_t mcipsec_event_record_t;

/**
 * A record to be announced
 */
struct mcipsec_event_record_t {

	/** gone, or here is its state */
	bool delete;

	/** gone on this chassis only, which is passive */
	bool local;

	/** streamed by a snapshot */
	bool snapshot;

	mcipsec_kind_t kind;
	uint32_t group;
	chunk_t key, parent, lineage;
	uint64_t version, seq;
	char *name;

	/** adds the content of the section info */
	void (*info)(vici_builder_t *b, void *user);
	void *user;

	/** encoded record */
	chunk_t data;

	/** why there is no data, NULL if there is */
	char *unfit;
};

/**
 * Raises events.
 */
struct mcipsec_event_t {

	/**
	 * Is a client registered for records?
	 */
	bool (*has_listeners)(mcipsec_event_t *this);

	/**
	 * Raise mcipsec-record.
	 */
	void (*record)(mcipsec_event_t *this, mcipsec_event_record_t *record);

	/**
	 * Raise mcipsec-log.
	 *
	 * @param group		tunnel-group
	 * @param what		one of the words of the documentation
	 * @param ike_sa	IKE_SA it is about
	 * @param child_sa	CHILD_SA it is about, or NULL
	 * @param fmt		printf() format of the readable line, followed by args
	 */
	void (*log)(mcipsec_event_t *this, uint32_t group, char *what,
				ike_sa_t *ike_sa, child_sa_t *child_sa, char *fmt, ...);

	/**
	 * Raise mcipsec-held-expired.
	 */
	void (*expired)(mcipsec_event_t *this, uint32_t group, uint64_t seq,
					chunk_t ike, u_int count);

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_event_t *this);
};

/**
 * Create the event source.
 */
mcipsec_event_t *mcipsec_event_create(vici_dispatcher_t *dispatcher,
									  mcipsec_table_t *table);

/**
 * Add a chunk in hexadecimal to a message.
 */
void mcipsec_add_hex(vici_builder_t *b, char *name, chunk_t value);

#endif /** MCIPSEC_EVENT_H_ @}*/
