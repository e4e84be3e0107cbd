// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// Any text as mcipsec.toml, swanctl.conf, keepalived.conf, admin states and a
// request on the control socket: no crash, no exception. What parses must be
// shown as text that parses to the same configuration.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "app/config_check.hpp"
#include "app/runtime_admin.hpp"

using namespace mcipsec::app;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string text(reinterpret_cast<const char *>(data) + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        if (const auto c = parse_config({{"m.toml", text}})) {
            const auto again = parse_config({{"shown", show_config(*c)}});
            if (!again || !diff(*c, *again).empty())
                std::abort();
        }
        break;
    case 1:
        parse_swanctl({"swanctl.conf", text});
        break;
    case 2:
        if (const auto c = parse_config({{"m.toml", "[vrrp.policy.1]\n[vrrp.instance.V]\npolicy = 1\n"}}))
            check_keepalived(*c, {"keepalived.conf", text});
        break;
    default:
        static_cast<void>(RuntimeAdmin::from_json(text));
    }
    return 0;
}
