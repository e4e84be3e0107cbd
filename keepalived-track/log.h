/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log - one line to stderr, with the priority prefix that systemd's journal
 * takes off (sd-daemon(3)) when stderr is the journal.
 */
#ifndef MCIPSEC_TRACK_LOG_H
#define MCIPSEC_TRACK_LOG_H

#include <stdio.h>
#include <stdlib.h>

#define LOG_TO(level, fmt, ...)						\
	fprintf(stderr, "%smcipsec-trackd: " fmt "\n",			\
		getenv("JOURNAL_STREAM") ? "<" #level ">" : "", ##__VA_ARGS__)

#define log_err(fmt, ...)	LOG_TO(3, fmt, ##__VA_ARGS__)
#define log_warn(fmt, ...)	LOG_TO(4, fmt, ##__VA_ARGS__)
#define log_info(fmt, ...)	LOG_TO(6, fmt, ##__VA_ARGS__)

#endif
