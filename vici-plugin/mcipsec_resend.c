/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_resend: see mcipsec_resend.h.
 *
 * charon's task manager does not know of the exchange; a placeholder keeps it
 * from initiating another one. The answer is parsed by charon (the message id is
 * the expected one) and withdrawn in the hook for plain messages, so no task
 * sees it; a job does the rest, as a hook may not.
 *
 * While both chassis act, because they do not hear each other, the answer to a
 * request of one may come to the other, which has none under way. charon would
 * end the IKE_SA for that; it is withdrawn, too, and what it says counts: the
 * peer expects the next message id.
 */

#include "mcipsec_resend.h"
#include "mcipsec_keys.h"
#include "mcipsec_midsync.h"
#include "mcipsec_record.h"
#include "mcipsec_retransmit.h"
#include "mcipsec_swan.h"
#include "mcipsec_task.h"

#include <encoding/payloads/delete_payload.h>
#include <processing/jobs/callback_job.h>

/** Most CHILD_SAs that the answer to one DELETE names */
#define DELETES_MAX	16

typedef struct private_mcipsec_resend_t private_mcipsec_resend_t;
typedef struct answer_t answer_t;
typedef struct repeat_t repeat_t;

/**
 * Private data of the listener.
 */
struct private_mcipsec_resend_t {

	/**
	 * Public interface.
	 */
	mcipsec_resend_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Announces what changed
	 */
	mcipsec_announce_t *announce;
};

/**
 * The listener, for jobs that may outlive it
 */
static private_mcipsec_resend_t *resend;

/**
 * What an answer said, for the job
 */
struct answer_t {
	uint8_t key[MCIPSEC_KEY_IKE];
	uint32_t mid;

	/** a CHILD_SA was created */
	bool created;

	/** these outbound SPIs were deleted */
	int count;
	struct {
		protocol_id_t protocol;
		uint32_t spi;
	} deleted[DELETES_MAX];
};

/**
 * Next repetition of a request; also an answer to one of the other chassis
 */
struct repeat_t {
	uint8_t key[MCIPSEC_KEY_IKE];
	uint32_t mid;
	u_int tries;
};

bool mcipsec_resend_pending(ike_sa_t *ike_sa)
{
	return mcipsec_placeholder_find(ike_sa, MCIPSEC_WAIT_REQUEST, FALSE);
}

static job_requeue_t repeat_job(repeat_t *repeat);

/**
 * Send the request once and schedule the repetition.
 *
 * @return			FALSE if it was repeated often enough
 */
static bool send_once(mcipsec_table_t *table, ike_sa_t *ike_sa,
					  mcipsec_ike_entry_t *entry, u_int tries)
{
	uint32_t ms = mcipsec_retransmit_interval(tries);
	repeat_t *repeat;

	if (!ms)
	{
		return FALSE;
	}
	DBG1(DBG_IKE, "repeating request with ID %u of the other chassis",
		 entry->request_mid);
	mcipsec_send_packets(entry->request, ike_sa->get_my_host(ike_sa),
						 ike_sa->get_other_host(ike_sa));
	INIT(repeat,
		.mid = entry->request_mid,
		.tries = tries + 1,
	);
	memcpy(repeat->key, entry->key, sizeof(repeat->key));
	lib->scheduler->schedule_job_ms(lib->scheduler, (job_t*)
			callback_job_create_with_prio((callback_job_cb_t)repeat_job, repeat,
						free, (callback_job_cancel_t)return_false,
						JOB_PRIO_MEDIUM), ms);
	return TRUE;
}

/**
 * Repeat a request that was not answered
 */
