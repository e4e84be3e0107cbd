/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_midsync: see mcipsec_midsync.h.
 *
 * The synchronisation has message id 0 in both directions, which charon's task
 * manager cannot send. The request is built here; a placeholder keeps charon
 * from initiating anything before the answer, and our next message id is set
 * beyond what we propose, so that charon ignores the answer after the hook for
 * messages that are not parsed yet has read it.
 *
 * The keys for the request are derived once more into a keymat of its own: that
 * one's nonces come from a fresh salt, while the IKE_SA's own generator refuses
 * an id that it had already.
 *
 * A peer that is asked drops what it has of its own open request and begins that
 * anew, maybe with the same id; stock charon then takes an answer to the dropped
 * one for a fatal error. So its requests are ignored while it is asked, until a
 * few repetitions show that it does not answer: it sends them again, or others.
 */

#include "mcipsec_midsync.h"
#include "mcipsec_keys.h"
#include "mcipsec_record.h"
#include "mcipsec_retransmit.h"
#include "mcipsec_task.h"

#include <bio/bio_reader.h>
#include <bio/bio_writer.h>
#include <processing/jobs/callback_job.h>

/** How far beyond the ids that we know of we propose to go on */
#define AHEAD			16
#define AHEAD_SPREAD	16

/** How often the peer is asked before its own requests are answered meanwhile */
#define IGNORE_TRIES	3

/** How often it is asked before we propose to go on still further ahead: it says
 *  nothing to an id that it has seen, nor that it has. Not sooner: an answer to
 *  what was proposed before does not count any more */
#define RAISE_TRIES		3

typedef struct private_mcipsec_midsync_t private_mcipsec_midsync_t;
typedef struct ask_t ask_t;
typedef struct answer_t answer_t;

/**
 * Private data of the listener.
 */
struct private_mcipsec_midsync_t {

	/**
	 * Public interface.
	 */
	mcipsec_midsync_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Announces the new ids
	 */
	mcipsec_announce_t *announce;
};

/**
 * The listener, for jobs that may outlive it
 */
static private_mcipsec_midsync_t *midsync;

/**
 * Ask a peer, or ask it again
 */
struct ask_t {
	uint8_t key[MCIPSEC_KEY_IKE];

	/** 0 for the first time, else the id that was proposed */
	uint32_t proposed;
	u_int tries;
};

/**
 * What a peer answered
 */
struct answer_t {
	uint8_t key[MCIPSEC_KEY_IKE];
	uint32_t nonce, mid_in, mid_out;
};

static void queue(callback_job_cb_t cb, void *data, uint32_t ms)
{
	job_t *job = (job_t*)callback_job_create_with_prio(cb, data, free,
							(callback_job_cancel_t)return_false, JOB_PRIO_HIGH);

	if (ms)
	{
		lib->scheduler->schedule_job_ms(lib->scheduler, job, ms);
	}
	else
	{
		lib->processor->queue_job(lib->processor, job);
	}
}

/**
 * Active group of an entry, NULL if there is none. Lock held.
 */
static mcipsec_group_entry_t *active_group(private_mcipsec_midsync_t *this,
										   mcipsec_ike_entry_t *entry)
{
	mcipsec_group_entry_t *group;

	group = entry ? this->table->get_group(this->table, entry->group, FALSE)
				  : NULL;
	return group && group->state == MCIPSEC_ACTIVE ? group : NULL;
}

/**
 * May ids of an entry be in doubt, and what is to be done about it? Lock held.
 */
static bool doubted(private_mcipsec_midsync_t *this, mcipsec_ike_entry_t *entry)
{
	mcipsec_group_entry_t *group = active_group(this, entry);

	/* what is being deleted needs no further ids: its DELETE is repeated, and it goes */
	return group && !entry->sync.proposed && group->sync != MCIPSEC_SYNC_NO &&
		   entry->state != MCIPSEC_IKE_DELETING;
}

/**
 * Build the request, as packets of the entry. Lock held.
 */
