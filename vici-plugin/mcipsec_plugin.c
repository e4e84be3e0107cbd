/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_plugin: puts the parts together, see mcipsec_plugin.h.
 *
 * charon's loader checks no ABI, and this plugin uses structures that change
 * between versions (the listener, IKE_SAs, the private part of the vici plugin
 * in which the dispatcher is). So it first makes sure that the running charon
 * is of the version it was built for, and refuses to load in any other.
 */

#include "mcipsec_plugin.h"
#include "mcipsec_announce.h"
#include "mcipsec_responder.h"
#include "mcipsec_event.h"
#include "mcipsec_export.h"
#include "mcipsec_gate.h"
#include "mcipsec_group.h"
#include "mcipsec_import.h"
#include "mcipsec_life.h"
#include "mcipsec_log.h"
#include "mcipsec_midsync.h"
#include "mcipsec_resend.h"
#include "mcipsec_retransmit.h"
#include "mcipsec_running.h"
#include "mcipsec_table.h"
#include "mcipsec_vici.h"
#include "mcipsec_vips.h"

#include <plugins/vici/vici_plugin.h>

typedef struct private_mcipsec_plugin_t private_mcipsec_plugin_t;

/**
 * Private data of the plugin.
 */
struct private_mcipsec_plugin_t {

	/**
	 * Public interface.
	 */
	mcipsec_plugin_t public;

	/**
	 * Parts of the plugin
	 */
	mcipsec_table_t *table;
	mcipsec_event_t *event;
	mcipsec_gate_t *gate;
	mcipsec_announce_t *announce;
	mcipsec_export_t *export;
	mcipsec_import_t *import;
	mcipsec_retransmit_t *retransmit;
	mcipsec_resend_t *resend;
	mcipsec_responder_t *responder;
	mcipsec_midsync_t *midsync;
	mcipsec_log_t *log;
	mcipsec_group_t *group;
	mcipsec_vips_t *vips;
	mcipsec_vici_t *vici;
	mcipsec_life_t *life;

	/**
	 * charon's own flush() of the IKE_SA manager
	 */
	void (*flush)(ike_sa_manager_t *manager);
};

/**
 * The plugin, for the replaced method of the IKE_SA manager
 */
static private_mcipsec_plugin_t *plugin;

/**
 * Start of the private data of the vici plugin of the pinned version
 */
typedef struct {
	vici_plugin_t public;
	vici_dispatcher_t *dispatcher;
} private_vici_plugin_t;

METHOD(ike_sa_manager_t, stopping, void,
	ike_sa_manager_t *manager)
{
	/* charon ends and would delete every IKE_SA at its peer: the other chassis
	 * is to take them over instead, so leave without a word */
	plugin->table->lock->lock(plugin->table->lock);
	plugin->table->stopping = TRUE;
	plugin->table->lock->unlock(plugin->table->lock);

	plugin->flush(manager);
}

/**
 * Find a loaded plugin by name
 */
