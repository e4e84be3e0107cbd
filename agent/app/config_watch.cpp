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
    if (!facts->loaded && old != facts_.end())      // charon comes before its connections: no peer has gone
        facts->info.remote_addrs = old->second.info.remote_addrs;
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
    if (on_round)
        on_round();
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

bool ConfigWatch::has_read(GroupId group) const
{
    const auto names = connections_of(config_, group);
    return std::all_of(names.begin(), names.end(), [this](const std::string &n) { return facts_.contains(n); });
}

std::optional<std::vector<mcs::ConfigItem>> ConfigWatch::digest(GroupId group) const
{
    if (!has_read(group))
        return std::nullopt;
    return config_digest(config_, group, facts_);
}

std::optional<std::vector<io::StaticPeer>> ConfigWatch::static_peers(GroupId group) const
{
    if (!has_read(group))
        return std::nullopt;
    std::vector<io::StaticPeer> out;
    for (const auto &[name, t] : config_.tunnel) {
        const auto pub = config_.publics.find(t.public_name);
        if (t.tunnel_group != group || t.type != TunnelType::Static || pub == config_.publics.end())
            continue;
        const auto &remotes = facts_.at(t.connection).info.remote_addrs;
        const auto remote = remotes.size() == 1 ? IpAddress::parse(remotes[0]) : fail(-EINVAL, "not one address");
        if (!remote || remote->bytes == decltype(remote->bytes){})
            continue;
        for (const auto &local : pub->second.local_gateway_address)
            if (local.family == remote->family)
                out.push_back({local, *remote});
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace mcipsec::app
