// SPDX-License-Identifier: GPL-2.0-or-later
// A planned restart of the agent: nothing moves (DESIGN "Lease"). Each peer is
// asked to count this node as reached for restart-hold; the kernel's lease is
// extended so long; what the next process needs lies in restart.json.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "app/engine.hpp"
#include "app/gate_boot.hpp"
#include "io/files.hpp"
#include "io/notify.hpp"

namespace mcipsec::app {

namespace {

constexpr unsigned kAsks = 3;           // an answer may get lost; each try takes half a detection time
constexpr Duration kAloneHold = 60s;
constexpr Duration kLastWords = 20ms;   // for what is queued to the sockets
constexpr Duration kModuleInterval = 5s;        // between looks at a module that came again
constexpr const char *kModule = "/sys/module/mcipsec";

std::string restart_path(const std::string &run_dir) { return run_dir + "/restart.json"; }
std::string vrrp_path(const std::string &run_dir) { return run_dir + "/vrrp.json"; }

}  // namespace

std::optional<RestartState> Engine::read_restart_state()
{
    const auto path = restart_path(run_dir_);
    const auto text = io::read_file(path);
    if (!text)
        return std::nullopt;
    auto state = RestartState::from_json(*text, io::boot_id().value_or(""), loop_.now());
    if (!state) {
        log_.write({.level = io::Level::Notice, .event = std::string(io::event::kStart), .text = "no planned restart to go on from: " + state.error().text});
        return std::nullopt;
    }
    return std::move(*state);
}

// From here on this process acts by itself: whoever comes after it has nothing to go on from.
void Engine::drop_restart_state()
{
    std::error_code gone;
    std::filesystem::remove(restart_path(run_dir_), gone);
    if (gone)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kStart), .text = restart_path(run_dir_) + " is not removed: " + gone.message()});
}

// keepalived tells a state once. What it tells while no agent runs waits in the FIFO;
// what it told before must outlive an agent that did not plan to go.
void Engine::save_vrrp()
{
    RestartState s;
    s.boot_id = io::boot_id().value_or("");
    s.hold_until = kNever;
    s.vrrp = vrrp_->told();
    if (auto saved = io::write_file_atomic(vrrp_path(run_dir_), s.json(), 0600); !saved)
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kVrrp), .text = "an agent after this one will not know keepalived's states: " + saved.error().text});
}

std::map<std::string, RestartState::Vrrp> Engine::saved_vrrp() const
{
    const auto text = io::read_file(vrrp_path(run_dir_));
    if (!text)
        return {};
    const auto state = RestartState::from_json(*text, io::boot_id().value_or(""), loop_.now());
    return state ? state->vrrp : std::map<std::string, RestartState::Vrrp>{};
}

// A group that another peer has now, or one at last, does not go on: it begins in
// discovery, as the seed's "enabled for the tunnel-group" says.
void Engine::forget_moved_groups()
{
    if (!resumed_)
        return;
    for (auto &g : resumed_->groups) {
        const auto *peer = config_.peer_of(g.saved.group);
        if (!g.peer || *g.peer == (peer ? peer->address.str() : ""))
            continue;
        g.moved = true;
        g.saved.state = Mastership::Discovery;      // what its SAs owe is kept with them (I3)
        if (restarts_standby(g.saved.group))
            purge_due_.insert(g.saved.group);
    }
    std::erase_if(resumed_->groups, [&](const RestartState::Group &g) { return purge_due_.contains(g.saved.group); });
}

// Seed "Other Details": a group that is added to mc-ipsec has its IKE states purged,
// without a message. charon has it passive already.
void Engine::purge_moved_groups()
{
    for (const auto id : std::exchange(purge_due_, {}))
        charon_->plugin().purge(id, [this, id](Expected<std::uint64_t> purged) {
            log_.write({.level = purged ? io::Level::Notice : io::Level::Error,
                        .event = std::string(io::event::kCharon),
                        .text = purged ? fmt::format("tunnel-group {}: new to mc-ipsec, {} IKE_SAs dropped", id, *purged)
                                       : fmt::format("tunnel-group {}: IKE_SAs not dropped: {}", id, purged.error().text),
                        .group = id});
        });
}

