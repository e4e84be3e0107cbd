/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module - questions to mcipsec.ko over generic netlink: does a tunnel-group
 * forward, and if not, who is in charge of it?
 *
 * The family is looked up in a dump of all families, never by name: asking for
 * a name that is not there makes the kernel run modprobe and wait for it.
 *
 * Invariants: no call blocks longer than the timeout given to module_open();
 * no memory is allocated after it. Single-threaded.
 */
#ifndef MCIPSEC_TRACK_MODULE_H
#define MCIPSEC_TRACK_MODULE_H

#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;

struct module {
	struct mnl_socket *nl;
	unsigned int port;
	uint32_t seq;
	int timeout_ms;
	uint16_t family;	/* 0: not resolved, or not loaded */
	uint32_t events;	/* id of its multicast group */
};

struct group_status {
	uint32_t id;
	uint8_t state;		/* enum mcipsec_state */
	uint8_t action;		/* enum mcipsec_action */
	uint32_t lease_id;	/* 0: none, never runs out */
	uint64_t lease_expiry;	/* CLOCK_BOOTTIME ns, 0: never granted */
};

/* All return 0 or -errno; -ETIMEDOUT when the kernel gave no answer in time. */
int module_open(struct module *m, int timeout_ms);
void module_close(struct module *m);

/* -ENOENT: module not loaded. */
int module_resolve(struct module *m);

/* -ENOENT: no such group, or the module is not loaded. */
int module_group_get(struct module *m, uint32_t id, struct group_status *out);

bool group_forwards(const struct group_status *s);

/*
 * True if the group does not forward and nobody is in charge: its lease has
 * run out. now: CLOCK_BOOTTIME in ns.
 */
bool group_abandoned(const struct group_status *s, uint64_t now);

uint64_t boottime_ns(void);

#endif
