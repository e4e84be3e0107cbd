/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_vici: commands on the vici socket, see mcipsec_vici.h.
 *
 * Every handler checks all it needs before it changes anything.
 */

#include "mcipsec_vici.h"
#include "mcipsec_conn.h"
#include "mcipsec_vici_parse.h"

#include <inttypes.h>

/** Bounds of commit-limit-ms */
#define COMMIT_LIMIT_MIN	1
#define COMMIT_LIMIT_MAX	60000

typedef struct private_mcipsec_vici_t private_mcipsec_vici_t;
typedef struct target_t target_t;

/**
 * Private data of the command handlers.
 */
struct private_mcipsec_vici_t {

	/**
	 * Public interface.
	 */
	mcipsec_vici_t public;

	/**
	 * charon's vici dispatcher
	 */
	vici_dispatcher_t *dispatcher;

	/**
	 * Parts of the plugin
	 */
	mcipsec_table_t *table;
	mcipsec_event_t *event;
	mcipsec_announce_t *announce;
	mcipsec_gate_t *gate;
	mcipsec_group_t *group;
	mcipsec_import_t *import;

	/**
	 * One command that changes something at a time
	 */
	mutex_t *serial;
};

/**
 * What a command is about
 */
struct target_t {
	uint32_t group;
	mcipsec_kind_t kind;
	uint8_t key[MCIPSEC_KEY_IKE];
};

/**
 * Read the number of an existing group; on FALSE the reply is set
 */
static bool get_group(private_mcipsec_vici_t *this, vici_message_t *request,
					  uint32_t *id, vici_message_t **reply)
{
	uint64_t number;
	bool known;

	if (!mcipsec_parse_number(request->get_str(request, NULL, "group"), UINT32_MAX,
					  &number) || !number)
	{
		*reply = mcipsec_refuse("group: a number from 1 to %u is required", UINT32_MAX);
		return FALSE;
	}
	*id = number;
	this->table->lock->lock(this->table->lock);
	known = this->table->get_group(this->table, *id, FALSE) != NULL;
	this->table->lock->unlock(this->table->lock);
	if (!known)
	{
		*reply = mcipsec_refuse("group: tunnel-group %u is not known", *id);
	}
	return known;
}

/**
 * Read group, kind and key; on FALSE the reply is set
 */
static bool get_target(private_mcipsec_vici_t *this, vici_message_t *request,
					   target_t *target, vici_message_t **reply)
{
	char *kind;
	size_t len;

	if (!get_group(this, request, &target->group, reply))
	{
		return FALSE;
	}
	kind = request->get_str(request, "", "kind");
	if (streq(kind, "ike"))
	{
		target->kind = MCIPSEC_KIND_IKE;
		len = MCIPSEC_KEY_IKE;
	}
	else if (streq(kind, "child"))
	{
		target->kind = MCIPSEC_KIND_CHILD;
		len = MCIPSEC_KEY_CHILD;
	}
	else
	{
		*reply = mcipsec_refuse("kind: ike or child is required");
		return FALSE;
	}
	if (!mcipsec_parse_hex(request->get_str(request, NULL, "key"), target->key, len))
	{
		*reply = mcipsec_refuse("key: %zu hexadecimal digits are required", len * 2);
		return FALSE;
	}
	return TRUE;
}

CALLBACK(version, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int id, vici_message_t *request)
{
	vici_builder_t *b = mcipsec_accept();

	b->add_kv(b, "plugin", "%s", MCIPSEC_VERSION);
	b->add_kv(b, "protocol", "%u", MCIPSEC_PROTOCOL);
	b->add_kv(b, "strongswan", "%s", VERSION);
	b->add_kv(b, "epoch", "%016" PRIx64, this->table->epoch);
	return b->finalize(b);
}

/**
 * Apply a group command whose values were checked
 */
