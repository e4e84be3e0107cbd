// SPDX-License-Identifier: GPL-2.0-or-later
// Reading configuration files, and the small questions asked of a Config.
#include "app/config.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "app/config_check.hpp"
#include "app/config_keys.hpp"
#include "app/rp_filter.hpp"
#include "core/crypto.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

constexpr std::size_t kMaxFile = 16U << 20;

Expected<std::string> read_text(const std::string &path)
{
    // A FIFO in the place of the file must not hang us: looked at before it is opened.
    struct stat st{};
    if (stat(path.c_str(), &st) == 0 && (S_ISDIR(st.st_mode) || S_ISFIFO(st.st_mode)))
        return fail(S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, fmt::format("{}: is a {}, allowed is a file", path, S_ISDIR(st.st_mode) ? "directory" : "FIFO"));
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> f(std::fopen(path.c_str(), "re"), std::fclose);
    if (!f)
        return fail(-errno, fmt::format("{}: {}", path, std::strerror(errno)));
    std::string out;
    char block[16384];
    while (const std::size_t n = std::fread(block, 1, sizeof block, f.get())) {
        out.append(block, n);
        if (out.size() > kMaxFile)
            return fail(-EFBIG, fmt::format("{}: larger than {} bytes", path, kMaxFile));
    }
    if (std::ferror(f.get()))
        return fail(-EIO, path + ": cannot be read");
    return out;
}

template <class T>
void add_once(std::vector<T> &to, const std::vector<T> &from)
{
    for (const auto &e : from)
        if (std::find(to.begin(), to.end(), e) == to.end())
            to.push_back(e);
}

}  // namespace

Expected<Config> read_config(const std::string &path, const std::string &dropins, const std::string &run_dir)
{
    namespace fs = std::filesystem;
    std::vector<std::string> files{path};
    const fs::path dir = dropins.empty() ? fs::path(path).parent_path() / "conf.d" : fs::path(dropins);
    std::error_code ec;
    for (fs::directory_iterator it(dir, ec), end; !ec && it != end; it.increment(ec))
        if (it->path().extension() == ".toml" && it->path().filename().string().front() != '.')
            files.push_back(it->path().string());
    std::sort(files.begin() + 1, files.end());

    std::vector<ConfigText> sources;
    for (const auto &f : files) {
        auto text = read_text(f);
        if (!text)
            return tl::unexpected(text.error());
        sources.push_back({f, std::move(*text)});
    }
    return parse_config(sources, run_dir);
}

Expected<Config> load_config(const std::string &path, const std::string &dropins, const std::string &run_dir)
{
    auto config = read_config(path, dropins, run_dir);
    if (!config)
        return config;

    std::vector<std::string> errors;
    for (const auto &[address, peer] : config->multi_chassis.peer) {
        const auto where = config->where_of("redundancy.multi-chassis.peer." + path_element(address.str()) + ".authentication-key-file").str();
        if (const auto ok = check_key_file(peer.authentication_key_file); !ok) {
            if (ok.error().code == -EACCES)
                config->warnings.push_back(where + ": " + ok.error().text + ", not checked");
            else
                errors.push_back(where + ": " + ok.error().text);
        }
    }
    auto daemons = check_daemon_files(*config);
    errors.insert(errors.end(), daemons.errors.begin(), daemons.errors.end());
    config->warnings.insert(config->warnings.end(), daemons.warnings.begin(), daemons.warnings.end());
    for (const auto &f : strict_rp_filters(*config))
        config->warnings.push_back(config->where_of(f.where).str() + ": " + f.text);
    if (!errors.empty())
        return fail(-EINVAL, fmt::format("{}", fmt::join(errors, "\n")));
    return config;
}

const PeerConfig *Config::peer_of(GroupId group) const
{
    for (const auto &[address, p] : multi_chassis.peer)
        if (p.mc_ipsec.tunnel_group.contains(group))
            return &p;
    return nullptr;
}

const McIpsecGroupConfig *Config::mc_ipsec_of(GroupId group) const
{
    const auto *peer = peer_of(group);
    return peer ? &peer->mc_ipsec.tunnel_group.at(group) : nullptr;
}

const TunnelConfig *Config::tunnel_of(GroupId group, const std::string &connection) const
{
    for (const auto &[name, t] : tunnel)
        if (t.tunnel_group == group && t.connection == connection)
            return &t;
    return nullptr;
}

std::vector<IpAddress> Config::gateway_addresses(GroupId group) const
{
    std::vector<IpAddress> out;
    for (const auto &[name, p] : publics)
        if (p.tunnel_group == group)
            add_once(out, p.local_gateway_address);
    return out;
}

Where Config::where_of(const std::string &path) const
{
    std::string p = path;
    for (;;) {
        if (const auto it = where.find(p); it != where.end())
            return it->second;
        const auto dot = p.rfind('.');
        if (dot == std::string::npos)
            return {files.empty() ? std::string("configuration") : files.front(), 0};
        p.resize(dot);
    }
}

Duration detection_time(const McIpsecConfig &mc)
{
    if (mc.bfd_enable)
        return std::max(mc.bfd.transmit, mc.bfd.receive) * mc.bfd.multiplier;
    return mc.keep_alive_interval * mc.hold_on_neighbor_failure;
}

Duration default_guard(Duration detection) { return std::max<Duration>(detection / 10, 10ms); }

Duration effective_guard(const McIpsecConfig &mc, Duration detection)
{
    return mc.lease_guard.count() ? mc.lease_guard : default_guard(detection);
}

Expected<void> check_key_file(const std::string &path)
{
    struct stat st{};
    if (stat(path.c_str(), &st) < 0) {
        const int e = errno;
        return fail(-e, fmt::format("key file {}: {}, allowed is a file of mode 0600 made by \"mcipsec genkey\"", path, std::strerror(e)));
    }
    if (!S_ISREG(st.st_mode))
        return fail(-EINVAL, fmt::format("key file {}: not a regular file", path));
    if (st.st_mode & 077)
        return fail(-EPERM, fmt::format("key file {}: mode {:04o} lets others read the secret, allowed is 0600", path, st.st_mode & 07777));
    if ((st.st_mode & 07777) != 0600 && (st.st_mode & 07777) != 0400)
        return fail(-EPERM, fmt::format("key file {}: mode {:04o}, allowed is 0600 or 0400", path, st.st_mode & 07777));
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return fail(-EPERM, fmt::format("key file {}: belongs to user {}, allowed is root", path, st.st_uid));
    if (st.st_size == 0)
        return fail(-EINVAL, fmt::format("key file {}: empty, allowed is a key made by \"mcipsec genkey\"", path));
    const auto text = io::read_secret_file(path, 4096);
    if (!text)
        return text.error().code == -EACCES ? Expected<void>{} : tl::unexpected(text.error());     // not ours to read: the agent will
    if (const auto key = parse_auth_key({reinterpret_cast<const char *>(text->view().data()), text->size()}); !key)
        return fail(key.error().code, fmt::format("key file {}: {}", path, key.error().text));
    return {};
}

}  // namespace mcipsec::app
