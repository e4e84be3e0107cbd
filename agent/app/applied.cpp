// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/applied.hpp"

#include "app/config_digest.hpp"

namespace mcipsec::app {

group::RekeyPace rekey_pace(const RekeyConfig &c)
{
    group::RekeyPace pace;
    pace.rate = c.rate;
    pace.jitter = c.jitter;
    pace.in_flight = c.in_flight;
    pace.retry = c.retry;
    return pace;
}

SeqParams seq_params(const SequenceConfig &c, Duration detection)
{
    SeqParams p;
    p.sample_interval = c.interval;
    p.detection = detection;
    p.send_time = c.hold;
    p.assumed_peak_pps = static_cast<double>(c.peak_rate);
    p.strict_replay = c.strict_replay;
    p.margin_floor = c.margin_floor;
    return p;
}

io::PluginGroup plugin_group(const Config &config, GroupId group)
{
    io::PluginGroup out;
    out.group = group;
    if (const auto *peer = config.peer_of(group))
        out.commit_limit_ms = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(peer->sync.output_commit_limit).count());
    if (const auto tg = config.tunnel_group.find(group); tg != config.tunnel_group.end())
        out.responder_only = tg->second.ipsec_responder_only;
    out.addresses = config.gateway_addresses(group);
    out.connections = connections_of(config, group);
    return out;
}

io::PoolShare pool_share(const Config &config, GroupId group, Mastership state)
{
    const auto *peer = config.peer_of(group);
    if (!peer || state != Mastership::Eligible)
        return io::PoolShare::All;
    return peer->source_address < peer->address ? io::PoolShare::Even : io::PoolShare::Odd;
}

std::string peer_name(const PeerConfig &peer) { return peer.name.empty() ? peer.address.str() : peer.name; }

std::string service_name(std::uint32_t id, const std::string &vrf) { return id ? std::to_string(id) : vrf.empty() ? "main" : vrf; }

}  // namespace mcipsec::app
