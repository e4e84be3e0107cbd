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
 * What the life that lost had with the peer
 */
typedef struct {

	/** next message id, 0 if that is not known */
	uint64_t mid_out;

	/** keys of CHILD_SAs, in hex */
	linked_list_t *strays;
} rival_t;

/**
 * Read what the other chassis has proposed, "esp-0a0b0c0d": protocol and inbound
 * SPI. As the key of that CHILD_SA in hex, NULL if it is not of that form.
 */
static char *parse_proposed(char *str)
{
	char *spi = strchr(str, '-') ?: "", *key = NULL;
	uint8_t buf[MCIPSEC_KEY_CHILD];
	uint32_t value;

	if (*spi && mcipsec_parse_hex(spi + 1, (uint8_t*)&value, sizeof(value)) &&
		(strpfx(str, "esp-") || strpfx(str, "ah-")))
	{
		mcipsec_child_key(strpfx(str, "esp-") ? PROTO_ESP : PROTO_AH, value, buf);
		key = malloc(2 * sizeof(buf) + 1);
		chunk_to_hex(chunk_from_thing(buf), key, FALSE);
	}
	return key;
}

/**
 * Read what is known of the life that lost; what is wrong with it, or NULL
 */
static vici_message_t *parse_rival(vici_message_t *request, rival_t *rival)
{
	uint8_t buf[MCIPSEC_KEY_CHILD];
	enumerator_t *enumerator;
	char *str, *key;
	bool ok = TRUE;

	str = request->get_str(request, NULL, "mid-out");
	if (str && !mcipsec_parse_number(str, UINT32_MAX, &rival->mid_out))
	{
		return mcipsec_refuse("mid-out: a number up to %u is required",
							  UINT32_MAX);
	}
	mcipsec_get_list(request, "strays", rival->strays);
	enumerator = rival->strays->create_enumerator(rival->strays);
	while (ok && enumerator->enumerate(enumerator, &str))
	{
		ok = mcipsec_parse_hex(str, buf, sizeof(buf)) &&
			 (buf[4] == PROTO_ESP || buf[4] == PROTO_AH);
	}
	enumerator->destroy(enumerator);
	if (!ok)
	{
		return mcipsec_refuse("strays: keys of CHILD_SAs are required");
	}
	str = request->get_str(request, NULL, "proposed");
	if (str)
	{
		key = parse_proposed(str);
		if (!key)
		{
			return mcipsec_refuse("proposed: esp- or ah- and an SPI of 8 hex "
								  "digits is required");
		}
		rival->strays->insert_last(rival->strays, key);
	}
	return NULL;
}

/**
 * Have the peer delete what nobody has the keys of, when it may be asked
 *
 * @return			FALSE if there is none of it
 */
static bool delete_strays(private_mcipsec_life_t *this, uint32_t group,
						  ike_sa_t *ike_sa, linked_list_t *strays)
{
	uint8_t key[MCIPSEC_KEY_CHILD];
	enumerator_t *enumerator;
	bool known, any = FALSE;
	uint32_t spi;
	char *str;

	enumerator = strays->create_enumerator(strays);
	while (enumerator->enumerate(enumerator, &str))
	{
		mcipsec_parse_hex(str, key, sizeof(key));
		this->table->lock->lock(this->table->lock);
		known = this->table->get_child(this->table, group, key, FALSE) != NULL;
		this->table->lock->unlock(this->table->lock);
		if (!known)
		{
			memcpy(&spi, key, sizeof(spi));
			DBG1(DBG_IKE, "deleting CHILD_SA with SPI %.8x that only the other "
				 "chassis had", ntohl(spi));
			ike_sa->queue_task(ike_sa,
						mcipsec_spi_delete_create(ike_sa, key[sizeof(spi)], spi));
			any = TRUE;
		}
	}
	enumerator->destroy(enumerator);
	return any;
}

/**
 * Rekey all CHILD_SAs of an IKE_SA: the peer takes them for rekeyed
 */
static void rekey_children(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;

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

/**
 * Go on where the life that lost was with the peer
 */
static mcipsec_rekey_result_t succeed(private_mcipsec_life_t *this, uint32_t id,
									  const uint8_t key[MCIPSEC_KEY_IKE],
									  rival_t *rival)
{
	mcipsec_group_entry_t *group;
	mcipsec_ike_entry_t *entry;
	ike_sa_t *ike_sa;
	bool active, known;

	ike_sa = mcipsec_ike_checkout(this->table, key);
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, id, FALSE);
	entry = this->table->get_ike(this->table, key, FALSE);
	active = group && group->state == MCIPSEC_ACTIVE;
	known = ike_sa && entry && entry->group == id;
	if (active && known)
	{	/* the peer is asked once the IKE_SA is checked in */
		entry->doubt_in = entry->doubt_out = TRUE;
		mcipsec_midsync_doubt(entry);
	}
	this->table->lock->unlock(this->table->lock);
	if (active && known && ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{
		mcipsec_midsync_mid_out(this->table, ike_sa, key, rival->mid_out);
		if (delete_strays(this, id, ike_sa, rival->strays))
		{
			rekey_children(ike_sa);
		}
	}
	if (ike_sa)
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	}
	return !active ? MCIPSEC_REKEY_PASSIVE :
			known ? MCIPSEC_REKEY_QUEUED : MCIPSEC_REKEY_MISSING;
}

CALLBACK(doubt, vici_message_t*,
	private_mcipsec_life_t *this, char *name, u_int client,
	vici_message_t *request)
{
	uint8_t key[MCIPSEC_KEY_IKE];
	mcipsec_rekey_result_t result = MCIPSEC_REKEY_MISSING;
	vici_message_t *refusal;
	rival_t rival = {};
	vici_builder_t *b;
	uint64_t group;

	rival.strays = linked_list_create();
	refusal = parse(request, &group, key) ?: parse_rival(request, &rival);
	if (!refusal)
	{
		result = succeed(this, group, key, &rival);
	}
	rival.strays->destroy_function(rival.strays, free);
	if (refusal)
	{
		return refusal;
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
