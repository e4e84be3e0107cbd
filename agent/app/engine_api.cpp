// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "app/applied.hpp"
#include "app/engine.hpp"
#include "app/record_info.hpp"
#include "core/crypto.hpp"

namespace mcipsec::app {

namespace {

const char *up_down(bool up) { return up ? "Up" : "Down"; }

std::string field(const std::map<std::string, std::string> &f, const char *name)
{
    const auto it = f.find(name);
    return it == f.end() ? "" : it->second;
}

// "10.10.10.1[500]" -> "10.10.10.1"
std::string host_of(const std::string &endpoint) { return endpoint.substr(0, endpoint.find('[')); }

std::string hex_spi(std::uint32_t network_order) { return fmt::format("{:08x}", ntohl(network_order)); }

// One walk over a group's database: its IKE_SAs by connection, its CHILD_SAs by
// IKE_SA. Valid until the session's next step.
class EntryIndex {
public:
    EntryIndex() = default;
    EntryIndex(const mcs::Session &session, const std::string &tag)
    {
        session.for_each(tag, [&](const mcs::Entry &e) {
            if (e.key.kind == mcs::Kind::IkeSa)
                ikes_[e.name].push_back(&e);
            else if (e.parent)
                children_[*e.parent].push_back(&e);
        });
    }
    const std::vector<const mcs::Entry *> &ikes(const std::string &connection) const { return get(ikes_, connection); }
    const std::vector<const mcs::Entry *> &children(const mcs::Key &ike) const { return get(children_, ike); }

private:
    template <typename M, typename K>
    static const std::vector<const mcs::Entry *> &get(const M &map, const K &key)
    {
        static const std::vector<const mcs::Entry *> none;
        const auto it = map.find(key);
        return it == map.end() ? none : it->second;
    }
    std::map<std::string, std::vector<const mcs::Entry *>> ikes_;
    std::map<mcs::Key, std::vector<const mcs::Entry *>> children_;
};

void show_ike(TunnelView &v, const mcs::Entry &e, bool acting)
{
    const auto f = info_fields(e.info);
    v.local_address = host_of(field(f, "local"));
    v.remote_address = host_of(field(f, "remote"));
    v.local_id = field(f, "local-id");
    v.remote_id = field(f, "remote-id");
    v.ike_spi_i = to_hex(e.key.view().first(8));
    v.ike_spi_r = to_hex(e.key.view().subspan(8));
    v.ike_state = acting ? "ESTABLISHED" : "PASSIVE";
    if (const auto at = field(f, "established-at"); !at.empty())
        v.established = time_text(std::strtoll(at.c_str(), nullptr, 10));
    v.ike_algorithms = fmt::format("{} {} {} {}", field(f, "encr"), field(f, "integ"), field(f, "prf"), field(f, "ke"));
    v.sync_state = acting ? "local" : std::string(mcs::to_string(e.status));
}

void show_child(TunnelView &v, const mcs::Entry &e)
{
    const auto f = info_fields(e.info);
    if (e.status == mcs::LocalStatus::Installed)
        v.oper = "Up";
    v.child_spis.push_back(fmt::format("in {} out {}", field(f, "spi-in"), field(f, "spi-out")));
    v.esp_algorithms = field(f, "encr") + (field(f, "integ").empty() ? "" : " " + field(f, "integ"));
    const auto local = info_list(field(f, "local-ts")), remote = info_list(field(f, "remote-ts"));
    for (const auto &l : local)
        for (const auto &r : remote)
            if (const auto ts = l + " === " + r; std::find(v.traffic_selectors.begin(), v.traffic_selectors.end(), ts) == v.traffic_selectors.end())
                v.traffic_selectors.push_back(ts);
}

}  // namespace

// ---- peers ----

PeerGroupView Engine::group_row(const Group &g, const PeerConfig &pc, const mimp::GroupView *v) const
{
    PeerGroupView row;
    row.id = g.id;
    if (const auto c = pc.mc_ipsec.tunnel_group.find(g.id); c != pc.mc_ipsec.tunnel_group.end()) {
        row.peer_group = c->second.peer_group;
        row.priority = c->second.priority;
        row.admin_state = up_down(!c->second.shutdown && !pc.shutdown);
    }
    row.oper_state = g.verdict.oper_up ? "up" : "down";
    row.mastership = to_string(g.state);
    row.protection_status = g.nominal ? "nominal" : "notReady";
    row.reasons = g.reasons;
    row.active_members = g.verdict.active;
    row.generation = g.generation;
    row.last_state_change = time_text(g.changed_at);
    row.last_state_reason = g.changed_why;
    row.switchover = g.switchover.state == "failed" ? "failed: " + g.switchover.reason : g.switchover.state;
    row.switchover_id = g.switchover.id;
    if (v && v->peer_known) {
        row.peer_mastership = v->peer_reached ? to_string(v->peer.state) : "unknown";
        row.peer_protection_status = !v->peer_reached ? "unknown" : v->peer.nominal ? "nominal" : "notReady";
        row.peer_priority = v->peer.priority;
        row.peer_active_members = v->peer.active_members;
        row.peer_oper_state = !v->peer_reached ? "unknown" : v->peer.oper_up ? "up" : "down";
        if (g.sync)
            if (const auto *tag = g.sync->tag_of(g.id))
                if (const auto s = g.sync->session().group_status(*tag))
                    row.peer_reasons = s->peer_reasons;
    }
    return row;
}

std::vector<PeerView> Engine::peers()
{
    std::vector<PeerView> out;
    for (const auto &[address, pc] : config_.multi_chassis.peer) {
        const auto it = peers_.find(address);
        PeerView v;
        v.peer_name = pc.name;
        v.peer_addr = address.str();
        v.peer_admin_state = up_down(!pc.shutdown);
        v.keep_alive_intvl = std::chrono::duration<double>(pc.mc_ipsec.keep_alive_interval).count();
        v.hold_on_nbr_fail = pc.mc_ipsec.hold_on_neighbor_failure;
        v.discovery_intvl = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(pc.mc_ipsec.discovery_interval).count());
        v.discovery_boot_intvl = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(pc.mc_ipsec.discovery_interval_boot).count());
        v.bfd = pc.mc_ipsec.bfd_enable ? "Enable" : "Disable";
        v.last_update = time_text(config_read_at_);
        v.source_addr = pc.source_address.str();
        mimp::Snapshot s;
        if (it != peers_.end() && it->second.mimp) {
            s = it->second.mimp->snapshot();
            v.reachable = s.reached ? "yes" : "no";
            if (s.peer_version)
                v.versions = fmt::format("MIMP {}, MCS {}", s.peer_version,
                                         !s.peer_mcs ? "not said" : s.peer_mcs == s.peer_mcs_oldest ? fmt::to_string(s.peer_mcs) : fmt::format("{} to {}", s.peer_mcs_oldest, s.peer_mcs));
            const auto &c = s.counters;
            v.mimp_counters = {{"tx", c.tx}, {"rx", c.rx}, {"bad_source", c.bad_source}, {"bad_length", c.bad_length},
                               {"bad_version", c.bad_version}, {"bad_mac", c.bad_mac}, {"bad_field", c.bad_field}, {"replayed", c.replayed},
                               {"own_epoch", c.own_epoch}, {"unknown_epoch", c.unknown_epoch}, {"bad_group", c.bad_group},
                               {"unexpected_event", c.unexpected_event}, {"mastership_changes", c.mastership_changes},
                               {"handovers", c.handovers}, {"handovers_failed", c.handovers_failed}, {"stalls", c.stalls},
                               {"lease_errors", it->second.mimp->lease_errors()}};
            if (const auto b = it->second.mimp->bfd_snapshot()) {
                v.bfd_state = std::string(bfd::to_string(b->state));
                const auto ms = [](Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); };
                if (b->state == bfd::State::Up)
                    v.bfd_timers = fmt::format("transmit {} ms, detection {} ms", ms(b->transmit_interval), ms(b->detection));
                v.bfd_counters = {{"tx", b->counters.tx}, {"rx", b->counters.rx}, {"bad_packet", b->counters.bad_packet},
                                  {"bad_discriminator", b->counters.bad_discriminator},
                                  {"bad_auth", b->counters.bad_auth}, {"ups", b->counters.ups}, {"downs", b->counters.downs}};
            }
        }
        for (const auto &[id, gc] : pc.mc_ipsec.tunnel_group) {
            const auto *g = find(id);
            if (!g)
                continue;
            const auto view = std::find_if(s.groups.begin(), s.groups.end(), [&](const auto &x) { return x.config.id == id; });
            v.tunnel_groups.push_back(group_row(*g, pc, view == s.groups.end() ? nullptr : &*view));
        }
        out.push_back(std::move(v));
    }
    return out;
}

