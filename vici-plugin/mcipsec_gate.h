/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_gate mcipsec_gate
 * @{ @ingroup mcipsec
 *
 * The sending gate: it stands in front of charon's sender, so that nothing that
 * charon sends can pass it by.
 *
 * Invariants: until the first tunnel-group is known no packet leaves; from the
 * address of a group packets leave only while the group is active; with output
 * commit a packet of a replicated IKE_SA leaves only after the records before
 * it are acknowledged, or after the limit, and then it is counted. Packets of
 * an IKE_SA keep their order. What is blocked is dropped and counted, never
 * kept for later.
 *
 * Threading: any thread of charon; all state is behind the lock of the table.
 */

#ifndef MCIPSEC_GATE_H_
#define MCIPSEC_GATE_H_

#include "mcipsec_event.h"
#include "mcipsec_table.h"

typedef struct mcipsec_gate_t mcipsec_gate_t;

/**
 * The gate.
 */
struct mcipsec_gate_t {

	/**
	 * More is acknowledged, for all groups or for some: the table has it.
	 */
	void (*ack)(mcipsec_gate_t *this);

	/**
	 * Release held packets of a group: send them (commit was switched off), or
	 * drop them (the group is not active any more).
	 */
	void (*release)(mcipsec_gate_t *this, mcipsec_group_entry_t *group,
					bool send);

	/**
	 * Drop what is held for an IKE_SA: its state is about to be replaced. Lock of
	 * the table held.
	 */
	void (*drop)(mcipsec_gate_t *this, mcipsec_group_entry_t *group,
				 mcipsec_ike_entry_t *entry);

	/**
	 * Give the sender of charon back.
	 */
	void (*destroy)(mcipsec_gate_t *this);
};

/**
 * Put the gate in front of charon->sender; it starts closed.
 */
mcipsec_gate_t *mcipsec_gate_create(mcipsec_table_t *table,
									mcipsec_event_t *event);

#endif /** MCIPSEC_GATE_H_ @}*/
