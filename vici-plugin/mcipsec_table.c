/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_table: groups and entries behind one lock, see mcipsec_table.h.
 */

#include "mcipsec_table.h"
#include "mcipsec_record.h"


ENUM(mcipsec_group_state_names, MCIPSEC_CLOSED, MCIPSEC_ACTIVE,
	"closed",
	"passive",
	"active",
);

ENUM(mcipsec_sync_names, MCIPSEC_SYNC_NO, MCIPSEC_SYNC_ALWAYS,
	"no",
	"needed",
	"always",
);

ENUM(mcipsec_share_names, MCIPSEC_SHARE_ALL, MCIPSEC_SHARE_ODD,
	"all",
	"even",
	"odd",
);

#define COMMIT_LIMIT_DEFAULT	200

typedef struct private_mcipsec_table_t private_mcipsec_table_t;

/**
 * Private data of the table.
 */
struct private_mcipsec_table_t {

	/**
	 * Public interface.
	 */
	mcipsec_table_t public;

	/**
	 * Groups, mcipsec_group_entry_t
	 */
	linked_list_t *groups;

	/**
	 * mcipsec_ike_entry_t by key
	 */
	hashtable_t *ikes;

	/**
	 * mcipsec_child_entry_t by group and key
	 */
	hashtable_t *children;
};

/**
 * Hash and compare entries by key
 */
static u_int hash_ike(const void *key)
{
	const mcipsec_ike_entry_t *entry = key;

	return chunk_hash(chunk_create((u_char*)entry->key, sizeof(entry->key)));
}

static bool equals_ike(const void *key, const void *other)
{
	const mcipsec_ike_entry_t *a = key, *b = other;

	return memeq(a->key, b->key, sizeof(a->key));
}

/**
 * Hash and compare entries by key
 */
static u_int hash_child(const void *key)
{
	const mcipsec_child_entry_t *entry = key;

	return chunk_hash_inc(chunk_create((u_char*)entry->key, sizeof(entry->key)),
						  entry->group);
}

static bool equals_child(const void *key, const void *other)
{
	const mcipsec_child_entry_t *a = key, *b = other;

	return a->group == b->group && memeq(a->key, b->key, sizeof(a->key));
}

void mcipsec_ike_key(ike_sa_id_t *id, uint8_t key[MCIPSEC_KEY_IKE])
{
	uint64_t spi_i = id->get_initiator_spi(id);
	uint64_t spi_r = id->get_responder_spi(id);

	/* charon keeps SPIs as they stand in the packet */
	memcpy(key, &spi_i, sizeof(spi_i));
	memcpy(key + sizeof(spi_i), &spi_r, sizeof(spi_r));
}

ike_sa_id_t *mcipsec_ike_id(const uint8_t key[MCIPSEC_KEY_IKE], bool initiator)
{
	uint64_t spi_i, spi_r;

	memcpy(&spi_i, key, sizeof(spi_i));
	memcpy(&spi_r, key + sizeof(spi_i), sizeof(spi_r));
	return ike_sa_id_create(IKEV2_MAJOR_VERSION, spi_i, spi_r, initiator);
}

ike_sa_t *mcipsec_ike_checkout(mcipsec_table_t *table,
							   const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_ike_entry_t *entry;
	bool initiator = FALSE;
	ike_sa_id_t *id;
	ike_sa_t *ike_sa;

	table->lock->lock(table->lock);
	entry = table->get_ike(table, key, FALSE);
	if (entry)
	{
		initiator = entry->initiator;
	}
	table->lock->unlock(table->lock);
	if (!entry)
	{
		return NULL;
	}
	id = mcipsec_ike_id(key, initiator);
	ike_sa = charon->ike_sa_manager->checkout(charon->ike_sa_manager, id);
	id->destroy(id);
	return ike_sa;
}

void mcipsec_child_key(protocol_id_t protocol, uint32_t spi_in,
					   uint8_t key[MCIPSEC_KEY_CHILD])
{
	memcpy(key, &spi_in, sizeof(spi_in));
	key[sizeof(spi_in)] = protocol;
}