// charon has dropped what it had of groups that it was not told of (CharonControl).
void Engine::open_unknown_gates()
{
    for (const auto id : std::exchange(unknown_gates_, {})) {
        const auto gone = kernel_->group_del(id);
        log_.write({.level = gone ? io::Level::Notice : io::Level::Error,
                    .event = std::string(io::event::kKernel),
                    .text = gone ? fmt::format("tunnel-group {} is not configured any more: its gate is removed, charon has dropped its IKE_SAs", id)
                                 : fmt::format("tunnel-group {} is not configured any more, its gate stays shut: {}", id, gone.error().text),
                    .group = id});
    }
}

void Engine::restart(bool anew)
{
    if (!anew)
        anew_ = false;          // this process is to go, whatever a reload wanted
    if (stopping_ || restart_asks_ > 0)
        return;
    anew_ = anew;
    log_.write({.level = io::Level::Notice, .event = std::string(io::event::kStop), .text = "planned restart: the peers are asked to wait"});
    restart_asks_ = kAsks;
    restart_grants_.clear();
    ask_for_restart();
}

// Who granted the restart waits for us no longer than for anybody. Posted: what the
// session had to do when it was granted comes first.
void Engine::cancel_restart()
{
    restart_asks_ = 0;
    restart_grants_.clear();
    loop_.post([this] {
        if (restart_asks_ > 0)      // asked anew meanwhile
            return;
        for (auto &[address, p] : peers_)
            if (p.mimp)
                p.mimp->event(mimp::RestartCancelled{});
    });
}

// A reload that cannot be carried out: everything stays as it is.
void Engine::give_up_reload(const std::string &why)
{
    anew_ = false;
    cancel_restart();
    log_.write({.level = io::Level::Error, .event = std::string(io::event::kConfig), .text = "configuration not applied: " + why});
    (void)io::notify::ready();
}

// Since it was asked for the files may have changed, and the next process reads them again.
Expected<void> Engine::config_stands()
{
    auto next = load_config(config_path_, "", run_dir_);
    if (!next)
        return tl::unexpected(next.error());
    const Config with_admin = admin_.apply(*next);
    if (auto changes = check_reload(config_, with_admin); !changes)
        return tl::unexpected(changes.error());
    if (auto there = devices_there(with_admin); !there)
        return there;
    return for_restart(with_admin);
}

// "No such group" is also what the kernel says when there is no such module. What another
// one that was loaded meanwhile would need, this process does not have: it begins anew. The
// module is not asked for by name before it is there: the kernel would load it for that, and
// this loop wait.
Expected<void> Engine::module_there()
{
    if (const auto groups = kernel_->group_dump(); groups || groups.error().code != -ENOENT)
        return groups ? Expected<void>{} : tl::unexpected(groups.error());
    if (stopping_)
        return fail(-ESTALE, "it was loaded anew");
    std::error_code ignored;
    if (!std::filesystem::exists(kModule, ignored))
        return fail(-ENOENT, "the module is not loaded");
    if (module_refused_ && loop_.now() < module_looked_at_ + kModuleInterval)
        return tl::unexpected(*module_refused_);
    module_looked_at_ = loop_.now();
    const auto ready = [this]() -> Expected<void> {
        auto another = io::McipsecNl::open();
        if (!another)
            return tl::unexpected(another.error());
        if (auto shut = boot_gates(*another, *links_, config_); !shut)
            return shut;
        if (auto stands = config_stands(); !stands)
            return fail(stands.error().code, "it was loaded anew, for which mcipsecd has to begin anew, too, and the configuration does not stand: " + stands.error().text);
        return {};
    }();
    if (!ready) {
        module_refused_ = ready.error();
        return ready;
    }
    stopping_ = anew_ = true;
    restart_asks_ = 0;
    drop_restart_state();
    log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "the kernel module was unloaded, and loaded again without its tunnel-groups: mcipsecd starts anew"});
    stop_after(kLastWords);
    return fail(-ESTALE, "it was loaded anew");
}

