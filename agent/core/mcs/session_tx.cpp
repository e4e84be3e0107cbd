// SPDX-License-Identifier: GPL-2.0-or-later
// The acting master's side: it offers a group, answers what the standby lacks by
// one walk over the change log (whole, by buckets, or behind a known change),
// goes on live, and learns from acknowledgements what the plugin may release.
//
// Order on the wire: during catch-up IKE_SAs, then CHILD_SAs, then deletes, so
// that no record comes before its parent; live in the order of changes. A change
// that has not been sent keeps its place when it changes again (coalescing).
#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {

namespace {
constexpr Duration kEmptySample = std::chrono::seconds(1);  // between two samples without a change
}

void Session::Impl::offer(Group &g)
{
    stop_tx(g);
    g.tx = Tx::Offered;
    g.offered = g.generation;
    g.serial = next_serial++;
    frame::encode(tx, frame::Offer{g.tag, g.generation, g.serial, g.db.last_change(), g.db.size(), g.inherits});
    n.frames_out++;
}

void Session::Impl::stop_tx(Group &g)
{
    g.tx = Tx::Idle;
    g.run = next_run++;
    g.end_acked = g.begin_due = g.digest_due = false;
    g.samples = Group::Samples::Partial;
    g.open.clear();
    g.seq_out.clear();
}

void Session::Impl::start_catchup(Group &g, std::uint64_t from, const BucketMask &mask, bool repair)
{
    // A repair of a live group keeps what is open: it was not acknowledged yet.
    if (!repair || g.tx != Tx::Live) {
        g.open.clear();
        g.end_acked = false;
    } else {
        from = std::min(from, g.cursor);
    }
    g.run = next_run++;
    for (auto &item : in_flight)
        if (item.group == &g && repair && g.tx == Tx::Live)
            item.run = g.run;
    g.tx = Tx::Catchup;
    g.begin_due = true;
    g.repair = repair;
    g.mask = mask;
    g.from = from;
    g.target = g.db.last_change();
    g.pass = 0;
    g.pos = any(mask) ? 0 : from;
    (any(mask) ? n.snapshots_sent : n.deltas_sent)++;
}

namespace {

int pass_of(const Entry &e)
{
    return e.tombstone ? 2 : e.key.kind == Kind::IkeSa ? 0 : 1;
}

// Whether the catch-up of the group has to name this entry at all. What the
// standby has too much in a masked bucket it finds by difference.
bool wanted(const Group &g, const Entry &e)
{
    return e.change > g.from || (!e.tombstone && test(g.mask, bucket_of(e.key)));
}

}  // namespace

bool Session::Impl::unsent(const Group &g, const Entry &e) const
{
    if (g.tx == Tx::Live)
        return e.change > g.cursor;
    if (g.tx != Tx::Catchup)
        return false;
    if (e.change > g.target)
        return true;
    return wanted(g, e) && (pass_of(e) > g.pass || (pass_of(e) == g.pass && e.change > g.pos));
}

bool Session::Impl::drained(const Group &g) const
{
    return g.tx == Tx::Live && g.cursor >= g.db.last_change();
}

void Session::Impl::send_entry(Group &g, Entry &e)
{
    const auto before = tx.size();
    const auto txn = next_txn++;
    if (e.tombstone) {
        frame::encode(tx, frame::Delete{g.tag, g.generation, txn, e.change, e.key, e.version});
        n.deletes_sent++;
    } else {
        frame::encode_entry(tx, g.tag, g.generation, txn, e);
        n.records_sent++;
    }
    n.frames_out++;
    const auto bytes = tx.size() - before;
    in_flight.push_back({txn, &g, g.run, e.change, e.plugin_first, bytes, now, false});
    in_flight_bytes += bytes;
    e.plugin_first = 0;
}

