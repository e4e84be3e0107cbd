// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plugin's records: any bytes as an IKE_SA's and as a CHILD_SA's. What decodes
 * must encode to bytes that decode again and encode to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "mcipsec_record.h"

/* The length bounds that the import relies on without a look of its own. */
static void check_ike(const mcipsec_ike_record_t *record)
{
	if (record->spi_i.len != 8 || record->spi_r.len != 8 ||
		record->response.count > MCIPSEC_LIST_MAX ||
		record->request.count > MCIPSEC_LIST_MAX ||
		(record->local.addr_len != 4 && record->local.addr_len != 16) ||
		(record->remote.addr_len != 4 && record->remote.addr_len != 16))
	{
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static mcipsec_ike_record_t ike, ike_again;
	static mcipsec_child_record_t child, child_again;
	mcipsec_buf_t once, twice;

	if (mcipsec_ike_record_decode(data, size, &ike) == MCIPSEC_RECORD_OK)
	{
		check_ike(&ike);
		once = mcipsec_ike_record_encode(&ike, NULL);
		if (once.failed || mcipsec_ike_record_decode(once.ptr, once.len,
										&ike_again) != MCIPSEC_RECORD_OK)
		{
			abort();
		}
		twice = mcipsec_ike_record_encode(&ike_again, NULL);
		if (twice.len != once.len || memcmp(twice.ptr, once.ptr, once.len))
		{
			abort();
		}
		mcipsec_buf_wipe(&once);
		mcipsec_buf_wipe(&twice);
	}
	if (mcipsec_child_record_decode(data, size, &child) == MCIPSEC_RECORD_OK)
	{
		once = mcipsec_child_record_encode(&child, NULL);
		if (once.failed || mcipsec_child_record_decode(once.ptr, once.len,
										&child_again) != MCIPSEC_RECORD_OK)
		{
			abort();
		}
		twice = mcipsec_child_record_encode(&child_again, NULL);
		if (twice.len != once.len || memcmp(twice.ptr, once.ptr, once.len))
		{
			abort();
		}
		mcipsec_buf_wipe(&once);
		mcipsec_buf_wipe(&twice);
	}
	return 0;
}
