// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// VICI packets from a charon that cannot be trusted to be well. What decodes
// must encode to the same bytes, and as a record parse or fail cleanly.
#include <algorithm>
#include <cstdlib>

#include "io/plugin_client.hpp"
#include "io/vici_codec.hpp"

using namespace mcipsec;
using namespace mcipsec::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const ByteView input(data, size);
    auto packet = vici::decode_packet(input);
    if (!packet)
        return 0;
    using vici::PacketType;
    const bool has_message =
        packet->type == PacketType::CmdRequest || packet->type == PacketType::CmdResponse || packet->type == PacketType::Event;
    const auto again = vici::encode_packet(packet->type, packet->name, has_message ? &packet->message : nullptr);
    if (!again || again->size() != size + 4 || !std::equal(input.begin(), input.end(), again->view().begin() + 4))
        std::abort();
    for (const auto &field : flatten(packet->message))
        if (vici::is_secret_name(field.first) && packet->message.secret(field.first) && !packet->message.get(field.first) &&
            !packet->message.list(field.first))
            std::abort();
    if (auto record = parse_record(std::move(packet->message)))
        if (record->key.empty() || (record->op == RecordOp::Upsert && record->data.empty()))
            std::abort();
    return 0;
}
