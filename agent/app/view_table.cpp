// SPDX-License-Identifier: GPL-2.0-or-later
// The tables: headings and order of fields are the seed's (steps 8 to 12), what
// we have beyond it stands below or with `detail`. 79 columns where the values
// allow it. Whatever came from outside is printed without control characters.
#include <fmt/format.h>

#include <cmath>
#include <ctime>

#include "app/view.hpp"

namespace mcipsec::app {

namespace {

const std::string kDouble(79, '=');
const std::string kSingle(79, '-');

std::string clean(std::string_view s)
{
    std::string out;
    for (std::size_t i = 0; i < s.size(); i++) {
        const auto u = static_cast<unsigned char>(s[i]);
        const bool c1 = u == 0xc2 && i + 1 < s.size() && static_cast<unsigned char>(s[i + 1]) < 0xa0;
        out += u < 0x20 || u == 0x7f || c1 ? '?' : s[i];
        i += c1;
    }
    return out;
}

// Left in its column, and apart from the next one however long it is.
std::string cell(std::string_view s, std::size_t width)
{
    auto out = fmt::format("{:<{}}", clean(s), width);
    if (out.back() != ' ')
        out += ' ';
    return out;
}

class Page {
public:
    // A title between double rules.
    Page &title(std::string_view t) { return line(kDouble).line(t).line(kDouble); }
    // A title with single rules, inside a table.
    Page &part(std::string_view t) { return line(kSingle).line(t).line(kSingle); }
    Page &line(std::string_view t = "")
    {
        const auto end = t.find_last_not_of(' ');
        out_.append(t.substr(0, end == std::string_view::npos ? 0 : end + 1)) += '\n';
        return *this;
    }
    Page &rule() { return line(kSingle); }
    Page &close() { return line(kDouble); }
    // "Label   : value", the colon in column `width`.
    Page &field(std::string_view label, std::string_view value, std::size_t width) { return line(fmt::format("{:<{}}: {}", label, width, clean(value))); }
    Page &counters(const std::map<std::string, std::uint64_t> &all, std::size_t width)
    {
        for (const auto &[name, value] : all)
            field("  " + clean(name), std::to_string(value), width);
        return *this;
    }
    std::string text() { return std::move(out_); }

private:
    std::string out_;
};

std::string join(const std::vector<std::string> &v, const char *empty = "")
{
    std::string out;
    for (const auto &s : v)
        out += (out.empty() ? "" : ", ") + s;
    return out.empty() ? empty : out;
}

std::string specified(const std::string &s) { return s.empty() ? "(Not Specified)" : s; }

// At least one decimal, no trailing zeros beyond it: 1.0, 0.05.
std::string decimal(double v)
{
    std::string s = fmt::format("{:.3f}", v);
    while (s.back() == '0' && s[s.size() - 2] != '.')
        s.pop_back();
    return s;
}
// 1, 0.1: as keepalived writes it.
std::string number(double v)
{
    std::string s = decimal(v);
    return s.ends_with(".0") ? s.substr(0, s.size() - 2) : s;
}

std::string yes(bool b) { return b ? "Yes" : "No"; }

void peer_head(Page &p, const PeerView &v)
{
    p.title("Multi-Chassis MC-IPsec");
    p.field("Peer Name       ", specified(v.peer_name), 16);
    p.field("Peer Addr       ", v.peer_addr, 16);
    p.line(fmt::format("Keep Alive Intvl: {:<22}Hold on Nbr Fail      : {}", decimal(v.keep_alive_intvl) + " secs", v.hold_on_nbr_fail));
    p.line(fmt::format("Discovery Intvl : {:<22}Discovery Boot Intvl  : {}", fmt::format("{} secs", v.discovery_intvl), fmt::format("{} secs", v.discovery_boot_intvl)));
    p.field("BFD             ", v.bfd, 16);
    p.field("Last update     ", v.last_update, 16);
    p.line();
}

void group_row(Page &p, const PeerGroupView &g)
{
    p.line(fmt::format("{:<16}{:<14}{:<10}{:<14}{}", g.id, g.peer_group, g.priority, clean(g.admin_state), clean(g.mastership)));
}

void group_table(Page &p, std::span<const PeerGroupView> groups)
{
    p.title("Multi-Chassis IPsec Multi Active Tunnel-Group Table");
    p.line(fmt::format("{:<16}{:<14}{:<10}{:<14}{}", "ID", "Peer Group", "Priority", "Admin State", "Mastership"));
    p.rule();
    for (const auto &g : groups)
        group_row(p, g);
    p.rule();
    p.line(fmt::format("Multi Active Tunnel Group Entries found: {}", groups.size()));
    p.close();
}

}  // namespace

std::string render_table(const PeerView &v)
{
    Page p;
    peer_head(p, v);
    group_table(p, v.tunnel_groups);
    return p.text();
}

std::string render_table(const PeerView &v, const PeerGroupView &g)
{
    constexpr std::size_t w = 23;
    Page p;
    peer_head(p, v);
    group_table(p, std::span(&g, 1));
    p.line();
    p.title(fmt::format("Tunnel-Group {} Detail", g.id));
    p.field("Protection Status", g.protection_status, w);
    for (const auto &r : g.reasons)
        p.field("  Reason", r, w);
    p.field("Oper State", g.oper_state, w);
    p.field("Active Members", std::to_string(g.active_members), w);
    p.field("Generation", std::to_string(g.generation), w);
    p.field("Last State Change", g.last_state_change.empty() ? "never" : g.last_state_change, w);
    p.field("Last State Reason", g.last_state_reason, w);
    p.field("Switchover", g.switchover, w);
    p.field("Peer Reachable", v.reachable, w);
    p.field("Peer Versions", v.versions, w);
    p.field("BFD State", v.bfd_state, w);
    if (v.bfd_timers != "n/a")
        p.field("BFD Timers", v.bfd_timers, w);
    p.field("Peer Mastership", g.peer_mastership, w);
    p.field("Peer Protection Status", g.peer_protection_status, w);
    for (const auto &r : g.peer_reasons)
        p.field("  Reason", r, w);
    p.field("Peer Oper State", g.peer_oper_state, w);
    p.field("Peer Priority", std::to_string(g.peer_priority), w);
    p.field("Peer Active Members", std::to_string(g.peer_active_members), w);
    p.close();
    return p.text();
}

std::string render_table(const SyncDocument &doc)
{
    constexpr std::size_t w = 25;
    Page p;
    p.title("Multi-chassis Peer Table");
    for (const auto &v : doc.peers) {
        p.line("Peer").rule();
        p.field("Peer IP Address", v.peer_ip_address, w);
        p.field("Description", specified(v.description), w);
        p.field("Authentication", v.authentication, w);
        p.field("Source IP Address", v.source_ip_address, w);
        p.field("Admin State", v.admin_state, w);
        p.field("Warm standby", v.warm_standby, w);
        p.field("Remote warm standby", v.remote_warm_standby, w);
        p.part("Sync-status");
        p.field("Client Applications", v.client_applications, w);
        p.field("Sync Admin State", v.sync_admin_state, w);
        p.field("Sync Oper State", v.sync_oper_state, w);
        p.field("Sync Oper Flags", join(v.sync_oper_flags), w);
        p.field("DB Sync State", v.db_sync_state, w);
        p.field("Num Entries", std::to_string(v.num_entries), w);
        p.field("Lcl Deleted Entries", std::to_string(v.lcl_deleted_entries), w);
        p.field("Alarm Entries", std::to_string(v.alarm_entries), w);
        p.field("OMCR Standby Entries", std::to_string(v.omcr_standby_entries), w);
        p.field("OMCR Alarm Entries", std::to_string(v.omcr_alarm_entries), w);
        p.field("Rem Num Entries", std::to_string(v.rem_num_entries), w);
        p.field("Rem Lcl Deleted Entries", std::to_string(v.rem_lcl_deleted_entries), w);
        p.field("Rem Alarm Entries", std::to_string(v.rem_alarm_entries), w);
        p.field("Rem OMCR Standby Entries", std::to_string(v.rem_omcr_standby_entries), w);
        p.field("Rem OMCR Alarm Entries", std::to_string(v.rem_omcr_alarm_entries), w);
        if (!v.alarms.empty())
            p.part("Alarms");
        for (const auto &a : v.alarms)
            p.field("Alarm", a, w);
        if (doc.detail) {
            p.part("Detail");
            p.field("Installed", std::to_string(v.installed), w);
            p.field("Installing", std::to_string(v.installing), w);
            p.field("Await Conf", std::to_string(v.await_conf), w);
            p.field("Failed", std::to_string(v.failed), w);
            p.field("Held Packets", std::to_string(v.held_packets), w);
            p.field("Held Total", std::to_string(v.held_total), w);
            p.field("Held Expired", std::to_string(v.held_expired), w);
            p.field("Held Median", fmt::format("{:.3f} secs", v.held_median), w);
            p.field("Held 99%", fmt::format("{:.3f} secs", v.held_p99), w);
            p.field("Responses Resent", std::to_string(v.responses_resent), w);
            p.field("Message Ids Synced", std::to_string(v.message_ids_synced), w);
            p.field("... Unanswered", std::to_string(v.message_ids_unanswered), w);
            p.field("... Followed", std::to_string(v.message_ids_followed), w);
            p.field("Clock Skew", fmt::format("{:+.3f} secs", v.clock_skew), w);
            p.field("Last In Sync", v.last_in_sync.empty() ? "never" : v.last_in_sync, w);
            for (const auto &[tag, group] : v.sync_tags)
                p.field("Sync Tag", tag + " (" + group + ")", w);
            p.counters(v.counters, w);
        }
        p.close();
    }
    p.line(fmt::format("Peers : {}", doc.peers.size()));
    p.close();
    return p.text();
}

std::string render_table(const TunnelGroupsDocument &doc, bool detail)
{
    constexpr std::size_t w = 23;
    Page p;
    p.title("ISA Tunnel Groups");
    p.line(fmt::format("{:<10}{:<18}{:<18}{:<18}{:<8}{}", "Tunnel", "Primary", "Backup", "Active", "Admin", "Oper"));
    p.line(fmt::format("{:<10}{:<18}{:<18}{:<18}{:<8}{}", "Group", "Members", "Members", "Members", "State", "State"));
    p.rule();
    for (const auto &g : doc.tunnel_groups)
        p.line(fmt::format("{:<10}{}{}{}{:<8}{}", g.id, cell(join(g.primary, "-"), 18), cell(join(g.backup, "-"), 18), cell(join(g.active, "-"), 18), clean(g.admin_state), clean(g.oper_state)));
    p.rule();
    p.line(fmt::format("Tunnel Groups : {}", doc.tunnel_groups.size()));
    p.close();
    if (!detail)
        return p.text();
    for (const auto &g : doc.tunnel_groups) {
        p.line();
        p.title(fmt::format("Tunnel-Group {} Detail", g.id));
        p.field("Mode", g.mode, w);
        p.field("Active Mda Number", std::to_string(g.active_mda_number), w);
        p.field("IPsec Responder Only", yes(g.ipsec_responder_only), w);
        for (const auto &m : g.members)
            p.field("Member " + clean(m.name), fmt::format("admin {}, oper {}{}{}", m.admin_state, m.oper_state, m.active ? ", active" : "", m.reason.empty() ? "" : ": " + m.reason), w);
        p.part("Gate");
        p.field("Mastership", g.mastership, w);
        p.field("Gate", g.gate, w);
        p.field("Generation", std::to_string(g.generation), w);
        p.field("Lease", g.lease_ms < 0 ? "none" : g.lease_ms == 0 ? "expired" : fmt::format("{} ms left", g.lease_ms), w);
        p.field("Gateway Addresses", join(g.addresses, "none"), w);
        p.field("Redundant Next-Hops", join(g.next_hops, "none"), w);
        if (!g.gate_counters.empty())
            p.part("Gate Counters (packets)").counters(g.gate_counters, w);
        if (!g.counters.empty())
            p.part("Counters").counters(g.counters, w);
        p.close();
    }
    return p.text();
}

std::string render_table(const TunnelsDocument &doc)
{
    constexpr std::size_t w = 23;
    Page p;
    p.title("IPsec Tunnels");
    p.line(fmt::format("{:<33}{:<18}{:<11}{:<6}{}", "TunnelName", "LocalAddress", "SvcId", "Admn", "Keying"));
    p.line(fmt::format("  {:<31}{:<18}{:<11}{:<6}{}", "SapId", "RemoteAddress", "DlvrySvcId", "Oper", "Sec"));
    p.line(fmt::format("{:<68}{}", "", "Plcy"));
    p.rule();
    for (const auto &t : doc.tunnels) {
        p.line(cell(t.tunnel_name, 33) + cell(t.local_address, 18) + cell(t.svc_id, 11) + cell(t.admn, 6) + clean(t.keying));
        p.line("  " + cell(t.sap_id, 31) + cell(t.remote_address.empty() ? "-" : t.remote_address, 18) + cell(t.dlvry_svc_id, 11) + cell(t.oper, 6) + clean(t.sec_plcy));
    }
    p.rule();
    p.line(fmt::format("IPsec Tunnels: {}", doc.tunnels.size()));
    p.close();
    if (!doc.detail)
        return p.text();
    for (const auto &t : doc.tunnels) {
        p.line();
        p.title("IPsec Tunnel " + clean(t.tunnel_name));
        p.field("Tunnel Group", std::to_string(t.tunnel_group), w);
        p.field("Connection", t.connection, w);
        p.field("Interface", t.interface, w);
        p.field("Local Id", t.local_id, w);
        p.field("Remote Id", t.remote_id, w);
        p.field("IKE SPI Initiator", t.ike_spi_i, w);
        p.field("IKE SPI Responder", t.ike_spi_r, w);
        p.field("IKE State", t.ike_state, w);
        p.field("IKE Algorithms", t.ike_algorithms, w);
        p.field("ESP Algorithms", t.esp_algorithms, w);
        for (const auto &c : t.child_spis)
            p.field("CHILD_SA SPIs", c, w);
        for (const auto &s : t.traffic_selectors)
            p.field("Traffic Selectors", s, w);
        p.field("Established", t.established.empty() ? "never" : t.established, w);
        p.field("Sync State", t.sync_state, w);
        p.field("Rekey", t.rekey, w);
        p.field("Octets In", std::to_string(t.octets_in), w);
        p.field("Packets In", std::to_string(t.packets_in), w);
        p.field("Octets Out", std::to_string(t.octets_out), w);
        p.field("Packets Out", std::to_string(t.packets_out), w);
        p.close();
    }
    return p.text();
}

std::string render_table(const SasDocument &doc)
{
    Page p;
    p.title("IPsec Security Associations");
    p.line(fmt::format("{:<6}{:<18}{:<5}{:<10}{:<18}{}", "Group", "TunnelName", "Dir", "SPI", "Destination", "Flags"));
    p.line(fmt::format("      {:<23}{:<22}{:<16}{}", "Last Sent", "Highest Received", "Packets", "Sync Age"));
    p.rule();
    for (const auto &s : doc.sas) {
        std::string flags;
        for (const auto &[set, name] : {std::pair(s.esn, "esn"), std::pair(!s.replay, "no-replay"), std::pair(s.offload, "offload")})
            if (set)
                flags += (flags.empty() ? "" : ",") + std::string(name);
        p.line(fmt::format("{:<6}{}{:<5}{:<10}{}{}", s.tunnel_group, cell(s.tunnel_name, 18), clean(s.direction), clean(s.spi), cell(s.destination, 18), flags.empty() ? "-" : flags));
        p.line(fmt::format("      {:<23}{:<22}{:<16}{}", s.oseq, s.seq, s.packets, s.sync_age < 0 ? "n/a" : decimal(s.sync_age) + " secs"));
    }
    p.rule();
    p.line(fmt::format("Security Associations: {}", doc.sas.size()));
    p.close();
    return p.text();
}

std::string render_table(const VrrpDocument &doc)
{
    Page p;
    p.title("VRRP Instances");
    constexpr auto *one = "{:<31}{:<6}{:<4}{:<5}{:<12}{:<11}{}", *two = "{:<31}{:<10}{:<5}{:<12}{:<11}{}";
    p.line(fmt::format(fmt::runtime(one), "Interface Name", "VR Id", "Own", "Adm", "State", "Base Pri", "Msg Int"));
    p.line(fmt::format(fmt::runtime(two), "", "IP", "Opr", "Pol Id", "InUse Pri", "Inh Int"));
    p.rule();
    for (const auto &v : doc.instances) {
        p.line(fmt::format("{}{:<6}{:<4}{:<5}{:<12}{:<11}{}", cell(v.interface_name.empty() ? v.instance : v.interface_name, 31), v.vr_id, clean(v.own), clean(v.adm), clean(v.state), v.base_pri, number(v.msg_int)));
        p.line(fmt::format(fmt::runtime(two), "", clean(v.ip), clean(v.opr), clean(v.pol_id), v.in_use_pri, clean(v.inh_int)));
        for (const auto &a : v.backup_addr)
            p.field("  Backup Addr", a, 13);
    }
    p.rule();
    p.line(fmt::format("Instances : {}", doc.instances.size()));
    p.close();
    return p.text();
}

std::string render_line(const LogEntryView &v)
{
    const double whole = std::floor(v.time);
    const std::time_t t = static_cast<std::time_t>(whole);
    std::tm tm{};
    char day[32] = "";
    if (localtime_r(&t, &tm))
        std::strftime(day, sizeof day, "%m/%d/%Y %H:%M:%S", &tm);
    std::string out = fmt::format("{}.{:03} {}", day, std::min(999, static_cast<int>((v.time - whole) * 1000)), v.event.empty() ? "-" : clean(v.event));
    const auto group = v.tunnel_group ? fmt::format("tunnel-group {}", v.tunnel_group) : "";
    if (!group.empty() && !v.text.starts_with(group + ":"))     // many texts say it themselves
        out += " " + group;
    if (!v.peer.empty())
        out += " peer " + clean(v.peer);
    if (!v.tunnel.empty())
        out += " tunnel " + clean(v.tunnel);
    if (!v.text.empty())
        out += ": " + clean(v.text);
    return out;
}

std::string render_table(const LogDocument &doc)
{
    std::string out;
    for (const auto &e : doc.entries)
        out += render_line(e) + "\n";
    return out;
}

std::string render_table(const StatsDocument &doc)
{
    Page p;
    p.title("Statistics");
    for (const auto &m : doc.metrics) {
        std::string name = clean(m.name);
        for (const auto &[k, v] : m.labels)
            name += fmt::format(" {}={}", clean(k), clean(v));
        p.line(fmt::format("{:<63} {}", name, m.value));
    }
    p.close();
    return p.text();
}

std::string render_prometheus(const StatsDocument &doc)
{
    // Samples of one name must stand together, below one HELP and TYPE.
    std::map<std::string, std::vector<const MetricView *>> by_name;
    for (const auto &m : doc.metrics)
        by_name[m.name].push_back(&m);
    const auto escape = [](std::string_view s, bool label) {
        std::string out;
        for (const char c : s)
            out += c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '"' && label ? "\\\"" : std::string(1, c);
        return out;
    };
    std::string out;
    for (const auto &[name, all] : by_name) {
        out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escape(all[0]->help, false), name, all[0]->type);
        for (const auto *m : all) {
            std::string labels;
            for (const auto &[k, v] : m->labels)
                labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ",", k, escape(v, true));
            out += labels.empty() ? fmt::format("{} {}\n", name, m->value) : fmt::format("{}{{{}}} {}\n", name, labels, m->value);
        }
    }
    return out;
}

}  // namespace mcipsec::app