static job_requeue_t repeat_job(repeat_t *repeat)
{
	mcipsec_ike_entry_t *entry;
	bool give_up = FALSE;
	ike_sa_t *ike_sa;

	if (!resend)
	{
		return JOB_REQUEUE_NONE;
	}
	ike_sa = mcipsec_ike_checkout(resend->table, repeat->key);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	if (mcipsec_placeholder_find(ike_sa, MCIPSEC_WAIT_REQUEST, FALSE))
	{
		resend->table->lock->lock(resend->table->lock);
		entry = resend->table->get_ike(resend->table, repeat->key, FALSE);
		if (entry && entry->request_imported &&
			entry->request_mid == repeat->mid)
		{
			give_up = !send_once(resend->table, ike_sa, entry, repeat->tries);
			if (repeat->tries == MCIPSEC_DOUBT_AFTER && entry->doubt_out)
			{	/* perhaps the peer expects another message id */
				mcipsec_midsync_doubt(entry);
			}
		}
		resend->table->lock->unlock(resend->table->lock);
	}
	if (give_up)
	{
		DBG1(DBG_IKE, "giving up after %u repetitions, peer is unreachable",
			 repeat->tries);
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
	}
	else
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Is a request a rekey of the IKE_SA itself? Whoever answers it takes an IKE_SA up
 * that only the chassis before us has the secret of. Of fragments the peer may have
 * some, and waits for the others.
 */
static bool rekeys_ike(mcipsec_ike_entry_t *entry)
{
	return entry->request_type == CREATE_CHILD_SA &&
		   entry->request_proto == PROTO_NONE &&
		   array_count(entry->request) == 1;
}

/**
 * Put an empty request in the place of one that rekeys the IKE_SA, for the next
 * chassis, too. The lock is not held.
 */
static void replace_rekey(mcipsec_table_t *table, ike_sa_t *ike_sa,
						  const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_ike_entry_t *entry;
	bool replaced = FALSE;
	keymat_t *keymat;

	keymat = mcipsec_keys_derive(table, ike_sa, key);
	if (!keymat)
	{
		return;
	}
	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	if (entry && rekeys_ike(entry) &&
		mcipsec_keys_request(keymat, ike_sa, entry->request_mid, chunk_empty,
							 &entry->request))
	{
		DBG1(DBG_IKE, "giving up the rekey of the IKE_SA that the other "
			 "chassis began, asking for life with its message ID %u",
			 entry->request_mid);
		entry->request_type = INFORMATIONAL;
		replaced = TRUE;
	}
	table->lock->unlock(table->lock);
	keymat->destroy(keymat);
	if (replaced && resend)
	{
		resend->announce->changes(resend->announce, ike_sa,
								  ike_sa->get_message_id(ike_sa, FALSE));
	}
}

status_t mcipsec_resend_request(mcipsec_table_t *table, ike_sa_t *ike_sa)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	bool pending, useless;

	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	pending = entry && entry->request_imported && entry->request &&
			  entry->request_mid == ike_sa->get_message_id(ike_sa, TRUE) &&
			  ike_sa->get_state(ike_sa) == IKE_ESTABLISHED;
	useless = pending && rekeys_ike(entry);
	table->lock->unlock(table->lock);
	if (!pending || mcipsec_placeholder_find(ike_sa, MCIPSEC_WAIT_REQUEST, FALSE))
	{
		return SUCCESS;
	}

	ike_sa->queue_task(ike_sa, mcipsec_placeholder_create(MCIPSEC_WAIT_REQUEST));
	if (ike_sa->initiate(ike_sa, NULL, NULL) == DESTROY_ME)
	{
		return DESTROY_ME;
	}
	if (useless)
	{
		replace_rekey(table, ike_sa, key);
	}
	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	if (entry)
	{
		send_once(table, ike_sa, entry, 0);
	}
	table->lock->unlock(table->lock);
	return SUCCESS;
}

/**
 * Mend what the peer made of the request
 */
static job_requeue_t answer_job(answer_t *answer)
{
	uint8_t state = MCIPSEC_IKE_ESTABLISHED;
	mcipsec_ike_entry_t *entry;
	protocol_id_t protocol = PROTO_NONE;
	child_sa_t *child_sa;
	ike_sa_t *ike_sa;
	uint32_t spi = 0;
	int i;

	if (!resend)
	{
		return JOB_REQUEUE_NONE;
	}
	ike_sa = mcipsec_ike_checkout(resend->table, answer->key);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	if (!mcipsec_placeholder_find(ike_sa, MCIPSEC_WAIT_REQUEST, TRUE))
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return JOB_REQUEUE_NONE;
	}
	ike_sa->set_message_id(ike_sa, TRUE, answer->mid + 1);

	resend->table->lock->lock(resend->table->lock);
	entry = resend->table->get_ike(resend->table, answer->key, FALSE);
	if (entry)
	{
		state = entry->state;
		protocol = entry->request_proto;
		spi = htonl(entry->request_spi);
		mcipsec_packets_clear(&entry->request);
		entry->request_imported = FALSE;
	}
	resend->table->lock->unlock(resend->table->lock);

	if (state == MCIPSEC_IKE_DELETING && !answer->created && !answer->count)
	{
		DBG1(DBG_IKE, "IKE_SA deleted");
		charon->bus->ike_updown(charon->bus, ike_sa, FALSE);
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return JOB_REQUEUE_NONE;
	}
	for (i = 0; i < answer->count; i++)
	{
		child_sa = ike_sa->get_child_sa(ike_sa, answer->deleted[i].protocol,
										answer->deleted[i].spi, FALSE);
		if (child_sa)
		{
			charon->bus->child_updown(charon->bus, child_sa, FALSE);
			mcipsec_swan_unlink(child_sa);
			ike_sa->destroy_child_sa(ike_sa, answer->deleted[i].protocol,
									 child_sa->get_spi(child_sa, TRUE));
		}
	}
	if (answer->created && protocol != PROTO_NONE)
	{
		DBG1(DBG_IKE, "deleting CHILD_SA with SPI %.8x that the other chassis "
			 "could not finish", ntohl(spi));
		ike_sa->queue_task(ike_sa, mcipsec_spi_delete_create(ike_sa, protocol, spi));
	}
	else if (answer->created)
	{
		DBG1(DBG_IKE, "the peer has rekeyed the IKE_SA with the other chassis, "
			 "which cannot be mended: it sets up anew when it misses that one");
	}
	if (ike_sa->initiate(ike_sa, NULL, NULL) == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return JOB_REQUEUE_NONE;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	resend->announce->dirty(resend->announce, answer->key);
	return JOB_REQUEUE_NONE;
}

