/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_policy: see mcipsec_policy.h.
 *
 * charon's configurations cannot be cloned, so each setting is read and given to a new
 * one.
 */

#include "mcipsec_policy.h"
#include "mcipsec_swan.h"

/** highest option that is asked for; this version may know fewer */
#define LAST_OPTION	(1 << 15)

static void destroy_proposals(linked_list_t *proposals)
{
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
}

/**
 * Has a proposal this key exchange? One without any has KE_NONE.
 */
static bool has_ke(proposal_t *proposal, uint16_t ke)
{
	enumerator_t *enumerator;
	uint16_t have, size;
	bool any = FALSE, found = FALSE;

	enumerator = proposal->create_enumerator(proposal, KEY_EXCHANGE_METHOD);
	while (!found && enumerator->enumerate(enumerator, &have, &size))
	{
		any = TRUE;
		found = have == ke;
	}
	enumerator->destroy(enumerator);
	return found || (!any && ke == KE_NONE);
}

/**
 * Append a key exchange that is not there yet
 */
static void add_ke(chunk_t *kes, uint16_t ke)
{
	size_t i;

	for (i = 0; i + 2 <= kes->len; i += 2)
	{
		if (untoh16(kes->ptr + i) == ke)
		{
			return;
		}
	}
	*kes = chunk_cat("mc", *kes, chunk_from_thing(ke));
	htoun16(kes->ptr + kes->len - 2, ke);
}

/**
 * Append those of a proposal
 */
static void add_kes(chunk_t *kes, proposal_t *proposal)
{
	enumerator_t *enumerator;
	uint16_t ke, size;
	bool any = FALSE;

	enumerator = proposal->create_enumerator(proposal, KEY_EXCHANGE_METHOD);
	while (enumerator->enumerate(enumerator, &ke, &size))
	{
		any = TRUE;
		add_ke(kes, ke);
	}
	enumerator->destroy(enumerator);
	if (!any)
	{
		add_ke(kes, KE_NONE);
	}
}

/**
 * Key exchanges of the proposals that have these algorithms
 */
static chunk_t kes_of(child_cfg_t *config, proposal_t *negotiated)
{
	linked_list_t *proposals = config->get_proposals(config, FALSE);
	enumerator_t *enumerator;
	proposal_t *proposal;
	chunk_t kes = chunk_empty;

	enumerator = proposals->create_enumerator(proposals);
	while (enumerator->enumerate(enumerator, &proposal))
	{
		if (proposal->matches(proposal, negotiated, PROPOSAL_SKIP_KE))
		{
			add_kes(&kes, proposal);
		}
	}
	enumerator->destroy(enumerator);
	destroy_proposals(proposals);
	return kes;
}

/*
 * Described in header
 */
chunk_t mcipsec_policy_kes(child_sa_t *child_sa)
{
	proposal_t *negotiated = child_sa->get_proposal(child_sa);

	return negotiated ? kes_of(child_sa->get_config(child_sa), negotiated)
					  : chunk_empty;
}

/**
 * Would a rekey propose this: the algorithms, with each of the key exchanges?
 */
static bool proposes(child_cfg_t *config, proposal_t *negotiated, chunk_t kes)
{
	chunk_t have = kes_of(config, negotiated);
	size_t had = have.len, i;
	bool same;

	if (!had)
	{
		return FALSE;
	}
	if (negotiated->get_algorithm(negotiated, KEY_EXCHANGE_METHOD, NULL, NULL))
	{
		add_kes(&have, negotiated);
	}
	for (i = 0; i + 2 <= kes.len; i += 2)
	{
		add_ke(&have, untoh16(kes.ptr + i));
	}
	same = have.len == had;
	chunk_free(&have);
	return same;
}

/**
 * What was negotiated, for a rekey. If nobody tells which key exchange that may have:
 * the one of the IKE_SA, those of the configuration, or none.
 */
static proposal_t *for_rekey(child_cfg_t *config, ike_sa_t *ike_sa,
							 proposal_t *negotiated, chunk_t known)
{
	proposal_t *out = negotiated->clone(negotiated, 0), *proposal;
	chunk_t kes = chunk_clone(known);
	linked_list_t *proposals;
	enumerator_t *enumerator;
	size_t i;

	if (!kes.len && has_ke(negotiated, KE_NONE))
	{
		proposal = ike_sa->get_proposal(ike_sa);
		if (proposal)
		{
			add_kes(&kes, proposal);
		}
		proposals = config->get_proposals(config, FALSE);
		enumerator = proposals->create_enumerator(proposals);
		while (enumerator->enumerate(enumerator, &proposal))
		{
			add_kes(&kes, proposal);
		}
		enumerator->destroy(enumerator);
		destroy_proposals(proposals);
		add_ke(&kes, KE_NONE);
	}
	for (i = 0; i + 2 <= kes.len; i += 2)
	{
		if (!has_ke(out, untoh16(kes.ptr + i)))
		{
			out->add_algorithm(out, KEY_EXCHANGE_METHOD, untoh16(kes.ptr + i), 0);
		}
	}
	chunk_free(&kes);
	return out;
}

