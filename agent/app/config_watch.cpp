// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/config_watch.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mcipsec::app {

namespace {
constexpr int kShare = 20;      // a pause is at least so many times as long as the round before it
}

ConfigWatch::ConfigWatch(io::EventLoop &loop, io::Log &log, Alarms &alarms, Duration pause)
    : loop_(loop), log_(log), alarms_(alarms), pause_(pause)
{
}

Expected<void> ConfigWatch::start()
{
    auto timer = loop_.add_timer([this](Time) { begin_round(); }, io::Priority::Idle);
    if (!timer)
        return tl::unexpected(timer.error());
    timer_ = std::move(*timer);
    return {};
}

void ConfigWatch::configure(const Config &config)
{
    config_ = config;
    std::set<std::string> wanted;
    for (const auto &[id, g] : config_.tunnel_group)
        for (const auto &c : connections_of(config_, id))
            wanted.insert(c);
    std::erase_if(facts_, [&](const auto &f) { return !wanted.contains(f.first); });
    raise_alarms();
    for (const auto &[id, g] : config_.tunnel_group)
        if (on_change)
            on_change(id);
    if (up_)
        begin_round();
}

void ConfigWatch::charon_up()
{
    up_ = true;
    begin_round();
}

void ConfigWatch::charon_down()
{
    up_ = false;
    round_++;
    timer_.disarm();
}

void ConfigWatch::begin_round()
{
    round_++;
    round_began_ = loop_.now();
    open_.clear();
    changed_.clear();
    loaded_.clear();
    std::set<std::string> all;
    for (const auto &[id, g] : config_.tunnel_group)
        for (auto &c : connections_of(config_, id))
            all.insert(std::move(c));
    open_.assign(all.begin(), all.end());
    next();
}

void ConfigWatch::next()
{
    if (!up_)
        return;
    if (open_.empty())
        return end_round();
    const auto name = open_.front();
    open_.pop_front();
    ask(name, [this, alive = alive_, round = round_, name](Expected<io::vici::Message> reply) {
        if (*alive && round == round_)
            answered(name, std::move(reply));
    });
}

void ConfigWatch::answered(const std::string &connection, Expected<io::vici::Message> reply)
{
    auto facts = reply ? parse_connection(connection, *reply) : tl::unexpected(reply.error());
    if (!facts) {
        // A plugin without the command, or an answer that makes no sense: what
        // is known stays, the next round asks again.
        if (told_ != facts.error().text)
            log_.write({.level = io::Level::Warning, .event = std::string(io::event::kCharon), .text = fmt::format("connection {}: {}", connection, facts.error().text)});
        told_ = facts.error().text;
        return next();
    }
    const auto old = facts_.find(connection);
    if (old == facts_.end() || !(old->second == *facts)) {
        changed_.insert(connection);
        if (facts->loaded && old != facts_.end() && !old->second.loaded)
            loaded_.insert(connection);
        facts_.insert_or_assign(connection, std::move(*facts));
    }
    next();
}

void ConfigWatch::end_round()
{
    (void)timer_.arm(loop_.now() + std::max<Duration>(pause_, (loop_.now() - round_began_) * kShare));
    if (changed_.empty())
        return;
    raise_alarms();
    for (const auto &[id, g] : config_.tunnel_group) {
        const auto names = connections_of(config_, id);
        const auto touched = [&](const std::set<std::string> &set) {
            return std::any_of(names.begin(), names.end(), [&](const std::string &n) { return set.contains(n); });
        };
        if (touched(changed_) && on_change)
            on_change(id);
        if (touched(loaded_) && on_loaded)
            on_loaded(id);
    }
}

void ConfigWatch::raise_alarms()
{
    std::vector<Alarms::Alarm> now;
    for (const auto &[id, g] : config_.tunnel_group)
        for (const auto &name : connections_of(config_, id)) {
            const auto it = facts_.find(name);
            if (it == facts_.end())
                continue;
            std::vector<std::string> faults;
            if (!it->second.loaded)
                faults.push_back(fmt::format("connection {} is not loaded in charon, its entries stay await-conf", name));
            else
                faults = check_connection(config_, it->second.info).errors;
            for (const auto &f : faults)
                now.push_back({fmt::format("tunnel-group {}: {}", id, f), id, {}});
        }
    alarms_.replace("connections", std::move(now));
}

std::optional<std::vector<mcs::ConfigItem>> ConfigWatch::digest(GroupId group) const
{
    for (const auto &name : connections_of(config_, group))
        if (!facts_.contains(name))
            return std::nullopt;
    return config_digest(config_, group, facts_);
}

}  // namespace mcipsec::app