void Engine::ask_for_restart()
{
    if (restart_asks_ == 0)     // given up meanwhile
        return;
    for (auto &[address, p] : peers_)
        if (p.mimp && !restart_grants_.contains(address)) {
            const auto &mc = p.mimp->config().mc_ipsec;
            // Nobody to ask: a peer that boots meanwhile listens for its discovery
            // interval before it forwards, and must hear us by then.
            if (!p.mimp->snapshot().reached)
                restart_grants_[address] = loop_.now() + std::min({mc.restart_hold, mc.discovery_interval / 2, mc.discovery_interval_boot / 2});
            else
                p.mimp->event(mimp::Restarting{mc.restart_hold});
        }
    restart_answered();
}

void Engine::restart_granted(const IpAddress &peer, Time expiry)
{
    if (restart_asks_ == 0)
        return;
    restart_grants_[peer] = expiry;
    restart_answered();
}

void Engine::restart_denied(const IpAddress &peer)
{
    if (restart_asks_ == 0)
        return;
    if (--restart_asks_ > 0)
        return loop_.post([this] { ask_for_restart(); });
    if (anew_)
        return give_up_reload(fmt::format("peer {} did not grant the planned restart that it takes", peer.str()));
    log_.write({.level = io::Level::Warning,
                .event = std::string(io::event::kStop),
                .text = fmt::format("planned restart: peer {} did not grant it, mastership is given away instead", peer.str()),
                .peer = peer.str()});
    cancel_restart();
    shut_down();
}

void Engine::restart_answered()
{
    for (const auto &[address, p] : peers_)
        if (p.mimp && !restart_grants_.contains(address))
            return;
    if (stopping_)
        return;
    if (anew_)
        if (auto stands = config_stands(); !stands)
            return give_up_reload(stands.error().text);
    RestartState s;
    s.boot_id = io::boot_id().value_or("");
    s.hold_until = kNever;
    for (const auto &[address, expiry] : restart_grants_)
        s.hold_until = std::min(s.hold_until, expiry);
    if (s.hold_until == kNever)             // no peer: nobody waits, no lease runs
        s.hold_until = loop_.now() + kAloneHold;
    auto save = [&](const mimp::SavedGroup &saved) {
        const auto &g = groups_.at(saved.group);
        s.groups.push_back({saved, g.pacer.progress().running() || (g.sync && g.sync->has_near(saved.group)), g.sync ? g.sync->debts(saved.group) : std::vector<SeqState::Debt>{},
                            g.peer.empty() ? "" : g.peer.str()});
    };
    for (const auto &[address, p] : peers_)
        if (p.mimp)
            for (const auto &saved : p.mimp->session().save())
                save(saved);
    for (const auto &[id, g] : groups_)
        if (!peer_of(g))
            save({id, g.state, g.generation, g.verdict.oper_up, static_cast<std::uint16_t>(g.verdict.active)});
    s.vrrp = vrrp_->told();
    auto saved = io::write_file_atomic(restart_path(run_dir_), s.json(), 0600);
    if (!saved && anew_)
        return give_up_reload(saved.error().text);
    for (auto &[address, expiry] : restart_grants_)
        if (saved)
            saved = peers_.at(address).mimp->bridge_restart(expiry);
    if (!saved) {
        drop_restart_state();
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kStop), .text = "planned restart: " + saved.error().text + "; mastership is given away instead"});
        return shut_down();
    }
    // Nobody acknowledges while the agent is away: charon must not wait for it (I4
    // holds nothing with MCS down).
    for (const auto &[id, g] : groups_)
        charon_->set_commit(id, false);
    stopping_ = true;
    if (!anew_)
        (void)io::notify::stopping();
    log_.write({.level = io::Level::Notice,
                .event = std::string(io::event::kStop),
                .text = fmt::format("mcipsecd stops for a planned restart: nothing moves for {} s",
                                    std::chrono::duration_cast<std::chrono::seconds>(s.hold_until - loop_.now()).count())});
    stop_after(kLastWords);
}

}  // namespace mcipsec::app
