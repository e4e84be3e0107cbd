/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_vici_parse: reads the values of commands strictly, see
 * mcipsec_vici_parse.h.
 */

#include "mcipsec_vici_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

vici_message_t *mcipsec_refuse(char *fmt, ...)
{
	vici_builder_t *b = vici_builder_create();
	va_list args;

	b->add_kv(b, "success", "no");
	va_start(args, fmt);
	b->vadd_kv(b, "errmsg", fmt, args);
	va_end(args);
	return b->finalize(b);
}

vici_builder_t *mcipsec_accept()
{
	vici_builder_t *b = vici_builder_create();

	b->add_kv(b, "success", "yes");
	return b;
}

bool mcipsec_parse_number(char *str, uint64_t max, uint64_t *out)
{
	char *end;

	if (!str || *str < '0' || *str > '9')
	{
		return FALSE;
	}
	errno = 0;
	*out = strtoull(str, &end, 10);
	return !errno && !*end && *out <= max;
}

bool mcipsec_parse_hex(char *str, uint8_t *out, size_t len)
{
	int i;

	if (!str || strlen(str) != len * 2)
	{
		return FALSE;
	}
	for (i = 0; i < len * 2; i++)
	{
		if (!isxdigit((u_char)str[i]))
		{
			return FALSE;
		}
	}
	chunk_from_hex(chunk_from_str(str), out);
	return TRUE;
}

bool mcipsec_get_bool(vici_message_t *request, char *name, int *value)
{
	char *str = request->get_str(request, NULL, name);

	if (str && !streq(str, "yes") && !streq(str, "no"))
	{
		return FALSE;
	}
	if (str)
	{
		*value = streq(str, "yes");
	}
	return TRUE;
}

bool mcipsec_get_list(vici_message_t *request, char *name, linked_list_t *out)
{
	bool found = FALSE, inside = FALSE;
	enumerator_t *enumerator;
	vici_type_t type;
	chunk_t value;
	char *current;
	u_int depth = 0;

	enumerator = request->create_enumerator(request);
	while (enumerator->enumerate(enumerator, &type, &current, &value) &&
		   type != VICI_END)
	{
		switch (type)
		{
			case VICI_SECTION_START:
				depth++;
				break;
			case VICI_SECTION_END:
				depth--;
				break;
			case VICI_LIST_START:
				inside = !depth && streq(current, name);
				found |= inside;
				break;
			case VICI_LIST_ITEM:
				if (inside)
				{
					out->insert_last(out, strndup((char*)value.ptr, value.len));
				}
				break;
			case VICI_LIST_END:
				inside = FALSE;
				break;
			default:
				break;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

char *mcipsec_parse_addresses(linked_list_t *strings, linked_list_t *out)
{
	enumerator_t *enumerator;
	char *str, *bad = NULL;
	host_t *host;

	enumerator = strings->create_enumerator(strings);
	while (!bad && enumerator->enumerate(enumerator, &str))
	{
		host = host_create_from_string(str, 0);
		if (!host || host->is_anyaddr(host))
		{
			DESTROY_IF(host);
			bad = str;
			break;
		}
		out->insert_last(out, host);
	}
	enumerator->destroy(enumerator);
	return bad;
}

/**
 * Read what is acknowledged for each group; without apply only look at it
 */
static bool parse_groups(vici_message_t *request, mcipsec_table_t *table,
						 bool apply)
{
	enumerator_t *enumerator;
	mcipsec_group_entry_t *group;
	uint64_t seq;
	bool good = TRUE;
	char *str;

	enumerator = table->create_group_enumerator(table);
	while (good && enumerator->enumerate(enumerator, &group))
	{
		str = request->get_str(request, NULL, "group-%u", group->id);
		if (!str)
		{
			continue;
		}
		good = mcipsec_parse_number(str, UINT64_MAX, &seq);
		if (good && apply)
		{
			group->acked = max(group->acked, min(seq, table->seq));
		}
	}
	enumerator->destroy(enumerator);
	return good;
}

bool mcipsec_parse_acked(vici_message_t *request, mcipsec_table_t *table)
{
	uint64_t seq;
	bool good;

	table->lock->lock(table->lock);
	good = mcipsec_parse_number(request->get_str(request, NULL, "seq"),
								UINT64_MAX, &seq) &&
		   parse_groups(request, table, FALSE);
	if (good)
	{
		table->acked = max(table->acked, min(seq, table->seq));
		parse_groups(request, table, TRUE);
	}
	table->lock->unlock(table->lock);
	return good;
}
