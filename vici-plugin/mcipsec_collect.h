/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_collect mcipsec_collect
 * @{ @ingroup mcipsec
 *
 * Collects the state of an IKE_SA or CHILD_SA from charon's objects and from
 * the table into an encoded record.
 *
 * The caller has the IKE_SA checked out (a listener hook has) and holds the lock
 * of the table.
 */

#ifndef MCIPSEC_COLLECT_H_
#define MCIPSEC_COLLECT_H_

#include "mcipsec_record.h"
#include "mcipsec_table.h"

#include <plugins/vici/vici_builder.h>

/**
 * Encode an IKE_SA.
 *
 * @param ike_sa		the IKE_SA
 * @param entry			what the table knows of it
 * @param mid_in		next message id expected from the peer
 * @param static_len	receives the length of the part without times
 * @return				encoded record, to be wiped; failed may be set
 */
mcipsec_buf_t mcipsec_collect_ike(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry,
								  uint32_t mid_in, size_t *static_len);

/**
 * Why nobody could derive the keys of an IKE_SA from a record: they depend on a
 * postquantum pre-shared key of which none could tell the identity, or on more
 * than one key exchange.
 *
 * @return				what is to be told, static text; NULL if they can be
 */
char *mcipsec_collect_underivable(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry);

/**
 * Encode a CHILD_SA.
 */
mcipsec_buf_t mcipsec_collect_child(child_sa_t *child_sa,
							mcipsec_child_entry_t *entry, size_t *static_len);

/**
 * Is a CHILD_SA in a state that the other chassis has to know?
 */
bool mcipsec_collect_wanted(child_sa_t *child_sa);

/**
 * Add the content of the section info to a message.
 */
void mcipsec_collect_ike_info(vici_builder_t *b, ike_sa_t *ike_sa,
							  mcipsec_ike_entry_t *entry);
void mcipsec_collect_child_info(vici_builder_t *b, ike_sa_t *ike_sa,
						child_sa_t *child_sa, mcipsec_child_entry_t *entry);

#endif /** MCIPSEC_COLLECT_H_ @}*/
