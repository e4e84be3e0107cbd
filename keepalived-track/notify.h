/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify - sd_notify(3)'s datagram without libsystemd: this daemon has to work
 * when little else does, so it links as little as possible.
 */
#ifndef MCIPSEC_TRACK_NOTIFY_H
#define MCIPSEC_TRACK_NOTIFY_H

/* Does nothing unless NOTIFY_SOCKET is set. Losses do not matter. */
void notify(const char *state);

#endif
