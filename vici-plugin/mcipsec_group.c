/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_group: see mcipsec_group.h.
 *
 * Order on the way down: the gate closes (under the lock of the table, so no
 * packet is under way when that returns), then the IKE_SAs become PASSIVE and
 * lose their tasks. On the way up: the gate opens, then the IKE_SAs leave
 * PASSIVE one by one; before that charon ignores what their peers send.
 */

#include "mcipsec_group.h"
#include "mcipsec_midsync.h"
#include "mcipsec_record.h"
#include "mcipsec_resend.h"
#include "mcipsec_swan.h"

#include <processing/jobs/delete_child_sa_job.h>
#include <processing/jobs/delete_ike_sa_job.h>
#include <processing/jobs/rekey_child_sa_job.h>
#include <processing/jobs/rekey_ike_sa_job.h>

ENUM(mcipsec_rekey_result_names, MCIPSEC_REKEY_QUEUED, MCIPSEC_REKEY_PASSIVE,
	"queued",
	"busy",
	"missing",
	"passive",
);

/** Timers that ran out while passive fire within these seconds */
#define OVERDUE_SPREAD		10

/** Peers that are asked for their message ids in any case: one each, ms */
#define ASK_INTERVAL		5

/** As charon does for an IKE_SA whose peer does not delete it after a rekey */
#define REKEYED_TIMEOUT		90

typedef struct private_mcipsec_group_t private_mcipsec_group_t;

/**
 * Private data of the group operations.
 */
struct private_mcipsec_group_t {

	/**
	 * Public interface.
	 */
	mcipsec_group_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Sending gate
	 */
	mcipsec_gate_t *gate;
};

/**
 * Seconds until a timer has to fire; overdue ones are spread
 */
static uint32_t delay(time_t when)
{
	time_t now = time_monotonic(NULL);

	return when > now ? when - now : 1 + random() % OVERDUE_SPREAD;
}

static void schedule(job_t *job, time_t when)
{
	lib->scheduler->schedule_job(lib->scheduler, job, delay(when));
}

/**
 * Copy the keys of all IKE_SAs of a group
 */
static array_t *keys_of(private_mcipsec_group_t *this, uint32_t group)
{
	mcipsec_ike_entry_t *entry;
	enumerator_t *enumerator;
	array_t *keys;

	keys = array_create(MCIPSEC_KEY_IKE, 0);
	this->table->lock->lock(this->table->lock);
	enumerator = this->table->create_ike_enumerator(this->table);
	while (enumerator->enumerate(enumerator, &entry))
	{
		if (entry->group == group)
		{
			array_insert(keys, ARRAY_TAIL, entry->key);
		}
	}
	enumerator->destroy(enumerator);
	this->table->lock->unlock(this->table->lock);
	return keys;
}

/**
 * Schedule rekeying and end of imported children
 */
