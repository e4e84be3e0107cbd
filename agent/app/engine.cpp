// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "app/applied.hpp"
#include "app/config_keys.hpp"
#include "app/gate_boot.hpp"
#include "app/session_log.hpp"
#include "core/crypto.hpp"
#include "io/files.hpp"
#include "io/notify.hpp"

namespace mcipsec::app {

namespace {

constexpr Duration kMemberInterval = 500ms;
constexpr Duration kMendInterval = 2s;      // routes that could not be written
constexpr Duration kAskCharon = 5s;
constexpr Duration kPlanRetry = 1s;         // fence plan that could not be written
constexpr Duration kSettle = 3s;            // for charon to answer before MIMP speaks
constexpr Duration kFarewell = 300ms;       // for the last MIMP packets of a stop

// What start() found of a planned restart, for one peer's session.
mimp::Resume resume_of(const RestartState &state, const McIpsecConfig &mc)
{
    mimp::Resume out;
    out.hold_until = state.hold_until;
    for (const auto &g : state.groups)
        if (mc.tunnel_group.contains(g.saved.group) && !g.moved)
            out.groups.push_back(g.saved);
    return out;
}

}  // namespace

Engine::Engine(io::EventLoop &loop, io::Log &log, std::string config_path, std::string run_dir, Config file)
    : loop_(loop), log_(log), config_path_(std::move(config_path)), run_dir_(std::move(run_dir)), file_(std::move(file))
{
}

Engine::~Engine() { log_.listener = nullptr; }

// ---- start ----

Expected<void> Engine::load_cookie()
{
    const std::string path = run_dir_ + "/cookie";
    if (const auto text = io::read_file(path)) {
        if (const auto bytes = from_hex(*text); bytes && bytes->size() == cookie_.size()) {
            std::copy(bytes->begin(), bytes->end(), cookie_.begin());
            return {};
        }
    }
    if (auto done = io::random_bytes(cookie_); !done)
        return done;
    return io::write_file_atomic(path, to_hex(cookie_), 0600);
}

bool Engine::first_start_since_boot()
{
    const auto boot = io::boot_id();
    const std::string path = run_dir_ + "/boot-id";
    const auto last = io::read_file(path);
    if (boot && last && *last == *boot)
        return false;
    if (boot)
        (void)io::write_file_atomic(path, *boot, 0644);
    return true;
}

Expected<void> Engine::start()
{
    if (auto made = io::make_folder(run_dir_); !made)
        return made;
    // Before anything is touched. One that was killed a moment ago may not be quite gone.
    auto lock = io::lock_file(run_dir_ + "/mcipsecd.lock", 1s);
    if (!lock)
        return fail(lock.error().code, "another mcipsecd runs here: " + lock.error().text);
    lock_ = std::move(*lock);
    if (const auto text = io::read_file(run_dir_ + "/admin.json"))
        if (auto a = RuntimeAdmin::from_json(*text))
            admin_ = std::move(*a);
    if (admin_.forget(file_))   // what is gone from the file does not come again with it
        save_admin();
    config_ = admin_.apply(file_);
    config_read_at_ = std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count();
    if (auto done = load_cookie(); !done)
        return done;
    resumed_ = read_restart_state();
    forget_moved_groups();
    db_epoch_ = random_u64();

    auto kernel = io::McipsecNl::open();
    if (!kernel)
        return fail(kernel.error().code, "kernel module mcipsec: " + kernel.error().text + "; load it with modprobe mcipsec");
    kernel_ = std::move(*kernel);
    auto links = io::Links::open();
    if (!links)
        return tl::unexpected(links.error());
    links_ = std::move(*links);
    // First: what they had may belong to another group now.
    auto unknown = shut_unknown_gates(*kernel_, *links_, cookie_, config_);
    if (!unknown)
        return tl::unexpected(unknown.error());
    unknown_gates_ = std::move(*unknown);
    if (auto done = boot_gates(*kernel_, *links_, config_); !done)
        return done;

    auto routes = io::Routes::open();
    auto route_links = io::Links::open();
    if (!routes)
        return tl::unexpected(routes.error());
    if (!route_links)
        return tl::unexpected(route_links.error());
    routes_ = std::make_unique<RouteControl>(std::move(*routes), std::move(*route_links), log_);
    routes_->configure(config_, !resumed_);
    auto plan_timer = loop_.add_timer([this](Time) {
        plan_armed_ = false;
        write_fence_plan();
    }, io::Priority::Low);
    if (!plan_timer)
        return tl::unexpected(plan_timer.error());
    plan_timer_ = std::move(*plan_timer);
    vrrp_ = std::make_unique<VrrpControl>(loop_, log_);
    vrrp_->on_state = [this] {
        save_vrrp();
        for (auto &[id, g] : groups_)
            release_rekeys(g);
    };
    vrrp_->on_daemon = [this] {
        std::vector<Alarms::Alarm> now;
        if (vrrp_->gone())
            now.push_back({.text = fmt::format("keepalived is gone, or began before {} was made: nobody writes to that", config_.vrrp.notify_fifo)});
        alarms_.replace("keepalived", std::move(now));
    };
    if (resumed_)
        for (const auto &g : resumed_->groups)
            vrrp_->set_forwarding(g.saved.group, acting_master(g.saved.state));
    if (auto done = vrrp_->configure(config_.vrrp); !done)
        return done;
    vrrp_->restore(resumed_ ? resumed_->vrrp : saved_vrrp());
    write_fence_plan();

    charon_ = std::make_unique<CharonControl>(loop_, log_, config_.system.charon_socket);
    if (auto done = start_groups(); !done)
        return done;
    first_boot_ = first_start_since_boot();
    for (const auto &[address, peer] : config_.multi_chassis.peer)
        if (auto done = start_sync(peer); !done)
            return fail(done.error().code, fmt::format("peer {}: {}", address.str(), done.error().text));

    charon_->configure(plugin_groups());
    charon_->on_up = [this](const io::PluginVersion &v) {
        for (auto &[id, g] : groups_)
            begin_refill(g);
        purge_moved_groups();
        open_unknown_gates();
        each_sync([&](SyncControl &s) { s.charon_up(v.epoch); });
        check_members();
        if (members_->settled())
            begin_peers();
        config_watch_->charon_up();
    };
    charon_->on_down = [this](const std::string &) {
        acks_.forget();
        for (auto &[id, g] : groups_)
            g.held.forget();
        each_sync([](SyncControl &s) { s.charon_down(); });
        config_watch_->charon_down();
        check_members();
    };
    charon_->plugin().on_record = [this](io::PluginRecord &&r) {
        newest_seq_ = std::max(newest_seq_, r.seq);
        if (auto *g = find(r.group); g && g->sync)
            g->sync->record(std::move(r));
    };
    charon_->plugin().on_log = [this](const io::PluginLog &l) { log_.write(session_record(config_, l)); };
    charon_->plugin().on_held_expired = [this](const io::PluginHeldExpired &e) {
        auto *g = find(e.group);
        if (!g)
            return;
        g->held.expired(e.epoch, e.seq);
        g->held.acked(acks_.epoch(), acks_.of(g->id));      // which may have crossed this word
        log_.write({.level = io::Level::Warning,
                    .event = std::string(io::event::kAlarm),
                    .text = fmt::format("tunnel-group {}: a packet left although record {} was not acknowledged in time", e.group, e.seq),
                    .group = e.group});
        protect(*g);
    };
    charon_->plugin().on_malformed = [this](const std::string &what) {
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kCharon), .text = "malformed event of charon's plugin: " + what});
    };

    if (auto done = watch_members(); !done)
        return done;
    if (auto done = watch_config(); !done)
        return done;

    auto watch = io::LinkWatch::open(loop_, [this](const io::Link &l, bool removed) {
        if (l.up && !removed)
            links_up_.insert(l.name);
        else
            links_up_.erase(l.name);
        if (l.kind == "vrf" && !removed)
            (void)boot_gates(*kernel_, *links_, config_);
        routes_->link_changed(l, removed);
        check_members();
    }, [this] { links_changed(); });
    if (!watch)
        return tl::unexpected(watch.error());
    link_watch_ = std::move(*watch);
    auto events = io::McipsecEvents::open(loop_, [this](const io::ModuleEvent &e) { module_event(e); }, [this] { check_members(); });
    if (!events)
        return tl::unexpected(events.error());
    kernel_events_ = std::move(*events);

    auto timer = loop_.add_timer([this](Time now) {
        check_members();
        for (auto &[id, g] : groups_)
            protect(g);
        ask_charon(now);
        check_skew();
        check_keys();
        check_crypto_errors(now);
        check_rp_filter(now);
        if (now >= mend_at_) {
            mend_at_ = now + kMendInterval;
            routes_->mend();
        }
        (void)member_timer_.arm(now + kMemberInterval);
    });
    if (!timer)
        return tl::unexpected(timer.error());
    member_timer_ = std::move(*timer);
    (void)member_timer_.arm(loop_.now() + kMemberInterval);

    auto control = io::ControlServer::open(loop_, run_dir_ + "/control.sock",
                                           [this](io::ControlServer::ClientId id, const io::ControlPeer &who, const io::Json &request) {
                                               serve(id, who, request);
                                           });
    if (!control)
        return tl::unexpected(control.error());
    control_ = std::move(*control);
    log_.listener = [this](const io::LogRecord &r) {
        if (control_ && control_->subscribed())
            control_->publish(io::Json::parse(event_packet(entry_view(r))));
    };
    metrics_ = std::make_unique<MetricsFile>(loop_, log_, [this] { return stats(); });
    if (auto done = metrics_->configure(config_.system.metrics_file, config_.system.metrics_interval); !done)
        return done;
    links_changed();
    auto settle = loop_.add_timer([this](Time) { begin_peers(); });
    if (!settle)
        return tl::unexpected(settle.error());
    settle_timer_ = std::move(*settle);
    (void)settle_timer_.arm(loop_.now() + kSettle);
    if (auto done = charon_->start(); !done)
        return done;
    drop_restart_state();       // not before: a start that fails may be tried again within the hold
    return {};
}

