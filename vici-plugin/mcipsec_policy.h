/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_policy mcipsec_policy
 * @{ @ingroup mcipsec
 *
 * A changed ike-policy or transform leaves an established tunnel as it is until its
 * ends negotiate anew (seed "Operational Conditions"). The charon that negotiated an
 * IKE_SA or a CHILD_SA keeps the configuration of then for its rekeys; one that imports
 * it has only that of now.
 */

#ifndef MCIPSEC_POLICY_H_
#define MCIPSEC_POLICY_H_

#include <daemon.h>

/**
 * Key exchanges that the configuration of a CHILD_SA allows its rekeys. What was
 * negotiated does not tell: a CHILD_SA that came with its IKE_SA has none of its own.
 *
 * @param child_sa		CHILD_SA of an IKE_SA that is checked out
 * @return				16 bits each, network order, 0 for none at all; allocated,
 *						empty if the configuration has not got its algorithms
 */
chunk_t mcipsec_policy_kes(child_sa_t *child_sa);

/**
 * Configuration for a CHILD_SA that was negotiated elsewhere: the one that is loaded,
 * or if its rekey would not propose what was negotiated, one like it that does so, too.
 *
 * @param config		configuration of that name, as it is loaded
 * @param ike_sa		IKE_SA, checked out
 * @param negotiated	proposal of the CHILD_SA
 * @param kes			mcipsec_policy_kes() of the chassis that negotiated it; empty if
 *						that does not tell
 * @return				a reference
 */
child_cfg_t *mcipsec_policy_child(child_cfg_t *config, ike_sa_t *ike_sa,
								  proposal_t *negotiated, chunk_t kes);

/**
 * The same for an IKE_SA.
 *
 * @param config		connection, as it is loaded; the reference is taken over
 * @param negotiated	proposal of the IKE_SA
 * @return				a reference
 */
peer_cfg_t *mcipsec_policy_ike(peer_cfg_t *config, proposal_t *negotiated);

#endif /** MCIPSEC_POLICY_H_ @}*/
