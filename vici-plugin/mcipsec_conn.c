/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_conn: describes a loaded connection, see mcipsec_conn.h.
 *
 * Lists keep the order of the configuration: it is charon's preference.
 */

#include "mcipsec_conn.h"

#include <inttypes.h>

#include <daemon.h>

/**
 * Add a comma separated string of addresses as list
 */
static void add_addresses(vici_builder_t *b, char *name, char *addresses)
{
	enumerator_t *enumerator;
	char *address;

	b->begin_list(b, name);
	enumerator = enumerator_create_token(addresses, ",", " ");
	while (enumerator->enumerate(enumerator, &address))
	{
		b->add_li(b, "%s", address);
	}
	enumerator->destroy(enumerator);
	b->end_list(b);
}

/**
 * Add proposals; takes the list
 */
static void add_proposals(vici_builder_t *b, linked_list_t *proposals)
{
	enumerator_t *enumerator;
	proposal_t *proposal;

	b->begin_list(b, "proposals");
	enumerator = proposals->create_enumerator(proposals);
	while (enumerator->enumerate(enumerator, &proposal))
	{
		b->add_li(b, "%P", proposal);
	}
	enumerator->destroy(enumerator);
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	b->end_list(b);
}

/**
 * Add traffic selectors of one side
 */
static void add_selectors(vici_builder_t *b, char *name, child_cfg_t *child,
						  bool local)
{
	enumerator_t *enumerator;
	traffic_selector_t *ts;
	linked_list_t *list;

	b->begin_list(b, name);
	list = child->get_traffic_selectors(child, local, NULL, NULL, FALSE);
	enumerator = list->create_enumerator(list);
	while (enumerator->enumerate(enumerator, &ts))
	{
		b->add_li(b, "%R", ts);
	}
	enumerator->destroy(enumerator);
	list->destroy_offset(list, offsetof(traffic_selector_t, destroy));
	b->end_list(b);
}

/**
 * Add one authentication round: methods in one list, identities in another
 */
static void add_auth(vici_builder_t *b, auth_cfg_t *auth, bool local, int round)
{
	enumerator_t *enumerator;
	auth_rule_t rule;
	union {
		uintptr_t u;
		identification_t *id;
		char *str;
	} v;
	char name[32];

	snprintf(name, sizeof(name), "%s-%d-auth", local ? "local" : "remote", round);
	b->begin_list(b, name);
	enumerator = auth->create_enumerator(auth);
	while (enumerator->enumerate(enumerator, &rule, &v))
	{
		switch (rule)
		{
			case AUTH_RULE_AUTH_CLASS:
				b->add_li(b, "%N", auth_class_names, v.u);
				break;
			case AUTH_RULE_EAP_TYPE:
				b->add_li(b, "%N", eap_type_names, v.u);
				break;
			case AUTH_RULE_EAP_VENDOR:
				b->add_li(b, "vendor %u", (u_int)v.u);
				break;
			case AUTH_RULE_CRL_VALIDATION:
			case AUTH_RULE_OCSP_VALIDATION:
				b->add_li(b, "%N %N", auth_rule_names, rule,
						  cert_validation_names, v.u);
				break;
			default:
				break;
		}
	}
	enumerator->destroy(enumerator);
	b->end_list(b);

	snprintf(name, sizeof(name), "%s-%d-ids", local ? "local" : "remote", round);
	b->begin_list(b, name);
	enumerator = auth->create_enumerator(auth);
	while (enumerator->enumerate(enumerator, &rule, &v))
	{
		switch (rule)
		{
			case AUTH_RULE_IDENTITY:
			case AUTH_RULE_CA_IDENTITY:
			case AUTH_RULE_AAA_IDENTITY:
			case AUTH_RULE_EAP_IDENTITY:
			case AUTH_RULE_GROUP:
				b->add_li(b, "%N %Y", auth_rule_names, rule, v.id);
				break;
			default:
				break;
		}
	}
	enumerator->destroy(enumerator);
	b->end_list(b);
}

/**
 * Add the authentication rounds of one side
 */
static void add_auths(vici_builder_t *b, peer_cfg_t *peer, bool local)
{
	enumerator_t *enumerator;
	auth_cfg_t *auth;
	int round = 0;

	enumerator = peer->create_auth_cfg_enumerator(peer, local);
	while (enumerator->enumerate(enumerator, &auth))
	{
		add_auth(b, auth, local, ++round);
	}
	enumerator->destroy(enumerator);
}

/**
 * Add a CHILD_SA's configuration as section
 */
static void add_child(vici_builder_t *b, child_cfg_t *child)
{
	lifetime_cfg_t *lifetime;

	b->begin_section(b, child->get_name(child));
	b->add_kv(b, "mode", "%N", ipsec_mode_names, child->get_mode(child));
	b->add_kv(b, "start-action", "%N", action_names,
			  child->get_start_action(child));
	b->add_kv(b, "close-action", "%N", action_names,
			  child->get_close_action(child));
	b->add_kv(b, "dpd-action", "%N", action_names,
			  child->get_dpd_action(child));
	b->add_kv(b, "inactivity", "%u", child->get_inactivity(child));
	lifetime = child->get_lifetime(child, FALSE);
	b->add_kv(b, "rekey-time", "%" PRIu64, lifetime->time.rekey);
	b->add_kv(b, "life-time", "%" PRIu64, lifetime->time.life);
	b->add_kv(b, "rekey-bytes", "%" PRIu64, lifetime->bytes.rekey);
	b->add_kv(b, "rekey-packets", "%" PRIu64, lifetime->packets.rekey);
	free(lifetime);
	add_proposals(b, child->get_proposals(child, FALSE));
	add_selectors(b, "local-ts", child, TRUE);
	add_selectors(b, "remote-ts", child, FALSE);
	b->end_section(b);
}

vici_message_t *mcipsec_conn(vici_message_t *request)
{
	enumerator_t *enumerator;
	child_cfg_t *child;
	peer_cfg_t *peer;
	ike_cfg_t *ike;
	vici_builder_t *b;
	char *name;

	name = request->get_str(request, NULL, "name");
	if (!name)
	{
		return mcipsec_refuse("name: the name of a connection is required");
	}
	peer = charon->backends->get_peer_cfg_by_name(charon->backends, name);
	b = mcipsec_accept();
	b->add_kv(b, "found", peer ? "yes" : "no");
	if (!peer)
	{
		return b->finalize(b);
	}
	ike = peer->get_ike_cfg(peer);
	b->add_kv(b, "version", "%N", ike_version_names, peer->get_ike_version(peer));
	b->add_kv(b, "mobike", peer->use_mobike(peer) ? "yes" : "no");
	b->add_kv(b, "dpd-delay", "%u", peer->get_dpd(peer));
	b->add_kv(b, "rekey-time", "%u", peer->get_rekey_time(peer, FALSE));
	b->add_kv(b, "reauth-time", "%u", peer->get_reauth_time(peer, FALSE));
	add_addresses(b, "local-addrs", ike->get_my_addr(ike));
	add_addresses(b, "remote-addrs", ike->get_other_addr(ike));
	add_proposals(b, ike->get_proposals(ike));
	add_auths(b, peer, TRUE);
	add_auths(b, peer, FALSE);

	b->begin_section(b, "children");
	enumerator = peer->create_child_cfg_enumerator(peer);
	while (enumerator->enumerate(enumerator, &child))
	{
		add_child(b, child);
	}
	enumerator->destroy(enumerator);
	b->end_section(b);
	peer->destroy(peer);
	return b->finalize(b);
}
