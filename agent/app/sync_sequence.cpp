// SPDX-License-Identifier: GPL-2.0-or-later
// SyncControl's part about sequence numbers (I3): between the kernel, SeqState and the
// peer. An SA under import is held until its number is set.
#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "app/applied.hpp"
#include "app/record_info.hpp"
#include "app/sync_control.hpp"

namespace mcipsec::app {

namespace {

constexpr unsigned kSeqTries = 3;       // an export that meets a full socket
constexpr Duration kTidyInterval = 60s;

}  // namespace

// I3: charon installs at number zero, and the group may forward, now or before the
// answer is here. The SA sends nothing until seed_sequence() has found it.
Expected<void> SyncControl::hold_sequence(Group &g, const mcs::Key &child, const std::string &info)
{
    const auto sas = child_sas(info_fields(info));
    if (!sas)
        return tl::unexpected(sas.error());
    const auto held = kernel_.seq_hold(g.id, std::span(&sas->out, 1), true);
    if (!held)
        return tl::unexpected(held.error());
    if (held->refused)
        return fail(-EPERM, "the kernel module does not know SAs of this kind");
    g.held.try_emplace(child, Held{sas->out, false});
    g.seq.made_anew(sas->out);
    return {};
}

// What charon did not install, or no longer has, waits for no number.
void SyncControl::release_sequence(Group &g, const mcs::Key &child)
{
    if (const auto held = g.held.extract(child))
        (void)kernel_.seq_hold(g.id, std::span(&held.mapped().sa, 1), false);       // an error: the module went, and the hold with it
}

// It was imported in the middle of a rekey: its outbound SA is still to come.
bool SyncControl::waits_for_outbound(const Group &g, const mcs::Key &child) const
{
    const auto held = g.held.find(child);
    return held != g.held.end() && held->second.late;
}

// The present number of an SA that waits for it: how many of them the kernel does not have.
Expected<std::size_t> SyncControl::seed(Group &g, std::span<const mcipsec_seq> sas)
{
    const Time now = loop_.now();
    std::vector<mcipsec_seq> raise;
    for (const auto &sa : sas)
        raise.push_back(g.seq.reseed(sa, now, acting_master(g.state)));
    const auto done = seq_set(g, raise, true);
    if (!done)
        return tl::unexpected(done.error());
    if (!done->refused.empty())
        return fail(-EPERM, fmt::format("the kernel refused the numbers of {} of its SAs (hardware offload, or no address of the group)", done->refused.size()));
    return done->missing;
}

// In the middle of a rekey charon installs the outbound SA later.
void SyncControl::seed_late(Group &g)
{
    std::erase_if(g.held, [&](const auto &item) {
        if (!item.second.late)
            return false;
        const auto missing = seed(g, std::span(&item.second.sa, 1));
        return missing && *missing == 0;
    });
}

// A kernel SA that charon just installed counts from zero: it gets the last
// known numbers with their margin before the record is acknowledged.
Expected<void> SyncControl::seed_sequence(Group &g, const mcs::Key &child, const std::string &info)
{
    const auto sas = child_sas(info_fields(info));
    if (!sas)
        return tl::unexpected(sas.error());
    const std::array both{sas->in, sas->out};
    const auto missing = seed(g, both);
    if (!missing)
        return tl::unexpected(missing.error());
    if (*missing >= both.size())
        return fail(-ENOENT, "the kernel has none of its SAs");
    // One of the two may not be installed in the middle of a rekey.
    if (*missing == 0)
        g.held.erase(child);
    else
        g.held.insert_or_assign(child, Held{sas->out, true});
    return {};
}

// What the kernel was not given is as good as unknown (SeqState::not_given).
Expected<SeqImport> SyncControl::seq_set(Group &g, std::span<const mcipsec_seq> sas, bool end_hold)
{
    auto done = import_sequence(sas, [&](std::span<const mcipsec_seq> part) { return kernel_.seq_set(g.id, part, 0, end_hold); });
    if (!done) {
        g.seq.not_given(sas, loop_.now());
    } else if (!done->refused.empty()) {
        g.seq.not_given(done->refused, loop_.now());
        tell_refused(g, *done);
    }
    return done;
}

// Samples come five times a second: an SA that is refused each time is said once.
void SyncControl::tell_refused(Group &g, const SeqImport &done)
{
    std::size_t fresh = 0;
    for (const auto &sa : done.refused)
        fresh += g.refused.insert(SaId::of(sa)).second;
    if (fresh)
        log_.write({.level = io::Level::Error,
                    .event = std::string(io::event::kAlarm),
                    .text = fmt::format("tunnel-group {}: the kernel refuses the sequence numbers of {} SAs (hardware offload, or no address of the group): "
                                        "after a takeover they only receive until they are rekeyed; one has the SPI {:08x}",
                                        g.id, fresh, be32toh(done.refused.front().spi)),
                    .group = g.id});
}

void SyncControl::run_import_seq(const mcs::act::ImportSeq &a)
{
    auto *g = group_of(a.tag);
    if (!g)
        return;
    const Time now = loop_.now();
    const Time taken = now - a.age;
    const auto raise = g->seq.peer_sample(a.sas, taken, now);
    if (a.complete)
        g->seq.complete(taken);
    // A hold that is not ours is of an agent that died in the middle of an import.
    if (const auto done = seq_set(*g, raise, g->held.empty()); !done)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence import: " + done.error().text, .group = g->id});
}

void SyncControl::run_frozen(const mcs::act::FrozenReceived &a)
{
    auto *g = group_of(a.tag);
    if (!g)
        return;
    const auto raise = g->seq.frozen(a.sas, loop_.now(), acting_master(g->state));
    const auto done = seq_set(*g, raise);
    if (!done) {
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "frozen sequence import: " + done.error().text, .group = g->id});
        return;
    }
    step(mcs::ev::FrozenApplied{a.tag, a.handover});
    if (a.handover && callbacks.frozen_applied)
        callbacks.frozen_applied(g->id, a.handover);
}