static bool build(mcipsec_ike_entry_t *entry, ike_sa_t *ike_sa,
				  keymat_t *keymat)
{
	bio_writer_t *writer = bio_writer_create(12);
	bool ok;

	writer->write_data(writer, chunk_from_thing(entry->sync.nonce));
	writer->write_uint32(writer, entry->sync.proposed);
	writer->write_uint32(writer, ike_sa->get_message_id(ike_sa, FALSE));
	ok = mcipsec_keys_request(keymat, ike_sa, 0, writer->get_buf(writer),
							  &entry->sync.packets);
	writer->destroy(writer);
	return ok;
}

/**
 * Could the peer encrypt an answer? The question has message id 0, and so has its
 * repetition. With an AEAD charon makes the IV of the message id, refuses one that it
 * has used and ends the IKE_SA, so a peer like it must not be asked.
 */
static bool can_answer(ike_sa_t *ike_sa)
{
	proposal_t *proposal = ike_sa->get_proposal(ike_sa);
	uint16_t alg;

	return !proposal ||
		   !proposal->get_algorithm(proposal, ENCRYPTION_ALGORITHM, &alg, NULL) ||
		   !encryption_algorithm_is_aead(alg);
}

/**
 * May the peer of an IKE_SA be asked? Lock held.
 */
static bool can_ask(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
					mcipsec_ike_entry_t *entry)
{
	mcipsec_group_entry_t *group = active_group(this, entry);

	return group && !entry->sync.proposed && group->sync != MCIPSEC_SYNC_NO &&
		   ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
		   ike_sa->supports_extension(ike_sa, EXT_IKE_MESSAGE_ID_SYNC) &&
		   can_answer(ike_sa);
}

static job_requeue_t ask_job(ask_t *ask);

/**
 * Send the request and schedule its repetition.
 *
 * @return			FALSE if it was repeated often enough
 */
static bool send_once(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry, u_int tries)
{
	uint32_t ms = mcipsec_retransmit_interval(tries);
	ask_t *next;

	if (!ms)
	{
		return FALSE;
	}
	mcipsec_send_packets(entry->sync.packets, ike_sa->get_my_host(ike_sa),
						 ike_sa->get_other_host(ike_sa));
	entry->sync.tries = tries + 1;
	INIT(next,
		.proposed = entry->sync.proposed,
		.tries = entry->sync.tries,
	);
	memcpy(next->key, entry->key, sizeof(next->key));
	queue((callback_job_cb_t)ask_job, next, ms);
	return TRUE;
}

/**
 * Keep charon from initiating until there is an answer. What it has under way
 * begins anew with the id it gets; a request of the other chassis that was being
 * repeated is void.
 */
static status_t await(ike_sa_t *ike_sa, uint32_t proposed)
{
	ike_sa->set_message_id(ike_sa, TRUE, proposed);
	mcipsec_placeholder_remove(ike_sa);
	ike_sa->queue_task(ike_sa, mcipsec_placeholder_create(MCIPSEC_WAIT_SYNC));
	return ike_sa->initiate(ike_sa, NULL, NULL);
}

/**
 * Draw what a request is made of, and keep charon from initiating. The lock is
 * not held, as charon runs its tasks here.
 *
 * @return			DESTROY_ME if the IKE_SA has to go
 */
static status_t begin(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
					  const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_ike_entry_t *entry;
	uint32_t old, proposed = 0;
	keymat_t *keymat = NULL;
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
	if (ike_sa->supports_extension(ike_sa, EXT_IKE_MESSAGE_ID_SYNC))
	{
		keymat = mcipsec_keys_derive(this->table, ike_sa, key);
	}
	old = ike_sa->get_message_id(ike_sa, TRUE);
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (rng && keymat && can_ask(this, ike_sa, entry) &&
		rng->get_bytes(rng, sizeof(entry->sync.nonce),
					   (uint8_t*)&entry->sync.nonce))
	{
		entry->sync.old = old;
		entry->sync.tries = 0;
		entry->sync.proposed = old + AHEAD + random() % AHEAD_SPREAD;
		proposed = entry->sync.proposed;
		if (!build(entry, ike_sa, keymat))
		{
			proposed = entry->sync.proposed = 0;
		}
	}
	this->table->lock->unlock(this->table->lock);
	DESTROY_IF(rng);
	DESTROY_IF(keymat);
	if (!proposed)
	{
		return FAILED;
	}
	return await(ike_sa, proposed);
}