// Sends the next entry, or the frame that ends a catch-up. False: nothing to send.
bool Session::Impl::send_next(Group &g)
{
    if (g.tx == Tx::Live) {
        auto *e = g.db.next(g.cursor);
        if (!e)
            return false;
        g.cursor = e->change;
        send_entry(g, *e);
        return true;
    }
    if (g.tx != Tx::Catchup)
        return false;
    if (g.begin_due) {
        g.begin_due = false;
        frame::encode(tx, frame::SnapshotBegin{g.tag, g.generation, g.serial, g.from, g.target, g.mask, g.repair});
        n.frames_out++;
    }
    while (g.pass < 3) {
        auto *e = g.db.next(g.pos);
        if (!e || e->change > g.target) {
            g.pass++;
            g.pos = any(g.mask) ? 0 : g.from;
            continue;
        }
        g.pos = e->change;
        if (pass_of(*e) != g.pass || !wanted(g, *e))
            continue;
        send_entry(g, *e);
        return true;
    }
    const auto txn = next_txn++;
    frame::encode(tx, frame::SnapshotEnd{g.tag, g.generation, txn, g.target});
    n.frames_out++;
    in_flight.push_back({txn, &g, g.run, g.target, 0, 0, now, true});
    g.tx = Tx::Live;
    g.cursor = g.target;
    return true;
}

void Session::Impl::send_seq(Group &g)
{
    while (g.seq_due && tx.size() < config.write_chunk) {
        const auto k = std::min(g.seq_out.size(), frame::kMaxSeqPerFrame);
        frame::Seq f{g.tag, g.generation, static_cast<std::uint64_t>(g.seq_taken.time_since_epoch().count()), k == g.seq_out.size() && g.samples == Group::Samples::Complete, {}};
        f.sas.assign(g.seq_out.end() - static_cast<std::ptrdiff_t>(k), g.seq_out.end());
        g.seq_out.resize(g.seq_out.size() - k);
        frame::encode(tx, f);
        n.frames_out++;
        n.seq_sent += k;
        g.seq_due = !g.seq_out.empty();
        g.seq_empty_at = now + kEmptySample;
    }
}

// Adds to the write buffer what may be sent now, up to one chunk.
void Session::Impl::fill()
{
    for (auto &[tag, gp] : groups) {
        Group &g = *gp;
        if (g.digest_due && (g.tx == Tx::Offered || drained(g))) {
            frame::Digest f{g.tag, g.generation, g.serial, g.db.last_change(), g.db.size(), g.digest_audit, g.db.buckets()};
            frame::encode(tx, f);
            n.frames_out++;
            g.digest_due = false;
        }
        if (g.tx == Tx::Catchup || g.tx == Tx::Live)
            send_seq(g);
        send_traffic(g);
        propose(g);
    }
    // One entry a group in turn, so that a large snapshot does not starve the others.
    for (std::size_t idle = 0; idle < groups.size() && tx.size() < config.write_chunk;) {
        if (!in_flight.empty() && (in_flight.size() >= config.window_entries || in_flight_bytes >= config.window_bytes))
            break;
        auto it = groups.upper_bound(turn);
        if (it == groups.end())
            it = groups.begin();
        turn = it->first;
        idle = send_next(*it->second) ? 0 : idle + 1;
    }
    for (auto &[tag, gp] : groups) {
        Group &g = *gp;
        while (!g.frozen_out.empty() && tx.size() < config.write_chunk && (g.tx != Tx::Live || drained(g)) && g.tx != Tx::Catchup) {
            frame::encode(tx, g.frozen_out.front());
            n.frames_out++;
            g.frozen_out.pop_front();
        }
    }
}

