/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_running mcipsec_running
 * @{ @ingroup mcipsec
 *
 * Finds out the version of the strongSwan that is running, without using any of
 * its structures.
 */

#ifndef MCIPSEC_RUNNING_H_
#define MCIPSEC_RUNNING_H_

#include <stdbool.h>
#include <stddef.h>

/**
 * Version of the vici plugin that is loaded.
 *
 * It is compiled into that plugin as a string, for the vici command "version".
 *
 * @param function	any function of that plugin
 * @param version	receives the version
 * @param size		size of version
 * @return			false if none was found
 */
bool mcipsec_running_version(void *function, char *version, size_t size);

/**
 * Compare versions. A function of its own, so that what is compared with is what
 * stands in the constants of the plugin.
 *
 * @param running	version found
 * @param built_for	version of the headers the plugin was compiled with
 * @return			true if they are the same
 */
bool mcipsec_running_equals(const char *running, const char *built_for);

#endif /** MCIPSEC_RUNNING_H_ @}*/
