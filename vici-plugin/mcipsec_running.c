/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mcipsec_running: looks through the constant data of a loaded library for a
 * string that looks like a strongSwan version: digits, a dot, digits, a dot,
 * digits, and perhaps a suffix such as rc1 or dr2.
 */

#define _GNU_SOURCE
#include "mcipsec_running.h"

#include <ctype.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

/** Longest version we expect */
#define VERSION_LEN	16

/**
 * What is looked for, and what was found
 */
typedef struct {
	uintptr_t function;
	char *version;
	size_t size;
	bool found;
} search_t;

/**
 * Length of the version string at pos, 0 if there is none
 */
static size_t version_at(const char *pos, const char *end)
{
	size_t len = 0, digits = 0, dots = 0;

	while (pos + len < end && len <= VERSION_LEN && pos[len])
	{
		if (isdigit((unsigned char)pos[len]))
		{
			digits++;
		}
		else if (pos[len] == '.' && digits)
		{
			digits = 0;
			dots++;
		}
		else if (!(dots == 2 && digits && islower((unsigned char)pos[len])))
		{
			return 0;
		}
		len++;
	}
	return pos + len < end && !pos[len] && dots == 2 && digits &&
		   len <= VERSION_LEN ? len : 0;
}

static int look(struct dl_phdr_info *info, size_t size, void *user)
{
	search_t *search = user;
	bool ours = false;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++)
	{
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + phdr->p_vaddr;

		if (phdr->p_type == PT_LOAD && search->function >= start &&
			search->function < start + phdr->p_memsz)
		{
			ours = true;
		}
	}
	if (!ours)
	{
		return 0;
	}
	for (i = 0; i < info->dlpi_phnum; i++)
	{
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
		const char *start = (const char*)(info->dlpi_addr + phdr->p_vaddr);
		const char *end = start + phdr->p_filesz, *pos;
		size_t len;

		if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_R) ||
			phdr->p_flags & PF_W)
		{
			continue;
		}
		for (pos = start; pos < end; pos++)
		{
			/* at the begin of a string only */
			if (pos > start && pos[-1])
			{
				continue;
			}
			len = version_at(pos, end);
			if (len && len < search->size)
			{
				memcpy(search->version, pos, len + 1);
				search->found = true;
				return 1;
			}
		}
	}
	return 1;
}

bool mcipsec_running_version(void *function, char *version, size_t size)
{
	search_t search = {
		.function = (uintptr_t)function,
		.version = version,
		.size = size,
	};

	dl_iterate_phdr(look, &search);
	return search.found;
}

bool mcipsec_running_equals(const char *running, const char *built_for)
{
	return strcmp(running, built_for) == 0;
}
