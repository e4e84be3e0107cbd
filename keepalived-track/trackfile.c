// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * trackfile - see trackfile.h.
 *
 * The file is written in place: one write() and one close(), so that
 * keepalived's inotify sees one change, and no second name ever appears in a
 * directory that it watches.
 */
#include "trackfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int trackfile_read(const char *path, int *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[32], *end;
	ssize_t len;
	long number;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return (int)len;
	text[len] = '\0';
	number = strtol(text, &end, 10);
	if (end == text || (*end && *end != '\n') || number < INT_MIN ||
	    number > INT_MAX)
		return -EINVAL;
	*value = (int)number;
	return 0;
}

int trackfile_write(const char *path, int value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", value);
	int err = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0644);

	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		err = errno ? -errno : -EIO;
	else if (ftruncate(fd, len))
		err = -errno;
	close(fd);
	return err;
}
