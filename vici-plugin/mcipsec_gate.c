/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_gate: see mcipsec_gate.h for the invariants.
 *
 * sender_t is an object with function pointers: send() and send_no_marker() are
 * replaced by ours. The methods get charon's sender as object, so the gate is
 * found through a static pointer; there is one sender in a charon.
 */

#include "mcipsec_gate.h"

#include <processing/jobs/callback_job.h>

/** Events of packets that left without acknowledgement, one a group and ms */
#define EXPIRED_EVENT_INTERVAL	100

/** Where an IKE header (RFC 7296, 3.1) has exchange type and flags */
#define IKE_EXCHANGE_AT	18
#define IKE_FLAGS_AT	19
#define IKE_FLAG_RESPONSE	0x20

typedef struct private_mcipsec_gate_t private_mcipsec_gate_t;

/**
 * Private data of the gate.
 */
struct private_mcipsec_gate_t {

	/**
	 * Public interface.
	 */
	mcipsec_gate_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Event source
	 */
	mcipsec_event_t *event;

	/**
	 * charon's own methods
	 */
	void (*send)(sender_t *sender, packet_t *packet);
	void (*send_no_marker)(sender_t *sender, packet_t *packet);

	/**
	 * The sender they belong to
	 */
	sender_t *sender;
};

/**
 * The gate in front of charon->sender
 */
static private_mcipsec_gate_t *gate;

/**
 * What is to happen with a packet
 */
typedef enum {
	VERDICT_FREE,
	VERDICT_PASS,
	VERDICT_BLOCK,
} verdict_t;

/**
 * Is this the first request of a new IKE_SA of ours?
 */
static bool begins_ike_sa(packet_t *packet)
{
	chunk_t data = packet->get_data(packet);

	return data.len > IKE_FLAGS_AT &&
		   data.ptr[IKE_EXCHANGE_AT] == IKE_SA_INIT &&
		   !(data.ptr[IKE_FLAGS_AT] & IKE_FLAG_RESPONSE);
}

/**
 * Judge a packet by its source address; group is set if one owns it.
 */
static verdict_t judge(private_mcipsec_gate_t *this, packet_t *packet,
					   mcipsec_group_entry_t **group)
{
	mcipsec_table_t *table = this->table;
	host_t *src = packet->get_source(packet);

	*group = NULL;
	if (table->closed)
	{
		return VERDICT_BLOCK;
	}
	if (src->is_anyaddr(src))
	{	/* the kernel would choose the address: it could be any group's */
		return table->more || table->any_inactive(table) ? VERDICT_BLOCK
														 : VERDICT_FREE;
	}
	*group = table->group_of(table, src);
	if (!*group)
	{
		return table->more ? VERDICT_BLOCK : VERDICT_FREE;
	}
	if (table->stopping || (*group)->state != MCIPSEC_ACTIVE)
	{
		return VERDICT_BLOCK;
	}
	if ((*group)->responder_only && begins_ike_sa(packet))
	{
		(*group)->n.not_begun++;
		DBG1(DBG_NET, "mcipsec: the tunnel-group only responds, kept back an "
			 "IKE_SA_INIT request to %#H", packet->get_destination(packet));
		return VERDICT_BLOCK;
	}
	return VERDICT_PASS;
}

/**
 * Entry of the IKE_SA that a packet belongs to, by the SPIs in its header
 */
static mcipsec_ike_entry_t *entry_of(private_mcipsec_gate_t *this,
									 packet_t *packet)
{
	chunk_t data = packet->get_data(packet);

	if (data.len < MCIPSEC_KEY_IKE)
	{
		return NULL;
	}
	return this->table->get_ike(this->table, data.ptr, FALSE);
}

/**
 * Report a packet that left without acknowledgement, not too often
 */
