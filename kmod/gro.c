// SPDX-License-Identifier: GPL-2.0-only
/*
 * The GRO path of ESP. esp4_offload and esp6_offload decrypt already while
 * packets are being merged, before any netfilter hook: a packet of a group
 * that does not forward would move the replay window. So their entry in
 * inet_offloads is wrapped: such a packet is kept from GRO and takes the
 * ordinary way to the gate. ESP-in-UDP, where it is merged, calls the same
 * entry.
 *
 * The entry is one for all namespaces: dispatch is by the device's namespace.
 * A wrapped module is pinned, for its entry is called from ours; the slot is
 * put back on exit, and only if nobody wrapped it once more.
 *
 * Threading: wrapping under mcipsec_gro_lock, from module load, from the
 * notifier of another module's load and from exit. Receive runs under RCU.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <net/gro.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/protocol.h>

#include "mcipsec.h"

struct mcipsec_gro {
	const struct net_offload __rcu	**slot;
	const struct net_offload	*wrapped;	/* NULL: not wrapped */
	struct module			*owner;
	struct net_offload		own;
	const char			*name;		/* of the module to wrap */
	bool				built_in;
};

static DEFINE_MUTEX(mcipsec_gro_lock);
static struct mcipsec_gro mcipsec_gro4 = {
	.slot = &inet_offloads[IPPROTO_ESP],
	.name = "esp4_offload",
	.built_in = IS_BUILTIN(CONFIG_INET_ESP_OFFLOAD),
};

static struct mcipsec_gro mcipsec_gro6 = {
	.slot = &inet6_offloads[IPPROTO_ESP],
	.name = "esp6_offload",
	.built_in = IS_BUILTIN(CONFIG_INET6_ESP_OFFLOAD),
};

static bool mcipsec_gro_closed(const struct sk_buff *skb, u16 family, const void *daddr)
{
	struct mcipsec_net *mn = mcipsec_net(dev_net(skb->dev));
	struct mcipsec_group *g;
	bool lapsed;

	g = mcipsec_group_by_addr(mn, family, daddr, NULL);
	if (!g || mcipsec_group_action(g, &lapsed) == MCIPSEC_ACTION_FORWARD)
		return false;
	mcipsec_count(g, MCIPSEC_STAT_DROP_GRO);
	return true;
}

static struct sk_buff *mcipsec_gro_refuse(struct sk_buff *skb)
{
	NAPI_GRO_CB(skb)->same_flow = 0;
	NAPI_GRO_CB(skb)->flush = 1;
	return NULL;
}

static struct sk_buff *mcipsec_gro4_receive(struct list_head *head, struct sk_buff *skb)
{
	const struct net_offload *next = READ_ONCE(mcipsec_gro4.wrapped);
	const struct iphdr *iph = skb_gro_network_header(skb);

	if (!next || mcipsec_gro_closed(skb, AF_INET, &iph->daddr))
		return mcipsec_gro_refuse(skb);
	return next->callbacks.gro_receive(head, skb);
}

static struct sk_buff *mcipsec_gro6_receive(struct list_head *head, struct sk_buff *skb)
{
	const struct net_offload *next = READ_ONCE(mcipsec_gro6.wrapped);
	const struct ipv6hdr *ip6h = skb_gro_network_header(skb);

	if (!next || mcipsec_gro_closed(skb, AF_INET6, &ip6h->daddr))
		return mcipsec_gro_refuse(skb);
	return next->callbacks.gro_receive(head, skb);
}

/*
 * Pin the module that @function lies in, if it is the one of that name. The
 * kset of modules is the one way to it from here; the reference to its kobject
 * keeps the module's end waiting while we look.
 */
static bool mcipsec_gro_pin(struct mcipsec_gro *gro, void *function)
{
	struct kobject *kobj = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, gro->name);
	struct module *owner;
	bool ok;

	if (!kobj)
		return false;
	owner = container_of(kobj, struct module_kobject, kobj)->mod;
	ok = owner && within_module((unsigned long)function, owner) && try_module_get(owner);
	kobject_put(kobj);
	if (ok)
		gro->owner = owner;
	return ok;
}

static void mcipsec_gro_wrap(struct mcipsec_gro *gro,
			     struct sk_buff *(*receive)(struct list_head *, struct sk_buff *))
{
	const struct net_offload *orig;

	if (gro->wrapped)
		return;
	orig = rcu_access_pointer(*gro->slot);
	if (!orig || !orig->callbacks.gro_receive)
		return;
	if (!gro->built_in && !mcipsec_gro_pin(gro, orig->callbacks.gro_receive)) {
		pr_warn("mcipsec: ESP's GRO entry is not that of %s: left alone\n", gro->name);
		return;
	}
	gro->own = *orig;
	gro->own.callbacks.gro_receive = receive;
	WRITE_ONCE(gro->wrapped, orig);
	if (cmpxchg((const struct net_offload __force **)gro->slot, orig, &gro->own) == orig)
		return;
	WRITE_ONCE(gro->wrapped, NULL);
	module_put(gro->owner);
	gro->owner = NULL;
}

/* True once our entry is out of the slot. */
static bool mcipsec_gro_unwrap(struct mcipsec_gro *gro)
{
	if (!gro->wrapped)
		return true;
	return cmpxchg((const struct net_offload __force **)gro->slot,
		       (const struct net_offload *)&gro->own, gro->wrapped) == &gro->own;
}

static void mcipsec_gro_wrap_all(void)
{
	mutex_lock(&mcipsec_gro_lock);
	mcipsec_gro_wrap(&mcipsec_gro4, mcipsec_gro4_receive);
	mcipsec_gro_wrap(&mcipsec_gro6, mcipsec_gro6_receive);
	mutex_unlock(&mcipsec_gro_lock);
}

/* A module is live only after its init, which fills the slot. */
static int mcipsec_gro_module(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action == MODULE_STATE_LIVE)
		mcipsec_gro_wrap_all();
	return NOTIFY_DONE;
}

static struct notifier_block mcipsec_gro_notifier = {
	.notifier_call = mcipsec_gro_module,
};

int mcipsec_gro_register(void)
{
	int err;

	err = register_module_notifier(&mcipsec_gro_notifier);
	if (err)
		return err;
	mcipsec_gro_wrap_all();
	return 0;
}

void mcipsec_gro_unregister(void)
{
	struct mcipsec_gro *gros[] = { &mcipsec_gro4, &mcipsec_gro6 };
	unsigned int i;

	unregister_module_notifier(&mcipsec_gro_notifier);
	mutex_lock(&mcipsec_gro_lock);
	for (i = 0; i < ARRAY_SIZE(gros); i++) {
		/*
		 * Somebody wrapped our entry and would call it after we are
		 * gone: wait until he takes his away.
		 */
		while (!mcipsec_gro_unwrap(gros[i])) {
			pr_warn_once("mcipsec: ESP's GRO entry was wrapped by another module, waiting for it\n");
			schedule_timeout_uninterruptible(HZ / 10);
		}
	}
	synchronize_net();
	for (i = 0; i < ARRAY_SIZE(gros); i++) {
		if (gros[i]->wrapped)
			module_put(gros[i]->owner);
		gros[i]->wrapped = NULL;
	}
	mutex_unlock(&mcipsec_gro_lock);
}