static vici_message_t *apply_group(private_mcipsec_vici_t *this, uint32_t id,
			int state, int commit, u_int limit, int sync, int share, int responder,
			bool more, linked_list_t *addresses, linked_list_t *connections)
{
	mcipsec_group_entry_t *group;
	vici_builder_t *b;
	u_int ike, child;
	bool release;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, TRUE);
	if (addresses)
	{
		mcipsec_address_take(this->table, id, addresses);
		group->addresses->destroy_offset(group->addresses,
										 offsetof(host_t, destroy));
		group->addresses = addresses;
	}
	if (connections)
	{
		group->connections->destroy_function(group->connections, free);
		group->connections = connections;
	}
	if (limit)
	{
		group->commit_limit = limit;
	}
	if (sync >= 0)
	{
		group->sync = sync;
	}
	if (share >= 0)
	{
		group->share = share;
	}
	if (responder >= 0)
	{
		group->responder_only = responder;
	}
	release = commit == 0 && group->commit;
	if (commit >= 0)
	{
		group->commit = commit;
	}
	/* the addresses of this group are guarded from here on */
	this->table->closed = FALSE;
	this->table->more = more;
	if (release && group->state == MCIPSEC_ACTIVE &&
		(state < 0 || state == MCIPSEC_ACTIVE))
	{	/* else what is held is dropped when the group leaves that state */
		this->gate->release(this->gate, group, TRUE);
	}
	this->table->lock->unlock(this->table->lock);

	if (state >= 0)
	{
		this->group->set_state(this->group, id, state);
	}

	b = mcipsec_accept();
	this->table->lock->lock(this->table->lock);
	mcipsec_count_entries(this->table, id, &ike, &child);
	b->add_kv(b, "state", "%N", mcipsec_group_state_names, group->state);
	this->table->lock->unlock(this->table->lock);
	b->add_kv(b, "ike", "%u", ike);
	b->add_kv(b, "child", "%u", child);
	return b->finalize(b);
}

CALLBACK(group, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	linked_list_t *strings, *addresses = NULL, *connections = NULL;
	vici_message_t *reply = NULL;
	uint64_t number, limit = 0;
	int state = -1, commit = -1, sync = -1, share = -1, responder = -1, more = FALSE;
	char *str, *bad;
	host_t *other;

	if (!mcipsec_parse_number(request->get_str(request, NULL, "group"), UINT32_MAX,
					  &number) || !number)
	{
		return mcipsec_refuse("group: a number from 1 to %u is required", UINT32_MAX);
	}
	str = request->get_str(request, NULL, "state");
	if (str && !enum_from_name(mcipsec_group_state_names, str, &state))
	{
		return mcipsec_refuse("state: closed, passive or active is required");
	}
	if (!mcipsec_get_bool(request, "commit", &commit))
	{
		return mcipsec_refuse("commit: yes or no is required");
	}
	str = request->get_str(request, NULL, "message-id-sync");
	if (str && !enum_from_name(mcipsec_sync_names, str, &sync))
	{
		return mcipsec_refuse("message-id-sync: no, needed or always is "
							  "required");
	}
	str = request->get_str(request, NULL, "pool-share");
	if (str && !enum_from_name(mcipsec_share_names, str, &share))
	{
		return mcipsec_refuse("pool-share: all, even or odd is required");
	}
	if (!mcipsec_get_bool(request, "responder-only", &responder))
	{
		return mcipsec_refuse("responder-only: yes or no is required");
	}
	if (!mcipsec_get_bool(request, "more", &more))
	{
		return mcipsec_refuse("more: yes or no is required");
	}
	str = request->get_str(request, NULL, "commit-limit-ms");
	if (str && (!mcipsec_parse_number(str, COMMIT_LIMIT_MAX, &limit) ||
				limit < COMMIT_LIMIT_MIN))
	{
		return mcipsec_refuse("commit-limit-ms: a number from %u to %u is required",
					  COMMIT_LIMIT_MIN, COMMIT_LIMIT_MAX);
	}

	this->serial->lock(this->serial);
	strings = linked_list_create();
	if (mcipsec_get_list(request, "addresses", strings))
	{
		addresses = linked_list_create();
		bad = mcipsec_parse_addresses(strings, addresses);
		if (bad)
		{
			reply = mcipsec_refuse("addresses: '%s' is not an address", bad);
		}
		else
		{
			this->table->lock->lock(this->table->lock);
			other = mcipsec_address_owned(this->table, number,
											  addresses);
			this->table->lock->unlock(this->table->lock);
			if (other)
			{
				reply = mcipsec_refuse("addresses: %H belongs to another group", other);
			}
		}
	}
	strings->destroy_function(strings, free);

	if (reply)
	{
		addresses->destroy_offset(addresses, offsetof(host_t, destroy));
	}
	else
	{
		connections = linked_list_create();
		if (!mcipsec_get_list(request, "connections", connections))
		{
			connections->destroy(connections);
			connections = NULL;
		}
		reply = apply_group(this, number, state, commit, limit, sync, share,
							responder, more, addresses, connections);
	}
	this->serial->unlock(this->serial);
	return reply;
}

