/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_responder: see mcipsec_responder.h.
 *
 * ike_sa_t is an object with function pointers, and charon calls send_dpd() and
 * initiate() through them: they are replaced by ours when an IKE_SA first changes its
 * state. The methods get the IKE_SA as object, so the rest is found through a static
 * pointer.
 */

#include "mcipsec_responder.h"

#include <processing/jobs/send_dpd_job.h>

typedef struct private_mcipsec_responder_t private_mcipsec_responder_t;

/**
 * Private data.
 */
struct private_mcipsec_responder_t {

	/**
	 * Public interface.
	 */
	mcipsec_responder_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * charon's own methods, the same for every IKE_SA
	 */
	status_t (*send_dpd)(ike_sa_t *ike_sa);
	status_t (*initiate)(ike_sa_t *ike_sa, child_cfg_t *child,
						 child_init_args_t *args);
};

/**
 * The one in front of every IKE_SA
 */
static private_mcipsec_responder_t *responder;

/**
 * Whether the IKE_SA's tunnel-group only responds; counted: as something that did not
 * begin for that.
 */
static bool only_responds(ike_sa_t *ike_sa, bool counted)
{
	mcipsec_table_t *table = responder->table;
	mcipsec_group_entry_t *group;
	bool silent;

	table->lock->lock(table->lock);
	group = table->group_of(table, ike_sa->get_my_host(ike_sa));
	silent = group && group->responder_only;
	if (silent && counted)
	{
		group->n.not_begun++;
	}
	table->lock->unlock(table->lock);
	return silent;
}

/**
 * Is a rekey or the delete after it under way? charon begins a CHILD_SA anew whose
 * rekey failed as the peer does not know it: that is the end of what it may begin.
 */
static bool rekeys(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	bool found = FALSE;
	task_t *task;

	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_ACTIVE);
	while (!found && enumerator->enumerate(enumerator, &task))
	{
		found = task->get_type(task) == TASK_CHILD_REKEY ||
				task->get_type(task) == TASK_CHILD_DELETE;
	}
	enumerator->destroy(enumerator);
	return found;
}

METHOD(ike_sa_t, responder_initiate, status_t,
	ike_sa_t *ike_sa, child_cfg_t *child, child_init_args_t *args)
{
	child_sa_create_t data = {
		.reqid = args ? args->reqid : 0,
		.label = args ? args->label : NULL,
	};
	child_sa_t *none;

	if (child && ike_sa->get_state(ike_sa) != IKE_CREATED && !rekeys(ike_sa) &&
		only_responds(ike_sa, TRUE))
	{
		DBG1(DBG_IKE, "mcipsec: the tunnel-group only responds, CHILD_SA %s is "
			 "not begun", child->get_name(child));
		/* who asked for it, the controller or a trap, waits for its end */
		none = child_sa_create(ike_sa->get_my_host(ike_sa),
							   ike_sa->get_other_host(ike_sa), child, &data);
		none->destroy(none);
		child->destroy(child);
		/* for anything else the IKE_SA would be destroyed by who asked */
		return SUCCESS;
	}
	return responder->initiate(ike_sa, child, args);
}

METHOD(ike_sa_t, responder_send_dpd, status_t,
	ike_sa_t *ike_sa)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	uint32_t delay = cfg ? cfg->get_dpd(cfg) : 0;

	if (!only_responds(ike_sa, FALSE))
	{
		return responder->send_dpd(ike_sa);
	}
	if (delay && ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{	/* the group may be told to do more than respond */
		lib->scheduler->schedule_job(lib->scheduler,
				(job_t*)send_dpd_job_create(ike_sa->get_id(ike_sa)), delay);
	}
	return SUCCESS;
}

METHOD(listener_t, ike_state_change, bool,
	private_mcipsec_responder_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	if (ike_sa->send_dpd != _responder_send_dpd)
	{
		this->send_dpd = ike_sa->send_dpd;
		ike_sa->send_dpd = _responder_send_dpd;
		this->initiate = ike_sa->initiate;
		ike_sa->initiate = _responder_initiate;
	}
	return TRUE;
}

METHOD(mcipsec_responder_t, destroy, void,
	private_mcipsec_responder_t *this)
{
	responder = NULL;
	free(this);
}

/*
 * Described in header
 */
mcipsec_responder_t *mcipsec_responder_create(mcipsec_table_t *table)
{
	private_mcipsec_responder_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_state_change = _ike_state_change,
			},
			.destroy = _destroy,
		},
		.table = table,
	);
	responder = this;

	return &this->public;
}
