// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * clock_shift.c - LD_PRELOAD for a test: the wall clock of one process runs ahead
 * by as many seconds as the file $CLOCK_SHIFT_FILE says now (none: 0). A guest has
 * one clock for all its nodes; two chassis have one each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	const char *path = getenv("CLOCK_SHIFT_FILE");
	char text[32] = "";
	int fd, ret;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	ret = real(id, t);
	if (ret || id != CLOCK_REALTIME || !path)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) > 0)
		t->tv_sec += atoi(text);
	close(fd);
	return 0;
}