static void report_expired(private_mcipsec_gate_t *this,
						   mcipsec_group_entry_t *group,
						   mcipsec_ike_entry_t *entry, uint64_t need,
						   timeval_t *now)
{
	timeval_t since;

	group->n.held_expired++;
	group->expired_count++;
	timersub(now, &group->expired_raised, &since);
	if (since.tv_sec || since.tv_usec >= EXPIRED_EVENT_INTERVAL * 1000)
	{
		this->event->expired(this->event, group->id, need,
							 chunk_from_thing(entry->key),
							 group->expired_count);
		group->expired_raised = *now;
		group->expired_count = 0;
	}
}

/**
 * Number up to which the standby of a group has all records
 */
static uint64_t acked(private_mcipsec_gate_t *this, mcipsec_group_entry_t *group)
{
	return max(this->table->acked, group->acked);
}

/**
 * Send from the head of what is held for an IKE_SA as far as allowed.
 *
 * An entry that only waited for its last packets is removed.
 */
static void release_entry(private_mcipsec_gate_t *this,
						  mcipsec_ike_entry_t *entry, bool all)
{
	mcipsec_group_entry_t *group;
	mcipsec_held_t *held;
	timeval_t now;

	group = this->table->get_group(this->table, entry->group, FALSE);
	time_monotonic(&now);

	while (entry->held->get_first(entry->held, (void**)&held) == SUCCESS)
	{
		if (group && !all &&
			(held->unfit || held->need > acked(this, group)))
		{
			if (timercmp(&now, &held->deadline, <))
			{
				return;
			}
			report_expired(this, group, entry, held->need, &now);
		}
		entry->held->remove_first(entry->held, (void**)&held);
		if (group)
		{
			group->held--;
			group->n.sent++;
			mcipsec_times_add(&group->held_times, &held->since, &now);
			this->send(this->sender, held->packet);
			held->packet = NULL;
		}
		mcipsec_held_destroy(held);
	}
	this->table->waiting->remove(this->table->waiting, entry, NULL);
	if (entry->deleted)
	{
		this->table->remove_ike(this->table, entry);
	}
}

/**
 * Look at everything held; entries may vanish while doing so
 */
static void release_waiting(private_mcipsec_gate_t *this)
{
	linked_list_t *entries;
	mcipsec_ike_entry_t *entry;

	entries = linked_list_create_from_enumerator(
				this->table->waiting->create_enumerator(this->table->waiting));
	while (entries->remove_first(entries, (void**)&entry) == SUCCESS)
	{
		release_entry(this, entry, FALSE);
	}
	entries->destroy(entries);
}

CALLBACK(expire_job, job_requeue_t,
	void *null)
{
	if (gate)
	{
		gate->table->lock->lock(gate->table->lock);
		release_waiting(gate);
		gate->table->lock->unlock(gate->table->lock);
	}
	return JOB_REQUEUE_NONE;
}

/**
 * Keep a packet until its record is acknowledged
 */
static void hold(private_mcipsec_gate_t *this, mcipsec_group_entry_t *group,
				 mcipsec_ike_entry_t *entry, packet_t *packet)
{
	mcipsec_held_t *held;

	INIT(held,
		.packet = packet,
		.need = entry->seq,
		.unfit = entry->unfit,
	);
	time_monotonic(&held->since);
	held->deadline = held->since;
	timeval_add_ms(&held->deadline, group->commit_limit);

	if (!entry->held->get_count(entry->held))
	{
		this->table->waiting->insert_last(this->table->waiting, entry);
	}
	entry->held->insert_last(entry->held, held);
	group->held++;
	group->n.held_total++;

	/* a little later than the deadline, timers have a resolution */
	lib->scheduler->schedule_job_ms(lib->scheduler, (job_t*)
			callback_job_create_with_prio(expire_job, NULL, NULL,
							(callback_job_cancel_t)return_false, JOB_PRIO_CRITICAL),
			group->commit_limit + 1);
}

