/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trackfile - a keepalived track file: one decimal number. keepalived reads it
 * when a writer closes it.
 */
#ifndef MCIPSEC_TRACK_TRACKFILE_H
#define MCIPSEC_TRACK_TRACKFILE_H

/* 0; -ENOENT: no file; -EINVAL: not a number; other -errno. */
int trackfile_read(const char *path, int *value);

/* Creates the file if need be; never follows a symbolic link. 0 or -errno. */
int trackfile_write(const char *path, int value);

#endif
