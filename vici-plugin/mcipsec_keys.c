/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_keys: see mcipsec_keys.h.
 *
 * charon derives from a key exchange object: it gets one that only hands out the
 * secret.
 */

#include "mcipsec_keys.h"
#include "mcipsec_swan.h"

#include <encoding/message.h>

typedef struct secret_exchange_t secret_exchange_t;

/**
 * A key exchange that is over: it only hands out its result
 */
struct secret_exchange_t {

	/**
	 * Implements key_exchange_t.
	 */
	key_exchange_t public;

	/**
	 * The shared secret, not owned
	 */
	chunk_t secret;
};

METHOD(key_exchange_t, get_shared_secret, bool,
	secret_exchange_t *this, chunk_t *secret)
{
	*secret = chunk_clone(this->secret);
	return TRUE;
}

METHOD(key_exchange_t, exchange_destroy, void,
	secret_exchange_t *this)
{
	free(this);
}

static key_exchange_t *secret_exchange_create(chunk_t secret)
{
	secret_exchange_t *this;

	INIT(this,
		.public = {
			.get_shared_secret = _get_shared_secret,
			.destroy = _exchange_destroy,
		},
		.secret = secret,
	);
	return &this->public;
}

/*
 * Described in header
 */
bool mcipsec_keys_into(keymat_t *keymat, proposal_t *proposal, ike_sa_id_t *id,
					   mcipsec_keys_t *keys)
{
	keymat_v2_t *v2 = (keymat_v2_t*)keymat;
	key_exchange_t *exchange;
	bool ok;

	exchange = secret_exchange_create(keys->secret);
	ok = mcipsec_swan_derive(v2, proposal, exchange, keys->nonce_i,
							 keys->nonce_r, id, keys->old_prf, keys->old_skd);
	exchange->destroy(exchange);
	return ok;
}

/*
 * Described in header
 */
shared_key_t *mcipsec_keys_ppk(chunk_t ppk_id)
{
	identification_t *id;
	shared_key_t *ppk;

	id = identification_create_from_data(ppk_id);
	ppk = lib->credmgr->get_shared(lib->credmgr, SHARED_PPK, id, NULL);
	id->destroy(id);
	return ppk;
}

/*
 * Described in header
 */
bool mcipsec_keys_mix(keymat_t *keymat, shared_key_t *ppk)
{
	keymat_v2_t *v2 = (keymat_v2_t*)keymat;

	return v2->derive_ike_keys_ppk(v2, ppk->get_key(ppk));
}

/**
 * Copy what the keys of an IKE_SA are derived from, to be cleared by the caller.
 */
static bool copy_keys(mcipsec_table_t *table,
					  const uint8_t key[MCIPSEC_KEY_IKE], mcipsec_keys_t *keys)
{
	mcipsec_ike_entry_t *entry;
	bool found = FALSE;

	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	if (entry && !entry->more_kes)
	{
		keys->secret = chunk_clone(entry->secret);
		keys->nonce_i = chunk_clone(entry->nonce_i);
		keys->nonce_r = chunk_clone(entry->nonce_r);
		keys->old_prf = entry->rekeyed ? entry->old_prf : PRF_UNDEFINED;
		keys->old_skd = chunk_clone(entry->rekeyed ? entry->old_skd
												   : chunk_empty);
		found = TRUE;
	}
	table->lock->unlock(table->lock);
	return found;
}

/*
 * Described in header
 */
keymat_t *mcipsec_keys_derive(mcipsec_table_t *table, ike_sa_t *ike_sa,
							  const uint8_t key[MCIPSEC_KEY_IKE])
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	mcipsec_keys_t keys = {};
	keymat_t *keymat = NULL;

	if (copy_keys(table, key, &keys))
	{
		keymat = keymat_create(IKEV2, id->is_initiator(id));
		if (keymat && !mcipsec_keys_into(keymat,
									ike_sa->get_proposal(ike_sa), id, &keys))
		{
			keymat->destroy(keymat);
			keymat = NULL;
		}
	}
	chunk_clear(&keys.secret);
	chunk_clear(&keys.nonce_i);
	chunk_clear(&keys.nonce_r);
	chunk_clear(&keys.old_skd);
	return keymat;
}

/*
 * Described in header
 */
bool mcipsec_keys_request(keymat_t *keymat, ike_sa_t *ike_sa, uint32_t mid,
						  chunk_t sync, array_t **packets)
{
	host_t *me = ike_sa->get_my_host(ike_sa);
	host_t *other = ike_sa->get_other_host(ike_sa);
	packet_t *packet = NULL;
	message_t *message;
	bool ok;

	message = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
	message->set_ike_sa_id(message, ike_sa->get_id(ike_sa));
	message->set_message_id(message, mid);
	message->set_request(message, TRUE);
	message->set_exchange_type(message, INFORMATIONAL);
	message->set_source(message, me->clone(me));
	message->set_destination(message, other->clone(other));
	if (sync.len)
	{
		message->add_notify(message, FALSE, IKEV2_MESSAGE_ID_SYNC, sync);
	}
	ok = message->generate(message, keymat, &packet) == SUCCESS;
	if (ok)
	{
		mcipsec_packets_clear(packets);
		mcipsec_packets_add(packets, packet->get_data(packet));
	}
	DESTROY_IF(packet);
	message->destroy(message);
	return ok;
}