METHOD(sender_t, gate_send, void,
	sender_t *sender, packet_t *packet)
{
	private_mcipsec_gate_t *this = gate;
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;

	this->table->lock->lock(this->table->lock);
	switch (judge(this, packet, &group))
	{
		case VERDICT_BLOCK:
			if (group)
			{
				group->n.blocked++;
			}
			else
			{
				this->table->blocked++;
			}
			DBG2(DBG_NET, "mcipsec gate dropped packet from %#H to %#H",
				 packet->get_source(packet), packet->get_destination(packet));
			packet->destroy(packet);
			break;
		case VERDICT_FREE:
			this->send(this->sender, packet);
			break;
		case VERDICT_PASS:
			entry = entry_of(this, packet);
			if (group->commit && entry &&
				(entry->unfit || entry->seq > acked(this, group) ||
				 entry->held->get_count(entry->held)))
			{
				/* also while nobody listens: an agent that died must not end
				 * output commit as long as its lease still runs (I4) */
				hold(this, group, entry, packet);
				break;
			}
			group->n.sent++;
			this->send(this->sender, packet);
			break;
	}
	this->table->lock->unlock(this->table->lock);
}

METHOD(sender_t, gate_send_no_marker, void,
	sender_t *sender, packet_t *packet)
{
	private_mcipsec_gate_t *this = gate;
	mcipsec_group_entry_t *group;

	this->table->lock->lock(this->table->lock);
	if (judge(this, packet, &group) == VERDICT_BLOCK)
	{
		if (group)
		{
			group->n.blocked++;
		}
		else
		{
			this->table->blocked++;
		}
		packet->destroy(packet);
	}
	else
	{
		this->send_no_marker(this->sender, packet);
	}
	this->table->lock->unlock(this->table->lock);
}

METHOD(mcipsec_gate_t, ack, void,
	private_mcipsec_gate_t *this)
{
	this->table->lock->lock(this->table->lock);
	release_waiting(this);
	this->table->lock->unlock(this->table->lock);
}

/**
 * Drop the packets held for an IKE_SA
 */
static void drop_held(mcipsec_group_entry_t *group, mcipsec_ike_entry_t *entry)
{
	mcipsec_held_t *held;

	while (entry->held->remove_first(entry->held, (void**)&held) == SUCCESS)
	{
		group->held--;
		group->n.blocked++;
		mcipsec_held_destroy(held);
	}
}

METHOD(mcipsec_gate_t, drop, void,
	private_mcipsec_gate_t *this, mcipsec_group_entry_t *group,
	mcipsec_ike_entry_t *entry)
{
	drop_held(group, entry);
	this->table->waiting->remove(this->table->waiting, entry, NULL);
}

METHOD(mcipsec_gate_t, release, void,
	private_mcipsec_gate_t *this, mcipsec_group_entry_t *group, bool send)
{
	linked_list_t *entries;
	mcipsec_ike_entry_t *entry;

	this->table->lock->lock(this->table->lock);
	entries = linked_list_create_from_enumerator(
				this->table->waiting->create_enumerator(this->table->waiting));
	while (entries->remove_first(entries, (void**)&entry) == SUCCESS)
	{
		if (entry->group != group->id)
		{
			continue;
		}
		if (!send)
		{
			drop_held(group, entry);
		}
		release_entry(this, entry, TRUE);
	}
	entries->destroy(entries);
	this->table->lock->unlock(this->table->lock);
}

METHOD(mcipsec_gate_t, destroy, void,
	private_mcipsec_gate_t *this)
{
	this->table->lock->lock(this->table->lock);
	this->sender->send = this->send;
	this->sender->send_no_marker = this->send_no_marker;
	gate = NULL;
	this->table->lock->unlock(this->table->lock);
	free(this);
}

/*
 * Described in header
 */
mcipsec_gate_t *mcipsec_gate_create(mcipsec_table_t *table,
									mcipsec_event_t *event)
{
	private_mcipsec_gate_t *this;

	INIT(this,
		.public = {
			.ack = _ack,
			.release = _release,
			.drop = _drop,
			.destroy = _destroy,
		},
		.table = table,
		.event = event,
		.sender = charon->sender,
		.send = charon->sender->send,
		.send_no_marker = charon->sender->send_no_marker,
	);
	gate = this;
	charon->sender->send = _gate_send;
	charon->sender->send_no_marker = _gate_send_no_marker;

	return &this->public;
}