// ---- synchronisation ----

std::vector<SyncView> Engine::sync()
{
    std::vector<SyncView> out;
    for (const auto &[address, pc] : config_.multi_chassis.peer) {
        const auto it = peers_.find(address);
        if (it == peers_.end() || !it->second.sync)
            continue;
        const auto &sc = *it->second.sync;
        const auto s = sc.status();
        SyncView v;
        v.peer_ip_address = address.str();
        v.description = pc.description;
        v.source_ip_address = pc.source_address.str();
        v.admin_state = pc.shutdown ? "Disabled" : "Enabled";
        v.sync_admin_state = up_down(s.admin_up);
        v.sync_oper_state = up_down(s.oper_up);
        for (const auto name : mcs::oper_flag_names(s.oper_flags))
            v.sync_oper_flags.emplace_back(name);
        v.db_sync_state = mcs::to_string(s.db_sync_state);
        v.num_entries = s.local.entries;
        v.lcl_deleted_entries = s.local.local_deleted;
        v.alarm_entries = s.local.alarmed;
        v.rem_num_entries = s.remote.entries;
        v.rem_lcl_deleted_entries = s.remote.local_deleted;
        v.rem_alarm_entries = s.remote.alarmed;
        v.installed = s.local.installed;
        v.installing = s.local.installing;
        v.await_conf = s.local.await_conf;
        v.failed = s.local.failed;
        for (const auto &[id, g] : groups_)
            if (g.peer == address) {
                const auto charon = charon_->status(id);
                v.held_packets += charon.held;
                v.held_total += charon.held_total;
                v.held_median = std::max(v.held_median, static_cast<double>(charon.held_median_us) / 1e6);
                v.held_p99 = std::max(v.held_p99, static_cast<double>(charon.held_p99_us) / 1e6);
                v.held_expired += charon.held_expired;
                v.responses_resent += charon.resent;
                v.message_ids_synced += charon.synced;
                v.message_ids_unanswered += charon.sync_failed;
                v.message_ids_followed += charon.followed;
            }
        if (const auto skew = it->second.mimp ? it->second.mimp->snapshot().clock_skew_ns : std::nullopt)
            v.clock_skew = static_cast<double>(*skew) / 1e9;
        v.last_in_sync = time_text(sc.last_in_sync());
        for (const auto &[name, alarm] : sc.alarms())
            v.alarms.push_back(alarm.text);
        alarms_.for_each([&, &address = address](const Alarms::Alarm &a) {
            const auto *g = a.group ? find(a.group) : nullptr;
            if (g ? g->peer == address : a.peer.empty() || a.peer == sc.peer().name)
                v.alarms.push_back(a.text);
        });
        for (const auto &gs : s.groups)
            v.sync_tags[gs.tag] = fmt::format("tunnel-group {}", gs.group);
        const auto &c = s.counters;
        v.counters = {{"connects", c.connects}, {"disconnects", c.disconnects}, {"bytes_in", c.bytes_in}, {"bytes_out", c.bytes_out},
                      {"frames_in", c.frames_in}, {"frames_out", c.frames_out}, {"frames_bad", c.frames_bad},
                      {"frames_unknown", c.frames_unknown}, {"records_sent", c.records_sent}, {"records_received", c.records_received},
                      {"records_bad", c.records_bad}, {"deletes_sent", c.deletes_sent}, {"deletes_received", c.deletes_received},
                      {"rejected_generation", c.rejected_generation}, {"rejected_not_acting", c.rejected_not_acting}, {"stale", c.stale},
                      {"duplicate", c.duplicate}, {"imports", c.imports}, {"import_failures", c.import_failures},
                      {"snapshots_sent", c.snapshots_sent}, {"snapshots_received", c.snapshots_received}, {"deltas_sent", c.deltas_sent},
                      {"deltas_received", c.deltas_received}, {"audits", c.audits}, {"audit_mismatches", c.audit_mismatches},
                      {"audit_repaired", c.audit_repaired}, {"seq_sent", c.seq_sent}, {"seq_received", c.seq_received},
                      {"traffic_sent", c.traffic_sent}, {"traffic_received", c.traffic_received},
                      {"keepalive_timeouts", c.keepalive_timeouts}};
        out.push_back(std::move(v));
    }
    return out;
}

