/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_life: see mcipsec_life.h.
 *
 * Nothing is asked while another exchange is under way: its answer says the same,
 * and the client is told to come again.
 */

#include "mcipsec_life.h"
#include "mcipsec_group.h"
#include "mcipsec_midsync.h"
#include "mcipsec_resend.h"
#include "mcipsec_task.h"
#include "mcipsec_vici_parse.h"

#include <sa/ikev2/tasks/child_rekey.h>
#include <sa/ikev2/tasks/ike_dpd.h>

#define LIVENESS	"mcipsec-liveness"
#define DOUBT		"mcipsec-doubt"

typedef struct private_mcipsec_life_t private_mcipsec_life_t;

/**
 * Private data.
 */
struct private_mcipsec_life_t {

	/**
	 * Public interface.
	 */
	mcipsec_life_t public;

	/**
	 * charon's vici dispatcher
	 */
	vici_dispatcher_t *dispatcher;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;
};

/**
 * Ask the peer of an IKE_SA; mid receives the message id of the request
 */
static mcipsec_rekey_result_t ask(private_mcipsec_life_t *this, uint32_t id,
								  const uint8_t key[MCIPSEC_KEY_IKE],
								  uint32_t *mid)
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;
	bool active, known, due;

	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	entry = this->table->get_ike(this->table, key, FALSE);
	active = group && group->state == MCIPSEC_ACTIVE;
	known = entry && entry->group == id;
	due = known && entry->sync.due;
	this->table->lock->unlock(this->table->lock);
	if (!active)
	{
		return MCIPSEC_REKEY_PASSIVE;
	}
	ike_sa = known ? mcipsec_ike_checkout(this->table, key) : NULL;
	if (!ike_sa)
	{
		return MCIPSEC_REKEY_MISSING;
	}
	if (due || ike_sa->get_state(ike_sa) != IKE_ESTABLISHED ||
		mcipsec_resend_pending(ike_sa) || mcipsec_task_active(ike_sa))
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return MCIPSEC_REKEY_BUSY;
	}
	*mid = ike_sa->get_message_id(ike_sa, TRUE);
	ike_sa->queue_task(ike_sa, (task_t*)ike_dpd_create(TRUE));
	if (ike_sa->initiate(ike_sa, NULL, NULL) == DESTROY_ME)
	{
		charon->ike_sa_manager->checkin_and_destroy(charon->ike_sa_manager,
													ike_sa);
		return MCIPSEC_REKEY_MISSING;
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	return MCIPSEC_REKEY_QUEUED;
}

/**
 * Whom a command is about; what is wrong with it, or NULL
 */
static vici_message_t *parse(vici_message_t *request, uint64_t *group,
							 uint8_t key[MCIPSEC_KEY_IKE])
{
	if (!mcipsec_parse_number(request->get_str(request, NULL, "group"),
							  UINT32_MAX, group) || !*group)
	{
		return mcipsec_refuse("group: a number from 1 to %u is required",
							  UINT32_MAX);
	}
	if (!mcipsec_parse_hex(request->get_str(request, NULL, "key"), key,
						   MCIPSEC_KEY_IKE))
	{
		return mcipsec_refuse("key: the key of an IKE_SA is required");
	}
	return NULL;
}

/**
 * Read what the other chassis has proposed, "esp-0a0b0c0d": protocol and inbound SPI
 */
static bool parse_proposed(char *str, protocol_id_t *protocol, uint32_t *spi)
{
	if (strpfx(str, "esp-"))
	{
		*protocol = PROTO_ESP;
		return mcipsec_parse_hex(str + strlen("esp-"), (uint8_t*)spi,
								 sizeof(*spi));
	}
	*protocol = PROTO_AH;
	return strpfx(str, "ah-") &&
		   mcipsec_parse_hex(str + strlen("ah-"), (uint8_t*)spi, sizeof(*spi));
}

/**
 * Have the peer delete what it made with the other chassis, when it may be asked, and
 * rekey what it takes for rekeyed since then
 */