// MIMP speaks once the members are known: charon answers, or had its time to.
// Speaking earlier would announce "down" and hand mastership to the slower node.
void Engine::begin_peers()
{
    if (std::exchange(peers_begun_, true))
        return;
    settle_timer_.disarm();
    check_members();
    for (const auto &[address, peer] : config_.multi_chassis.peer) {
        if (auto done = start_mimp(peer); !done)
            log_.write({.level = io::Level::Error,
                        .event = std::string(io::event::kAlarm),
                        .text = fmt::format("peer {}: {}", address.str(), done.error().text),
                        .peer = peer.name});
    }
    for (auto &[id, g] : groups_) {
        if (const auto *before = resumed_ && g.sync ? resumed_->find(id) : nullptr)
            g.sync->restore(id, before->debts);
        if (auto *p = peer_of(g))
            p->mimp->event(mimp::OperChange{id, g.verdict.oper_up, static_cast<std::uint16_t>(g.verdict.active)});
        else if (resumed_)
            tell_role(g);
    }
    resumed_.reset();
}

Expected<void> Engine::start_groups()
{
    SyncPeer none;
    none.name = "local";
    local_ = std::make_unique<SyncControl>(loop_, log_, *charon_, *kernel_, std::move(none), db_epoch_);
    if (auto done = wire_sync(*local_); !done)
        return done;
    for (const auto &[id, tg] : config_.tunnel_group) {
        auto &g = groups_[id];
        g.id = id;
        if (const auto *peer = config_.peer_of(id))
            g.peer = peer->address;
        g.pacer = group::RekeyPacer(rekey_pace(tg.rekey), random_u64());
        auto pacer = loop_.add_timer([this, id = id](Time) {
            if (auto *group = find(id))
                rekeys_due(*group);
        }, io::Priority::Low);
        auto sample = loop_.add_timer([this, id = id](Time) {
            auto *group = find(id);
            if (!group || !group->sync)
                return;
            group->sync->sample(id);
            rekey_near(*group);
            release_rekeys(*group, true);
            arm_sampling(*group);
        }, io::Priority::Low);
        if (!pacer)
            return tl::unexpected(pacer.error());
        if (!sample)
            return tl::unexpected(sample.error());
        if (auto done = start_liveness(g, tg.rekey); !done)
            return done;
        g.pacer_timer = std::move(*pacer);
        g.sample_timer = std::move(*sample);
        if (g.peer.empty()) {
            local_->add_group(fmt::format("local-{}", id), tg);
            g.sync = local_.get();
        }
        if (const auto *before = resumed_ ? resumed_->find(id) : nullptr) {
            g.state = before->saved.state;
            g.generation = before->saved.generation;
            g.verdict.oper_up = before->saved.oper_up;
            g.verdict.active = before->saved.active_members;
            g.rekeys_left = before->rekeys_left;
            g.changed_why = "resumed after a planned restart";
        }
        set_gate(g);
        routes_->set_state(id, g.state);
        vrrp_->set_forwarding(id, acting_master(g.state));
    }
    return {};
}

