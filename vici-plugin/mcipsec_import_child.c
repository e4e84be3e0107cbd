/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_import_child: installs and updates a CHILD_SA, see mcipsec_import.h.
 *
 * charon has no way to adopt kernel states: it installs them, and the agent
 * sets their sequence numbers afterwards. A state that an earlier charon left
 * in the kernel is removed by the attempt that it makes fail: one for each
 * direction, so there are three attempts.
 */

#include "mcipsec_import_child.h"
#include "mcipsec_policy.h"
#include "mcipsec_swan.h"

#define ATTEMPTS	3

static chunk_t chunk(mcipsec_bytes_t bytes)
{
	return chunk_create((u_char*)bytes.ptr, bytes.len);
}

/**
 * Child of a connection by name, a reference
 */
static child_cfg_t *child_of(peer_cfg_t *peer_cfg, char *name)
{
	child_cfg_t *config, *found = NULL;
	enumerator_t *enumerator;

	enumerator = peer_cfg->create_child_cfg_enumerator(peer_cfg);
	while (!found && enumerator->enumerate(enumerator, &config))
	{
		if (streq(config->get_name(config), name))
		{
			found = config->get_ref(config);
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Child configuration of an IKE_SA by name, a reference; one that was loaded after the
 * IKE_SA came is in the connection of now only
 */
static child_cfg_t *find_config(ike_sa_t *ike_sa, char *name)
{
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa), *loaded;
	child_cfg_t *found;

	if (!peer_cfg)
	{
		return NULL;
	}
	found = child_of(peer_cfg, name);
	if (!found)
	{
		loaded = charon->backends->get_peer_cfg_by_name(charon->backends,
											peer_cfg->get_name(peer_cfg));
		if (loaded)
		{
			found = child_of(loaded, name);
			loaded->destroy(loaded);
		}
	}
	return found;
}

/**
 * Selectors of a list, NULL if one is malformed
 */
static linked_list_t *create_selectors(mcipsec_list_t *list)
{
	traffic_selector_t *ts;
	linked_list_t *out = linked_list_create();
	size_t len;
	int i;

	for (i = 0; i < list->count; i++)
	{
		chunk_t data = chunk(list->items[i]);

		ts = NULL;
		if (data.len > 6)
		{
			len = data.ptr[0] == TS_IPV4_ADDR_RANGE ? 4 : 16;
			if (data.len == 6 + 2 * len &&
				(len == 4 || data.ptr[0] == TS_IPV6_ADDR_RANGE))
			{
				ts = traffic_selector_create_from_bytes(data.ptr[1],
							data.ptr[0], chunk_create(data.ptr + 6, len),
							untoh16(data.ptr + 2),
							chunk_create(data.ptr + 6 + len, len),
							untoh16(data.ptr + 4));
			}
		}
		if (!ts)
		{
			out->destroy_offset(out, offsetof(traffic_selector_t, destroy));
			return NULL;
		}
		out->insert_last(out, ts);
	}
	return out;
}

static proposal_t *create_proposal(mcipsec_child_record_t *record)
{
	proposal_t *proposal = proposal_create(record->protocol, 0);

	if (record->encr)
	{
		proposal->add_algorithm(proposal, ENCRYPTION_ALGORITHM, record->encr,
								record->encr_len);
	}
	if (record->integ)
	{
		proposal->add_algorithm(proposal, INTEGRITY_ALGORITHM, record->integ, 0);
	}
	if (record->ke)
	{
		proposal->add_algorithm(proposal, KEY_EXCHANGE_METHOD, record->ke, 0);
	}
	proposal->add_algorithm(proposal, EXTENDED_SEQUENCE_NUMBERS, record->esn, 0);
	return proposal;
}

/**
 * Install kernel states and policies of a new CHILD_SA object; policies tells
 * whether it came to the policies
 */
static status_t install(ike_sa_t *ike_sa, child_sa_t *child_sa,
				mcipsec_child_record_t *record, linked_list_t *local_ts,
				linked_list_t *remote_ts, bool *policies)
{
	chunk_t encr_in, encr_out, integ_in, integ_out;
	bool initiator = record->initiator;
	uint32_t spi_out = htonl(record->spi_out);
	status_t status;

	encr_in = chunk(initiator ? record->encr_r : record->encr_i);
	encr_out = chunk(initiator ? record->encr_i : record->encr_r);
	integ_in = chunk(initiator ? record->integ_r : record->integ_i);
	integ_out = chunk(initiator ? record->integ_i : record->integ_r);

	child_sa->set_state(child_sa, CHILD_INSTALLING);
	child_sa->set_policies(child_sa, local_ts, remote_ts);
	*policies = FALSE;
	status = child_sa->install(child_sa, encr_in, integ_in,
							   htonl(record->spi_in), record->cpi_in,
							   initiator, TRUE, TRUE);
	if (status == SUCCESS)
	{
		if (record->outbound == MCIPSEC_OUTBOUND_REGISTERED)
		{
			status = child_sa->register_outbound(child_sa, encr_out, integ_out,
								spi_out, record->cpi_out, initiator, TRUE);
		}
		else
		{
			status = child_sa->install(child_sa, encr_out, integ_out, spi_out,
								record->cpi_out, initiator, FALSE, TRUE);
			if (status != SUCCESS)
			{
				mcipsec_swan_clear_outbound(ike_sa, child_sa, spi_out,
											record->cpi_out);
			}
		}
	}
	if (status == SUCCESS)
	{
		*policies = TRUE;
		status = child_sa->install_policies(child_sa);
	}
	return status;
}

/**
 * Destroy a CHILD_SA whose installation failed; takes along the kernel states
 * it installed, or that stood in its way.
 *
 * It would also remove policies that it did not install, and these could be
 * those of another CHILD_SA with the same selectors: without selectors it does
 * not.
 */
static void destroy_failed(child_sa_t *child_sa, bool policies)
{
	linked_list_t *none;

	if (!policies)
	{
		none = linked_list_create();
		child_sa->set_policies(child_sa, none, none);
		none->destroy(none);
	}
	child_sa->destroy(child_sa);
}

/**
 * Does another CHILD_SA send what this one sends? With the same selectors they
 * have one reqid.
 */
static bool covered(ike_sa_t *ike_sa, child_sa_t *child_sa)
{
	enumerator_t *enumerator;
	child_sa_t *other;
	bool found = FALSE;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &other))
	{
		found = other != child_sa &&
				other->get_reqid(other) == child_sa->get_reqid(child_sa) &&
				other->get_outbound_state(other) & CHILD_OUTBOUND_POLICIES;
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * State and outbound half, as far as they changed
 *
 * The records of a rekey come one by one, in any order. Without an outbound
 * policy the kernel knows no way for clear packets, and the gate could not shunt
 * them: the old one stays until there is a new one, see tidy().
 */
static bool update(ike_sa_t *ike_sa, child_sa_t *child_sa,
				   mcipsec_child_record_t *record)
{
	u_int outbound = child_sa->get_outbound_state(child_sa);
	bool ok = TRUE;

	if (record->outbound == MCIPSEC_OUTBOUND_INSTALLED &&
		outbound & CHILD_OUTBOUND_REGISTERED)
	{
		ok = child_sa->install_outbound(child_sa) == SUCCESS;
	}
	else if (record->outbound == MCIPSEC_OUTBOUND_REMOVED &&
			 outbound != CHILD_OUTBOUND_NONE &&
			 (!(outbound & CHILD_OUTBOUND_POLICIES) ||
			  covered(ike_sa, child_sa)))
	{
		child_sa->remove_outbound(child_sa);
	}
	mcipsec_swan_forget_rekey_spi(child_sa, htonl(record->rekey_spi));
	child_sa->set_state(child_sa, record->state == MCIPSEC_CHILD_REKEYED ?
						CHILD_REKEYED : CHILD_INSTALLED);
	return ok;
}

/** Numbers that are drawn at most to get beyond an imported one */
#define DRAWS_MAX	1000000

/**
 * charon draws marks and interface ids that are configured as %unique from
 * counters: get them beyond those that a record brings, so that none is drawn a
 * second time.
 *
 * The counters are charon's own; it draws one of each that the child wants with
 * every CHILD_SA object.
 */
static void skip_unique(ike_sa_t *ike_sa, child_cfg_t *config,
						mcipsec_child_record_t *record)
{
	child_sa_create_t data = {};
	uint32_t mark = 0, if_id = 0, wanted_mark = 0, wanted_if_id = 0;
	child_sa_t *probe;
	int i;

	if (IF_ID_IS_UNIQUE(config->get_if_id(config, TRUE)) ||
		IF_ID_IS_UNIQUE(config->get_if_id(config, FALSE)))
	{
		wanted_if_id = max(record->if_id_in, record->if_id_out);
	}
	if (MARK_IS_UNIQUE(config->get_mark(config, TRUE).value) ||
		MARK_IS_UNIQUE(config->get_mark(config, FALSE).value))
	{
		wanted_mark = max(record->mark_in, record->mark_out);
	}
	for (i = 0; i < DRAWS_MAX && (mark < wanted_mark || if_id < wanted_if_id);
		 i++)
	{
		probe = child_sa_create(ike_sa->get_my_host(ike_sa),
								ike_sa->get_other_host(ike_sa), config, &data);
		mark = max(probe->get_mark(probe, TRUE).value,
				   probe->get_mark(probe, FALSE).value);
		if_id = max(probe->get_if_id(probe, TRUE),
					probe->get_if_id(probe, FALSE));
		probe->destroy(probe);
	}
}

/**
 * Create a CHILD_SA with its kernel states, NULL if that fails
 */
static child_sa_t *create_child(ike_sa_t *ike_sa, child_cfg_t *config,
				mcipsec_child_record_t *record, linked_list_t *local_ts,
				linked_list_t *remote_ts)
{
	child_sa_create_t data = {
		.encap = record->encap,
		.mark_in = record->mark_in,
		.mark_out = record->mark_out,
		.if_id_in = record->if_id_in,
		.if_id_out = record->if_id_out,
	};
	proposal_t *proposal = create_proposal(record);
	child_sa_t *child_sa, *found = NULL;
	bool policies;
	int i;

	config = mcipsec_policy_child(config, ike_sa, proposal, chunk(record->kes));
	for (i = 0; i < ATTEMPTS && !found; i++)
	{
		child_sa = child_sa_create(ike_sa->get_my_host(ike_sa),
						ike_sa->get_other_host(ike_sa), config, &data);
		child_sa->set_mode(child_sa, record->mode);
		child_sa->set_protocol(child_sa, record->protocol);
		child_sa->set_ipcomp(child_sa, record->ipcomp);
		child_sa->set_proposal(child_sa, proposal);
		if (install(ike_sa, child_sa, record, local_ts, remote_ts,
					&policies) == SUCCESS && update(ike_sa, child_sa, record))
		{
			found = child_sa;
		}
		else
		{
			destroy_failed(child_sa, policies);
		}
	}
	config->destroy(config);
	proposal->destroy(proposal);
	return found;
}

static time_t when(uint32_t left)
{
	return left == MCIPSEC_NEVER ? 0 : time_monotonic(NULL) + left;
}

/**
 * Remember what a record said of a CHILD_SA. Lock held.
 */
static void remember(mcipsec_child_entry_t *entry,
					 mcipsec_import_request_t *request,
					 mcipsec_child_record_t *record)
{
	memcpy(entry->parent, request->parent, sizeof(entry->parent));
	entry->published = TRUE;
	entry->need_timers = TRUE;
	entry->version = entry->imported = request->version;
	entry->digest = 0;
	entry->state = record->state;
	entry->initiator = record->initiator;
	entry->rekey_spi = htonl(record->rekey_spi);
	entry->no_outbound = record->outbound == MCIPSEC_OUTBOUND_REMOVED;
	chunk_clear(&entry->encr_i);
	chunk_clear(&entry->encr_r);
	chunk_clear(&entry->integ_i);
	chunk_clear(&entry->integ_r);
	entry->encr_i = chunk_clone(chunk(record->encr_i));
	entry->encr_r = chunk_clone(chunk(record->encr_r));
	entry->integ_i = chunk_clone(chunk(record->integ_i));
	entry->integ_r = chunk_clone(chunk(record->integ_r));
	entry->installed = time_monotonic(NULL) -
							(record->age == MCIPSEC_NEVER ? 0 : record->age);
	entry->rekey = when(record->rekey);
	entry->expire = when(record->lifetime);
}

/**
 * Tell the CHILD_SAs of an IKE_SA which one replaces them in a rekey that is not
 * finished, as the records said. Lock held.
 */
static void link_rekeyed(mcipsec_table_t *table, ike_sa_t *ike_sa,
						 uint32_t group)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *entry;
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		entry = table->get_child(table, group, key, FALSE);
		if (entry && entry->imported)
		{
			mcipsec_swan_set_rekey_spi(ike_sa, child_sa, entry->rekey_spi);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Remove the outbound halves that were left until another one was there
 */
static void tidy(mcipsec_table_t *table, ike_sa_t *ike_sa, uint32_t group)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_child_entry_t *entry;
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool left;

	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), key);
		table->lock->lock(table->lock);
		entry = table->get_child(table, group, key, FALSE);
		left = entry && entry->imported && entry->no_outbound;
		table->lock->unlock(table->lock);
		if (left &&
			child_sa->get_outbound_state(child_sa) & CHILD_OUTBOUND_POLICIES &&
			covered(ike_sa, child_sa))
		{
			child_sa->remove_outbound(child_sa);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * May an active group not follow the request any more? With the IKE_SA checked
 * out the answer lasts.
 */
static bool outdated(mcipsec_table_t *table, mcipsec_import_request_t *request,
					 const uint8_t ike[MCIPSEC_KEY_IKE])
{
	mcipsec_group_entry_t *group;
	bool changed;

	table->lock->lock(table->lock);
	group = table->get_group(table, request->group, FALSE);
	changed = group && group->state == MCIPSEC_ACTIVE &&
			  mcipsec_import_changed(request, group,
						table->get_ike(table, ike, FALSE));
	table->lock->unlock(table->lock);
	return changed;
}

/**
 * Destroy a CHILD_SA that the record is to be installed for. It does not end: no
 * record says so.
 */
static void make_way(mcipsec_table_t *table, mcipsec_import_request_t *request,
					 ike_sa_t *ike_sa, mcipsec_child_record_t *record)
{
	mcipsec_child_entry_t *entry;
	child_sa_t *child_sa;

	table->lock->lock(table->lock);
	entry = table->get_child(table, request->group, request->key, FALSE);
	if (entry)
	{
		entry->published = FALSE;
	}
	table->lock->unlock(table->lock);
	child_sa = ike_sa->get_child_sa(ike_sa, record->protocol,
									htonl(record->spi_in), TRUE);
	if (child_sa)
	{
		mcipsec_swan_unlink(child_sa);
	}
	ike_sa->destroy_child_sa(ike_sa, record->protocol, htonl(record->spi_in));
}

/**
 * Remove a CHILD_SA from an IKE_SA that it does not belong to any more
 *
 * @return			FALSE if an active group may not follow the request
 */
static bool remove_from(mcipsec_table_t *table,
						const uint8_t parent[MCIPSEC_KEY_IKE],
						mcipsec_import_request_t *request,
						mcipsec_child_record_t *record)
{
	ike_sa_t *ike_sa;
	bool follow;

	ike_sa = mcipsec_ike_checkout(table, parent);
	follow = !outdated(table, request, parent) &&
			 !outdated(table, request, request->parent);
	if (ike_sa)
	{
		if (follow)
		{
			make_way(table, request, ike_sa, record);
		}
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return follow;
}

/*
 * Described in header
 */
mcipsec_import_result_t mcipsec_import_child(mcipsec_table_t *table,
										mcipsec_import_request_t *request)
{
	uint8_t key[MCIPSEC_KEY_CHILD], old_parent[MCIPSEC_KEY_IKE];
	linked_list_t *local_ts = NULL, *remote_ts = NULL;
	mcipsec_import_result_t result = MCIPSEC_FAILED;
	mcipsec_record_status_t status;
	mcipsec_child_record_t *record;
	mcipsec_child_entry_t *entry;
	mcipsec_group_entry_t *group;
	ike_sa_t *ike_sa = NULL;
	child_sa_t *child_sa;
	child_cfg_t *config;
	bool stale, active, moved = FALSE, known, current = FALSE;

	INIT(record);
	status = mcipsec_child_record_decode(request->data.ptr, request->data.len,
										 record);
	if (status != MCIPSEC_RECORD_OK)
	{
		request->reason = mcipsec_record_status_text(status);
		goto out;
	}
	mcipsec_child_key(record->protocol, htonl(record->spi_in), key);
	if (!memeq(request->key, key, sizeof(key)) ||
		(record->protocol != PROTO_ESP && record->protocol != PROTO_AH))
	{
		request->reason = "key does not match the record";
		goto out;
	}
	local_ts = create_selectors(&record->local_ts);
	remote_ts = create_selectors(&record->remote_ts);
	if (!local_ts || !remote_ts)
	{
		request->reason = "malformed traffic selector";
		goto out;
	}

	table->lock->lock(table->lock);
	group = table->get_group(table, request->group, FALSE);
	active = group && group->state == MCIPSEC_ACTIVE;
	entry = table->get_child(table, request->group, request->key, FALSE);
	known = entry != NULL;
	stale = entry && entry->imported && entry->imported >= request->version;
	if (stale)
	{
		result = entry->imported == request->version ? MCIPSEC_INSTALLED
													 : MCIPSEC_STALE;
		request->reason = "this or a newer version is here";
	}
	else if (entry && !memeq(entry->parent, request->parent,
							 sizeof(entry->parent)))
	{
		moved = TRUE;
		memcpy(old_parent, entry->parent, sizeof(old_parent));
	}
	table->lock->unlock(table->lock);
	if (stale)
	{
		goto out;
	}
	if (active && known && !request->replace)
	{
		request->reason = "the group is active";
		goto out;
	}

	/* inherited otherwise: this is a record without its IKE rekey */
	if (!moved || remove_from(table, old_parent, request, record))
	{
		ike_sa = mcipsec_ike_checkout(table, request->parent);
		current = !outdated(table, request, request->parent);
	}
	if (!current)
	{
		request->reason = "its IKE_SA changed here meanwhile";
		result = MCIPSEC_CHANGED;
		goto out;
	}
	if (!ike_sa)
	{
		request->reason = "IKE_SA is not here";
		result = MCIPSEC_AWAIT_CONF;
		goto out;
	}
	child_sa = ike_sa->get_child_sa(ike_sa, record->protocol,
									htonl(record->spi_in), TRUE);
	if (child_sa)
	{
		if (!update(ike_sa, child_sa, record))
		{
			request->reason = "outbound SA could not be installed";
			make_way(table, request, ike_sa, record);
			goto out;
		}
	}
	else
	{
		config = find_config(ike_sa, request->name);
		if (!config)
		{
			request->reason = "child is not configured";
			result = MCIPSEC_AWAIT_CONF;
			goto out;
		}
		skip_unique(ike_sa, config, record);
		child_sa = create_child(ike_sa, config, record, local_ts, remote_ts);
		config->destroy(config);
		if (!child_sa)
		{
			request->reason = "kernel refused the CHILD_SA";
			goto out;
		}
		ike_sa->add_child_sa(ike_sa, child_sa);
	}
	table->lock->lock(table->lock);
	remember(table->get_child(table, request->group, request->key, TRUE),
			 request, record);
	link_rekeyed(table, ike_sa, request->group);
	table->lock->unlock(table->lock);
	tidy(table, ike_sa, request->group);
	result = MCIPSEC_INSTALLED;

out:
	if (ike_sa)
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	if (local_ts)
	{
		local_ts->destroy_offset(local_ts,
								 offsetof(traffic_selector_t, destroy));
	}
	if (remote_ts)
	{
		remote_ts->destroy_offset(remote_ts,
								  offsetof(traffic_selector_t, destroy));
	}
	memwipe(record, sizeof(*record));
	free(record);
	return result;
}
