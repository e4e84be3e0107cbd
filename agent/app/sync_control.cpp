// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/sync_control.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "app/applied.hpp"
#include "app/config_digest.hpp"
#include "app/record_info.hpp"
#include "app/unwind.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

template <typename... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

mcs::Config core_config(const SyncConfig &c, std::uint64_t db_epoch)
{
    mcs::Config out;
    out.db_epoch = db_epoch;
    out.window_entries = c.window;
    out.audit_interval = c.audit_interval;
    return out;
}

Expected<mcs::Key> core_key(io::EntryKind kind, const Bytes &bytes)
{
    return mcs::Key::make(kind == io::EntryKind::Ike ? mcs::Kind::IkeSa : mcs::Kind::ChildSa, bytes);
}

io::EntryKind plugin_kind(const mcs::Key &key)
{
    return key.kind == mcs::Kind::IkeSa ? io::EntryKind::Ike : io::EntryKind::Child;
}

Bytes plain(const mcs::Key &key)
{
    const auto v = key.view();
    return {v.begin(), v.end()};
}

}  // namespace

SyncControl::SyncControl(io::EventLoop &loop, io::Log &log, CharonControl &charon, io::McipsecNl &kernel, SyncPeer peer,
                         std::uint64_t db_epoch)
    : loop_(loop), log_(log), charon_(charon), kernel_(kernel), peer_(std::move(peer)), session_(core_config(peer_.config, db_epoch)),
      backoff_(peer_.config.connect_retry / 4, peer_.config.connect_retry * 5)
{
}

SyncControl::~SyncControl() { *alive_ = false; }

Expected<void> SyncControl::start()
{
    auto timer = loop_.add_timer([this](Time) { step(mcs::ev::Timer{}); });
    auto reconnect = loop_.add_timer([this](Time) { connect(); });
    if (!timer)
        return tl::unexpected(timer.error());
    if (!reconnect)
        return tl::unexpected(reconnect.error());
    timer_ = std::move(*timer);
    reconnect_ = std::move(*reconnect);
    if (!has_peer())
        return {};
    io::TlsConfig c;
    c.local = peer_.local;
    c.peer = peer_.address;
    c.port = peer_.port;
    c.role = io::role_by_address(peer_.local, peer_.address);
    c.identity = "mcipsec-mcs";
    c.psk = peer_.psk.clone();
    c.options.dscp = peer_.dscp;
    c.user_timeout = peer_.config.user_timeout;
    c.listeners = peer_.listeners;
    io::TlsCallbacks cb;
    cb.on_up = [this] { channel_up(); };
    cb.on_down = [this](io::TlsDown reason, const std::string &detail) { channel_down(reason, detail); };
    cb.on_bytes = [this](ByteView bytes) { step(mcs::ev::BytesIn{bytes}); };
    cb.on_writable = [this] {
        if (outgoing_.empty() || !channel_->send(outgoing_.view()))
            return;
        outgoing_.wipe();
        step(mcs::ev::WriteReady{});
    };
    auto channel = io::TlsChannel::create(loop_, std::move(c), std::move(cb));
    if (!channel)
        return tl::unexpected(channel.error());
    channel_ = std::move(*channel);
    step(peer_.config.shutdown ? mcs::Event(mcs::ev::AdminDown{}) : mcs::Event(mcs::ev::AdminUp{}));
    return {};
}

void SyncControl::add_group(const std::string &tag, const TunnelGroupConfig &group)
{
    Group g;
    g.id = group.id;
    g.tag = tag;
    g.config = group;
    g.seq.set_params(seq_params(group.sequence, peer_.detection));
    groups_.insert_or_assign(group.id, std::move(g));
    step(mcs::ev::GroupAdd{tag, group.id});
}

void SyncControl::reconfigure(const std::string &name, Duration detection)
{
    peer_.name = name;
    peer_.detection = detection;
    for (auto &[id, g] : groups_)
        g.seq.set_params(seq_params(g.config.sequence, detection));
}

void SyncControl::reconfigure_group(const TunnelGroupConfig &group)
{
    if (auto *g = group_of(group.id)) {
        g->config = group;
        g->seq.set_params(seq_params(group.sequence, peer_.detection));
    }
}

void SyncControl::restart_standby(GroupId group)
{
    charon_.plugin().purge(group, [this, alive = alive_, group](Expected<std::uint64_t> purged) {
        auto *g = *alive ? group_of(group) : nullptr;
        if (!g)
            return;
        if (!purged)        // charon went: it is filled again when it comes
            return;
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kSwitchover),
                    .text = fmt::format("tunnel-group {}: standby-restart, {} IKE_SAs dropped, all is installed anew", group, *purged),
                    .group = group});
        step(mcs::ev::Refill{g->tag});
    });
}

