// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/vrrp_control.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "app/keepalived_conf.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

// "MASTER_RX_LOWER_PRI" and "MASTER_PRIORITY" are a master's, too.
std::string state_text(const std::string &told)
{
    if (told.starts_with("MASTER"))
        return "Master";
    if (told.starts_with("BACKUP"))
        return "Backup";
    if (told == "FAULT" || told == "STOP")
        return "Fault";
    return "unknown";
}

std::optional<group::VrrpPolicy> make_policy(const std::vector<PriorityEventConfig> &events)
{
    if (events.empty())
        return std::nullopt;
    std::vector<group::PriorityEvent> out;
    for (const auto &e : events)
        out.push_back({e.tunnel_group, static_cast<int>(e.priority), e.hold_set, e.hold_clear});
    return group::VrrpPolicy(std::move(out));
}

}  // namespace

Expected<void> VrrpControl::configure(const VrrpConfig &config)
{
    std::map<std::string, Instance> next;
    for (const auto &[name, c] : config.instance) {
        Instance i;
        if (const auto old = instances_.find(name); old != instances_.end())
            i = std::move(old->second);
        std::vector<PriorityEventConfig> events;
        if (const auto p = config.policy.find(c.policy); p != config.policy.end())
            events = p->second.priority_event;
        const bool same_policy = i.events == events && i.policy.has_value() == !events.empty();
        if (!i.file || i.config.track_file != c.track_file) {
            leave(i);
            i.file = std::make_unique<io::VrrpTrackFile>(loop_, c.track_file, static_cast<int>(c.base_priority));
            i.file->on_error = [this, name = name](const Error &why) {      // the second stage of a release
                if (const auto it = instances_.find(name); it != instances_.end())
                    failed(it->second, name, why);
                (void)timer_.arm(loop_.now() + kRetry);
            };
            i.written = false;
        }
        i.file->set_base(static_cast<int>(c.base_priority));
        i.config = c;
        i.events = events;
        if (!same_policy) {
            auto policy = make_policy(events);
            if (policy && i.policy)
                policy->take_over(*i.policy);
            i.policy = std::move(policy);
            for (const auto &[group, forwarding] : forwarding_)
                if (i.policy)
                    i.policy->set_forwarding(group, forwarding, loop_.now());
        }
        const auto folder = std::filesystem::path(c.track_file).parent_path().string();
        if (auto made = io::make_folder(folder); !made)
            return tl::unexpected(made.error());
        next.emplace(name, std::move(i));
    }
    for (auto &[name, i] : instances_)
        leave(i);
    instances_ = std::move(next);
    if (!instances_.empty() && (!fifo_ || config_.notify_fifo != config.notify_fifo)) {
        const auto folder = std::filesystem::path(config.notify_fifo).parent_path().string();
        if (auto made = io::make_folder(folder); !made)
            return tl::unexpected(made.error());
        auto fifo = io::VrrpFifo::open(loop_, config.notify_fifo, [this](const io::VrrpNotice &n) { notice(n); });
        if (!fifo)
            return tl::unexpected(fifo.error());
        fifo_ = std::move(*fifo);
        fifo_->on_writer = [this](bool there) { daemon(there); };
    }
    if (instances_.empty() && fifo_) {
        fifo_.reset();
        daemon(true);
    }
    config_ = config;
    if (!timer_.active()) {
        auto timer = loop_.add_timer([this](Time) { evaluate(false); }, io::Priority::High);
        if (!timer)
            return tl::unexpected(timer.error());
        timer_ = std::move(*timer);
        auto steady = loop_.add_timer([this](Time) {
            if (on_state)
                on_state();
        });
        if (!steady)
            return tl::unexpected(steady.error());
        steady_timer_ = std::move(*steady);
    }
    evaluate(false);
    return {};
}

void VrrpControl::set_forwarding(GroupId group, bool forwarding, bool force)
{
    forwarding_[group] = forwarding;
    for (auto &[name, i] : instances_)
        if (i.policy)
            i.policy->set_forwarding(group, forwarding, loop_.now());
    evaluate(force);
}

// A track file that nobody moves any more stays as of a gateway that does not forward.
void VrrpControl::leave(Instance &i)
{
    if (i.file && i.policy)
        (void)i.file->set(i.policy->non_forwarding(), false);
}

void VrrpControl::evaluate(bool force)
{
    Time next = kNever;
    for (auto &[name, i] : instances_) {
        std::optional<int> wanted;
        if (i.policy) {
            const auto out = i.policy->evaluate(loop_.now());
            wanted = out.explicit_priority;
            next = std::min(next, out.deadline);
        }
        if (i.written && wanted == i.in_use && !force)
            continue;
        const bool release = i.written && wanted && (!i.in_use || *wanted < *i.in_use) && config_.release_pulse > 0ns;
        auto done = i.file->set(wanted, release, force || !i.written);
        i.in_use = wanted;
        if (!done) {
            failed(i, name, done.error());
            next = std::min(next, loop_.now() + kRetry);
            continue;
        }
        i.written = true;
        i.complaint.clear();
        log_.write({.level = io::Level::Info,
                    .event = std::string(io::event::kVrrp),
                    .text = fmt::format("VRRP {}: in-use priority {}", name, wanted.value_or(static_cast<int>(i.config.base_priority)))});
    }
    (void)timer_.arm(next);
}

