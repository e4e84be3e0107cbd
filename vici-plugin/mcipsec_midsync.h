/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_midsync mcipsec_midsync
 * @{ @ingroup mcipsec
 *
 * Message id synchronisation with the peer, RFC 6311: a chassis that took over
 * with message ids that are behind those of the chassis before it asks the peer
 * for the right ones.
 *
 * The peer says in its IKE_AUTH request that it can do it, we in the last
 * IKE_AUTH response; where we are the initiator charon announces it itself, and
 * it answers a peer that asks us.
 *
 * Output commit makes the synced ids exact, and then asking does harm: a peer
 * begins the exchange that it has under way anew, although we may have answered
 * it, and a peer with counters as GCM nonces can answer only once in the life of
 * an IKE_SA. So by default it is done when something shows that the ids are
 * behind, after a takeover and before a message from the peer proved them right:
 * an authentic request from further on, or silence after two repetitions of our
 * own; and when both chassis have used ids that the other did not know of
 * (mcipsec-doubt). A peer that does not speak RFC 6311 is followed in the first case, as a
 * window of one says that it got all earlier answers; in the second, nothing is
 * done.
 */

#ifndef MCIPSEC_MIDSYNC_H_
#define MCIPSEC_MIDSYNC_H_

#include "mcipsec_announce.h"
#include "mcipsec_table.h"

typedef struct mcipsec_midsync_t mcipsec_midsync_t;

/** Repetition of an own request with which the ids are in doubt */
#define MCIPSEC_DOUBT_AFTER		2

/**
 * Listens for what shows that ids are behind, and for the peers' answers.
 */
struct mcipsec_midsync_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy.
	 */
	void (*destroy)(mcipsec_midsync_t *this);
};

/**
 * Create the listener.
 */
mcipsec_midsync_t *mcipsec_midsync_create(mcipsec_table_t *table,
										  mcipsec_announce_t *announce);

/**
 * Ask the peer of an IKE_SA, if it can answer, after some milliseconds.
 */
void mcipsec_midsync_start(const uint8_t key[MCIPSEC_KEY_IKE], uint32_t ms);

/**
 * Ask the peer of an IKE_SA that does not answer, unless that is not wanted. The
 * lock of the table is held.
 */
void mcipsec_midsync_doubt(mcipsec_ike_entry_t *entry);

/**
 * Go on with a message id of our own that is not before mid_out: the other chassis
 * has had the peer's answers to those. What is under way with an earlier one begins
 * anew at the next initiate(). The IKE_SA is checked out, the lock is not held.
 */
void mcipsec_midsync_mid_out(mcipsec_table_t *table, ike_sa_t *ike_sa,
							 const uint8_t key[MCIPSEC_KEY_IKE], uint32_t mid_out);

/**
 * From here on the ids of an IKE_SA are in doubt: they come, or will come, from
 * the other chassis. The lock of the table is held.
 */
void mcipsec_midsync_forget(mcipsec_ike_entry_t *entry);

#endif /** MCIPSEC_MIDSYNC_H_ @}*/