bool mcipsec_group_replicates(mcipsec_group_entry_t *group, char *connection)
{
	enumerator_t *enumerator;
	bool found = FALSE;
	char *name;

	if (!group->connections->get_count(group->connections))
	{
		return TRUE;
	}
	enumerator = group->connections->create_enumerator(group->connections);
	while (!found && enumerator->enumerate(enumerator, &name))
	{
		found = streq(name, connection);
	}
	enumerator->destroy(enumerator);
	return found;
}

host_t *mcipsec_address_owned(mcipsec_table_t *table, uint32_t id,
							  linked_list_t *addresses)
{
	mcipsec_group_entry_t *group;
	enumerator_t *enumerator;
	host_t *host, *found = NULL;

	enumerator = addresses->create_enumerator(addresses);
	while (!found && enumerator->enumerate(enumerator, &host))
	{
		group = table->group_of(table, host);
		if (group && group->id != id && !group->removed)
		{
			found = host;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

void mcipsec_address_take(mcipsec_table_t *table, uint32_t id,
						  linked_list_t *addresses)
{
	mcipsec_group_entry_t *group;
	enumerator_t *enumerator;
	host_t *host, *current;
	enumerator_t *inner;

	enumerator = addresses->create_enumerator(addresses);
	while (enumerator->enumerate(enumerator, &host))
	{
		group = table->group_of(table, host);
		if (group && group->removed && group->id != id)
		{
			inner = group->addresses->create_enumerator(group->addresses);
			while (inner->enumerate(inner, &current))
			{
				if (current->ip_equals(current, host))
				{
					group->addresses->remove_at(group->addresses, inner);
					current->destroy(current);
				}
			}
			inner->destroy(inner);
		}
	}
	enumerator->destroy(enumerator);
}

void mcipsec_count_entries(mcipsec_table_t *table, uint32_t id, u_int *ike,
						   u_int *child)
{
	mcipsec_child_entry_t *child_entry;
	mcipsec_ike_entry_t *ike_entry;
	enumerator_t *enumerator;

	*ike = *child = 0;
	enumerator = table->create_ike_enumerator(table);
	while (enumerator->enumerate(enumerator, &ike_entry))
	{
		if (ike_entry->group == id && ike_entry->published &&
			!ike_entry->deleted)
		{
			(*ike)++;
		}
	}
	enumerator->destroy(enumerator);
	enumerator = table->create_child_enumerator(table);
	while (enumerator->enumerate(enumerator, &child_entry))
	{
		if (child_entry->group == id && child_entry->published)
		{
			(*child)++;
		}
	}
	enumerator->destroy(enumerator);
}

void mcipsec_packets_clear(array_t **packets)
{
	chunk_t *packet;

	while (array_remove(*packets, ARRAY_TAIL, &packet))
	{
		chunk_clear(packet);
		free(packet);
	}
	array_destroy(*packets);
	*packets = NULL;
}

void mcipsec_packets_add(array_t **packets, chunk_t data)
{
	chunk_t *packet;

	INIT(packet);
	*packet = chunk_clone(data);
	array_insert_create(packets, ARRAY_TAIL, packet);
}

void mcipsec_held_destroy(mcipsec_held_t *held)
{
	DESTROY_IF(held->packet);
	free(held);
}

CALLBACK(free_await, void,
	char *value, const void *key)
{
	free(value);
}

CALLBACK(group_destroy, void,
	mcipsec_group_entry_t *group)
{
	group->addresses->destroy_offset(group->addresses,
									 offsetof(host_t, destroy));
	group->connections->destroy_function(group->connections, free);
	group->await->destroy_function(group->await, free_await);
	free(group);
}

METHOD(mcipsec_table_t, get_group, mcipsec_group_entry_t*,
	private_mcipsec_table_t *this, uint32_t id, bool create)
{
	mcipsec_group_entry_t *group, *found = NULL;
	enumerator_t *enumerator;

	enumerator = this->groups->create_enumerator(this->groups);
	while (enumerator->enumerate(enumerator, &group))
	{
		if (group->id == id)
		{
			found = group;
			break;
		}
	}
	enumerator->destroy(enumerator);

	if (!found && create)
	{
		INIT(found,
			.id = id,
			.state = MCIPSEC_CLOSED,
			.commit_limit = COMMIT_LIMIT_DEFAULT,
			.sync = MCIPSEC_SYNC_NEEDED,
			.addresses = linked_list_create(),
			.connections = linked_list_create(),
			.await = hashtable_create(hashtable_hash_str, hashtable_equals_str,
									  8),
		);
		this->groups->insert_last(this->groups, found);
	}
	if (found && create)
	{
		found->removed = FALSE;
	}
	return found && !found->removed ? found : NULL;
}

METHOD(mcipsec_table_t, group_of, mcipsec_group_entry_t*,
	private_mcipsec_table_t *this, host_t *local)
{
	mcipsec_group_entry_t *group, *found = NULL;
	enumerator_t *groups, *addresses;
	host_t *address;

	groups = this->groups->create_enumerator(this->groups);
	while (!found && groups->enumerate(groups, &group))
	{
		addresses = group->addresses->create_enumerator(group->addresses);
		while (addresses->enumerate(addresses, &address))
		{
			if (address->ip_equals(address, local))
			{
				found = group;
				break;
			}
		}
		addresses->destroy(addresses);
	}
	groups->destroy(groups);
	return found;
}

METHOD(mcipsec_table_t, any_inactive, bool,
	private_mcipsec_table_t *this)
{
	mcipsec_group_entry_t *group;
	enumerator_t *enumerator;
	bool found = FALSE;

	enumerator = this->groups->create_enumerator(this->groups);
	while (!found && enumerator->enumerate(enumerator, &group))
	{
		found = group->state != MCIPSEC_ACTIVE;
	}
	enumerator->destroy(enumerator);
	return found;
}

METHOD(mcipsec_table_t, create_group_enumerator, enumerator_t*,
	private_mcipsec_table_t *this)
{
	return this->groups->create_enumerator(this->groups);
}

METHOD(mcipsec_table_t, get_ike, mcipsec_ike_entry_t*,
	private_mcipsec_table_t *this, const uint8_t key[MCIPSEC_KEY_IKE],
	bool create)
{
	mcipsec_ike_entry_t lookup = {}, *entry;

	memcpy(lookup.key, key, sizeof(lookup.key));
	entry = this->ikes->get(this->ikes, &lookup);
	if (!entry && create)
	{
		INIT(entry,
			.held = linked_list_create(),
			.state = MCIPSEC_IKE_ESTABLISHED,
		);
		memcpy(entry->key, key, sizeof(entry->key));
		this->ikes->put(this->ikes, entry, entry);
	}
	return entry;
}

/**
 * Wipe and free an IKE_SA entry
 */
static void ike_destroy(private_mcipsec_table_t *this,
						mcipsec_ike_entry_t *entry)
{
	mcipsec_group_entry_t *group;

	group = get_group(this, entry->group, FALSE);
	if (group)
	{
		group->held -= entry->held->get_count(entry->held);
	}
	this->public.waiting->remove(this->public.waiting, entry, NULL);
	entry->held->destroy_function(entry->held, (void*)mcipsec_held_destroy);
	mcipsec_packets_clear(&entry->response);
	mcipsec_packets_clear(&entry->request);
	mcipsec_packets_clear(&entry->sync.packets);
	if (entry->vips)
	{
		entry->vips->destroy_offset(entry->vips, offsetof(host_t, destroy));
	}
	DESTROY_IF(entry->vip_owner);
	DESTROY_IF(entry->vip_host);
	chunk_clear(&entry->nonce_i);
	chunk_clear(&entry->nonce_r);
	chunk_clear(&entry->secret);
	chunk_clear(&entry->old_skd);
	chunk_free(&entry->ppk_id);
	free(entry);
}

METHOD(mcipsec_table_t, remove_ike, void,
	private_mcipsec_table_t *this, mcipsec_ike_entry_t *entry)
{
	this->ikes->remove(this->ikes, entry);
	ike_destroy(this, entry);
}

METHOD(mcipsec_table_t, get_child, mcipsec_child_entry_t*,
	private_mcipsec_table_t *this, uint32_t group,
	const uint8_t key[MCIPSEC_KEY_CHILD], bool create)
{
	mcipsec_child_entry_t lookup = { .group = group }, *entry;

	memcpy(lookup.key, key, sizeof(lookup.key));
	entry = this->children->get(this->children, &lookup);
	if (!entry && create)
	{
		INIT(entry,
			.group = group,
			.state = MCIPSEC_CHILD_INSTALLED,
		);
		memcpy(entry->key, key, sizeof(entry->key));
		this->children->put(this->children, entry, entry);
	}
	return entry;
}

/**
 * Wipe and free a CHILD_SA entry
 */
static void child_destroy(mcipsec_child_entry_t *entry)
{
	chunk_clear(&entry->encr_i);
	chunk_clear(&entry->encr_r);
	chunk_clear(&entry->integ_i);
	chunk_clear(&entry->integ_r);
	free(entry);
}

METHOD(mcipsec_table_t, remove_child, void,
	private_mcipsec_table_t *this, mcipsec_child_entry_t *entry)
{
	this->children->remove(this->children, entry);
	child_destroy(entry);
}

CALLBACK(filter_value, bool,
	void *null, enumerator_t *orig, va_list args)
{
	void *key, *value, **out;

	VA_ARGS_VGET(args, out);
	if (orig->enumerate(orig, &key, &value))
	{
		*out = value;
		return TRUE;
	}
	return FALSE;
}

METHOD(mcipsec_table_t, create_ike_enumerator, enumerator_t*,
	private_mcipsec_table_t *this)
{
	return enumerator_create_filter(this->ikes->create_enumerator(this->ikes),
									filter_value, NULL, NULL);
}

METHOD(mcipsec_table_t, create_child_enumerator, enumerator_t*,
	private_mcipsec_table_t *this)
{
	return enumerator_create_filter(
					this->children->create_enumerator(this->children),
					filter_value, NULL, NULL);
}

METHOD(mcipsec_table_t, destroy, void,
	private_mcipsec_table_t *this)
{
	enumerator_t *enumerator;
	void *entry;

	enumerator = create_ike_enumerator(this);
	while (enumerator->enumerate(enumerator, &entry))
	{
		ike_destroy(this, entry);
	}
	enumerator->destroy(enumerator);
	this->ikes->destroy(this->ikes);

	enumerator = create_child_enumerator(this);
	while (enumerator->enumerate(enumerator, &entry))
	{
		child_destroy(entry);
	}
	enumerator->destroy(enumerator);
	this->children->destroy(this->children);

	this->groups->destroy_function(this->groups, group_destroy);
	this->public.waiting->destroy(this->public.waiting);
	this->public.lock->destroy(this->public.lock);
	free(this);
}

/*
 * Described in header
 */
mcipsec_table_t *mcipsec_table_create()
{
	private_mcipsec_table_t *this;
	uint64_t epoch;
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_STRONG);
	if (!rng || !rng->get_bytes(rng, sizeof(epoch), (uint8_t*)&epoch))
	{
		DESTROY_IF(rng);
		return NULL;
	}
	rng->destroy(rng);

	INIT(this,
		.public = {
			.lock = mutex_create(MUTEX_TYPE_RECURSIVE),
			.epoch = epoch,
			.closed = TRUE,
			.waiting = linked_list_create(),
			.get_group = _get_group,
			.group_of = _group_of,
			.any_inactive = _any_inactive,
			.create_group_enumerator = _create_group_enumerator,
			.get_ike = _get_ike,
			.remove_ike = _remove_ike,
			.get_child = _get_child,
			.remove_child = _remove_child,
			.create_ike_enumerator = _create_ike_enumerator,
			.create_child_enumerator = _create_child_enumerator,
			.destroy = _destroy,
		},
		.groups = linked_list_create(),
		.ikes = hashtable_create(hash_ike, equals_ike, 1024),
		.children = hashtable_create(hash_child, equals_child, 1024),
	);

	return &this->public;
}
