// SPDX-License-Identifier: GPL-2.0-or-later
// The standby's side: takes the acting master's frames, keeps the database,
// acknowledges in order what has been settled.
//
// A transaction is settled when charon and kernel have the record, or when it is
// refused or parked by name (NACK before ACK). ACK is cumulative. A delete is
// begun only when everything before it is settled: a CHILD_SA that moved to a new
// IKE_SA must have moved before the old IKE_SA is purged.
#include <algorithm>

#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {
namespace {

// More than any peer of ours can have in flight: the stream makes no sense.
constexpr std::size_t kMaxReceived = 65536;
constexpr std::size_t kMaxFrozen = 4u << 20;

}  // namespace

// I5. Counts why not.
bool Session::Impl::counts(Verdict v)
{
    n.rejected_not_acting += v == Verdict::NotActing;
    n.rejected_generation += v == Verdict::OtherGeneration;
    return v == Verdict::Take;
}

bool Session::Impl::accept(Group *g, Generation generation) { return g && counts(judge_change(*g, generation)); }

// ---------------------------------------------------------- what we lack ---

// Nobody to listen to, or nothing to hear: what was under way with the master ends.
void Session::Impl::stop_rx(Group &g)
{
    g.rx = Rx::Idle;
    g.rx_synced = false;
    // A delta would not name again what is undecided, and confirm() would give it up.
    if (std::exchange(g.put, false) || !g.propose.empty() || !g.ended.empty() || !g.contested.empty())
        g.known_epoch = 0;
    g.propose.clear();
    g.ended.clear();
    g.contested.clear();
    g.rivals.clear();
    g.appealed.clear();
    g.final_asked = g.final_done = false;
}

void Session::Impl::request(Group &g)
{
    frame::Resync f{g.tag, g.generation, g.offer->serial, frame::Resync::Mode::Digest, 0, {}, false};
    if (g.known_epoch == peer.db_epoch && g.known_epoch != 0) {
        f.mode = frame::Resync::Mode::Delta;
        f.from = g.known;
    } else if (g.db.size() == 0) {
        f.mode = frame::Resync::Mode::Buckets;
        f.mask = all_buckets();
    }
    g.rx = Rx::Requested;
    g.rx_synced = false;
    frame::encode(tx, f);
    n.frames_out++;
}

void Session::Impl::on(frame::Offer &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    g->offer = f;
    g->rx = Rx::Idle;  // settle_states() asks when role and generation agree
    g->rx_synced = false;
}

void Session::Impl::on(frame::Digest &f)
{
    auto *g = find(f.tag);
    if (!accept(g, f.generation))
        return;
    if (!g->offer || f.serial != g->offer->serial || g->rx != (f.audit ? Rx::Live : Rx::Requested)) {
        n.frames_unexpected++;
        return;
    }
    const auto mask = difference(g->db.buckets(), f.buckets);
    if (f.audit) {
        n.audits++;
        if (!any(mask))
            return;
        n.audit_mismatches++;
        log(act::Severity::Warning, g->tag, "audit-mismatch", "databases differ: " + std::to_string(g->db.size()) + " entries here, " + std::to_string(f.entries) + " on the acting master; repairing");
    }
    frame::encode(tx, frame::Resync{g->tag, g->generation, f.serial, frame::Resync::Mode::Buckets, f.change, mask, f.audit});
    n.frames_out++;
}

void Session::Impl::on(frame::SnapshotBegin &f)
{
    auto *g = find(f.tag);
    if (!accept(g, f.generation))
        return;
    if (!g->offer || f.serial != g->offer->serial || g->rx == Rx::Idle) {
        n.frames_unexpected++;
        return;
    }
    (any(f.mask) ? n.snapshots_received : n.deltas_received)++;
    g->rx = Rx::Snapshot;
    g->snapshot++;
    g->rx_mask = f.mask;
    g->rx_repair = f.repair;
}

// ------------------------------------------------------------- numbering ---

// Takes the transaction in. False: the numbers do not follow, the channel was closed.
bool Session::Impl::receive(std::uint64_t txn, Received &&r)
{
    if (txn != rx_base + received.size() || received.size() >= kMaxReceived) {
        n.frames_bad++;
        close(kInternalError, "transaction " + std::to_string(txn) + ", expected " + std::to_string(rx_base + received.size()));
        return false;
    }
    r.at = now;
    received.push_back(std::move(r));
    return true;
}

void Session::Impl::nack(const Group &g, std::uint64_t txn, frame::Nack::Why why, const Entry *e, const std::string &reason)
{
    frame::Nack f{g.tag, txn, why, std::nullopt, reason};
    if (e)
        f.key = e->key;
    frame::encode(tx, f);
    n.frames_out++;
}

void Session::Impl::refuse(std::uint64_t txn, const std::string &tag, Group *g, frame::Nack::Why why, std::string reason)
{
    if (!receive(txn, {Received::What::Refused, g, {}, 0, true, {}}))
        return;
    frame::encode(tx, frame::Nack{tag, txn, why, std::nullopt, std::move(reason)});
    n.frames_out++;
}