/**
 * Another configuration like it
 */
static child_cfg_t *clone_child(child_cfg_t *config)
{
	child_cfg_create_t data = {
		.reqid = config->get_reqid(config),
		.if_id_in = config->get_if_id(config, TRUE),
		.if_id_out = config->get_if_id(config, FALSE),
		.mark_in = config->get_mark(config, TRUE),
		.mark_out = config->get_mark(config, FALSE),
		.set_mark_in = config->get_set_mark(config, TRUE),
		.set_mark_out = config->get_set_mark(config, FALSE),
		.label = config->get_label(config),
		.label_mode = config->get_label_mode(config),
		.mode = config->get_mode(config),
		.tfc = config->get_tfc(config),
		.priority = config->get_manual_prio(config),
		.interface = config->get_interface(config),
		.inactivity = config->get_inactivity(config),
		.start_action = config->get_start_action(config),
		.dpd_action = config->get_dpd_action(config),
		.close_action = config->get_close_action(config),
		.updown = config->get_updown(config),
		.hw_offload = config->get_hw_offload(config),
		.copy_dscp = config->get_copy_dscp(config),
	};
	lifetime_cfg_t *lifetime = config->get_lifetime(config, FALSE);
	lifetime_cfg_t *jitter = config->get_lifetime(config, TRUE);
	linked_list_t *proposals, *selectors;
	traffic_selector_t *ts;
	proposal_t *proposal;
	child_cfg_t *out;
	int option, local;

	/* only where it is to be applied the jitter is told */
	data.lifetime = *lifetime;
	data.lifetime.time.jitter = jitter->time.jitter;
	data.lifetime.bytes.jitter = jitter->bytes.jitter;
	data.lifetime.packets.jitter = jitter->packets.jitter;
	free(lifetime);
	free(jitter);
	for (option = 1; option <= LAST_OPTION; option <<= 1)
	{
		if (config->has_option(config, option))
		{
			data.options |= option;
		}
	}
	out = child_cfg_create(config->get_name(config), &data);
	out->set_replay_window(out, config->get_replay_window(config));
	for (local = 0; local <= 1; local++)
	{
		selectors = config->get_traffic_selectors(config, local, NULL, NULL,
												  FALSE);
		while (selectors->remove_first(selectors, (void**)&ts) == SUCCESS)
		{
			out->add_traffic_selector(out, local, ts);
		}
		selectors->destroy(selectors);
	}
	proposals = config->get_proposals(config, FALSE);
	while (proposals->remove_first(proposals, (void**)&proposal) == SUCCESS)
	{
		out->add_proposal(out, proposal);
	}
	proposals->destroy(proposals);
	return out;
}

/*
 * Described in header
 */
child_cfg_t *mcipsec_policy_child(child_cfg_t *config, ike_sa_t *ike_sa,
								  proposal_t *negotiated, chunk_t kes)
{
	child_cfg_t *out;

	if (proposes(config, negotiated, kes))
	{
		return config->get_ref(config);
	}
	out = clone_child(config);
	out->add_proposal(out, for_rekey(config, ike_sa, negotiated, kes));
	DBG1(DBG_CFG, "mcipsec: CHILD_SA %s was negotiated by a configuration that is "
		 "not loaded any more, and keeps its algorithms until its ends negotiate "
		 "others", config->get_name(config));
	return out;
}

/**
 * Another configuration like it, with one proposal more
 */
static ike_cfg_t *clone_ike(ike_cfg_t *config, proposal_t *negotiated)
{
	ike_cfg_create_t data = {
		.version = config->get_version(config),
		.local = config->get_my_addr(config),
		.local_port = config->get_my_port(config),
		.remote = config->get_other_addr(config),
		.remote_port = config->get_other_port(config),
		.no_certreq = !config->send_certreq(config),
		.force_encap = config->force_encap(config),
		.fragmentation = config->fragmentation(config),
		.childless = config->childless(config),
		.dscp = config->get_dscp(config),
	};
	linked_list_t *proposals;
	proposal_t *proposal;
	ike_cfg_t *out;

#ifdef MCIPSEC_SWAN_6
	data.ocsp_certreq = config->send_ocsp_certreq(config);
#endif
	out = ike_cfg_create(&data);
	proposals = config->get_proposals(config);
	while (proposals->remove_first(proposals, (void**)&proposal) == SUCCESS)
	{
		out->add_proposal(out, proposal);
	}
	proposals->destroy(proposals);
	out->add_proposal(out, negotiated->clone(negotiated, 0));
	return out;
}