Expected<void> Engine::start_sync(const PeerConfig &peer)
{
    auto text = io::read_secret_file(peer.authentication_key_file);
    if (!text)
        return tl::unexpected(text.error());
    auto key = parse_auth_key({reinterpret_cast<const char *>(text->view().data()), text->size()});
    if (!key)
        return fail(key.error().code, peer.authentication_key_file + ": " + key.error().text);
    auto &p = peers_[peer.address];
    p.keys = derive_keys(key->view(), peer.source_address, peer.address);
    if (peer.sync.configured) {
        SyncPeer sp;
        sp.local = peer.source_address;
        sp.address = peer.address;
        sp.name = peer_name(peer);
        sp.port = config_.multi_chassis.mcs_port;
        sp.psk = std::move(p.keys.tls_psk);
        sp.dscp = static_cast<std::uint8_t>(config_.multi_chassis.dscp);
        sp.config = peer.sync;
        sp.config.shutdown = sp.config.shutdown || peer.shutdown;
        sp.detection = detection_time(peer.mc_ipsec);
        sp.listeners = listeners_;
        p.sync = std::make_unique<SyncControl>(loop_, log_, *charon_, *kernel_, std::move(sp), db_epoch_);
        if (auto done = wire_sync(*p.sync); !done)
            return done;
        for (const auto &[id, sg] : peer.sync.tunnel_group) {
            auto *g = find(id);
            if (!g || g->peer != peer.address)
                continue;
            p.sync->add_group(sg.sync_tag, config_.tunnel_group.at(id));
            g->sync = p.sync.get();
        }
    }
    for (auto &[id, g] : groups_)
        if (g.peer == peer.address && !g.sync) {        // elected, not synchronised
            local_->add_group(fmt::format("local-{}", id), config_.tunnel_group.at(id));
            g.sync = local_.get();
        }
    return {};
}