static void schedule_children(private_mcipsec_group_t *this, ike_sa_t *ike_sa,
							  uint32_t group)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *entry;
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	protocol_id_t protocol;
	time_t rekey, expire;
	uint32_t spi;
	host_t *me;

	me = ike_sa->get_my_host(ike_sa);
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		protocol = child_sa->get_protocol(child_sa);
		spi = child_sa->get_spi(child_sa, TRUE);
		mcipsec_child_key(protocol, spi, key);
		rekey = expire = 0;

		this->table->lock->lock(this->table->lock);
		entry = this->table->get_child(this->table, group, key, FALSE);
		if (entry && entry->need_timers)
		{
			rekey = entry->rekey;
			expire = entry->expire;
			entry->need_timers = FALSE;
		}
		this->table->lock->unlock(this->table->lock);

		if (rekey && child_sa->get_state(child_sa) == CHILD_INSTALLED)
		{
			schedule((job_t*)rekey_child_sa_job_create(protocol, spi, me),
					 rekey);
		}
		if (expire)
		{
			schedule((job_t*)delete_child_sa_job_create(protocol, spi, me, TRUE),
					 expire);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * PASSIVE to ESTABLISHED with the age and the timers that were synced
 */
static void establish(private_mcipsec_group_t *this, ike_sa_t *ike_sa,
					  const uint8_t key[MCIPSEC_KEY_IKE])
{
	uint32_t established, rekey, reauth, lifetime, group = 0;
	uint8_t state = MCIPSEC_IKE_ESTABLISHED;
	mcipsec_ike_entry_t *entry;
	bool timers = FALSE;
	ike_sa_id_t *id;

	if (ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{
		return;
	}
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry)
	{
		group = entry->group;
		state = entry->state;
		timers = entry->need_timers;
		entry->need_timers = FALSE;
	}
	this->table->lock->unlock(this->table->lock);

	id = ike_sa->get_id(ike_sa);
	if (state == MCIPSEC_IKE_REKEYED)
	{	/* only the peer's DELETE is expected */
		ike_sa->set_state(ike_sa, IKE_REKEYED);
		lib->scheduler->schedule_job(lib->scheduler,
				(job_t*)delete_ike_sa_job_create(id, TRUE), REKEYED_TIMEOUT);
		return;
	}
	established = ike_sa->get_statistic(ike_sa, STAT_ESTABLISHED);
	rekey = ike_sa->get_statistic(ike_sa, STAT_REKEY);
	reauth = ike_sa->get_statistic(ike_sa, STAT_REAUTH);
	lifetime = ike_sa->get_statistic(ike_sa, STAT_DELETE);

	/* starts all timers anew, but none later than these times */
	ike_sa->set_state(ike_sa, IKE_ESTABLISHED);

	ike_sa->set_statistic(ike_sa, STAT_ESTABLISHED, established);
	if (lifetime)
	{
		ike_sa->set_statistic(ike_sa, STAT_DELETE, lifetime);
	}
	if (timers)
	{
		if (rekey && ike_sa->get_statistic(ike_sa, STAT_REKEY) == rekey)
		{
			schedule((job_t*)rekey_ike_sa_job_create(id, FALSE), rekey);
		}
		if (reauth && ike_sa->get_statistic(ike_sa, STAT_REAUTH) == reauth)
		{
			schedule((job_t*)rekey_ike_sa_job_create(id, TRUE), reauth);
		}
		if (lifetime)
		{
			schedule((job_t*)delete_ike_sa_job_create(id, TRUE), lifetime);
		}
	}
	schedule_children(this, ike_sa, group);
}

/**
 * Take up one IKE_SA, with its request in flight
 */
static void take_up_one(private_mcipsec_group_t *this,
						const uint8_t key[MCIPSEC_KEY_IKE])
{
	ike_sa_t *ike_sa;
	status_t status;

	ike_sa = mcipsec_ike_checkout(this->table, key);
	if (!ike_sa)
	{
		return;
	}
	establish(this, ike_sa, key);
	status = mcipsec_resend_request(this->table, ike_sa);
	if (status == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
}

/**
 * Ask the peers for their message ids where that is wanted in any case, one
 * after the other; not where a request is under way
 */
static void ask_all(private_mcipsec_group_t *this, uint32_t id)
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	enumerator_t *enumerator;
	uint32_t ms = 0;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	if (group && group->sync == MCIPSEC_SYNC_ALWAYS)
	{
		enumerator = this->table->create_ike_enumerator(this->table);
		while (enumerator->enumerate(enumerator, &entry))
		{
			if (entry->group == id && entry->doubt_out &&
				!entry->request_imported)
			{
				mcipsec_midsync_start(entry->key, ms);
				ms += ASK_INTERVAL;
			}
		}
		enumerator->destroy(enumerator);
	}
	this->table->lock->unlock(this->table->lock);
}

/**
 * Is an IKE_SA in a state that outlives the loss of mastership?
 */
static bool survives(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry)
{
	if (!entry || !entry->published || entry->deleted)
	{
		return FALSE;
	}
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_ESTABLISHED:
		case IKE_REKEYING:
		case IKE_REKEYED:
		case IKE_DELETING:
		case IKE_PASSIVE:
			return TRUE;
		default:
			return FALSE;
	}
}

/**
 * Drop the tasks of an IKE_SA and the packets charon would repeat, keep its
 * message ids
 */
