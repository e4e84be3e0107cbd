/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_collect: from charon's objects to records, see mcipsec_collect.h.
 */

#include "mcipsec_collect.h"
#include "mcipsec_policy.h"
#include "mcipsec_swan.h"

/** Conditions that belong to the chassis, not to the IKE_SA */
#define CONDITIONS_LOCAL	(COND_STALE | COND_REAUTHENTICATING | \
							 COND_ONLINE_VALIDATION_SUSPENDED)

static mcipsec_bytes_t bytes(chunk_t chunk)
{
	return (mcipsec_bytes_t){ chunk.ptr, chunk.len };
}

/**
 * Seconds left until a monotonic time, MCIPSEC_NEVER if it is not set
 */
static uint32_t left(time_t when)
{
	time_t now = time_monotonic(NULL);

	if (!when)
	{
		return MCIPSEC_NEVER;
	}
	return when > now ? min(when - now, MCIPSEC_NEVER - 1) : 0;
}

/**
 * Seconds since a monotonic time
 */
static uint32_t age(time_t when)
{
	time_t now = time_monotonic(NULL);

	return when && when < now ? now - when : 0;
}

static mcipsec_endpoint_t endpoint(host_t *host)
{
	chunk_t address = host->get_address(host);
	mcipsec_endpoint_t out = { .port = host->get_port(host) };

	if (address.len <= sizeof(out.addr))
	{
		memcpy(out.addr, address.ptr, address.len);
		out.addr_len = address.len;
	}
	return out;
}

static void add_hosts(mcipsec_list_t *list, enumerator_t *hosts)
{
	chunk_t address;
	host_t *host;

	while (hosts->enumerate(hosts, &host))
	{
		address = host->get_address(host);
		mcipsec_list_add(list, address.ptr, address.len);
	}
	hosts->destroy(hosts);
}

static void add_packets(mcipsec_list_t *list, array_t *packets)
{
	chunk_t *packet;
	int i;

	for (i = 0; i < array_count(packets); i++)
	{
		array_get(packets, i, &packet);
		mcipsec_list_add(list, packet->ptr, packet->len);
	}
}

/**
 * Identity with its type before the encoding, owned by the caller
 */
static chunk_t identity(identification_t *id)
{
	uint8_t type = id->get_type(id);

	return chunk_cat("cc", chunk_from_thing(type), id->get_encoding(id));
}

/**
 * Traffic selector as type, protocol, ports, first and last address, owned
 */
static chunk_t selector(traffic_selector_t *ts)
{
	uint8_t head[6];

	head[0] = ts->get_type(ts);
	head[1] = ts->get_protocol(ts);
	htoun16(head + 2, ts->get_from_port(ts));
	htoun16(head + 4, ts->get_to_port(ts));
	return chunk_cat("ccc", chunk_from_thing(head), ts->get_from_address(ts),
					 ts->get_to_address(ts));
}

static void algorithms(proposal_t *proposal, uint16_t *encr, uint16_t *encr_len,
					   uint16_t *integ, uint16_t *ke)
{
	if (!proposal)
	{
		return;
	}
	proposal->get_algorithm(proposal, ENCRYPTION_ALGORITHM, encr, encr_len);
	proposal->get_algorithm(proposal, INTEGRITY_ALGORITHM, integ, NULL);
	proposal->get_algorithm(proposal, KEY_EXCHANGE_METHOD, ke, NULL);
}

/**
 * State in which the other chassis has to take the IKE_SA up
 */
static uint8_t ike_state(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry)
{
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_PASSIVE:
			return entry->state;
		case IKE_REKEYED:
			return MCIPSEC_IKE_REKEYED;
		case IKE_DELETING:
			return MCIPSEC_IKE_DELETING;
		default:
			return MCIPSEC_IKE_ESTABLISHED;
	}
}

char *mcipsec_collect_underivable(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry)
{
	if (entry->more_kes)
	{
		return "was made by more than one key exchange (RFC 9370)";
	}
	if (ike_sa->has_condition(ike_sa, COND_PPK) && !entry->rekeyed &&
		!entry->ppk_id.len)
	{
		return "uses an unknown postquantum pre-shared key";
	}
	return NULL;
}