// ---- tunnel-groups and tunnels ----

std::vector<TunnelGroupView> Engine::tunnel_groups()
{
    std::vector<TunnelGroupView> out;
    for (const auto &[id, g] : groups_) {
        const auto &tg = config_.tunnel_group.at(id);
        TunnelGroupView v;
        v.id = id;
        v.primary = g.verdict.primary;
        v.active = g.verdict.active_members;
        v.backup = g.verdict.backup;
        v.admin_state = up_down(!tg.shutdown);
        v.oper_state = g.verdict.oper_up ? "up" : "down";
        v.active_mda_number = tg.active_mda_number;
        v.ipsec_responder_only = tg.ipsec_responder_only;
        for (const auto &m : g.members) {
            MemberView mv;
            mv.name = m.name;
            mv.admin_state = up_down(m.admin_up);
            mv.oper_state = m.healthy() ? "up" : "down";
            mv.active = std::find(v.active.begin(), v.active.end(), m.name) != v.active.end();
            mv.reason = m.why_not();
            v.members.push_back(std::move(mv));
        }
        v.mastership = to_string(g.state);
        v.nominal = g.nominal;
        v.generation = g.generation;
        if (const auto info = kernel_->group_get(id)) {
            v.gate = io::to_string(info->action);
            v.mastership = to_string(info->state);
            if (info->lease_expiry)
                v.lease_ms = std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(*info->lease_expiry - loop_.now()).count());
            for (const auto &a : info->addresses)
                v.addresses.push_back(a.address.str());
            for (const auto &a : info->public_nexthops)
                v.next_hops.push_back(a.address.str() + " (public)");
            for (const auto &a : info->private_nexthops)
                v.next_hops.push_back(a.address.str() + " (private)");
            for (unsigned i = 0; i < info->stats.value.size(); ++i)
                if (const auto name = io::stat_name(i); !name.empty())
                    v.gate_counters[std::string(name)] = info->stats[i];
        }
        const auto r = g.pacer.progress();
        v.counters = {{"rekeys_total", r.total}, {"rekeys_done", r.done}, {"rekeys_in_flight", r.in_flight},
                      {"rekeys_pending", r.pending}, {"rekeys_failed", r.failed}, {"held_expired", charon_->status(id).held_expired},
                      {"receive_only", g.sync ? g.sync->receive_only(id) : 0}, {"not_begun", charon_->status(id).not_begun}};
        const auto life = g.life.pacer.progress();
        v.counters["liveness_total"] = life.total;
        v.counters["liveness_answered"] = g.life.answered;
        v.counters["liveness_pending"] = life.in_flight + life.pending;
        out.push_back(std::move(v));
    }
    return out;
}

