/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_policy mcipsec_policy
 * @{ @ingroup mcipsec
 *
 * A changed transform leaves an established tunnel as it is until its ends negotiate
 * anew (seed "Operational Conditions"). The charon that negotiated a CHILD_SA keeps the
 * configuration of then for its rekeys; one that imports it has only that of now.
 */

#ifndef MCIPSEC_POLICY_H_
#define MCIPSEC_POLICY_H_

#include <daemon.h>

/**
 * Configuration for a CHILD_SA that was negotiated elsewhere: the one that is loaded,
 * or if that would not propose what was negotiated, one like it that does so last.
 *
 * @param config		configuration of that name, as it is loaded
 * @param ike_sa		IKE_SA, checked out
 * @param negotiated	proposal of the CHILD_SA
 * @return				a reference
 */
child_cfg_t *mcipsec_policy_for(child_cfg_t *config, ike_sa_t *ike_sa,
								proposal_t *negotiated);

#endif /** MCIPSEC_POLICY_H_ @}*/
