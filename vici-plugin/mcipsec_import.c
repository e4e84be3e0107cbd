/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_import: from records to charon's objects, see mcipsec_import.h.
 */

#include "mcipsec_import.h"
#include "mcipsec_import_child.h"
#include "mcipsec_keys.h"
#include "mcipsec_midsync.h"
#include "mcipsec_policy.h"
#include "mcipsec_swan.h"
#include "mcipsec_vips.h"

ENUM(mcipsec_import_result_names, MCIPSEC_INSTALLED, MCIPSEC_FAILED,
	"installed",
	"await-conf",
	"stale",
	"changed",
	"failed",
);

typedef struct private_mcipsec_import_t private_mcipsec_import_t;

/**
 * Private data of the importer.
 */
struct private_mcipsec_import_t {

	/**
	 * Public interface.
	 */
	mcipsec_import_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;
};

static chunk_t chunk(mcipsec_bytes_t bytes)
{
	return chunk_create((u_char*)bytes.ptr, bytes.len);
}

static host_t *host(const mcipsec_endpoint_t *endpoint)
{
	return host_create_from_chunk(
			endpoint->addr_len == 4 ? AF_INET : AF_INET6,
			chunk_create((u_char*)endpoint->addr, endpoint->addr_len),
			endpoint->port);
}

static identification_t *identity(mcipsec_bytes_t bytes)
{
	if (bytes.len < 1)
	{
		return NULL;
	}
	return identification_create_from_encoding(bytes.ptr[0],
						chunk_create((u_char*)bytes.ptr + 1, bytes.len - 1));
}

/**
 * Monotonic time of seconds from now, 0 if never
 */
static uint32_t when(uint32_t left)
{
	return left == MCIPSEC_NEVER ? 0 : time_monotonic(NULL) + left;
}

/**
 * Proposal with what was negotiated
 */
static proposal_t *create_proposal(mcipsec_ike_record_t *record)
{
	proposal_t *proposal = proposal_create(PROTO_IKE, 0);

	if (record->encr)
	{
		proposal->add_algorithm(proposal, ENCRYPTION_ALGORITHM, record->encr,
								record->encr_len);
	}
	if (record->integ)
	{
		proposal->add_algorithm(proposal, INTEGRITY_ALGORITHM, record->integ, 0);
	}
	proposal->add_algorithm(proposal, PSEUDO_RANDOM_FUNCTION, record->prf, 0);
	proposal->add_algorithm(proposal, KEY_EXCHANGE_METHOD, record->ke, 0);
	return proposal;
}

/**
 * Derive the keys of a new IKE_SA object
 */
static bool derive_keys(ike_sa_t *ike_sa, mcipsec_ike_record_t *record,
						shared_key_t *ppk)
{
	mcipsec_keys_t keys = {
		.secret = chunk(record->secret),
		.nonce_i = chunk(record->nonce_i),
		.nonce_r = chunk(record->nonce_r),
		.old_prf = record->rekeyed ? record->old_prf : PRF_UNDEFINED,
		.old_skd = record->rekeyed ? chunk(record->old_skd) : chunk_empty,
	};
	proposal_t *proposal;
	bool ok;

	proposal = create_proposal(record);
	ok = mcipsec_keys_into(ike_sa->get_keymat(ike_sa), proposal,
						   ike_sa->get_id(ike_sa), &keys) &&
		 (!ppk || mcipsec_keys_mix(ike_sa->get_keymat(ike_sa), ppk));
	if (ok)
	{
		ike_sa->set_proposal(ike_sa, proposal);
	}
	proposal->destroy(proposal);
	return ok;
}

/**
 * Replace the peer's virtual addresses if they differ
 */
