/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * @defgroup mcipsec_import_child mcipsec_import_child
 * @{ @ingroup mcipsec
 *
 * Import of a CHILD_SA, the second half of mcipsec_import.
 */

#ifndef MCIPSEC_IMPORT_CHILD_H_
#define MCIPSEC_IMPORT_CHILD_H_

#include "mcipsec_import.h"

/**
 * Import a CHILD_SA: charon installs its kernel states and policies itself.
 */
mcipsec_import_result_t mcipsec_import_child(mcipsec_table_t *table,
										mcipsec_import_request_t *request);

#endif /** MCIPSEC_IMPORT_CHILD_H_ @}*/
