/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_announce mcipsec_announce
 * @{ @ingroup mcipsec
 *
 * Announces the state of IKE_SAs and CHILD_SAs of active groups as records.
 *
 * Nothing is announced for a group that is not active, that is being purged, or
 * while charon is stopping.
 */

#ifndef MCIPSEC_ANNOUNCE_H_
#define MCIPSEC_ANNOUNCE_H_

#include "mcipsec_event.h"
#include "mcipsec_table.h"

typedef struct mcipsec_announce_t mcipsec_announce_t;

/**
 * Announces records.
 */
struct mcipsec_announce_t {

	/**
	 * Announce what changed of an IKE_SA and its children.
	 *
	 * @param ike_sa	IKE_SA, checked out by the caller
	 * @param mid_in	next message id expected from the peer
	 */
	void (*changes)(mcipsec_announce_t *this, ike_sa_t *ike_sa,
					uint32_t mid_in);

	/**
	 * Announce that an IKE_SA is gone, with its children. The entry is marked
	 * as deleted, but stays, so that the gate can hold the packet that ends it.
	 * The lock of the table is held.
	 */
	void (*ike_gone)(mcipsec_announce_t *this, ike_sa_t *ike_sa,
					 mcipsec_group_entry_t *group, mcipsec_ike_entry_t *entry);

	/**
	 * Announce that a CHILD_SA is gone and forget it. The lock of the table is
	 * held.
	 */
	void (*child_gone)(mcipsec_announce_t *this, mcipsec_group_entry_t *group,
					   char *name, mcipsec_child_entry_t *entry);

	/**
	 * Announce what changed of an IKE_SA and its children, from a job.
	 *
	 * @param key		key of the IKE_SA
	 */
	void (*dirty)(mcipsec_announce_t *this, const uint8_t key[MCIPSEC_KEY_IKE]);

	/**
	 * Stream the state of all entries of a group.
	 *
	 * @param group		tunnel-group
	 * @param seq		receives the number up to which all is contained
	 * @return			number of records
	 */
	u_int (*snapshot)(mcipsec_announce_t *this, uint32_t group, uint64_t *seq);

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_announce_t *this);
};

/**
 * Create the announcer, NULL if there is no randomness.
 */
mcipsec_announce_t *mcipsec_announce_create(mcipsec_table_t *table,
											mcipsec_event_t *event);

#endif /** MCIPSEC_ANNOUNCE_H_ @}*/
