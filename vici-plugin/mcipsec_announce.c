/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_announce: decides what changed and raises records, see
 * mcipsec_announce.h.
 *
 * An entry is announced if the digest of its state without times differs from
 * what was last announced. What no record can hold is announced without data.
 * Sequence numbers are given and events raised under the lock of the table, so
 * that "everything up to seq" has a meaning.
 */

#include "mcipsec_announce.h"
#include "mcipsec_collect.h"
#include "mcipsec_vips.h"

#include <processing/jobs/callback_job.h>

/** Digest of what no record holds */
#define UNFIT	UINT64_MAX

typedef struct private_mcipsec_announce_t private_mcipsec_announce_t;

/**
 * Private data of the announcer.
 */
struct private_mcipsec_announce_t {

	/**
	 * Public interface.
	 */
	mcipsec_announce_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Event source
	 */
	mcipsec_event_t *event;

	/**
	 * Key of the digests
	 */
	u_char digest_key[16];
};

/**
 * The announcer, for jobs that may outlive it
 */
static private_mcipsec_announce_t *announcer;

/**
 * Arguments of info callbacks
 */
typedef struct {
	ike_sa_t *ike_sa;
	mcipsec_ike_entry_t *ike;
	child_sa_t *child_sa;
	mcipsec_child_entry_t *entry;
} info_t;

/**
 * Content of info of an IKE_SA
 */
static void ike_info(vici_builder_t *b, void *user)
{
	info_t *info = user;

	mcipsec_collect_ike_info(b, info->ike_sa, info->ike);
}

/**
 * Content of info of a CHILD_SA
 */
static void child_info(vici_builder_t *b, void *user)
{
	info_t *info = user;

	mcipsec_collect_child_info(b, info->ike_sa, info->child_sa, info->entry);
}

/**
 * Group of an IKE_SA if it replicates it at all
 */
static mcipsec_group_entry_t *group_of(private_mcipsec_announce_t *this,
									   ike_sa_t *ike_sa)
{
	if (ike_sa->get_version(ike_sa) != IKEV2)
	{
		return NULL;
	}
	return this->table->group_of(this->table, ike_sa->get_my_host(ike_sa));
}

/**
 * May changes of this group be announced?
 */
static bool announces(private_mcipsec_announce_t *this,
					  mcipsec_group_entry_t *group)
{
	return group && group->state == MCIPSEC_ACTIVE && !group->removed &&
		   !group->quiet && !this->table->stopping;
}

/**
 * May it be announced that an entry went: it ended (active), or this chassis lost it
 * otherwise than by command (passive)?
 */
static bool announces_end(private_mcipsec_announce_t *this,
						  mcipsec_group_entry_t *group)
{
	return announces(this, group) ||
		   (group && group->state == MCIPSEC_PASSIVE && !group->removed &&
			!group->quiet && !this->table->stopping);
}

/**
 * Draw a lineage for an IKE_SA that has none
 */
static bool ensure_lineage(mcipsec_ike_entry_t *entry)
{
	static const uint8_t none[MCIPSEC_LINEAGE];
	rng_t *rng;
	bool ok;

	if (!memeq(entry->lineage, none, sizeof(none)))
	{
		return TRUE;
	}
	rng = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
	ok = rng && rng->get_bytes(rng, sizeof(entry->lineage), entry->lineage);
	DESTROY_IF(rng);
	return ok;
}

static uint64_t digest_of(private_mcipsec_announce_t *this, mcipsec_buf_t *buf,
						  size_t len)
{
	uint64_t digest;

	if (buf->failed)
	{	/* announced once, without data: the agent alarms */
		return UNFIT;
	}
	/* never 0: that means that nothing was announced */
	digest = chunk_mac(chunk_create(buf->ptr, len), this->digest_key) | 1;
	return digest == UNFIT ? UNFIT - 2 : digest;
}

/**
 * Why no record holds an IKE_SA
 */
static char *unfit_ike(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry)
{
	return mcipsec_collect_underivable(ike_sa, entry) ?: "does not fit a record";
}

/**
 * Announce an IKE_SA if it changed, or for a snapshot. Lock held.
 */
