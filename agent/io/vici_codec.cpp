// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/vici_codec.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "io/wiped_buffer.hpp"

namespace mcipsec::io::vici {

namespace {

enum ElementType : std::uint8_t {
    kSectionStart = 1, kSectionEnd = 2, kKeyValue = 3, kListStart = 4, kListItem = 5, kListEnd = 6,
};

class Reader {
public:
    explicit Reader(ByteView bytes) : bytes_(bytes) {}
    bool end() const { return bytes_.empty(); }
    bool u8(std::uint8_t &v)
    {
        if (bytes_.empty())
            return false;
        v = bytes_[0];
        bytes_ = bytes_.subspan(1);
        return true;
    }
    bool take(std::size_t n, ByteView &v)
    {
        if (bytes_.size() < n)
            return false;
        v = bytes_.first(n);
        bytes_ = bytes_.subspan(n);
        return true;
    }
    bool name(std::string &v)
    {
        std::uint8_t n;
        ByteView b;
        if (!u8(n) || !take(n, b))
            return false;
        v.assign(b.begin(), b.end());
        return true;
    }
    bool value(ByteView &v)
    {
        ByteView n;
        return take(2, n) && take(static_cast<std::size_t>(n[0] << 8 | n[1]), v);
    }
    ByteView rest() const { return bytes_; }

private:
    ByteView bytes_;
};

tl::unexpected<Error> malformed(const char *what)
{
    return fail(-EBADMSG, std::string("vici: ") + what);
}

// Sums up first, then writes into a buffer of exactly that size: no copy of a
// secret is left behind in a buffer that grew.
class Sizer {
public:
    void u8(std::uint8_t) { size_ += 1; }
    void u16(std::size_t) { size_ += 2; }
    void raw(const void *, std::size_t n) { size_ += n; }
    std::size_t size() const { return size_; }

private:
    std::size_t size_ = 0;
};
class Writer {
public:
    explicit Writer(std::span<std::uint8_t> out) : out_(out) {}
    void u8(std::uint8_t v) { raw(&v, 1); }
    void u16(std::size_t v)
    {
        const std::uint8_t b[2] = {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
        raw(b, 2);
    }
    void raw(const void *p, std::size_t n)
    {
        if (n)
            std::memcpy(out_.data(), p, n);
        out_ = out_.subspan(n);
    }

private:
    std::span<std::uint8_t> out_;
};

template <typename Out>
bool put_name(Out &out, std::string_view name)
{
    out.u8(static_cast<std::uint8_t>(name.size()));
    out.raw(name.data(), name.size());
    return name.size() <= 255;
}
template <typename Out>
bool put_value(Out &out, const void *p, std::size_t n)
{
    out.u16(n);
    out.raw(p, n);
    return n <= 65535;
}

template <typename Out>
bool put_section(Out &out, const Section &section, unsigned depth)
{
    if (depth > kMaxDepth)
        return false;
    for (const auto &e : section.elements()) {
        bool ok = true;
        if (const auto *text = std::get_if<std::string>(&e.value)) {
            out.u8(kKeyValue);
            ok = put_name(out, e.name) && put_value(out, text->data(), text->size());
        } else if (const auto *secret = std::get_if<SecretBytes>(&e.value)) {
            out.u8(kKeyValue);
            ok = put_name(out, e.name) && put_value(out, secret->view().data(), secret->size());
        } else if (const auto *list = std::get_if<List>(&e.value)) {
            out.u8(kListStart);
            ok = put_name(out, e.name);
            for (const auto &item : *list) {
                out.u8(kListItem);
                ok = ok && put_value(out, item.data(), item.size());
            }
            out.u8(kListEnd);
        } else {
            out.u8(kSectionStart);
            ok = put_name(out, e.name) && put_section(out, *std::get<SectionPtr>(e.value), depth + 1);
            out.u8(kSectionEnd);
        }
        if (!ok)
            return false;
    }
    return true;
}

bool has_name(PacketType t)
{
    return t == PacketType::CmdRequest || t == PacketType::EventRegister || t == PacketType::EventUnregister || t == PacketType::Event;
}
bool has_message(PacketType t)
{
    return t == PacketType::CmdRequest || t == PacketType::CmdResponse || t == PacketType::Event;
}

template <typename T>
const T *find(const std::vector<Section::Element> &elements, std::string_view name)
{
    for (const auto &e : elements)
        if (e.name == name)
            if (const auto *v = std::get_if<T>(&e.value))
                return v;
    return nullptr;
}

}  // namespace

bool is_secret_name(std::string_view name)
{
    return name == "data";
}

Section &Section::add(std::string name, std::string value)
{
    elements_.push_back({std::move(name), Value(std::move(value))});
    return *this;
}
Section &Section::add_u64(std::string name, std::uint64_t value)
{
    return add(std::move(name), std::to_string(value));
}
Section &Section::add_hex64(std::string name, std::uint64_t value)
{
    std::uint8_t b[8];
    for (unsigned i = 0; i < 8; ++i)
        b[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
    return add(std::move(name), to_hex(b));
}
Section &Section::add_bool(std::string name, bool value)
{
    return add(std::move(name), value ? "yes" : "no");
}
Section &Section::add_list(std::string name, List items)
{
    elements_.push_back({std::move(name), Value(std::move(items))});
    return *this;
}
Section &Section::add_secret(std::string name, SecretBytes value)
{
    elements_.push_back({std::move(name), Value(std::move(value))});
    return *this;
}
Section &Section::add_section(std::string name)
{
    elements_.push_back({std::move(name), Value(std::make_unique<Section>())});
    return *std::get<SectionPtr>(elements_.back().value);
}

std::optional<std::string_view> Section::get(std::string_view name) const
{
    const auto *v = find<std::string>(elements_, name);
    return v ? std::optional<std::string_view>(*v) : std::nullopt;
}
std::string Section::str(std::string_view name, std::string_view otherwise) const
{
    return std::string(get(name).value_or(otherwise));
}

namespace {
std::optional<std::uint64_t> number(std::optional<std::string_view> text, int base)
{
    std::uint64_t v = 0;
    if (!text || text->empty())
        return std::nullopt;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), v, base);
    if (error != std::errc{} || end != text->data() + text->size())
        return std::nullopt;
    return v;
}
}  // namespace

std::optional<std::uint64_t> Section::u64(std::string_view name) const { return number(get(name), 10); }
std::optional<std::uint64_t> Section::hex64(std::string_view name) const { return number(get(name), 16); }
bool Section::flag(std::string_view name) const { return get(name) == "yes"; }
const List *Section::list(std::string_view name) const { return find<List>(elements_, name); }
const Section *Section::section(std::string_view name) const
{
    const auto *v = find<SectionPtr>(elements_, name);
    return v ? v->get() : nullptr;
}
const SecretBytes *Section::secret(std::string_view name) const { return find<SecretBytes>(elements_, name); }
SecretBytes Section::take_secret(std::string_view name)
{
    auto *v = const_cast<SecretBytes *>(find<SecretBytes>(elements_, name));
    return v ? std::move(*v) : SecretBytes();
}

Expected<Message> decode_message(ByteView bytes)
{
    Reader in(bytes);
    Message root;
    std::vector<Section *> open{&root};
    List *list = nullptr;
    while (!in.end()) {
        std::uint8_t type = 0;
        std::string name;
        ByteView value;
        (void)in.u8(type);
        if (list && type != kListItem && type != kListEnd)
            return malformed("list with something else than items");
        Section &section = *open.back();
        switch (type) {
        case kSectionStart:
            if (open.size() > kMaxDepth)
                return malformed("sections nested too deep");
            if (!in.name(name))
                return malformed("truncated section");
            open.push_back(&section.add_section(std::move(name)));
            break;
        case kSectionEnd:
            if (open.size() == 1)
                return malformed("end of a section that did not start");
            open.pop_back();
            break;
        case kKeyValue:
            if (!in.name(name) || !in.value(value))
                return malformed("truncated value");
            if (is_secret_name(name))
                section.add_secret(std::move(name), SecretBytes(value));
            else
                section.add(std::move(name), std::string(value.begin(), value.end()));
            break;
        case kListStart:
            if (!in.name(name))
                return malformed("truncated list");
            section.add_list(std::move(name), {});
            list = &std::get<List>(section.elements().back().value);
            break;
        case kListItem:
            if (!list)
                return malformed("item outside of a list");
            if (!in.value(value))
                return malformed("truncated item");
            list->emplace_back(value.begin(), value.end());
            break;
        case kListEnd:
            if (!list)
                return malformed("end of a list that did not start");
            list = nullptr;
            break;
        default:
            return malformed("unknown element");
        }
    }
    if (list || open.size() != 1)
        return malformed("message ends inside a list or section");
    return root;
}

Expected<Packet> decode_packet(ByteView bytes)
{
    if (bytes.size() > kMaxPacket)
        return fail(-EMSGSIZE, "vici: packet of more than 512 KiB");
    Reader in(bytes);
    std::uint8_t type = 0;
    if (!in.u8(type) || type > static_cast<std::uint8_t>(PacketType::Event))
        return malformed("unknown packet type");
    Packet p;
    p.type = static_cast<PacketType>(type);
    if (has_name(p.type) && (!in.name(p.name) || p.name.empty()))
        return malformed("packet without a name");
    if (!has_message(p.type)) {
        if (!in.end())
            return malformed("packet with trailing bytes");
        return p;
    }
    auto message = decode_message(in.rest());
    if (!message)
        return tl::unexpected(message.error());
    p.message = std::move(*message);
    return p;
}

Expected<SecretBytes> encode_packet(PacketType type, std::string_view name, const Message *message)
{
    const auto build = [&](auto &out) {
        out.u8(static_cast<std::uint8_t>(type));
        if (has_name(type) && (name.empty() || !put_name(out, name)))
            return false;
        return !message || put_section(out, *message, 0);
    };
    Sizer sizer;
    if (!build(sizer))
        return fail(-EINVAL, "vici: name, value or depth beyond the format's limits");
    const std::size_t size = sizer.size();
    if (size > kMaxPacket)
        return fail(-EMSGSIZE, "vici: packet of more than 512 KiB");
    SecretBytes bytes(4 + size);
    Writer writer(bytes.mut());
    writer.u16(size >> 16);
    writer.u16(size & 0xffff);
    (void)build(writer);
    return bytes;
}

}  // namespace mcipsec::io::vici
