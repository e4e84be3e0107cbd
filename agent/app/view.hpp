// SPDX-License-Identifier: GPL-2.0-or-later
// What operators read: one struct for each table. The agent fills it and sends
// it as JSON (Documentation/control-socket.rst), the command line makes the
// same struct from the answer and renders the table or prints the JSON, so a
// field cannot be in one and missing in the other. Headings are the seed's.
//
// JSON keys are the member names below; to_json() writes every one, from_json()
// takes what it finds and leaves the rest at its default (peers of another
// version). Keys are only ever added. No struct has room for key material.
// Threading: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::app {

// Text of a point in time as all tables have it, local time: "04/04/2014 10:23:35"; 0 -> "never".
std::string time_text(std::int64_t unix_seconds);

// A row of "Multi-Chassis IPsec Multi Active Tunnel-Group Table", and with
// `tunnel-group N` its details.
struct PeerGroupView {
    std::uint32_t id = 0;
    std::uint32_t peer_group = 0;
    std::uint32_t priority = 0;
    std::string admin_state = "Up";                 // "Up" or "Down"
    std::string oper_state = "down";                // "up" or "down": enough active members
    std::string mastership = "discovery";           // to_string(Mastership)
    std::string protection_status = "notReady";     // "nominal" or "notReady"
    std::vector<std::string> reasons;               // why notReady, empty when nominal
    std::uint32_t active_members = 0;
    std::uint64_t generation = 0;
    std::string last_state_change;                  // time_text
    std::string last_state_reason;                  // "elected: higher priority (step 8)"
    std::string switchover;                         // "none", "preparing", "committing", "done", "failed: why"
    std::uint64_t switchover_id = 0;                // of the running or last one
    // As last heard from the peer:
    std::string peer_mastership = "unknown";
    std::string peer_protection_status = "unknown";
    std::vector<std::string> peer_reasons;
    std::uint32_t peer_priority = 0;
    std::uint32_t peer_active_members = 0;
    std::string peer_oper_state = "unknown";
};

// show redundancy multi-chassis mc-ipsec peer ADDR
struct PeerView {
    std::string peer_name;                          // empty: (Not Specified)
    std::string peer_addr;
    std::string peer_admin_state = "Up";
    double keep_alive_intvl = 1.0;                  // seconds
    std::uint32_t hold_on_nbr_fail = 3;
    std::uint32_t discovery_intvl = 300;            // seconds
    std::uint32_t discovery_boot_intvl = 300;
    std::string bfd = "Disable";                    // "Enable" or "Disable"
    std::string last_update;                        // time_text of the last configuration change
    std::string source_addr;
    std::string reachable = "no";                   // "yes" or "no": two-way, fresh echo
    std::string versions = "unknown";               // protocols the peer speaks: "MIMP 2, MCS 1 to 2"
    std::string bfd_state = "n/a";                  // "Up", "Down", "AdminDown", "Init", "n/a"
    std::string bfd_timers = "n/a";                 // as agreed: "transmit 500 ms, detection 1600 ms"
    std::map<std::string, std::uint64_t> mimp_counters;     // name -> packets
    std::map<std::string, std::uint64_t> bfd_counters;
    std::vector<PeerGroupView> tunnel_groups;
};

// show redundancy multi-chassis sync [peer ADDR] [detail]
struct SyncView {
    std::string peer_ip_address;
    std::string description;                        // empty: (Not Specified)
    std::string authentication = "Enabled";
    std::string source_ip_address;
    std::string admin_state = "Enabled";            // of the peer: "Enabled" or "Disabled"
    std::string warm_standby = "No";
    std::string remote_warm_standby = "No";
    std::string client_applications = "IPsec";      // empty: none
    std::string sync_admin_state = "Up";
    std::string sync_oper_state = "Down";
    std::vector<std::string> sync_oper_flags;       // "connection-down", ...
    std::string db_sync_state = "outOfSync";        // "inSync", "syncInProgress", "outOfSync"
    std::uint64_t num_entries = 0;
    std::uint64_t lcl_deleted_entries = 0;
    std::uint64_t alarm_entries = 0;
    std::uint64_t omcr_standby_entries = 0;
    std::uint64_t omcr_alarm_entries = 0;
    std::uint64_t rem_num_entries = 0;
    std::uint64_t rem_lcl_deleted_entries = 0;
    std::uint64_t rem_alarm_entries = 0;
    std::uint64_t rem_omcr_standby_entries = 0;
    std::uint64_t rem_omcr_alarm_entries = 0;
    // detail
    std::uint64_t installed = 0;                    // gauges of the standby's entries
    std::uint64_t installing = 0;
    std::uint64_t await_conf = 0;
    std::uint64_t failed = 0;
    std::uint64_t held_packets = 0;                 // output commit: waiting for an acknowledgement
    std::uint64_t held_total = 0;                   // ... waited at all, since charon began
    std::uint64_t held_expired = 0;                 // ... sent after the limit
    double held_median = 0, held_p99 = 0;           // seconds that the last 1024 of them waited; of several groups the longest
    std::uint64_t responses_resent = 0;             // for IPsec peers that repeated a request after a takeover, since charon began
    std::uint64_t message_ids_synced = 0;           // IPsec peers that said theirs when they were asked (RFC 6311)
    std::uint64_t message_ids_unanswered = 0;       // ... that did not
    std::uint64_t message_ids_followed = 0;         // IPsec peers that do not speak it and were followed
    double clock_skew = 0;                          // seconds, peer minus us
    std::string last_in_sync;                       // time_text
    std::vector<std::string> alarms;                // "tunnel-group 1: proposals differ", ...
    std::map<std::string, std::string> sync_tags;   // tag -> "tunnel-group 1"
    std::map<std::string, std::uint64_t> counters;  // frames, bytes, reconnects, audit repairs, ...
};

