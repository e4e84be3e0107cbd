// SPDX-License-Identifier: GPL-2.0-or-later
// What this node says itself: the plugin's records, charon coming and going, the
// kernel's sequence state. Records count only while this node is acting master
// (I5) or while the plugin lists what charon holds. What was refused is asked for again
// when it acts the next time, unless it has stood by in between.
#include <algorithm>

#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {

// ---------------------------------------------------------------- charon ---

// Nothing that was handed to charon will be answered; nothing is in it.
void Session::Impl::charon_lost()
{
    for (auto &r : received) {
        if (r.group)
            if (auto *e = r.group->db.find(r.key))
                e->rx_txn = 0;
        r.prev = 0;
        r.done = r.done || r.what != Received::What::End;
    }
    for (auto &[tag, gp] : groups) {
        Group &g = *gp;
        for (auto &[key, e] : g.db.entries()) {
            e.op = Entry::Op::None;
            e.queued = e.waiting = e.delete_due = e.gives_way = e.leaves = false;
            if (!e.tombstone && e.status != LocalStatus::LocalDeleted)
                g.db.set_status(e, LocalStatus::Pending);
        }
        g.ready.clear();
        g.parked.clear();
        g.filled = g.in_snapshot = false;
    }
    works = 0;
    retry_at = failed_retry_at = kNever;
    advance();
}

void Session::Impl::on(ev::CharonUp &e)
{
    charon_lost();
    charon_up = true;
    local_seq(e.epoch, 0);
}

void Session::Impl::on(ev::CharonDown &)
{
    charon_up = false;
    charon_lost();
}

void Session::Impl::on(ev::ConfLoaded &)
{
    retry(true, true);
}

void Session::Impl::on(ev::Refill &e)
{
    auto *g = find(e.tag);
    if (!g)
        return;
    reimport_all(*g, false);
}

// --------------------------------------------------------------- records ---

void Session::Impl::local_seq(std::uint64_t epoch, std::uint64_t seq)
{
    if (epoch != plugin_epoch) {
        plugin_epoch = epoch;
        plugin_last = plugin_told = 0;
        plugin_open = false;
        for (auto &[tag, g] : groups) {
            g->open.clear();
            for (auto &[key, e] : g->db.entries())
                e.plugin_first = 0;
        }
    }
    plugin_last = std::max(plugin_last, seq);
}

// The plugin may hold packets for this record until the standby has it.
void Session::Impl::track(Group &g, Entry &e, std::uint64_t seq)
{
    if (g.tx != Tx::Catchup && g.tx != Tx::Live)
        return;
    if (e.plugin_first && g.open.count(e.plugin_first))
        return;  // an earlier change of it waits to be sent and will carry this one
    e.plugin_first = seq;
    if (seq)
        g.open.insert(seq);
}

// No record holds it, so the standby cannot have it: it counts as failed while it lives,
// and the plugin is told no more than that this has been heard. Its CHILD_SAs go with it.
void Session::Impl::unfit(Group &g, const ev::LocalUpsert &r)
{
    n.local_rejected++;
    if (auto *e = g.db.find(r.key))
        e->seen = e->in_charon = true;  // an older state of it
    const bool follows = r.parent && g.unfit.contains(*r.parent);
    if (!g.unfit.insert(r.key).second || follows)
        return;     // one word for an IKE_SA and its CHILD_SAs
    g.unfit_told = true;
    log(act::Severity::Alarm, g.tag, "entry-unfit",
        r.key.str() + " " + r.name.substr(0, kMaxName) + (r.unfit.empty() ? " breaks the bounds of a record" : " " + r.unfit.substr(0, kMaxName)) + ", not synchronized: a switchover loses it");
}

// It ended, or a record holds it again.
void Session::Impl::fit(Group &g, const Key &key)
{
    g.unfit.erase(key);
    if (!g.in_snapshot && g.unfit.empty() && std::exchange(g.unfit_told, false))
        log(act::Severity::Clear, g.tag, "entry-unfit", "records hold every IKE_SA and CHILD_SA again");
}