static void delete_later(private_mcipsec_life_t *this,
						 const uint8_t key[MCIPSEC_KEY_IKE],
						 protocol_id_t protocol, uint32_t spi)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	ike_sa_t *ike_sa;

	ike_sa = mcipsec_ike_checkout(this->table, key);
	if (!ike_sa)
	{
		return;
	}
	if (ike_sa->get_state(ike_sa) != IKE_PASSIVE &&
		!ike_sa->get_child_sa(ike_sa, protocol, spi, TRUE))
	{
		DBG1(DBG_IKE, "deleting CHILD_SA with SPI %.8x that the other chassis "
			 "has proposed", ntohl(spi));
		ike_sa->queue_task(ike_sa, mcipsec_spi_delete_create(protocol, spi));
		enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
		while (enumerator->enumerate(enumerator, &child_sa))
		{
			if (child_sa->get_state(child_sa) == CHILD_INSTALLED)
			{
				ike_sa->queue_task(ike_sa, (task_t*)child_rekey_create(ike_sa,
									child_sa->get_protocol(child_sa),
									child_sa->get_spi(child_sa, TRUE)));
			}
		}
		enumerator->destroy(enumerator);
	}
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
}

CALLBACK(doubt, vici_message_t*,
	private_mcipsec_life_t *this, char *name, u_int client,
	vici_message_t *request)
{
	mcipsec_rekey_result_t result = MCIPSEC_REKEY_QUEUED;
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	vici_message_t *refusal;
	protocol_id_t protocol = PROTO_NONE;
	vici_builder_t *b;
	char *proposed;
	uint32_t spi = 0;
	uint64_t id;

	refusal = parse(request, &id, key);
	if (refusal)
	{
		return refusal;
	}
	proposed = request->get_str(request, NULL, "proposed");
	if (proposed && !parse_proposed(proposed, &protocol, &spi))
	{
		return mcipsec_refuse("proposed: esp- or ah- and an SPI of 8 hex digits "
							  "is required");
	}
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	entry = this->table->get_ike(this->table, key, FALSE);
	if (!group || group->state != MCIPSEC_ACTIVE)
	{
		result = MCIPSEC_REKEY_PASSIVE;
	}
	else if (!entry || entry->group != id)
	{
		result = MCIPSEC_REKEY_MISSING;
	}
	else
	{
		entry->doubt_in = entry->doubt_out = TRUE;
		mcipsec_midsync_doubt(entry);
	}
	this->table->lock->unlock(this->table->lock);
	if (protocol != PROTO_NONE && result == MCIPSEC_REKEY_QUEUED)
	{
		delete_later(this, key, protocol, spi);
	}

	b = mcipsec_accept();
	b->add_kv(b, "result", "%N", mcipsec_rekey_result_names, result);
	return b->finalize(b);
}

CALLBACK(liveness, vici_message_t*,
	private_mcipsec_life_t *this, char *name, u_int client,
	vici_message_t *request)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_rekey_result_t result;
	vici_message_t *refusal;
	vici_builder_t *b;
	uint64_t group;
	uint32_t mid = 0;

	refusal = parse(request, &group, key);
	if (refusal)
	{
		return refusal;
	}
	result = ask(this, group, key, &mid);

	b = mcipsec_accept();
	b->add_kv(b, "result", "%N", mcipsec_rekey_result_names, result);
	if (result == MCIPSEC_REKEY_QUEUED)
	{
		b->add_kv(b, "mid", "%u", mid);
	}
	return b->finalize(b);
}

METHOD(mcipsec_life_t, destroy, void,
	private_mcipsec_life_t *this)
{
	this->dispatcher->manage_command(this->dispatcher, LIVENESS, NULL, NULL);
	this->dispatcher->manage_command(this->dispatcher, DOUBT, NULL, NULL);
	free(this);
}

/*
 * Described in header
 */
mcipsec_life_t *mcipsec_life_create(vici_dispatcher_t *dispatcher,
									mcipsec_table_t *table)
{
	private_mcipsec_life_t *this;

	INIT(this,
		.public = {
			.destroy = _destroy,
		},
		.dispatcher = dispatcher,
		.table = table,
	);
	dispatcher->manage_command(dispatcher, LIVENESS, liveness, this);
	dispatcher->manage_command(dispatcher, DOUBT, doubt, this);

	return &this->public;
}
