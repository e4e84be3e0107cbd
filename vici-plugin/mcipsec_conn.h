/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_conn mcipsec_conn
 * @{ @ingroup mcipsec
 *
 * What charon has loaded of one connection, for the comparison of both
 * chassis and for the rules of mc-ipsec: the stock list-conns tells neither
 * proposals nor start_action. Secrets are not part of it.
 */

#ifndef MCIPSEC_CONN_H_
#define MCIPSEC_CONN_H_

#include "mcipsec_vici_parse.h"

/**
 * Handle mcipsec-conn, see Documentation/vici-mcipsec.rst.
 */
vici_message_t *mcipsec_conn(vici_message_t *request);

#endif /** MCIPSEC_CONN_H_ @}*/
