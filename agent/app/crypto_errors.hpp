// SPDX-License-Identifier: GPL-2.0-or-later
// Errors of encryption and decryption for the session log (seed B "Statistics Collection").
// The kernel counts them twice: by kind for the network namespace (xfrm_stat), and those
// of decryption and replay for each SA, too. What an SA has counted is logged with its
// tunnel and SPI, the rest by its kind alone. SAs are read only when something was counted,
// and only where there are few enough not to keep the loop: kReadSas.
// Threading: one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "io/log.hpp"
#include "io/xfrm_nl.hpp"

namespace mcipsec::app {

// /proc/net/xfrm_stat: counter name -> value.
using XfrmStat = std::map<std::string, std::uint64_t>;
XfrmStat parse_xfrm_stat(std::string_view text);

class CryptoErrors {
public:
    struct Owner {
        GroupId group = 0;
        std::string tunnel;
    };
    using EachSa = std::function<void(const io::XfrmSa &)>;
    using Dump = std::function<Expected<void>(const EachSa &)>;
    // Owners of these SAs, in their order.
    using OwnersOf = std::function<std::vector<std::optional<Owner>>(const std::vector<io::XfrmSa> &)>;
    // More SAs than this are not read, all errors are told by kind.
    static constexpr std::uint32_t kReadSas = 4096;

    // What was counted since the last look, one record an SA and one for the rest; the
    // first look only learns. After a dump that fails nothing has a name.
    std::vector<io::LogRecord> look(XfrmStat stat, const Dump &dump, const OwnersOf &owners);

private:
    using SaKey = std::tuple<IpAddress, std::uint8_t, std::uint32_t>;
    struct Counts {
        std::uint32_t not_authentic = 0, replayed = 0;
    };
    std::uint64_t risen(const XfrmStat &now, const char *counter) const;

    XfrmStat stat_;
    std::map<SaKey, Counts> seen_;
    std::map<std::string, std::uint64_t> ahead_;    // told by SA already, and not by kind: counted during the dump
};

}  // namespace mcipsec::app