/**
 * The peer has answered the request with our next message id, of the other chassis
 */
static job_requeue_t foreign_job(repeat_t *answer)
{
	ike_sa_t *ike_sa;

	if (!resend)
	{
		return JOB_REQUEUE_NONE;
	}
	ike_sa = mcipsec_ike_checkout(resend->table, answer->key);
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	if (ike_sa->get_message_id(ike_sa, TRUE) == answer->mid &&
		!mcipsec_task_active(ike_sa))
	{
		ike_sa->set_message_id(ike_sa, TRUE, answer->mid + 1);
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	resend->announce->dirty(resend->announce, answer->key);
	return JOB_REQUEUE_NONE;
}

/**
 * Read what an answer says
 */
static void read_answer(answer_t *answer, message_t *message)
{
	enumerator_t *payloads, *spis;
	delete_payload_t *delete;
	payload_t *payload;
	uint32_t spi;

	answer->created = message->get_exchange_type(message) == CREATE_CHILD_SA &&
				message->get_payload(message, PLV2_SECURITY_ASSOCIATION);

	payloads = message->create_payload_enumerator(message);
	while (payloads->enumerate(payloads, &payload))
	{
		if (payload->get_type(payload) != PLV2_DELETE)
		{
			continue;
		}
		delete = (delete_payload_t*)payload;
		if (delete->get_protocol_id(delete) == PROTO_IKE)
		{
			continue;
		}
		spis = delete->create_spi_enumerator(delete);
		while (answer->count < DELETES_MAX && spis->enumerate(spis, &spi))
		{
			answer->deleted[answer->count].protocol =
											delete->get_protocol_id(delete);
			answer->deleted[answer->count].spi = spi;
			answer->count++;
		}
		spis->destroy(spis);
	}
	payloads->destroy(payloads);
}

METHOD(listener_t, message_hook, bool,
	private_mcipsec_resend_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	bool ours, known;
	answer_t *answer;
	repeat_t *foreign;
	uint32_t mid;

	if (!ike_sa || !incoming || !plain || message->get_request(message) ||
		ike_sa->get_version(ike_sa) != IKEV2)
	{
		return TRUE;
	}
	mid = message->get_message_id(message);
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	known = entry && entry->published;
	ours = entry && entry->request_imported && entry->request_mid == mid &&
		   mcipsec_placeholder_find(ike_sa, MCIPSEC_WAIT_REQUEST, FALSE);
	this->table->lock->unlock(this->table->lock);
	if (!ours)
	{
		if (known && ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
			!mcipsec_task_active(ike_sa))
		{
			DBG1(DBG_IKE, "ignoring the answer to request %u of the other "
				 "chassis", mid);
			message->set_exchange_type(message, EXCHANGE_TYPE_UNDEFINED);
			INIT(foreign,
				.mid = mid,
			);
			memcpy(foreign->key, key, sizeof(foreign->key));
			lib->processor->queue_job(lib->processor, (job_t*)
				callback_job_create_with_prio((callback_job_cb_t)foreign_job,
					foreign, free, (callback_job_cancel_t)return_false,
					JOB_PRIO_HIGH));
		}
		return TRUE;
	}
	INIT(answer,
		.mid = mid,
	);
	memcpy(answer->key, key, sizeof(answer->key));
	read_answer(answer, message);
	/* no task of charon may see it */
	message->set_exchange_type(message, EXCHANGE_TYPE_UNDEFINED);
	lib->processor->queue_job(lib->processor, (job_t*)
			callback_job_create_with_prio((callback_job_cb_t)answer_job, answer,
						free, (callback_job_cancel_t)return_false,
						JOB_PRIO_HIGH));
	return TRUE;
}

METHOD(mcipsec_resend_t, destroy, void,
	private_mcipsec_resend_t *this)
{
	resend = NULL;
	free(this);
}

/*
 * Described in header
 */
mcipsec_resend_t *mcipsec_resend_create(mcipsec_table_t *table,
										mcipsec_announce_t *announce)
{
	private_mcipsec_resend_t *this;

	INIT(this,
		.public = {
			.listener = {
				.message = _message_hook,
			},
			.destroy = _destroy,
		},
		.table = table,
		.announce = announce,
	);
	resend = this;

	return &this->public;
}
