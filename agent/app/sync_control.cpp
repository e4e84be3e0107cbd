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

constexpr unsigned kSeqTries = 3;        // an export that meets a full socket
constexpr Duration kTidyInterval = 60s;

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
    step(mcs::ev::ChannelDown{auth ? mcs::kDecryptionError : 0u, fmt::format("{} {}", io::to_string(reason), detail)});
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
            [&](mcs::act::FinalSeqWanted &a) {
                if (auto *g = group_of(a.tag))
                    send_final(*g);
            },
            [&](mcs::act::SeqWanted &a) {
                if (auto *g = group_of(a.tag))
                    g->sample_all = true;
            },
            [&](mcs::act::ImportSeq &a) { run_import_seq(a); },
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
                            .text = fmt::format("MCS with {}: {} to {}{}{}", peer_.name, mcs::to_string(a.old_state),
                                                mcs::to_string(a.new_state), flags.empty() ? "" : ", ", flags),
                            .peer = peer_.name,
                            .old_state = std::string(mcs::to_string(a.old_state)),
                            .new_state = std::string(mcs::to_string(a.new_state)),
                            .reason = flags});
                if (callbacks.state)
                    callbacks.state(0, a.new_state);
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
        case io::ImportResult::Failed: break;
        }
    }
    if (result.outcome == mcs::ev::ImportOutcome::Installed && key.kind == mcs::Kind::ChildSa && g)
        if (auto done = seed_sequence(*g, key, info); !done) {
            result.outcome = mcs::ev::ImportOutcome::Failed;
            result.reason = "sequence numbers: " + done.error().text;
        }
    const bool installed = g && result.outcome == mcs::ev::ImportOutcome::Installed && key.kind == mcs::Kind::ChildSa;
    if (g && outcome && outcome->result != io::ImportResult::Installed)
        release_sequence(*g, key);      // else charon may have it, and its number is not set
    step(std::move(result));
    if (installed)
        tell_selectors(*g, key);
    if (installed && acting_master(g->state) && callbacks.child_late)
        callbacks.child_late(g->id, plain(key));
}

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
    return {};
}

// What charon did not install, or no longer has, waits for no number.
void SyncControl::release_sequence(Group &g, const mcs::Key &child)
{
    if (const auto held = g.held.extract(child))
        (void)kernel_.seq_hold(g.id, std::span(&held.mapped().sa, 1), false);       // an error: the module went, and the hold with it
}

// The present number of an SA that waits for it: how many of them the kernel does not have.
Expected<std::size_t> SyncControl::seed(Group &g, std::span<const mcipsec_seq> sas)
{
    const Time now = loop_.now();
    std::vector<mcipsec_seq> raise;
    for (const auto &sa : sas)
        raise.push_back(g.seq.reseed(sa, now, acting_master(g.state)));
    auto missing = seq_set(g, raise, true);
    if (!missing)
        g.seq.not_given(raise, now);
    return missing;
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

Expected<std::size_t> SyncControl::seq_set(Group &g, std::span<const mcipsec_seq> sas, bool end_hold)
{
    if (sas.empty())
        return 0;
    const auto result = kernel_.seq_set(g.id, sas, 0, end_hold);
    if (!result)
        return tl::unexpected(result.error());
    if (result->refused)
        return fail(-EPERM, fmt::format("the kernel refused {} of {} (hardware offload, or a jump of 2^31)", result->refused, sas.size()));
    return result->missing;
}

void SyncControl::run_delete(const mcs::act::Delete &a)
{
    auto *g = group_of(a.tag);
    if (!g)
        return step(mcs::ev::DeleteResult{a.tag, a.key, true, {}});
    if (a.key.kind == mcs::Kind::ChildSa)
        tell_selectors(*g, a.key);
    charon_.plugin().remove(plugin_kind(a.key), g->id, plain(a.key), [this, alive = alive_, tag = a.tag, key = a.key](Expected<std::uint64_t> done) {
        if (!*alive)
            return;
        if (auto *group = done ? group_of(tag) : nullptr)
            release_sequence(*group, key);
        step(mcs::ev::DeleteResult{tag, key, done.has_value(), done ? "" : done.error().text});
    });
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
    if (auto done = seq_set(*g, raise); !done) {
        g->seq.not_given(raise, now);
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence import: " + done.error().text, .group = g->id});
    }
}

void SyncControl::run_frozen(const mcs::act::FrozenReceived &a)
{
    auto *g = group_of(a.tag);
    if (!g)
        return;
    const auto raise = g->seq.frozen(a.sas, loop_.now());
    if (auto done = seq_set(*g, raise); !done) {
        g->seq.not_given(raise, loop_.now());
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "frozen sequence import: " + done.error().text, .group = g->id});
        return;
    }
    step(mcs::ev::FrozenApplied{a.tag, a.handover});
    if (a.handover && callbacks.frozen_applied)
        callbacks.frozen_applied(g->id, a.handover);
}