std::vector<TunnelView> Engine::tunnels(const std::string &name, std::size_t from, std::size_t limit)
{
    std::vector<TunnelView> out;
    std::map<GroupId, EntryIndex> databases;    // walked once a request
    std::size_t at = 0;
    for (const auto &[tunnel_name, t] : config_.tunnel) {
        if (!name.empty() && tunnel_name != name)
            continue;
        if (at++ < from)
            continue;
        if (out.size() >= limit)
            break;
        TunnelView v;
        v.tunnel_name = tunnel_name;
        v.tunnel_group = t.tunnel_group;
        v.connection = t.connection;
        v.interface = t.interface;
        v.sec_plcy = std::to_string(t.security_policy);
        v.sap_id = fmt::format("tunnel-{}.private:{}", t.tunnel_group, t.sap_index);
        if (const auto p = config_.publics.find(t.public_name); p != config_.publics.end()) {
            if (!p->second.local_gateway_address.empty())
                v.local_address = p->second.local_gateway_address.front().str();
            v.dlvry_svc_id = service_name(p->second.service_id, p->second.vrf);
        }
        if (const auto p = config_.privates.find(t.private_name); p != config_.privates.end())
            v.svc_id = service_name(p->second.service_id, p->second.vrf);
        const auto *g = find(t.tunnel_group);
        const auto *tag = g && g->sync ? g->sync->tag_of(g->id) : nullptr;
        if (g) {
            const auto tg = config_.tunnel_group.find(g->id);
            v.admn = up_down(tg != config_.tunnel_group.end() && !tg->second.shutdown);
            const auto r = g->pacer.progress();
            if (r.running())
                v.rekey = fmt::format("{} of {} done", r.done, r.total);
        }
        if (tag) {
            const auto traffic = g->sync->traffic(g->id, t.connection);
            v.octets_in = traffic.octets_in;
            v.packets_in = traffic.packets_in;
            v.octets_out = traffic.octets_out;
            v.packets_out = traffic.packets_out;
            auto [index, fresh] = databases.try_emplace(g->id);
            if (fresh)
                index->second = EntryIndex(g->sync->session(), *tag);
            for (const auto *ike : index->second.ikes(t.connection)) {
                show_ike(v, *ike, acting_master(g->state));
                for (const auto *child : index->second.children(ike->key))
                    show_child(v, *child);
            }
        }
        out.push_back(std::move(v));
    }
    return out;
}

