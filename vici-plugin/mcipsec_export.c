/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_export: charon's hooks, see mcipsec_export.h.
 */

#include "mcipsec_export.h"
#include "mcipsec_swan.h"

#include <encoding/payloads/sa_payload.h>
#include <sa/task.h>

typedef struct private_mcipsec_export_t private_mcipsec_export_t;

/**
 * Private data of the exporter.
 */
struct private_mcipsec_export_t {

	/**
	 * Public interface.
	 */
	mcipsec_export_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Announces what the hooks found
	 */
	mcipsec_announce_t *announce;
};

/**
 * Group of an IKE_SA, by its local address
 */
static mcipsec_group_entry_t *group_of(private_mcipsec_export_t *this,
									   ike_sa_t *ike_sa)
{
	if (ike_sa->get_version(ike_sa) != IKEV2)
	{
		return NULL;
	}
	return this->table->group_of(this->table, ike_sa->get_my_host(ike_sa));
}

METHOD(listener_t, ike_keys, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, mcipsec_kes_t *kes,
	chunk_t dh_other, chunk_t nonce_i, chunk_t nonce_r, ike_sa_t *rekey,
	shared_key_t *shared, auth_method_t method)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	mcipsec_group_entry_t *group;
	chunk_t secret, skd;

	this->table->lock->lock(this->table->lock);
	group = group_of(this, rekey ?: ike_sa);
	if (group && mcipsec_swan_secret(kes, &secret))
	{
		mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
		entry = this->table->get_ike(this->table, key, TRUE);
		entry->group = group->id;
		entry->initiator = ike_sa->get_id(ike_sa)->is_initiator(
												ike_sa->get_id(ike_sa));
		chunk_clear(&entry->nonce_i);
		chunk_clear(&entry->nonce_r);
		chunk_clear(&entry->secret);
		chunk_clear(&entry->old_skd);
		entry->nonce_i = chunk_clone(nonce_i);
		entry->nonce_r = chunk_clone(nonce_r);
		entry->secret = secret;
		entry->more_kes = mcipsec_swan_more_kes(kes, ike_sa, rekey);
		entry->rekeyed = rekey && rekey != ike_sa;
		if (entry->rekeyed)
		{
			keymat_v2_t *keymat = (keymat_v2_t*)rekey->get_keymat(rekey);

			mcipsec_ike_key(rekey->get_id(rekey), entry->old_key);
			entry->old_prf = keymat->get_skd(keymat, &skd);
			entry->old_skd = chunk_clone(skd);
		}
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(listener_t, child_derived_keys, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	bool initiator, chunk_t encr_i, chunk_t encr_r, chunk_t integ_i,
	chunk_t integ_r)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *entry;
	mcipsec_group_entry_t *group;

	this->table->lock->lock(this->table->lock);
	group = ike_sa ? group_of(this, ike_sa) : NULL;
	if (group)
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		entry = this->table->get_child(this->table, group->id, key, TRUE);
		mcipsec_ike_key(ike_sa->get_id(ike_sa), entry->parent);
		chunk_clear(&entry->encr_i);
		chunk_clear(&entry->encr_r);
		chunk_clear(&entry->integ_i);
		chunk_clear(&entry->integ_r);
		entry->initiator = initiator;
		entry->encr_i = chunk_clone(encr_i);
		entry->encr_r = chunk_clone(encr_r);
		entry->integ_i = chunk_clone(integ_i);
		entry->integ_r = chunk_clone(integ_r);
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

/**
 * Remember the packets of a message that was just encrypted
 */
static void keep_packets(mcipsec_ike_entry_t *entry, message_t *message)
{
	array_t **packets;
	enumerator_t *fragments;
	packet_t *packet;

	if (message->get_request(message))
	{
		packets = &entry->request;
		entry->request_mid = message->get_message_id(message);
		entry->request_type = message->get_exchange_type(message);
		entry->request_imported = FALSE;
	}
	else
	{
		packets = &entry->response;
		entry->response_mid = message->get_message_id(message);
		entry->response_imported = FALSE;
	}
	mcipsec_packets_clear(packets);

	fragments = message->get_fragments(message);
	while (fragments->enumerate(fragments, &packet))
	{
		mcipsec_packets_add(packets, packet->get_data(packet));
	}
	fragments->destroy(fragments);
	if (!array_count(*packets))
	{
		mcipsec_packets_add(packets, message->get_packet_data(message));
	}
}

/**
 * Remember the SPI that our own request proposes
 */
static void keep_proposed_spi(mcipsec_ike_entry_t *entry, message_t *message)
{
	linked_list_t *proposals;
	sa_payload_t *payload;
	proposal_t *proposal;

	entry->request_proto = PROTO_NONE;
	entry->request_spi = 0;
	payload = (sa_payload_t*)message->get_payload(message,
												  PLV2_SECURITY_ASSOCIATION);
	if (payload && message->get_exchange_type(message) == CREATE_CHILD_SA)
	{
		proposals = payload->get_proposals(payload);
		if (proposals->get_first(proposals, (void**)&proposal) == SUCCESS &&
			proposal->get_protocol(proposal) != PROTO_IKE)
		{
			entry->request_proto = proposal->get_protocol(proposal);
			entry->request_spi = ntohl(proposal->get_spi(proposal));
		}
		proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	}
	if (entry->request_proto != PROTO_NONE &&
		(entry->proposed_proto == PROTO_NONE ||
		 entry->proposed_mid != message->get_message_id(message)))
	{
		entry->proposed_mid = message->get_message_id(message);
		entry->proposed_proto = entry->request_proto;
		entry->proposed_spi = entry->request_spi;
	}
}

/**
 * Remember the identity of the postquantum pre-shared key that the initiator
 * proposes, RFC 8784 section 3
 */
static void keep_ppk_id(mcipsec_ike_entry_t *entry, message_t *message)
{
	notify_payload_t *notify;
	chunk_t data;

	if (message->get_exchange_type(message) != IKE_AUTH ||
		!message->get_request(message))
	{
		return;
	}
	notify = message->get_notify(message, PPK_IDENTITY);
	if (notify)
	{
		data = notify->get_notification_data(notify);
		if (data.len > 1)
		{	/* behind a type, of which there is one only */
			chunk_free(&entry->ppk_id);
			entry->ppk_id = chunk_clone(chunk_skip(data, 1));
		}
	}
}

/**
 * Does the response that was just built end the IKE_SA?
 */
static bool answers_delete(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	bool found = FALSE;
	task_t *task;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_PASSIVE);
	while (enumerator->enumerate(enumerator, &task))
	{
		if (task->get_type(task) == TASK_IKE_DELETE)
		{
			found = TRUE;
			break;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

METHOD(listener_t, message_hook, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	uint32_t mid_in, mid;

	if (!ike_sa || ike_sa->get_version(ike_sa) != IKEV2)
	{
		return TRUE;
	}
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	if (incoming)
	{
		if (plain && !message->get_request(message))
		{	/* tasks will handle the answer after this hook */
			this->table->lock->lock(this->table->lock);
			entry = this->table->get_ike(this->table, key, FALSE);
			if (entry && entry->proposed_mid == message->get_message_id(message))
			{
				entry->proposed_proto = PROTO_NONE;
			}
			this->table->lock->unlock(this->table->lock);
			this->announce->dirty(this->announce, key);
		}
		else if (plain)
		{
			this->table->lock->lock(this->table->lock);
			entry = this->table->get_ike(this->table, key, FALSE);
			if (entry)
			{
				keep_ppk_id(entry, message);
			}
			this->table->lock->unlock(this->table->lock);
		}
		return TRUE;
	}
	mid = message->get_message_id(message);
	mid_in = ike_sa->get_message_id(ike_sa, FALSE);

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && message->get_exchange_type(message) != IKE_SA_INIT)
	{
		if (plain)
		{
			if (message->get_request(message))
			{
				keep_proposed_spi(entry, message);
				keep_ppk_id(entry, message);
			}
		}
		else
		{
			keep_packets(entry, message);
			if (!message->get_request(message) && mid == mid_in)
			{	/* counted up when the response is on its way */
				mid_in++;
			}
			if (!message->get_request(message) && answers_delete(ike_sa))
			{
				this->announce->ike_gone(this->announce, ike_sa,
										 group_of(this, ike_sa), entry);
			}
			else
			{
				this->announce->changes(this->announce, ike_sa, mid_in);
			}
		}
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(listener_t, ike_rekey, bool,
	private_mcipsec_export_t *this, ike_sa_t *old, ike_sa_t *new)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry, *old_entry;

	this->table->lock->lock(this->table->lock);
	mcipsec_ike_key(old->get_id(old), key);
	old_entry = this->table->get_ike(this->table, key, FALSE);
	mcipsec_ike_key(new->get_id(new), key);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && old_entry)
	{
		memcpy(entry->lineage, old_entry->lineage, sizeof(entry->lineage));
	}
	/* charon moved the children already */
	this->announce->changes(this->announce, new,
							new->get_message_id(new, FALSE));
	if (entry && old_entry)
	{	/* the response that tells the peer is one of the old IKE_SA */
		old_entry->seq = max(old_entry->seq, entry->seq);
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(listener_t, ike_update, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, host_t *local,
	host_t *remote)
{
	uint8_t key[MCIPSEC_KEY_IKE];

	/* called before the addresses are applied */
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	this->announce->dirty(this->announce, key);
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;

	if (state != IKE_DESTROYING)
	{
		return TRUE;
	}
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry)
	{
		this->announce->ike_gone(this->announce, ike_sa,
			this->table->get_group(this->table, entry->group, FALSE), entry);
		if (!entry->held->get_count(entry->held))
		{	/* else the gate removes it after its last packet */
			this->table->remove_ike(this->table, entry);
		}
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(listener_t, child_state_change, bool,
	private_mcipsec_export_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	child_sa_state_t state)
{
	uint8_t key[MCIPSEC_KEY_CHILD], parent[MCIPSEC_KEY_IKE];
	mcipsec_child_entry_t *entry;
	mcipsec_group_entry_t *group;
	enumerator_t *groups;

	if (state != CHILD_DELETED && state != CHILD_DESTROYING)
	{
		return TRUE;
	}
	if (state == CHILD_DELETED && ike_sa && mcipsec_swan_get_rekey_spi(child_sa))
	{	/* the outbound half of what replaces it is yet to be installed: the
		 * standby gets that first, with the answer that is built next */
		mcipsec_ike_key(ike_sa->get_id(ike_sa), parent);
		this->announce->dirty(this->announce, parent);
		return TRUE;
	}
	mcipsec_child_key(child_sa->get_protocol(child_sa),
					  child_sa->get_spi(child_sa, TRUE), key);
	this->table->lock->lock(this->table->lock);
	groups = this->table->create_group_enumerator(this->table);
	while (groups->enumerate(groups, &group))
	{
		if (ike_sa && group != group_of(this, ike_sa))
		{
			continue;
		}
		entry = this->table->get_child(this->table, group->id, key, FALSE);
		if (entry)
		{
			this->announce->child_gone(this->announce, group,
									   child_sa->get_name(child_sa), entry);
			break;
		}
	}
	groups->destroy(groups);
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(mcipsec_export_t, destroy, void,
	private_mcipsec_export_t *this)
{
	free(this);
}

/*
 * Described in header
 */
mcipsec_export_t *mcipsec_export_create(mcipsec_table_t *table,
										mcipsec_announce_t *announce)
{
	private_mcipsec_export_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_keys = _ike_keys,
				.child_derived_keys = _child_derived_keys,
				.message = _message_hook,
				.ike_rekey = _ike_rekey,
				.ike_update = _ike_update,
				.ike_state_change = _ike_state_change,
				.child_state_change = _child_state_change,
			},
			.destroy = _destroy,
		},
		.table = table,
		.announce = announce,
	);

	return &this->public;
}