/**
 * Propose a higher id than so far; with each try twice as much is added.
 *
 * @return			DESTROY_ME if the IKE_SA has to go
 */
static status_t raise_proposal(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
							   ask_t *ask)
{
	mcipsec_ike_entry_t *entry;
	uint32_t was = ask->proposed;
	keymat_t *keymat;

	if (!mcipsec_retransmit_interval(ask->tries))
	{	/* it was the last time */
		return SUCCESS;
	}
	keymat = mcipsec_keys_derive(this->table, ike_sa, ask->key);
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, ask->key, FALSE);
	if (keymat && entry && entry->sync.proposed == ask->proposed)
	{
		entry->sync.proposed += AHEAD_SPREAD << min(ask->tries, 16);
		if (build(entry, ike_sa, keymat))
		{
			ask->proposed = entry->sync.proposed;
			/* charon forgets below what it answered; the peer may ask for it */
			entry->response_imported = entry->response != NULL;
		}
		else
		{
			entry->sync.proposed = was;
		}
	}
	this->table->lock->unlock(this->table->lock);
	DESTROY_IF(keymat);
	if (ask->proposed == was)
	{
		return SUCCESS;
	}
	return await(ike_sa, ask->proposed);
}

/**
 * Go on with an id of our own; what was under way with another one is void. The peer
 * may have made the CHILD_SA that it proposed, and nobody has its keys. The lock is
 * not held.
 */
static void go_on(mcipsec_table_t *table, ike_sa_t *ike_sa,
				  const uint8_t key[MCIPSEC_KEY_IKE], uint32_t mid_out)
{
	protocol_id_t protocol = PROTO_NONE, own = PROTO_NONE;
	uint32_t spi = 0, own_spi = 0;
	mcipsec_ike_entry_t *entry;

	ike_sa->set_message_id(ike_sa, TRUE, mid_out);
	mcipsec_placeholder_remove(ike_sa);

	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	if (entry)
	{	/* charon has forgotten what it answered; the peer may ask for it */
		entry->response_imported = entry->response != NULL;
		if (entry->proposed_mid != mid_out)
		{	/* charon begins its request anew, with another SPI, and does not hear
			 * the answer to this one any more */
			own = entry->proposed_proto;
			own_spi = htonl(entry->proposed_spi);
			entry->proposed_proto = PROTO_NONE;
		}
		if (entry->request_imported)
		{
			protocol = entry->request_proto;
			spi = htonl(entry->request_spi);
			entry->request_imported = FALSE;
			mcipsec_packets_clear(&entry->request);
		}
	}
	table->lock->unlock(table->lock);
	if (protocol != PROTO_NONE)
	{
		ike_sa->queue_task(ike_sa, mcipsec_spi_delete_create(ike_sa, protocol, spi));
	}
	if (own != PROTO_NONE)
	{
		ike_sa->queue_task(ike_sa, mcipsec_spi_delete_create(ike_sa, own, own_spi));
	}
}

/**
 * End the wait for an answer; charon goes on with what it has to do
 */
static status_t end(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
					const uint8_t key[MCIPSEC_KEY_IKE], uint32_t mid_out)
{
	mcipsec_ike_entry_t *entry;

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry)
	{
		entry->sync.proposed = 0;
		mcipsec_packets_clear(&entry->sync.packets);
	}
	this->table->lock->unlock(this->table->lock);
	go_on(this->table, ike_sa, key, mid_out);
	return ike_sa->initiate(ike_sa, NULL, NULL);
}

/*
 * Described in header
 */