Expected<std::vector<SaView>> Engine::sas(GroupId group, std::size_t from, std::size_t limit)
{
    if (group && !find(group))
        return fail(-ENOENT, fmt::format("no tunnel-group {}", group));
    std::vector<SaView> out;
    for (const auto &[id, g] : groups_) {
        if (group && group != id)
            continue;
        std::map<std::string, std::string> names;   // SPI -> child name
        if (g.sync)
            if (const auto *tag = g.sync->tag_of(id))
                g.sync->session().for_each(*tag, [&](const mcs::Entry &e) {
                    if (e.key.kind != mcs::Kind::ChildSa)
                        return;
                    const auto f = info_fields(e.info);
                    names[field(f, "spi-in")] = e.name;
                    names[field(f, "spi-out")] = e.name;
                });
        auto done = kernel_->seq_get(id, [&](std::span<const mcipsec_seq> part) {
            for (const auto &sa : part) {
                SaView v;
                v.tunnel_group = id;
                v.direction = sa.flags & MCIPSEC_SEQ_F_OUT ? "out" : "in";
                v.spi = hex_spi(sa.spi);
                v.tunnel_name = names[v.spi];
                IpAddress d;
                d.family = sa.family == AF_INET ? 4 : 6;
                std::memcpy(d.bytes.data(), sa.daddr, d.size());
                v.destination = d.str();
                v.esn = sa.flags & MCIPSEC_SEQ_F_ESN;
                v.offload = sa.flags & MCIPSEC_SEQ_F_OFFLOAD;
                v.replay = !(sa.flags & MCIPSEC_SEQ_F_NOREPLAY);
                v.oseq = sa.oseq;
                v.seq = sa.seq;
                v.packets = sa.packets;
                v.octets = sa.bytes;
                if (g.sync)
                    if (const auto known = g.sync->known(id, SaId::of(sa)))
                        v.sync_age = std::chrono::duration<double>(loop_.now() - known->taken).count();
                out.push_back(std::move(v));
            }
        });
        if (!done)
            return tl::unexpected(done.error());
    }
    std::stable_sort(out.begin(), out.end(), [](const SaView &a, const SaView &b) {
        return std::tie(a.tunnel_group, a.tunnel_name, a.spi) < std::tie(b.tunnel_group, b.tunnel_name, b.spi);
    });
    if (from >= out.size())
        return std::vector<SaView>{};
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(from));
    if (out.size() > limit)
        out.resize(limit);
    return out;
}

std::vector<VrrpView> Engine::vrrp() { return vrrp_->views(); }