static void apply_vips(ike_sa_t *ike_sa, mcipsec_list_t *vips)
{
	enumerator_t *enumerator;
	bool same = TRUE;
	host_t *vip;
	int i = 0;

	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE);
	while (same && enumerator->enumerate(enumerator, &vip))
	{
		same = i < vips->count &&
			   chunk_equals(vip->get_address(vip), chunk(vips->items[i]));
		i++;
	}
	enumerator->destroy(enumerator);
	if (same && i == vips->count)
	{
		return;
	}
	ike_sa->clear_virtual_ips(ike_sa, FALSE);
	for (i = 0; i < vips->count; i++)
	{
		vip = host_create_from_chunk(AF_UNSPEC, chunk(vips->items[i]), 0);
		if (vip)
		{
			ike_sa->add_virtual_ip(ike_sa, FALSE, vip);
			vip->destroy(vip);
		}
	}
}

/**
 * Apply what may change during the life of an IKE_SA. It is PASSIVE.
 */
static void apply_state(ike_sa_t *ike_sa, mcipsec_ike_record_t *record)
{
	ike_condition_t condition;
	host_t *me, *other, *addr;
	int i;

	me = host(&record->local);
	other = host(&record->remote);
	if (me && other && (!me->equals(me, ike_sa->get_my_host(ike_sa)) ||
						!other->equals(other, ike_sa->get_other_host(ike_sa))))
	{
		ike_sa->update_hosts(ike_sa, me, other, UPDATE_HOSTS_FORCE_ADDRS);
	}
	DESTROY_IF(me);
	DESTROY_IF(other);

	/* what a newer charon may have in the bits beyond, this one does not know */
	record->extensions &= MCIPSEC_EXTENSIONS;
	record->conditions &= MCIPSEC_CONDITIONS;
	for (i = 0; i < sizeof(ike_extension_t) * 8 - 1; i++)
	{
		if (record->extensions & 1ULL << i)
		{
			ike_sa->enable_extension(ike_sa, 1 << i);
		}
		condition = 1 << i;
		if (ike_sa->has_condition(ike_sa, condition) !=
			!!(record->conditions & 1ULL << i))
		{
			ike_sa->set_condition(ike_sa, condition,
								  !!(record->conditions & 1ULL << i));
		}
	}
	apply_vips(ike_sa, &record->remote_vips);
	ike_sa->clear_peer_addresses(ike_sa);
	for (i = 0; i < record->peer_addresses.count; i++)
	{
		addr = host_create_from_chunk(AF_UNSPEC,
								chunk(record->peer_addresses.items[i]), 0);
		if (addr)
		{
			ike_sa->add_peer_address(ike_sa, addr);
		}
	}
	if (ike_sa->get_message_id(ike_sa, TRUE) != record->mid_out)
	{
		ike_sa->set_message_id(ike_sa, TRUE, record->mid_out);
	}
	if (ike_sa->get_message_id(ike_sa, FALSE) != record->mid_in)
	{
		ike_sa->set_message_id(ike_sa, FALSE, record->mid_in);
	}
	ike_sa->set_statistic(ike_sa, STAT_ESTABLISHED,
						  time_monotonic(NULL) - (record->age == MCIPSEC_NEVER ?
												  0 : record->age));
	ike_sa->set_statistic(ike_sa, STAT_REKEY, when(record->rekey));
	ike_sa->set_statistic(ike_sa, STAT_REAUTH, when(record->reauth));
	ike_sa->set_statistic(ike_sa, STAT_DELETE, when(record->lifetime));
}

/**
 * Take the children over from the IKE_SA that this one replaced, if it is here
 */
