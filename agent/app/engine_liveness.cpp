// SPDX-License-Identifier: GPL-2.0-or-later
// The liveness check after a merge: two lives of a tunnel met, one of them goes on, and
// the acting master asks the tunnel's peer for life (an empty INFORMATIONAL), so that a
// life that the peer does not know ends now and not with its next rekey. Paced like the
// automatic rekey. An answer shows as a record with a higher message id of our own; a
// peer that does not answer is given up by charon, which ends the IKE_SA.
#include <fmt/format.h>

#include "app/applied.hpp"
#include "app/engine.hpp"

namespace mcipsec::app {

Expected<void> Engine::start_liveness(Group &g, const RekeyConfig &pace)
{
    g.life.pacer = group::RekeyPacer(rekey_pace(pace), random_u64());
    auto timer = loop_.add_timer([this, id = g.id](Time) {
        if (auto *group = find(id))
            liveness_due(*group);
    }, io::Priority::Low);
    if (!timer)
        return tl::unexpected(timer.error());
    g.life.timer = std::move(*timer);
    return {};
}

// apart: both chassis used message ids that the other did not know of. An own request with
// one of them may get the answer that the peer gave to the other's, so the ids come first,
// where the peer can say them. The plugin ends what the life that lost left with the peer.
void Engine::ask_for_life(GroupId id, const MergedIke &merged)
{
    const auto &ike = merged.ike;
    auto *g = find(id);
    if (!g || !acting_master(g->state))
        return;
    if (merged.apart)
        charon_->plugin().doubt(id, ike, merged.rival, [this, id](const Expected<io::RekeyResult> &r) {
            if (!r)
                log_.write({.level = io::Level::Warning,
                            .event = std::string(io::event::kSwitchover),
                            .text = fmt::format("tunnel-group {}: a peer's message ids are in doubt and cannot be asked for: {}", id, r.error().text),
                            .group = id});
        });
    if (!g->life.pacer.progress().running()) {
        g->life.pacer.start({}, loop_.now());
        g->life.answered = 0;
    }
    g->life.asked.erase(ike);
    (void)g->life.pacer.add(ike, loop_.now());
    liveness_due(*g);
}

void Engine::liveness_due(Group &g)
{
    for (auto &ike : g.life.pacer.due(loop_.now()))
        charon_->plugin().liveness(g.id, ike, [this, id = g.id, ike](Expected<io::PluginLiveness> r) {
            auto *group = find(id);
            if (!group)
                return;
            if (r && r->result == io::RekeyResult::Missing)
                liveness_over(*group, ike);
            else if (!r || r->result != io::RekeyResult::Queued)
                group->life.pacer.busy(ike, loop_.now());
            else
                group->life.asked[ike] = r->mid;
            (void)group->life.timer.arm(group->life.pacer.deadline());
        });
    (void)g.life.timer.arm(g.life.pacer.deadline());
}

// mid: what charon's next request on it will have; none: it ended.
void Engine::liveness_seen(GroupId id, const Bytes &ike, std::optional<std::uint32_t> mid)
{
    auto *g = find(id);
    if (!g || !g->life.pacer.progress().running())
        return;
    const auto asked = g->life.asked.find(ike);
    const bool answered = mid && asked != g->life.asked.end() && *mid > asked->second;
    g->life.answered += answered;
    if (answered || !mid)
        liveness_over(*g, ike);
}

void Engine::liveness_over(Group &g, const Bytes &ike)
{
    g.life.asked.erase(ike);
    g.life.pacer.finished(ike);
    (void)g.life.timer.arm(g.life.pacer.deadline());
    const auto p = g.life.pacer.progress();
    if (!p.running())
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kSwitchover),
                    .text = fmt::format("tunnel-group {}: after the merge {} peers were asked for life, {} answered", g.id, p.total, g.life.answered),
                    .group = g.id});
}

}  // namespace mcipsec::app
