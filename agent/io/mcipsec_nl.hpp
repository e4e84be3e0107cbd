// SPDX-License-Identifier: GPL-2.0-or-later
// Client of the kernel module's netlink family, see
// include/uapi/linux/mcipsec.h. Synchronous, for the agent and the command line.
//
// Three sockets, so that a lost event never breaks an answer and a dump never
// delays a lease: McipsecNl (commands), McipsecEvents.
// Threading: one thread per object at a time.
#pragma once

#include <linux/mcipsec.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "io/event_loop.hpp"
#include "io/netlink.hpp"

namespace mcipsec::io {

using Cookie = std::array<std::uint8_t, MCIPSEC_COOKIE_LEN>;

struct GateAddress {
    IpAddress address;
    std::uint32_t vrf_ifindex = 0;      // VRF device, 0: main table
    std::uint16_t flags = 0;            // of a next-hop: MCIPSEC_ADDR_F_*, 0: for all tunnels
    bool operator==(const GateAddress &) const = default;
};

// The two ends of a static tunnel.
struct StaticPeer {
    IpAddress local, remote;            // gateway address, far end; of one family
    auto operator<=>(const StaticPeer &) const = default;
};

struct GroupConfig {
    GroupId id = 0;
    std::vector<GateAddress> addresses;
    std::vector<GateAddress> public_nexthops, private_nexthops;
    std::uint32_t lease_id = 0;
};

struct GroupStats {
    std::array<std::uint64_t, MCIPSEC_STAT_MAX + 1> value{};    // by enum mcipsec_stat
    std::uint64_t operator[](unsigned stat) const { return stat < value.size() ? value[stat] : 0; }
};
// Snake-case name of an enum mcipsec_stat, "" beyond it.
std::string_view stat_name(unsigned stat);

struct GroupInfo : GroupConfig {
    Mastership state = Mastership::Discovery;
    mcipsec_action action = MCIPSEC_ACTION_BLACKHOLE;
    std::uint32_t flags = 0;            // MCIPSEC_F_*
    Generation generation = 0;
    std::optional<Time> lease_expiry;   // none: without a lease, or it was never set
    std::optional<Time> since;          // last change of state
    std::uint32_t static_peers = 0;     // how many static_peers_set() gave
    GroupStats stats;
};
std::string_view to_string(mcipsec_action a);   // blackhole, shunt, forward, prepared

struct StateChange {
    GroupId id = 0;
    Mastership state = Mastership::Discovery;
    std::uint32_t flags = 0;
    Generation generation = 0;
};

struct SeqResult {
    std::uint32_t updated = 0, unchanged = 0, missing = 0, refused = 0;
    std::uint32_t exhausted = 0;        // of updated and unchanged: end of the number space
};

class McipsecNl {
public:
    // ENOENT: the module is not loaded.
    static Expected<McipsecNl> open();

    Expected<void> group_new(const GroupConfig &g);         // EEXIST if it is there
    Expected<void> group_replace(const GroupConfig &g);     // addresses and next-hops; state stays
    Expected<void> group_del(GroupId id);
    // The group's static tunnels, instead of those it had; in as many messages as it takes,
    // and whole or not at all. ENOSPC: more than MCIPSEC_STATIC_PEER_MAX.
    Expected<void> static_peers_set(GroupId id, std::span<const StaticPeer> peers);
    Expected<GroupInfo> group_get(GroupId id);
    Expected<std::vector<GroupInfo>> group_dump();

    // All of them or none, in one message; EBUSY: another cookie's lease runs. When it
    // returns, no packet is treated by the old state any more.
    Expected<void> state_set(const Cookie &cookie, std::span<const StateChange> changes);
    Expected<void> lease_set(const Cookie &cookie, std::uint32_t lease_id, Time expiry);

    // Every SA of the group; fn gets arrays of up to MCIPSEC_SEQ_PER_MSG, and
    // must not call into this object.
    Expected<void> seq_get(GroupId id, const std::function<void(std::span<const mcipsec_seq>)> &fn);
    // In chunks; the sum of the counts. Monotonic in the kernel, so that it may be repeated.
    // margin is added to each oseq (0..MCIPSEC_SEQ_MARGIN_MAX).
    // end_hold: SAs that are found wait no longer (MCIPSEC_HOLD_END).
    Expected<SeqResult> seq_set(GroupId id, std::span<const mcipsec_seq> seqs, std::uint32_t margin = 0, bool end_hold = false);
    // These SAs, which need not exist yet, send nothing until seq_set() with end_hold finds
    // them; hold = false: no longer.
    Expected<SeqResult> seq_hold(GroupId id, std::span<const mcipsec_seq> seqs, bool hold);

    // Returns when the module took the request; -EPERM, -EAGAIN, -ESRCH, -ENOENT as in the uapi.
    Expected<void> switchover(GroupId id, std::uint64_t switchover_id, std::uint32_t flags);
    Expected<void> debug_gate_hook(bool off);

private:
    McipsecNl(NlSocket s, std::uint16_t family) : socket_(std::move(s)), family_(family), message_(kMessage) {}
    static constexpr std::size_t kMessage = 65536;
    Expected<SeqResult> seq_write(GroupId id, std::span<const mcipsec_seq> seqs, const std::function<void()> &put);
    Expected<void> group_write(const GroupConfig &g, std::uint16_t flags);
    NlSocket socket_;
    std::uint16_t family_;
    NlMessage message_;
};

struct ModuleEvent {
    mcipsec_event event{};
    GroupId group = 0;
    Mastership state = Mastership::Discovery;
    mcipsec_action action = MCIPSEC_ACTION_BLACKHOLE;
    std::uint32_t flags = 0;
    Generation generation = 0;
    std::uint64_t switchover_id = 0;
    std::uint32_t switchover_flags = 0;
    Time time{};
};

class McipsecEvents {
public:
    // on_overrun: the kernel dropped events; dump the groups again.
    static Expected<std::unique_ptr<McipsecEvents>> open(EventLoop &loop, std::function<void(const ModuleEvent &)> on_event,
                                                         std::function<void()> on_overrun);
    // Without a loop, for the command line: waits for one event; ETIMEDOUT.
    static Expected<std::unique_ptr<McipsecEvents>> open_blocking();
    Expected<ModuleEvent> wait(Duration timeout);

    std::uint64_t events() const { return events_; }
    std::uint64_t overruns() const { return overruns_; }
    std::uint64_t malformed() const { return malformed_; }

private:
    McipsecEvents() = default;
    void readable();
    void take(const nlmsghdr *h);
    NlSocket socket_;
    std::uint16_t family_ = 0;
    std::function<void(const ModuleEvent &)> on_event_;
    std::function<void()> on_overrun_;
    std::vector<ModuleEvent> queue_;
    std::uint64_t events_ = 0, overruns_ = 0, malformed_ = 0;
    EventSource source_;
};

// For tests and the fuzzer.
Expected<GroupInfo> parse_group(ByteView attrs);
Expected<ModuleEvent> parse_event(ByteView attrs);
mcipsec_addr to_kernel(const GateAddress &a);
GateAddress from_kernel(const mcipsec_addr &a);

}  // namespace mcipsec::io
