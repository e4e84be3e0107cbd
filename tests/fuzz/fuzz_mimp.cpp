// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP packets, as they are and with the MAC mended. What decodes must encode to a
// packet that decodes to the same; no packet is taken without a sound MAC.
#include <cstdlib>

#include "core/mimp/codec.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;

namespace {

const Bytes kKey(32, 0x5a);

bool same(const Packet &a, const Packet &b)
{
    return a.request == b.request && a.answer == b.answer && a.epoch == b.epoch && a.sequence == b.sequence && a.echo_epoch == b.echo_epoch &&
           a.echo_sequence == b.echo_sequence && a.clock == b.clock && a.restart_hold_ms == b.restart_hold_ms && a.groups == b.groups;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static const auto auth = make_authenticator(SecretBytes(ByteView(kKey)), SecretBytes(ByteView(kKey)));
    const auto sound = [](ByteView b) {
        const auto mac = hmac_sha256(kKey, b.first(b.size() - kMacSize));
        return equal_constant_time(mac, b.last(kMacSize));
    };
    if (decode({data, size}, *auth) && !sound({data, size}))
        std::abort();
    if (size < kMacSize)
        return 0;

    Bytes packet(data, data + size);
    const auto mac = hmac_sha256(kKey, ByteView(packet).first(size - kMacSize));
    std::copy(mac.begin(), mac.end(), packet.end() - kMacSize);
    const auto p = decode(packet, *auth);
    if (!p)
        return 0;
    if (!p->epoch || !p->sequence)
        std::abort();
    const auto bytes = encode(*p, *auth);
    const auto again = decode(bytes, *auth);
    if (!again || !same(*p, *again) || encode(*again, *auth) != bytes)
        std::abort();
    return 0;
}
