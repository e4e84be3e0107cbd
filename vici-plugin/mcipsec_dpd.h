/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_dpd mcipsec_dpd
 * @{ @ingroup mcipsec
 *
 * No dead peer detection of charon's own where a tunnel-group only responds, whatever
 * dpd_delay says (seed "Other Details": no dpd, or reply only). That of the peer is
 * answered by charon as ever, and the liveness check of mcipsec_life is another matter.
 */

#ifndef MCIPSEC_DPD_H_
#define MCIPSEC_DPD_H_

#include "mcipsec_table.h"

typedef struct mcipsec_dpd_t mcipsec_dpd_t;

/**
 * Stands in for send_dpd() of every IKE_SA.
 */
struct mcipsec_dpd_t {

	/**
	 * Implements listener_t.
	 */
	listener_t listener;

	/**
	 * Destroy. IKE_SAs that are left must not be used any more.
	 */
	void (*destroy)(mcipsec_dpd_t *this);
};

/**
 * Create the listener.
 */
mcipsec_dpd_t *mcipsec_dpd_create(mcipsec_table_t *table);

#endif /** MCIPSEC_DPD_H_ @}*/