static bool announce_ike(private_mcipsec_announce_t *this, ike_sa_t *ike_sa,
						 mcipsec_group_entry_t *group,
						 mcipsec_ike_entry_t *entry, uint32_t mid_in,
						 bool snapshot)
{
	mcipsec_buf_t buf;
	uint64_t digest;
	size_t len = 0;
	info_t info = { .ike_sa = ike_sa, .ike = entry };

	buf = mcipsec_collect_ike(ike_sa, entry, mid_in, &len);
	if (!snapshot)
	{
		digest = digest_of(this, &buf, len);
		if (buf.failed && digest != entry->digest)
		{
			DBG1(DBG_CFG, "mcipsec: IKE_SA %s[%u] %s",
				 ike_sa->get_name(ike_sa), ike_sa->get_unique_id(ike_sa),
				 unfit_ike(ike_sa, entry));
		}
		if (digest == entry->digest)
		{
			mcipsec_buf_wipe(&buf);
			return FALSE;
		}
		entry->digest = digest;
		entry->version++;
		mcipsec_vips_remember(entry, ike_sa);
		entry->own_seq = entry->seq = ++this->table->seq;
		entry->published = TRUE;
		entry->group = group->id;
		group->n.records++;
	}
	if (this->event->has_listeners(this->event))
	{
		mcipsec_event_record_t record = {
			.kind = MCIPSEC_KIND_IKE,
			.snapshot = snapshot,
			.group = group->id,
			.key = chunk_from_thing(entry->key),
			.lineage = chunk_from_thing(entry->lineage),
			.version = entry->version,
			.seq = entry->own_seq,
			.name = ike_sa->get_name(ike_sa),
			.info = ike_info,
			.user = &info,
			.data = chunk_create(buf.ptr, buf.len),
			.unfit = buf.failed ? unfit_ike(ike_sa, entry) : NULL,
		};
		this->event->record(this->event, &record);
	}
	mcipsec_buf_wipe(&buf);
	return TRUE;
}

/**
 * Announce a CHILD_SA if it changed, or for a snapshot. Lock held.
 */
static bool announce_child(private_mcipsec_announce_t *this, ike_sa_t *ike_sa,
						   mcipsec_group_entry_t *group,
						   mcipsec_ike_entry_t *parent, child_sa_t *child_sa,
						   mcipsec_child_entry_t *entry, bool snapshot)
{
	mcipsec_buf_t buf;
	uint64_t digest;
	size_t len = 0;
	info_t info = {
		.ike_sa = ike_sa,
		.child_sa = child_sa,
		.entry = entry,
	};

	buf = mcipsec_collect_child(child_sa, entry, &len);
	if (!snapshot)
	{
		digest = digest_of(this, &buf, len);
		if (buf.failed && digest != entry->digest)
		{
			DBG1(DBG_CFG, "mcipsec: CHILD_SA %s{%u} does not fit a record",
				 child_sa->get_name(child_sa),
				 child_sa->get_unique_id(child_sa));
		}
		if (digest == entry->digest &&
			memeq(entry->parent, parent->key, sizeof(entry->parent)))
		{
			mcipsec_buf_wipe(&buf);
			return FALSE;
		}
		memcpy(entry->parent, parent->key, sizeof(entry->parent));
		entry->digest = digest;
		entry->version++;
		entry->own_seq = parent->seq = ++this->table->seq;
		entry->published = TRUE;
		group->n.records++;
	}
	if (this->event->has_listeners(this->event))
	{
		mcipsec_event_record_t record = {
			.kind = MCIPSEC_KIND_CHILD,
			.snapshot = snapshot,
			.group = group->id,
			.key = chunk_from_thing(entry->key),
			.parent = chunk_from_thing(parent->key),
			.lineage = chunk_from_thing(parent->lineage),
			.version = entry->version,
			.seq = entry->own_seq,
			.name = child_sa->get_name(child_sa),
			.info = child_info,
			.user = &info,
			.data = chunk_create(buf.ptr, buf.len),
			.unfit = buf.failed ? "does not fit a record" : NULL,
		};
		this->event->record(this->event, &record);
	}
	mcipsec_buf_wipe(&buf);
	return TRUE;
}

