/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_vici_parse mcipsec_vici_parse
 * @{ @ingroup mcipsec
 *
 * Reads the values of vici commands, and begins the replies. What is not
 * exactly of its form is refused.
 */

#ifndef MCIPSEC_VICI_PARSE_H_
#define MCIPSEC_VICI_PARSE_H_

#include <library.h>
#include <collections/linked_list.h>
#include <networking/host.h>

#include <plugins/vici/vici_builder.h>
#include <plugins/vici/vici_message.h>

#include "mcipsec_table.h"

/**
 * Reply that refuses a command, with a reason in printf() format.
 */
vici_message_t *mcipsec_refuse(char *fmt, ...);

/**
 * Begin a positive reply.
 */
vici_builder_t *mcipsec_accept();

/**
 * Parse a decimal number without sign, up to a limit. NULL is refused.
 */
bool mcipsec_parse_number(char *str, uint64_t max, uint64_t *out);

/**
 * Parse hexadecimal of exactly len bytes. NULL is refused.
 */
bool mcipsec_parse_hex(char *str, uint8_t *out, size_t len);

/**
 * Read yes or no as TRUE or FALSE; what is left out keeps its value.
 *
 * @return		FALSE if it is there and neither
 */
bool mcipsec_get_bool(vici_message_t *request, char *name, int *value);

/**
 * Read a list of the top level as char*.
 *
 * @return		FALSE if the message has no such list
 */
bool mcipsec_get_list(vici_message_t *request, char *name, linked_list_t *out);

/**
 * Parse addresses to host_t.
 *
 * @return		the first string that is not an address, NULL if all are
 */
char *mcipsec_parse_addresses(linked_list_t *strings, linked_list_t *out);

/**
 * Read an acknowledgement into the table: seq, for all groups, and group-N, what
 * is acknowledged beyond that for one. What is acknowledged stays so.
 *
 * @return		FALSE if one of them is no number; then nothing is changed
 */
bool mcipsec_parse_acked(vici_message_t *request, mcipsec_table_t *table);

#endif /** MCIPSEC_VICI_PARSE_H_ @}*/
