// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases: how long a group may forward without hearing from its agent.
 *
 * The agent renews its lease just before each packet that keeps its peer
 * waiting (DESIGN "Lease"); a group forwards only while the lease runs. Each
 * packet compares the clock (mcipsec_group_action()), so nothing has to fire
 * in time. The timer's only job is to tell listeners, which withdraw routes
 * and VRRP priority of a node whose agent is frozen.
 *
 * Owner: the cookie of whoever set the lease. While it runs nobody else can
 * set it, nor the state of its groups. When it changes hands after an expiry,
 * what the former owner left forwards no more.
 *
 * Threading: mcipsec_lease_set() under mcipsec_net.lock; the timer runs in
 * softirq under RCU and only reads.
 */
#include <linux/bitops.h>
#include <linux/rcupdate.h>

#include "mcipsec.h"

static bool mcipsec_would_forward(const struct mcipsec_group *g)
{
	u32 mode = READ_ONCE(g->mode);
	u8 state = MCIPSEC_MODE_STATE(mode);

	return state == MCIPSEC_STATE_MASTER || state == MCIPSEC_STATE_ELIGIBLE ||
	       (MCIPSEC_MODE_FLAGS(mode) & MCIPSEC_F_PREPARED);
}

static void mcipsec_lease_tell(struct mcipsec_lease *lease, enum mcipsec_event event, gfp_t gfp)
{
	struct mcipsec_group *g;
	unsigned long id;

	xa_for_each(&lease->mn->groups, id, g)
		if (READ_ONCE(g->lease) == lease && mcipsec_would_forward(g))
			mcipsec_event(g, event, gfp);
}

static enum hrtimer_restart mcipsec_lease_timer(struct hrtimer *timer)
{
	struct mcipsec_lease *lease = container_of(timer, struct mcipsec_lease, timer);

	rcu_read_lock();
	if (!mcipsec_lease_runs(lease) && !test_and_set_bit(0, &lease->reported))
		mcipsec_lease_tell(lease, MCIPSEC_EVENT_LEASE_EXPIRED, GFP_ATOMIC);
	rcu_read_unlock();
	return HRTIMER_NORESTART;
}

void mcipsec_lease_init(struct mcipsec_lease *lease, struct mcipsec_net *mn, u32 id)
{
	lease->mn = mn;
	lease->id = id;
	mcipsec_hrtimer_setup(&lease->timer, mcipsec_lease_timer, CLOCK_BOOTTIME,
			      HRTIMER_MODE_ABS_SOFT);
}

void mcipsec_lease_stop(struct mcipsec_lease *lease)
{
	hrtimer_cancel(&lease->timer);
}

/* Does it run for somebody else? */
bool mcipsec_lease_busy(const struct mcipsec_lease *lease, const u8 *cookie)
{
	return lease->owned && memcmp(lease->cookie, cookie, MCIPSEC_COOKIE_LEN) &&
	       mcipsec_lease_runs(lease);
}

/*
 * Renew or revoke (an @expiry that has passed). Under mcipsec_net.lock.
 * -EBUSY: it runs for another cookie.
 */
int mcipsec_lease_set(struct mcipsec_lease *lease, const u8 *cookie, u64 expiry)
{
	bool ran = mcipsec_lease_runs(lease);
	struct mcipsec_group *g;
	unsigned long id;

	if (mcipsec_lease_busy(lease, cookie))
		return -EBUSY;

	if (!ran) {
		/*
		 * Whatever another owner left here ends before the lease runs
		 * again. A group without an owner is in discovery still.
		 */
		xa_for_each(&lease->mn->groups, id, g) {
			if (g->lease != lease || !g->owned ||
			    !memcmp(g->cookie, cookie, MCIPSEC_COOKIE_LEN))
				continue;
			g->owned = false;
			if (MCIPSEC_MODE_STATE(g->mode) == MCIPSEC_STATE_DISCOVERY)
				continue;
			mcipsec_group_set_mode(g, MCIPSEC_STATE_DISCOVERY, 0);
			mcipsec_event(g, MCIPSEC_EVENT_STATE, GFP_KERNEL);
		}
		WRITE_ONCE(lease->era, lease->era + 1);
	}
	memcpy(lease->cookie, cookie, MCIPSEC_COOKIE_LEN);
	lease->owned = true;

	/* The era and the states above are seen by whoever sees the new end. */
	atomic64_set_release(&lease->expiry, expiry);
	if (mcipsec_lease_runs(lease) && test_and_clear_bit(0, &lease->reported))
		mcipsec_lease_tell(lease, MCIPSEC_EVENT_LEASE_RENEWED, GFP_KERNEL);
	hrtimer_start(&lease->timer, ns_to_ktime(expiry), HRTIMER_MODE_ABS_SOFT);
	return 0;
}
