/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernel versions, so that the rest reads like code
 * for the newest one. Included ahead of every file. Where a macro shows that a
 * feature exists it is asked, not the version: stable series take back-ports.
 */
#ifndef _MCIPSEC_COMPAT_H
#define _MCIPSEC_COMPAT_H

#include <linux/version.h>
#include <linux/hrtimer.h>
#include <linux/netlink.h>
#include <net/genetlink.h>

#if !IS_ENABLED(CONFIG_IPV6) || !IS_ENABLED(CONFIG_NETFILTER) || !IS_ENABLED(CONFIG_XFRM)
#error "mcipsec needs CONFIG_IPV6, CONFIG_NETFILTER and CONFIG_XFRM"
#endif

/* 6.7 moved the attributes of a dump into struct genl_info. */
static inline struct nlattr **mcipsec_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* 6.13 joined hrtimer_init() and the assignment of the function. */
static inline void mcipsec_hrtimer_setup(struct hrtimer *timer,
					 enum hrtimer_restart (*function)(struct hrtimer *),
					 clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

#endif /* _MCIPSEC_COMPAT_H */