void Session::Impl::on(frame::Resync &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    if (!serves(*g) || g->tx == Tx::Idle || f.serial != g->serial || f.generation != g->generation) {
        n.frames_unexpected++;
        return;
    }
    const bool repair = f.repair && g->tx == Tx::Live && g->end_acked;
    switch (f.mode) {
    case frame::Resync::Mode::Delta:
        if (f.from >= g->db.horizon() && f.from <= g->db.last_change()) {
            start_catchup(*g, f.from, BucketMask{}, repair);
            break;
        }
        [[fallthrough]];
    case frame::Resync::Mode::Digest:
        if (g->tx != Tx::Offered) {  // asked for again in the middle: begin anew
            offer(*g);
            break;
        }
        g->digest_due = true;
        g->digest_audit = false;
        break;
    case frame::Resync::Mode::Buckets:
        // Everything is asked for, or a tombstone went since the digest: all that lives,
        // and no tombstone, since what is too much shows by difference.
        if (f.mask == all_buckets() || f.from > g->db.last_change() || f.from < g->db.horizon())
            start_catchup(*g, g->db.last_change(), all_buckets(), repair);
        else
            start_catchup(*g, f.from, f.mask, repair);
        break;
    }
}

void Session::Impl::on(frame::Ack &f)
{
    if (f.txn >= next_txn) {
        n.frames_unexpected++;
        return;
    }
    while (!in_flight.empty() && in_flight.front().txn <= f.txn) {
        const auto item = in_flight.front();
        in_flight.pop_front();
        in_flight_bytes -= item.bytes;
        if (!item.group || item.run != item.group->run)
            continue;
        Group &g = *item.group;
        g.open.erase(item.plugin_first);
        if (item.end) {
            g.acked = std::max(g.acked, item.change);
            if (!g.end_acked) {
                out.push_back(act::SeqWanted{g.tag});
                g.samples = Group::Samples::Asked;
            }
            // A delta says nothing about what both sides believe already known.
            if (!g.repair) {
                g.digest_due = true;
                g.digest_audit = true;
            }
            g.end_acked = true;
        } else if (g.tx == Tx::Live && g.end_acked) {
            g.acked = std::max(g.acked, item.change);
        }
    }
}

void Session::Impl::on(frame::Nack &f)
{
    n.nacks_received++;
    auto *g = find(f.tag);
    if (!g)
        return;
    const auto what = f.key ? f.key->str() + ": " + f.reason : f.reason;
    switch (f.why) {
    case frame::Nack::Why::AwaitConf: log(act::Severity::Info, g->tag, "peer-await-conf", what); break;
    case frame::Nack::Why::Failed: log(act::Severity::Warning, g->tag, "peer-entry-failed", what); break;
    case frame::Nack::Why::Bad: log(act::Severity::Alarm, g->tag, "peer-record-bad", what); break;
    case frame::Nack::Why::Role:
        // Our role or generation is not the peer's view (yet): it asks again when it is.
        for (const auto &item : in_flight) {
            if (item.txn == f.txn && item.group == g && item.run == g->run && g->tx != Tx::Idle && g->tx != Tx::Offered) {
                log(act::Severity::Info, g->tag, "peer-refused", what);
                offer(*g);
                break;
            }
        }
        break;
    }
}

void Session::Impl::on(frame::FrozenAck &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    // Not by a hand-over's: the old master may have had to go on after it.
    if (f.handover == 0 && !g->acting)
        g->final_due = false;
    out.push_back(act::FrozenAcked{g->tag, f.handover});
}

// Tells the plugin how far the standby is, and the engine when a record of this session
// begins or ends to be open. always: also when nothing of that is new.
void Session::Impl::plugin_ack(bool always)
{
    if (plugin_last == 0)
        return;
    auto upto = plugin_last;
    bool commit = false, open = false;
    for (const auto &[tag, g] : groups) {
        if (!g->commit)
            continue;
        commit = true;
        if (!g->open.empty()) {
            open = true;
            upto = std::min(upto, *g->open.begin() - 1);
        }
    }
    if ((!commit && !plugin_open) || (upto <= plugin_told && open == plugin_open && !always))
        return;
    plugin_told = std::max(plugin_told, upto);
    plugin_open = open;
    out.push_back(act::PluginAck{plugin_epoch, plugin_told, !open});
}

}  // namespace mcipsec::mcs