void Session::Impl::on(ev::LocalUpsert &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    local_seq(r.epoch, r.seq);
    if (r.name.size() > kMaxName || r.info.size() > kMaxInfo || r.data.size() > kMaxData || r.data.empty() ||
        (r.key.kind == Kind::ChildSa && (!r.parent || g->unfit.contains(*r.parent))))
        return unfit(*g, r);
    // The CHILD_SAs of an IKE_SA that a record holds again are to be named again.
    if (r.key.kind == Kind::IkeSa && g->unfit.contains(r.key) && !g->in_snapshot)
        out.push_back(act::LocalSnapshotWanted{g->tag});
    fit(*g, r.key);
    auto *held = g->db.find(r.key);
    if (g->acting && held && held->leaves) {
        n.local_rejected++;
        return;
    }
    if (g->acting && gives_way(*g, r.key, r.parent)) {
        n.local_rejected++;
        last_words(*g, r);
        if (held && !held->tombstone)
            held->seen = held->in_charon = true;
        return;
    }
    const bool same = held && !held->tombstone && held->version.lineage == r.lineage && held->version.version == r.version;
    if (!g->acting) {
        if (!g->in_snapshot) {
            n.local_rejected++;
            g->missed = true;
            return;
        }
        if (held && held->tombstone) {
            held->delete_due = true;  // charon still has what has ended; purged when the list is complete
            return;
        }
        if (held) {
            // What is held came from the acting master and counts; it is imported if it differs.
            held->seen = held->in_charon = true;
            if (held->op == Entry::Op::None && held->status != LocalStatus::LocalDeleted)
                g->db.set_status(*held, same ? LocalStatus::Installed : LocalStatus::Pending);
            return;
        }
        if (g->rx == Rx::Live)
            g->brought.push_back(r.key);
    } else if (held && !held->tombstone) {
        held->seen = held->in_charon = true;
        // Of equal number it is something else if ours is what the former master wrote, and
        // charon has not taken that: both counted on from the same state.
        if (same && (g->in_snapshot || held->own || held->status == LocalStatus::Installed)) {
            g->db.set_status(*held, LocalStatus::Installed);
            g->parked.erase(held->key);
            if (!held->own)
                held->base = held->version;
            held->own = true;
            wake(*g, r.key);
            return;
        }
        // Its numbers are those of the state that charon has, not of one that waits to get there.
        const bool taken = g->in_snapshot || held->own || held->status == LocalStatus::Installed;
        if (held->version.lineage == r.lineage && r.version < held->version.version && taken) {
            n.stale++;
            return;
        }
    }
    Entry fresh;
    fresh.key = r.key;
    fresh.parent = r.parent;
    fresh.version = {g->acting ? g->generation : 0, r.lineage, r.version};
    fresh.name = std::move(r.name);
    fresh.info = std::move(r.info);
    fresh.data = std::move(r.data);
    fresh.inbound_age_ms = r.inbound_age_ms;
    const bool append = !held || held->tombstone || !unsent(*g, *held);
    Entry &e = g->db.store(std::move(fresh), append);
    e.own = g->acting;
    e.seen = e.in_charon = true;
    e.delete_due = e.waiting = false;
    settle(e, e.rx_txn);
    g->parked.erase(e.key);
    g->db.set_status(e, LocalStatus::Installed);
    if (g->acting)
        track(*g, e, r.seq);
    wake(*g, Key(e.key));
}

void Session::Impl::bury_local(Group &g, Entry &held, std::uint64_t seq)
{
    settle(held, held.rx_txn);
    Entry &e = g.db.bury(held.key, {g.generation, held.version.lineage, held.version.version + 1});
    e.delete_due = false;
    e.own = true;
    e.ended = now;
    g.parked.erase(e.key);
    track(g, e, seq);
    for (const auto &key : g.db.children(e.key))  // the plugin speaks for those that it has
        if (auto *child = g.db.find(key); child->waiting)
            import(g, *child);
}

void Session::Impl::on(ev::LocalDelete &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    local_seq(r.epoch, r.seq);
    fit(*g, r.key);
    auto *held = g->db.find(r.key);
    if (r.scope == ev::DeleteScope::Local) {
        if (held && !held->tombstone) {
            settle(*held, held->rx_txn);
            g->parked.erase(held->key);
            g->db.set_status(*held, LocalStatus::LocalDeleted);
            held->in_charon = false;
            lost_retry_at = std::min(lost_retry_at, now + config.lost_retry_interval);
            log(act::Severity::Warning, g->tag, "entry-lost", r.key.str() + " " + held->name + ": ended on this chassis only; installed again soon");
            wake(*g, r.key);
            advance();
        }
        return;
    }
    if (!g->acting || gives_way(*g, r.key, std::nullopt)) {
        n.local_rejected++;
        g->missed = true;
        return;
    }
    if (held && !held->tombstone)
        bury_local(*g, *held, r.seq);
    advance();
}

void Session::Impl::on(ev::LocalSnapshotBegin &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    g->in_snapshot = true;
    g->unfit.clear();
    g->brought.clear();
    for (auto &[key, e] : g->db.entries())
        e.seen = false;
}

