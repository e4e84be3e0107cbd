/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_event: events on the vici socket, see mcipsec_event.h and
 * Documentation/vici-mcipsec.rst.
 */

#include "mcipsec_event.h"

#include <inttypes.h>
#include <stdarg.h>

typedef struct private_mcipsec_event_t private_mcipsec_event_t;

/**
 * Private data of the event source.
 */
struct private_mcipsec_event_t {

	/**
	 * Public interface.
	 */
	mcipsec_event_t public;

	/**
	 * charon's vici dispatcher
	 */
	vici_dispatcher_t *dispatcher;

	/**
	 * Table, for the epoch
	 */
	mcipsec_table_t *table;
};

void mcipsec_add_hex(vici_builder_t *b, char *name, chunk_t value)
{
	chunk_t hex = chunk_to_hex(value, NULL, FALSE);

	b->add_kv(b, name, "%s", hex.len ? (char*)hex.ptr : "");
	chunk_free(&hex);
}

METHOD(mcipsec_event_t, has_listeners, bool,
	private_mcipsec_event_t *this)
{
	return this->dispatcher->has_event_listeners(this->dispatcher,
												 MCIPSEC_EVENT_RECORD);
}

/**
 * Append a key/value of the top level to an encoded message; the copy can be
 * wiped, which the buffers of a builder can not.
 */
static chunk_t append_blob(chunk_t encoding, char *name, chunk_t value)
{
	chunk_t out = chunk_alloc(encoding.len + 1 + 1 + strlen(name) + 2 +
							  value.len);
	u_char *pos = out.ptr;

	memcpy(pos, encoding.ptr, encoding.len);
	pos += encoding.len;
	*pos++ = VICI_KEY_VALUE;
	*pos++ = strlen(name);
	memcpy(pos, name, strlen(name));
	pos += strlen(name);
	htoun16(pos, value.len);
	pos += 2;
	if (value.len)
	{
		memcpy(pos, value.ptr, value.len);
	}
	return out;
}

METHOD(mcipsec_event_t, record_, void,
	private_mcipsec_event_t *this, mcipsec_event_record_t *record)
{
	vici_message_t *message;
	vici_builder_t *b;
	chunk_t encoding;

	b = vici_builder_create();
	b->add_kv(b, "epoch", "%016" PRIx64, this->table->epoch);
	b->add_kv(b, "seq", "%" PRIu64, record->seq);
	b->add_kv(b, "op", record->delete ? "delete" : "upsert");
	if (record->local)
	{
		b->add_kv(b, "local", "yes");
	}
	if (record->snapshot)
	{
		b->add_kv(b, "snapshot", "yes");
	}
	b->add_kv(b, "kind", record->kind == MCIPSEC_KIND_IKE ? "ike" : "child");
	b->add_kv(b, "group", "%u", record->group);
	mcipsec_add_hex(b, "key", record->key);
	mcipsec_add_hex(b, "parent", record->parent);
	mcipsec_add_hex(b, "lineage", record->lineage);
	b->add_kv(b, "version", "%" PRIu64, record->version);
	b->add_kv(b, "name", "%s", record->name);
	if (record->unfit)
	{
		b->add_kv(b, "unfit", "%s", record->unfit);
	}
	if (!record->delete && record->info)
	{
		b->begin_section(b, "info");
		record->info(b, record->user);
		b->end_section(b);
	}
	message = b->finalize(b);
	if (!message)
	{
		return;
	}
	if (record->delete)
	{
		this->dispatcher->raise_event(this->dispatcher, MCIPSEC_EVENT_RECORD,
									  0, message);
		return;
	}
	encoding = append_blob(message->get_encoding(message), "data",
						   record->data);
	message->destroy(message);
	message = vici_message_create_from_data(encoding, FALSE);
	this->dispatcher->raise_event(this->dispatcher, MCIPSEC_EVENT_RECORD, 0,
								  message);
	chunk_clear(&encoding);
}