static plugin_t *find_plugin(char *name)
{
	plugin_t *current, *found = NULL;
	enumerator_t *enumerator;

	enumerator = lib->plugins->create_plugin_enumerator(lib->plugins);
	while (enumerator->enumerate(enumerator, &current, NULL))
	{
		if (streq(current->get_name(current), name))
		{
			found = current;
			break;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

METHOD(plugin_t, get_name, char*,
	private_mcipsec_plugin_t *this)
{
	return "mcipsec";
}

/**
 * Release everything in the reverse order
 */
static void stop(private_mcipsec_plugin_t *this)
{
	if (this->flush)
	{
		charon->ike_sa_manager->flush = this->flush;
		this->flush = NULL;
	}
	DESTROY_IF(this->life);
	DESTROY_IF(this->vici);
	if (this->log)
	{
		charon->bus->remove_listener(charon->bus, &this->log->listener);
		this->log->destroy(this->log);
	}
	if (this->responder)
	{
		charon->bus->remove_listener(charon->bus, &this->responder->listener);
		this->responder->destroy(this->responder);
	}
	if (this->midsync)
	{
		charon->bus->remove_listener(charon->bus, &this->midsync->listener);
		this->midsync->destroy(this->midsync);
	}
	if (this->resend)
	{
		charon->bus->remove_listener(charon->bus, &this->resend->listener);
		this->resend->destroy(this->resend);
	}
	if (this->retransmit)
	{
		charon->bus->remove_listener(charon->bus, &this->retransmit->listener);
		this->retransmit->destroy(this->retransmit);
	}
	if (this->export)
	{
		charon->bus->remove_listener(charon->bus, &this->export->listener);
		this->export->destroy(this->export);
	}
	DESTROY_IF(this->vips);
	DESTROY_IF(this->import);
	DESTROY_IF(this->group);
	DESTROY_IF(this->gate);
	DESTROY_IF(this->announce);
	DESTROY_IF(this->event);
	DESTROY_IF(this->table);
	plugin = NULL;
}

/**
 * Start the parts in the order in which they depend on each other
 */
static bool start(private_mcipsec_plugin_t *this, vici_dispatcher_t *dispatcher)
{
	plugin = this;
	this->table = mcipsec_table_create();
	if (!this->table)
	{
		return FALSE;
	}
	this->event = mcipsec_event_create(dispatcher, this->table);
	/* from here on nothing leaves */
	this->gate = mcipsec_gate_create(this->table, this->event);
	this->announce = mcipsec_announce_create(this->table, this->event);
	if (!this->announce)
	{
		return FALSE;
	}
	this->flush = charon->ike_sa_manager->flush;
	charon->ike_sa_manager->flush = _stopping;

	this->group = mcipsec_group_create(this->table, this->gate);
	this->import = mcipsec_import_create(this->table);
	this->vips = mcipsec_vips_create(this->table);
	this->export = mcipsec_export_create(this->table, this->announce);
	charon->bus->add_listener(charon->bus, &this->export->listener);
	this->retransmit = mcipsec_retransmit_create(this->table);
	charon->bus->add_listener(charon->bus, &this->retransmit->listener);
	this->resend = mcipsec_resend_create(this->table, this->announce);
	charon->bus->add_listener(charon->bus, &this->resend->listener);
	this->responder = mcipsec_responder_create(this->table);
	charon->bus->add_listener(charon->bus, &this->responder->listener);
	this->midsync = mcipsec_midsync_create(this->table, this->announce);
	charon->bus->add_listener(charon->bus, &this->midsync->listener);
	this->log = mcipsec_log_create(this->table, this->event);
	charon->bus->add_listener(charon->bus, &this->log->listener);
	this->vici = mcipsec_vici_create(dispatcher, this->table, this->event,
									 this->announce, this->gate, this->group,
									 this->import);
	this->life = mcipsec_life_create(dispatcher, this->table);
	return TRUE;
}

/**
 * Tell what makes charon slow with many IKE_SAs
 */
static void check_settings()
{
	int size, segments;

	size = lib->settings->get_int(lib->settings, "%s.ikesa_table_size", 1,
								  lib->ns);
	segments = lib->settings->get_int(lib->settings, "%s.ikesa_table_segments",
									  1, lib->ns);
	if (size < 1024 || segments < 16)
	{
		DBG1(DBG_CFG, "mcipsec: ikesa_table_size = %d, ikesa_table_segments = "
			 "%d; 16384 and 64 are recommended for many tunnels", size,
			 segments);
	}
	if (lib->settings->get_bool(lib->settings, "%s.install_routes", TRUE,
								lib->ns))
	{
		DBG1(DBG_CFG, "mcipsec: install_routes should be no: the agent manages "
			 "the routes");
	}
}

/**
 * Load or unload, when what we depend on is there
 */
static bool plugin_cb(private_mcipsec_plugin_t *this,
					  plugin_feature_t *feature, bool reg, void *data)
{
	private_vici_plugin_t *vici;
	char running[32];

	if (!reg)
	{
		stop(this);
		return TRUE;
	}
	vici = (private_vici_plugin_t*)find_plugin("vici");
	if (!vici)
	{
		DBG1(DBG_CFG, "mcipsec: not loaded, the vici plugin is missing");
		return FALSE;
	}
	if (!mcipsec_running_version((void*)vici->public.plugin.get_name, running,
								 sizeof(running)))
	{
		DBG1(DBG_CFG, "mcipsec: not loaded, the version of this charon could "
			 "not be found out; this plugin is built for strongSwan %s",
			 VERSION);
		return FALSE;
	}
	if (!mcipsec_running_equals(running, VERSION))
	{
		DBG1(DBG_CFG, "mcipsec: not loaded, this charon is strongSwan %s, but "
			 "the plugin is built for strongSwan %s", running, VERSION);
		return FALSE;
	}
	if (!start(this, vici->dispatcher))
	{
		DBG1(DBG_CFG, "mcipsec: not loaded, no source of randomness");
		stop(this);
		return FALSE;
	}
	check_settings();
	DBG1(DBG_CFG, "mcipsec: version %s, sending gate closed", MCIPSEC_VERSION);
	return TRUE;
}

METHOD(plugin_t, get_features, int,
	private_mcipsec_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)plugin_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, "mcipsec"),
				PLUGIN_DEPENDS(CUSTOM, "vici"),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-receiver"),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
				PLUGIN_DEPENDS(RNG, RNG_STRONG),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void,
	private_mcipsec_plugin_t *this)
{
	free(this);
}

/*
 * Described in header
 */
__attribute__((visibility("default")))
plugin_t *mcipsec_plugin_create()
{
	private_mcipsec_plugin_t *this;

	INIT(this,
		.public = {
			.plugin = {
				.get_name = _get_name,
				.get_features = _get_features,
				.destroy = _destroy,
			},
		},
	);

	return &this->public.plugin;
}
