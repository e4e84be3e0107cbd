// SPDX-License-Identifier: GPL-2.0-only
/*
 * Truth tables of action.h, run on load with selftest=1. A line that fails is
 * named by its number and the module does not load.
 *
 * Lines 1-24: state x flags x lease x next-hop -> action.
 * Lines 25-61: action x class x origin -> verdict.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>

#include "../action.h"

#define DISCOVERY	MCIPSEC_STATE_DISCOVERY
#define NOTELIGIBLE	MCIPSEC_STATE_NOT_ELIGIBLE
#define ELIGIBLE	MCIPSEC_STATE_ELIGIBLE
#define STANDBY		MCIPSEC_STATE_STANDBY
#define MASTER		MCIPSEC_STATE_MASTER
#define PREP		MCIPSEC_F_PREPARED
#define NOMINAL		MCIPSEC_F_NOMINAL
#define YES		true
#define NO		false

struct mcipsec_action_case {
	u8			state;
	u32			flags;
	bool			lease_ok;
	bool			can_shunt;
	enum mcipsec_action	want;
};

static const struct mcipsec_action_case mcipsec_action_cases[] __initconst = {
	/*  state       flags    lease next-hop */
	/*  1 */ { DISCOVERY,   0,       YES, NO,  MCIPSEC_ACTION_BLACKHOLE },
	/*  2 */ { DISCOVERY,   0,       YES, YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  3 */ { DISCOVERY,   0,       NO,  YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  4 */ { DISCOVERY,   PREP,    YES, YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  5 */ { NOTELIGIBLE, 0,       YES, NO,  MCIPSEC_ACTION_BLACKHOLE },
	/*  6 */ { NOTELIGIBLE, 0,       YES, YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  7 */ { NOTELIGIBLE, 0,       NO,  YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  8 */ { NOTELIGIBLE, PREP,    YES, YES, MCIPSEC_ACTION_BLACKHOLE },
	/*  9 */ { STANDBY,     0,       YES, NO,  MCIPSEC_ACTION_BLACKHOLE },
	/* 10 */ { STANDBY,     0,       YES, YES, MCIPSEC_ACTION_SHUNT },
	/* 11 */ { STANDBY,     0,       NO,  NO,  MCIPSEC_ACTION_BLACKHOLE },
	/* 12 */ { STANDBY,     0,       NO,  YES, MCIPSEC_ACTION_SHUNT },
	/* 13 */ { STANDBY,     PREP,    YES, YES, MCIPSEC_ACTION_PREPARED },
	/* 14 */ { STANDBY,     PREP,    NO,  YES, MCIPSEC_ACTION_SHUNT },
	/* 15 */ { STANDBY,     PREP,    YES, NO,  MCIPSEC_ACTION_BLACKHOLE },
	/* 16 */ { STANDBY,     NOMINAL, YES, YES, MCIPSEC_ACTION_SHUNT },
	/* 17 */ { ELIGIBLE,    0,       YES, NO,  MCIPSEC_ACTION_FORWARD },
	/* 18 */ { ELIGIBLE,    0,       NO,  NO,  MCIPSEC_ACTION_BLACKHOLE },
	/* 19 */ { ELIGIBLE,    0,       NO,  YES, MCIPSEC_ACTION_BLACKHOLE },
	/* 20 */ { MASTER,      0,       YES, NO,  MCIPSEC_ACTION_FORWARD },
	/* 21 */ { MASTER,      0,       YES, YES, MCIPSEC_ACTION_FORWARD },
	/* 22 */ { MASTER,      0,       NO,  YES, MCIPSEC_ACTION_BLACKHOLE },
	/* 23 */ { MASTER,      PREP,    YES, YES, MCIPSEC_ACTION_FORWARD },
	/* 24 */ { __MCIPSEC_STATE_MAX, 0, YES, YES, MCIPSEC_ACTION_BLACKHOLE },
};

#define BLACKHOLE	MCIPSEC_ACTION_BLACKHOLE
#define SHUNT		MCIPSEC_ACTION_SHUNT
#define FORWARD		MCIPSEC_ACTION_FORWARD
#define PREPARED	MCIPSEC_ACTION_PREPARED
#define NONE		MCIPSEC_CLASS_NONE
#define IN_ESP		MCIPSEC_CLASS_IN_ESP
#define IN_IKE		MCIPSEC_CLASS_IN_IKE
#define IN_ICMP		MCIPSEC_CLASS_IN_ICMP
#define IN_PING		MCIPSEC_CLASS_IN_PING
#define OUT_ESP		MCIPSEC_CLASS_OUT_ESP
#define OUT_IKE		MCIPSEC_CLASS_OUT_IKE
#define PRIVATE		MCIPSEC_CLASS_PRIVATE
#define OTHER		MCIPSEC_ORIGIN_OTHER
#define DEVICE		MCIPSEC_ORIGIN_DEVICE
#define NEXTHOP		MCIPSEC_ORIGIN_NEXTHOP

struct mcipsec_verdict_case {
	enum mcipsec_action	action;
	enum mcipsec_class	class;
	enum mcipsec_origin	origin;
	enum mcipsec_verdict	want;
};

static const struct mcipsec_verdict_case mcipsec_verdict_cases[] __initconst = {
	/* 25 */ { BLACKHOLE, NONE,    OTHER,   MCIPSEC_PASS },
	/* 26 */ { BLACKHOLE, IN_ESP,  OTHER,   MCIPSEC_DROP },
	/* 27 */ { BLACKHOLE, IN_IKE,  OTHER,   MCIPSEC_DROP },
	/* 28 */ { BLACKHOLE, IN_ICMP, OTHER,   MCIPSEC_DROP },
	/* 29 */ { BLACKHOLE, OUT_ESP, OTHER,   MCIPSEC_DROP },
	/* 30 */ { BLACKHOLE, OUT_IKE, OTHER,   MCIPSEC_DROP },
	/* 31 */ { BLACKHOLE, PRIVATE, OTHER,   MCIPSEC_DROP },
	/* 32 */ { BLACKHOLE, IN_ESP,  NEXTHOP, MCIPSEC_DROP },
	/* 33 */ { FORWARD,   IN_ESP,  OTHER,   MCIPSEC_PASS },
	/* 34 */ { FORWARD,   IN_IKE,  NEXTHOP, MCIPSEC_PASS },
	/* 35 */ { FORWARD,   IN_ICMP, DEVICE,  MCIPSEC_PASS },
	/* 36 */ { FORWARD,   OUT_ESP, OTHER,   MCIPSEC_PASS },
	/* 37 */ { FORWARD,   OUT_IKE, OTHER,   MCIPSEC_PASS },
	/* 38 */ { FORWARD,   PRIVATE, OTHER,   MCIPSEC_PASS },
	/* 39 */ { SHUNT,     NONE,    OTHER,   MCIPSEC_PASS },
	/* 40 */ { SHUNT,     IN_ESP,  OTHER,   MCIPSEC_SHUNT },
	/* 41 */ { SHUNT,     IN_IKE,  DEVICE,  MCIPSEC_SHUNT },
	/* 42 */ { SHUNT,     IN_ICMP, OTHER,   MCIPSEC_SHUNT },
	/* 43 */ { SHUNT,     IN_ESP,  NEXTHOP, MCIPSEC_DROP },
	/* 44 */ { SHUNT,     OUT_ESP, OTHER,   MCIPSEC_DROP },
	/* 45 */ { SHUNT,     OUT_IKE, OTHER,   MCIPSEC_DROP },
	/* 46 */ { SHUNT,     PRIVATE, OTHER,   MCIPSEC_SHUNT },
	/* 47 */ { SHUNT,     PRIVATE, NEXTHOP, MCIPSEC_DROP },
	/* 48 */ { PREPARED,  NONE,    OTHER,   MCIPSEC_PASS },
	/* 49 */ { PREPARED,  IN_ESP,  OTHER,   MCIPSEC_SHUNT },
	/* 50 */ { PREPARED,  IN_ESP,  DEVICE,  MCIPSEC_PASS },
	/* 51 */ { PREPARED,  IN_ESP,  NEXTHOP, MCIPSEC_PASS },
	/* 52 */ { PREPARED,  IN_IKE,  OTHER,   MCIPSEC_SHUNT },
	/* 53 */ { PREPARED,  IN_ICMP, NEXTHOP, MCIPSEC_PASS },
	/* 54 */ { PREPARED,  OUT_ESP, OTHER,   MCIPSEC_PASS },
	/* 55 */ { PREPARED,  OUT_IKE, OTHER,   MCIPSEC_DROP },
	/* 56 */ { PREPARED,  PRIVATE, OTHER,   MCIPSEC_SHUNT },
	/* 57 */ { PREPARED,  PRIVATE, NEXTHOP, MCIPSEC_PASS },
	/* 58 */ { BLACKHOLE, IN_PING, OTHER,   MCIPSEC_DROP },
	/* 59 */ { FORWARD,   IN_PING, OTHER,   MCIPSEC_PASS },
	/* 60 */ { SHUNT,     IN_PING, OTHER,   MCIPSEC_SHUNT },
	/* 61 */ { PREPARED,  IN_PING, NEXTHOP, MCIPSEC_PASS },
};

int __init mcipsec_action_selftest(void)
{
	const unsigned int first = ARRAY_SIZE(mcipsec_action_cases) + 1;
	unsigned int i, bad = 0;

	for (i = 0; i < ARRAY_SIZE(mcipsec_action_cases); i++) {
		const struct mcipsec_action_case *c = &mcipsec_action_cases[i];
		enum mcipsec_action got = mcipsec_action_of(c->state, c->flags, c->lease_ok,
							    c->can_shunt);

		if (got == c->want)
			continue;
		pr_err("mcipsec: selftest line %u: action %d, not %d\n", i + 1, got, c->want);
		bad++;
	}
	for (i = 0; i < ARRAY_SIZE(mcipsec_verdict_cases); i++) {
		const struct mcipsec_verdict_case *c = &mcipsec_verdict_cases[i];
		enum mcipsec_verdict got = mcipsec_verdict_of(c->action, c->class, c->origin);

		if (got == c->want)
			continue;
		pr_err("mcipsec: selftest line %u: verdict %d, not %d\n", first + i, got, c->want);
		bad++;
	}
	pr_info("mcipsec: selftest: %zu lines, %u wrong\n",
		ARRAY_SIZE(mcipsec_action_cases) + ARRAY_SIZE(mcipsec_verdict_cases), bad);
	return bad ? -EINVAL : 0;
}