Expected<std::vector<mcipsec_seq>> SyncControl::seq_get(GroupId group)
{
    std::vector<mcipsec_seq> all;
    auto done = kernel_.seq_get(group, [&](std::span<const mcipsec_seq> part) { all.insert(all.end(), part.begin(), part.end()); });
    if (!done)
        return tl::unexpected(done.error());
    return all;
}

void SyncControl::sample(GroupId group)
{
    auto *g = group_of(group);
    if (!g)
        return;
    const Time now = loop_.now();
    seed_late(*g);
    if (!acting_master(g->state)) {
        if (g->state != Mastership::Standby)
            return;
        // T is how long the paced rekeys after a takeover may take.
        auto params = seq_params(g->config.sequence, peer_.detection);
        const Duration paced = 2s * static_cast<std::int64_t>(g->seq.size()) / std::max(1u, g->config.rekey.rate) + 10s;
        params.send_time = std::max(params.send_time, paced);
        g->seq.set_params(params);
        const auto raise = g->seq.refresh(now);
        if (auto done = seq_set(*g, raise); !done)
            log_.write({.level = io::Level::Warning, .event = std::string(io::event::kKernel), .text = "margin: " + done.error().text, .group = group});
        if (now >= g->tidied + kTidyInterval)
            if (const auto all = seq_get(group)) {
                tidy(*g, *all);
                count(*g, *all);
            }
        return;
    }
    stop_unsafe(*g);
    auto all = seq_get(group);
    if (!all) {
        if (!std::exchange(g->sample_failed, true))
            log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence export: " + all.error().text, .group = group});
        return;
    }
    g->sample_failed = false;
    tidy(*g, *all);
    count(*g, *all);
    for (const auto &sa : *all)
        if (const auto id = SaId::of(sa); !(sa.flags & MCIPSEC_SEQ_F_OUT))
            if (const auto known = g->seq.known(id); known && sa.seq > known->seq)
                g->inbound[id] = now;
    if (!std::exchange(g->sample_all, false))
        std::erase_if(*all, [&](const mcipsec_seq &sa) {
            const auto known = g->seq.known(SaId::of(sa));
            return known && known->oseq == sa.oseq && known->seq == sa.seq;
        });
    step(mcs::ev::SeqSample{g->tag, now, g->seq.local_sample(*all, now)});
}

// It ceases to act, its gate is shut: what it sent is what the kernel has now. Later the
// margins of a standby are in there, too.
void SyncControl::keep_final(Group &g)
{
    g.final.clear();
    if (const auto all = seq_get(g.id))
        g.final = g.seq.local_sample(*all, loop_.now());
    else
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence export: " + all.error().text, .group = g.id});
}

void SyncControl::send_final(Group &g)
{
    tell_inbound(g);
    step(mcs::ev::FrozenSeq{g.tag, 0, g.final});   // none: margins must do
}

void SyncControl::tell_inbound(Group &g)
{
    auto latest = g.exchanged;
    session_.for_each(g.tag, [&](const mcs::Entry &e) {
        if (e.key.kind != mcs::Kind::ChildSa || !e.parent)
            return;
        if (const auto sas = child_sas(info_fields(e.info)))
            if (const auto it = g.inbound.find(SaId::of(sas->in)); it != g.inbound.end())
                latest[*e.parent] = std::max(latest[*e.parent], it->second);
    });
    step(mcs::ev::InboundSeen{g.tag, {latest.begin(), latest.end()}});
}