static void inherit(private_mcipsec_import_t *this, ike_sa_t *ike_sa,
					mcipsec_ike_record_t *record,
					const uint8_t key[MCIPSEC_KEY_IKE])
{
	uint8_t old_key[MCIPSEC_KEY_IKE];
	mcipsec_child_entry_t *child;
	mcipsec_ike_entry_t *old;
	enumerator_t *enumerator;
	ike_sa_t *old_sa;

	memcpy(old_key, record->old_spi_i.ptr, record->old_spi_i.len);
	memcpy(old_key + record->old_spi_i.len, record->old_spi_r.ptr,
		   record->old_spi_r.len);
	old_sa = mcipsec_ike_checkout(this->table, old_key);
	if (!old_sa)
	{
		charon->bus->set_sa(charon->bus, ike_sa);
		return;
	}
	ike_sa->inherit_pre(ike_sa, old_sa);
	ike_sa->inherit_post(ike_sa, old_sa);

	this->table->lock->lock(this->table->lock);
	old = this->table->get_ike(this->table, old_key, FALSE);
	if (old)
	{
		old->state = MCIPSEC_IKE_REKEYED;
	}
	enumerator = this->table->create_child_enumerator(this->table);
	while (enumerator->enumerate(enumerator, &child))
	{
		if (memeq(child->parent, old_key, sizeof(old_key)))
		{
			memcpy(child->parent, key, sizeof(child->parent));
		}
	}
	enumerator->destroy(enumerator);
	this->table->lock->unlock(this->table->lock);

	/* kept until its own end is announced, but without children */
	charon->ike_sa_manager->checkin(charon->ike_sa_manager, old_sa);
	charon->bus->set_sa(charon->bus, ike_sa);
}

/**
 * Create a PASSIVE IKE_SA, checked out and registered
 */
static ike_sa_t *create_ike(private_mcipsec_import_t *this,
							mcipsec_ike_record_t *record, peer_cfg_t *peer_cfg,
							shared_key_t *ppk,
							const uint8_t key[MCIPSEC_KEY_IKE])
{
	identification_t *eap_id;
	auth_cfg_t *auth;
	ike_sa_id_t *id;
	ike_sa_t *ike_sa;

	id = mcipsec_ike_id(key, record->initiator);
	ike_sa = ike_sa_create(id, record->initiator, IKEV2);
	id->destroy(id);
	charon->bus->set_sa(charon->bus, ike_sa);

	if (!derive_keys(ike_sa, record, ppk))
	{
		ike_sa->destroy(ike_sa);
		charon->bus->set_sa(charon->bus, NULL);
		return NULL;
	}
	ike_sa->set_state(ike_sa, IKE_CONNECTING);
	ike_sa->set_my_host(ike_sa, host(&record->local));
	ike_sa->set_other_host(ike_sa, host(&record->remote));
	ike_sa->set_peer_cfg(ike_sa, peer_cfg);
	ike_sa->set_state(ike_sa, IKE_PASSIVE);

	/* registered first, so that jobs find it */
	charon->ike_sa_manager->checkout_new(charon->ike_sa_manager, ike_sa);
	if (record->rekeyed)
	{
		inherit(this, ike_sa, record, key);
		/* not what was configured when the old one was imported */
		ike_sa->set_peer_cfg(ike_sa, peer_cfg);
	}
	ike_sa->set_my_id(ike_sa, identity(record->local_id));
	ike_sa->set_other_id(ike_sa, identity(record->remote_id));
	eap_id = identity(record->eap_id);
	if (eap_id)
	{
		auth = auth_cfg_create();
		auth->add(auth, AUTH_RULE_EAP_IDENTITY, eap_id);
		ike_sa->add_auth_cfg(ike_sa, FALSE, auth);
	}
	return ike_sa;
}

static void copy_packets(array_t **packets, mcipsec_list_t *list)
{
	int i;

	mcipsec_packets_clear(packets);
	for (i = 0; i < list->count; i++)
	{
		mcipsec_packets_add(packets, chunk(list->items[i]));
	}
}

/**
 * Remember what a record said of an IKE_SA. Lock held.
 */