struct MemberView {
    std::string name;
    std::string admin_state = "Up";
    std::string oper_state = "down";
    bool active = false;
    std::string reason;                             // why down
};

// show isa tunnel-group [N]
struct TunnelGroupView {
    std::uint32_t id = 0;
    std::vector<std::string> primary;               // members in use order
    std::vector<std::string> backup;                // healthy ones above active-mda-number
    std::vector<std::string> active;
    std::string admin_state = "Up";
    std::string oper_state = "down";
    std::string mode = "multi-active";
    std::uint32_t active_mda_number = 1;
    bool ipsec_responder_only = false;
    std::vector<MemberView> members;
    // the module's gate
    std::string mastership = "discovery";
    std::string gate = "unknown";                   // "forward", "shunt", "blackhole", "prepared", "unknown"
    bool nominal = false;
    std::uint64_t generation = 0;
    std::int64_t lease_ms = -1;                     // left; -1: no lease, 0: expired
    std::vector<std::string> addresses;             // "10.10.20.1"
    std::vector<std::string> next_hops;             // "192.168.255.2 (public)"
    std::map<std::string, std::uint64_t> gate_counters;     // "forward_in", ... as in the netlink spec
    std::map<std::string, std::uint64_t> counters;          // rekeys queued, done, retried, ...
};

// show ipsec tunnel [NAME] [detail]
struct TunnelView {
    std::string tunnel_name;
    std::string local_address;
    std::string svc_id;
    std::string admn = "Up";
    std::string keying = "Dynamic";
    std::string sap_id;                             // "tunnel-1.private:1"
    std::string remote_address;                     // empty before the first IKE_SA
    std::string dlvry_svc_id;
    std::string oper = "Down";
    std::string sec_plcy;
    // detail
    std::uint32_t tunnel_group = 0;
    std::string connection;
    std::string interface;
    std::string local_id, remote_id;
    std::string ike_spi_i, ike_spi_r;               // hex
    std::string ike_state;                          // "ESTABLISHED", "PASSIVE", ...
    std::string ike_algorithms;
    std::string esp_algorithms;
    std::vector<std::string> child_spis;            // "in c0ffee01 out c0ffee02"
    std::vector<std::string> traffic_selectors;     // "192.168.2.0/24 === 192.168.1.1/32"
    std::string established;                        // time_text
    std::string sync_state;                         // "installed", "installing", "await-conf", "failed", "local"
    std::string rekey;                              // state of the takeover rekey, empty: none
    std::uint64_t octets_in = 0, packets_in = 0;    // carried by both chassis; clear packets, in: from the customer
    std::uint64_t octets_out = 0, packets_out = 0;
};

// show ipsec sa [tunnel-group N]
struct SaView {
    std::uint32_t tunnel_group = 0;
    std::string tunnel_name;
    std::string direction;                          // "in" or "out"
    std::string spi;                                // 8 hex digits
    std::string destination;
    bool esn = false;
    bool replay = true;                             // has a replay window
    bool offload = false;                           // hardware: refused in a group
    std::uint64_t oseq = 0;
    std::uint64_t seq = 0;
    std::uint64_t packets = 0;
    std::uint64_t octets = 0;                       // of the clear packets
    double sync_age = -1;                           // seconds since last synced; -1: not synced
};