Expected<void> SyncControl::send_frozen(GroupId group, std::uint64_t handover)
{
    auto *g = group_of(group);
    if (!g)
        return fail(-ENOENT, "tunnel-group is not synchronised");
    const Time now = loop_.now();
    auto all = seq_get(group);
    if (!all)
        return tl::unexpected(all.error());
    count(*g, *all);
    step(mcs::ev::FrozenSeq{g->tag, handover, g->seq.local_sample(*all, now)});
    return {};
}

void SyncControl::begin_handover(GroupId group)
{
    if (auto *g = group_of(group))
        g->seq.thaw();
}

void SyncControl::peer_lost(GroupId group)
{
    if (auto *g = group_of(group))
        g->seq.alone(loop_.now());
}

std::vector<SaId> SyncControl::near_the_peer(GroupId group)
{
    auto *g = group_of(group);
    return g ? g->seq.take_near() : std::vector<SaId>();
}

void SyncControl::keep_near(GroupId group, std::span<const SaId> sas)
{
    if (auto *g = group_of(group))
        g->seq.keep_near(sas, loop_.now());
}

bool SyncControl::has_near(GroupId group) const
{
    const auto it = groups_.find(group);
    return it != groups_.end() && it->second.seq.has_near();
}

std::vector<NeedsRekey> SyncControl::takeover(GroupId group, bool handed_over)
{
    auto *g = group_of(group);
    if (!g)
        return {};
    if (has_peer()) {
        auto kernel = seq_get(group);
        for (unsigned tries = 1; !kernel && tries < kSeqTries; ++tries)
            kernel = seq_get(group);
        if (kernel)
            g->seq.unknown(*kernel, loop_.now());
        else
            log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence export: " + kernel.error().text, .group = group});
    }
    auto urgent = g->seq.takeover(loop_.now(), handed_over);
    stop_unsafe(*g);
    return urgent;
}

// I3: what the margins do not cover (any more) must not send under its old key.
void SyncControl::stop_unsafe(Group &g)
{
    const auto stop = g.seq.must_stop(loop_.now());
    if (stop.empty())
        return;
    const auto done = seq_set(g, stop);
    if (!done) {
        log_.write({.level = io::Level::Error,
                    .event = std::string(io::event::kAlarm),
                    .text = fmt::format("tunnel-group {}: {} SAs must not send, but: {}", g.id, stop.size(), done.error().text),
                    .group = g.id});
        return;
    }
    // Of those that are rekeyed and gone already the kernel has none.
    const auto idle = done->refused.size() + done->missing;
    if (idle >= stop.size())
        return;
    const auto stopped = stop.size() - idle;
    g.receive_only += stopped;
    log_.write({.level = io::Level::Warning,
                .event = std::string(io::event::kAlarm),
                .text = fmt::format("tunnel-group {}: {} SAs only receive until they are rekeyed: their sequence state is too old", g.id, stopped),
                .group = g.id});
}

// Rekeyed and deleted SAs leave the kernel first.
void SyncControl::tidy(Group &g, std::span<const mcipsec_seq> kernel)
{
    const Time now = loop_.now();
    if (now < g.tidied + kTidyInterval)
        return;
    g.tidied = now;
    // What is not installed yet, but may be any time, keeps its numbers, too.
    std::vector<mcipsec_seq> there(kernel.begin(), kernel.end());
    session_.for_each(g.tag, [&](const mcs::Entry &e) {
        if (e.key.kind != mcs::Kind::ChildSa || e.status == mcs::LocalStatus::Installed)
            return;
        if (const auto sas = child_sas(info_fields(e.info)))
            there.insert(there.end(), {sas->in, sas->out});
    });
    (void)g.seq.retain(there, now);
    std::erase_if(g.inbound, [&](const auto &item) { return !g.seq.known(item.first); });
    std::erase_if(g.exchanged, [&](const auto &item) { return !session_.entry(g.tag, item.first); });
    std::erase_if(g.refused, [&](const SaId &id) { return !g.seq.known(id); });
}

std::uint64_t SyncControl::receive_only(GroupId group) const
{
    const auto it = groups_.find(group);
    return it == groups_.end() ? 0 : it->second.receive_only;
}

std::vector<SeqState::Debt> SyncControl::debts(GroupId group) const
{
    const auto it = groups_.find(group);
    if (it == groups_.end())
        return {};
    auto out = it->second.seq.debts();
    for (const auto &[key, held] : it->second.held)     // its number is not set: the next process lets it only receive
        out.push_back({SaId::of(held.sa), loop_.now()});
    return out;
}

void SyncControl::restore(GroupId group, std::span<const SeqState::Debt> debts)
{
    if (auto *g = group_of(group))
        g->seq.restore(debts);
}

std::optional<SeqState::Known> SyncControl::known(GroupId group, const SaId &sa) const
{
    const auto it = groups_.find(group);
    return it == groups_.end() ? std::nullopt : it->second.seq.known(sa);
}

}  // namespace mcipsec::app