METHOD(mcipsec_announce_t, child_gone, void,
	private_mcipsec_announce_t *this, mcipsec_group_entry_t *group, char *name,
	mcipsec_child_entry_t *entry)
{
	mcipsec_ike_entry_t *parent;

	if (entry->published && announces_end(this, group))
	{
		mcipsec_event_record_t record = {
			.delete = TRUE,
			.local = group->state == MCIPSEC_PASSIVE,
			.kind = MCIPSEC_KIND_CHILD,
			.group = group->id,
			.key = chunk_from_thing(entry->key),
			.parent = chunk_from_thing(entry->parent),
			.version = ++entry->version,
			.seq = ++this->table->seq,
			.name = name,
		};
		group->n.records++;
		parent = this->table->get_ike(this->table, entry->parent, FALSE);
		group->gone = record.seq;
		if (parent)
		{
			parent->seq = record.seq;
			record.lineage = chunk_from_thing(parent->lineage);
		}
		if (this->event->has_listeners(this->event))
		{
			this->event->record(this->event, &record);
		}
	}
	this->table->remove_child(this->table, entry);
}

METHOD(mcipsec_announce_t, ike_gone, void,
	private_mcipsec_announce_t *this, ike_sa_t *ike_sa,
	mcipsec_group_entry_t *group, mcipsec_ike_entry_t *entry)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *child;
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		child = this->table->get_child(this->table, entry->group, key, FALSE);
		if (child)
		{
			child_gone(this, group, child_sa->get_name(child_sa), child);
		}
	}
	enumerator->destroy(enumerator);

	if (entry->published && !entry->deleted && announces_end(this, group))
	{
		mcipsec_event_record_t record = {
			.delete = TRUE,
			.local = group->state == MCIPSEC_PASSIVE,
			.kind = MCIPSEC_KIND_IKE,
			.group = group->id,
			.key = chunk_from_thing(entry->key),
			.lineage = chunk_from_thing(entry->lineage),
			.version = ++entry->version,
			.seq = ++this->table->seq,
			.name = ike_sa->get_name(ike_sa),
		};
		group->n.records++;
		group->gone = entry->seq = entry->own_seq = record.seq;
		if (this->event->has_listeners(this->event))
		{
			this->event->record(this->event, &record);
		}
	}
	entry->deleted = TRUE;
}

/**
 * Announce all of an IKE_SA that changed. Lock held.
 */
static void announce(private_mcipsec_announce_t *this, ike_sa_t *ike_sa,
					 mcipsec_group_entry_t *group, mcipsec_ike_entry_t *entry,
					 uint32_t mid_in, bool snapshot, u_int *count)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *child;
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool unfit;

	if (announce_ike(this, ike_sa, group, entry, mid_in, snapshot))
	{
		(*count)++;
	}
	unfit = entry->digest == UNFIT;
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		child = this->table->get_child(this->table, group->id, key, FALSE);
		if (child && mcipsec_collect_wanted(child_sa) &&
			(!snapshot || child->published) &&
			announce_child(this, ike_sa, group, entry, child_sa, child,
						   snapshot))
		{
			(*count)++;
		}
		unfit |= child && child->digest == UNFIT;
	}
	enumerator->destroy(enumerator);
	if (snapshot)
	{
		return;
	}
	entry->unfit = unfit;
	/* behind the records above: of the one that replaces it, too */
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		child = child_sa->get_state(child_sa) == CHILD_DELETED ?
				this->table->get_child(this->table, group->id, key, FALSE) : NULL;
		if (child)
		{
			child_gone(this, group, child_sa->get_name(child_sa), child);
			(*count)++;
		}
	}
	enumerator->destroy(enumerator);
}

METHOD(mcipsec_announce_t, changes, void,
	private_mcipsec_announce_t *this, ike_sa_t *ike_sa, uint32_t mid_in)
{
	static const uint8_t none[MCIPSEC_LINEAGE];
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	u_int count = 0;

	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	this->table->lock->lock(this->table->lock);
	group = group_of(this, ike_sa);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && !entry->deleted && announces(this, group) &&
		mcipsec_group_replicates(group, ike_sa->get_name(ike_sa)))
	{
		switch (ike_sa->get_state(ike_sa))
		{
			case IKE_REKEYED:
				if (memeq(entry->lineage, none, sizeof(none)))
				{	/* the loser of a rekey collision was never used */
					break;
				}
				/* fall through */
			case IKE_ESTABLISHED:
			case IKE_REKEYING:
			case IKE_DELETING:
				if (entry->request_mid != ike_sa->get_message_id(ike_sa, TRUE))
				{
					mcipsec_packets_clear(&entry->request);
				}
				if (ensure_lineage(entry))
				{
					announce(this, ike_sa, group, entry, mid_in, FALSE, &count);
				}
				break;
			default:
				break;
		}
	}
	this->table->lock->unlock(this->table->lock);
}

