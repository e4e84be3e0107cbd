// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's side of the control socket, without the socket: turns one
// request into calls of AgentApi and one answer. The words, the arguments and
// the data of each command are in Documentation/control-socket.rst; exit codes
// in the answer are those of the command line.
//
// The engine implements AgentApi. Every call must return at once (the control
// socket is served from the main loop); what takes time is started here and
// asked for again (switchover_status).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "app/view.hpp"
#include "core/types.hpp"

namespace mcipsec::app {

// Exit codes of the command line and of "exit" in an answer.
enum Exit : int {
    kExitOk = 0,
    kExitFailed = 1,
    kExitUsage = 2,
    kExitUnreachable = 3,
    kExitNoObject = 4,
    kExitRefused = 5,
    kExitTimedOut = 6,
};
// -ENOENT, -ENODEV 4; -EPERM, -EAGAIN, -EBUSY 5; -ETIMEDOUT 6; -ESRCH, -ECONNREFUSED 3; -EINVAL 2; else 1.
int exit_code(const Error &error);

struct SwitchoverRequest {
    GroupId tunnel_group = 0;
    std::optional<Mastership> to;               // Master or Standby: end state of this chassis
    bool ignore_protection_status = false;
};

class AgentApi {
public:
    virtual ~AgentApi() = default;

    // ---- what is; unprivileged ----
    virtual std::vector<PeerView> peers() = 0;
    virtual std::vector<SyncView> sync() = 0;
    virtual std::vector<TunnelGroupView> tunnel_groups() = 0;
    // Lists that may be long come in pages: the entries from..from+limit-1 of an
    // order that stays the same (a packet of the socket holds about 200 KB).
    // name, when not empty: only that tunnel.
    virtual std::vector<TunnelView> tunnels(const std::string &name, std::size_t from, std::size_t limit) = 0;
    // In answer to a privileged request only (packet counts an SA). group 0: all.
    virtual Expected<std::vector<SaView>> sas(GroupId group, std::size_t from, std::size_t limit) = 0;
    virtual std::vector<VrrpView> vrrp() = 0;
    // Oldest first, at most limit of those with seq > after.
    virtual std::vector<LogEntryView> log(std::uint64_t after, std::size_t limit) = 0;
    virtual std::vector<MetricView> stats() = 0;
    // The running configuration as TOML with (runtime) marks: show_config(running, admin.notes()).
    virtual std::string running_config() = 0;

    // ---- what shall be; privileged (uid 0 or CAP_NET_ADMIN's owner, decided by the socket) ----
    // Errors: -ENOENT no such object; text names it.
    virtual Expected<void> admin_tunnel_group(GroupId group, bool shutdown) = 0;
    virtual Expected<void> admin_mda(GroupId group, const std::string &mda, bool shutdown) = 0;
    virtual Expected<void> admin_peer(const IpAddress &peer, bool shutdown) = 0;
    virtual Expected<void> admin_sync(const IpAddress &peer, bool shutdown) = 0;
    virtual Expected<void> admin_mc_ipsec(const IpAddress &peer, GroupId group, bool shutdown) = 0;
    // Starts a controlled switchover, or finds the one that runs (same id).
    // -ENOENT no such group, -EPERM not master, -EAGAIN protection status notReady (text: reasons).
    virtual Expected<SwitchoverView> force_switchover(const SwitchoverRequest &request) = 0;
    // The running or last one of the group.
    virtual Expected<SwitchoverView> switchover_status(GroupId group) = 0;
    // Ends the tunnel's IKE_SAs with a DELETE and lets them be set up anew; -EPERM on a non-master.
    virtual Expected<void> clear_tunnel(const std::string &name) = 0;
    // Same as SIGHUP; error: what load_config() or check_reload() said.
    struct Reloaded {
        std::vector<Change> changes;
        std::vector<std::string> warnings;      // of the new configuration, as `config check` has them
    };
    virtual Expected<Reloaded> reload() = 0;
};

// One answer for one request: {"ok":true,"data":{...}} or
// {"ok":false,"exit":N,"error":"..."}. Never throws. privileged: may change
// things. The command ["monitor"] is answered {"ok":true,"data":{"stream":true}}:
// the socket then sends every new LogEntryView as {"event":{...}} to that client.
nlohmann::json dispatch(AgentApi &api, const nlohmann::json &request, bool privileged);
// The same from the bytes of a packet; garbage is answered with exit 2.
std::string dispatch_packet(AgentApi &api, std::string_view packet, bool privileged);
// True for an answer after which the client wants events.
bool wants_events(const nlohmann::json &answer);
// One packet for one event.
std::string event_packet(const LogEntryView &entry);

}  // namespace mcipsec::app