// What charon's list of a new agent has besides the master's, which came before it: ended while
// nobody listened here. Unless it belongs to an IKE_SA that is still to be decided about.
void Session::Impl::bury_brought(Group &g)
{
    std::size_t buried = 0;
    for (const auto &key : std::exchange(g.brought, {})) {
        auto *e = g.db.find(key);
        const auto ike = e ? e->parent.value_or(key) : key;
        if (g.acting || g.rx != Rx::Live || !e || e->tombstone || e->own || e->version.generation || e->snapshot || g.rivals.contains(ike) || g.contested.contains(ike))
            continue;
        bury_extra(g, *e);
        if (!g.rx_synced)
            g.purge.push_back(key);
        buried++;
    }
    if (buried)
        log(act::Severity::Warning, g.tag, "entries-ended", std::to_string(buried) + " entries of charon that the acting master does not have: purged");
}

void Session::Impl::on(ev::LocalSnapshotEnd &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    g->in_snapshot = false;
    g->filled = true;
    fit(*g, {});
    const bool continuous = g->fill_epoch == plugin_epoch && g->fill_epoch != 0;
    g->fill_epoch = plugin_epoch;
    if (g->acting && continuous) {
        // The same charon: what it had and does not name any more ended while nobody listened.
        std::vector<Key> gone;
        for (const auto &[key, e] : g->db.entries())
            if (!e.tombstone && !e.seen && e.in_charon)
                gone.push_back(key);
        std::sort(gone.begin(), gone.end());
        for (const auto &key : gone)
            bury_local(*g, *g->db.find(key), 0);
    }
    bury_brought(*g);
    for (auto &[key, e] : g->db.entries())
        e.in_charon = e.in_charon && e.seen;
    // Another charon than the one that knew them: they did not end, they were lost.
    reimport_all(*g, true);
    std::vector<Key> ended;
    for (const auto &[key, e] : g->db.entries())
        if (e.tombstone && e.delete_due && std::find(g->purge.begin(), g->purge.end(), key) == g->purge.end())
            ended.push_back(key);
    for (const auto &key : ended)
        work_delete(*g, *g->db.find(key));
}

// -------------------------------------------------------- sequence state ---

void Session::Impl::on(ev::SeqSample &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    if (!g->acting || (g->tx != Tx::Catchup && g->tx != Tx::Live)) {
        n.seq_ignored += r.sas.size();
        return;  // act::SeqWanted asks for everything when somebody listens
    }
    if (g->samples == Group::Samples::Asked)
        g->samples = Group::Samples::Complete;
    if (g->seq_out.empty()) {
        g->seq_due = !r.sas.empty() || now >= g->seq_empty_at;
        g->seq_out = std::move(r.sas);
        g->seq_taken = r.taken;
        return;
    }
    // The former sample has not left yet: newer numbers replace its, its (older)
    // time stays, so that every age is an upper bound.
    const auto id = [](const SaSeq &s) {
        std::string k(reinterpret_cast<const char *>(&s.sa.spi), 4);
        k.append(reinterpret_cast<const char *>(s.sa.daddr), 16);
        return k += static_cast<char>(s.sa.proto);
    };
    std::unordered_map<std::string, std::size_t> at;
    for (std::size_t i = 0; i < g->seq_out.size(); i++)
        at.emplace(id(g->seq_out[i]), i);
    for (const auto &s : r.sas) {
        n.seq_merged++;
        if (const auto it = at.find(id(s)); it != at.end())
            g->seq_out[it->second] = s;
        else
            g->seq_out.push_back(s);
    }
}

void Session::Impl::on(ev::FrozenSeq &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    if (!ready()) {
        n.seq_ignored += r.sas.size();
        log(act::Severity::Warning, g->tag, "frozen-lost", "no channel for the final sequence state of hand-over " + std::to_string(r.handover));
        return;
    }
    g->final_done = g->final_done || r.handover == 0;
    g->seq_out.clear();  // older than what follows
    g->seq_due = false;
    g->frozen_out.clear();
    std::size_t done = 0;
    do {
        const auto k = std::min(r.sas.size() - done, frame::kMaxSeqPerFrame);
        frame::Frozen f{g->tag, g->generation, r.handover, done == 0, done + k == r.sas.size(), {}};
        f.sas.assign(r.sas.begin() + static_cast<std::ptrdiff_t>(done), r.sas.begin() + static_cast<std::ptrdiff_t>(done + k));
        g->frozen_out.push_back(std::move(f));
        done += k;
    } while (done < r.sas.size());
    n.seq_sent += r.sas.size();
}

void Session::Impl::on(ev::FrozenApplied &r)
{
    auto *g = find(r.tag);
    if (!g || !ready())
        return;
    frame::encode(tx, frame::FrozenAck{g->tag, r.handover});
    n.frames_out++;
}

}  // namespace mcipsec::mcs