mcipsec_buf_t mcipsec_collect_ike(ike_sa_t *ike_sa, mcipsec_ike_entry_t *entry,
								  uint32_t mid_in, size_t *static_len)
{
	identification_t *other_id, *eap_id;
	chunk_t local_id, remote_id, eap = chunk_empty;
	mcipsec_ike_record_t *record;
	mcipsec_buf_t buf;
	proposal_t *proposal;
	int i;

	INIT(record,
		.spi_i = { entry->key, 8 },
		.spi_r = { entry->key + 8, 8 },
		.initiator = ike_sa->get_id(ike_sa)->is_initiator(
												ike_sa->get_id(ike_sa)),
		.state = ike_state(ike_sa, entry),
		.nonce_i = bytes(entry->nonce_i),
		.nonce_r = bytes(entry->nonce_r),
		.secret = bytes(entry->secret),
		.rekeyed = entry->rekeyed,
		.mid_in = mid_in,
		.mid_out = ike_sa->get_message_id(ike_sa, TRUE),
		.local = endpoint(ike_sa->get_my_host(ike_sa)),
		.remote = endpoint(ike_sa->get_other_host(ike_sa)),
		.age = age(ike_sa->get_statistic(ike_sa, STAT_ESTABLISHED)),
		.rekey = left(ike_sa->get_statistic(ike_sa, STAT_REKEY)),
		.reauth = left(ike_sa->get_statistic(ike_sa, STAT_REAUTH)),
		.lifetime = left(ike_sa->get_statistic(ike_sa, STAT_DELETE)),
	);
	if (entry->rekeyed)
	{
		record->old_spi_i = (mcipsec_bytes_t){ entry->old_key, 8 };
		record->old_spi_r = (mcipsec_bytes_t){ entry->old_key + 8, 8 };
		record->old_skd = bytes(entry->old_skd);
		record->old_prf = entry->old_prf;
	}
	proposal = ike_sa->get_proposal(ike_sa);
	algorithms(proposal, &record->encr, &record->encr_len, &record->integ,
			   &record->ke);
	if (proposal)
	{
		proposal->get_algorithm(proposal, PSEUDO_RANDOM_FUNCTION, &record->prf,
								NULL);
	}
	if (entry->response_mid + 1 == mid_in)
	{
		add_packets(&record->response, entry->response);
	}
	if (entry->request_mid == record->mid_out && entry->request)
	{
		add_packets(&record->request, entry->request);
		record->request_type = entry->request_type;
		record->request_proto = entry->request_proto;
		record->request_spi = entry->request_spi;
	}
	for (i = 0; i < sizeof(ike_extension_t) * 8 - 1; i++)
	{
		if (ike_sa->supports_extension(ike_sa, 1 << i))
		{
			record->extensions |= 1ULL << i;
		}
		if (ike_sa->has_condition(ike_sa, 1 << i))
		{
			record->conditions |= 1ULL << i;
		}
	}
	record->conditions &= ~(uint64_t)CONDITIONS_LOCAL;
	add_hosts(&record->local_vips,
			  ike_sa->create_virtual_ip_enumerator(ike_sa, TRUE));
	add_hosts(&record->remote_vips,
			  ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE));
	add_hosts(&record->peer_addresses,
			  ike_sa->create_peer_address_enumerator(ike_sa));

	if (ike_sa->has_condition(ike_sa, COND_PPK) && !entry->rekeyed)
	{	/* what a rekey made depends on it through the old SK_d only */
		record->ppk_id = bytes(entry->ppk_id);
	}

	local_id = identity(ike_sa->get_my_id(ike_sa));
	other_id = ike_sa->get_other_id(ike_sa);
	remote_id = identity(other_id);
	eap_id = ike_sa->get_other_eap_id(ike_sa);
	if (!eap_id->equals(eap_id, other_id))
	{
		eap = identity(eap_id);
	}
	record->local_id = bytes(local_id);
	record->remote_id = bytes(remote_id);
	record->eap_id = bytes(eap);

	buf = mcipsec_ike_record_encode(record, static_len);
	if (mcipsec_collect_underivable(ike_sa, entry))
	{
		mcipsec_buf_wipe(&buf);
		buf.failed = TRUE;
	}
	else if (buf.failed && record->response.count)
	{	/* a huge response is the likely reason; do without repeating it */
		DBG1(DBG_CFG, "mcipsec: last response is too large for a record");
		record->response = (mcipsec_list_t){};
		buf = mcipsec_ike_record_encode(record, static_len);
	}
	chunk_free(&local_id);
	chunk_free(&remote_id);
	chunk_free(&eap);
	free(record);
	return buf;
}

