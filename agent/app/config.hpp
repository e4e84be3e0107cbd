// SPDX-License-Identifier: GPL-2.0-or-later
// The typed configuration of mcipsecd: what /etc/mcipsec/mcipsec.toml and its
// drop-ins say, with every default filled in. The words are the seed's
// ("Command Line Interface"); ranges, defaults, units and what may change at
// run time live in one table a section (config_keys.hpp).
//
// Invariants: a Config that load_config() returned has passed every check that
// needs no other file but the key files; times are Durations, whatever unit
// the file uses; maps are keyed as the file names its objects.
// Threading: plain values; load_config() reads files, nothing else does IO.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::app {

inline constexpr const char *kDefaultConfigFile = "/etc/mcipsec/mcipsec.toml";
inline constexpr const char *kDefaultRunDir = "/run/mcipsec";

// Where a key was set last. line 0: not from a file.
struct Where {
    std::string file;
    unsigned line = 0;
    std::string str() const { return line ? file + ":" + std::to_string(line) : file; }
};

// [system]
struct SystemConfig {
    IpAddress address;                                      // MIMP, MCS and BFD source unless a peer has a source-address
    std::string run_dir = kDefaultRunDir;                   // state, control.sock; --run-dir wins
    std::string charon_socket = "/run/charon.vici";
    std::string swanctl_conf = "/etc/swanctl/swanctl.conf"; // read for checks; may be missing
    std::string metrics_file;                               // node_exporter textfile; empty: none
    Duration metrics_interval = 15s;
    std::uint32_t log_entries = 10000;                      // session log kept in memory
};

// [isa.mda."NAME"]: a member. Health is the AND of charon, module, xfrm interfaces and what is named here.
struct MdaConfig {
    std::string name;
    bool shutdown = false;
    std::string track_file;                                 // first line "0" or empty file: down; missing: down
    std::string track_script;                               // exit 0: up; run without a shell
    std::vector<std::uint32_t> cpus;                        // all must be online
    Duration interval = 500ms;                              // between two checks
    Duration timeout = 10s;                                 // charon or the script silent so long: down; a burst of new tunnels is no failure
};

// [isa.tunnel-group.N.rekey]: the paced CHILD_SA rekey after a takeover
struct RekeyConfig {
    std::uint32_t rate = 50;                                // started per second
    Duration jitter = 1s;                                   // random start delay of each
    std::uint32_t in_flight = 32;                           // not answered yet
    Duration retry = 2s;                                    // after busy or TEMPORARY_FAILURE
};

// [isa.tunnel-group.N.sequence]: sequence state, DESIGN "Sequence state (I3)"
struct SequenceConfig {
    Duration interval = 100ms;                              // between two bulk exports
    std::uint64_t peak_rate = 10000;                        // packets/s assumed of one SA
    Duration hold = 120s;                                   // T: how long a new master may send under the old key
    std::uint64_t margin_floor = 1ULL << 16;
    bool strict_replay = false;                             // margin inbound, too
};

// [isa.tunnel-group.N]
struct TunnelGroupConfig {
    GroupId id = 0;
    bool multi_active = false;
    std::uint32_t active_mda_number = 1;
    std::vector<std::string> mda{"1/1"};                    // names, in order: the first active-mda-number healthy ones are active
    bool ipsec_responder_only = false;
    bool shutdown = false;
    RekeyConfig rekey;
    SequenceConfig sequence;
};

// [ipsec.public."NAME"]: public tunnel interface
struct PublicConfig {
    std::string name;
    GroupId tunnel_group = 0;
    std::string vrf;                                        // empty: main table
    std::string interface;                                  // device of the gateway addresses, for messages only; empty: any
    std::uint32_t service_id = 0;                           // shown as DlvrySvcId; 0: VRF name or "main"
    std::vector<IpAddress> local_gateway_address;
    std::vector<IpAddress> static_redundant_next_hop;       // static-tunnel-redundant-next-hop, at most one a family
    std::vector<IpAddress> dynamic_redundant_next_hop;
};

// [ipsec.private."NAME"]: private tunnel interface
struct PrivateConfig {
    std::string name;
    GroupId tunnel_group = 0;
    std::string vrf;
    std::uint32_t service_id = 0;                           // shown as SvcId
    std::vector<IpAddress> static_redundant_next_hop;
    std::vector<IpAddress> dynamic_redundant_next_hop;
};

enum class TunnelType : std::uint8_t { Static = 0, Dynamic = 1 };
inline const char *to_string(TunnelType type) { return type == TunnelType::Static ? "static" : "dynamic"; }

// The redundant next-hops of a public or private interface, by kind of tunnel, with their key.
struct NextHopsOfKind {
    TunnelType type;
    const char *key;
    const std::vector<IpAddress> &hops;
};
template <typename Service>
std::array<NextHopsOfKind, 2> redundant_next_hops(const Service &s)
{
    return {{{TunnelType::Static, "static-tunnel-redundant-next-hop", s.static_redundant_next_hop},
             {TunnelType::Dynamic, "dynamic-tunnel-redundant-next-hop", s.dynamic_redundant_next_hop}}};
}

