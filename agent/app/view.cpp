// SPDX-License-Identifier: GPL-2.0-or-later
// JSON of the view structs: one list of members each, for both directions.
#include "app/view.hpp"

#include <ctime>

namespace mcipsec::app {

std::string time_text(std::int64_t unix_seconds)
{
    if (unix_seconds <= 0)
        return "never";
    const std::time_t t = unix_seconds;
    std::tm tm{};
    char buf[32] = "";
    if (localtime_r(&t, &tm))
        std::strftime(buf, sizeof buf, "%m/%d/%Y %H:%M:%S", &tm);
    return buf;
}

// to_json writes every member, from_json takes those that are there.
#define MCIPSEC_VIEW(T, ...)                                                                                    \
    void to_json(nlohmann::json &nlohmann_json_j, const T &nlohmann_json_t)                                     \
    {                                                                                                           \
        NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))                                \
    }                                                                                                           \
    void from_json(const nlohmann::json &nlohmann_json_j, T &nlohmann_json_t)                                   \
    {                                                                                                           \
        const T nlohmann_json_default_obj{};                                                                    \
        NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM_WITH_DEFAULT, __VA_ARGS__))                 \
    }

MCIPSEC_VIEW(PeerGroupView, id, peer_group, priority, admin_state, oper_state, mastership, protection_status, reasons, active_members, generation,
             last_state_change, last_state_reason, switchover, switchover_id, peer_mastership, peer_protection_status, peer_reasons, peer_priority,
             peer_active_members, peer_oper_state)
MCIPSEC_VIEW(PeerView, peer_name, peer_addr, peer_admin_state, keep_alive_intvl, hold_on_nbr_fail, discovery_intvl, discovery_boot_intvl, bfd, last_update,
             source_addr, reachable, versions, bfd_state, bfd_timers, mimp_counters, bfd_counters, tunnel_groups)
MCIPSEC_VIEW(SyncView, peer_ip_address, description, authentication, source_ip_address, admin_state, warm_standby, remote_warm_standby, client_applications,
             sync_admin_state, sync_oper_state, sync_oper_flags, db_sync_state, num_entries, lcl_deleted_entries, alarm_entries, omcr_standby_entries,
             omcr_alarm_entries, rem_num_entries, rem_lcl_deleted_entries, rem_alarm_entries, rem_omcr_standby_entries, rem_omcr_alarm_entries, installed,
             installing, await_conf, failed, held_packets, held_total, held_expired, held_median, held_p99, responses_resent, message_ids_synced,
             message_ids_unanswered, message_ids_followed, clock_skew, last_in_sync, alarms, sync_tags, counters)
MCIPSEC_VIEW(MemberView, name, admin_state, oper_state, active, reason)
MCIPSEC_VIEW(TunnelGroupView, id, primary, backup, active, admin_state, oper_state, mode, active_mda_number, ipsec_responder_only, members, mastership, gate,
             nominal, generation, lease_ms, addresses, next_hops, gate_counters, counters)
MCIPSEC_VIEW(TunnelView, tunnel_name, local_address, svc_id, admn, keying, sap_id, remote_address, dlvry_svc_id, oper, sec_plcy, tunnel_group, connection,
             interface, local_id, remote_id, ike_spi_i, ike_spi_r, ike_state, ike_algorithms, esp_algorithms, child_spis, traffic_selectors, established,
             sync_state, rekey, octets_in, packets_in, octets_out, packets_out)
MCIPSEC_VIEW(SaView, tunnel_group, tunnel_name, direction, spi, destination, esn, replay, offload, oseq, seq, packets, octets, sync_age)
MCIPSEC_VIEW(VrrpView, interface_name, instance, vr_id, own, adm, state, base_pri, msg_int, ip, opr, pol_id, in_use_pri, inh_int, backup_addr, track_file,
             track_value, events)
MCIPSEC_VIEW(LogEntryView, seq, time, event, tunnel_group, peer, tunnel, text, fields)
MCIPSEC_VIEW(MetricView, name, type, help, labels, value)
MCIPSEC_VIEW(SwitchoverView, id, tunnel_group, state, reason)
MCIPSEC_VIEW(SyncDocument, peers, detail)
MCIPSEC_VIEW(TunnelGroupsDocument, tunnel_groups)
MCIPSEC_VIEW(TunnelsDocument, tunnels, detail)
MCIPSEC_VIEW(SasDocument, sas)
MCIPSEC_VIEW(VrrpDocument, instances)
MCIPSEC_VIEW(LogDocument, entries)
MCIPSEC_VIEW(StatsDocument, metrics)

}  // namespace mcipsec::app