bool mcipsec_collect_wanted(child_sa_t *child_sa)
{
	if (child_sa->get_label(child_sa))
	{	/* a record has no security label */
		return FALSE;
	}
	switch (child_sa->get_state(child_sa))
	{
		case CHILD_INSTALLED:
		case CHILD_UPDATING:
		case CHILD_REKEYING:
		case CHILD_REKEYED:
		case CHILD_DELETING:
			return TRUE;
		default:
			return FALSE;
	}
}

mcipsec_buf_t mcipsec_collect_child(child_sa_t *child_sa,
							mcipsec_child_entry_t *entry, size_t *static_len)
{
	mcipsec_child_record_t *record;
	traffic_selector_t *ts;
	enumerator_t *enumerator;
	chunk_t selectors[2 * MCIPSEC_LIST_MAX];
	mcipsec_list_t *list;
	proposal_t *proposal;
	mcipsec_buf_t buf;
	chunk_t kes;
	u_int outbound;
	int i, n = 0;

	INIT(record,
		.protocol = child_sa->get_protocol(child_sa),
		.mode = child_sa->get_mode(child_sa),
		.ipcomp = child_sa->get_ipcomp(child_sa),
		.state = MCIPSEC_CHILD_INSTALLED,
		.encap = child_sa->has_encap(child_sa),
		.initiator = entry->initiator,
		.spi_in = ntohl(child_sa->get_spi(child_sa, TRUE)),
		.spi_out = ntohl(child_sa->get_spi(child_sa, FALSE)),
		.rekey_spi = ntohl(mcipsec_swan_get_rekey_spi(child_sa)),
		.cpi_in = child_sa->get_cpi(child_sa, TRUE),
		.cpi_out = child_sa->get_cpi(child_sa, FALSE),
		.encr_i = bytes(entry->encr_i),
		.encr_r = bytes(entry->encr_r),
		.integ_i = bytes(entry->integ_i),
		.integ_r = bytes(entry->integ_r),
		.mark_in = child_sa->get_mark(child_sa, TRUE).value,
		.mark_in_mask = child_sa->get_mark(child_sa, TRUE).mask,
		.mark_out = child_sa->get_mark(child_sa, FALSE).value,
		.mark_out_mask = child_sa->get_mark(child_sa, FALSE).mask,
		.if_id_in = child_sa->get_if_id(child_sa, TRUE),
		.if_id_out = child_sa->get_if_id(child_sa, FALSE),
	);
	switch (child_sa->get_state(child_sa))
	{
		case CHILD_REKEYED:
			record->state = MCIPSEC_CHILD_REKEYED;
			break;
		case CHILD_DELETING:
			record->state = MCIPSEC_CHILD_DELETING;
			break;
		default:
			break;
	}
	outbound = child_sa->get_outbound_state(child_sa);
	if (!(outbound & CHILD_OUTBOUND_SA))
	{
		record->outbound = outbound & CHILD_OUTBOUND_REGISTERED ?
						MCIPSEC_OUTBOUND_REGISTERED : MCIPSEC_OUTBOUND_REMOVED;
	}
	else if (!(outbound & CHILD_OUTBOUND_POLICIES))
	{
		record->outbound = MCIPSEC_OUTBOUND_REGISTERED;
	}
	proposal = child_sa->get_proposal(child_sa);
	algorithms(proposal, &record->encr, &record->encr_len, &record->integ,
			   &record->ke);
	if (proposal)
	{
		proposal->get_algorithm(proposal, EXTENDED_SEQUENCE_NUMBERS,
								&record->esn, NULL);
	}
	if (entry->installed)
	{
		record->age = age(entry->installed);
		record->rekey = left(entry->rekey);
		record->lifetime = left(entry->expire);
	}
	else
	{
		record->age = age(child_sa->get_installtime(child_sa));
		record->rekey = left(child_sa->get_lifetime(child_sa, FALSE));
		record->lifetime = left(child_sa->get_lifetime(child_sa, TRUE));
	}
	for (i = 0; i < 2; i++)
	{
		enumerator = child_sa->create_ts_enumerator(child_sa, i == 0);
		list = i == 0 ? &record->local_ts : &record->remote_ts;
		while (!list->overflow && enumerator->enumerate(enumerator, &ts))
		{
			chunk_t value = selector(ts);

			if (mcipsec_list_add(list, value.ptr, value.len))
			{
				selectors[n++] = value;
			}
			else
			{
				chunk_free(&value);
			}
		}
		enumerator->destroy(enumerator);
	}

	kes = mcipsec_policy_kes(child_sa);
	record->kes = bytes(kes);
	buf = mcipsec_child_record_encode(record, static_len);
	chunk_free(&kes);
	while (n--)
	{
		chunk_free(&selectors[n]);
	}
	memwipe(record, sizeof(*record));
	free(record);
	return buf;
}

