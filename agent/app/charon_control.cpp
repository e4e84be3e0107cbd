// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/charon_control.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>

namespace mcipsec::app {

namespace {
constexpr Duration kRetry = 250ms;

// Sections of mcipsec-status (Documentation/vici-mcipsec.rst).
constexpr std::string_view kGroupSection = "group-";

std::string section_of_group(GroupId group) { return fmt::format("{}{}", kGroupSection, group); }

std::optional<GroupId> group_of_section(std::string_view name)
{
    GroupId group = 0;
    if (!name.starts_with(kGroupSection))
        return std::nullopt;
    name.remove_prefix(kGroupSection.size());
    const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), group);
    return ec == std::errc() && end == name.data() + name.size() ? std::optional(group) : std::nullopt;
}

}  // namespace

CharonControl::CharonControl(io::EventLoop &loop, io::Log &log, std::string socket)
    : loop_(loop), log_(log), vici_(loop, std::move(socket)), plugin_(vici_)
{
    vici_.on_down = [this](const Error &why) { down(why.text); };
}

Expected<void> CharonControl::start()
{
    auto timer = loop_.add_timer([this](Time) { attempt(); });
    if (!timer)
        return tl::unexpected(timer.error());
    retry_ = std::move(*timer);
    plugin_.start([this](Expected<void> outcome) { registered(std::move(outcome)); });
    attempt();
    return {};
}

void CharonControl::attempt()
{
    if (vici_.connected())
        return;
    attempted_ = true;
    if (auto done = vici_.connect(); !done)
        return down(done.error().text);
    plugin_.version([this](Expected<io::PluginVersion> v) {
        if (!v)
            return down(v.error().text);
        if (v->protocol != io::kPluginProtocol)
            return down(fmt::format("charon's plugin speaks protocol {}, this agent {}", v->protocol, io::kPluginProtocol));
        version_ = *v;
        plugin_.status([this](Expected<io::vici::Message> status) {
            if (!status)
                return down(status.error().text);
            remove_unknown(*status);
            tell_all();
            // Answers come in the order of the requests: this one is behind all groups.
            plugin_.version([this](Expected<io::PluginVersion> again) {
                if (!again || !vici_.connected() || !attempted_)
                    return;         // or it has refused a group
                up_ = true;
                why_.clear();
                told_.clear();
                log_.write({.level = io::Level::Notice,
                            .event = std::string(io::event::kCharon),
                            .text = fmt::format("charon {} answers, plugin {}", version_.strongswan, version_.plugin)});
                if (on_up)
                    on_up(version_);
            });
        });
    });
}

// Groups that an earlier agent had and this one has not: what charon has of them is nobody's.
void CharonControl::remove_unknown(const io::vici::Message &status)
{
    for (const auto &item : status.elements()) {
        const auto group = group_of_section(item.name);
        if (group && !groups_.contains(*group))
            plugin_.group_remove(*group, [this, group = *group](Expected<void> done) {
                if (!done && !up_)
                    down(fmt::format("tunnel-group {}, which is not configured: {}", group, done.error().text));
            });
    }
}

void CharonControl::registered(Expected<void> outcome)
{
    if (!outcome)
        down("charon has no mcipsec plugin: " + outcome.error().text);
}

void CharonControl::down(const std::string &why)
{
    (void)retry_.arm(loop_.now() + kRetry);
    // The first reason is the cause; that the connection ends follows from it.
    if (!std::exchange(attempted_, false) && !up_)
        return;
    const bool was_up = std::exchange(up_, false);
    why_ = why;
    status_.clear();
    if (was_up || told_ != why) {
        told_ = why;
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kCharon), .text = "charon does not answer: " + why});
    }
    if (vici_.connected())
        loop_.post([this] {
            if (!up_)
                vici_.close();
        });
    if (was_up && on_down)
        on_down(why);
}

void CharonControl::configure(const std::map<GroupId, io::PluginGroup> &groups)
{
    auto next = groups;
    for (auto &[id, g] : next)
        if (const auto old = groups_.find(id); old != groups_.end()) {
            g.state = old->second.state;
            g.commit = old->second.commit;
            g.share = old->second.share;
        }
    groups_ = std::move(next);
    if (up_)
        tell_all();
}

// Until the last of them is told the plugin keeps addresses of no group shut.
void CharonControl::tell_all()
{
    std::size_t left = groups_.size();
    for (const auto &[id, g] : groups_)
        tell(id, [this, id = id](Expected<void> done) {
            if (!done && !up_)
                down(fmt::format("tunnel-group {}: {}", id, done.error().text));
        }, --left > 0);
}

void CharonControl::tell(GroupId group, std::function<void(Expected<void>)> done, bool more)
{
    auto told = groups_.at(group);
    told.more = more;
    plugin_.group(told, [this, group, done = std::move(done)](Expected<io::PluginGroupReply> outcome) {
        if (!outcome)
            log_.write({.level = io::Level::Error,
                        .event = std::string(io::event::kCharon),
                        .text = fmt::format("charon refused tunnel-group {}: {}", group, outcome.error().text),
                        .group = group});
        if (done)
            done(outcome ? Expected<void>{} : tl::unexpected(outcome.error()));
    });
}

void CharonControl::set_state(GroupId group, io::CharonState state, std::function<void(Expected<void>)> done)
{
    const auto it = groups_.find(group);
    if (it == groups_.end()) {
        if (done)
            done(fail(-ENOENT, fmt::format("no tunnel-group {}", group)));
        return;
    }
    it->second.state = state;
    if (state != io::CharonState::Active)
        it->second.commit = false;
    if (!vici_.connected()) {
        if (done)
            done(fail(-ENOTCONN, "charon does not answer: " + why_));
        return;
    }
    tell(group, std::move(done));
}

void CharonControl::set_commit(GroupId group, bool on)
{
    const auto it = groups_.find(group);
    if (it == groups_.end() || it->second.commit == on)
        return;
    it->second.commit = on;
    if (vici_.connected())
        tell(group, {});
}

void CharonControl::set_share(GroupId group, io::PoolShare share)
{
    const auto it = groups_.find(group);
    if (it == groups_.end() || std::exchange(it->second.share, share) == share)
        return;
    if (vici_.connected())
        tell(group, {});
}

io::CharonState CharonControl::state(GroupId group) const
{
    const auto it = groups_.find(group);
    return it == groups_.end() ? io::CharonState::Closed : it->second.state;
}

CharonControl::Status CharonControl::status(GroupId group) const
{
    const auto it = status_.find(group);
    return it == status_.end() ? Status{} : it->second;
}

void CharonControl::ask_status()
{
    if (!up_ || std::exchange(asking_, true))
        return;
    plugin_.status([this](Expected<io::vici::Message> answer) {
        asking_ = false;
        if (!answer)
            return;
        status_.clear();
        for (const auto &[id, g] : groups_)
            if (const auto *s = answer->section(section_of_group(id)))
                for (const auto &[field, name] : {std::pair(&Status::held, "held"), {&Status::held_total, "held-total"},
                                                  {&Status::held_expired, "held-expired"}, {&Status::held_median_us, "held-median-us"},
                                                  {&Status::held_p99_us, "held-p99-us"}, {&Status::not_begun, "not-begun"}, {&Status::resent, "resent"},
                                                  {&Status::synced, "synced"}, {&Status::sync_failed, "sync-failed"}, {&Status::followed, "followed"}})
                    status_[id].*field = s->u64(name).value_or(0);
    });
}

}  // namespace mcipsec::app
