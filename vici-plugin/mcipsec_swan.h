/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_swan mcipsec_swan
 * @{ @ingroup mcipsec
 *
 * Every difference between the versions of strongSwan that the plugin is built
 * for, so that the rest reads alike for both. strongSwan has no macro for its
 * version that can be compared: what a version brought is asked for.
 *
 * 6.0 has several key exchanges in one negotiation (RFC 9370), links the
 * CHILD_SAs of a rekey by pointer instead of by SPI, and leaves the outbound
 * state in the kernel alone that an installation failed for.
 */

#ifndef MCIPSEC_SWAN_H_
#define MCIPSEC_SWAN_H_

#include <daemon.h>
#include <sa/ikev2/keymat_v2.h>

#ifdef MAX_ADDITIONAL_KEY_EXCHANGES
# define MCIPSEC_SWAN_6
#endif

/**
 * Flags of an IKE_SA that this version knows; those of another one that are
 * beyond mean nothing here
 */
#ifdef MCIPSEC_SWAN_6
# define MCIPSEC_EXTENSIONS		(EXT_IKE_INTERMEDIATE * 2ULL - 1)
# define MCIPSEC_CONDITIONS		(COND_OCSP_REQUEST * 2ULL - 1)
#else
# define MCIPSEC_EXTENSIONS		(EXT_IKE_CHILDLESS * 2ULL - 1)
# define MCIPSEC_CONDITIONS		(COND_AUTHENTICATED * 2ULL - 1)
#endif

/**
 * What the hook for the keys of an IKE_SA gets
 */
#ifdef MCIPSEC_SWAN_6
typedef array_t mcipsec_kes_t;
#else
typedef key_exchange_t mcipsec_kes_t;
#endif

/**
 * The shared secret of the first key exchange, allocated
 */
static inline bool mcipsec_swan_secret(mcipsec_kes_t *kes, chunk_t *secret)
{
	key_exchange_t *ke;

#ifdef MCIPSEC_SWAN_6
	if (!array_get(kes, 0, &ke))
	{
		return FALSE;
	}
#else
	ke = kes;
#endif
	return ke->get_shared_secret(ke, secret);
}

/**
 * Do the keys depend on more than one key exchange? Those of a rekey come
 * together, those of a new IKE_SA one after the other, each as if the IKE_SA
 * were rekeyed by itself
 */
static inline bool mcipsec_swan_more_kes(mcipsec_kes_t *kes, ike_sa_t *ike_sa,
										 ike_sa_t *rekey)
{
#ifdef MCIPSEC_SWAN_6
	return array_count(kes) > 1 || rekey == ike_sa;
#else
	return FALSE;
#endif
}

/**
 * Derive keys from one key exchange
 */
static inline bool mcipsec_swan_derive(keymat_v2_t *keymat,
				proposal_t *proposal, key_exchange_t *ke, chunk_t nonce_i,
				chunk_t nonce_r, ike_sa_id_t *id,
				pseudo_random_function_t old_prf, chunk_t old_skd)
{
#ifdef MCIPSEC_SWAN_6
	array_t *kes = NULL;
	bool ok;

	array_insert_create(&kes, ARRAY_HEAD, ke);
	ok = keymat->derive_ike_keys(keymat, proposal, kes, nonce_i, nonce_r, id,
								 old_prf, old_skd);
	array_destroy(kes);
	return ok;
#else
	return keymat->derive_ike_keys(keymat, proposal, ke, nonce_i, nonce_r, id,
								   old_prf, old_skd);
#endif
}

/**
 * Outbound SPI of the CHILD_SA that replaces this one in a rekey of the peer's
 * that is not finished, 0 if there is none
 */
static inline uint32_t mcipsec_swan_get_rekey_spi(child_sa_t *child_sa)
{
#ifdef MCIPSEC_SWAN_6
	child_sa_t *other = child_sa->get_rekey_sa(child_sa);

	/* linked both ways: only the new one waits */
	return other && other->get_outbound_state(other) & CHILD_OUTBOUND_REGISTERED
				? other->get_spi(other, FALSE) : 0;
#else
	return child_sa->get_rekey_spi(child_sa);
#endif
}

/**
 * A record says that there is none (any more)
 */
static inline void mcipsec_swan_forget_rekey_spi(child_sa_t *child_sa,
												 uint32_t spi)
{
#ifndef MCIPSEC_SWAN_6
	child_sa->set_rekey_spi(child_sa, spi);
#endif
}

/**
 * Set what the above returns, of an imported CHILD_SA. The other one may still
 * have to come: to be called again when it did.
 */
static inline void mcipsec_swan_set_rekey_spi(ike_sa_t *ike_sa,
										child_sa_t *child_sa, uint32_t spi)
{
#ifdef MCIPSEC_SWAN_6
	enumerator_t *enumerator;
	child_sa_t *other;

	if (!spi || child_sa->get_rekey_sa(child_sa))
	{	/* one that this charon has found itself stays */
		return;
	}
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &other))
	{
		if (other != child_sa && other->get_spi(other, FALSE) == spi &&
			other->get_protocol(other) == child_sa->get_protocol(child_sa) &&
			!other->get_rekey_sa(other))
		{
			child_sa->set_rekey_sa(child_sa, other);
			other->set_rekey_sa(other, child_sa);
			break;
		}
	}
	enumerator->destroy(enumerator);
#else
	if (spi)
	{
		child_sa->set_rekey_spi(child_sa, spi);
	}
#endif
}

/**
 * Before a CHILD_SA is destroyed that charon does not know the end of: no other
 * one may point to it
 */
static inline void mcipsec_swan_unlink(child_sa_t *child_sa)
{
#ifdef MCIPSEC_SWAN_6
	child_sa_t *other = child_sa->get_rekey_sa(child_sa);

	if (other)
	{
		other->set_rekey_sa(other, NULL);
		child_sa->set_rekey_sa(child_sa, NULL);
	}
#endif
}

/**
 * Remove the outbound state from the kernel for which that of a CHILD_SA could
 * not be installed
 */
static inline void mcipsec_swan_clear_outbound(ike_sa_t *ike_sa,
						child_sa_t *child_sa, uint32_t spi, uint16_t cpi)
{
#ifdef MCIPSEC_SWAN_6
	kernel_ipsec_sa_id_t id = {
		.src = ike_sa->get_my_host(ike_sa),
		.dst = ike_sa->get_other_host(ike_sa),
		.spi = spi,
		.proto = child_sa->get_protocol(child_sa) == PROTO_AH ? IPPROTO_AH
															  : IPPROTO_ESP,
		.mark = child_sa->get_mark(child_sa, FALSE),
		.if_id = child_sa->get_if_id(child_sa, FALSE),
	};
	kernel_ipsec_del_sa_t sa = {
		.cpi = cpi,
	};

	charon->kernel->del_sa(charon->kernel, &id, &sa);
#else
	/* charon's own destroy() does */
#endif
}

#endif /** MCIPSEC_SWAN_H_ @}*/
