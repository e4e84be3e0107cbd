// SPDX-License-Identifier: GPL-2.0-or-later
// mcipsecd: reads the configuration, then either checks it (-t), closes the
// kernel gates for boot (--gate), or runs the agent until SIGTERM.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "app/engine.hpp"
#include "app/gate_boot.hpp"
#include "core/protocol.hpp"
#include "io/notify.hpp"

namespace {

using namespace mcipsec;

constexpr std::size_t kSecureHeap = 64u << 20;      // records of about 30,000 tunnels; then the plain heap
constexpr std::size_t kSecureMin = 64;

int complain(const Error &error)
{
    fmt::print(stderr, "{}\n", error.text);
    return 1;
}

// I8: no core dump, no ptrace by others, keys on a heap of their own. Nothing is ever
// swapped, for records also pass through the plain heap (VICI, TLS) on their way.
// False: pages are not locked, for RLIMIT_MEMLOCK is finite: then memory that is asked
// for later would be refused.
bool protect_secrets()
{
    const rlimit none{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &none);
    (void)::prctl(PR_SET_DUMPABLE, 0);
    (void)::CRYPTO_secure_malloc_init(kSecureHeap, kSecureMin);
    const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    rlimit lock{};
    if (::getrlimit(RLIMIT_MEMLOCK, &lock) != 0 || (lock.rlim_cur != RLIM_INFINITY && ::setrlimit(RLIMIT_MEMLOCK, &all) != 0))
        return false;
    // As they are touched: the secure heap is large, and mostly never used.
    return ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

constexpr int kAnew = -1, kAnewAndStop = -2;    // run() is to be begun anew, in a fresh process image

int close_gates(const app::Config &config)
{
    auto kernel = io::McipsecNl::open();
    if (!kernel)
        return complain({kernel.error().code, "kernel module mcipsec: " + kernel.error().text + "; load it with modprobe mcipsec"});
    auto links = io::Links::open();
    if (!links)
        return complain(links.error());
    if (auto done = app::boot_gates(*kernel, *links, config); !done)
        return complain(done.error());
    fmt::print("{} tunnel-groups, all in discovery or as they were\n", config.tunnel_group.size());
    return 0;
}

int run(const std::string &path, const std::string &run_dir, app::Config config)
{
    const bool locked = protect_secrets();
    io::Log log(config.system.log_entries);
    auto loop = io::EventLoop::create();
    if (!loop)
        return complain(loop.error());
    if (!locked)
        log.write({.level = io::Level::Warning, .event = std::string(io::event::kAlarm), .text = "memory cannot be locked, key material may be swapped: raise LimitMEMLOCK"});
    (*loop)->on_exception = [&](std::string_view what) {
        log.write({.level = io::Level::Error, .event = std::string(io::event::kAlarm), .text = fmt::format("a callback failed: {}", what)});
    };
    app::Engine engine(**loop, log, path, run_dir, std::move(config));
    auto stop = [&] { engine.shut_down(); };
    auto term = (*loop)->add_signal(SIGTERM, stop), interrupt = (*loop)->add_signal(SIGINT, stop);
    auto restart = (*loop)->add_signal(SIGUSR2, [&] { engine.restart(); });
    auto hup = (*loop)->add_signal(SIGHUP, [&] { (void)engine.reload(); });     // logs by itself
    for (const auto *signal : {&term, &interrupt, &restart, &hup})
        if (!*signal)
            return complain(signal->error());
    if (auto done = engine.start(); !done)
        return complain(done.error());
    (void)(*loop)->enable_watchdog();
    log.write({.level = io::Level::Notice, .event = std::string(io::event::kStart), .text = "mcipsecd runs"});
    (void)io::notify::ready();
    const auto code = (*loop)->run();
    if (!code)
        return complain(code.error());
    return !engine.anew() ? *code : engine.stop_then() ? kAnewAndStop : kAnew;
}

}  // namespace

int main(int argc, char **argv)
{
    (void)::prctl(PR_SET_NAME, "mcipsecd");     // also when begun as /proc/self/exe
    CLI::App args{"Agent of multi-chassis IPsec: elects the master, synchronises SAs, moves traffic", "mcipsecd"};
    args.set_version_flag("--version", fmt::format("mcipsecd {}, MIMP version {}, MCS version {}", kRelease, kProtocol.mimp, kProtocol.mcs));
    std::string path = app::kDefaultConfigFile, run_dir;
    bool test = false, foreground = false, gate = false;
    args.add_option("-c,--config", path, "configuration file; conf.d/*.toml beside it is read, too")->capture_default_str();
    args.add_option("--run-dir", run_dir, "state and sockets (default: system.run-dir of the configuration)");
    args.add_flag("-t,--test", test, "check the configuration and exit");
    args.add_flag("-f,--foreground", foreground, "stay in the foreground (it always does; for habit's sake)");
    args.add_flag("--gate", gate, "create every tunnel-group in the kernel module in discovery and exit (boot unit)");
    try {
        args.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        return args.exit(e) == 0 ? 0 : 2;
    }
    // The boot gate closes whatever the file names, even if a key file or
    // charon's configuration is not in order (I1).
    auto config = gate ? app::read_config(path, "", run_dir) : app::load_config(path, "", run_dir);
    if (!config)
        return complain(config.error());
    for (const auto &w : config->warnings)
        fmt::print(stderr, "warning: {}\n", w);
    if (test) {
        fmt::print("{}: configuration is valid\n", path);
        return 0;
    }
    if (gate)
        return close_gates(*config);
    const auto effective = config->system.run_dir;
    const int code = run(path, effective, std::move(*config));
    if (code != kAnew && code != kAnewAndStop)
        return code;
    if (code == kAnewAndStop)       // blocked here, so it waits for the next one
        (void)std::raise(SIGTERM);
    (void)io::notify::watchdog();
    // Same process id, so that the service manager sees a reload and no restart.
    ::execv("/proc/self/exe", argv);
    return complain({-errno, fmt::format("planned restart: /proc/self/exe: {}", std::strerror(errno))});
}