CALLBACK(group_remove, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	mcipsec_group_entry_t *group;
	vici_message_t *reply;
	vici_builder_t *b;
	uint32_t id;
	u_int count;

	if (!get_group(this, request, &id, &reply))
	{
		return reply;
	}
	this->serial->lock(this->serial);
	count = this->group->purge(this->group, id);
	/* what was not established yet */
	this->group->set_state(this->group, id, MCIPSEC_CLOSED);
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	if (group)
	{
		group->removed = TRUE;
	}
	this->table->lock->unlock(this->table->lock);
	this->serial->unlock(this->serial);

	b = mcipsec_accept();
	b->add_kv(b, "count", "%u", count);
	return b->finalize(b);
}

/**
 * Count the outcome of an import
 */
static void count_import(private_mcipsec_vici_t *this, target_t *target,
						 mcipsec_import_result_t result, bool known, char *key)
{
	mcipsec_group_entry_t *group;
	char *await;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, target->group, FALSE);
	if (group)
	{
		await = group->await->remove(group->await, key);
		free(await);
		switch (result)
		{
			case MCIPSEC_INSTALLED:
				if (known)
				{
					group->n.updated++;
				}
				else
				{
					group->n.imported++;
				}
				break;
			case MCIPSEC_AWAIT_CONF:
				await = strdup(key);
				group->await->put(group->await, await, await);
				break;
			case MCIPSEC_STALE:
				group->n.stale++;
				break;
			case MCIPSEC_CHANGED:
				break;
			case MCIPSEC_FAILED:
				group->n.failed++;
				break;
		}
	}
	this->table->lock->unlock(this->table->lock);
}

/**
 * Is an entry here already? Is the group active?
 */
static bool is_known(private_mcipsec_vici_t *this, target_t *target,
					 bool *active)
{
	mcipsec_child_entry_t *child;
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *ike;
	bool known;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, target->group, FALSE);
	*active = group && group->state == MCIPSEC_ACTIVE;
	if (target->kind == MCIPSEC_KIND_IKE)
	{
		ike = this->table->get_ike(this->table, target->key, FALSE);
		known = ike && ike->published;
	}
	else
	{
		child = this->table->get_child(this->table, target->group, target->key,
									   FALSE);
		known = child && child->published;
	}
	this->table->lock->unlock(this->table->lock);
	return known;
}

CALLBACK(import, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	uint8_t parent[MCIPSEC_KEY_IKE], lineage[MCIPSEC_LINEAGE] = {};
	mcipsec_import_request_t import;
	mcipsec_import_result_t result;
	target_t target = {};
	vici_message_t *reply;
	vici_builder_t *b;
	uint64_t version;
	bool known, active;
	char *seen;

	if (!get_target(this, request, &target, &reply))
	{
		return reply;
	}
	if (!mcipsec_parse_number(request->get_str(request, NULL, "version"), UINT64_MAX,
					  &version))
	{
		return mcipsec_refuse("version: a number is required");
	}
	if (target.kind == MCIPSEC_KIND_CHILD &&
		!mcipsec_parse_hex(request->get_str(request, NULL, "parent"), parent,
				   sizeof(parent)))
	{
		return mcipsec_refuse("parent: the key of an IKE_SA is required");
	}
	if (target.kind == MCIPSEC_KIND_IKE &&
		!mcipsec_parse_hex(request->get_str(request, NULL, "lineage"), lineage,
				   sizeof(lineage)))
	{
		return mcipsec_refuse("lineage: %zu hexadecimal digits are required",
					  2 * sizeof(lineage));
	}
	seen = request->get_str(request, NULL, "seen");
	import = (mcipsec_import_request_t){
		.group = target.group,
		.key = target.key,
		.parent = parent,
		.lineage = lineage,
		.version = version,
		.name = request->get_str(request, "", "name"),
		.data = request->get_value(request, chunk_empty, "data"),
		.replace = request->get_bool(request, FALSE, "replace"),
		.seen = UINT64_MAX,
		.reason = "",
	};
	if (seen && !mcipsec_parse_number(seen, UINT64_MAX, &import.seen))
	{
		return mcipsec_refuse("seen: a number is required");
	}

	this->serial->lock(this->serial);
	known = is_known(this, &target, &active);
	if (target.kind == MCIPSEC_KIND_IKE)
	{
		result = this->import->ike(this->import, &import);
		if (import.active && import.replace)
		{	/* the record is sound: the state that is here makes way */
			result = MCIPSEC_CHANGED;
			if (this->group->replace_ike(this->group, &import))
			{
				known = FALSE;
				result = this->import->ike(this->import, &import);
			}
		}
		if (result == MCIPSEC_INSTALLED && active && !known)
		{
			this->group->take_up(this->group, target.key);
		}
	}
	else
	{
		result = this->import->child(this->import, &import);
	}
	count_import(this, &target, result, known,
				 request->get_str(request, "", "key"));
	this->serial->unlock(this->serial);

	if (result == MCIPSEC_FAILED)
	{
		DBG1(DBG_CFG, "mcipsec: import of %s '%s' failed: %s",
			 target.kind == MCIPSEC_KIND_IKE ? "IKE_SA" : "CHILD_SA",
			 import.name, import.reason);
	}
	b = mcipsec_accept();
	b->add_kv(b, "result", "%N", mcipsec_import_result_names, result);
	b->add_kv(b, "reason", "%s", import.reason);
	return b->finalize(b);
}

