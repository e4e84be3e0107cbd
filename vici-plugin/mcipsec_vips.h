/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_vips mcipsec_vips
 * @{ @ingroup mcipsec
 *
 * No virtual address is handed out that the peer of another IKE_SA has, one that
 * was imported included: charon's pools know only what they handed out
 * themselves; nor one outside the group's share of them. RFC 7296 section 2.19.
 *
 * Called with IKE_SAs checked out; takes the lock of the table.
 */

#ifndef MCIPSEC_VIPS_H_
#define MCIPSEC_VIPS_H_

#include "mcipsec_table.h"

typedef struct mcipsec_vips_t mcipsec_vips_t;

/**
 * Stands before charon->attributes.
 */
struct mcipsec_vips_t {

	/**
	 * Destroy, charon->attributes is as before.
	 */
	void (*destroy)(mcipsec_vips_t *this);
};

/**
 * Create it, there is one in a charon.
 */
mcipsec_vips_t *mcipsec_vips_create(mcipsec_table_t *table);

/**
 * Remember which addresses the peer of an IKE_SA has. Lock held.
 */
void mcipsec_vips_remember(mcipsec_ike_entry_t *entry, ike_sa_t *ike_sa);

#endif /** MCIPSEC_VIPS_H_ @}*/
