/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_log: session log, see mcipsec_log.h.
 */

#include "mcipsec_log.h"

typedef struct private_mcipsec_log_t private_mcipsec_log_t;

/**
 * Private data of the listener.
 */
struct private_mcipsec_log_t {

	/**
	 * Public interface.
	 */
	mcipsec_log_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * Event source
	 */
	mcipsec_event_t *event;
};

/**
 * Number of the active group of an IKE_SA, 0 if there is nothing to log
 */
static uint32_t group_of(private_mcipsec_log_t *this, ike_sa_t *ike_sa)
{
	mcipsec_group_entry_t *group;
	uint32_t id = 0;

	if (!ike_sa || ike_sa->get_state(ike_sa) == IKE_PASSIVE)
	{
		return 0;
	}
	this->table->lock->lock(this->table->lock);
	group = this->table->group_of(this->table, ike_sa->get_my_host(ike_sa));
	if (group && group->state == MCIPSEC_ACTIVE && !group->quiet &&
		!group->removed && !this->table->stopping)
	{
		id = group->id;
	}
	this->table->lock->unlock(this->table->lock);
	return id;
}

METHOD(listener_t, ike_updown, bool,
	private_mcipsec_log_t *this, ike_sa_t *ike_sa, bool up)
{
	uint32_t group = group_of(this, ike_sa);

	if (group)
	{
		this->event->log(this->event, group, up ? "ike-up" : "ike-down", ike_sa,
						 NULL, "IKE_SA %s[%u] %s: %H[%Y] - %H[%Y], %P",
						 ike_sa->get_name(ike_sa),
						 ike_sa->get_unique_id(ike_sa), up ? "up" : "down",
						 ike_sa->get_my_host(ike_sa), ike_sa->get_my_id(ike_sa),
						 ike_sa->get_other_host(ike_sa),
						 ike_sa->get_other_id(ike_sa),
						 ike_sa->get_proposal(ike_sa));
	}
	return TRUE;
}

METHOD(listener_t, ike_rekey, bool,
	private_mcipsec_log_t *this, ike_sa_t *old, ike_sa_t *new)
{
	uint32_t group = group_of(this, new);

	if (group)
	{
		this->event->log(this->event, group, "ike-rekey", new, NULL,
						 "IKE_SA %s[%u] rekeyed, now [%u], %P",
						 new->get_name(new), old->get_unique_id(old),
						 new->get_unique_id(new), new->get_proposal(new));
	}
	return TRUE;
}

/**
 * Log an event of a CHILD_SA
 */
static void log_child(private_mcipsec_log_t *this, ike_sa_t *ike_sa,
					  child_sa_t *child_sa, char *what, char *text)
{
	uint32_t group = group_of(this, ike_sa);
	linked_list_t *local, *remote;

	if (!group)
	{
		return;
	}
	local = linked_list_create_from_enumerator(
						child_sa->create_ts_enumerator(child_sa, TRUE));
	remote = linked_list_create_from_enumerator(
						child_sa->create_ts_enumerator(child_sa, FALSE));
	this->event->log(this->event, group, what, ike_sa, child_sa,
					 "CHILD_SA %s{%u} %s: SPIs %.8x_i %.8x_o, %#R === %#R, %P",
					 child_sa->get_name(child_sa),
					 child_sa->get_unique_id(child_sa), text,
					 ntohl(child_sa->get_spi(child_sa, TRUE)),
					 ntohl(child_sa->get_spi(child_sa, FALSE)), local, remote,
					 child_sa->get_proposal(child_sa));
	local->destroy(local);
	remote->destroy(remote);
}

METHOD(listener_t, child_updown, bool,
	private_mcipsec_log_t *this, ike_sa_t *ike_sa, child_sa_t *child_sa,
	bool up)
{
	log_child(this, ike_sa, child_sa, up ? "child-up" : "child-down",
			  up ? "up" : "down");
	return TRUE;
}

METHOD(listener_t, child_rekey, bool,
	private_mcipsec_log_t *this, ike_sa_t *ike_sa, child_sa_t *old,
	child_sa_t *new)
{
	log_child(this, ike_sa, new, "child-rekey", "rekeyed, this is the new one");
	return TRUE;
}

METHOD(listener_t, alert, bool,
	private_mcipsec_log_t *this, ike_sa_t *ike_sa, alert_t alert, va_list args)
{
	uint32_t group = group_of(this, ike_sa);
	char *what, *text;

	if (!group)
	{
		return TRUE;
	}
	switch (alert)
	{
		case ALERT_LOCAL_AUTH_FAILED:
			what = "auth-failed";
			text = "peer did not accept our authentication";
			break;
		case ALERT_PEER_AUTH_FAILED:
			what = "auth-failed";
			text = "peer could not be authenticated";
			break;
		case ALERT_PROPOSAL_MISMATCH_IKE:
			what = "no-proposal";
			text = "no common proposal for the IKE_SA";
			break;
		case ALERT_PROPOSAL_MISMATCH_CHILD:
			what = "no-proposal";
			text = "no common proposal for the CHILD_SA";
			break;
		case ALERT_TS_MISMATCH:
			what = "no-proposal";
			text = "no common traffic selectors";
			break;
		case ALERT_RETRANSMIT_SEND_TIMEOUT:
			what = "peer-unreachable";
			text = "peer does not answer";
			break;
		case ALERT_HALF_OPEN_TIMEOUT:
			what = "alert";
			text = "peer did not finish setting up the IKE_SA";
			break;
		case ALERT_IKE_SA_EXPIRED:
			what = "alert";
			text = "lifetime of the IKE_SA is over";
			break;
		case ALERT_INSTALL_CHILD_SA_FAILED:
		case ALERT_INSTALL_CHILD_POLICY_FAILED:
			what = "alert";
			text = "kernel refused the CHILD_SA";
			break;
		case ALERT_UNIQUE_REPLACE:
			what = "alert";
			text = "IKE_SA is replaced by a newer one of the same peer";
			break;
		default:
			return TRUE;
	}
	this->event->log(this->event, group, what, ike_sa, NULL, "%s", text);
	return TRUE;
}

METHOD(mcipsec_log_t, destroy, void,
	private_mcipsec_log_t *this)
{
	free(this);
}

/*
 * Described in header
 */
mcipsec_log_t *mcipsec_log_create(mcipsec_table_t *table,
								  mcipsec_event_t *event)
{
	private_mcipsec_log_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_updown = _ike_updown,
				.ike_rekey = _ike_rekey,
				.child_updown = _child_updown,
				.child_rekey = _child_rekey,
				.alert = _alert,
			},
			.destroy = _destroy,
		},
		.table = table,
		.event = event,
	);

	return &this->public;
}