METHOD(mcipsec_event_t, log_, void,
	private_mcipsec_event_t *this, uint32_t group, char *what,
	ike_sa_t *ike_sa, child_sa_t *child_sa, char *fmt, ...)
{
	uint8_t key[MCIPSEC_KEY_IKE], child[MCIPSEC_KEY_CHILD];
	proposal_t *proposal;
	vici_builder_t *b;
	va_list args;

	if (!this->dispatcher->has_event_listeners(this->dispatcher,
											   MCIPSEC_EVENT_LOG))
	{
		return;
	}
	proposal = child_sa ? child_sa->get_proposal(child_sa)
						: ike_sa->get_proposal(ike_sa);
	b = vici_builder_create();
	b->add_kv(b, "group", "%u", group);
	b->add_kv(b, "what", "%s", what);
	b->add_kv(b, "name", "%s", ike_sa->get_name(ike_sa));
	mcipsec_ike_key(ike_sa->get_id(ike_sa), key);
	mcipsec_add_hex(b, "ike", chunk_from_thing(key));
	if (child_sa)
	{
		mcipsec_child_key(child_sa->get_protocol(child_sa),
						  child_sa->get_spi(child_sa, TRUE), child);
		mcipsec_add_hex(b, "child", chunk_from_thing(child));
	}
	b->add_kv(b, "local", "%H", ike_sa->get_my_host(ike_sa));
	b->add_kv(b, "remote", "%H", ike_sa->get_other_host(ike_sa));
	b->add_kv(b, "remote-id", "%Y", ike_sa->get_other_id(ike_sa));
	if (proposal)
	{
		b->add_kv(b, "algorithms", "%P", proposal);
	}
	va_start(args, fmt);
	b->vadd_kv(b, "text", fmt, args);
	va_end(args);
	this->dispatcher->raise_event(this->dispatcher, MCIPSEC_EVENT_LOG, 0,
								  b->finalize(b));
}

METHOD(mcipsec_event_t, expired, void,
	private_mcipsec_event_t *this, uint32_t group, uint64_t seq, chunk_t ike,
	u_int count)
{
	vici_builder_t *b;

	if (!this->dispatcher->has_event_listeners(this->dispatcher,
											   MCIPSEC_EVENT_EXPIRED))
	{
		return;
	}
	b = vici_builder_create();
	b->add_kv(b, "group", "%u", group);
	b->add_kv(b, "epoch", "%016" PRIx64, this->table->epoch);
	b->add_kv(b, "seq", "%" PRIu64, seq);
	mcipsec_add_hex(b, "ike", ike);
	b->add_kv(b, "count", "%u", count);
	this->dispatcher->raise_event(this->dispatcher, MCIPSEC_EVENT_EXPIRED, 0,
								  b->finalize(b));
}

METHOD(mcipsec_event_t, destroy, void,
	private_mcipsec_event_t *this)
{
	this->dispatcher->manage_event(this->dispatcher, MCIPSEC_EVENT_RECORD,
								   FALSE);
	this->dispatcher->manage_event(this->dispatcher, MCIPSEC_EVENT_LOG, FALSE);
	this->dispatcher->manage_event(this->dispatcher, MCIPSEC_EVENT_EXPIRED,
								   FALSE);
	free(this);
}

/*
 * Described in header
 */
mcipsec_event_t *mcipsec_event_create(vici_dispatcher_t *dispatcher,
									  mcipsec_table_t *table)
{
	private_mcipsec_event_t *this;

	INIT(this,
		.public = {
			.has_listeners = _has_listeners,
			.record = _record_,
			.log = _log_,
			.expired = _expired,
			.destroy = _destroy,
		},
		.dispatcher = dispatcher,
		.table = table,
	);
	dispatcher->manage_event(dispatcher, MCIPSEC_EVENT_RECORD, TRUE);
	dispatcher->manage_event(dispatcher, MCIPSEC_EVENT_LOG, TRUE);
	dispatcher->manage_event(dispatcher, MCIPSEC_EVENT_EXPIRED, TRUE);

	return &this->public;
}
