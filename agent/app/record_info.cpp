// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/record_info.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <charconv>

namespace mcipsec::app {

std::string info_text(const io::Info &info)
{
    std::string out;
    for (const auto &[name, value] : info) {
        out += name + '=';
        for (const char c : value)
            out += c == '\n' ? ' ' : c;
        out += '\n';
    }
    return out;
}

namespace {

std::optional<std::uint32_t> number(const std::string &value)
{
    std::uint32_t n = 0;
    const auto *end = value.data() + value.size();
    const auto r = std::from_chars(value.data(), end, n);
    return r.ec == std::errc{} && r.ptr == end ? std::optional(n) : std::nullopt;
}

std::optional<std::uint32_t> message_id(const io::Info &info, std::string_view field)
{
    for (const auto &[name, value] : info)
        if (name == field)
            return number(value);
    return std::nullopt;
}

}  // namespace

std::optional<std::uint32_t> mid_out(const io::Info &info) { return message_id(info, "mid-out"); }

io::PluginRival rival_of(std::string_view info)
{
    auto fields = info_fields(info);
    return {fields["proposed"], number(fields["mid-out"]), {}};
}

bool asked_since(const io::Info &info, std::string_view before)
{
    const auto fields = info_fields(before);
    const auto it = fields.find("mid-in");
    const auto then = it == fields.end() ? std::nullopt : number(it->second);
    const auto now = message_id(info, "mid-in");
    return then && now && *now > *then;
}

std::map<std::string, std::string> info_fields(std::string_view text)
{
    std::map<std::string, std::string> out;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        if (const auto eq = line.find('='); eq != std::string_view::npos)
            out.emplace(line.substr(0, eq), line.substr(eq + 1));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return out;
}

namespace {

// "value/mask", decimal; what finds the SA is the value.
std::uint32_t mark_of(const std::map<std::string, std::string> &fields, const char *field)
{
    std::uint32_t value = 0;
    if (const auto it = fields.find(field); it != fields.end())
        (void)std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
    return value;
}

Expected<mcipsec_seq> kernel_sa(const std::map<std::string, std::string> &fields, const char *spi_field, const char *address_field,
                                const char *mark_field, bool out)
{
    const auto spi = fields.find(spi_field), address = fields.find(address_field), protocol = fields.find("protocol");
    if (spi == fields.end() || address == fields.end())
        return fail(-EPROTO, std::string("record info has no ") + (spi == fields.end() ? spi_field : address_field));
    const auto parsed = IpAddress::parse(address->second);
    if (!parsed)
        return tl::unexpected(parsed.error());
    std::uint32_t number = 0;
    const auto &text = spi->second;
    if (const auto r = std::from_chars(text.data(), text.data() + text.size(), number, 16);
        r.ec != std::errc{} || r.ptr != text.data() + text.size())
        return fail(-EPROTO, "record info has SPI '" + text + "', 8 hex digits are expected");
    mcipsec_seq sa{};
    sa.spi = htonl(number);
    sa.proto = protocol != fields.end() && protocol->second == "ah" ? IPPROTO_AH : IPPROTO_ESP;
    sa.family = parsed->family == 4 ? AF_INET : AF_INET6;
    sa.flags = out ? MCIPSEC_SEQ_F_OUT : 0;
    const auto esn = fields.find("esn");
    if (esn != fields.end() && (esn->second == "yes" || esn->second == "1"))
        sa.flags |= MCIPSEC_SEQ_F_ESN;
    std::memcpy(sa.daddr, parsed->bytes.data(), sizeof sa.daddr);
    sa.mark = mark_of(fields, mark_field);
    return sa;
}

}  // namespace

Expected<ChildSas> child_sas(const std::map<std::string, std::string> &fields)
{
    const auto in = kernel_sa(fields, "spi-in", "local", "mark-in", false);
    if (!in)
        return tl::unexpected(in.error());
    const auto out = kernel_sa(fields, "spi-out", "remote", "mark-out", true);
    if (!out)
        return tl::unexpected(out.error());
    return ChildSas{*in, *out};
}

std::vector<std::string> info_list(const std::string &text)
{
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find(',', at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

void fix_established(io::Info &info, std::int64_t now)
{
    for (auto &[name, value] : info) {
        std::int64_t age = 0;
        const auto end = value.data() + value.size();
        if (name != "established" || std::from_chars(value.data(), end, age).ptr != end || value.empty())
            continue;
        name = "established-at";
        value = std::to_string(now - age);
    }
}

}  // namespace mcipsec::app