CALLBACK(delete_, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	mcipsec_group_entry_t *group;
	target_t target = {};
	vici_message_t *reply;
	vici_builder_t *b;
	bool active;
	u_int count;
	char *await;

	if (!get_target(this, request, &target, &reply))
	{
		return reply;
	}
	this->serial->lock(this->serial);
	is_known(this, &target, &active);
	if (active && !request->get_bool(request, FALSE, "ended"))
	{
		this->serial->unlock(this->serial);
		return mcipsec_refuse("group: tunnel-group %u is active", target.group);
	}
	if (target.kind == MCIPSEC_KIND_IKE)
	{
		count = this->group->delete_ike(this->group, target.key);
	}
	else
	{
		count = this->group->delete_child(this->group, target.group,
										  target.key);
	}
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, target.group, FALSE);
	if (group)
	{
		group->n.deleted += count;
		await = group->await->remove(group->await,
									 request->get_str(request, "", "key"));
		free(await);
	}
	this->table->lock->unlock(this->table->lock);
	this->serial->unlock(this->serial);

	b = mcipsec_accept();
	b->add_kv(b, "count", "%u", count);
	return b->finalize(b);
}

CALLBACK(purge, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	vici_message_t *reply;
	vici_builder_t *b;
	uint32_t id;
	u_int count;

	if (!get_group(this, request, &id, &reply))
	{
		return reply;
	}
	this->serial->lock(this->serial);
	count = this->group->purge(this->group, id);
	this->serial->unlock(this->serial);

	b = mcipsec_accept();
	b->add_kv(b, "count", "%u", count);
	return b->finalize(b);
}

CALLBACK(ack, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	uint64_t epoch;
	vici_builder_t *b;
	char *str, hex[17];

	str = request->get_str(request, "", "epoch");
	epoch = this->table->epoch;
	snprintf(hex, sizeof(hex), "%016" PRIx64, epoch);
	if (!streq(str, hex))
	{
		return mcipsec_refuse("epoch: this charon has epoch %s", hex);
	}
	if (!mcipsec_parse_acked(request, this->table))
	{
		return mcipsec_refuse("seq, group-N: a number is required");
	}
	this->gate->ack(this->gate);

	b = mcipsec_accept();
	return b->finalize(b);
}

CALLBACK(snapshot, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	vici_message_t *reply;
	vici_builder_t *b;
	uint64_t seq = 0;
	uint32_t id;
	u_int count;

	if (!get_group(this, request, &id, &reply))
	{
		return reply;
	}
	this->serial->lock(this->serial);
	count = this->announce->snapshot(this->announce, id, &seq);
	this->serial->unlock(this->serial);

	b = mcipsec_accept();
	b->add_kv(b, "count", "%u", count);
	b->add_kv(b, "epoch", "%016" PRIx64, this->table->epoch);
	b->add_kv(b, "seq", "%" PRIu64, seq);
	return b->finalize(b);
}

CALLBACK(rekey, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	mcipsec_rekey_result_t result;
	vici_message_t *reply;
	vici_builder_t *b;
	uint32_t id;

	if (!get_group(this, request, &id, &reply))
	{
		return reply;
	}
	if (!mcipsec_parse_hex(request->get_str(request, NULL, "key"), key, sizeof(key)))
	{
		return mcipsec_refuse("key: the key of a CHILD_SA is required");
	}
	this->serial->lock(this->serial);
	result = this->group->rekey(this->group, id, key);
	this->serial->unlock(this->serial);

	b = mcipsec_accept();
	b->add_kv(b, "result", "%N", mcipsec_rekey_result_names, result);
	return b->finalize(b);
}

static void add_u64(vici_builder_t *b, char *name, uint64_t value)
{
	b->add_kv(b, name, "%" PRIu64, value);
}