/**
 * Add an algorithm by name, with its key length
 */
static void add_algorithm(vici_builder_t *b, char *name, proposal_t *proposal,
						  transform_type_t type, enum_name_t *names)
{
	uint16_t alg, len = 0;

	if (!proposal || !proposal->get_algorithm(proposal, type, &alg, &len) ||
		!alg)
	{
		b->add_kv(b, name, "");
	}
	else if (len)
	{
		b->add_kv(b, name, "%N_%u", names, alg, len);
	}
	else
	{
		b->add_kv(b, name, "%N", names, alg);
	}
}

static void add_left(vici_builder_t *b, char *name, time_t when)
{
	if (when)
	{
		b->add_kv(b, name, "%u", left(when));
	}
	else
	{
		b->add_kv(b, name, "");
	}
}

void mcipsec_collect_ike_info(vici_builder_t *b, ike_sa_t *ike_sa,
							  mcipsec_ike_entry_t *entry)
{
	proposal_t *proposal = ike_sa->get_proposal(ike_sa);
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	linked_list_t *vips;

	b->add_kv(b, "local", "%H[%u]", ike_sa->get_my_host(ike_sa),
			  ike_sa->get_my_host(ike_sa)->get_port(
											ike_sa->get_my_host(ike_sa)));
	b->add_kv(b, "remote", "%H[%u]", ike_sa->get_other_host(ike_sa),
			  ike_sa->get_other_host(ike_sa)->get_port(
											ike_sa->get_other_host(ike_sa)));
	b->add_kv(b, "local-id", "%Y", ike_sa->get_my_id(ike_sa));
	b->add_kv(b, "remote-id", "%Y", ike_sa->get_other_id(ike_sa));
	b->add_kv(b, "remote-eap-id", "%Y", ike_sa->get_other_eap_id(ike_sa));
	b->add_kv(b, "initiator", id->is_initiator(id) ? "yes" : "no");
	b->add_kv(b, "state", "%N", ike_sa_state_names, ike_sa->get_state(ike_sa));
	add_algorithm(b, "encr", proposal, ENCRYPTION_ALGORITHM,
				  encryption_algorithm_names);
	add_algorithm(b, "integ", proposal, INTEGRITY_ALGORITHM,
				  integrity_algorithm_names);
	add_algorithm(b, "prf", proposal, PSEUDO_RANDOM_FUNCTION,
				  pseudo_random_function_names);
	add_algorithm(b, "ke", proposal, KEY_EXCHANGE_METHOD,
				  key_exchange_method_names);
	b->add_kv(b, "established", "%u",
			  age(ike_sa->get_statistic(ike_sa, STAT_ESTABLISHED)));
	add_left(b, "rekey", ike_sa->get_statistic(ike_sa, STAT_REKEY));
	add_left(b, "lifetime", ike_sa->get_statistic(ike_sa, STAT_DELETE));
	vips = linked_list_create_from_enumerator(
						ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE));
	b->begin_list(b, "vips");
	while (vips->get_count(vips))
	{
		host_t *vip;

		vips->remove_first(vips, (void**)&vip);
		b->add_li(b, "%H", vip);
	}
	b->end_list(b);
	vips->destroy(vips);
	b->add_kv(b, "mid-in", "%u", ike_sa->get_message_id(ike_sa, FALSE));
	b->add_kv(b, "mid-out", "%u", ike_sa->get_message_id(ike_sa, TRUE));
	b->add_kv(b, "message-id-sync", ike_sa->supports_extension(ike_sa,
									EXT_IKE_MESSAGE_ID_SYNC) ? "yes" : "no");
	if (entry->proposed_proto != PROTO_NONE)
	{
		b->add_kv(b, "proposed", "%s-%.8x",
				  entry->proposed_proto == PROTO_AH ? "ah" : "esp",
				  entry->proposed_spi);
	}
}

