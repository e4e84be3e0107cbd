// SPDX-License-Identifier: GPL-2.0-or-later
// Events, channel, hello, keepalive, states and timers of an MCS session.
#include <algorithm>
#include <cerrno>

#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {
namespace {

// What may wait to be written beside entries: answers to what the peer asks.
constexpr std::size_t kMaxUnsent = 8u << 20;

std::string_view major_of(std::string_view version)
{
    return version.substr(0, version.find('.'));
}

}  // namespace

// ------------------------------------------------------------- public face ---

Session::Session(Config config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Session::~Session() = default;
Session::Session(Session &&) noexcept = default;
Session &Session::operator=(Session &&) noexcept = default;

Actions Session::step(Event event, Time now)
{
    impl_->now = now;
    impl_->step(event);
    return std::exchange(impl_->out, {});
}

Time Session::deadline() const { return impl_->deadline(); }
SessionStatus Session::status() const { return impl_->status(); }

std::optional<GroupStatus> Session::group_status(const std::string &tag) const
{
    const auto it = impl_->groups.find(tag);
    if (it == impl_->groups.end())
        return std::nullopt;
    return impl_->group_status(*it->second);
}

const Entry *Session::entry(const std::string &tag, const Key &key) const
{
    const auto it = impl_->groups.find(tag);
    return it == impl_->groups.end() ? nullptr : it->second->db.find_live(key);
}

void Session::for_each_entry(const std::string &tag, void (*f)(void *, const Entry &), void *context) const
{
    if (const auto it = impl_->groups.find(tag); it != impl_->groups.end())
        for (const auto &[key, e] : it->second->db.entries())
            if (!e.tombstone)
                f(context, e);
}

bool Session::lose_entry_for_test(const std::string &tag, const Key &key)
{
    const auto it = impl_->groups.find(tag);
    if (it == impl_->groups.end() || !it->second->db.find(key))
        return false;
    it->second->db.erase(key);
    return true;
}

// --------------------------------------------------------------- one step ---

void Session::Impl::step(Event &event)
{
    std::visit([this](auto &e) { on(e); }, event);
    settle_states();
    pump_imports();
    flush();
}

void Session::Impl::log(act::Severity s, const std::string &tag, const char *what, std::string text)
{
    out.push_back(act::Log{s, tag, what, std::move(text)});
}

Group *Session::Impl::find(const std::string &tag)
{
    const auto it = groups.find(tag);
    if (it == groups.end()) {
        n.unknown_events++;
        return nullptr;
    }
    return it->second.get();
}

std::uint32_t Session::Impl::flags() const
{
    auto f = sticky_flags;
    if (!admin_up)
        f |= kSyncAdminDown;
    if (peer_admin_down)
        f |= kPeerAdminDown;
    if (!channel || closing)
        f |= kConnectionDown;
    return f;
}

// Changes of this group that have waited too long, here or at the peer.
std::uint64_t Session::Impl::pending(const Group &g) const
{
    const auto old = [this](Time t) { return now - t >= config.pending_grace; };
    if (g.acting) {
        if (in_flight.empty() || !old(in_flight.front().sent))  // in the order of sending
            return 0;
        return static_cast<std::uint64_t>(std::count_if(in_flight.begin(), in_flight.end(), [&](const InFlight &i) { return i.group == &g; }));
    }
    const auto installing = g.db.gauges().installing;
    if (g.refilling || !can_import(g))
        return installing;
    return !received.empty() && old(received.front().at) ? installing : 0;
}

SyncState Session::Impl::group_state(const Group &g) const
{
    if (!ready())
        return SyncState::OutOfSync;
    if (g.acting && !g.peer_acting)
        return g.end_acked && (g.tx == Tx::Live || g.tx == Tx::Catchup) ? SyncState::InSync : SyncState::InProgress;
    if (!g.acting && g.peer_acting)
        return g.rx_synced ? SyncState::InSync : SyncState::InProgress;
    return SyncState::InProgress;
}

// What follows from the event, whatever it was: offers and requests, states, commit.
void Session::Impl::settle_states()
{
    advance();
    auto all = ready() ? SyncState::InSync : SyncState::OutOfSync;
    for (auto &[tag, gp] : groups) {
        Group &g = *gp;
        if (serves(g)) {
            if (g.tx == Tx::Idle || g.offered != g.generation)
                offer(g);
        } else if (g.tx != Tx::Idle) {
            stop_tx(g);
        }
        if (!hears(g)) {
            stop_rx(g);
        } else if (g.rx == Rx::Idle && g.offer && g.offer->generation == g.generation) {
            request(g);
        }
        // What it sent while it acted, too: the customer takes nothing below that, record or no record.
        g.put = g.put || (hears(g) && (!g.propose.empty() || !g.ended.empty()));
        if (hears(g) && (g.final_due || !g.propose.empty() || !g.ended.empty()) && !std::exchange(g.final_asked, true))
            out.push_back(act::FinalSeqWanted{g.tag});
        if (!serves(g)) {
            g.outvoted.clear();
            g.adopted.clear();
            std::erase_if(g.merged, [&](const auto &d) { return !g.acting || d.second.told; });
            g.taken.clear();
            g.proposals.clear();
            g.ends.clear();
        }
        g.refilling = g.refilling && g.db.gauges().installing != 0;
        follow_ends(g);
        n.tombstones_dropped += g.db.trim(g.acked, g.generation, config.max_tombstones);
        if (g.tx == Tx::Live && g.db.horizon() > g.cursor)
            offer(g);  // a delete that was not sent went with its tombstone

        g.state = group_state(g);
        if (!g.acting && g.state == SyncState::InSync)
            g.heard = g.generation;
        all = std::min(all, g.state);
        const bool commit = g.acting && g.state == SyncState::InSync;
        if (commit != g.commit) {
            g.commit = commit;
            if (commit)
                plugin_ack(true);
            out.push_back(act::CommitMode{g.tag, commit});
        }
        act::ProtectionInputs p;
        p.tag = g.tag;
        p.in_sync = g.state == SyncState::InSync;
        p.pending = pending(g);
        p.await_conf = g.db.gauges().await_conf;
        p.failed = g.gauges().alarmed;
        p.lost = g.db.gauges().local_deleted;
        p.peer_pending = g.peer.pending;
        p.peer_await_conf = g.peer.gauges.await_conf;
        p.peer_failed = g.peer.gauges.alarmed;
        p.peer_lost = g.peer.gauges.local_deleted;
        p.config_differs = !g.config_differs.empty();
        if (!g.protection_told || p != g.protection) {
            g.protection = p;
            g.protection_told = true;
            out.push_back(std::move(p));
        }
        if (const auto gauges = g.gauges(); gauges != std::exchange(g.gauges_told, gauges) && !g.acting)
            out.push_back(act::GaugesChanged{g.tag});
        tell_status(g);
    }
    if (all != state || flags() != told_flags) {
        const auto old = std::exchange(state, all);
        told_flags = flags();
        out.push_back(act::SyncStateChanged{old, state, told_flags});
    }
    plugin_ack(false);
}

void Session::Impl::tell_status(Group &g)
{
    if (!ready())
        return;
    frame::Status s{g.tag, g.gauges(), g.state, g.generation, g.acting, g.mastership, pending(g), g.reasons};
    const auto same = [](const frame::Status &a, const frame::Status &b) {
        return a.gauges == b.gauges && a.state == b.state && a.generation == b.generation && a.acting == b.acting && a.mastership == b.mastership &&
               a.pending == b.pending && a.reasons == b.reasons;
    };
    if (g.told_once && same(s, g.told)) {
        g.tell_at = kNever;
        return;
    }
    // At most one in an interval; the first after a quiet time at once.
    if (g.tell_at == kNever && g.told_once)
        g.tell_at = now;
    if (now < g.tell_at)
        return;
    frame::encode(tx, s);
    n.frames_out++;
    g.told = std::move(s);
    g.told_once = true;
    g.tell_at = now + config.status_interval;
}

void Session::Impl::flush()
{
    if (!channel || closing)
        return;
    if (tx.size() > kMaxUnsent)
        return close(kInternalError, "peer makes us write and does not read", false);
    if (ready()) {
        if (reply_due) {
            reply_due = false;
            frame::encode(tx, frame::Keepalive{static_cast<std::uint64_t>(now.time_since_epoch().count()), peer_clock, false});
            n.frames_out++;
        }
        if (ack_due) {
            ack_due = false;
            frame::encode(tx, frame::Ack{rx_base - 1});
            n.frames_out++;
        }
        if (!writing)
            fill();
    }
    if (writing || tx.empty())
        return;
    writing = true;
    n.bytes_out += tx.size();
    out.push_back(act::SendBytes{tx.take()});
}

Time Session::Impl::deadline() const
{
    auto t = std::min({retry_at, failed_retry_at, lost_retry_at});
    if (!channel)
        return t;
    t = std::min({t, last_rx + config.dead_interval, keepalive_at, hello ? kNever : hello_by, audit_at});
    for (const auto &[tag, g] : groups)
        if (ready() && g->told_once)
            t = std::min(t, g->tell_at);
    // When the oldest waiting change becomes worth a word.
    if (!in_flight.empty() && in_flight.front().sent + config.pending_grace > now)
        t = std::min(t, in_flight.front().sent + config.pending_grace);
    if (!received.empty() && received.front().at + config.pending_grace > now)
        t = std::min(t, received.front().at + config.pending_grace);
    return t;
}

void Session::Impl::on(ev::Timer &)
{
    if (now >= retry_at || now >= failed_retry_at)
        retry(now >= retry_at, now >= failed_retry_at);
    if (now >= lost_retry_at)
        retry_lost();
    if (!channel || closing)
        return;
    if (now >= last_rx + config.dead_interval) {
        n.keepalive_timeouts++;
        return close(0, "nothing heard from the peer for too long", false);
    }
    if (!hello && now >= hello_by)
        return close(0, "no HELLO from the peer", false);
    if (now >= keepalive_at) {
        keepalive_at = now + config.keepalive_interval;
        if (hello) {
            frame::encode(tx, frame::Keepalive{static_cast<std::uint64_t>(now.time_since_epoch().count()), peer_clock, true});
            n.frames_out++;
        }
    }
    if (now >= audit_at) {
        audit_at = now + config.audit_interval;
        for (auto &[tag, g] : groups)
            if (g->tx == Tx::Live && g->end_acked)
                g->digest_due = g->digest_audit = true;
    }
}

// ---------------------------------------------------------- configuration ---

void Session::Impl::on(ev::GroupAdd &e)
{
    auto &g = groups[e.tag];
    if (!g) {
        g = std::make_unique<Group>();
        g->tag = e.tag;
    }
    g->id = e.group;
}

void Session::Impl::on(ev::GroupRemove &e)
{
    const auto *g = find(e.tag);
    if (!g)
        return;
    for (auto &i : in_flight)
        if (i.group == g)
            i.group = nullptr;
    for (auto &r : received)
        if (r.group == g) {
            r.group = nullptr;
            r.done = true;
        }
    for (const auto &[key, entry] : g->db.entries())
        works -= entry.op != Entry::Op::None;
    groups.erase(e.tag);
}

void Session::Impl::on(ev::ConfigDigest &e)
{
    auto *g = find(e.tag);
    if (!g || g->config == e.items)
        return;
    g->config = std::move(e.items);
    if (ready()) {
        frame::encode(tx, frame::Config{g->tag, *g->config});
        n.frames_out++;
    }
    compare_config(*g);
}

void Session::Impl::compare_config(Group &g)
{
    if (!g.config || !g.peer_config)
        return;
    std::map<std::string, std::pair<const Bytes *, const Bytes *>> both;
    for (const auto &i : *g.config)
        both[i.name].first = &i.digest;
    for (const auto &i : *g.peer_config)
        both[i.name].second = &i.digest;
    std::vector<std::string> differs;
    for (const auto &[name, d] : both)
        if (!d.first || !d.second || *d.first != *d.second)
            differs.push_back(name);
    if (differs == g.config_differs)
        return;
    g.config_differs = std::move(differs);
    std::string names;
    for (const auto &name : g.config_differs)
        names += (names.empty() ? "" : ", ") + name;
    if (names.empty())
        log(act::Severity::Clear, g.tag, "config-differs", "configuration is the same on both chassis again");
    else
        log(act::Severity::Alarm, g.tag, "config-differs", "configuration differs between the chassis: " + names);
}

void Session::Impl::on(ev::GroupRole &e)
{
    auto *g = find(e.tag);
    if (!g)
        return;
    if (e.role.acting && !g->acting) {
        g->known_epoch = g->known = 0;  // from now on the databases may part
        g->inherits = g->heard;
        g->final_due = true;
        // It was acting a moment ago, its charon had not heard of the end yet and went on.
        if (std::exchange(g->missed, false))
            out.push_back(act::LocalSnapshotWanted{g->tag});
    }
    if (e.state == Mastership::Standby)     // what counts comes from the acting master
        g->missed = false;
    if (!e.role.acting && g->acting) {           // ... which does not have what no record holds
        g->unfit.clear();
        fit(*g, {});
    }
    Role &role = *g;
    if (e.role.generation != role.generation) {
        stop_rx(*g);        // another master's word, or another term of this one
        g->met = g->acked;
    }
    role = e.role;
    g->rx_synced = g->rx_synced && listens(role);
    g->mastership = e.state;
}

void Session::Impl::on(ev::ProtectionReasons &e)
{
    if (auto *g = find(e.tag))
        g->reasons = std::move(e.reasons);
}

void Session::Impl::on(ev::AdminUp &)
{
    admin_up = true;
}

void Session::Impl::on(ev::AdminDown &)
{
    admin_up = false;
    if (channel)
        close(0, "sync is shut down");
}

// ---------------------------------------------------------------- channel ---

void Session::Impl::on(ev::ChannelUp &e)
{
    if (channel)
        channel_lost();
    channel = true;
    closing = false;
    n.connects++;
    mimp_local = e.mimp_local;
    mimp_remote = e.mimp_remote;
    last_rx = up_since = now;
    keepalive_at = now + config.keepalive_interval;
    hello_by = now + config.hello_timeout;
    audit_at = now + config.audit_interval;
    if (!admin_up)
        return close(0, "sync is shut down");
    frame::encode(tx, frame::Hello{config.protocol, config.protocol_oldest, config.app_version, config.db_epoch, mimp_local, mimp_remote});
    n.frames_out++;
}

void Session::Impl::on(ev::ChannelDown &e)
{
    sticky_flags |= e.flags & (kMcsVersionMismatch | kAppVersionMismatch | kDecryptionError | kInternalError);
    if (channel)
        channel_lost();
}

// Says why (if the stream still makes sense), then has the channel closed.
void Session::Impl::close(std::uint32_t why_flags, std::string why, bool bye)
{
    if (!channel || closing)
        return;
    sticky_flags |= why_flags;
    if (bye) {
        frame::encode(tx, frame::Bye{why_flags | (admin_up ? 0u : std::uint32_t{kSyncAdminDown}), why});
        n.frames_out++;
        n.bytes_out += tx.size();
        out.push_back(act::SendBytes{tx.take()});
    }
    log(act::Severity::Warning, "", "channel-closed", why);
    out.push_back(act::CloseChannel{std::move(why)});
    closing = true;
    channel_lost();
}

// Forgets everything that belonged to the stream; databases stay.
void Session::Impl::channel_lost()
{
    n.disconnects++;
    channel = hello = writing = reply_due = ack_due = false;
    reader.clear();
    tx.clear();
    offsets.clear();
    rtt.reset();
    peer_clock = 0;
    in_flight.clear();
    in_flight_bytes = 0;
    next_txn = 1;
    const auto undone = std::exchange(received, {});
    rx_base = rx_scan = 1;
    for (const auto &r : undone)
        if (r.group)
            if (auto *e = r.group->db.find(r.key))
                e->rx_txn = 0;
    // Deletes whose turn had not come: the databases have them, charon must follow.
    for (const auto &r : undone)
        if (r.group && !r.done && r.what == Received::What::Delete)
            if (auto *e = r.group->db.find(r.key); e && e->tombstone)
                work_delete(*r.group, *e);
    for (auto &[tag, gp] : groups) {
        Group &g = *gp;
        stop_tx(g);
        for (const auto &key : std::exchange(g.purge, {}))
            if (auto *e = g.db.find(key); e && e->tombstone)
                work_delete(g, *e);
        for (auto &[key, e] : g.db.entries())
            e.op_txn = 0;
        g.frozen_out.clear();
        g.traffic_out.clear();
        g.frozen_in.reset();
        g.offer.reset();
        stop_rx(g);
        g.outvoted.clear();
        g.adopted.clear();
        g.proposals.clear();
        g.ends.clear();
        g.peer = {};
        g.peer_known = false;
        g.told_once = false;
        g.tell_at = Time{};
        g.peer_config.reset();
    }
}

void Session::Impl::on(ev::WriteReady &)
{
    writing = false;
}

void Session::Impl::on(ev::BytesIn &e)
{
    if (!channel || closing) {
        n.frames_unexpected += !e.bytes.empty();
        return;
    }
    n.bytes_in += e.bytes.size();
    reader.append(e.bytes);
    while (channel && !closing) {
        auto raw = reader.next();
        if (!raw)
            return;
        n.frames_in++;
        last_rx = now;  // whole frames count: a length that was garbled would wait for ever
        auto f = *raw ? frame::decode(**raw) : Expected<frame::Frame>(tl::unexpected(raw->error()));
        if (!f && f.error().code == -EPROTO) {
            n.frames_bad++;
            log(act::Severity::Alarm, "", "frame-bad", f.error().text);
            return close(kInternalError, "garbled frame: " + f.error().text);
        }
        if (!f && f.error().code == -EOPNOTSUPP) {
            n.frames_unknown++;
            continue;
        }
        if (!f) {
            n.frames_bad++;
            log(act::Severity::Warning, "", "frame-bad", f.error().text);
            continue;
        }
        if (!hello && !std::holds_alternative<frame::Hello>(*f) && !std::holds_alternative<frame::Bye>(*f)) {
            n.frames_unexpected++;
            continue;
        }
        std::visit([this](auto &x) { on(x); }, *f);
    }
}

void Session::Impl::on(frame::Hello &f)
{
    if (hello) {
        n.frames_unexpected++;
        return;
    }
    const auto refuse_version = [&](OperFlag flag, std::string why) {
        log(act::Severity::Alarm, "", "version-mismatch", why);
        close(flag, std::move(why));
    };
    const auto versions = [](std::uint16_t oldest, std::uint16_t newest) {
        return oldest && oldest != newest ? std::to_string(oldest) + " to " + std::to_string(newest) : std::to_string(newest);
    };
    if (!mcs_works(f.protocol, f.protocol_oldest, config.protocol, config.protocol_oldest))
        return refuse_version(kMcsVersionMismatch, "peer speaks MCS protocol " + versions(f.protocol_oldest, f.protocol) + ", this node " +
                                                       versions(config.protocol_oldest, config.protocol));
    if (major_of(f.app_version) != major_of(config.app_version))
        return refuse_version(kAppVersionMismatch, "peer's record format is " + f.app_version + ", this node's " + config.app_version);
    if ((mimp_remote && f.mimp_own != mimp_remote) || (mimp_local && f.mimp_peer != mimp_local))
        return close(0, "channel belongs to another MIMP session");
    if (f.db_epoch == 0 || f.db_epoch == config.db_epoch)
        return close(kInternalError, "peer has the epoch of this node, or none");
    hello = true;
    peer = f;
    sticky_flags = 0;
    peer_admin_down = false;
    if (kProtocol.newer)
        FrameWriter(tx, kNewerFrame);
    frame::encode(tx, frame::Keepalive{static_cast<std::uint64_t>(now.time_since_epoch().count()), 0, true});
    n.frames_out++;
    for (const auto &[tag, g] : groups) {
        if (!g->config)
            continue;
        frame::encode(tx, frame::Config{tag, *g->config});
        n.frames_out++;
    }
    want_traffic();
}

void Session::Impl::on(frame::Config &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    g->peer_config = std::move(f.items);
    compare_config(*g);
}

void Session::Impl::on(frame::Status &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    if (!g->peer_known || f.mastership != g->peer.mastership || f.generation != g->peer.generation || f.acting != g->peer.acting)
        out.push_back(act::PeerMimp{g->tag, f.mastership, f.generation, f.acting});
    g->peer = std::move(f);
    g->peer_known = true;
}

void Session::Impl::on(frame::Keepalive &f)
{
    peer_clock = f.clock;
    reply_due = reply_due || f.want_reply;
    if (f.echo == 0 || f.want_reply)
        return;
    // The peer's clock read f.clock after ours read f.echo: own - peer >= echo - clock.
    offsets.push_back(static_cast<std::int64_t>(f.echo - f.clock));
    if (offsets.size() > 8)
        offsets.pop_front();
    rtt = now.time_since_epoch() - Duration(static_cast<std::int64_t>(f.echo));
}

void Session::Impl::on(frame::Bye &f)
{
    peer_admin_down = f.flags & kSyncAdminDown;
    sticky_flags |= f.flags & (kMcsVersionMismatch | kAppVersionMismatch);
    close(0, "peer closes: " + f.reason, false);
}

// ----------------------------------------------------------------- status ---

GroupStatus Session::Impl::group_status(const Group &g) const
{
    GroupStatus s;
    s.tag = g.tag;
    s.group = g.id;
    s.acting = g.acting;
    s.peer_acting = g.peer_acting;
    s.generation = g.generation;
    s.state = g.state;
    s.local = g.gauges();
    s.remote = g.peer.gauges;
    for (const auto &i : in_flight)
        s.unacked += i.group == &g && !i.end;
    if (g.tx == Tx::Live)
        s.unacked += g.db.last_change() - g.cursor;
    else if (g.acting)
        s.unacked = g.db.size();
    s.tombstones = g.db.tombstones();
    s.commit = g.commit;
    s.config_differs = g.config_differs;
    s.peer_reasons = g.peer.reasons;
    return s;
}

SessionStatus Session::Impl::status() const
{
    SessionStatus s;
    s.admin_up = admin_up;
    s.oper_up = ready();
    s.oper_flags = flags();
    s.db_sync_state = state;
    s.peer_app_version = hello ? peer.app_version : "";
    s.peer_protocol = hello ? peer.protocol : 0;
    s.rtt = rtt;
    s.counters = n;
    for (const auto &[tag, g] : groups) {
        s.groups.push_back(group_status(*g));
        s.local += s.groups.back().local;
        s.remote += s.groups.back().remote;
    }
    return s;
}

}  // namespace mcipsec::mcs