// [ipsec.tunnel."NAME"]
struct TunnelConfig {
    std::string name;
    TunnelType type = TunnelType::Static;
    std::string connection;                                 // swanctl connection; default: the tunnel's name
    std::string public_name;                                // -> Config::publics
    std::string private_name;                               // -> Config::privates
    std::string interface;                                  // xfrm interface
    std::vector<Prefix> static_route;
    std::uint32_t sap_index = 1;                            // shown: tunnel-<group>.private:<sap-index>
    std::uint32_t security_policy = 1;                      // shown as Sec Plcy
    GroupId tunnel_group = 0;                               // derived from public
};

enum class StandbyRestart : std::uint8_t { Mend = 0, Restart = 1 };

// [redundancy.multi-chassis.peer."A".mc-ipsec.tunnel-group.N]
struct McIpsecGroupConfig {
    GroupId id = 0;
    GroupId peer_group = 0;                                 // default: id
    std::uint32_t priority = 100;                           // 0..255
    StandbyRestart standby_restart = StandbyRestart::Mend;
    bool shutdown = false;
};

// ...mc-ipsec.bfd
struct BfdConfig {
    Duration transmit = 100ms;
    Duration receive = 100ms;
    std::uint32_t multiplier = 3;
    bool authentication = true;                             // RFC 5880 6.7.4, keyed from the peer's authentication key
};

// [redundancy.multi-chassis.peer."A".mc-ipsec]
struct McIpsecConfig {
    bool bfd_enable = false;
    BfdConfig bfd;
    Duration keep_alive_interval = 1s;                      // 0.05..50 s
    std::uint32_t hold_on_neighbor_failure = 3;             // 2..25
    Duration discovery_interval = 300s;                     // 1..1800 s
    Duration discovery_interval_boot{0};                    // filled with discovery_interval when the file has none
    Duration lease_guard{0};                                // 0: default_guard(detection); see effective_guard()
    Duration restart_hold = 60s;                            // planned restart: the peer waits so long
    std::map<GroupId, McIpsecGroupConfig> tunnel_group;
};

// ...sync.ipsec.tunnel-group.N
struct SyncGroupConfig {
    GroupId id = 0;
    std::string sync_tag;
};

// [redundancy.multi-chassis.peer."A".sync.ipsec]
struct SyncConfig {
    bool configured = false;                                // the table exists
    bool shutdown = false;
    Duration output_commit_limit = 200ms;                   // I4
    Duration audit_interval = 60s;
    Duration connect_retry = 1s;
    Duration user_timeout = 3s;                             // TCP_USER_TIMEOUT
    std::uint32_t window = 1024;                            // records not acknowledged yet
    std::map<GroupId, SyncGroupConfig> tunnel_group;
};

// [redundancy.multi-chassis.peer."A"]
struct PeerConfig {
    IpAddress address;
    std::string name;                                       // empty: shown as (Not Specified)
    std::string description;
    IpAddress source_address;                               // filled with system.address when the file has none
    std::string authentication_key_file;
    bool shutdown = false;
    SyncConfig sync;
    McIpsecConfig mc_ipsec;
};

// [redundancy.multi-chassis]
struct MultiChassisConfig {
    std::uint16_t mimp_port = 7655;                         // UDP, the same on both chassis
    std::uint16_t mcs_port = 7656;                          // TCP, the same on both chassis
    std::uint16_t bfd_port = 4784;                          // RFC 5883
    std::uint32_t dscp = 48;                                // CS6, MIMP, MCS and BFD
    Duration clock_skew_limit = 1s;                         // above: tmnxMcSyncClockSkewRaised
    std::map<IpAddress, PeerConfig> peer;
};

// element of [vrrp.policy.N] priority-event
struct PriorityEventConfig {
    GroupId tunnel_group = 0;                               // mc-ipsec-non-forwarding
    std::uint32_t priority = 0;                             // explicit, 0..254
    Duration hold_set{0};                                   // 0..86400 s
    Duration hold_clear{0};
    bool operator==(const PriorityEventConfig &) const = default;
};

struct VrrpPolicyConfig {
    std::uint32_t id = 0;
    std::vector<PriorityEventConfig> priority_event;
};

// [vrrp.instance.NAME]: a keepalived vrrp_instance of that name
struct VrrpInstanceConfig {
    std::string name;
    std::uint32_t policy = 0;                               // 0: none, shown as n/a
    std::uint32_t base_priority = 100;                      // keepalived's priority
    std::string track_file;                                 // filled with <run-dir>/vrrp/<NAME>.track when the file has none
};