void mcipsec_midsync_mid_out(mcipsec_table_t *table, ike_sa_t *ike_sa,
							 const uint8_t key[MCIPSEC_KEY_IKE], uint32_t mid_out)
{
	mcipsec_ike_entry_t *entry;
	bool asked;

	if (!midsync)
	{
		return;
	}
	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	asked = entry && entry->sync.proposed;
	if (asked)
	{	/* for when the peer does not say */
		entry->sync.old = max(entry->sync.old, mid_out);
	}
	table->lock->unlock(table->lock);
	/* not while it is rekeyed or deleted: charon would not go on with that */
	if (!asked && mid_out > ike_sa->get_message_id(ike_sa, TRUE) &&
		ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
	{
		DBG1(DBG_IKE, "going on with message ID %u of the other chassis", mid_out);
		go_on(table, ike_sa, key, mid_out);
		midsync->announce->dirty(midsync->announce, key);
	}
}

/**
 * Ask a peer
 */
static job_requeue_t ask_job(ask_t *ask)
{
	private_mcipsec_midsync_t *this = midsync;
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	status_t status = SUCCESS;
	bool sent = TRUE;
	ike_sa_t *ike_sa;
	uint32_t old = 0;

	ike_sa = this ? mcipsec_ike_checkout(this->table, ask->key) : NULL;
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;	/* and with it the entry */
	}
	if (!ask->proposed)
	{
		status = begin(this, ike_sa, ask->key);
		if (status == SUCCESS)
		{
			DBG1(DBG_IKE, "asking the peer for the message IDs");
			this->announce->changes(this->announce, ike_sa,
									ike_sa->get_message_id(ike_sa, FALSE));
		}
	}
	else if (ask->tries >= RAISE_TRIES)
	{
		status = raise_proposal(this, ike_sa, ask);
	}
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, ask->key, FALSE);
	if (entry && !ask->proposed)
	{	/* asked, or not to be asked: others may go on */
		entry->sync.due = FALSE;
	}
	if (status == SUCCESS && entry && entry->sync.proposed &&
		(!ask->proposed || entry->sync.proposed == ask->proposed))
	{
		old = entry->sync.old;
		sent = send_once(ike_sa, entry, ask->tries);
		group = this->table->get_group(this->table, entry->group, FALSE);
		if (!sent && group)
		{
			group->n.sync_failed++;
		}
	}
	this->table->lock->unlock(this->table->lock);
	if (!sent)
	{
		DBG1(DBG_IKE, "peer does not say its message IDs, going on with ours");
		status = end(this, ike_sa, ask->key, old);
	}
	if (status == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return JOB_REQUEUE_NONE;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return JOB_REQUEUE_NONE;
}

/*
 * Described in header
 */
void mcipsec_midsync_start(const uint8_t key[MCIPSEC_KEY_IKE], uint32_t ms)
{
	ask_t *ask;

	INIT(ask);
	memcpy(ask->key, key, sizeof(ask->key));
	queue((callback_job_cb_t)ask_job, ask, ms);
}

/*
 * Described in header
 */
void mcipsec_midsync_doubt(mcipsec_ike_entry_t *entry)
{
	if (midsync && doubted(midsync, entry) && !entry->sync.due)
	{
		entry->sync.due = TRUE;
		mcipsec_midsync_start(entry->key, 0);
	}
}

/*
 * Described in header
 */
void mcipsec_midsync_forget(mcipsec_ike_entry_t *entry)
{
	entry->doubt_in = entry->doubt_out = TRUE;
	entry->sync.proposed = 0;
	entry->sync.due = FALSE;
	mcipsec_packets_clear(&entry->sync.packets);
}

/**
 * Use the ids that a peer answered
 */
