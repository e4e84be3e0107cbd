/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_keys mcipsec_keys
 * @{ @ingroup mcipsec
 *
 * Keys of an IKE_SA, derived again from what the exchange that made it left:
 * nonces, shared secret, and SK_d of the IKE_SA it replaced. RFC 7296 sections
 * 2.14 and 2.18, RFC 8784 section 3.
 */

#ifndef MCIPSEC_KEYS_H_
#define MCIPSEC_KEYS_H_

#include "mcipsec_table.h"

typedef struct mcipsec_keys_t mcipsec_keys_t;

/**
 * What keys are derived from; nothing is owned
 */
struct mcipsec_keys_t {
	chunk_t secret, nonce_i, nonce_r;

	/** of an IKE_SA made by a rekey, else PRF_UNDEFINED and empty */
	pseudo_random_function_t old_prf;
	chunk_t old_skd;
};

/**
 * Derive the keys of an IKE_SA into a keymat. The lock must not be held: charon
 * tells its listeners of them, under the bus lock.
 */
bool mcipsec_keys_into(keymat_t *keymat, proposal_t *proposal, ike_sa_id_t *id,
					   mcipsec_keys_t *keys);

/**
 * The postquantum pre-shared key of an identity, as configured here.
 *
 * @return			key, owned by the caller; NULL if there is none
 */
shared_key_t *mcipsec_keys_ppk(chunk_t ppk_id);

/**
 * Mix a postquantum pre-shared key into the derived keys, RFC 8784.
 */
bool mcipsec_keys_mix(keymat_t *keymat, shared_key_t *ppk);

/**
 * Derive the keys of an IKE_SA into a keymat of its own, with other nonces for
 * what is encrypted with it. The lock must not be held, see above.
 *
 * @return			keymat, NULL if that failed
 */
keymat_t *mcipsec_keys_derive(mcipsec_table_t *table, ike_sa_t *ike_sa,
							  const uint8_t key[MCIPSEC_KEY_IKE]);

/**
 * Build an INFORMATIONAL request that charon's own tasks know nothing of.
 *
 * @param keymat	as mcipsec_keys_derive() gives it
 * @param mid		message id
 * @param sync		data of its IKEV2_MESSAGE_ID_SYNC notify, RFC 6311 section 5.1;
 *					empty: nothing is in it
 * @param packets	receives it, instead of what was there
 * @return			FALSE if that failed; packets are then as they were
 */
bool mcipsec_keys_request(keymat_t *keymat, ike_sa_t *ike_sa, uint32_t mid,
						  chunk_t sync, array_t **packets);

#endif /** MCIPSEC_KEYS_H_ @}*/