// [vrrp]
struct VrrpConfig {
    std::string notify_fifo;                                // filled with <run-dir>/vrrp/notify.fifo
    std::string keepalived_conf = "/etc/keepalived/keepalived.conf";    // read for checks and `show router vrrp instance`; may be missing
    Duration release_pulse = 20ms;                          // -255 so long, then the value; 0: no pulse
    std::map<std::uint32_t, VrrpPolicyConfig> policy;
    std::map<std::string, VrrpInstanceConfig> instance;
};

struct Config {
    SystemConfig system;
    std::map<GroupId, TunnelGroupConfig> tunnel_group;      // isa.tunnel-group
    std::map<std::string, MdaConfig> mda;                   // isa.mda; every member named by a group has an entry
    std::map<std::string, PublicConfig> publics;
    std::map<std::string, PrivateConfig> privates;
    std::map<std::string, TunnelConfig> tunnel;
    MultiChassisConfig multi_chassis;
    VrrpConfig vrrp;

    std::vector<std::string> files;                         // read, in order
    std::vector<std::string> warnings;                      // "file:line: ..."
    std::map<std::string, Where> where;                     // "isa.tunnel-group.1.shutdown" -> position; objects too

    // The peer under which mc-ipsec names this group; nullptr: the gateway works alone.
    const PeerConfig *peer_of(GroupId group) const;
    const McIpsecGroupConfig *mc_ipsec_of(GroupId group) const;     // what it says there
    // The tunnel of a group behind a connection of charon; nullptr: none is configured.
    const TunnelConfig *tunnel_of(GroupId group, const std::string &connection) const;
    // Every local gateway address of the group, and its redundant next-hops (duplicates removed).
    std::vector<IpAddress> gateway_addresses(GroupId group) const;
    Where where_of(const std::string &path) const;          // of the path or its nearest ancestor
};

// Reads path, then dropins/*.toml in lexical order (each overrides single keys
// of those before), fills defaults and checks everything. run_dir, when not
// empty, replaces system.run-dir (--run-dir). Key files and, where they exist,
// the files of charon and keepalived that [system] and [vrrp] name are checked,
// too (config_check.hpp). dropins "" = <dir of path>/conf.d.
// Error text: one "file:line: what is wrong, what is allowed" a line.
// Error code: -ENOENT no such file, -EACCES not readable, -EINVAL all else.
Expected<Config> load_config(const std::string &path, const std::string &dropins = "", const std::string &run_dir = "");

// load_config() without a look at key files and at other daemons' files: for
// whoever only must know which groups and addresses there are (the boot gate,
// which has to close also when a key file is wrong; stale answers).
Expected<Config> read_config(const std::string &path, const std::string &dropins = "", const std::string &run_dir = "");

// The same from text (tests, fuzzer); key files are not opened.
struct ConfigText {
    std::string file;
    std::string text;
};
Expected<Config> parse_config(const std::vector<ConfigText> &sources, const std::string &run_dir = "");

// How long after our last sign of life the peer declares us down, by
// configuration: BFD multiplier x max(transmit, receive) with bfd-enable, else
// keep-alive-interval x hold-on-neighbor-failure. (The live BFD session may
// have negotiated more.)
Duration detection_time(const McIpsecConfig &mc);
// Part of the detection time in which this chassis is fenced already.
Duration default_guard(Duration detection);                 // a tenth, at least 10 ms
Duration effective_guard(const McIpsecConfig &mc, Duration detection);

// ---- reload ----

enum class Apply : std::uint8_t {
    AtOnce,
    GroupShutdown,      // isa tunnel-group (or its mc-ipsec tunnel-group) must be shut down
    PlannedRestart,     // mcipsecd restarts by itself, as planned: nothing moves
    Restart,            // mcipsecd must be restarted
};

struct Change {
    std::string path;           // "isa.tunnel-group.1.active-mda-number"; an object that came or went: its path
    std::string before, after;  // as `config show` prints; empty: was or is not there
    Apply apply = Apply::AtOnce;
    GroupId group = 0;          // concerned group, 0: none
    IpAddress peer;             // concerned peer, family 0: none
    Where where;                // in the new files (of a removed object: in the old)
};

// What differs. Warnings, positions and order do not count.
std::vector<Change> diff(const Config &before, const Config &after);

// diff(), refused as a whole when a change needs a shutdown that neither the
// running configuration (with admin overrides applied) nor the new one has:
// "file:line: needs tunnel-group 1 shutdown".
Expected<std::vector<Change>> check_reload(const Config &running, const Config &next);

// ---- show ----

// The whole configuration as TOML that load_config() accepts, defaults
// included and marked "# default"; runtime: path -> note, e.g. "(runtime)".
// Key files by path only, never their content.
std::string show_config(const Config &config, const std::map<std::string, std::string> &notes = {});

// The mcipsec.toml(5) page, generated from the same table as the checks (roff).
std::string man_page();

}  // namespace mcipsec::app
