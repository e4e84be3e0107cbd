// SPDX-License-Identifier: GPL-2.0-or-later
// The table itself. Ranges of the seed: keep-alive-interval 0.5..50 s (down to
// 0.05 accepted), hold-on-neighbor-failure 2..25, discovery-interval 1..1800 s,
// priority 0..255 default 100, explicit VRRP priority 0..254 default 0,
// hold-set and hold-clear 0..86400 s. What needs a shutdown: seed "Operational
// Conditions".
#include "app/config_keys.hpp"

#include <fmt/format.h>

#include <cctype>
#include <cmath>

namespace mcipsec::app {

namespace {

constexpr auto kNone = Unit::None;
constexpr auto kSec = Unit::Seconds;
constexpr auto kMs = Unit::Milliseconds;
constexpr auto kAny = Text::Any;
constexpr auto kPath = Text::Path;
constexpr auto kDevice = Text::Device;
constexpr auto kWord = Text::Word;
constexpr auto kNow = Apply::AtOnce;
constexpr auto kGroup = Apply::GroupShutdown;
constexpr auto kRestart = Apply::Restart;

constexpr double kGroups = 1024;        // MCIPSEC_GROUP_MAX
constexpr double kAddresses = 256;      // MCIPSEC_ADDR_MAX

const Key<SystemConfig> kSystem[] = {
    {"address", &SystemConfig::address, 0, 0, kNone, kAny, kRestart, "none", "System address of this chassis: source of MIMP, MCS and BFD toward every peer that has no source-address."},
    {"run-dir", &SystemConfig::run_dir, 1, 80, kNone, kPath, kRestart, nullptr, "Directory of the control socket and of the run-time state. The option --run-dir wins."},
    {"charon-socket", &SystemConfig::charon_socket, 1, 100, kNone, kPath, kRestart, nullptr, "VICI socket of charon."},
    {"swanctl-conf", &SystemConfig::swanctl_conf, 0, 200, kNone, kPath, kNow, nullptr, "Read to check the connections of the tunnel-groups (IKE version, dpd_delay, start_action, lifetimes). Need not exist; an empty string turns the check off."},
    {"metrics-file", &SystemConfig::metrics_file, 0, 200, kNone, kPath, kNow, "\"\": none is written", "File in the text format of node_exporter, renamed into place at every metrics-interval."},
    {"metrics-interval", &SystemConfig::metrics_interval, 1, 3600, kSec, kAny, kNow, nullptr, "Time between two writings of metrics-file."},
    {"log-entries", &SystemConfig::log_entries, 100, 1000000, kNone, kAny, kNow, nullptr, "Entries of the session log (show log) that the agent keeps."},
};

const Key<MdaConfig> kMda[] = {
    {"shutdown", &MdaConfig::shutdown, 0, 0, kNone, kAny, kNow, nullptr, "Administrative state of the member. A member that is shut down does not count as healthy in any tunnel-group that names it."},
    {"track-file", &MdaConfig::track_file, 0, 200, kNone, kPath, kNow, "\"\": none", "The member is healthy only while the first line of this file is there and is not 0."},
    {"track-script", &MdaConfig::track_script, 0, 200, kNone, kPath, kNow, "\"\": none", "Program run at every interval, without a shell and without arguments; healthy only while it exits 0 within timeout."},
    {"cpus", &MdaConfig::cpus, 0, 1024, kNone, kAny, kNow, "[]: not checked", "CPU numbers that must all be online."},
    {"interval", &MdaConfig::interval, 0.1, 60, kSec, kAny, kNow, nullptr, "Time between two health checks."},
    {"timeout", &MdaConfig::timeout, 0.2, 120, kSec, kAny, kNow, nullptr, "charon or track-script silent for so long makes the member unhealthy."},
};

const Key<TunnelGroupConfig> kTunnelGroup[] = {
    {"multi-active", &TunnelGroupConfig::multi_active, 0, 0, kNone, kAny, kGroup, nullptr, "Must be true before the tunnel-group can take part in mc-ipsec."},
    {"active-mda-number", &TunnelGroupConfig::active_mda_number, 1, 16, kNone, kAny, kGroup, nullptr, "How many members must be active for the tunnel-group to be operationally up."},
    {"mda", &TunnelGroupConfig::mda, 1, 16, kNone, kWord, kNow, nullptr, "Names of the members in the order of their use. Taking one away needs the tunnel-group shutdown."},
    {"ipsec-responder-only", &TunnelGroupConfig::ipsec_responder_only, 0, 0, kNone, kAny, kNow, nullptr, "The gateway starts no IKE exchange but the CHILD_SA rekey after a switchover. A rekey that its own rekey_time asks for is begun all the same: longer lifetimes than the customer's, or rekey_time = 0s, keep it from that. Required for static tunnels under mc-ipsec."},
    {"shutdown", &TunnelGroupConfig::shutdown, 0, 0, kNone, kAny, kNow, nullptr, "Administrative state."},
};

const Key<RekeyConfig> kRekey[] = {
    {"rate", &RekeyConfig::rate, 1, 10000, kNone, kAny, kNow, nullptr, "CHILD_SA rekeys started per second after a takeover."},
    {"jitter", &RekeyConfig::jitter, 0, 300, kSec, kAny, kNow, nullptr, "Longest random delay of each rekey."},
    {"in-flight", &RekeyConfig::in_flight, 1, 10000, kNone, kAny, kNow, nullptr, "Rekeys that may wait for their answer at one time."},
    {"retry", &RekeyConfig::retry, 0.1, 600, kSec, kAny, kNow, nullptr, "Pause before a rekey is tried again that found the tunnel busy. One that is answered TEMPORARY_FAILURE charon itself tries again."},
};

const Key<SequenceConfig> kSequence[] = {
    {"interval", &SequenceConfig::interval, 10, 10000, kMs, kAny, kNow, nullptr, "Time between two synchronizations of the sequence numbers."},
    {"peak-rate", &SequenceConfig::peak_rate, 1, 100000000, kNone, kAny, kNow, nullptr, "Packets per second that one SA is assumed to send at most; the margin of the standby grows with it."},
    {"hold", &SequenceConfig::hold, 1, 3600, kSec, kAny, kNow, nullptr, "How long a new master may send under the old keys. After it an SA that is not rekeyed yet only receives."},
    {"margin-floor", &SequenceConfig::margin_floor, 65536, 16777216, kNone, kAny, kNow, nullptr, "Smallest margin, in sequence numbers."},
    {"strict-replay", &SequenceConfig::strict_replay, 0, 0, kNone, kAny, kNow, nullptr, "Adds the margin inbound, too: nothing can be replayed after a crash, at the price of packets lost at the takeover."},
};

const Key<PublicConfig> kPublic[] = {
    {"tunnel-group", &PublicConfig::tunnel_group, 1, kGroups, kNone, kAny, kGroup, nullptr, "The tunnel-group that owns the gateway addresses.", true},
    {"vrf", &PublicConfig::vrf, 0, 15, kNone, kDevice, kGroup, "\"\": the main table", "VRF device of the public service. charon then needs net.ipv4.udp_l3mdev_accept and a rule for each gateway address: the operator's guide, 1."},
    {"interface", &PublicConfig::interface, 0, 15, kNone, kDevice, kNow, "\"\": any", "Device that carries the gateway addresses; checked to be there."},
    {"service-id", &PublicConfig::service_id, 0, 2147483647, kNone, kAny, kNow, "0: the VRF's name, or main", "Shown as DlvrySvcId."},
    {"local-gateway-address", &PublicConfig::local_gateway_address, 1, kAddresses, kNone, kAny, kGroup, nullptr, "Tunnel addresses of the gateway. The agent adds a host route for each, with the protocol number of the mastership.", true},
    {"static-tunnel-redundant-next-hop", &PublicConfig::static_redundant_next_hop, 0, 2, kNone, kAny, kNow, "[]: the standby blackholes", "Where the standby shunts what arrives for static tunnels, one address per family."},
    {"dynamic-tunnel-redundant-next-hop", &PublicConfig::dynamic_redundant_next_hop, 0, 2, kNone, kAny, kNow, "[]: the standby blackholes", "The same for dynamic tunnels."},
};

const Key<PrivateConfig> kPrivate[] = {
    {"tunnel-group", &PrivateConfig::tunnel_group, 1, kGroups, kNone, kAny, kGroup, nullptr, "The tunnel-group of the tunnels.", true},
    {"vrf", &PrivateConfig::vrf, 0, 15, kNone, kDevice, kGroup, "\"\": the main table", "VRF device of the private service."},
    {"service-id", &PrivateConfig::service_id, 0, 2147483647, kNone, kAny, kNow, "0: the VRF's name, or main", "Shown as SvcId."},
    {"static-tunnel-redundant-next-hop", &PrivateConfig::static_redundant_next_hop, 0, 2, kNone, kAny, kNow, "[]: the standby blackholes", "Where the standby shunts clear traffic of static tunnels, one address per family."},
    {"dynamic-tunnel-redundant-next-hop", &PrivateConfig::dynamic_redundant_next_hop, 0, 2, kNone, kAny, kNow, "[]: the standby blackholes", "The same for dynamic tunnels."},
};

const Key<TunnelConfig> kTunnel[] = {
    {"type", &TunnelConfig::type, 0, 0, kNone, kAny, kGroup, nullptr, "A static tunnel has one peer and static routes; a dynamic one serves many peers, whose routes come from their traffic selectors."},
    {"connection", &TunnelConfig::connection, 1, 63, kNone, kAny, kGroup, "the tunnel's name", "Name of the connection in swanctl.conf."},
    {"public", &TunnelConfig::public_name, 1, 63, kNone, kAny, kGroup, nullptr, "Name of a section [ipsec.public.NAME].", true},
    {"private", &TunnelConfig::private_name, 1, 63, kNone, kAny, kGroup, nullptr, "Name of a section [ipsec.private.NAME].", true},
    {"interface", &TunnelConfig::interface, 0, 15, kNone, kDevice, kGroup, "\"\": none", "xfrm interface of the tunnel; needed for static-route."},
    {"static-route", &TunnelConfig::static_route, 0, 1024, kNone, kAny, kNow, "[]", "Prefixes behind the tunnel, routed in the private VRF."},
    {"sap-index", &TunnelConfig::sap_index, 1, 65535, kNone, kAny, kNow, nullptr, "Shown as SapId tunnel-GROUP.private:INDEX."},
    {"security-policy", &TunnelConfig::security_policy, 0, 32768, kNone, kAny, kNow, nullptr, "Shown as Sec Plcy."},
};

const Key<MultiChassisConfig> kMultiChassis[] = {
    {"mimp-port", &MultiChassisConfig::mimp_port, 1024, 65535, kNone, kAny, kRestart, nullptr, "UDP port of MIMP, the same on both chassis."},
    {"mcs-port", &MultiChassisConfig::mcs_port, 1024, 65535, kNone, kAny, kRestart, nullptr, "TCP port of MCS, the same on both chassis."},
    {"bfd-port", &MultiChassisConfig::bfd_port, 1024, 65535, kNone, kAny, kRestart, nullptr, "UDP port of multihop BFD (RFC 5883)."},
    {"dscp", &MultiChassisConfig::dscp, 0, 63, kNone, kAny, kRestart, nullptr, "DiffServ code point of MIMP, MCS and BFD packets."},
    {"clock-skew-limit", &MultiChassisConfig::clock_skew_limit, 0.01, 3600, kSec, kAny, kNow, nullptr, "A larger difference of the two clocks raises tmnxMcSyncClockSkewRaised."},
};

const Key<PeerConfig> kPeerKeys[] = {
    {"name", &PeerConfig::name, 0, 32, kNone, kAny, kNow, "(Not Specified)", "Name of the peer in tables."},
    {"description", &PeerConfig::description, 0, 80, kNone, kAny, kNow, "(Not Specified)", "Description in tables."},
    {"source-address", &PeerConfig::source_address, 0, 0, kNone, kAny, kRestart, "the system address", "Own address toward this peer; several peers may have the same. It is the last tie-breaker of the election."},
    {"authentication-key-file", &PeerConfig::authentication_key_file, 1, 200, kNone, kPath, kRestart, nullptr, "Key that both chassis share, made by \"mcipsec genkey\". The file must belong to root or to the agent's user and have mode 0600 or 0400.", true},
    {"shutdown", &PeerConfig::shutdown, 0, 0, kNone, kAny, kNow, nullptr, "Administrative state of the peer."},
};

const Key<SyncConfig> kSync[] = {
    {"shutdown", &SyncConfig::shutdown, 0, 0, kNone, kAny, kNow, nullptr, "Administrative state of the synchronization."},
    {"output-commit-limit", &SyncConfig::output_commit_limit, 10, 10000, kMs, kAny, kNow, nullptr, "An IKE packet waits so long for the standby's acknowledgement, then it is sent and counted."},
    {"audit-interval", &SyncConfig::audit_interval, 1, 86400, kSec, kAny, kRestart, nullptr, "Time between two comparisons of both databases."},
    {"connect-retry", &SyncConfig::connect_retry, 0.1, 300, kSec, kAny, kRestart, nullptr, "Pause before the connection is tried again: a quarter of it at first, up to five times as much when it keeps failing."},
    {"user-timeout", &SyncConfig::user_timeout, 0.5, 300, kSec, kAny, kRestart, nullptr, "The connection is given up when sent data stays unacknowledged for so long."},
    {"window", &SyncConfig::window, 16, 32768, kNone, kAny, kRestart, nullptr, "Records that may be on their way unacknowledged."},
};

const Key<SyncGroupConfig> kSyncGroup[] = {
    {"sync-tag", &SyncGroupConfig::sync_tag, 1, 32, kNone, kWord, kRestart, nullptr, "Pairs this tunnel-group with the peer's of the same tag. It must be the one that peer-group names.", true},
};

const Key<McIpsecConfig> kMcIpsec[] = {
    {"bfd-enable", &McIpsecConfig::bfd_enable, 0, 0, kNone, kAny, kNow, nullptr, "A central BFD session vouches for the peer."},
    {"keep-alive-interval", &McIpsecConfig::keep_alive_interval, 0.05, 50, kSec, kAny, kNow, nullptr, "Time between two MIMP packets."},
    {"hold-on-neighbor-failure", &McIpsecConfig::hold_on_neighbor_failure, 2, 25, kNone, kAny, kNow, nullptr, "Keep-alive intervals without a sign of the peer before it counts as down."},
    {"discovery-interval", &McIpsecConfig::discovery_interval, 1, 1800, kSec, kAny, kNow, nullptr, "How long a tunnel-group stays in discovery when the peer is not reached."},
    {"discovery-interval-boot", &McIpsecConfig::discovery_interval_boot, 1, 1800, kSec, kAny, kNow, "discovery-interval", "The same for the first time after the machine has booted."},
    {"lease-guard", &McIpsecConfig::lease_guard, 0, 60000, kMs, kAny, kNow, "0: one interval of keep-alives or BFD, as far as the detection time has room", "This chassis stops forwarding so long before the peer may take over. Refused below 5 ms and above half the detection time, warned below a tenth of it."},
    {"restart-hold", &McIpsecConfig::restart_hold, 1, 600, kSec, kAny, kNow, nullptr, "A planned restart asks the peer to wait so long."},
};

const Key<BfdConfig> kBfd[] = {
    {"transmit", &BfdConfig::transmit, 10, 100000, kMs, kAny, kNow, nullptr, "Desired interval between BFD packets sent."},
    {"receive", &BfdConfig::receive, 10, 100000, kMs, kAny, kNow, nullptr, "Required interval between BFD packets received."},
    {"multiplier", &BfdConfig::multiplier, 3, 20, kNone, kAny, kNow, nullptr, "Packets missed before the session is down."},
    {"authentication", &BfdConfig::authentication, 0, 0, kNone, kAny, kRestart, nullptr, "BFD packets are signed (Meticulous Keyed SHA1) with a key that is derived from the peer's authentication key. Without it, whoever sees the packets can end the session."},
};

const Key<McIpsecGroupConfig> kMcIpsecGroup[] = {
    {"peer-group", &McIpsecGroupConfig::peer_group, 1, kGroups, kNone, kAny, kGroup, "the tunnel-group's own id", "Id of the tunnel-group on the peer."},
    {"priority", &McIpsecGroupConfig::priority, 0, 255, kNone, kAny, kNow, nullptr, "The higher one wins the election, once nobody is acting master."},
    {"standby-restart", &McIpsecGroupConfig::standby_restart, 0, 0, kNone, kAny, kNow, nullptr, "What a former master, or a standby that was shut down, does with its states: \"mend\" compares and repairs, \"restart\" drops and receives all anew."},
    {"shutdown", &McIpsecGroupConfig::shutdown, 0, 0, kNone, kAny, kNow, nullptr, "Administrative state of mc-ipsec for this tunnel-group; shut down, it is left to a peer that can serve, or the gateway works alone."},
};

const Key<VrrpConfig> kVrrp[] = {
    {"notify-fifo", &VrrpConfig::notify_fifo, 1, 200, kNone, kPath, kRestart, "RUN-DIR/vrrp/notify.fifo", "FIFO that keepalived's vrrp_notify_fifo names."},
    {"keepalived-conf", &VrrpConfig::keepalived_conf, 0, 200, kNone, kPath, kNow, nullptr, "Read for checks (nopreempt, timers) and for show router vrrp instance. Need not exist; an empty string turns both off."},
    {"release-pulse", &VrrpConfig::release_pulse, 0, 1000, kMs, kAny, kNow, nullptr, "A falling instance is told -255 for so long, so that the VRRP master sends priority 0 at once; 0: no pulse."},
};

const Key<PriorityEventConfig> kPriorityEvent[] = {
    {"mc-ipsec-non-forwarding", &PriorityEventConfig::tunnel_group, 1, kGroups, kNone, kAny, kNow, nullptr, "The tunnel-group whose non-forwarding state is the event.", true},
    {"priority", &PriorityEventConfig::priority, 0, 254, kNone, kAny, kNow, nullptr, "Explicit in-use priority while the event is set; of several the lowest wins."},
    {"hold-set", &PriorityEventConfig::hold_set, 0, 86400, kSec, kAny, kNow, nullptr, "Delay before the event is set."},
    {"hold-clear", &PriorityEventConfig::hold_clear, 0, 86400, kSec, kAny, kNow, nullptr, "Delay before the event is cleared."},
};

const Key<VrrpInstanceConfig> kVrrpInstance[] = {
    {"policy", &VrrpInstanceConfig::policy, 0, 9999, kNone, kAny, kNow, "0: none", "Number of a section [vrrp.policy.N]."},
    {"base-priority", &VrrpInstanceConfig::base_priority, 1, 254, kNone, kAny, kNow, nullptr, "The priority of the instance in keepalived.conf."},
    {"track-file", &VrrpInstanceConfig::track_file, 1, 200, kNone, kPath, kNow, "RUN-DIR/vrrp/NAME.track", "File that keepalived's track_file of weight 1 names."},
};

const SectionDoc kSections[] = {
    {"system", "The chassis."},
    {"isa.tunnel-group.N", "A tunnel-group, N in 1..1024."},
    {"isa.tunnel-group.N.rekey", "Pace of the CHILD_SA rekey after a takeover."},
    {"isa.tunnel-group.N.sequence", "Synchronization of ESP sequence numbers."},
    {"isa.mda.\"NAME\"", "A member. It is healthy while charon answers, the kernel module answers, the xfrm interfaces of its tunnels are up, and all that is named here holds. A member that a tunnel-group names needs no section."},
    {"ipsec.public.\"NAME\"", "A public tunnel interface."},
    {"ipsec.private.\"NAME\"", "A private tunnel interface."},
    {"ipsec.tunnel.\"NAME\"", "A tunnel."},
    {"redundancy.multi-chassis", "What all peers share."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\"", "The other chassis."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\".sync.ipsec", "Synchronization of IPsec states (MCS)."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\".sync.ipsec.tunnel-group.N", "A tunnel-group that is synchronized."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\".mc-ipsec", "Mastership election (MIMP)."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\".mc-ipsec.bfd", "Timers of the central BFD session."},
    {"redundancy.multi-chassis.peer.\"ADDRESS\".mc-ipsec.tunnel-group.N", "A tunnel-group that takes part in mc-ipsec. It may stand under one peer only."},
    {"vrrp", "What all instances share."},
    {"vrrp.policy.N", "A policy; priority-event is an array of tables with these keys."},
    {"vrrp.instance.NAME", "A vrrp_instance of keepalived of the same name."},
};

constexpr const char *kTunnelTypes[] = {"static", "dynamic"};
constexpr const char *kStandbyRestarts[] = {"mend", "restart"};

// Shortest decimal text that reads back the same.
std::string number(double v) { return fmt::format("{}", v); }

template <class E>
std::string enum_text(E v)
{
    return quoted(names_of(v)[static_cast<std::size_t>(v)]);
}

template <class T, class F>
std::string list(const std::vector<T> &v, F &&text)
{
    std::string out = "[";
    for (const auto &e : v)
        out += (out.size() > 1 ? ", " : "") + text(e);
    return out + "]";
}

std::string text_of(bool v, Unit) { return v ? "true" : "false"; }
std::string text_of(std::uint16_t v, Unit) { return std::to_string(v); }
std::string text_of(std::uint32_t v, Unit) { return std::to_string(v); }
std::string text_of(std::uint64_t v, Unit) { return std::to_string(v); }
std::string text_of(const std::string &v, Unit) { return quoted(v); }
std::string text_of(Duration v, Unit unit)
{
    return number(std::chrono::duration<double>(v).count() * (unit == Unit::Milliseconds ? 1000 : 1));
}
std::string text_of(const IpAddress &v, Unit) { return v.empty() ? "\"\"" : quoted(v.str()); }
std::string text_of(TunnelType v, Unit) { return enum_text(v); }
std::string text_of(StandbyRestart v, Unit) { return enum_text(v); }
std::string text_of(const std::vector<std::string> &v, Unit)
{
    return list(v, [](const std::string &s) { return quoted(s); });
}
std::string text_of(const std::vector<std::uint32_t> &v, Unit)
{
    return list(v, [](std::uint32_t n) { return std::to_string(n); });
}
std::string text_of(const std::vector<IpAddress> &v, Unit)
{
    return list(v, [](const IpAddress &a) { return quoted(a.str()); });
}
std::string text_of(const std::vector<Prefix> &v, Unit)
{
    return list(v, [](const Prefix &p) { return quoted(p.str()); });
}

template <class T>
constexpr bool is_list = false;
template <class T>
constexpr bool is_list<std::vector<T>> = true;

}  // namespace

#define MCIPSEC_KEYS(S, table)                                                                              \
    template <>                                                                                             \
    std::span<const Key<S>> keys<S>()                                                                       \
    {                                                                                                       \
        return table;                                                                                       \
    }
MCIPSEC_KEYS(SystemConfig, kSystem)
MCIPSEC_KEYS(MdaConfig, kMda)
MCIPSEC_KEYS(TunnelGroupConfig, kTunnelGroup)
MCIPSEC_KEYS(RekeyConfig, kRekey)
MCIPSEC_KEYS(SequenceConfig, kSequence)
MCIPSEC_KEYS(PublicConfig, kPublic)
MCIPSEC_KEYS(PrivateConfig, kPrivate)
MCIPSEC_KEYS(TunnelConfig, kTunnel)
MCIPSEC_KEYS(MultiChassisConfig, kMultiChassis)
MCIPSEC_KEYS(PeerConfig, kPeerKeys)
MCIPSEC_KEYS(SyncConfig, kSync)
MCIPSEC_KEYS(SyncGroupConfig, kSyncGroup)
MCIPSEC_KEYS(McIpsecConfig, kMcIpsec)
MCIPSEC_KEYS(BfdConfig, kBfd)
MCIPSEC_KEYS(McIpsecGroupConfig, kMcIpsecGroup)
MCIPSEC_KEYS(VrrpConfig, kVrrp)
MCIPSEC_KEYS(PriorityEventConfig, kPriorityEvent)
MCIPSEC_KEYS(VrrpInstanceConfig, kVrrpInstance)
#undef MCIPSEC_KEYS

std::span<const SectionDoc> section_docs() { return kSections; }
std::span<const char *const> names_of(TunnelType) { return kTunnelTypes; }
std::span<const char *const> names_of(StandbyRestart) { return kStandbyRestarts; }

std::string quoted(std::string_view text)
{
    std::string out = "\"";
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (u < 0x20 || u == 0x7f)
            out += fmt::format("\\u{:04X}", u);
        else
            out += c;
    }
    return out + "\"";
}