static void remember(mcipsec_ike_entry_t *entry,
					 mcipsec_import_request_t *request,
					 mcipsec_ike_record_t *record)
{
	entry->group = request->group;
	entry->initiator = record->initiator;
	entry->published = TRUE;
	entry->need_timers = TRUE;
	entry->version = entry->imported = request->version;
	entry->digest = 0;
	entry->state = record->state;
	memcpy(entry->lineage, request->lineage, sizeof(entry->lineage));

	chunk_clear(&entry->nonce_i);
	chunk_clear(&entry->nonce_r);
	chunk_clear(&entry->secret);
	chunk_clear(&entry->old_skd);
	chunk_free(&entry->ppk_id);
	entry->ppk_id = chunk_clone(chunk(record->ppk_id));
	entry->nonce_i = chunk_clone(chunk(record->nonce_i));
	entry->nonce_r = chunk_clone(chunk(record->nonce_r));
	entry->secret = chunk_clone(chunk(record->secret));
	entry->more_kes = FALSE;
	entry->rekeyed = record->rekeyed;
	if (record->rekeyed)
	{
		memcpy(entry->old_key, record->old_spi_i.ptr, 8);
		memcpy(entry->old_key + 8, record->old_spi_r.ptr, 8);
		entry->old_skd = chunk_clone(chunk(record->old_skd));
		entry->old_prf = record->old_prf;
	}
	copy_packets(&entry->response, &record->response);
	entry->response_mid = record->mid_in - 1;
	entry->response_imported = record->response.count > 0;
	copy_packets(&entry->request, &record->request);
	entry->request_mid = record->mid_out;
	entry->request_type = record->request_type;
	entry->request_proto = record->request_proto;
	entry->request_spi = record->request_spi;
	entry->request_imported = record->request.count > 0;
	entry->proposed_proto = PROTO_NONE;
	mcipsec_midsync_forget(entry);
}

/**
 * Why this charon could not go on with an IKE_SA, static text; NULL if it can.
 * The next rekey would fail for an algorithm that only the other chassis knows.
 */
static char *unknown_algorithm(mcipsec_ike_record_t *record)
{
	prf_t *prf;

	if (!enum_to_name(key_exchange_method_names, record->ke))
	{
		return "its key exchange method is not known to strongSwan " VERSION;
	}
	if (!enum_to_name(encryption_algorithm_names, record->encr))
	{
		return "its encryption is not known to strongSwan " VERSION;
	}
	if (record->integ && !enum_to_name(integrity_algorithm_names, record->integ))
	{
		return "its integrity algorithm is not known to strongSwan " VERSION;
	}
	prf = lib->crypto->create_prf(lib->crypto, record->prf);
	if (!prf)
	{
		return "its pseudorandom function is not known to this charon";
	}
	prf->destroy(prf);
	return NULL;
}

/**
 * Find what the record needs of charon's configuration
 *
 * @param peer_cfg	receives the connection, to be destroyed
 * @param ppk		receives the postquantum pre-shared key, if it names one
 * @param result	receives the result if something is missing
 */
static bool find_config(mcipsec_import_request_t *request,
						mcipsec_ike_record_t *record, peer_cfg_t **peer_cfg,
						shared_key_t **ppk, mcipsec_import_result_t *result)
{
	request->reason = unknown_algorithm(record);
	if (request->reason)
	{
		*result = MCIPSEC_FAILED;
		return FALSE;
	}
	*peer_cfg = charon->backends->get_peer_cfg_by_name(charon->backends,
													   request->name);
	if (!*peer_cfg || (*peer_cfg)->get_ike_version(*peer_cfg) == IKEV1)
	{
		request->reason = "connection is not loaded";
		*result = MCIPSEC_AWAIT_CONF;
		return FALSE;
	}
	if (IF_ID_IS_UNIQUE((*peer_cfg)->get_if_id(*peer_cfg, TRUE)) ||
		IF_ID_IS_UNIQUE((*peer_cfg)->get_if_id(*peer_cfg, FALSE)))
	{	/* charon draws it for each IKE_SA and lets nobody set it */
		request->reason = "if_id %unique of a connection cannot be taken "
						  "over, set it in its children";
		*result = MCIPSEC_FAILED;
		return FALSE;
	}
	if (record->ppk_id.len)
	{
		*ppk = mcipsec_keys_ppk(chunk(record->ppk_id));
		if (!*ppk)
		{
			request->reason = "postquantum pre-shared key is not loaded";
			*result = MCIPSEC_AWAIT_CONF;
			return FALSE;
		}
	}
	return TRUE;
}

bool mcipsec_import_changed(mcipsec_import_request_t *request,
							mcipsec_group_entry_t *group,
							mcipsec_ike_entry_t *ike)
{
	return max(ike ? ike->seq : 0, group->gone) > request->seen;
}

