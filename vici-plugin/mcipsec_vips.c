/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_vips: see mcipsec_vips.h.
 *
 * A pool offers addresses one after the other. One that somebody has stays
 * taken out of the pool, under the identity that it was offered to, and is kept
 * here: when the pool is exhausted, those are handed out that are free by then.
 * The same goes for one that the other chassis may be handing out at this moment:
 * while neither hears the other, one has the even addresses, one the odd ones.
 */

#include "mcipsec_vips.h"

typedef struct private_mcipsec_vips_t private_mcipsec_vips_t;
typedef struct taken_t taken_t;

/**
 * Private data.
 */
struct private_mcipsec_vips_t {

	/**
	 * Public interface.
	 */
	mcipsec_vips_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * taken_t, out of the pools for good
	 */
	linked_list_t *taken;

	/**
	 * charon's own method, and the object it belongs to
	 */
	host_t *(*acquire)(attribute_manager_t *attributes, linked_list_t *pools,
					   ike_sa_t *ike_sa, host_t *requested);
	attribute_manager_t *attributes;
};

/**
 * An address that a pool offered although somebody has it
 */
struct taken_t {
	host_t *address;

	/** names of the pools it was asked from, char* */
	linked_list_t *pools;
};

/**
 * The object, for the replaced method
 */
static private_mcipsec_vips_t *vips;

/**
 * Is an address one of those that this chassis may hand out? Lock held.
 */
static bool in_share(private_mcipsec_vips_t *this, host_t *address,
					 ike_sa_t *ike_sa)
{
	mcipsec_group_entry_t *group;
	chunk_t bytes;

	group = this->table->group_of(this->table, ike_sa->get_my_host(ike_sa));
	if (!group || group->share == MCIPSEC_SHARE_ALL)
	{
		return TRUE;
	}
	bytes = address->get_address(address);
	return (bytes.ptr[bytes.len - 1] & 1) == (group->share == MCIPSEC_SHARE_ODD);
}

/**
 * May the peer of an IKE_SA have an address? Not one that the peer of another
 * has. The same peer may have it: it reauthenticates. charon's pools know it by
 * the same signs. Lock held.
 */
static bool is_free(private_mcipsec_vips_t *this, host_t *address,
					ike_sa_t *ike_sa, const uint8_t key[MCIPSEC_KEY_IKE])
{
	identification_t *id = ike_sa->get_other_eap_id(ike_sa);
	host_t *host = ike_sa->get_other_host(ike_sa);
	enumerator_t *entries, *addresses;
	bool used = FALSE, own = FALSE, has;
	mcipsec_ike_entry_t *entry;
	host_t *current;

	entries = this->table->create_ike_enumerator(this->table);
	while (!used && entries->enumerate(entries, &entry))
	{
		if (!entry->vips || memeq(entry->key, key, sizeof(entry->key)))
		{
			continue;
		}
		has = FALSE;
		addresses = entry->vips->create_enumerator(entry->vips);
		while (!has && addresses->enumerate(addresses, &current))
		{
			has = current->ip_equals(current, address);
		}
		addresses->destroy(addresses);
		if (has && id->equals(id, entry->vip_owner) &&
			host->equals(host, entry->vip_host))
		{
			own = TRUE;
		}
		else
		{
			used = has;
		}
	}
	entries->destroy(entries);
	return !used && (own || in_share(this, address, ike_sa));
}

static void add(mcipsec_ike_entry_t *entry, ike_sa_t *ike_sa, host_t *address)
{
	identification_t *id = ike_sa->get_other_eap_id(ike_sa);
	host_t *host = ike_sa->get_other_host(ike_sa);

	if (!entry->vips)
	{
		entry->vips = linked_list_create();
	}
	DESTROY_IF(entry->vip_owner);
	DESTROY_IF(entry->vip_host);
	entry->vip_owner = id->clone(id);
	entry->vip_host = host->clone(host);
	entry->vips->insert_last(entry->vips, address->clone(address));
}

/**
 * Keep an address out of its pool
 */
static void take_out(private_mcipsec_vips_t *this, host_t *address,
					 linked_list_t *pools)
{
	enumerator_t *enumerator;
	taken_t *taken;
	char *name;

	INIT(taken,
		.address = address,
		.pools = linked_list_create(),
	);
	enumerator = pools->create_enumerator(pools);
	while (enumerator->enumerate(enumerator, &name))
	{
		taken->pools->insert_last(taken->pools, strdup(name));
	}
	enumerator->destroy(enumerator);
	this->taken->insert_last(this->taken, taken);
}