static void drop_tasks(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	ike_sa->flush_queue(ike_sa, TASK_QUEUE_ACTIVE);
	ike_sa->flush_queue(ike_sa, TASK_QUEUE_QUEUED);
	ike_sa->flush_queue(ike_sa, TASK_QUEUE_PASSIVE);
	ike_sa->set_message_id(ike_sa, TRUE, ike_sa->get_message_id(ike_sa, TRUE));

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		switch (child_sa->get_state(child_sa))
		{
			case CHILD_REKEYING:
			case CHILD_DELETING:
				child_sa->set_state(child_sa, CHILD_INSTALLED);
				break;
			case CHILD_DELETED:
				/* it has ended for everybody; charon keeps its inbound half for
				 * late packets, and would not get to remove it any more */
				ike_sa->remove_child_sa(ike_sa, enumerator);
				mcipsec_swan_unlink(child_sa);
				child_sa->destroy(child_sa);
				break;
			default:
				break;
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * From here on the state of the entries of an IKE_SA comes from the other
 * chassis, whatever was announced here. Lock held.
 */
static void disown(private_mcipsec_group_t *this, ike_sa_t *ike_sa,
				   mcipsec_ike_entry_t *entry)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *child;
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	entry->imported = entry->digest = 0;
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		child = this->table->get_child(this->table, entry->group, key, FALSE);
		if (child)
		{
			child->imported = child->digest = 0;
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Make one IKE_SA passive, or drop it if it is not established
 */
static void hand_over_one(private_mcipsec_group_t *this, ike_sa_id_t *id)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;
	bool keep;

	ike_sa = charon->ike_sa_manager->checkout(charon->ike_sa_manager, id);
	if (!ike_sa)
	{
		return;
	}
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	keep = survives(ike_sa, entry);
	if (keep && ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{
		switch (ike_sa->get_state(ike_sa))
		{
			case IKE_REKEYED:
				entry->state = MCIPSEC_IKE_REKEYED;
				break;
			case IKE_DELETING:
				entry->state = MCIPSEC_IKE_DELETING;
				break;
			default:
				entry->state = MCIPSEC_IKE_ESTABLISHED;
				break;
		}
		/* charon forgets its packets below; repeat them if we come back */
		entry->response_imported = entry->response != NULL;
		entry->request_imported = entry->request != NULL &&
					entry->request_mid == ike_sa->get_message_id(ike_sa, TRUE);
		disown(this, ike_sa, entry);
		mcipsec_midsync_forget(entry);
	}
	this->table->lock->unlock(this->table->lock);

	if (!keep)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return;
	}
	if (ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{
		ike_sa->set_state(ike_sa, IKE_PASSIVE);
		drop_tasks(ike_sa);
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
}

/**
 * Hand over every IKE_SA with a local address of the group, known or not
 */
static void hand_over(private_mcipsec_group_t *this, uint32_t id)
{
	mcipsec_group_entry_t *group;
	enumerator_t *enumerator;
	ike_sa_id_t *sa_id;
	linked_list_t *ids;
	ike_sa_t *ike_sa;

	ids = linked_list_create();
	enumerator = charon->ike_sa_manager->create_enumerator(
												charon->ike_sa_manager, TRUE);
	while (enumerator->enumerate(enumerator, &ike_sa))
	{
		this->table->lock->lock(this->table->lock);
		group = this->table->group_of(this->table, ike_sa->get_my_host(ike_sa));
		if (group && group->id == id)
		{
			sa_id = ike_sa->get_id(ike_sa);
			ids->insert_last(ids, sa_id->clone(sa_id));
		}
		this->table->lock->unlock(this->table->lock);
	}
	enumerator->destroy(enumerator);

	while (ids->remove_first(ids, (void**)&sa_id) == SUCCESS)
	{
		hand_over_one(this, sa_id);
		sa_id->destroy(sa_id);
	}
	ids->destroy(ids);
}

METHOD(mcipsec_group_t, set_state, void,
	private_mcipsec_group_t *this, uint32_t id, mcipsec_group_state_t state)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_group_entry_t *group;
	mcipsec_group_state_t old;
	array_t *keys;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	if (!group || group->state == state)
	{
		this->table->lock->unlock(this->table->lock);
		return;
	}
	old = group->state;
	group->state = state;
	if (old == MCIPSEC_ACTIVE)
	{
		this->gate->release(this->gate, group, FALSE);
	}
	this->table->lock->unlock(this->table->lock);

	if (state == MCIPSEC_ACTIVE)
	{
		keys = keys_of(this, id);
		while (array_remove(keys, ARRAY_HEAD, key))
		{
			take_up_one(this, key);
		}
		array_destroy(keys);
		ask_all(this, id);
	}
	else
	{
		hand_over(this, id);
	}
	DBG1(DBG_CFG, "mcipsec: tunnel-group %u: %N => %N", id,
		 mcipsec_group_state_names, old, mcipsec_group_state_names, state);
}

METHOD(mcipsec_group_t, take_up, void,
	private_mcipsec_group_t *this, const uint8_t key[MCIPSEC_KEY_IKE])
{
	take_up_one(this, key);
}

/**
 * An IKE_SA and its children go by command: nobody is to be told. Lock held.
 */
static void unpublish(private_mcipsec_group_t *this, ike_sa_t *ike_sa,
					  mcipsec_ike_entry_t *entry)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *child;
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	entry->published = FALSE;
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		child = this->table->get_child(this->table, entry->group, key, FALSE);
		if (child)
		{
			child->published = FALSE;
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(mcipsec_group_t, delete_ike, u_int,
	private_mcipsec_group_t *this, const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;

	ike_sa = mcipsec_ike_checkout(this->table, key);
	if (!ike_sa)
	{
		return 0;
	}
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry)
	{
		group = this->table->get_group(this->table, entry->group, FALSE);
		if (group)
		{	/* active, maybe: what it has not sent yet is void */
			this->gate->drop(this->gate, group, entry);
		}
		unpublish(this, ike_sa, entry);
	}
	this->table->lock->unlock(this->table->lock);
	charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager, ike_sa);
	return 1;
}

METHOD(mcipsec_group_t, replace_ike, bool,
	private_mcipsec_group_t *this, mcipsec_import_request_t *request)
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;
	bool changed;

	/* while it is ours nothing about it can change */
	ike_sa = mcipsec_ike_checkout(this->table, request->key);
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, request->group, FALSE);
	entry = this->table->get_ike(this->table, request->key, FALSE);
	changed = !group || mcipsec_import_changed(request, group, entry);
	if (ike_sa && entry && !changed)
	{
		this->gate->drop(this->gate, group, entry);
		unpublish(this, ike_sa, entry);
	}
	this->table->lock->unlock(this->table->lock);
	if (ike_sa && changed)
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	else if (ike_sa)
	{
		DBG1(DBG_CFG, "mcipsec: IKE_SA %s[%u] makes way for the state of the "
			 "other gateway", ike_sa->get_name(ike_sa),
			 ike_sa->get_unique_id(ike_sa));
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
	}
	return !changed;
}