Expected<void> Engine::start_mimp(const PeerConfig &peer)
{
    auto &p = peers_.at(peer.address);
    std::uint32_t lease = 0;
    for (const auto &[id, g] : groups_)
        if (g.peer == peer.address)
            lease = lease_of(config_, id);
    auto mimp = std::make_unique<PeerControl>(loop_, log_, sockets_, *kernel_, cookie_, lease, peer, config_.multi_chassis);
    auto &cb = mimp->callbacks;
    cb.set_state = [this](const mimp::SetState &s) { set_state(s); };
    cb.prepare_standby = [this](const mimp::HandoverPrepareStandby &h) {
        if (auto *g = find(h.group)) {
            g->prepare_waits = h.id;
            g->prepare_ignores = h.ignore_protection;
            if (g->sync)
                g->sync->begin_handover(g->id);
            try_prepared(*g);
        }
    };
    cb.flip_and_export = [this](const mimp::HandoverFlipAndExport &h) { flip_and_export(h); };
    cb.import_frozen = [this](const mimp::HandoverImport &h) { import_frozen(h); };
    cb.handover_ended = [this](GroupId id, std::uint64_t h, std::optional<mimp::HandoverFailed> failed) { handover_ended(id, h, failed); };
    cb.peer_changed = [this, address = peer.address] { peer_changed(address); };
    cb.group_changed = [this](GroupId id) { group_changed(id); };
    cb.restart_granted = [this, address = peer.address](Time expiry) { restart_granted(address, expiry); };
    cb.restart_denied = [this, address = peer.address] { restart_denied(address); };
    if (auto done = mimp->open(p.keys); !done)
        return done;
    p.mimp = std::move(mimp);
    // A peer that was not there before has granted nothing.
    if (auto resume = resumed_ ? resume_of(*resumed_, peer.mc_ipsec) : mimp::Resume{}; !resume.groups.empty())
        p.mimp->event(std::move(resume));
    else
        p.mimp->event(mimp::Start{first_boot_});
    return {};
}

