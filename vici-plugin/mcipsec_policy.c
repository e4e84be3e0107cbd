/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_policy: see mcipsec_policy.h.
 *
 * child_cfg_t cannot be cloned, so each setting is read and given to a new one.
 */

#include "mcipsec_policy.h"

/** highest option that is asked for; this version may know fewer */
#define LAST_OPTION	(1 << 15)

/**
 * Does one of the proposals have these algorithms? Key exchanges apart: a CHILD_SA that
 * came with its IKE_SA has none of its own.
 */
static bool proposes(child_cfg_t *config, proposal_t *negotiated)
{
	linked_list_t *proposals = config->get_proposals(config, FALSE);
	enumerator_t *enumerator;
	proposal_t *proposal;
	bool found = FALSE;

	enumerator = proposals->create_enumerator(proposals);
	while (!found && enumerator->enumerate(enumerator, &proposal))
	{
		found = proposal->matches(proposal, negotiated, PROPOSAL_SKIP_KE);
	}
	enumerator->destroy(enumerator);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	return found;
}

/**
 * Add the key exchanges of a proposal that are not there yet
 */
static void add_key_exchanges(proposal_t *to, proposal_t *from)
{
	enumerator_t *enumerator;
	uint16_t ke, size, other;
	bool there;

	enumerator = from->create_enumerator(from, KEY_EXCHANGE_METHOD);
	while (enumerator->enumerate(enumerator, &ke, &size))
	{
		enumerator_t *have = to->create_enumerator(to, KEY_EXCHANGE_METHOD);

		there = FALSE;
		while (have->enumerate(have, &other, &size))
		{
			there = there || other == ke;
		}
		have->destroy(have);
		if (!there)
		{
			to->add_algorithm(to, KEY_EXCHANGE_METHOD, ke, 0);
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * What was negotiated, for a rekey. Which key exchange the configuration of then wanted
 * nobody knows if the CHILD_SA has none: that of the IKE_SA, those of now, or none.
 */
static proposal_t *for_rekey(child_cfg_t *config, ike_sa_t *ike_sa,
							 proposal_t *negotiated)
{
	proposal_t *out = negotiated->clone(negotiated, 0), *proposal;
	linked_list_t *proposals;
	enumerator_t *enumerator;
	uint16_t ke;

	if (out->get_algorithm(out, KEY_EXCHANGE_METHOD, &ke, NULL))
	{
		return out;
	}
	proposal = ike_sa->get_proposal(ike_sa);
	if (proposal)
	{
		add_key_exchanges(out, proposal);
	}
	proposals = config->get_proposals(config, FALSE);
	enumerator = proposals->create_enumerator(proposals);
	while (enumerator->enumerate(enumerator, &proposal))
	{
		add_key_exchanges(out, proposal);
	}
	enumerator->destroy(enumerator);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	out->add_algorithm(out, KEY_EXCHANGE_METHOD, KE_NONE, 0);
	return out;
}

/**
 * Another configuration like it
 */
static child_cfg_t *clone_config(child_cfg_t *config)
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
	linked_list_t *proposals, *selectors;
	traffic_selector_t *ts;
	proposal_t *proposal;
	child_cfg_t *out;
	int option, local;

	data.lifetime = *lifetime;
	free(lifetime);
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
child_cfg_t *mcipsec_policy_for(child_cfg_t *config, ike_sa_t *ike_sa,
								proposal_t *negotiated)
{
	child_cfg_t *out;

	if (proposes(config, negotiated))
	{
		return config->get_ref(config);
	}
	out = clone_config(config);
	out->add_proposal(out, for_rekey(config, ike_sa, negotiated));
	DBG1(DBG_CFG, "mcipsec: CHILD_SA %s has algorithms that its configuration "
		 "has not any more, and keeps them until its ends negotiate others",
		 config->get_name(config));
	return out;
}