METHOD(mcipsec_group_t, delete_child, u_int,
	private_mcipsec_group_t *this, uint32_t group,
	const uint8_t key[MCIPSEC_KEY_CHILD])
{
	uint8_t parent[MCIPSEC_KEY_IKE];
	mcipsec_child_entry_t *entry;
	child_sa_t *child_sa;
	ike_sa_t *ike_sa;
	uint32_t spi;
	status_t status = NOT_FOUND;

	memcpy(&spi, key, sizeof(spi));
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_child(this->table, group, key, FALSE);
	if (entry)
	{
		memcpy(parent, entry->parent, sizeof(parent));
	}
	this->table->lock->unlock(this->table->lock);
	if (!entry)
	{
		return 0;
	}
	ike_sa = mcipsec_ike_checkout(this->table, parent);
	if (ike_sa)
	{
		this->table->lock->lock(this->table->lock);
		entry = this->table->get_child(this->table, group, key, FALSE);
		if (entry)
		{	/* by command: nobody is to be told */
			entry->published = FALSE;
		}
		this->table->lock->unlock(this->table->lock);
		child_sa = ike_sa->get_child_sa(ike_sa, key[sizeof(spi)], spi, TRUE);
		if (child_sa)
		{
			mcipsec_swan_unlink(child_sa);
		}
		status = ike_sa->destroy_child_sa(ike_sa, key[sizeof(spi)], spi);
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return status == SUCCESS ? 1 : 0;
}

METHOD(mcipsec_group_t, purge, u_int,
	private_mcipsec_group_t *this, uint32_t id)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_group_entry_t *group;
	mcipsec_group_state_t state = MCIPSEC_CLOSED;
	array_t *keys;
	u_int count = 0;

	/* nothing is announced, and the gate is closed meanwhile */
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	if (group)
	{
		state = group->state;
		group->quiet = TRUE;
		group->state = MCIPSEC_CLOSED;
		this->gate->release(this->gate, group, FALSE);
	}
	this->table->lock->unlock(this->table->lock);
	if (!group)
	{
		return 0;
	}
	keys = keys_of(this, id);
	while (array_remove(keys, ARRAY_HEAD, key))
	{
		count += delete_ike(this, key);
	}
	array_destroy(keys);

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	if (group)
	{
		group->quiet = FALSE;
		group->state = state;
		group->n.purged += count;
	}
	this->table->lock->unlock(this->table->lock);
	return count;
}