void SyncControl::set_config(GroupId group, std::vector<mcs::ConfigItem> items)
{
    if (const auto *g = group_of(group))
        step(mcs::ev::ConfigDigest{g->tag, std::move(items)});
}

void SyncControl::conf_loaded() { step(mcs::ev::ConfLoaded{}); }

void SyncControl::remove_group(GroupId group)
{
    const auto it = groups_.find(group);
    if (it == groups_.end())
        return;
    const auto tag = it->second.tag;
    groups_.erase(it);
    step(mcs::ev::GroupRemove{tag});
}

const std::string *SyncControl::tag_of(GroupId group) const
{
    const auto it = groups_.find(group);
    return it == groups_.end() ? nullptr : &it->second.tag;
}

SyncControl::Group *SyncControl::group_of(GroupId id)
{
    const auto it = groups_.find(id);
    return it == groups_.end() ? nullptr : &it->second;
}

SyncControl::Group *SyncControl::group_of(const std::string &tag)
{
    for (auto &[id, g] : groups_)
        if (g.tag == tag)
            return &g;
    return nullptr;
}

// ---- channel ----

void SyncControl::set_admin(bool up)
{
    peer_.config.shutdown = !up;
    if (up) {
        step(mcs::ev::AdminUp{});
        connect();
        return;
    }
    step(mcs::ev::AdminDown{});
    if (channel_)
        channel_->close();
}

void SyncControl::set_mimp(std::uint64_t own_epoch, std::uint64_t peer_epoch)
{
    if (own_epoch == own_epoch_ && peer_epoch == peer_epoch_)
        return;
    own_epoch_ = own_epoch;
    peer_epoch_ = peer_epoch;
    if (!channel_)
        return;
    if (channel_->up()) {
        channel_->close();
        channel_down(io::TlsDown::Replaced, "MIMP session changed");
    }
    backoff_.reset();
    connect();
}

void SyncControl::connect()
{
    if (!channel_ || peer_.config.shutdown || peer_epoch_ == 0 || channel_->up())
        return;
    if (auto done = channel_->open(); !done)
        channel_down(io::TlsDown::Refused, done.error().text);
}

void SyncControl::channel_up()
{
    backoff_.reset();
    outgoing_.wipe();
    step(mcs::ev::ChannelUp{io::role_by_address(peer_.local, peer_.address) == io::TlsRole::Client, own_epoch_, peer_epoch_});
}

void SyncControl::channel_down(io::TlsDown reason, const std::string &detail)
{
    outgoing_.wipe();
    const bool auth = reason == io::TlsDown::AuthFailed;
    step(mcs::ev::ChannelDown{auth || reason == io::TlsDown::NotDecrypted ? mcs::kDecryptionError : 0u, fmt::format("{} {}", io::to_string(reason), detail)});
    if (peer_.config.shutdown)
        return;
    const auto random = io::random_u64();
    (void)reconnect_.arm(loop_.now() + backoff_.next(static_cast<std::uint32_t>(random.value_or(0))));
}

// ---- the core ----

void SyncControl::step(mcs::Event event)
{
    if (stepping_) {            // an action's outcome: after the actions before it
        queued_.push_back(std::move(event));
        return;
    }
    stepping_ = true;
    const auto alive = alive_;
    // An exception on the way (the loop reports it): a new channel begins with a resync.
    const auto failed = [this, alive] {
        if (!*alive)
            return;
        stepping_ = false;
        queued_.clear();
        loop_.post([this, alive] {
            if (!*alive)
                return;
            if (channel_)
                channel_->close();
            channel_down(io::TlsDown::ConnectionLost, "internal error");
        });
    };
    Unwind guard(failed);
    auto actions = session_.step(std::move(event), loop_.now());
    for (;;) {
        for (auto &a : actions) {
            run(std::move(a));
            if (!*alive) {
                guard.dismiss();
                return;
            }
        }
        if (queued_.empty())
            break;
        auto next = std::move(queued_.front());
        queued_.erase(queued_.begin());
        actions = session_.step(std::move(next), loop_.now());
    }
    guard.dismiss();
    stepping_ = false;
    (void)timer_.arm(session_.deadline());
}