std::vector<MetricView> Engine::stats()
{
    std::vector<MetricView> out;
    auto add = [&](std::string name, std::string type, std::string help, std::map<std::string, std::string> labels, double value) {
        out.push_back({std::move(name), std::move(type), std::move(help), std::move(labels), value});
    };
    for (const auto &g : tunnel_groups()) {
        const std::map<std::string, std::string> label{{"tunnel_group", std::to_string(g.id)}};
        for (const auto m : {Mastership::Discovery, Mastership::NotEligible, Mastership::Eligible, Mastership::Standby, Mastership::Master})
            add("mcipsec_mastership", "gauge", "1 for the MIMP state of the tunnel-group",
                {{"tunnel_group", std::to_string(g.id)}, {"state", std::string(to_string(m))}}, g.mastership == to_string(m));
        add("mcipsec_protection_nominal", "gauge", "1 while protection status is nominal", label, g.nominal);
        add("mcipsec_active_members", "gauge", "active members", label, static_cast<double>(g.active.size()));
        for (const auto &[name, value] : g.gate_counters)
            add("mcipsec_gate_packets_total", "counter", "packets by what the gate did with them",
                {{"tunnel_group", std::to_string(g.id)}, {"what", name}}, static_cast<double>(value));
        for (const auto &[name, value] : g.counters) {
            const bool counts = name == "held_expired" || name == "receive_only" || name == "not_begun";   // since agent or charon began
            const auto *help = name == "held_expired"           ? "held IKE packets that left before the standby had their record"
                               : name == "receive_only"         ? "SAs that were stopped from sending until they are rekeyed"
                               : name == "not_begun"            ? "IKE_SAs and CHILD_SAs that a gateway that only responds did not begin"
                               : name.starts_with("liveness_")  ? "liveness checks of the last merge"
                                                                : "rekeys of the last takeover";
            add("mcipsec_" + name, counts ? "counter" : "gauge", help, label, static_cast<double>(value));
        }
    }
    for (const auto &[name, t] : config_.tunnel) {
        const auto *g = find(t.tunnel_group);
        if (!g || !g->sync)
            continue;
        const auto c = g->sync->traffic(g->id, t.connection);
        for (const auto &[direction, octets, packets] : {std::tuple("in", c.octets_in, c.packets_in), std::tuple("out", c.octets_out, c.packets_out)}) {
            const std::map<std::string, std::string> label{{"tunnel", name}, {"direction", direction}};
            add("mcipsec_tunnel_octets_total", "counter", "octets of the clear packets, both chassis", label, static_cast<double>(octets));
            add("mcipsec_tunnel_packets_total", "counter", "packets of the tunnel, both chassis", label, static_cast<double>(packets));
        }
    }
    for (const auto &s : sync()) {
        const std::map<std::string, std::string> label{{"peer", s.peer_ip_address}};
        for (const auto &[quantile, value] : {std::pair("0.5", s.held_median), {"0.99", s.held_p99}})
            add("mcipsec_held_seconds", "gauge", "how long output commit held the last packets", {{"peer", s.peer_ip_address}, {"quantile", quantile}}, value);
        add("mcipsec_mcs_in_sync", "gauge", "1 while the database is inSync", label, s.db_sync_state == "inSync");
        add("mcipsec_clock_skew_seconds", "gauge", "the peer's clock minus ours", label, s.clock_skew);
        add("mcipsec_alarms", "gauge", "standing alarms", label, static_cast<double>(s.alarms.size()));
        add("mcipsec_mcs_entries", "gauge", "entries in the database", label, static_cast<double>(s.num_entries));
        add("mcipsec_mcs_remote_entries", "gauge", "entries in the peer's database", label, static_cast<double>(s.rem_num_entries));
        add("mcipsec_mcs_installed", "gauge", "synchronised entries installed in charon and kernel", label, static_cast<double>(s.installed));
        add("mcipsec_mcs_installing", "gauge", "synchronised entries being installed", label, static_cast<double>(s.installing));
        add("mcipsec_mcs_await_conf", "gauge", "synchronised entries whose connection is not loaded", label, static_cast<double>(s.await_conf));
        add("mcipsec_mcs_failed", "gauge", "synchronised entries that charon refused", label, static_cast<double>(s.failed));
        for (const auto &[name, value] : s.counters)
            add("mcipsec_mcs_" + name + "_total", "counter", "MCS " + name, label, static_cast<double>(value));
    }
    for (const auto &p : peers()) {
        add("mcipsec_peer_reached", "gauge", "1 while the peer is reached both ways", {{"peer", p.peer_addr}}, p.reachable == "yes");
        for (const auto &[name, value] : p.mimp_counters)
            add("mcipsec_mimp_" + name + "_total", "counter", "MIMP " + name, {{"peer", p.peer_addr}}, static_cast<double>(value));
    }
    return out;
}

