// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/xfrm_nl.hpp"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>

#include <cerrno>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {
// Room for attributes of newer kernels: what lies beyond is skipped.
using XfrmTable = const nlattr *[XFRMA_MAX + 1];
}  // namespace

Expected<XfrmNl> XfrmNl::open()
{
    auto s = NlSocket::open(NETLINK_XFRM, 4 << 20);
    if (!s)
        return tl::unexpected(s.error());
    return XfrmNl(std::move(*s));
}

Expected<void> XfrmNl::set_hash_thresholds(const HashThresholds &t)
{
    message_.start(XFRM_MSG_NEWSPDINFO, 0);
    message_.extra(sizeof(std::uint32_t));
    const xfrmu_spdhthresh v4{t.local4, t.remote4}, v6{t.local6, t.remote6};
    message_.bytes(XFRMA_SPD_IPV4_HTHRESH, ByteView(reinterpret_cast<const std::uint8_t *>(&v4), sizeof(v4)));
    message_.bytes(XFRMA_SPD_IPV6_HTHRESH, ByteView(reinterpret_cast<const std::uint8_t *>(&v6), sizeof(v6)));
    return socket_.call(message_);
}

Expected<HashThresholds> XfrmNl::get_hash_thresholds()
{
    message_.start(XFRM_MSG_GETSPDINFO, 0);
    message_.extra(sizeof(std::uint32_t));
    HashThresholds out{};
    bool found = false;
    auto r = socket_.call(message_, [&](const nlmsghdr *h) {
        const nlattr *t[XFRMA_SPD_MAX + 1];
        const ByteView p = payload(h);
        xfrmu_spdhthresh v4{}, v6{};
        if (p.size() < 4 || !parse_attrs(p.subspan(4), t) || !attr_get(t[XFRMA_SPD_IPV4_HTHRESH], v4) || !attr_get(t[XFRMA_SPD_IPV6_HTHRESH], v6))
            return;
        out = {v4.lbits, v4.rbits, v6.lbits, v6.rbits};
        found = true;
    });
    if (!r)
        return tl::unexpected(r.error());
    if (!found)
        return fail(-EBADMSG, "xfrm: malformed policy information");
    return out;
}

Expected<std::uint32_t> XfrmNl::sa_count()
{
    message_.start(XFRM_MSG_GETSADINFO, 0);
    message_.extra(sizeof(std::uint32_t));
    std::uint32_t count = 0;
    bool found = false;
    auto r = socket_.call(message_, [&](const nlmsghdr *h) {
        const nlattr *t[XFRMA_SAD_MAX + 1];
        const ByteView p = payload(h);
        found = p.size() >= 4 && parse_attrs(p.subspan(4), t) && attr_get(t[XFRMA_SAD_CNT], count);
    });
    if (!r)
        return tl::unexpected(r.error());
    if (!found)
        return fail(-EBADMSG, "xfrm: malformed SA information");
    return count;
}

Expected<XfrmSa> parse_sa(ByteView p)
{
    xfrm_usersa_info info;
    if (p.size() < sizeof(info))
        return fail(-EBADMSG, "xfrm: short SA");
    std::memcpy(&info, p.data(), sizeof(info));
    XfrmTable t;
    const std::size_t offset = std::min<std::size_t>(NLMSG_ALIGN(sizeof(info)), p.size());
    if (auto r = parse_attrs(p.subspan(offset), t); !r)
        return tl::unexpected(r.error());
    XfrmSa sa;
    sa.spi = ntohl(info.id.spi);
    sa.proto = info.id.proto;
    sa.src = address_from(info.family, ByteView(reinterpret_cast<const std::uint8_t *>(&info.saddr), sizeof(info.saddr)));
    sa.dst = address_from(info.family, ByteView(reinterpret_cast<const std::uint8_t *>(&info.id.daddr), sizeof(info.id.daddr)));
    sa.reqid = info.reqid;
    sa.bytes = info.curlft.bytes;
    sa.packets = info.curlft.packets;
    sa.add_time = info.curlft.add_time;
    sa.use_time = info.curlft.use_time;
    sa.replay_window = info.replay_window;
    sa.replayed = info.stats.replay + info.stats.replay_window;
    sa.not_authentic = info.stats.integrity_failed;
    sa.esn = info.flags & XFRM_STATE_ESN;
    xfrm_replay_state plain;
    if (attr_get(t[XFRMA_REPLAY_VAL], plain))
        sa.used_up = plain.oseq == UINT32_MAX;
    xfrm_replay_state_esn esn;
    if (attr_get(t[XFRMA_REPLAY_ESN_VAL], esn)) {
        sa.replay_window = esn.replay_window;
        sa.used_up = esn.oseq == UINT32_MAX && (!sa.esn || esn.oseq_hi == UINT32_MAX);
    }
    (void)attr_get(t[XFRMA_IF_ID], sa.if_id);
    xfrm_user_offload offload;
    if (attr_get(t[XFRMA_OFFLOAD_DEV], offload)) {
        sa.offloaded = true;
        sa.offload_ifindex = static_cast<std::uint32_t>(offload.ifindex);
    }
    return sa;
}

Expected<void> XfrmNl::dump_sas(const std::function<void(const XfrmSa &)> &fn)
{
    message_.start(XFRM_MSG_GETSA, NLM_F_DUMP);
    bool bad = false;
    auto r = socket_.call(message_, [&](const nlmsghdr *h) {
        if (h->nlmsg_type != XFRM_MSG_NEWSA)
            return;
        if (auto sa = parse_sa(payload(h)))
            fn(*sa);
        else
            bad = true;
    });
    // An SA that came or went during the dump is no error: counters are a snapshot anyway.
    if (!r && r.error().code != -EINTR)
        return r;
    if (bad)
        return fail(-EBADMSG, "xfrm: malformed SA");
    return {};
}

}  // namespace mcipsec::io