std::map<GroupId, io::PluginGroup> Engine::plugin_groups() const
{
    std::map<GroupId, io::PluginGroup> out;
    for (const auto &[id, g] : groups_) {
        auto pg = plugin_group(config_, id);
        pg.state = acting_master(g.state) ? io::CharonState::Active : io::CharonState::Passive;
        out.emplace(id, std::move(pg));
    }
    return out;
}

void Engine::each_sync(const std::function<void(SyncControl &)> &f)
{
    if (local_)
        f(*local_);
    for (auto &[address, p] : peers_)
        if (p.sync)
            f(*p.sync);
}

// charon is listing what it has of a group, whichever peer's.
bool Engine::lists() const
{
    return std::any_of(groups_.begin(), groups_.end(), [](const auto &item) { return item.second.sync && item.second.sync->lists(item.first); });
}

void Engine::send_ack()
{
    if (!charon_->up())
        return;
    std::vector<group::SessionAck> sessions;
    each_sync([&](SyncControl &s) {
        sessions.push_back({s.ack().epoch, s.ack().seq, s.ack().none_open, {}});
        for (const auto &[id, g] : groups_)
            if (g.sync == &s)
                sessions.back().groups.push_back(id);
    });
    const auto ack = acks_.update(charon_->version().epoch, sessions);
    if (!ack)
        return;
    charon_->plugin().ack(acks_.epoch(), ack->seq, ack->groups, [](Expected<void>) {});
    for (auto &[id, g] : groups_)
        if (g.held.acked(acks_.epoch(), acks_.of(id)))
            protect(g);
}

// What charon counts, for show: asked while a record waits for the standby, once more
// when none does any more, when there were new ones, and now and then.
void Engine::ask_charon(Time now)
{
    bool open = false;
    each_sync([&](SyncControl &s) { open = open || !s.ack().none_open; });
    if (open || asked_open_ || asked_seq_ != newest_seq_ || now >= asked_at_ + kAskCharon) {
        charon_->ask_status();
        asked_at_ = now;
    }
    asked_open_ = open;
    asked_seq_ = newest_seq_;
}

// ---- what happens outside ----

Expected<void> Engine::read_links()
{
    auto all = links_->dump();
    if (!all)
        return fail(all.error().code, "links: " + all.error().text);
    links_up_.clear();
    for (const auto &l : *all)
        if (l.up)
            links_up_.insert(l.name);
    return {};
}