CALLBACK(status, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	mcipsec_group_entry_t *group;
	enumerator_t *enumerator;
	vici_builder_t *b;
	uint32_t median, p99;
	u_int ike, child;
	char section[32];

	b = mcipsec_accept();
	this->table->lock->lock(this->table->lock);
	b->add_kv(b, "epoch", "%016" PRIx64, this->table->epoch);
	add_u64(b, "seq", this->table->seq);
	add_u64(b, "acked", this->table->acked);
	b->add_kv(b, "gate", this->table->closed ? "closed" : "open");
	b->add_kv(b, "listeners",
			  this->event->has_listeners(this->event) ? "yes" : "no");
	add_u64(b, "blocked", this->table->blocked);

	enumerator = this->table->create_group_enumerator(this->table);
	while (enumerator->enumerate(enumerator, &group))
	{
		if (group->removed)
		{
			continue;
		}
		mcipsec_count_entries(this->table, group->id, &ike, &child);
		snprintf(section, sizeof(section), "group-%u", group->id);
		b->begin_section(b, section);
		b->add_kv(b, "state", "%N", mcipsec_group_state_names, group->state);
		b->add_kv(b, "commit", group->commit ? "yes" : "no");
		b->add_kv(b, "commit-limit-ms", "%u", group->commit_limit);
		b->add_kv(b, "pool-share", "%N", mcipsec_share_names, group->share);
		b->add_kv(b, "responder-only", group->responder_only ? "yes" : "no");
		b->add_kv(b, "ike", "%u", ike);
		b->add_kv(b, "child", "%u", child);
		b->add_kv(b, "held", "%u", group->held);
		b->add_kv(b, "await-conf", "%u",
				  group->await->get_count(group->await));
		add_u64(b, "sent", group->n.sent);
		add_u64(b, "blocked", group->n.blocked);
		add_u64(b, "not-begun", group->n.not_begun);
		add_u64(b, "held-total", group->n.held_total);
		mcipsec_times_get(&group->held_times, &median, &p99);
		b->add_kv(b, "held-median-us", "%u", median);
		b->add_kv(b, "held-p99-us", "%u", p99);
		add_u64(b, "held-expired", group->n.held_expired);
		add_u64(b, "records", group->n.records);
		add_u64(b, "imported", group->n.imported);
		add_u64(b, "updated", group->n.updated);
		add_u64(b, "stale", group->n.stale);
		add_u64(b, "failed", group->n.failed);
		add_u64(b, "deleted", group->n.deleted);
		add_u64(b, "purged", group->n.purged);
		add_u64(b, "resent", group->n.resent);
		b->add_kv(b, "message-id-sync", "%N", mcipsec_sync_names, group->sync);
		add_u64(b, "synced", group->n.synced);
		add_u64(b, "sync-failed", group->n.sync_failed);
		add_u64(b, "followed", group->n.followed);
		b->end_section(b);
	}
	enumerator->destroy(enumerator);
	this->table->lock->unlock(this->table->lock);
	return b->finalize(b);
}

CALLBACK(conn, vici_message_t*,
	private_mcipsec_vici_t *this, char *name, u_int client,
	vici_message_t *request)
{
	return mcipsec_conn(request);
}

/**
 * Register or unregister the commands
 */
static void manage_commands(private_mcipsec_vici_t *this, bool reg)
{
	struct {
		char *name;
		vici_command_cb_t cb;
	} commands[] = {
		{ "mcipsec-version",		version			},
		{ "mcipsec-group",			group			},
		{ "mcipsec-group-remove",	group_remove	},
		{ "mcipsec-import",			import			},
		{ "mcipsec-delete",			delete_			},
		{ "mcipsec-purge",			purge			},
		{ "mcipsec-ack",			ack				},
		{ "mcipsec-snapshot",		snapshot		},
		{ "mcipsec-rekey",			rekey			},
		{ "mcipsec-status",			status			},
		{ "mcipsec-conn",			conn			},
	};
	int i;

	for (i = 0; i < countof(commands); i++)
	{
		this->dispatcher->manage_command(this->dispatcher, commands[i].name,
										 reg ? commands[i].cb : NULL, this);
	}
}

METHOD(mcipsec_vici_t, destroy, void,
	private_mcipsec_vici_t *this)
{
	manage_commands(this, FALSE);
	this->serial->destroy(this->serial);
	free(this);
}

/*
 * Described in header
 */
mcipsec_vici_t *mcipsec_vici_create(vici_dispatcher_t *dispatcher,
					mcipsec_table_t *table, mcipsec_event_t *event,
					mcipsec_announce_t *announce, mcipsec_gate_t *gate,
					mcipsec_group_t *group, mcipsec_import_t *import)
{
	private_mcipsec_vici_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.dispatcher = dispatcher,
		.table = table,
		.event = event,
		.announce = announce,
		.gate = gate,
		.group = group,
		.import = import,
		.serial = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	manage_commands(this, TRUE);

	return &this->public;
}