// show router vrrp instance
struct VrrpView {
    std::string interface_name;
    std::string instance;                           // keepalived's name
    std::uint32_t vr_id = 0;
    std::string own = "No";
    std::string adm = "Up";
    std::string state = "unknown";                  // "Master", "Backup", "Fault", "unknown"
    std::uint32_t base_pri = 100;
    double msg_int = 1;                             // seconds
    std::string ip = "IPv4";
    std::string opr = "Up";
    std::string pol_id = "n/a";
    std::uint32_t in_use_pri = 100;
    std::string inh_int = "No";
    std::vector<std::string> backup_addr;
    std::string track_file;
    std::int64_t track_value = 0;                   // what keepalived is told
    std::vector<std::string> events;                // "tunnel-group 1 non-forwarding (set, priority 50)"
};

// show log, monitor
struct LogEntryView {
    std::uint64_t seq = 0;                          // per agent run, strictly increasing
    double time = 0;                                // unix seconds
    std::string event;                              // "tMcPeerIPsecTnlGrpMasterStateChg", "sa-established", ...
    std::uint32_t tunnel_group = 0;                 // 0: none
    std::string peer;
    std::string tunnel;
    std::string text;                               // one line for people
    std::map<std::string, std::string> fields;      // old_state, new_state, reason, algorithms, ...
};

// stats
struct MetricView {
    std::string name;                               // "mcipsec_mcs_entries"
    std::string type = "gauge";                     // "gauge" or "counter"
    std::string help;
    std::map<std::string, std::string> labels;
    double value = 0;
};

// What `clear` and force-switchover answer.
struct SwitchoverView {
    std::uint64_t id = 0;
    std::uint32_t tunnel_group = 0;
    std::string state = "none";                     // "none", "preparing", "committing", "done", "failed"
    std::string reason;
};

// ---- whole documents ----

struct SyncDocument {
    std::vector<SyncView> peers;
    bool detail = false;
};
struct TunnelGroupsDocument {
    std::vector<TunnelGroupView> tunnel_groups;
};
struct TunnelsDocument {
    std::vector<TunnelView> tunnels;
    bool detail = false;
};
struct SasDocument {
    std::vector<SaView> sas;
};
struct VrrpDocument {
    std::vector<VrrpView> instances;
};
struct LogDocument {
    std::vector<LogEntryView> entries;
};
struct StatsDocument {
    std::vector<MetricView> metrics;
};

#define MCIPSEC_VIEW_JSON(T)                            \
    void to_json(nlohmann::json &j, const T &v);        \
    void from_json(const nlohmann::json &j, T &v)
MCIPSEC_VIEW_JSON(PeerGroupView);
MCIPSEC_VIEW_JSON(PeerView);
MCIPSEC_VIEW_JSON(SyncView);
MCIPSEC_VIEW_JSON(MemberView);
MCIPSEC_VIEW_JSON(TunnelGroupView);
MCIPSEC_VIEW_JSON(TunnelView);
MCIPSEC_VIEW_JSON(SaView);
MCIPSEC_VIEW_JSON(VrrpView);
MCIPSEC_VIEW_JSON(LogEntryView);
MCIPSEC_VIEW_JSON(MetricView);
MCIPSEC_VIEW_JSON(SwitchoverView);
MCIPSEC_VIEW_JSON(SyncDocument);
MCIPSEC_VIEW_JSON(TunnelGroupsDocument);
MCIPSEC_VIEW_JSON(TunnelsDocument);
MCIPSEC_VIEW_JSON(SasDocument);
MCIPSEC_VIEW_JSON(VrrpDocument);
MCIPSEC_VIEW_JSON(LogDocument);
MCIPSEC_VIEW_JSON(StatsDocument);
#undef MCIPSEC_VIEW_JSON

// ---- tables (view_table.cpp); each ends with a newline ----

std::string render_table(const PeerView &v);                                // all its groups
std::string render_table(const PeerView &v, const PeerGroupView &group);    // with `tunnel-group N`
std::string render_table(const SyncDocument &v);
std::string render_table(const TunnelGroupsDocument &v, bool detail);       // detail: gates, members, counters
std::string render_table(const TunnelsDocument &v);
std::string render_table(const SasDocument &v);
std::string render_table(const VrrpDocument &v);
std::string render_table(const LogDocument &v);
std::string render_table(const StatsDocument &v);
std::string render_line(const LogEntryView &v);                             // monitor, show log -f
std::string render_prometheus(const StatsDocument &v);                      // text exposition format

}  // namespace mcipsec::app
