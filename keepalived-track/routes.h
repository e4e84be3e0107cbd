/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routes - swap the protocol number, and with it the IPsec state that BIRD
 * reads, of routes that the kernel has.
 *
 *	201 ipsec-master-with-peer	211 the same for static private routes
 *	202 ipsec-master-without-peer	212
 *	203 ipsec-non-master		213
 *	204 ipsec-fenced		214
 *
 * ipsec-fenced is a state of this daemon only: the gate is shut because the
 * agent's lease ran out, so nothing must be attracted at any metric. The filters
 * of bird-conf do not take such a route in; BIRD withdraws it.
 *
 * The protocol is not part of a route's key: one NLM_F_REPLACE swaps it, and
 * nobody sees the route missing. Everything else of the route is written back
 * as the kernel reported it.
 */
#ifndef MCIPSEC_TRACK_ROUTES_H
#define MCIPSEC_TRACK_ROUTES_H

#include <stdint.h>

struct plan;
struct plan_route;

/* The protocol a route shall have, 0: leave it as it is. */
typedef uint8_t (*routes_choose)(struct plan_route *route, uint8_t protocol,
				 void *data);

uint8_t routes_fenced(uint8_t protocol);	/* 0: not a route that can fall */

/*
 * Offer every route of the plan that the kernel has under one of the protocols
 * above to choose(). Returns how many were changed, or the first -errno after
 * trying all of them.
 */
int routes_rewrite(struct plan *plan, routes_choose choose, void *data);

#endif
