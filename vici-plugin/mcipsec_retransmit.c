/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_retransmit: see mcipsec_retransmit.h.
 *
 * The hook for incoming messages fires before charon compares message ids, with
 * only the header parsed: an answer that charon has itself is left to it.
 */

#include "mcipsec_retransmit.h"

/** IKE header: next payload, length */
#define IKE_NEXT_PAYLOAD	16
#define IKE_HEADER_LEN		28

/** Fragment payload: number after the generic header */
#define FRAGMENT_NUMBER		4

typedef struct private_mcipsec_retransmit_t private_mcipsec_retransmit_t;

/**
 * Private data of the listener.
 */
struct private_mcipsec_retransmit_t {

	/**
	 * Public interface.
	 */
	mcipsec_retransmit_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;
};

void mcipsec_send_packets(array_t *packets, host_t *src, host_t *dst)
{
	packet_t *packet;
	chunk_t *data;
	int i;

	for (i = 0; i < array_count(packets); i++)
	{
		array_get(packets, i, &data);
		packet = packet_create_from_data(src->clone(src), dst->clone(dst),
										 chunk_clone(*data));
		charon->sender->send(charon->sender, packet);
	}
}

/**
 * Is this a later fragment of a message?
 */
static bool later_fragment(message_t *message)
{
	chunk_t data = message->get_packet_data(message);

	return data.len >= IKE_HEADER_LEN + FRAGMENT_NUMBER + 2 &&
		   data.ptr[IKE_NEXT_PAYLOAD] == PLV2_FRAGMENT &&
		   untoh16(data.ptr + IKE_HEADER_LEN + FRAGMENT_NUMBER) != 1;
}

METHOD(listener_t, message_hook, bool,
	private_mcipsec_retransmit_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	mcipsec_group_entry_t *group;
	host_t *src, *other;
	uint32_t mid;

	if (!ike_sa || !incoming || plain || !message->get_request(message) ||
		ike_sa->get_version(ike_sa) != IKEV2 || later_fragment(message))
	{
		return TRUE;
	}
	mid = message->get_message_id(message);
	src = message->get_source(message);
	other = ike_sa->get_other_host(ike_sa);
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && entry->response_imported && entry->response_mid == mid &&
		mid + 1 == ike_sa->get_message_id(ike_sa, FALSE) &&
		src->ip_equals(src, other))
	{
		DBG1(DBG_IKE, "received retransmit of request with ID %u that the "
			 "other chassis answered, repeating its response", mid);
		group = this->table->get_group(this->table, entry->group, FALSE);
		if (group)
		{
			group->n.resent++;
		}
		mcipsec_send_packets(entry->response,
							 message->get_destination(message), src);
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(mcipsec_retransmit_t, destroy, void,
	private_mcipsec_retransmit_t *this)
{
	free(this);
}

/*
 * Described in header
 */
mcipsec_retransmit_t *mcipsec_retransmit_create(mcipsec_table_t *table)
{
	private_mcipsec_retransmit_t *this;

	INIT(this,
		.public = {
			.listener = {
				.message = _message_hook,
			},
			.destroy = _destroy,
		},
		.table = table,
	);

	return &this->public;
}