void SyncControl::run(mcs::Action &&action)
{
    std::visit(
        Overloaded{
            [&](mcs::act::SendBytes &a) {
                if (!channel_ || !channel_->up())
                    return;
                if (channel_->send(a.bytes.view()))
                    step(mcs::ev::WriteReady{});
                else
                    outgoing_ = std::move(a.bytes);
            },
            [&](mcs::act::CloseChannel &a) {
                if (!channel_)
                    return;
                log_.write({.level = io::Level::Warning, .event = std::string(io::event::kSyncStatus), .text = "MCS channel closed: " + a.why, .peer = peer_.name});
                channel_->close();
                const auto random = io::random_u64();
                (void)reconnect_.arm(loop_.now() + backoff_.next(static_cast<std::uint32_t>(random.value_or(0))));
            },
            [&](mcs::act::Import &a) { run_import(a); },
            [&](mcs::act::Delete &a) { run_delete(a); },
            [&](mcs::act::Merged &a) {
                if (auto *g = group_of(a.tag); g && callbacks.merged) {
                    MergedIke merged{plain(a.ike), a.apart, rival_of(a.rival)};
                    for (const auto &key : a.strays)
                        merged.rival.strays.push_back(plain(key));
                    callbacks.merged(g->id, merged);
                }
            },
            [&](mcs::act::FinalSeqWanted &a) {
                if (auto *g = group_of(a.tag))
                    send_final(*g);
            },
            [&](mcs::act::InboundWanted &a) {
                if (auto *g = group_of(a.tag))
                    tell_inbound(*g);
            },
            [&](mcs::act::SeqWanted &a) {
                if (auto *g = group_of(a.tag))
                    g->sample_all = true;
            },
            [&](mcs::act::ImportSeq &a) { run_import_seq(a); },
            [&](mcs::act::TrafficWanted &a) {
                if (auto *g = group_of(a.tag))
                    step(mcs::ev::Traffic{a.tag, g->counters.all()});
            },
            [&](mcs::act::TrafficReceived &a) {
                if (auto *g = group_of(a.tag))
                    g->counters.learn(a.tunnels);
            },
            [&](mcs::act::PluginAck &a) {
                ack_ = {a.epoch, a.seq, a.none_open};
                if (callbacks.ack_changed)
                    callbacks.ack_changed();
            },
            [&](mcs::act::CommitMode &a) {
                if (auto *g = group_of(a.tag))
                    charon_.set_commit(g->id, a.on);
            },
            [&](mcs::act::SyncStateChanged &a) {
                std::string flags;
                for (const auto name : mcs::oper_flag_names(a.oper_flags))
                    flags += (flags.empty() ? "" : ",") + std::string(name);
                if (a.new_state == mcs::SyncState::InSync)
                    last_in_sync_ = std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count();
                log_.write({.level = io::Level::Notice,
                            .event = std::string(io::event::kSyncStatus),
                            .text = fmt::format("MCS with {}: {}{}{}{}", peer_.name,
                                                a.old_state == a.new_state ? "still " : fmt::format("{} to ", mcs::to_string(a.old_state)),
                                                mcs::to_string(a.new_state), flags.empty() ? "" : ", ", flags),
                            .peer = peer_.name,
                            .old_state = std::string(mcs::to_string(a.old_state)),
                            .new_state = std::string(mcs::to_string(a.new_state)),
                            .reason = flags});
                if (callbacks.state)
                    callbacks.state(0, a.new_state);
            },
            [&](mcs::act::GaugesChanged &a) {
                if (auto *g = group_of(a.tag); g && callbacks.gauges)
                    callbacks.gauges(g->id);
            },
            [&](mcs::act::ProtectionInputs &a) {
                if (auto *g = group_of(a.tag); g && callbacks.protection)
                    callbacks.protection(g->id, a);
            },
            [&](mcs::act::PeerMimp &) {},
            [&](mcs::act::FrozenReceived &a) { run_frozen(a); },
            [&](mcs::act::FrozenAcked &a) {
                if (auto *g = group_of(a.tag); g && a.handover && callbacks.frozen_acked)
                    callbacks.frozen_acked(g->id, a.handover);
            },
            [&](mcs::act::LocalSnapshotWanted &a) {
                if (auto *g = group_of(a.tag))
                    snapshot(*g);
            },
            [&](mcs::act::Log &a) { log_core(a); },
        },
        action);
}

