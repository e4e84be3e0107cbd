// SPDX-License-Identifier: GPL-2.0-or-later
// The VICI wire format, without IO: packets and messages as charon's README
// for the vici plugin defines them (strongSwan 5.9.8).
//
//   packet  := u32 length (of what follows) u8 type [u8 n, name] [message]
//   message := elements: 1 SECTION_START n name | 2 SECTION_END | 3 KEY_VALUE n name u16 len value
//                        4 LIST_START n name | 5 LIST_ITEM u16 len value | 6 LIST_END
//
// Decoding checks every bound, depth and nesting, takes time linear in the
// input, and fails as a whole: there is no half message. Values named in
// kSecretNames go into SecretBytes and nowhere else (I8).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/secret.hpp"

namespace mcipsec::io::vici {

constexpr std::size_t kMaxPacket = 512 * 1024;  // charon discards longer ones
constexpr unsigned kMaxDepth = 16;

enum class PacketType : std::uint8_t {
    CmdRequest = 0, CmdResponse = 1, CmdUnknown = 2,
    EventRegister = 3, EventUnregister = 4, EventConfirm = 5, EventUnknown = 6, Event = 7,
};

class Section;
using List = std::vector<std::string>;
using SectionPtr = std::unique_ptr<Section>;
using Value = std::variant<std::string, List, SectionPtr, SecretBytes>;

// Names of values that are key material: only "data".
bool is_secret_name(std::string_view name);

// An ordered multimap of named values, lists and sections; names may repeat.
class Section {
public:
    struct Element {
        std::string name;
        Value value;
    };

    // Building; each gives *this or the new section.
    Section &add(std::string name, std::string value);
    Section &add(std::string name, const char *value) { return add(std::move(name), std::string(value)); }
    Section &add_u64(std::string name, std::uint64_t value);        // decimal
    Section &add_hex64(std::string name, std::uint64_t value);      // 16 hex digits
    Section &add_bool(std::string name, bool value);                // yes | no
    Section &add_list(std::string name, List items);
    Section &add_secret(std::string name, SecretBytes value);
    Section &add_section(std::string name);

    // Reading: the first element of that name and kind.
    std::optional<std::string_view> get(std::string_view name) const;
    std::string str(std::string_view name, std::string_view otherwise = "") const;
    std::optional<std::uint64_t> u64(std::string_view name) const;      // decimal, whole value
    std::optional<std::uint64_t> hex64(std::string_view name) const;    // up to 16 hex digits
    bool flag(std::string_view name) const;                             // "yes"
    const List *list(std::string_view name) const;
    const Section *section(std::string_view name) const;
    const SecretBytes *secret(std::string_view name) const;
    SecretBytes take_secret(std::string_view name);                     // moves it out; empty if absent

    const std::vector<Element> &elements() const { return elements_; }
    std::vector<Element> &elements() { return elements_; }
    bool empty() const { return elements_.empty(); }

private:
    std::vector<Element> elements_;
};
using Message = Section;

struct Packet {
    PacketType type{};
    std::string name;       // CmdRequest, EventRegister, EventUnregister, Event
    Message message;        // CmdRequest, CmdResponse, Event
};

// bytes: one packet without its length field.
Expected<Packet> decode_packet(ByteView bytes);
Expected<Message> decode_message(ByteView bytes);

// With the length field in front. The bytes may carry secrets: hence the type.
Expected<SecretBytes> encode_packet(PacketType type, std::string_view name, const Message *message);

}  // namespace mcipsec::io::vici
