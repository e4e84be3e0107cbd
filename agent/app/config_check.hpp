// SPDX-License-Identifier: GPL-2.0-or-later
// Checks of what is right key by key but wrong as a whole, and of the files of
// charon and keepalived that the configuration leans on. Pure functions: text
// and values in, messages out ("file:line: what is wrong, what is allowed").
// A refusal keeps the running configuration; a warning is only said.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "app/config.hpp"
#include "app/keepalived_conf.hpp"

namespace mcipsec::app {

inline constexpr std::uint32_t kGroupMax = 1024;    // MCIPSEC_GROUP_MAX

struct Findings {
    std::vector<std::string> errors, warnings;
};

// Defaults that depend on other keys (config.hpp says which).
void fill_defaults(Config &config);
// References, uniqueness, timers; appends.
void check_config(const Config &config, std::vector<std::string> &errors, std::vector<std::string> &warnings);

// ---- charon's connections ----

// One connection, from swanctl.conf (parse_swanctl) or from VICI list-conns.
// What a source cannot tell stays empty and is not checked.
struct ChildInfo {
    std::string name;
    std::string start_action, close_action, dpd_action;     // "none", "trap", "start", "clear", ...
    std::string hw_offload;                                 // "no", "yes", "auto", "crypto", "packet"
    bool ah = false;                                        // ah_proposals
    std::optional<Duration> rekey_time, inactivity;         // 0: never
    Where where, where_start, where_close, where_dpd, where_offload, where_inactivity;
};
struct ConnectionInfo {
    std::string name;
    std::string version;                                    // "0", "1", "2", or "IKEv1", "IKEv2", "IKEv1/2"
    std::vector<std::string> local_addrs, remote_addrs;     // none: %any
    std::optional<Duration> dpd_delay, rekey_time, reauth_time;
    bool mobike = false;
    std::vector<ChildInfo> children;
    Where where, where_version, where_dpd, where_mobike, where_remote;
    std::vector<std::pair<Where, std::string>> no_time;     // "dpd_delay = soon"
};

// The rules for a connection that a tunnel of the configuration names: IKEv1,
// dpd_delay > 0, start_action or close_action other than none, inactivity, AH, and
// offload to a device refuse it; local_addrs that is no gateway address of the tunnel's,
// lifetimes against the seed's guidelines are warned, and a static tunnel that
// serves more than one address. A connection that no
// tunnel names gives no finding. The same for all at once.
Findings check_connection(const Config &config, const ConnectionInfo &connection);
Findings check_connections(const Config &config, std::span<const ConnectionInfo> connections);

// connections { } of swanctl.conf; includes are resolved with read(pattern) ->
// (file, text) pairs. Syntax errors are charon's to report: they end the file.
using IncludeReader = std::vector<ConfigText> (*)(const std::string &pattern);
std::vector<ConnectionInfo> parse_swanctl(const ConfigText &source, IncludeReader read = nullptr);

// ---- keepalived's instances ----

// The instances of the configuration against keepalived.conf: nopreempt refuses;
// a base-priority that differs, a track file that is not named there, and a
// master-down time above the detection time are warned. An instance that the
// text does not have (included from elsewhere) is not checked.
Findings check_keepalived(const Config &config, const ConfigText &keepalived_conf);
// 3 x advert_int + skew (RFC 5798 6.1, RFC 3768 6.1).
Duration master_down_time(const KeepalivedInstance &instance);

// ---- files ----

// The authentication key file: a regular file of root or of this user, mode
// 0600 or stricter. Error text without position. -EACCES: cannot be looked at.
Expected<void> check_key_file(const std::string &path);
// Reads the files that swanctl-conf and keepalived-conf name, where they exist,
// and runs the checks above.
Findings check_daemon_files(const Config &config);

}  // namespace mcipsec::app