void SyncControl::log_core(const mcs::act::Log &a)
{
    const auto *g = group_of(a.tag);
    const std::string name = a.what + '/' + a.tag;
    const bool differs = a.what == "config-differs";
    auto text = a.what + ": " + a.text;
    if (differs && a.severity == mcs::act::Severity::Alarm)
        if (const auto status = session_.group_status(a.tag))
            text = "configuration differs between the chassis: " + describe_differences(status->config_differs);
    if (g)
        text = fmt::format("tunnel-group {}: {}", g->id, text);
    if (a.severity == mcs::act::Severity::Alarm)
        alarms_[name] = {a.tag, text};
    else if (a.severity == mcs::act::Severity::Clear)
        alarms_.erase(name);
    const bool bad = a.severity == mcs::act::Severity::Alarm || a.severity == mcs::act::Severity::Warning;
    log_.write({.level = bad ? io::Level::Warning : io::Level::Info,
                .event = std::string(differs ? io::event::kConfigDiffers : bad ? io::event::kAlarm : io::event::kSyncStatus),
                .text = text,
                .peer = peer_.name,
                .group = g ? g->id : 0});
}

// ---- standby: what comes from the peer ----

void SyncControl::run_import(const mcs::act::Import &a)
{
    auto *g = group_of(a.tag);
    const auto *entry = session_.entry(a.tag, a.key);
    if (!g || !entry)
        return step(mcs::ev::ImportResult{a.tag, a.key, {}, mcs::ev::ImportOutcome::Stale, "gone meanwhile"});
    io::PluginRecord r;
    r.kind = plugin_kind(a.key);
    r.group = g->id;
    r.key = plain(a.key);
    if (entry->parent)
        r.parent = plain(*entry->parent);
    r.lineage = entry->version.lineage;
    r.version = entry->version.version;
    r.name = entry->name;
    r.data = entry->data.clone();
    if (a.key.kind == mcs::Kind::ChildSa)
        if (auto done = hold_sequence(*g, a.key, entry->info); !done)
            return step(mcs::ev::ImportResult{a.tag, a.key, entry->version, mcs::ev::ImportOutcome::Failed, "sequence numbers: " + done.error().text});
    charon_.plugin().import(r, a.replace, [this, alive = alive_, tag = a.tag, key = a.key, version = entry->version,
                                info = entry->info](Expected<io::PluginImport> outcome) {
        if (*alive)
            import_done(tag, key, version, info, std::move(outcome));
    });
}

void SyncControl::import_done(const std::string &tag, const mcs::Key &key, mcs::Version version, const std::string &info,
                              Expected<io::PluginImport> outcome)
{
    mcs::ev::ImportResult result{tag, key, version, mcs::ev::ImportOutcome::Failed, {}};
    auto *g = group_of(tag);
    if (!outcome) {
        result.reason = outcome.error().text;
    } else {
        result.reason = outcome->reason;
        switch (outcome->result) {
        case io::ImportResult::Installed: result.outcome = mcs::ev::ImportOutcome::Installed; break;
        case io::ImportResult::AwaitConf: result.outcome = mcs::ev::ImportOutcome::AwaitConf; break;
        case io::ImportResult::Stale: result.outcome = mcs::ev::ImportOutcome::Stale; break;
        case io::ImportResult::Changed: result.outcome = mcs::ev::ImportOutcome::Changed; break;
        case io::ImportResult::Failed: break;
        }
    }
    if (result.outcome == mcs::ev::ImportOutcome::Installed && key.kind == mcs::Kind::ChildSa && g)
        if (auto done = seed_sequence(*g, key, info); !done) {
            result.outcome = mcs::ev::ImportOutcome::Failed;
            result.reason = "sequence numbers: " + done.error().text;
        }
    const bool installed = g && result.outcome == mcs::ev::ImportOutcome::Installed && key.kind == mcs::Kind::ChildSa;
    if (g && outcome && outcome->result != io::ImportResult::Installed && !waits_for_outbound(*g, key))
        release_sequence(*g, key);      // else charon may have it, and its number is not set
    step(std::move(result));
    if (installed) {
        name_sas(*g, key);
        tell_selectors(*g, key);
    }
    if (installed && acting_master(g->state) && callbacks.child_late)
        callbacks.child_late(g->id, plain(key));
}

void SyncControl::tell_selectors(const Group &g, const mcs::Key &child)
{
    if (!callbacks.selectors)
        return;
    const auto *e = session_.entry(g.tag, child);
    const auto *ike = e && e->parent ? session_.entry(g.tag, *e->parent) : nullptr;
    if (!ike)
        return callbacks.selectors(g.id, plain(child), "", "");
    const auto fields = info_fields(e->info);
    const auto ts = fields.find("remote-ts");
    callbacks.selectors(g.id, plain(child), ike->name, ts == fields.end() ? "" : ts->second);
}

