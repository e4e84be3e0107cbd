// SPDX-License-Identifier: GPL-2.0-only
/*
 * mcipsec - multi-chassis IPsec: lets at most one of two gateways forward a
 * tunnel-group's ESP and IKE. Load, unload, and network namespaces.
 *
 * Order of load: what answers requests comes last, when everything it can
 * reach works; unload is the reverse. Unload is refused while any namespace
 * has a group, for a group pins the module (I1).
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "mcipsec.h"

static bool mcipsec_selftest;
module_param_named(selftest, mcipsec_selftest, bool, 0400);
MODULE_PARM_DESC(selftest, "check the truth tables on load; refuse to load if one is wrong");

bool mcipsec_debug;
module_param_named(debug, mcipsec_debug, bool, 0400);
MODULE_PARM_DESC(debug, "allow MCIPSEC_CMD_DEBUG_SET, for tests");

static unsigned int mcipsec_net_id __read_mostly;

struct mcipsec_net *mcipsec_net(const struct net *net)
{
	return net_generic(net, mcipsec_net_id);
}

static int __net_init mcipsec_net_init(struct net *net)
{
	struct mcipsec_net *mn = mcipsec_net(net);

	mn->net = net;
	mutex_init(&mn->lock);
	xa_init(&mn->groups);
	return 0;
}

static void __net_exit mcipsec_net_exit(struct net *net)
{
	mcipsec_group_release_all(mcipsec_net(net));
}

static struct pernet_operations mcipsec_net_ops = {
	.init = mcipsec_net_init,
	.exit = mcipsec_net_exit,
	.id = &mcipsec_net_id,
	.size = sizeof(struct mcipsec_net),
};

static int __init mcipsec_init(void)
{
	int err;

	if (mcipsec_selftest) {
		err = mcipsec_action_selftest();
		if (err)
			return err;
	}
	err = register_pernet_subsys(&mcipsec_net_ops);
	if (err)
		return err;
	err = mcipsec_xfrm_register();
	if (err)
		goto pernet;
	err = mcipsec_gro_register();
	if (err)
		goto xfrm;
	err = genl_register_family(&mcipsec_family);
	if (err)
		goto gro;
	return 0;

gro:
	mcipsec_gro_unregister();
xfrm:
	mcipsec_xfrm_unregister();
pernet:
	unregister_pernet_subsys(&mcipsec_net_ops);
	return err;
}

static void __exit mcipsec_exit(void)
{
	genl_unregister_family(&mcipsec_family);
	mcipsec_gro_unregister();
	mcipsec_xfrm_unregister();
	unregister_pernet_subsys(&mcipsec_net_ops);
	/* Groups and next-hops are freed by code of this module. */
	rcu_barrier();
}

module_init(mcipsec_init);
module_exit(mcipsec_exit);

MODULE_DESCRIPTION("Multi-chassis IPsec: gate, shunt and sequence state of tunnel-groups");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_ALIAS_GENL_FAMILY(MCIPSEC_GENL_NAME);
