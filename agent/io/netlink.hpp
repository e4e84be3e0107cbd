// SPDX-License-Identifier: GPL-2.0-or-later
// A netlink socket with its own wiped buffers, on libmnl: one request and its
// answers at a time, matched by sequence number.
//
// The kernel serves a request inside sendmsg(), so that the answer is there
// when it returns: a synchronous call does not wait for anything but a dump's
// length. Works in the network namespace in which it was opened.
// Threading: one thread at a time per socket.
#pragma once

#include <libmnl/libmnl.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/types.hpp"
#include "io/unique_fd.hpp"
#include "io/wiped_buffer.hpp"

namespace mcipsec::io {

// Builds one message in a fixed buffer; attributes beyond its end set failed().
class NlMessage {
public:
    explicit NlMessage(std::size_t capacity = 8192);

    void start(std::uint16_t type, std::uint16_t flags);
    void start_genl(std::uint16_t family, std::uint8_t cmd, std::uint8_t version, std::uint16_t flags);
    // Zeroed room for a family's fixed header.
    void *extra(std::size_t size);
    void u8(std::uint16_t type, std::uint8_t v) { put(type, &v, sizeof(v)); }
    void u16(std::uint16_t type, std::uint16_t v) { put(type, &v, sizeof(v)); }
    void u32(std::uint16_t type, std::uint32_t v) { put(type, &v, sizeof(v)); }
    void u64(std::uint16_t type, std::uint64_t v) { put(type, &v, sizeof(v)); }
    void bytes(std::uint16_t type, ByteView v) { put(type, v.data(), v.size()); }
    void str(std::uint16_t type, std::string_view v);   // NUL terminated
    std::size_t nest(std::uint16_t type);               // gives the handle for end()
    void end(std::size_t nest);

    bool failed() const { return failed_; }
    nlmsghdr *header() { return reinterpret_cast<nlmsghdr *>(buffer_.data()); }

private:
    void put(std::uint16_t type, const void *data, std::size_t size);
    WipedBuffer buffer_;
    bool failed_ = false;
};

class NlSocket {
public:
    // protocol: NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_XFRM. Strict checks and
    // extended acknowledgements are on.
    static Expected<NlSocket> open(int protocol, int rcvbuf = 1 << 20);

    using OnMessage = std::function<void(const nlmsghdr *)>;
    // Sends and takes every answer up to the acknowledgement or the dump's end.
    // The error text carries the kernel's extack message. EINTR of a dump that
    // was changed under way (NLM_F_DUMP_INTR) is -EINTR: dump again.
    // ENOBUFS: an answer was lost.
    Expected<void> call(NlMessage &m, const OnMessage &fn = {});
    // How long call() waits for each datagram of an answer before ETIMEDOUT.
    void set_timeout(Duration timeout) { timeout_ = timeout; }

    Expected<void> join(std::uint32_t group);
    // Non-blocking, for event sockets: up to `batch` datagrams; ENOBUFS when the
    // kernel dropped some (the socket goes on).
    Expected<void> receive(const OnMessage &fn, unsigned batch = 64);
    int fd() const { return fd_.get(); }
    std::uint64_t calls() const { return calls_; }
    std::uint64_t errors() const { return errors_; }

private:
    static constexpr std::size_t kBuffer = 65536;   // largest datagram of a dump
    UniqueFd fd_;
    std::uint32_t seq_ = 0;
    Duration timeout_ = 5s;
    WipedBuffer buffer_;
    std::uint64_t calls_ = 0, errors_ = 0;
};

// The answers of a dump, taken from the start again when it changed under way (at
// most five times). begin() builds the request in m; parse() gives an
// Expected<T>, or Expected<std::optional<T>> where some messages do not count.
template <typename T, typename Begin, typename Parse>
Expected<std::vector<T>> dump_all(NlSocket &s, NlMessage &m, Begin begin, Parse parse)
{
    std::vector<T> out;
    Expected<void> r, parsed;
    for (unsigned attempt = 0; attempt < 5; ++attempt) {
        out.clear();
        parsed = {};
        begin();
        r = s.call(m, [&](const nlmsghdr *h) {
            Expected<std::optional<T>> one = parse(h);
            if (!one)
                parsed = tl::unexpected(one.error());
            else if (*one)
                out.push_back(std::move(**one));
        });
        if (r || r.error().code != -EINTR)
            break;
    }
    if (!r || !parsed)
        return tl::unexpected(r ? parsed.error() : r.error());
    return out;
}

// Attributes of a message or nest into table[type]; entries beyond are skipped.
Expected<void> parse_attrs(ByteView attrs, std::span<const nlattr *> table);
ByteView attr_view(const nlattr *a);    // payload; empty for nullptr
// Every attribute of one type, in order.
Expected<void> for_each_attr(ByteView attrs, std::uint16_t type, const std::function<void(const nlattr *)> &fn);
ByteView payload(const nlmsghdr *h);    // without the netlink header
ByteView genl_attrs(const nlmsghdr *h); // behind the generic netlink header; empty if that is short
// False if the attribute is absent or too short; out is then left as it was.
template <typename T>
bool attr_get(const nlattr *a, T &out)
{
    if (!a || mnl_attr_get_payload_len(a) < sizeof(T))
        return false;
    std::memcpy(&out, mnl_attr_get_payload(a), sizeof(T));
    return true;
}

// Family id and one multicast group of a generic netlink family; ENOENT: not loaded.
struct GenlFamily {
    std::uint16_t id = 0;
    std::uint32_t group = 0;    // 0: no group of that name
};
Expected<GenlFamily> genl_resolve(NlSocket &s, std::string_view family, std::string_view group = "");

}  // namespace mcipsec::io