std::string Engine::running_config() { return show_config(config_, admin_.notes()); }

// ---- admin ----

Expected<void> Engine::admin_changed(Expected<void> set)
{
    if (!set)
        return set;
    save_admin();
    apply_config(admin_.apply(file_));
    return {};
}

Expected<void> Engine::admin_tunnel_group(GroupId group, bool shutdown) { return admin_changed(admin_.tunnel_group(file_, group, shutdown)); }

Expected<void> Engine::admin_mda(GroupId group, const std::string &mda, bool shutdown)
{
    return admin_changed(admin_.mda(file_, group, mda, shutdown));
}

Expected<void> Engine::admin_peer(const IpAddress &peer, bool shutdown) { return admin_changed(admin_.peer(file_, peer, shutdown)); }
Expected<void> Engine::admin_sync(const IpAddress &peer, bool shutdown) { return admin_changed(admin_.sync(file_, peer, shutdown)); }

Expected<void> Engine::admin_mc_ipsec(const IpAddress &peer, GroupId group, bool shutdown)
{
    return admin_changed(admin_.mc_ipsec(file_, peer, group, shutdown));
}

Expected<SwitchoverView> Engine::force_switchover(const SwitchoverRequest &request)
{
    auto *g = find(request.tunnel_group);
    if (!g)
        return fail(-ENOENT, fmt::format("no tunnel-group {}", request.tunnel_group));
    if (g->switchover.state == "preparing" || g->switchover.state == "committing")
        return g->switchover;
    auto *p = peer_of(*g);
    const bool to_standby = !request.to || *request.to == Mastership::Standby;
    if (!to_standby)
        return g->state == Mastership::Master
                   ? Expected<SwitchoverView>(g->switchover)
                   : fail(-EPERM, fmt::format("tunnel-group {} is {} here: ask its master for the switchover", g->id, to_string(g->state)));
    if (g->state != Mastership::Master || !p)
        return fail(-EPERM, fmt::format("tunnel-group {} is {}, only its master can switch over", g->id, to_string(g->state)));
    if (!g->nominal && !request.ignore_protection_status) {
        std::string text;
        for (const auto &r : g->reasons)
            text += (text.empty() ? "" : ", ") + r;
        return fail(-EAGAIN, fmt::format("tunnel-group {}: protection status notReady: {}", g->id, text));
    }
    SwitchoverView v;
    v.id = random_u64();
    v.tunnel_group = g->id;
    v.state = "preparing";
    g->switchover = v;
    p->mimp->event(mimp::ForceSwitchover{g->id, v.id, request.ignore_protection_status});
    return g->switchover;
}

Expected<SwitchoverView> Engine::switchover_status(GroupId group)
{
    const auto *g = find(group);
    if (!g)
        return fail(-ENOENT, fmt::format("no tunnel-group {}", group));
    return g->switchover;
}

Expected<void> Engine::clear_tunnel(const std::string &name)
{
    const auto t = config_.tunnel.find(name);
    if (t == config_.tunnel.end())
        return fail(-ENOENT, fmt::format("no tunnel '{}'", name));
    const auto *g = find(t->second.tunnel_group);
    if (!g || !acting_master(g->state))
        return fail(-EPERM, fmt::format("tunnel '{}': this chassis is not its master", name));
    if (!charon_->up())
        return fail(-ESRCH, fmt::format("tunnel '{}': charon does not answer: {}", name, charon_->why_down()));
    charon_->plugin().terminate(t->second.connection, [this, name, id = g->id](Expected<std::uint64_t> n) {
        log_.write({.level = n ? io::Level::Notice : io::Level::Warning,
                    .event = std::string(io::event::kTunnel),
                    .text = n ? fmt::format("cleared on request, IKE_SAs: {}", *n) : "not cleared: " + n.error().text,
                    .group = id,
                    .reason = "clear",
                    .extra = {{"TUNNEL", name}}});
    });
    return {};
}

}  // namespace mcipsec::app