void Engine::links_changed()
{
    if (auto done = read_links(); !done)
        return log_.text(io::Level::Error, done.error().text);
    for (const auto &[id, g] : groups_)
        routes_->set_state(id, g.state, true);
    check_members();
}

void Engine::module_event(const io::ModuleEvent &e)
{
    auto *g = find(e.group);
    if (!g)
        return;
    switch (e.event) {
    case MCIPSEC_EVENT_SWITCHOVER: {
        SwitchoverView v;
        v.id = e.switchover_id;
        v.tunnel_group = g->id;
        v.state = "preparing";
        g->switchover = v;
        if (auto *p = peer_of(*g))
            p->mimp->event(mimp::ForceSwitchover{g->id, e.switchover_id, (e.switchover_flags & MCIPSEC_SWO_IGNORE_PROTECTION) != 0});
        break;
    }
    case MCIPSEC_EVENT_LEASE_EXPIRED:
        log_.write({.level = io::Level::Warning,
                    .event = std::string(io::event::kKernel),
                    .text = fmt::format("tunnel-group {}: lease expired, the gate closed by itself", g->id),
                    .group = g->id});
        if (auto *p = peer_of(*g))
            p->mimp->event(mimp::Stalled{});
        [[fallthrough]];
    case MCIPSEC_EVENT_LEASE_RENEWED:
        // mcipsec-trackd may have changed routes and track files meanwhile.
        routes_->set_state(g->id, g->state, true);
        vrrp_->set_forwarding(g->id, acting_master(g->state), true);
        break;
    case MCIPSEC_EVENT_GROUP_DEL:
        if (!stopping_) {
            log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = fmt::format("tunnel-group {} was removed from the kernel module", g->id), .group = g->id});
            (void)boot_gates(*kernel_, *links_, config_);
            g->static_peers.reset();
            g->module_ok = false;
            judge(*g);
        }
        break;
    default: break;
    }
}

void Engine::write_fence_plan()
{
    std::string text = "mcipsec-fence-plan 1\n";
    for (const auto &t : vrrp_->fence_lines())
        text += fmt::format("group {} track {} {}\n", t.group, t.path, t.value);
    for (const auto &p : routes_->planned())
        if (p.route.table)
            text += fmt::format("group {} route {} table {} metric {} dev {}\n", p.group, p.route.destination.str(), p.route.table,
                                p.route.metric, p.device.empty() ? "lo" : p.device);
    text += "end\n";
    const auto done = io::write_file_atomic(run_dir_ + "/fence.plan", text);
    if (done) {
        plan_failed_ = false;
        return;
    }
    if (!std::exchange(plan_failed_, true))
        log_.text(io::Level::Error, "fence plan: " + done.error().text);
    plan_armed_ = static_cast<bool>(plan_timer_.arm(loop_.now() + kPlanRetry));
}

void Engine::save_admin()
{
    if (auto done = io::write_file_atomic(run_dir_ + "/admin.json", admin_.json(), 0600); !done)
        log_.text(io::Level::Error, "admin states: " + done.error().text);
}

void Engine::serve(io::ControlServer::ClientId id, const io::ControlPeer &who, const io::Json &request)
{
    // Both ends are JSON text; an identity that is no UTF-8 must not throw.
    constexpr auto lenient = nlohmann::json::error_handler_t::replace;
    const auto answer = dispatch(*this, nlohmann::json::parse(request.dump(-1, ' ', false, lenient)), who.privileged);
    control_->reply(id, io::Json::parse(answer.dump(-1, ' ', false, lenient)));
    if (wants_events(answer))
        control_->subscribe(id);
}

// ---- reload and stop ----