// A full disk or no descriptor left: VRRP must not stay with a value of the past.
void VrrpControl::failed(Instance &i, const std::string &name, const Error &why)
{
    i.written = false;
    if (std::exchange(i.complaint, why.text) != why.text)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kVrrp), .text = fmt::format("VRRP {}: {}", name, why.text)});
}

void VrrpControl::notice(const io::VrrpNotice &n)
{
    const auto it = instances_.find(n.name);
    if (n.group || it == instances_.end())
        return;
    auto &i = it->second;
    i.told_priority = n.priority;
    const auto state = state_text(n.state);
    if (state == i.state)
        return;
    log_.write({.event = std::string(io::event::kVrrp),
                .text = fmt::format("VRRP {}: keepalived is {} with priority {}", n.name, state, n.priority),
                .old_state = i.state,
                .new_state = state});
    i.state = state;
    i.since = loop_.now();
    if (state == "Master")
        (void)steady_timer_.arm(i.since + kSteady);
    if (on_state)
        on_state();
}

// What it held before it went says nothing about now.
void VrrpControl::daemon(bool there)
{
    if (there) {
        for (auto &[name, i] : instances_)
            i.since = loop_.now();
        (void)steady_timer_.arm(loop_.now() + kSteady);
    }
    if (on_daemon)
        on_daemon();
}

std::optional<bool> VrrpControl::master_for(GroupId group) const
{
    const Time now = loop_.now();
    std::optional<bool> out;
    if (gone())
        return out;
    bool named = false;
    for (const auto &[name, i] : instances_)
        for (const auto &e : i.events)
            if (e.tunnel_group == group) {
                named = true;
                if (i.state != "unknown")
                    out = out.value_or(false) || steady(i, now);
            }
    if (named)
        return out;
    // As on the chassis that is backup by its base priority alone: the group's packets are
    // where all instances without a policy are.
    for (const auto &[name, i] : instances_)
        if (i.events.empty() && i.state != "unknown")
            out = out.value_or(true) && steady(i, now);
    return out;
}

std::map<std::string, RestartState::Vrrp> VrrpControl::told() const
{
    std::map<std::string, RestartState::Vrrp> out;
    for (const auto &[name, i] : instances_)
        out[name] = {i.state, i.told_priority};
    return out;
}

void VrrpControl::restore(const std::map<std::string, RestartState::Vrrp> &told)
{
    for (auto &[name, i] : instances_)
        if (const auto t = told.find(name); t != told.end()) {
            i.state = t->second.state;
            i.told_priority = t->second.priority;
        }
}

std::vector<VrrpControl::TrackLine> VrrpControl::fence_lines() const
{
    std::vector<TrackLine> out;
    for (const auto &[name, i] : instances_)
        for (const auto &e : i.events)
            if (const auto value = io::VrrpTrackFile::value_for(static_cast<int>(e.priority), static_cast<int>(i.config.base_priority)))
                out.push_back({e.tunnel_group, i.config.track_file, *value});
    return out;
}

std::vector<VrrpView> VrrpControl::views() const
{
    const auto conf = read_keepalived_conf(config_.keepalived_conf);
    std::vector<VrrpView> out;
    for (const auto &[name, i] : instances_) {
        VrrpView v;
        v.instance = name;
        v.interface_name = name;
        v.state = gone() ? "unknown" : i.state;
        v.opr = gone() || i.state == "Fault" ? "Down" : "Up";
        v.base_pri = i.config.base_priority;
        v.in_use_pri = static_cast<std::uint32_t>(i.in_use.value_or(static_cast<int>(i.config.base_priority)));
        v.pol_id = i.config.policy ? std::to_string(i.config.policy) : "n/a";
        v.track_file = i.config.track_file;
        v.track_value = i.file ? i.file->value() : 0;
        for (const auto &e : i.events)
            v.events.push_back(fmt::format("tunnel-group {} non-forwarding, priority {}", e.tunnel_group, e.priority));
        if (const auto k = conf.find(name); k != conf.end()) {
            v.interface_name = k->second.interface.empty() ? name : k->second.interface;
            v.vr_id = k->second.virtual_router_id;
            v.msg_int = k->second.advert_int;
            v.backup_addr = k->second.virtual_addresses;
            v.ip = k->second.ipv6 ? "IPv6" : "IPv4";
            v.own = k->second.priority == 255 ? "Yes" : "No";
        }
        out.push_back(std::move(v));
    }
    return out;
}

}  // namespace mcipsec::app