// The entry's newest transaction is now txn.
void Session::Impl::arrived(Group &, Entry &e, std::uint64_t txn)
{
    received[txn - rx_base].prev = e.rx_txn;
    e.rx_txn = txn;
}

// Settles the transactions of this entry up to the given one. They are chained
// from the newest to the oldest.
void Session::Impl::settle(Entry &e, std::uint64_t up_to)
{
    auto *link = &e.rx_txn;
    while (*link > up_to && *link >= rx_base)
        link = &received[*link - rx_base].prev;
    for (auto txn = std::exchange(*link, 0); txn >= rx_base;) {
        Received &r = received[txn - rx_base];
        r.done = true;
        txn = std::exchange(r.prev, 0);
    }
}

// Begins deletes whose turn it is, acknowledges what is settled.
void Session::Impl::advance()
{
    for (; rx_scan < rx_base + received.size(); rx_scan++) {
        Received &r = received[rx_scan - rx_base];
        if (r.done || !r.group) {
            r.done = true;
        } else if (r.what == Received::What::Delete) {
            auto *e = r.group->db.find(r.key);
            if (!e || !e->tombstone || !can_import(*r.group))
                r.done = true;
            else
                work_delete(*r.group, *e);
        } else if (r.what == Received::What::End) {
            for (const auto &key : std::exchange(r.group->purge, {}))
                if (auto *e = r.group->db.find(key); e && e->tombstone)
                    work_delete(*r.group, *e);
            r.group->rx_synced = r.group->rx == Rx::Live;
            if (r.group->rx_synced)
                confirm(*r.group);
            r.done = true;
        } else {
            break;
        }
    }
    const auto base = rx_base;
    while (!received.empty() && received.front().done) {
        received.pop_front();
        rx_base++;
    }
    rx_scan = std::max(rx_scan, rx_base);
    ack_due = ack_due || rx_base != base;
}

// --------------------------------------------------------------- records ---

void Session::Impl::on(frame::EntryFrame &f)
{
    n.records_received++;
    auto *g = find(f.tag);
    if (!accept(g, f.generation) || g->rx == Rx::Idle) {
        refuse(f.txn, f.tag, g, frame::Nack::Why::Role, "not from the acting master of the current generation");
        return;
    }
    if (!receive(f.txn, {Received::What::Entry, g, f.entry.key, 0, false, {}}))
        return;
    if (g->rx == Rx::Live)
        g->known = f.change;
    auto *held = g->db.find(f.entry.key);
    if (disputed(*g, f.entry, held)) {
        n.stale++;
        if (held)
            held->snapshot = g->snapshot;
        received.back().done = true;
        return;
    }
    const auto rel = held ? relation(f.entry.version, held->version) : Relation::Newer;
    if (held && !held->tombstone && rel == Relation::Same) {
        n.duplicate++;
        held->snapshot = g->snapshot;
        held->own = false;
        arrived(*g, *held, f.txn);
        // Settled already, unless charon has yet to answer or to be asked.
        if (held->status == LocalStatus::Installed || held->status == LocalStatus::LocalDeleted || !can_import(*g))
            settle(*held, f.txn);
        else
            import(*g, *held);
        return;
    }
    // Over a tombstone the master's word counts: it holds an SA that we think ended. Unless
    // its IKE_SA is contested: then that decision is the child's, too.
    const bool contested = f.entry.parent && g->contested.contains(*f.entry.parent);
    if (held && rel == Relation::Older && (!held->tombstone || contested)) {
        n.stale++;
        held->snapshot = g->snapshot;
        received.back().done = true;
        if (!held->tombstone)
            g->propose.push_back(held->key);  // ours descends from the master's: it may want it
        if (held->key.kind == Kind::IkeSa)
            g->contested.insert(held->key);
        return;
    }
    g->contested.erase(f.entry.key);
    n.audit_repaired += g->rx == Rx::Snapshot && g->rx_repair;
    Entry &e = g->db.store(std::move(f.entry), true);
    e.own = false;
    e.snapshot = g->snapshot;
    arrived(*g, e, f.txn);
    import(*g, e);
}

void Session::Impl::on(frame::Delete &f)
{
    n.deletes_received++;
    auto *g = find(f.tag);
    if (!accept(g, f.generation) || g->rx == Rx::Idle) {
        refuse(f.txn, f.tag, g, frame::Nack::Why::Role, "not from the acting master of the current generation");
        return;
    }
    if (!receive(f.txn, {Received::What::Delete, g, f.key, 0, false, {}}))
        return;
    if (g->rx == Rx::Live)
        g->known = f.change;
    auto *held = g->db.find(f.key);
    if (held && held->parent && g->rivals.contains(*held->parent)) {
        n.stale++;
        received.back().done = true;    // decided with its IKE_SA
        return;
    }
    const auto rel = held ? relation(f.version, held->version) : Relation::Newer;
    if (!held || held->tombstone || rel == Relation::Older) {
        n.stale += held && rel == Relation::Older;
        if (!held || rel != Relation::Older) {
            Entry &grave = g->db.bury(f.key, f.version);
            grave.snapshot = g->snapshot;
            grave.own = false;
        }
        received.back().done = true;
        return;
    }
    n.audit_repaired += g->rx == Rx::Snapshot && g->rx_repair;
    Entry &e = g->db.bury(f.key, f.version);
    e.own = false;
    e.snapshot = g->snapshot;
    g->parked.erase(f.key);
    settle(e, e.rx_txn);  // what was still to be installed need not be any more
    arrived(*g, e, f.txn);
    orphan(*g, f.key);
}