CALLBACK(dirty_job, job_requeue_t,
	uint8_t *key)
{
	private_mcipsec_announce_t *this = announcer;
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;

	if (!this)
	{
		return JOB_REQUEUE_NONE;
	}
	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry)
	{
		entry->dirty = FALSE;
	}
	this->table->lock->unlock(this->table->lock);

	ike_sa = mcipsec_ike_checkout(this->table, key);
	if (ike_sa)
	{
		changes(this, ike_sa, ike_sa->get_message_id(ike_sa, FALSE));
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return JOB_REQUEUE_NONE;
}

METHOD(mcipsec_announce_t, dirty, void,
	private_mcipsec_announce_t *this, const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_ike_entry_t *entry;
	bool queue = FALSE;
	chunk_t copy;

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (entry && !entry->dirty)
	{
		entry->dirty = queue = TRUE;
	}
	this->table->lock->unlock(this->table->lock);
	if (queue)
	{
		copy = chunk_clone(chunk_create((u_char*)key, MCIPSEC_KEY_IKE));
		lib->processor->queue_job(lib->processor, (job_t*)
				callback_job_create_with_prio(dirty_job, copy.ptr, free,
							(callback_job_cancel_t)return_false, JOB_PRIO_HIGH));
	}
}

METHOD(mcipsec_announce_t, snapshot, u_int,
	private_mcipsec_announce_t *this, uint32_t id, uint64_t *seq)
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;
	array_t *keys;
	u_int count = 0;
	int i;

	keys = array_create(MCIPSEC_KEY_IKE, 0);
	this->table->lock->lock(this->table->lock);
	*seq = this->table->seq;
	enumerator = this->table->create_ike_enumerator(this->table);
	while (enumerator->enumerate(enumerator, &entry))
	{
		if (entry->group == id && entry->published && !entry->deleted)
		{
			array_insert(keys, ARRAY_TAIL, entry->key);
		}
	}
	enumerator->destroy(enumerator);
	this->table->lock->unlock(this->table->lock);

	for (i = 0; i < array_count(keys); i++)
	{
		uint8_t key[MCIPSEC_KEY_IKE];

		array_get(keys, i, key);
		ike_sa = mcipsec_ike_checkout(this->table, key);
		if (!ike_sa)
		{
			continue;
		}
		this->table->lock->lock(this->table->lock);
		group = this->table->get_group(this->table, id, FALSE);
		entry = this->table->get_ike(this->table, key, FALSE);
		if (group && entry && !entry->deleted)
		{
			announce(this, ike_sa, group, entry,
					 ike_sa->get_message_id(ike_sa, FALSE), TRUE, &count);
		}
		this->table->lock->unlock(this->table->lock);
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	array_destroy(keys);
	return count;
}

METHOD(mcipsec_announce_t, destroy, void,
	private_mcipsec_announce_t *this)
{
	announcer = NULL;
	memwipe(this->digest_key, sizeof(this->digest_key));
	free(this);
}

/*
 * Described in header
 */
mcipsec_announce_t *mcipsec_announce_create(mcipsec_table_t *table,
											mcipsec_event_t *event)
{
	private_mcipsec_announce_t *this;
	rng_t *rng;

	INIT(this,
		.public = {
			.changes = _changes,
			.ike_gone = _ike_gone,
			.child_gone = _child_gone,
			.dirty = _dirty,
			.snapshot = _snapshot,
			.destroy = _destroy,
		},
		.table = table,
		.event = event,
	);
	rng = lib->crypto->create_rng(lib->crypto, RNG_STRONG);
	if (!rng || !rng->get_bytes(rng, sizeof(this->digest_key),
								this->digest_key))
	{
		DESTROY_IF(rng);
		free(this);
		return NULL;
	}
	rng->destroy(rng);
	announcer = this;

	return &this->public;
}