static job_requeue_t answer_job(answer_t *answer)
{
	private_mcipsec_midsync_t *this = midsync;
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	status_t status = SUCCESS;
	bool valid = FALSE;
	ike_sa_t *ike_sa;

	ike_sa = this ? mcipsec_ike_checkout(this->table, answer->key) : NULL;
	if (!ike_sa)
	{
		return JOB_REQUEUE_NONE;
	}
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, answer->key, FALSE);
	group = active_group(this, entry);
	if (group && entry->sync.proposed && entry->sync.nonce == answer->nonce)
	{
		/* the doubts stay until a message with the new ids came: the peer may
		 * have got our request twice, and have gone on once more */
		valid = answer->mid_out >= entry->sync.proposed;
		if (valid)
		{
			group->n.synced++;
		}
	}
	this->table->lock->unlock(this->table->lock);
	if (valid)
	{
		DBG1(DBG_IKE, "peer says message IDs: initiating %u, responding %u",
			 answer->mid_out, answer->mid_in);
		if (answer->mid_in > ike_sa->get_message_id(ike_sa, FALSE))
		{	/* else its next request was faster than this job */
			ike_sa->set_message_id(ike_sa, FALSE, answer->mid_in);
		}
		status = end(this, ike_sa, answer->key, answer->mid_out);
		this->announce->dirty(this->announce, answer->key);
	}
	if (status == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return JOB_REQUEUE_NONE;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return JOB_REQUEUE_NONE;
}

/**
 * A copy of a message that charon did not parse yet, decrypted and authenticated
 * with the keys of the IKE_SA; NULL if it is not authentic
 */
static message_t *authentic(ike_sa_t *ike_sa, message_t *message)
{
	host_t *src = message->get_source(message);
	host_t *dst = message->get_destination(message);
	message_t *copy;

	copy = message_create_from_packet(packet_create_from_data(
						src->clone(src), dst->clone(dst),
						chunk_clone(message->get_packet_data(message))));
	if (copy->parse_header(copy) == SUCCESS &&
		copy->parse_body(copy, ike_sa->get_keymat(ike_sa)) == SUCCESS)
	{
		return copy;
	}
	copy->destroy(copy);
	return NULL;
}

/**
 * Read the answer to our request. Lock held.
 */
static void read_answer(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
						mcipsec_ike_entry_t *entry, message_t *message)
{
	notify_payload_t *notify;
	bio_reader_t *reader;
	message_t *copy;
	answer_t *answer;
	chunk_t nonce;

	copy = authentic(ike_sa, message);
	if (!copy)
	{
		return;
	}
	notify = copy->get_notify(copy, IKEV2_MESSAGE_ID_SYNC);
	if (notify)
	{
		INIT(answer);
		memcpy(answer->key, entry->key, sizeof(answer->key));
		reader = bio_reader_create(notify->get_notification_data(notify));
		if (reader->read_data(reader, sizeof(answer->nonce), &nonce) &&
			reader->read_uint32(reader, &answer->mid_in) &&
			reader->read_uint32(reader, &answer->mid_out) &&
			memeq(nonce.ptr, &entry->sync.nonce, sizeof(answer->nonce)))
		{
			answer->nonce = entry->sync.nonce;
			queue((callback_job_cb_t)answer_job, answer, 0);
			answer = NULL;
		}
		free(answer);
		reader->destroy(reader);
	}
	copy->destroy(copy);
}

/**
 * A request with an id beyond the expected one. Lock held.
 */
static void read_ahead(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
					   mcipsec_ike_entry_t *entry, message_t *message)
{
	uint32_t mid = message->get_message_id(message);
	mcipsec_group_entry_t *group;
	message_t *copy;

	copy = authentic(ike_sa, message);
	if (!copy)
	{
		return;
	}
	copy->destroy(copy);
	group = active_group(this, entry);
	DBG1(DBG_IKE, "peer's request has message ID %u, %u was synced", mid,
		 ike_sa->get_message_id(ike_sa, FALSE));
	if (can_ask(this, ike_sa, entry))
	{
		mcipsec_midsync_start(entry->key, 0);
	}
	else if (!mcipsec_task_active(ike_sa))
	{
		ike_sa->set_message_id(ike_sa, FALSE, mid);
		group->n.followed++;
	}
}

/**
 * Would an answer to this message meet a peer that does not know of its own
 * request any more? Lock held.
 */