// ---- master: what goes to the peer ----

void SyncControl::set_role(GroupId group, Mastership state, bool peer_acting, Generation generation)
{
    auto *g = group_of(group);
    if (!g)
        return;
    // A dual master has ended with us: which lives of the tunnels count, the core decides by this.
    if (std::exchange(g->state, state) == Mastership::Eligible && state == Mastership::Master)
        tell_inbound(*g);
    step(mcs::ev::GroupRole{g->tag, acting_master(state), peer_acting, generation, state});
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
    charon_.plugin().snapshot(g.id, [this, alive = alive_, tag = g.tag, id = g.id](Expected<io::PluginSnapshot> done) {
        if (!*alive || !done)   // an error: charon went, charon_down() follows
            return;
        step(mcs::ev::LocalSnapshotEnd{tag});
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
    if (upsert) {
        mcs::ev::LocalUpsert e;
        e.tag = g->tag;
        e.key = *key;
        if (child)
            if (auto parent = core_key(io::EntryKind::Ike, r.parent))
                e.parent = *parent;
        e.lineage = r.lineage;
        e.version = r.version;
        e.name = std::move(r.name);
        fix_established(r.info, std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count());
        e.info = info_text(r.info);
        e.data = std::move(r.data);
        e.epoch = r.epoch;
        e.seq = r.seq;
        step(std::move(e));
    } else {
        step(mcs::ev::LocalDelete{g->tag, *key, mcs::ev::DeleteScope::Global, r.epoch, r.seq});
    }
    if (child && !upsert)
        release_sequence(*g, *key);
    if (child)
        seed_late(*g);
    if (child && callbacks.child_changed)
        callbacks.child_changed(r.group, raw, upsert);
    if (child)
        tell_selectors(*g, *key);
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
        if (auto done = seq_set(*g, g->seq.refresh(now)); !done)
            log_.write({.level = io::Level::Warning, .event = std::string(io::event::kKernel), .text = "margin: " + done.error().text, .group = group});
        if (now >= g->tidied + kTidyInterval)
            if (const auto all = seq_get(group))
                tidy(*g, *all);
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

// Standby again after it was acting itself: its gate is shut, its numbers are final.
void SyncControl::send_final(Group &g)
{
    tell_inbound(g);
    const auto done = send_frozen(g.id, 0);
    if (done)
        return;
    log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "sequence export: " + done.error().text, .group = g.id});
    step(mcs::ev::FrozenSeq{g.tag, 0, {}});     // margins must do
}

void SyncControl::tell_inbound(Group &g)
{
    std::map<mcs::Key, Time> latest;
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
    step(mcs::ev::FrozenSeq{g->tag, handover, g->seq.local_sample(*all, now)});
    return {};
}

std::vector<NeedsRekey> SyncControl::takeover(GroupId group)
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
    auto urgent = g->seq.takeover(loop_.now());
    stop_unsafe(*g);
    return urgent;
}

// I3: what the margins do not cover (any more) must not send under its old key.
void SyncControl::stop_unsafe(Group &g)
{
    const auto stop = g.seq.must_stop(loop_.now());
    if (stop.empty())
        return;
    g.receive_only += stop.size();
    auto done = seq_set(g, stop);
    if (!done)
        g.seq.not_given(stop, loop_.now());
    log_.write({.level = io::Level::Warning,
                .event = std::string(io::event::kAlarm),
                .text = done ? fmt::format("tunnel-group {}: {} SAs only receive until they are rekeyed: their sequence state is too old", g.id, stop.size())
                             : fmt::format("tunnel-group {}: {} SAs must not send, but: {}", g.id, stop.size(), done.error().text),
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
        out.push_back({SaId::of(held.sa), loop_.now(), 0});
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