void Session::Impl::on(frame::BadRecord &f)
{
    n.records_bad++;
    auto *g = find(f.tag);
    if (g)
        g->bad_records++;
    log(act::Severity::Alarm, f.tag, "record-bad", "record refused: " + f.reason);
    refuse(f.txn, f.tag, g, frame::Nack::Why::Bad, f.reason);
}

// Here alone, without a word of this agent: it has ended. Purged when its turn comes.
void Session::Impl::bury_extra(Group &g, Entry &e)
{
    const Key key = e.key;
    settle(e, e.rx_txn);
    g.parked.erase(key);
    Entry &grave = g.db.bury(key, Version(e.version));
    grave.own = false;
    grave.delete_due = true;    // kept until then
    orphan(g, key);
}

void Session::Impl::on(frame::SnapshotEnd &f)
{
    auto *g = find(f.tag);
    if (!accept(g, f.generation) || g->rx != Rx::Snapshot) {
        refuse(f.txn, f.tag, g, frame::Nack::Why::Role, "end of a snapshot that was not begun");
        return;
    }
    if (!receive(f.txn, {Received::What::End, g, {}, 0, false, {}}))
        return;
    // By difference: what the masked buckets hold and the snapshot did not name.
    if (any(g->rx_mask)) {
        g->bad_records = 0;
        std::vector<Key> extra;
        for (const auto &[key, e] : g->db.entries())
            if (!e.tombstone && e.snapshot != g->snapshot && test(g->rx_mask, bucket_of(key)))
                extra.push_back(key);
        std::sort(extra.begin(), extra.end());
        for (const auto &key : extra) {
            Entry &e = *g->db.find(key);
            if (e.parent && g->rivals.contains(*e.parent))
                continue;       // goes with its IKE_SA
            if (e.own && e.version.generation) {
                if (key.kind == Kind::IkeSa)
                    g->contested.insert(key);
                g->propose.push_back(key);  // the master decides: a record or a delete comes back
                continue;
            }
            n.audit_repaired += g->rx_repair;
            bury_extra(*g, e);
            g->purge.push_back(key);
        }
        if (g->rx_repair)
            log(act::Severity::Warning, g->tag, "audit-repaired", std::to_string(n.audit_repaired) + " entries repaired by audits so far");
    }
    std::stable_partition(g->propose.begin(), g->propose.end(), [](const Key &key) { return key.kind == Kind::IkeSa; });
    g->rx = Rx::Live;
    g->known_epoch = peer.db_epoch;
    g->known = f.target;
}

// ------------------------------------------------------- sequence states ---

// An upper bound: the sample was taken when the peer's clock read `taken`, and our
// clock was ahead of the peer's by at least the best bound that keepalives gave.
Duration Session::Impl::age(std::uint64_t taken) const
{
    const auto since_up = now - up_since;
    if (offsets.empty())
        return since_up + config.keepalive_interval;
    const auto at = static_cast<std::int64_t>(taken) + *std::max_element(offsets.begin(), offsets.end());
    return std::max(Duration(now.time_since_epoch().count() - at), Duration::zero());
}

void Session::Impl::on(frame::Seq &f)
{
    auto *g = find(f.tag);
    if (!accept(g, f.generation)) {
        n.seq_ignored += f.sas.size();
        return;
    }
    n.seq_received += f.sas.size();
    out.push_back(act::ImportSeq{g->tag, std::move(f.sas), age(f.taken), f.last});
}

// By hand-over id, not by role: MIMP's commit may have come before. The import is
// monotonic, so a late one can do no harm.
void Session::Impl::on(frame::Frozen &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    if (f.generation + 1 < g->generation) {
        n.rejected_generation++;
        return;
    }
    if (f.first || !g->frozen_in || g->frozen_in->handover != f.handover) {
        if (!f.first) {
            n.frames_unexpected++;
            return;
        }
        g->frozen_in = frame::Frozen{f.tag, f.generation, f.handover, true, false, {}};
    }
    auto &sas = g->frozen_in->sas;
    if (sas.size() + f.sas.size() > kMaxFrozen) {
        n.frames_bad++;
        g->frozen_in.reset();
        return;
    }
    sas.insert(sas.end(), f.sas.begin(), f.sas.end());
    if (!f.last)
        return;
    n.seq_received += sas.size();
    out.push_back(act::FrozenReceived{g->tag, f.handover, f.generation, std::move(sas)});
    g->frozen_in.reset();
}

}  // namespace mcipsec::mcs