// Carries a configuration that passed check_reload() into the running parts.
void Engine::apply_config(const Config &next)
{
    const Config before = std::exchange(config_, next);
    for (const auto &[id, tg] : config_.tunnel_group) {
        auto *g = find(id);
        if (!g)
            continue;
        g->pacer.set_pace(rekey_pace(tg.rekey));
        g->life.pacer.set_pace(rekey_pace(tg.rekey));
        if (g->sync)
            g->sync->reconfigure_group(tg);
        arm_sampling(*g);
    }
    log_.set_limit(config_.system.log_entries);
    if (auto done = metrics_->configure(config_.system.metrics_file, config_.system.metrics_interval); !done)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kAlarm), .text = "metrics-file: " + done.error().text});
    if (auto done = boot_gates(*kernel_, *links_, config_); !done)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = done.error().text});
    routes_->configure(config_);
    for (const auto &[id, g] : groups_)
        routes_->set_state(id, g.state, true);
    if (auto done = vrrp_->configure(config_.vrrp); !done)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kVrrp), .text = done.error().text});
    write_fence_plan();
    charon_->configure(plugin_groups());
    config_watch_->configure(config_);
    if (auto done = members_->configure(config_.mda); !done)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kMember), .text = done.error().text});
    for (const auto &[address, peer] : config_.multi_chassis.peer) {
        const auto it = peers_.find(address);
        const auto old = before.multi_chassis.peer.find(address);
        if (it == peers_.end() || old == before.multi_chassis.peer.end())
            continue;
        if (!it->second.mimp)
            continue;
        it->second.mimp->reconfigure(peer);
        if (it->second.sync)
            it->second.sync->reconfigure(peer_name(peer), detection_time(peer.mc_ipsec));
        if (old->second.shutdown != peer.shutdown)
            it->second.mimp->event(mimp::AdminChange{0, !peer.shutdown});
        for (const auto &[id, g] : peer.mc_ipsec.tunnel_group)
            if (const auto was = old->second.mc_ipsec.tunnel_group.find(id); was != old->second.mc_ipsec.tunnel_group.end() && was->second.shutdown != g.shutdown)
                it->second.mimp->event(mimp::AdminChange{id, !g.shutdown});
        const bool was_up = !old->second.sync.shutdown && !old->second.shutdown, is_up = !peer.sync.shutdown && !peer.shutdown;
        if (it->second.sync && was_up != is_up)
            it->second.sync->set_admin(is_up);
    }
    check_members();
}

// A tunnel-group is down without one of its tunnels' interfaces: a tunnel that comes must not
// take the others along.
Expected<void> Engine::devices_there(const Config &next)
{
    std::string errors;
    if (auto done = read_links(); !done)        // the word of one that has just come may be under way
        return done;
    for (const auto &[name, t] : next.tunnel) {
        const auto before = config_.tunnel.find(name);
        const auto group = next.tunnel_group.find(t.tunnel_group);
        if (t.interface.empty() || links_up_.contains(t.interface) || (group != next.tunnel_group.end() && group->second.shutdown) ||
            (before != config_.tunnel.end() && before->second.interface == t.interface))
            continue;
        errors += fmt::format("{}{}: interface {} of tunnel {} does not exist or is down, allowed is one that is up: without it tunnel-group {} would go down",
                              errors.empty() ? "" : "\n", next.where_of("ipsec.tunnel." + path_element(name) + ".interface").str(), t.interface, name, t.tunnel_group);
    }
    if (!errors.empty())
        return fail(-ENODEV, errors);
    return {};
}

