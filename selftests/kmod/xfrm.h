/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xfrm.h - SAs in number for the benchmarks: made, read and set the way a
 * program without the module has to, one netlink request each.
 */
#ifndef MCIPSEC_SELFTEST_XFRM_H
#define MCIPSEC_SELFTEST_XFRM_H

#include "nl.h"

#define XFRM_GATEWAY "198.51.100.1"

/*
 * SAs have numbers from 0. Even ones go to the gateway, odd ones come from it;
 * the far ends are in 10.0.0.0/8. With ESN and a window of 128.
 */
bool xfrm_add(struct nl *nl, unsigned int from, unsigned int to);
bool xfrm_delete(struct nl *nl, unsigned int from, unsigned int to);

/* XFRM_MSG_GETAE and XFRM_MSG_NEWAE of one SA; exit on failure. */
uint64_t xfrm_get_oseq(struct nl *nl, unsigned int number);
void xfrm_set_oseq(struct nl *nl, unsigned int number, uint64_t oseq, uint64_t seq);

#endif
