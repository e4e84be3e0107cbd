/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_dpd: see mcipsec_dpd.h.
 *
 * ike_sa_t is an object with function pointers, and charon's job calls send_dpd()
 * through them: it is replaced by ours when an IKE_SA first changes its state. The
 * method gets the IKE_SA as object, so the rest is found through a static pointer.
 */

#include "mcipsec_dpd.h"

#include <processing/jobs/send_dpd_job.h>

typedef struct private_mcipsec_dpd_t private_mcipsec_dpd_t;

/**
 * Private data.
 */
struct private_mcipsec_dpd_t {

	/**
	 * Public interface.
	 */
	mcipsec_dpd_t public;

	/**
	 * Table, with the lock
	 */
	mcipsec_table_t *table;

	/**
	 * charon's own method, the same for every IKE_SA
	 */
	status_t (*send_dpd)(ike_sa_t *ike_sa);
};

/**
 * The one in front of every IKE_SA
 */
static private_mcipsec_dpd_t *dpd;

METHOD(ike_sa_t, responder_send_dpd, status_t,
	ike_sa_t *ike_sa)
{
	mcipsec_group_entry_t *group;
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	uint32_t delay = cfg ? cfg->get_dpd(cfg) : 0;
	bool silent;

	dpd->table->lock->lock(dpd->table->lock);
	group = dpd->table->group_of(dpd->table, ike_sa->get_my_host(ike_sa));
	silent = group && group->responder_only;
	dpd->table->lock->unlock(dpd->table->lock);
	if (!silent)
	{
		return dpd->send_dpd(ike_sa);
	}
	if (delay && ike_sa->get_state(ike_sa) != IKE_PASSIVE)
	{	/* the group may be told to do more than respond */
		lib->scheduler->schedule_job(lib->scheduler,
				(job_t*)send_dpd_job_create(ike_sa->get_id(ike_sa)), delay);
	}
	return SUCCESS;
}

METHOD(listener_t, ike_state_change, bool,
	private_mcipsec_dpd_t *this, ike_sa_t *ike_sa, ike_sa_state_t state)
{
	if (ike_sa->send_dpd != _responder_send_dpd)
	{
		this->send_dpd = ike_sa->send_dpd;
		ike_sa->send_dpd = _responder_send_dpd;
	}
	return TRUE;
}

METHOD(mcipsec_dpd_t, destroy, void,
	private_mcipsec_dpd_t *this)
{
	dpd = NULL;
	free(this);
}

/*
 * Described in header
 */
mcipsec_dpd_t *mcipsec_dpd_create(mcipsec_table_t *table)
{
	private_mcipsec_dpd_t *this;

	INIT(this,
		.public = {
			.listener = {
				.ike_state_change = _ike_state_change,
			},
			.destroy = _destroy,
		},
		.table = table,
	);
	dpd = this;

	return &this->public;
}
