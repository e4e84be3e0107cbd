// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/netlink.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "io/address.hpp"
#include "io/clock.hpp"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

namespace mcipsec::io {

NlMessage::NlMessage(std::size_t capacity) : buffer_(capacity)
{
    start(NLMSG_NOOP, 0);
}

void NlMessage::start(std::uint16_t type, std::uint16_t flags)
{
    failed_ = false;
    std::memset(buffer_.data(), 0, std::min<std::size_t>(buffer_.size(), sizeof(nlmsghdr) + 64));
    nlmsghdr *h = header();
    h->nlmsg_len = NLMSG_HDRLEN;
    h->nlmsg_type = type;
    h->nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
}

void NlMessage::start_genl(std::uint16_t family, std::uint8_t cmd, std::uint8_t version, std::uint16_t flags)
{
    start(family, flags);
    auto *g = static_cast<genlmsghdr *>(extra(sizeof(genlmsghdr)));
    g->cmd = cmd;
    g->version = version;
}

void *NlMessage::extra(std::size_t size)
{
    nlmsghdr *h = header();
    auto *p = buffer_.data() + NLMSG_ALIGN(h->nlmsg_len);
    std::memset(p, 0, NLMSG_ALIGN(size));
    h->nlmsg_len += static_cast<std::uint32_t>(NLMSG_ALIGN(size));
    return p;
}

void NlMessage::put(std::uint16_t type, const void *data, std::size_t size)
{
    if (size > 65531 || !mnl_attr_put_check(header(), buffer_.size(), type, size, data))
        failed_ = true;
}

void NlMessage::str(std::uint16_t type, std::string_view v)
{
    const std::string terminated(v);
    put(type, terminated.c_str(), terminated.size() + 1);
}

std::size_t NlMessage::nest(std::uint16_t type)
{
    nlattr *a = mnl_attr_nest_start_check(header(), buffer_.size(), type);
    if (!a) {
        failed_ = true;
        return 0;
    }
    return static_cast<std::size_t>(reinterpret_cast<std::uint8_t *>(a) - buffer_.data());
}

void NlMessage::end(std::size_t nest)
{
    if (!nest)
        return;
    const std::size_t length = header()->nlmsg_len - nest;
    if (length > 65535) {   // nla_len has 16 bits
        failed_ = true;
        return;
    }
    mnl_attr_nest_end(header(), reinterpret_cast<nlattr *>(buffer_.data() + nest));
}

Expected<NlSocket> NlSocket::open(int protocol, int rcvbuf)
{
    NlSocket s;
    s.fd_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    if (!s.fd_)
        return fail_errno(errno, "netlink: socket");
    const int on = 1;
    for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK})
        if (::setsockopt(s.fd(), SOL_NETLINK, option, &on, sizeof(on)) < 0)
            return fail_errno(errno, "netlink: socket option");
    // FORCE passes rmem_max and needs CAP_NET_ADMIN; what we get without it is enough for the command line.
    if (::setsockopt(s.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
        (void)::setsockopt(s.fd(), SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    sockaddr_nl any{};
    any.nl_family = AF_NETLINK;
    if (::bind(s.fd(), reinterpret_cast<const sockaddr *>(&any), sizeof(any)) < 0)
        return fail_errno(errno, "netlink: bind");
    s.buffer_ = WipedBuffer(kBuffer);
    s.seq_ = static_cast<std::uint32_t>(boot_now().time_since_epoch().count() / 1000000);
    return s;
}

namespace {

// Text of an NLMSG_ERROR's extended acknowledgement, "" without one.
std::string extack(const nlmsghdr *h)
{
    const auto *e = static_cast<const nlmsgerr *>(mnl_nlmsg_get_payload(h));
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return "";
    std::size_t offset = sizeof(nlmsgerr);
    if (!(h->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len >= NLMSG_HDRLEN)
        offset += NLMSG_ALIGN(e->msg.nlmsg_len - NLMSG_HDRLEN);
    const std::size_t size = mnl_nlmsg_get_payload_len(h);
    if (offset > size)
        return "";
    const nlattr *table[NLMSGERR_ATTR_MAX + 1];
    const ByteView attrs(static_cast<const std::uint8_t *>(mnl_nlmsg_get_payload(h)) + offset, size - offset);
    if (!parse_attrs(attrs, table) || !table[NLMSGERR_ATTR_MSG])
        return "";
    const ByteView text = attr_view(table[NLMSGERR_ATTR_MSG]);
    const auto end = std::find(text.begin(), text.end(), 0);
    return std::string(text.begin(), end);
}

Error error_of(const nlmsghdr *h, int code)
{
    Error e = errno_error(-code, "kernel");
    if (const std::string text = extack(h); !text.empty())
        e.text += " (" + text + ")";
    return e;
}

}  // namespace

Expected<void> NlSocket::call(NlMessage &m, const OnMessage &fn)
{
    ++calls_;
    const auto failed = [&](Error e) -> Expected<void> {
        ++errors_;
        return tl::unexpected(std::move(e));
    };
    if (m.failed())
        return failed(Error{-EMSGSIZE, "netlink: message too long"});
    nlmsghdr *h = m.header();
    const bool dump = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    if (!dump)
        h->nlmsg_flags |= NLM_F_ACK;
    h->nlmsg_seq = ++seq_;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent;
    do
        sent = ::sendto(fd(), h, h->nlmsg_len, 0, reinterpret_cast<const sockaddr *>(&kernel), sizeof(kernel));
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return failed(errno_error(errno, "netlink: send"));

    bool interrupted = false, done = false;
    Expected<void> result;
    std::size_t dirty = 0;
    while (!done) {
        pollfd p{fd(), POLLIN, 0};
        const int ready = ::poll(&p, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(timeout_).count()));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            return failed(Error{-ETIMEDOUT, "netlink: no answer from the kernel"});
        sockaddr_nl from{};
        iovec iov{buffer_.data(), buffer_.size()};
        msghdr mh{};
        mh.msg_name = &from;
        mh.msg_namelen = sizeof(from);
        mh.msg_iov = &iov;
        mh.msg_iovlen = 1;
        const ssize_t n = ::recvmsg(fd(), &mh, 0);
        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            result = failed(errno_error(errno, "netlink: receive"));    // ENOBUFS: part of the answer is lost
            break;
        }
        dirty = std::max(dirty, static_cast<std::size_t>(n));
        if (from.nl_pid != 0)
            continue;       // only the kernel answers
        if (mh.msg_flags & MSG_TRUNC) {
            result = failed(Error{-EMSGSIZE, "netlink: answer longer than the buffer"});
            break;
        }
        int left = static_cast<int>(n);
        for (auto *r = reinterpret_cast<nlmsghdr *>(buffer_.data()); !done && mnl_nlmsg_ok(r, left); r = mnl_nlmsg_next(r, &left)) {
            if (r->nlmsg_seq != seq_)
                continue;   // rest of an earlier call that failed half way
            if (r->nlmsg_flags & NLM_F_DUMP_INTR)
                interrupted = true;
            if (r->nlmsg_type == NLMSG_ERROR) {
                if (mnl_nlmsg_get_payload_len(r) < sizeof(nlmsgerr)) {
                    result = failed(Error{-EBADMSG, "netlink: truncated acknowledgement"});
                } else if (const int code = static_cast<const nlmsgerr *>(mnl_nlmsg_get_payload(r))->error) {
                    result = failed(error_of(r, code));
                }
                done = true;
            } else if (r->nlmsg_type == NLMSG_DONE) {
                int code = 0;
                if (mnl_nlmsg_get_payload_len(r) >= sizeof(code))
                    std::memcpy(&code, mnl_nlmsg_get_payload(r), sizeof(code));
                if (code < 0)
                    result = failed(errno_error(-code, "kernel"));
                done = true;
            } else if (r->nlmsg_type >= NLMSG_MIN_TYPE && fn) {
                fn(r);
            }
        }
    }
    buffer_.wipe(dirty);
    if (result && interrupted)
        return failed(Error{-EINTR, "netlink: the dump changed under way"});
    return result;
}

Expected<void> NlSocket::join(std::uint32_t group)
{
    if (::setsockopt(fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return fail_errno(errno, "netlink: join");
    return {};
}

Expected<void> NlSocket::receive(const OnMessage &fn, unsigned batch)
{
    for (unsigned i = 0; i < batch; ++i) {
        sockaddr_nl from{};
        socklen_t length = sizeof(from);
        const ssize_t n = ::recvfrom(fd(), buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr *>(&from), &length);
        if (n < 0) {
            if (errno == EAGAIN)
                return {};
            if (errno == EINTR)
                continue;
            ++errors_;
            return fail_errno(errno, "netlink: receive");
        }
        if (from.nl_pid == 0) {
            int left = static_cast<int>(n);
            for (auto *r = reinterpret_cast<nlmsghdr *>(buffer_.data()); mnl_nlmsg_ok(r, left); r = mnl_nlmsg_next(r, &left))
                if (r->nlmsg_type >= NLMSG_MIN_TYPE)
                    fn(r);
        }
        buffer_.wipe(static_cast<std::size_t>(n));
    }
    return {};
}

Expected<void> parse_attrs(ByteView attrs, std::span<const nlattr *> table)
{
    std::fill(table.begin(), table.end(), nullptr);
    while (attrs.size() >= NLA_HDRLEN) {
        nlattr a;
        std::memcpy(&a, attrs.data(), sizeof(a));
        if (a.nla_len < NLA_HDRLEN || a.nla_len > attrs.size())
            return fail(-EBADMSG, "netlink: attribute of wrong length");
        const auto type = static_cast<std::size_t>(a.nla_type & NLA_TYPE_MASK);
        if (type < table.size())
            table[type] = reinterpret_cast<const nlattr *>(attrs.data());
        attrs = attrs.subspan(std::min<std::size_t>(NLA_ALIGN(a.nla_len), attrs.size()));
    }
    return {};
}

ByteView attr_view(const nlattr *a)
{
    if (!a)
        return {};
    return {static_cast<const std::uint8_t *>(mnl_attr_get_payload(a)), mnl_attr_get_payload_len(a)};
}

Expected<void> for_each_attr(ByteView attrs, std::uint16_t type, const std::function<void(const nlattr *)> &fn)
{
    while (attrs.size() >= NLA_HDRLEN) {
        const auto *a = reinterpret_cast<const nlattr *>(attrs.data());
        if (a->nla_len < NLA_HDRLEN || a->nla_len > attrs.size())
            return fail(-EBADMSG, "netlink: attribute of wrong length");
        if ((a->nla_type & NLA_TYPE_MASK) == type)
            fn(a);
        attrs = attrs.subspan(std::min<std::size_t>(NLA_ALIGN(a->nla_len), attrs.size()));
    }
    return {};
}

ByteView genl_attrs(const nlmsghdr *h)
{
    const std::size_t size = mnl_nlmsg_get_payload_len(h);
    if (size < GENL_HDRLEN)
        return {};
    return {static_cast<const std::uint8_t *>(mnl_nlmsg_get_payload(h)) + GENL_HDRLEN, size - GENL_HDRLEN};
}

ByteView payload(const nlmsghdr *h)
{
    return {static_cast<const std::uint8_t *>(mnl_nlmsg_get_payload(h)), mnl_nlmsg_get_payload_len(h)};
}

Expected<GenlFamily> genl_resolve(NlSocket &s, std::string_view family, std::string_view group)
{
    NlMessage m(256);
    m.start_genl(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
    m.str(CTRL_ATTR_FAMILY_NAME, family);
    GenlFamily out;
    bool bad = false;
    auto r = s.call(m, [&](const nlmsghdr *h) {
        const nlattr *table[CTRL_ATTR_MAX + 1];
        if (!parse_attrs(genl_attrs(h), table) || !attr_get(table[CTRL_ATTR_FAMILY_ID], out.id)) {
            bad = true;
            return;
        }
        const auto each = [&](const nlattr *entry) {
            const nlattr *g[CTRL_ATTR_MCAST_GRP_MAX + 1];
            if (!parse_attrs(attr_view(entry), g))
                return;
            const ByteView name = attr_view(g[CTRL_ATTR_MCAST_GRP_NAME]);
            if (std::string_view(reinterpret_cast<const char *>(name.data()), name.size()) == std::string(group) + '\0')
                (void)attr_get(g[CTRL_ATTR_MCAST_GRP_ID], out.group);
        };
        // Entries are numbered 1, 2, ...: take each type in turn.
        ByteView groups = attr_view(table[CTRL_ATTR_MCAST_GROUPS]);
        for (std::uint16_t i = 1; i <= 16 && !groups.empty(); ++i)
            (void)for_each_attr(groups, i, each);
    });
    if (!r && r.error().code == -ENOENT)
        return fail(-ENOENT, "generic netlink family " + std::string(family) + " is not there: kernel module not loaded");
    if (!r)
        return tl::unexpected(r.error());
    if (bad || !out.id)
        return fail(-EBADMSG, "generic netlink: malformed answer");
    return out;
}

}  // namespace mcipsec::io
