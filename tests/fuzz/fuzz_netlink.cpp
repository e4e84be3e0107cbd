// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// Netlink payloads: the module's groups and events, SAs, routes, links. The
// first byte chooses the parser.
#include <cstdlib>
#include <vector>

#include "io/mcipsec_nl.hpp"
#include "io/routes.hpp"
#include "io/vrrp_file.hpp"
#include "io/xfrm_nl.hpp"

using namespace mcipsec;
using namespace mcipsec::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (!size)
        return 0;
    // A copy of its own, aligned as a netlink buffer is.
    std::vector<std::uint32_t> aligned((size + 3) / 4);
    std::memcpy(aligned.data(), data + 1, size - 1);
    const ByteView payload(reinterpret_cast<const std::uint8_t *>(aligned.data()), size - 1);
    switch (data[0] % 6) {
    case 0:
        if (const auto g = parse_group(payload))
            for (const auto &a : g->addresses)
                if (a.address.empty())
                    std::abort();
        break;
    case 1:
        (void)parse_event(payload);
        break;
    case 2:
        (void)parse_sa(payload);
        break;
    case 3:
        if (const auto r = parse_route(payload); r && (!is_own_protocol(r->protocol) || r->destination.address.empty()))
            std::abort();
        break;
    case 4:
        (void)parse_link(payload);
        break;
    case 5:
        if (const auto n = parse_vrrp_notice(std::string_view(reinterpret_cast<const char *>(payload.data()), payload.size())))
            if (n->name.empty() || n->priority < 0 || n->priority > 255)
                std::abort();
        break;
    }
    return 0;
}
