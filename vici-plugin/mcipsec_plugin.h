/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec mcipsec
 * @ingroup cplugins
 *
 * @defgroup mcipsec_plugin mcipsec_plugin
 * @{ @ingroup mcipsec
 *
 * Multi-chassis IPsec redundancy: exports IKE_SAs and CHILD_SAs, imports them
 * as passive ones, and guards what charon sends.
 */

#ifndef MCIPSEC_PLUGIN_H_
#define MCIPSEC_PLUGIN_H_

#include <plugins/plugin.h>

typedef struct mcipsec_plugin_t mcipsec_plugin_t;

/**
 * Plugin.
 */
struct mcipsec_plugin_t {

	/**
	 * Implements plugin interface.
	 */
	plugin_t plugin;
};

/**
 * Entry point that charon's loader looks for.
 */
plugin_t *mcipsec_plugin_create();

#endif /** MCIPSEC_PLUGIN_H_ @}*/