/**
 * Give another connection what is kept in lists: authentication, addresses, pools and
 * the children themselves
 */
static void copy_lists(peer_cfg_t *out, peer_cfg_t *config)
{
	enumerator_t *enumerator;
	child_cfg_t *child;
	auth_cfg_t *auth;
	host_t *vip;
	char *pool;
	int local;

	for (local = 0; local <= 1; local++)
	{
		enumerator = config->create_auth_cfg_enumerator(config, local);
		while (enumerator->enumerate(enumerator, &auth))
		{
			out->add_auth_cfg(out, auth->clone(auth), local);
		}
		enumerator->destroy(enumerator);
	}
	enumerator = config->create_virtual_ip_enumerator(config);
	while (enumerator->enumerate(enumerator, &vip))
	{
		out->add_virtual_ip(out, vip->clone(vip));
	}
	enumerator->destroy(enumerator);
	enumerator = config->create_pool_enumerator(config);
	while (enumerator->enumerate(enumerator, &pool))
	{
		out->add_pool(out, pool);
	}
	enumerator->destroy(enumerator);
	enumerator = config->create_child_cfg_enumerator(config);
	while (enumerator->enumerate(enumerator, &child))
	{
		out->add_child_cfg(out, child->get_ref(child));
	}
	enumerator->destroy(enumerator);
}

/**
 * Another connection like it, with one proposal more
 */
static peer_cfg_t *clone_peer(peer_cfg_t *config, proposal_t *negotiated)
{
	peer_cfg_create_t data = {
		.cert_policy = config->get_cert_policy(config),
		.unique = config->get_unique_policy(config),
		.keyingtries = config->get_keyingtries(config),
		.rekey_time = config->get_rekey_time(config, FALSE),
		.reauth_time = config->get_reauth_time(config, FALSE),
		/* cannot be read; this is its default */
		.jitter_time = config->get_over_time(config),
		.over_time = config->get_over_time(config),
		.no_mobike = !config->use_mobike(config),
		.aggressive = config->use_aggressive(config),
		.push_mode = !config->use_pull_mode(config),
		.dpd = config->get_dpd(config),
		.dpd_timeout = config->get_dpd_timeout(config),
		.if_id_in = config->get_if_id(config, TRUE),
		.if_id_out = config->get_if_id(config, FALSE),
		.ppk_required = config->ppk_required(config),
	};
	identification_t *ppk_id = config->get_ppk_id(config);
	peer_cfg_t *out;

	if (ppk_id)
	{
		data.ppk_id = ppk_id->clone(ppk_id);
	}
#ifdef MCIPSEC_SWAN_6
	data.ocsp_policy = config->get_ocsp_policy(config);
#endif
	out = peer_cfg_create(config->get_name(config),
						  clone_ike(config->get_ike_cfg(config), negotiated), &data);
	copy_lists(out, config);
	return out;
}

/**
 * Would a rekey propose this?
 */
static bool proposes_ike(ike_cfg_t *config, proposal_t *negotiated)
{
	linked_list_t *proposals = config->get_proposals(config);
	enumerator_t *enumerator;
	proposal_t *proposal;
	bool found = FALSE;

	enumerator = proposals->create_enumerator(proposals);
	while (!found && enumerator->enumerate(enumerator, &proposal))
	{
		found = proposal->matches(proposal, negotiated, 0);
	}
	enumerator->destroy(enumerator);
	destroy_proposals(proposals);
	return found;
}

/*
 * Described in header
 */
peer_cfg_t *mcipsec_policy_ike(peer_cfg_t *config, proposal_t *negotiated)
{
	peer_cfg_t *out;

	if (proposes_ike(config->get_ike_cfg(config), negotiated))
	{
		return config;
	}
	out = clone_peer(config, negotiated);
	DBG1(DBG_CFG, "mcipsec: IKE_SA %s was negotiated by a configuration that is not "
		 "loaded any more, and keeps its algorithms until its ends negotiate others",
		 config->get_name(config));
	config->destroy(config);
	return out;
}