void SyncControl::run_delete(const mcs::act::Delete &a)
{
    auto *g = group_of(a.tag);
    if (!g)
        return step(mcs::ev::DeleteResult{a.tag, a.key, true, {}});
    if (a.key.kind == mcs::Kind::ChildSa)
        tell_selectors(*g, a.key);
    charon_.plugin().remove(plugin_kind(a.key), g->id, plain(a.key), a.ended, [this, alive = alive_, tag = a.tag, key = a.key](Expected<std::uint64_t> done) {
        if (!*alive)
            return;
        if (auto *group = done ? group_of(tag) : nullptr)
            release_sequence(*group, key);
        step(mcs::ev::DeleteResult{tag, key, done.has_value(), done ? "" : done.error().text});
    });
}

// ---- master: what goes to the peer ----

void SyncControl::set_role(GroupId group, Mastership state, const Role &role)
{
    auto *g = group_of(group);
    if (!g)
        return;
    if (acting_master(g->state) && !acting_master(state))
        keep_final(*g);
    g->state = state;
    step(mcs::ev::GroupRole{g->tag, role, state});
}

bool SyncControl::lists(GroupId group) const
{
    const auto it = groups_.find(group);
    return it != groups_.end() && it->second.lists;
}

void SyncControl::set_reasons(GroupId group, std::vector<std::string> reasons)
{
    if (auto *g = group_of(group))
        step(mcs::ev::ProtectionReasons{g->tag, std::move(reasons)});
}

void SyncControl::charon_up(std::uint64_t epoch)
{
    charon_epoch_ = epoch;
    step(mcs::ev::CharonUp{epoch});
    for (auto &[id, g] : groups_)
        snapshot(g);
}

void SyncControl::charon_down() { step(mcs::ev::CharonDown{}); }

void SyncControl::snapshot(Group &g)
{
    step(mcs::ev::LocalSnapshotBegin{g.tag});
    g.lists++;
    charon_.plugin().snapshot(g.id, [this, alive = alive_, tag = g.tag, id = g.id](Expected<io::PluginSnapshot> done) {
        if (!*alive)
            return;
        if (auto *group = group_of(id))
            group->lists--;
        if (!done)  // charon went, charon_down() follows
            return;
        step(mcs::ev::LocalSnapshotEnd{tag});
        count_first(tag);
        if (callbacks.snapshot_done)
            callbacks.snapshot_done(id);
    });
}

void SyncControl::record(io::PluginRecord &&r)
{
    auto *g = group_of(r.group);
    auto key = core_key(r.kind, r.key);
    if (!g || !key)
        return;
    const bool child = r.kind == io::EntryKind::Child;
    const bool upsert = r.op == io::RecordOp::Upsert;
    const Bytes raw = r.key;
    const auto mid = upsert ? mid_out(r.info) : std::nullopt;
    if (upsert) {
        mcs::ev::LocalUpsert e;
        e.tag = g->tag;
        e.key = *key;
        if (child)
            if (auto parent = core_key(io::EntryKind::Ike, r.parent))
                e.parent = *parent;
        // An exchange says that the peer is here as its ESP does, which a new CHILD_SA may not have had yet.
        const auto *held = session_.entry(g->tag, *key);
        if (acting_master(g->state) && !g->lists && (child ? !held : held && asked_since(r.info, held->info)))
            g->exchanged[e.parent.value_or(*key)] = loop_.now();
        e.lineage = r.lineage;
        e.version = r.version;
        e.name = std::move(r.name);
        fix_established(r.info, std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count());
        e.info = info_text(r.info);
        e.data = std::move(r.data);
        e.unfit = std::move(r.unfit);
        e.epoch = r.epoch;
        e.seq = r.seq;
        step(std::move(e));
    } else {
        g->exchanged.erase(*key);
        step(mcs::ev::LocalDelete{g->tag, *key, r.local ? mcs::ev::DeleteScope::Local : mcs::ev::DeleteScope::Global, r.epoch, r.seq});
    }
    if (child && !upsert)
        release_sequence(*g, *key);
    if (child && upsert)
        name_sas(*g, *key);
    if (child)
        seed_late(*g);
    if (!child && callbacks.ike_changed && (mid || !upsert))
        callbacks.ike_changed(r.group, raw, mid);
    if (child && callbacks.child_changed)
        callbacks.child_changed(r.group, raw, upsert);
    if (child)
        tell_selectors(*g, *key);
}

}  // namespace mcipsec::app
