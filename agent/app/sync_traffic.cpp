// SPDX-License-Identifier: GPL-2.0-or-later
// SyncControl's part about the counters of tunnels: every export of the kernel's sequence
// state carries them, what changed goes to the peer behind the same sample.
#include "app/record_info.hpp"
#include "app/sync_control.hpp"

namespace mcipsec::app {

// A CHILD_SA is known, here or from the peer: whose its two SAs are.
void SyncControl::name_sas(Group &g, const mcs::Key &child)
{
    const auto *e = session_.entry(g.tag, child);
    const auto *ike = e && e->parent ? session_.entry(g.tag, *e->parent) : nullptr;
    if (!ike)
        return;
    if (const auto sas = child_sas(info_fields(e->info))) {
        g.counters.name(SaId::of(sas->in), ike->name, loop_.now());
        g.counters.name(SaId::of(sas->out), ike->name, loop_.now());
    }
}

void SyncControl::count(Group &g, std::span<const mcipsec_seq> kernel)
{
    g.counters.count(kernel, loop_.now());
    if (auto changed = g.counters.changed(); !changed.empty())
        step(mcs::ev::Traffic{g.tag, std::move(changed)});
}

// What the SAs have carried before this process began, whoever is master.
void SyncControl::count_first(const std::string &tag)
{
    auto *g = group_of(tag);
    if (!g)
        return;
    if (const auto all = seq_get(g->id))
        count(*g, *all);
}

Traffic SyncControl::traffic(GroupId group, const std::string &connection) const
{
    const auto it = groups_.find(group);
    return it == groups_.end() ? Traffic{} : it->second.counters.of(connection);
}

}  // namespace mcipsec::app