// What a process that starts anew must not stop at: a key file, and a lease that another
// peer has now (leases are numbered in the order of the peers' addresses).
Expected<void> Engine::for_restart(const Config &next)
{
    for (const auto &[id, g] : groups_)
        if (const auto *peer = next.peer_of(id); peer && peer->address == g.peer && lease_of(next, id) != lease_of(config_, id))
            return fail(-EBUSY, fmt::format("tunnel-group {}: needs a restart of mcipsecd while this chassis is its standby: the address of a new peer comes before that of peer {}", id, g.peer.str()));
    for (const auto &[address, peer] : next.multi_chassis.peer) {
        const auto at = next.where_of("redundancy.multi-chassis.peer." + path_element(address.str()) + ".authentication-key-file").str();
        auto text = io::read_secret_file(peer.authentication_key_file);
        if (!text)
            return fail(text.error().code, at + ": " + text.error().text);
        if (auto key = parse_auth_key({reinterpret_cast<const char *>(text->view().data()), text->size()}); !key)
            return fail(key.error().code, fmt::format("{}: {}: {}", at, peer.authentication_key_file, key.error().text));
    }
    return {};
}

Expected<Engine::Reloaded> Engine::reload()
{
    (void)io::notify::reloading();
    auto next = load_config(config_path_, "", run_dir_);
    auto refuse = [&](const Error &e) -> Expected<Reloaded> {
        std::string line = e.text;
        for (auto at = line.find('\n'); at != std::string::npos; at = line.find('\n'))
            line.replace(at, 1, at + 1 < line.size() ? "; " : "");
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kConfig), .text = "configuration not applied: " + line});
        (void)io::notify::ready();
        return tl::unexpected(e);
    };
    if (!next)
        return refuse(next.error());
    Config with_admin = admin_.apply(*next);
    auto changes = check_reload(config_, with_admin);
    if (!changes)
        return refuse(changes.error());
    if (auto there = devices_there(with_admin); !there)
        return refuse(there.error());
    if (std::any_of(changes->begin(), changes->end(), [](const Change &c) { return c.apply == Apply::PlannedRestart; })) {
        if (auto fit = for_restart(with_admin); !fit)
            return refuse(fit.error());
        if (stopping_ || restart_asks_ > 0 || !peers_begun_)
            return refuse({-EBUSY, "a start or planned restart of mcipsecd is under way, try again"});
        loop_.post([this] { restart(true); });
        next->warnings.push_back("peers and tunnel-groups come and go by a planned restart of mcipsecd, which is asked for now: show log says whether the peers grant it");
        for (const auto &[id, g] : groups_)
            if (const auto *peer = with_admin.peer_of(id); peer && peer->address != g.peer)
                next->warnings.push_back(fmt::format("tunnel-group {} begins in discovery: it does not forward until its peer is reached or discovery-interval is over", id));
        return Reloaded{std::move(*changes), next->warnings};
    }
    file_ = std::move(*next);
    if (admin_.forget(file_))
        save_admin();
    apply_config(with_admin);
    config_read_at_ = std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count();
    for (const auto &w : file_.warnings)
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kConfig), .text = w});
    log_.write({.level = io::Level::Notice, .event = std::string(io::event::kConfig), .text = fmt::format("configuration applied, {} changes", changes->size())});
    (void)io::notify::ready();
    return Reloaded{std::move(*changes), file_.warnings};
}

void Engine::shut_down()
{
    stop_then_ = anew_ && stopping_;
    if (std::exchange(stopping_, true))
        return;
    anew_ = false;
    (void)io::notify::stopping();
    log_.write({.level = io::Level::Notice, .event = std::string(io::event::kStop), .text = "mcipsecd stops: mastership is given away"});
    for (auto &[address, p] : peers_)
        if (p.mimp)
            p.mimp->event(mimp::AdminChange{0, false});
    for (auto &[id, g] : groups_)
        apply_state(g, Mastership::NotEligible, false, false, g.generation, "stopped");
    stop_after(kFarewell);
}

void Engine::stop_after(Duration delay)
{
    auto timer = loop_.add_timer([this](Time) { loop_.stop(0); });
    if (!timer)
        return loop_.stop(0);
    stop_timer_ = std::move(*timer);
    (void)stop_timer_.arm(loop_.now() + delay);
}

std::vector<LogEntryView> Engine::log(std::uint64_t after, std::size_t limit) { return log_page(log_, after, limit); }

}  // namespace mcipsec::app