METHOD(mcipsec_group_t, rekey, mcipsec_rekey_result_t,
	private_mcipsec_group_t *this, uint32_t id,
	const uint8_t key[MCIPSEC_KEY_CHILD])
{
	mcipsec_rekey_result_t result = MCIPSEC_REKEY_MISSING;
	uint8_t parent[MCIPSEC_KEY_IKE];
	mcipsec_child_entry_t *entry;
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *ike = NULL;
	protocol_id_t protocol;
	child_sa_t *child_sa;
	ike_sa_t *ike_sa;
	bool active, due;
	uint32_t spi;

	memcpy(&spi, key, sizeof(spi));
	protocol = key[sizeof(spi)];

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	active = group && group->state == MCIPSEC_ACTIVE;
	entry = this->table->get_child(this->table, id, key, FALSE);
	if (entry)
	{
		memcpy(parent, entry->parent, sizeof(parent));
		ike = this->table->get_ike(this->table, parent, FALSE);
	}
	due = ike && ike->sync.due;
	this->table->lock->unlock(this->table->lock);
	if (!active)
	{
		return MCIPSEC_REKEY_PASSIVE;
	}
	ike_sa = entry ? mcipsec_ike_checkout(this->table, parent) : NULL;
	if (!ike_sa)
	{
		return MCIPSEC_REKEY_MISSING;
	}
	child_sa = ike_sa->get_child_sa(ike_sa, protocol, spi, TRUE);
	if (child_sa)
	{
		result = MCIPSEC_REKEY_BUSY;
		/* without its outbound half it is the peer's rekey in the middle: the
		 * peer may not have seen our answer, and would not know it */
		if (!due && ike_sa->get_state(ike_sa) == IKE_ESTABLISHED &&
			child_sa->get_state(child_sa) == CHILD_INSTALLED &&
			!(child_sa->get_outbound_state(child_sa) & CHILD_OUTBOUND_REGISTERED) &&
			!mcipsec_resend_pending(ike_sa))
		{
			result = MCIPSEC_REKEY_QUEUED;
			if (ike_sa->rekey_child_sa(ike_sa, protocol, spi) == DESTROY_ME)
			{
				charon->ike_sa_manager->checkin_and_destroy(
											charon->ike_sa_manager, ike_sa);
				return MCIPSEC_REKEY_MISSING;
			}
		}
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return result;
}

METHOD(mcipsec_group_t, destroy, void,
	private_mcipsec_group_t *this)
{
	free(this);
}

/*
 * Described in header
 */
mcipsec_group_t *mcipsec_group_create(mcipsec_table_t *table,
									  mcipsec_gate_t *gate)
{
	private_mcipsec_group_t *this;

	INIT(this,
		.public = {
			.set_state = _set_state,
			.take_up = _take_up,
			.purge = _purge,
			.delete_ike = _delete_ike,
			.delete_child = _delete_child,
			.replace_ike = _replace_ike,
			.rekey = _rekey,
			.destroy = _destroy,
		},
		.table = table,
		.gate = gate,
	);

	return &this->public;
}