static bool share_pool(linked_list_t *a, linked_list_t *b)
{
	enumerator_t *enumerator, *inner;
	bool found = FALSE;
	char *name, *other;

	enumerator = a->create_enumerator(a);
	while (!found && enumerator->enumerate(enumerator, &name))
	{
		inner = b->create_enumerator(b);
		while (!found && inner->enumerate(inner, &other))
		{
			found = streq(name, other);
		}
		inner->destroy(inner);
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * An address that was taken out and is free now, NULL if there is none. Lock
 * held.
 */
static host_t *find_taken(private_mcipsec_vips_t *this, linked_list_t *pools,
						  int family, ike_sa_t *ike_sa,
						  const uint8_t key[MCIPSEC_KEY_IKE])
{
	enumerator_t *enumerator;
	host_t *found = NULL;
	taken_t *taken;

	enumerator = this->taken->create_enumerator(this->taken);
	while (!found && enumerator->enumerate(enumerator, &taken))
	{
		if (taken->address->get_family(taken->address) == family &&
			share_pool(taken->pools, pools) &&
			is_free(this, taken->address, ike_sa, key))
		{
			found = taken->address->clone(taken->address);
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Judge an offered address: NULL if somebody has it, it is kept then
 */
static host_t *judge(private_mcipsec_vips_t *this, host_t *offered,
					 linked_list_t *pools, ike_sa_t *ike_sa,
					 const uint8_t key[MCIPSEC_KEY_IKE])
{
	mcipsec_ike_entry_t *entry;

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (!is_free(this, offered, ike_sa, key))
	{
		DBG1(DBG_CFG, "mcipsec: virtual IP %H is in use, or the other chassis', "
			 "not handed out", offered);
		take_out(this, offered, pools);
		offered = NULL;
	}
	else if (entry)
	{
		add(entry, ike_sa, offered);
	}
	this->table->lock->unlock(this->table->lock);
	return offered;
}

METHOD(attribute_manager_t, acquire_address, host_t*,
	attribute_manager_t *attributes, linked_list_t *pools, ike_sa_t *ike_sa,
	host_t *requested)
{
	private_mcipsec_vips_t *this = vips;
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_ike_entry_t *entry;
	host_t *offered, *found = NULL, *other, *last;
	int family = requested->get_family(requested);

	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	offered = this->acquire(attributes, pools, ike_sa, requested);
	if (offered && offered->is_anyaddr(offered))
	{	/* a pool without addresses */
		return offered;
	}
	/* not the same once more, as for an identity that reauthenticates */
	other = host_create_from_string(family == AF_INET ? "255.255.255.255"
					: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0);
	while (offered && !found)
	{
		last = offered->clone(offered);
		found = judge(this, offered, pools, ike_sa, key);
		if (!found)
		{
			offered = this->acquire(attributes, pools, ike_sa, other);
			if (offered && (offered->ip_equals(offered, last) ||
							offered->ip_equals(offered, other)))
			{	/* a provider that has one address for each peer, or a pool
				 * that hands out what is requested */
				offered->destroy(offered);
				offered = NULL;
			}
		}
		last->destroy(last);
	}
	other->destroy(other);
	if (!found)
	{
		this->table->lock->lock(this->table->lock);
		entry = this->table->get_ike(this->table, key, FALSE);
		found = find_taken(this, pools, family, ike_sa, key);
		if (found && entry)
		{
			add(entry, ike_sa, found);
		}
		this->table->lock->unlock(this->table->lock);
	}
	return found;
}

/*
 * Described in header
 */
void mcipsec_vips_remember(mcipsec_ike_entry_t *entry, ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *address;

	if (entry->vips)
	{
		entry->vips->destroy_offset(entry->vips, offsetof(host_t, destroy));
		entry->vips = NULL;
	}
	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE);
	while (enumerator->enumerate(enumerator, &address))
	{
		add(entry, ike_sa, address);
	}
	enumerator->destroy(enumerator);
}

CALLBACK(taken_destroy, void,
	taken_t *taken)
{
	taken->address->destroy(taken->address);
	taken->pools->destroy_function(taken->pools, free);
	free(taken);
}

METHOD(mcipsec_vips_t, destroy, void,
	private_mcipsec_vips_t *this)
{
	this->attributes->acquire_address = this->acquire;
	vips = NULL;
	this->taken->destroy_function(this->taken, taken_destroy);
	free(this);
}

/*
 * Described in header
 */
mcipsec_vips_t *mcipsec_vips_create(mcipsec_table_t *table)
{
	private_mcipsec_vips_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.table = table,
		.taken = linked_list_create(),
		.acquire = charon->attributes->acquire_address,
		.attributes = charon->attributes,
	);
	vips = this;
	charon->attributes->acquire_address = _acquire_address;

	return &this->public;
}