static void add_selectors(vici_builder_t *b, char *name, child_sa_t *child_sa,
						  bool local)
{
	enumerator_t *enumerator;
	traffic_selector_t *ts;

	b->begin_list(b, name);
	enumerator = child_sa->create_ts_enumerator(child_sa, local);
	while (enumerator->enumerate(enumerator, &ts))
	{
		b->add_li(b, "%R", ts);
	}
	enumerator->destroy(enumerator);
	b->end_list(b);
}

void mcipsec_collect_child_info(vici_builder_t *b, ike_sa_t *ike_sa,
						child_sa_t *child_sa, mcipsec_child_entry_t *entry)
{
	proposal_t *proposal = child_sa->get_proposal(child_sa);
	uint16_t esn = NO_EXT_SEQ_NUMBERS;
	mark_t mark;

	if (proposal)
	{
		proposal->get_algorithm(proposal, EXTENDED_SEQUENCE_NUMBERS, &esn, NULL);
	}
	b->add_kv(b, "spi-in", "%.8x", ntohl(child_sa->get_spi(child_sa, TRUE)));
	b->add_kv(b, "spi-out", "%.8x", ntohl(child_sa->get_spi(child_sa, FALSE)));
	b->add_kv(b, "protocol", child_sa->get_protocol(child_sa) == PROTO_AH ?
			  "ah" : "esp");
	switch (child_sa->get_mode(child_sa))
	{
		case MODE_TRANSPORT:
			b->add_kv(b, "mode", "transport");
			break;
		case MODE_BEET:
			b->add_kv(b, "mode", "beet");
			break;
		default:
			b->add_kv(b, "mode", "tunnel");
			break;
	}
	b->add_kv(b, "encap", child_sa->has_encap(child_sa) ? "yes" : "no");
	b->add_kv(b, "reqid", "%u", child_sa->get_reqid(child_sa));
	mark = child_sa->get_mark(child_sa, TRUE);
	b->add_kv(b, "mark-in", "%u/%u", mark.value, mark.mask);
	mark = child_sa->get_mark(child_sa, FALSE);
	b->add_kv(b, "mark-out", "%u/%u", mark.value, mark.mask);
	b->add_kv(b, "if-id-in", "%u", child_sa->get_if_id(child_sa, TRUE));
	b->add_kv(b, "if-id-out", "%u", child_sa->get_if_id(child_sa, FALSE));
	add_algorithm(b, "encr", proposal, ENCRYPTION_ALGORITHM,
				  encryption_algorithm_names);
	add_algorithm(b, "integ", proposal, INTEGRITY_ALGORITHM,
				  integrity_algorithm_names);
	add_algorithm(b, "ke", proposal, KEY_EXCHANGE_METHOD,
				  key_exchange_method_names);
	b->add_kv(b, "esn", esn == EXT_SEQ_NUMBERS ? "yes" : "no");
	b->add_kv(b, "local", "%H", ike_sa->get_my_host(ike_sa));
	b->add_kv(b, "remote", "%H", ike_sa->get_other_host(ike_sa));
	add_selectors(b, "local-ts", child_sa, TRUE);
	add_selectors(b, "remote-ts", child_sa, FALSE);
	b->add_kv(b, "state", "%N", child_sa_state_names,
			  child_sa->get_state(child_sa));
	b->add_kv(b, "installed", "%u", age(entry->installed ?:
									child_sa->get_installtime(child_sa)));
	add_left(b, "rekey", entry->installed ? entry->rekey :
								child_sa->get_lifetime(child_sa, FALSE));
	add_left(b, "lifetime", entry->installed ? entry->expire :
								child_sa->get_lifetime(child_sa, TRUE));
}