static bool untimely(private_mcipsec_midsync_t *this, mcipsec_ike_entry_t *entry,
					 message_t *message)
{
	return message->get_request(message) && message->get_message_id(message) &&
		   entry->sync.proposed && entry->sync.tries <= IGNORE_TRIES &&
		   active_group(this, entry);
}

/**
 * Announce the extension to a peer that announced it
 */
static void announce_support(private_mcipsec_midsync_t *this, ike_sa_t *ike_sa,
							 mcipsec_ike_entry_t *entry, message_t *message,
							 bool incoming)
{
	if (message->get_exchange_type(message) != IKE_AUTH ||
		message->get_request(message) != incoming)
	{
		return;
	}
	if (incoming)
	{
		if (message->get_notify(message, IKEV2_MESSAGE_ID_SYNC_SUPPORTED))
		{
			entry->peer_syncs = TRUE;
		}
	}
	else if (entry->peer_syncs &&
			 ike_sa->get_state(ike_sa) == IKE_ESTABLISHED)
	{
		message->add_notify(message, FALSE, IKEV2_MESSAGE_ID_SYNC_SUPPORTED,
							chunk_empty);
		ike_sa->enable_extension(ike_sa, EXT_IKE_MESSAGE_ID_SYNC);
	}
}

METHOD(listener_t, message_hook, bool,
	private_mcipsec_midsync_t *this, ike_sa_t *ike_sa, message_t *message,
	bool incoming, bool plain)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	uint32_t mid;

	if (!ike_sa || ike_sa->get_version(ike_sa) != IKEV2 || (!incoming && !plain))
	{
		return TRUE;
	}
	mid = message->get_message_id(message);
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && plain)
	{
		announce_support(this, ike_sa, entry, message, incoming);
		if (incoming && untimely(this, entry, message))
		{
			DBG1(DBG_IKE, "ignoring the peer's request %u while it is asked for "
				 "the message IDs", mid);
			message->set_exchange_type(message, EXCHANGE_TYPE_UNDEFINED);
		}
		else if (incoming)
		{	/* authentic, and with the id that was expected */
			if (message->get_request(message))
			{
				entry->doubt_in = FALSE;
			}
			else
			{
				entry->doubt_out = FALSE;
			}
		}
	}
	else if (entry && !message->get_request(message))
	{
		if (mid == 0 && entry->sync.proposed && active_group(this, entry))
		{
			read_answer(this, ike_sa, entry, message);
		}
	}
	else if (entry && entry->doubt_in && doubted(this, entry) &&
			 mid > ike_sa->get_message_id(ike_sa, FALSE))
	{
		read_ahead(this, ike_sa, entry, message);
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(listener_t, alert_hook, bool,
	private_mcipsec_midsync_t *this, ike_sa_t *ike_sa, alert_t alert,
	va_list args)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;

	if (alert != ALERT_RETRANSMIT_SEND || !ike_sa ||
		ike_sa->get_version(ike_sa) != IKEV2)
	{
		return TRUE;
	}
	va_arg(args, packet_t*);
	if (va_arg(args, u_int) != MCIPSEC_DOUBT_AFTER)
	{
		return TRUE;
	}
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && entry->doubt_out)
	{
		mcipsec_midsync_doubt(entry);
	}
	this->table->lock->unlock(this->table->lock);
	return TRUE;
}

METHOD(mcipsec_midsync_t, destroy, void,
	private_mcipsec_midsync_t *this)
{
	midsync = NULL;
	free(this);
}

/*
 * Described in header
 */
mcipsec_midsync_t *mcipsec_midsync_create(mcipsec_table_t *table,
										  mcipsec_announce_t *announce)
{
	private_mcipsec_midsync_t *this;

	INIT(this,
		.public = {
			.listener = {
				.message = _message_hook,
				.alert = _alert_hook,
			},
			.destroy = _destroy,
		},
		.table = table,
		.announce = announce,
	);
	midsync = this;

	return &this->public;
}