std::string path_element(std::string_view name)
{
    bool bare = !name.empty();
    for (const char c : name)
        bare = bare && (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-');
    return bare ? std::string(name) : quoted(name);
}

template <class S>
std::string value_text(const S &object, const Key<S> &key)
{
    return std::visit([&](auto member) { return text_of(object.*member, key.unit); }, key.field);
}

template <class S>
std::string allowed_text(const Key<S> &key)
{
    const char *unit = key.unit == Unit::Seconds ? " s" : key.unit == Unit::Milliseconds ? " ms" : "";
    const std::string range = number(key.min) + ".." + number(key.max);
    const auto text = [&]() -> std::string {
        switch (key.text) {
        case Text::Path: return key.min == 0 ? "an absolute path, or empty" : "an absolute path";
        case Text::Device: return key.min == 0 ? "a device name of at most 15 characters, or empty" : "a device name of 1..15 characters";
        case Text::Word: return "1..32 characters of A-Z a-z 0-9 . _ : / -";
        case Text::Any: break;
        }
        return range + " characters";
    };
    return std::visit(
        [&](auto member) -> std::string {
            using T = std::remove_cvref_t<decltype(std::declval<S>().*member)>;
            if constexpr (std::is_same_v<T, bool>)
                return "true or false";
            else if constexpr (std::is_enum_v<T>)
                return "\"" + std::string(names_of(T{})[0]) + "\" or \"" + names_of(T{})[1] + "\"";
            else if constexpr (std::is_same_v<T, std::string>)
                return text();
            else if constexpr (std::is_same_v<T, IpAddress>)
                return "an IPv4 or IPv6 address";
            else if constexpr (std::is_same_v<T, std::vector<std::string>>)
                return "an array of " + range + " strings, each " + text();
            else if constexpr (std::is_same_v<T, std::vector<IpAddress>>)
                return "an array of " + range + " IPv4 or IPv6 addresses";
            else if constexpr (std::is_same_v<T, std::vector<Prefix>>)
                return "an array of " + range + " prefixes";
            else if constexpr (is_list<T>)
                return "an array of " + range + " numbers";
            else if constexpr (std::is_same_v<T, Duration>)
                return range + unit;
            else
                return range;
        },
        key.field);
}

const char *apply_text(Apply apply)
{
    switch (apply) {
    case Apply::AtOnce: return "at once";
    case Apply::GroupShutdown: return "needs the tunnel-group shutdown";
    case Apply::PlannedRestart: return "by a planned restart of mcipsecd";
    case Apply::Restart: return "needs a restart of mcipsecd";
    }
    return "";
}

#define MCIPSEC_TEXTS(S)                                                \
    template std::string value_text(const S &, const Key<S> &);         \
    template std::string allowed_text(const Key<S> &);
MCIPSEC_SECTIONS(MCIPSEC_TEXTS)
#undef MCIPSEC_TEXTS

}  // namespace mcipsec::app
