// SPDX-License-Identifier: GPL-2.0-or-later
// What the agent wants from XFRM netlink: policy hash thresholds, how many SAs
// there are, their counters and ages, and whether one is offloaded to hardware
// (refused in a group: the NIC may use the sequence number as GCM nonce).
// An SA dump carries keys: they are never copied out and the buffer is wiped (I8).
// Threading: one thread at a time.
#pragma once

#include <functional>

#include "io/netlink.hpp"

namespace mcipsec::io {

struct XfrmSa {
    std::uint32_t spi = 0;              // host order
    std::uint8_t proto = 0;
    IpAddress src, dst;
    std::uint32_t reqid = 0, if_id = 0;
    std::uint64_t bytes = 0, packets = 0;
    std::uint64_t add_time = 0, use_time = 0;   // wall clock seconds, 0: never
    std::uint32_t replay_window = 0;
    std::uint32_t replayed = 0, not_authentic = 0;      // inbound packets that it refused
    bool used_up = false;               // no sequence number left to send with
    bool esn = false;
    bool offloaded = false;             // crypto or packet
    std::uint32_t offload_ifindex = 0;
};

struct HashThresholds {
    std::uint8_t local4 = 24, remote4 = 24;
    std::uint8_t local6 = 64, remote6 = 64;
};

class XfrmNl {
public:
    static Expected<XfrmNl> open();
    // Policies at least this specific are hashed: 12..16 times faster at 10,000.
    Expected<void> set_hash_thresholds(const HashThresholds &t);
    Expected<HashThresholds> get_hash_thresholds();
    Expected<std::uint32_t> sa_count();
    Expected<void> dump_sas(const std::function<void(const XfrmSa &)> &fn);

private:
    explicit XfrmNl(NlSocket s) : socket_(std::move(s)), message_(1024) {}
    NlSocket socket_;
    NlMessage message_;
};

// For the fuzzer: one XFRM_MSG_NEWSA without its netlink header.
Expected<XfrmSa> parse_sa(ByteView payload);

}  // namespace mcipsec::io