METHOD(mcipsec_import_t, import_ike, mcipsec_import_result_t,
	private_mcipsec_import_t *this, mcipsec_import_request_t *request)
{
	mcipsec_record_status_t status;
	mcipsec_ike_record_t *record;
	mcipsec_ike_entry_t *entry;
	mcipsec_group_entry_t *group;
	mcipsec_import_result_t result = MCIPSEC_FAILED;
	peer_cfg_t *peer_cfg = NULL;
	shared_key_t *ppk = NULL;
	proposal_t *proposal;
	ike_sa_t *ike_sa = NULL;
	bool stale, known, active;

	INIT(record);
	status = mcipsec_ike_record_decode(request->data.ptr, request->data.len,
									   record);
	if (status != MCIPSEC_RECORD_OK)
	{
		request->reason = mcipsec_record_status_text(status);
		goto out;
	}
	if (!memeq(request->key, record->spi_i.ptr, 8) ||
		!memeq(request->key + 8, record->spi_r.ptr, 8))
	{
		request->reason = "key does not match the record";
		goto out;
	}
	this->table->lock->lock(this->table->lock);
	group = this->table->get_group(this->table, request->group, FALSE);
	active = group && group->state == MCIPSEC_ACTIVE;
	entry = this->table->get_ike(this->table, request->key, FALSE);
	known = entry != NULL;
	stale = entry && entry->imported && entry->imported >= request->version;
	if (stale)
	{
		result = entry->imported == request->version ? MCIPSEC_INSTALLED
													 : MCIPSEC_STALE;
		request->reason = "this or a newer version is here";
	}
	else if (active && mcipsec_import_changed(request, group, entry))
	{
		result = MCIPSEC_CHANGED;
		request->reason = "it changed here meanwhile";
	}
	this->table->lock->unlock(this->table->lock);
	if (stale || result == MCIPSEC_CHANGED)
	{
		goto out;
	}
	if (active && known)
	{	/* what is here makes way only for what can take its place */
		if (find_config(request, record, &peer_cfg, &ppk, &result))
		{
			request->active = TRUE;
			request->reason = "the group is active";
		}
		goto out;
	}
	if (known)
	{
		ike_sa = mcipsec_ike_checkout(this->table, request->key);
		if (ike_sa && ike_sa->get_state(ike_sa) != IKE_PASSIVE)
		{
			charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
			request->reason = "the IKE_SA is not passive";
			goto out;
		}
	}
	if (!ike_sa)
	{
		if (!find_config(request, record, &peer_cfg, &ppk, &result))
		{
			goto out;
		}
		proposal = create_proposal(record);
		peer_cfg = mcipsec_policy_ike(peer_cfg, proposal);
		proposal->destroy(proposal);
		ike_sa = create_ike(this, record, peer_cfg, ppk, request->key);
		if (!ike_sa)
		{
			request->reason = "key derivation failed";
			goto out;
		}
	}
	apply_state(ike_sa, record);

	this->table->lock->lock(this->table->lock);
	entry = this->table->get_ike(this->table, request->key, TRUE);
	remember(entry, request, record);
	mcipsec_vips_remember(entry, ike_sa);
	this->table->lock->unlock(this->table->lock);

	charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
	result = MCIPSEC_INSTALLED;

out:
	DESTROY_IF(peer_cfg);
	DESTROY_IF(ppk);
	memwipe(record, sizeof(*record));
	free(record);
	return result;
}

METHOD(mcipsec_import_t, import_child, mcipsec_import_result_t,
	private_mcipsec_import_t *this, mcipsec_import_request_t *request)
{
	return mcipsec_import_child(this->table, request);
}

METHOD(mcipsec_import_t, destroy, void,
	private_mcipsec_import_t *this)
{
	free(this);
}

/*
 * Described in header
 */
mcipsec_import_t *mcipsec_import_create(mcipsec_table_t *table)
{
	private_mcipsec_import_t *this;

	INIT(this,
		.public = {
			.ike = _import_ike,
			.child = _import_child,
			.destroy = _destroy,
		},
		.table = table,
	);

	return &this->public;
}
