// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/mcipsec_nl.hpp"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "io/address.hpp"

namespace mcipsec::io {

static_assert(sizeof(mcipsec_addr) == 24 && sizeof(mcipsec_seq) == 64 && sizeof(mcipsec_static_peer) == 36);

namespace {

constexpr std::string_view kStatNames[] = {
    "", "",
    "forward_in", "forward_out", "forward_private", "shunt_public", "shunt_private",
    "drop_esp", "drop_ike", "drop_icmp", "drop_out", "drop_private", "drop_loop", "drop_noroute",
    "drop_xfrm", "drop_gro", "drop_lease", "drop_hold", "drop_ping",
};
static_assert(std::size(kStatNames) == MCIPSEC_STAT_MAX + 1, "a counter of the uapi has no name");

void put_addresses(NlMessage &m, std::uint16_t nest_type, std::uint16_t type, const std::vector<GateAddress> &list)
{
    const auto nest = m.nest(nest_type);
    for (const auto &a : list) {
        const mcipsec_addr k = to_kernel(a);
        m.bytes(type, ByteView(reinterpret_cast<const std::uint8_t *>(&k), sizeof(k)));
    }
    m.end(nest);
}

Expected<void> get_addresses(const nlattr *nest, std::uint16_t type, std::vector<GateAddress> &out)
{
    bool bad = false;
    auto r = for_each_attr(attr_view(nest), type, [&](const nlattr *a) {
        mcipsec_addr k;
        if (!attr_get(a, k)) {
            bad = true;
            return;
        }
        out.push_back(from_kernel(k));
        bad = bad || out.back().address.empty();
    });
    if (r && bad)
        return fail(-EBADMSG, "mcipsec: malformed address");
    return r;
}

bool get_state(const nlattr *a, Mastership &out)
{
    std::uint8_t v;
    if (!attr_get(a, v) || v >= __MCIPSEC_STATE_MAX)
        return false;
    out = static_cast<Mastership>(v);
    return true;
}

bool get_action(const nlattr *a, mcipsec_action &out)
{
    std::uint8_t v;
    if (!attr_get(a, v) || v > MCIPSEC_ACTION_PREPARED)
        return false;
    out = static_cast<mcipsec_action>(v);
    return true;
}

Time from_ns(std::uint64_t ns)
{
    return Time(Duration(static_cast<Duration::rep>(std::min<std::uint64_t>(ns, INT64_MAX))));
}
std::uint64_t to_ns(Time t)
{
    return static_cast<std::uint64_t>(std::max<Duration::rep>(t.time_since_epoch().count(), 0));
}

void start(NlMessage &m, std::uint16_t family, mcipsec_cmd cmd, std::uint16_t flags = 0)
{
    m.start_genl(family, static_cast<std::uint8_t>(cmd), MCIPSEC_GENL_VERSION, flags);
}

}  // namespace

static_assert(static_cast<int>(Mastership::Master) == MCIPSEC_STATE_MASTER && static_cast<int>(Mastership::Standby) == MCIPSEC_STATE_STANDBY &&
              static_cast<int>(Mastership::Eligible) == MCIPSEC_STATE_ELIGIBLE &&
              static_cast<int>(Mastership::NotEligible) == MCIPSEC_STATE_NOT_ELIGIBLE);

std::string_view stat_name(unsigned stat)
{
    return stat < std::size(kStatNames) ? kStatNames[stat] : std::string_view{};
}

std::string_view to_string(mcipsec_action a)
{
    switch (a) {
    case MCIPSEC_ACTION_BLACKHOLE: return "blackhole";
    case MCIPSEC_ACTION_SHUNT: return "shunt";
    case MCIPSEC_ACTION_FORWARD: return "forward";
    case MCIPSEC_ACTION_PREPARED: return "prepared";
    }
    return "?";
}

namespace {
void put_bytes(const IpAddress &a, std::uint8_t (&to)[16])
{
    std::copy(a.bytes.begin(), a.bytes.begin() + static_cast<std::ptrdiff_t>(a.size()), to);
}

mcipsec_static_peer to_kernel(const StaticPeer &p)
{
    mcipsec_static_peer k{};
    put_bytes(p.local, k.local);
    put_bytes(p.remote, k.remote);
    k.family = static_cast<std::uint16_t>(address_family(p.remote));
    return k;
}
}  // namespace

mcipsec_addr to_kernel(const GateAddress &a)
{
    mcipsec_addr k{};
    put_bytes(a.address, k.addr);
    k.family = static_cast<std::uint16_t>(address_family(a.address));
    k.vrf_ifindex = a.vrf_ifindex;
    k.flags = a.flags;
    return k;
}

GateAddress from_kernel(const mcipsec_addr &k)
{
    return {address_from(k.family, ByteView(k.addr, sizeof(k.addr))), k.vrf_ifindex, k.flags};
}

Expected<GroupInfo> parse_group(ByteView attrs)
{
    const nlattr *t[MCIPSEC_A_MAX + 1];
    if (auto r = parse_attrs(attrs, t); !r)
        return tl::unexpected(r.error());
    GroupInfo g;
    if (!attr_get(t[MCIPSEC_A_GROUP_ID], g.id) || !get_state(t[MCIPSEC_A_STATE], g.state))
        return fail(-EBADMSG, "mcipsec: group without id or state");
    for (const auto &[nest, type, list] : {std::tuple{MCIPSEC_A_ADDRS, MCIPSEC_A_ADDR, &g.addresses},
                                           std::tuple{MCIPSEC_A_PUBLIC_NEXTHOPS, MCIPSEC_A_NEXTHOP, &g.public_nexthops},
                                           std::tuple{MCIPSEC_A_PRIVATE_NEXTHOPS, MCIPSEC_A_NEXTHOP, &g.private_nexthops}})
        if (auto r = get_addresses(t[nest], static_cast<std::uint16_t>(type), *list); !r)
            return tl::unexpected(r.error());
    (void)get_action(t[MCIPSEC_A_ACTION], g.action);
    (void)attr_get(t[MCIPSEC_A_FLAGS], g.flags);
    (void)attr_get(t[MCIPSEC_A_GENERATION], g.generation);
    (void)attr_get(t[MCIPSEC_A_LEASE_ID], g.lease_id);
    if (std::uint64_t expiry = 0; attr_get(t[MCIPSEC_A_LEASE_EXPIRY], expiry) && expiry)
        g.lease_expiry = from_ns(expiry);
    if (std::uint64_t since = 0; attr_get(t[MCIPSEC_A_TIME], since) && since)
        g.since = from_ns(since);
    (void)attr_get(t[MCIPSEC_A_STATIC_PEERS_COUNT], g.static_peers);
    const nlattr *stats[MCIPSEC_STAT_MAX + 1];
    if (auto r = parse_attrs(attr_view(t[MCIPSEC_A_STATS]), stats); !r)
        return tl::unexpected(r.error());
    for (unsigned i = 0; i <= MCIPSEC_STAT_MAX; ++i)
        (void)attr_get(stats[i], g.stats.value[i]);
    return g;
}

Expected<ModuleEvent> parse_event(ByteView attrs)
{
    const nlattr *t[MCIPSEC_A_MAX + 1];
    if (auto r = parse_attrs(attrs, t); !r)
        return tl::unexpected(r.error());
    ModuleEvent e;
    std::uint8_t kind = 0;
    if (!attr_get(t[MCIPSEC_A_EVENT], kind) || !attr_get(t[MCIPSEC_A_GROUP_ID], e.group))
        return fail(-EBADMSG, "mcipsec: event without kind or group");
    e.event = static_cast<mcipsec_event>(kind);     // unknown ones are the receiver's to skip
    (void)get_state(t[MCIPSEC_A_STATE], e.state);
    (void)get_action(t[MCIPSEC_A_ACTION], e.action);
    (void)attr_get(t[MCIPSEC_A_FLAGS], e.flags);
    (void)attr_get(t[MCIPSEC_A_GENERATION], e.generation);
    (void)attr_get(t[MCIPSEC_A_SWITCHOVER_ID], e.switchover_id);
    (void)attr_get(t[MCIPSEC_A_SWITCHOVER_FLAGS], e.switchover_flags);
    if (std::uint64_t ns = 0; attr_get(t[MCIPSEC_A_TIME], ns))
        e.time = from_ns(ns);
    return e;
}

Expected<McipsecNl> McipsecNl::open()
{
    auto s = NlSocket::open(NETLINK_GENERIC);
    if (!s)
        return tl::unexpected(s.error());
    auto family = genl_resolve(*s, MCIPSEC_GENL_NAME);
    if (!family)
        return tl::unexpected(family.error());
    return McipsecNl(std::move(*s), family->id);
}

Expected<void> McipsecNl::group_write(const GroupConfig &g, std::uint16_t flags)
{
    start(message_, family_, MCIPSEC_CMD_GROUP_NEW, flags);
    message_.u32(MCIPSEC_A_GROUP_ID, g.id);
    put_addresses(message_, MCIPSEC_A_ADDRS, MCIPSEC_A_ADDR, g.addresses);
    // An empty nest takes the next-hops away.
    put_addresses(message_, MCIPSEC_A_PUBLIC_NEXTHOPS, MCIPSEC_A_NEXTHOP, g.public_nexthops);
    put_addresses(message_, MCIPSEC_A_PRIVATE_NEXTHOPS, MCIPSEC_A_NEXTHOP, g.private_nexthops);
    message_.u32(MCIPSEC_A_LEASE_ID, g.lease_id);
    return socket_.call(message_);
}

Expected<void> McipsecNl::group_new(const GroupConfig &g) { return group_write(g, NLM_F_CREATE | NLM_F_EXCL); }
Expected<void> McipsecNl::group_replace(const GroupConfig &g) { return group_write(g, NLM_F_REPLACE); }

Expected<void> McipsecNl::group_del(GroupId id)
{
    start(message_, family_, MCIPSEC_CMD_GROUP_DEL);
    message_.u32(MCIPSEC_A_GROUP_ID, id);
    return socket_.call(message_);
}

Expected<void> McipsecNl::static_peers_set(GroupId id, std::span<const StaticPeer> peers)
{
    constexpr std::size_t kPerMessage = 1500;       // an attribute ends below 64 KiB
    bool first = true;
    do {
        std::vector<mcipsec_static_peer> some;
        for (const auto &p : peers.first(std::min(peers.size(), kPerMessage)))
            some.push_back(to_kernel(p));
        peers = peers.subspan(some.size());
        start(message_, family_, MCIPSEC_CMD_STATIC_PEERS_SET, first ? NLM_F_REPLACE : 0);
        message_.u32(MCIPSEC_A_GROUP_ID, id);
        message_.bytes(MCIPSEC_A_STATIC_PEERS, ByteView(reinterpret_cast<const std::uint8_t *>(some.data()), some.size() * sizeof(some[0])));
        if (!peers.empty())
            message_.bytes(MCIPSEC_A_STATIC_PEERS_MORE, {});
        if (auto done = socket_.call(message_); !done)
            return done;
        first = false;
    } while (!peers.empty());
    return {};
}

Expected<GroupInfo> McipsecNl::group_get(GroupId id)
{
    start(message_, family_, MCIPSEC_CMD_GROUP_GET);
    message_.u32(MCIPSEC_A_GROUP_ID, id);
    Expected<GroupInfo> out = fail(-EBADMSG, "mcipsec: no group in the answer");
    auto r = socket_.call(message_, [&](const nlmsghdr *h) { out = parse_group(genl_attrs(h)); });
    if (!r)
        return tl::unexpected(r.error());
    return out;
}

Expected<std::vector<GroupInfo>> McipsecNl::group_dump()
{
    return dump_all<GroupInfo>(
        socket_, message_, [&] { start(message_, family_, MCIPSEC_CMD_GROUP_GET, NLM_F_DUMP); },
        [](const nlmsghdr *h) { return parse_group(genl_attrs(h)); });
}

Expected<void> McipsecNl::state_set(const Cookie &cookie, std::span<const StateChange> changes)
{
    if (changes.empty())
        return {};
    start(message_, family_, MCIPSEC_CMD_STATE_SET);
    message_.bytes(MCIPSEC_A_COOKIE, cookie);
    const auto groups = message_.nest(MCIPSEC_A_GROUPS);
    for (const auto &c : changes) {
        const auto group = message_.nest(MCIPSEC_A_GROUP);
        message_.u32(MCIPSEC_A_GROUP_ID, c.id);
        message_.u8(MCIPSEC_A_STATE, static_cast<std::uint8_t>(c.state));
        message_.u32(MCIPSEC_A_FLAGS, c.flags);
        message_.u64(MCIPSEC_A_GENERATION, c.generation);
        message_.end(group);
    }
    message_.end(groups);
    return socket_.call(message_);
}

namespace {
void build_lease(NlMessage &m, std::uint16_t family, const Cookie &cookie, std::uint32_t lease_id, Time expiry)
{
    start(m, family, MCIPSEC_CMD_LEASE_SET);
    m.bytes(MCIPSEC_A_COOKIE, cookie);
    m.u32(MCIPSEC_A_LEASE_ID, lease_id);
    m.u64(MCIPSEC_A_LEASE_EXPIRY, to_ns(expiry));
}
}  // namespace

Expected<void> McipsecNl::lease_set(const Cookie &cookie, std::uint32_t lease_id, Time expiry)
{
    build_lease(message_, family_, cookie, lease_id, expiry);
    return socket_.call(message_);
}

Expected<void> McipsecNl::seq_get(GroupId id, const std::function<void(std::span<const mcipsec_seq>)> &fn)
{
    start(message_, family_, MCIPSEC_CMD_SEQ_GET, NLM_F_DUMP);
    message_.u32(MCIPSEC_A_GROUP_ID, id);
    std::vector<mcipsec_seq> aligned;
    bool bad = false;
    auto r = socket_.call(message_, [&](const nlmsghdr *h) {
        const nlattr *t[MCIPSEC_A_MAX + 1];
        if (!parse_attrs(genl_attrs(h), t)) {
            bad = true;
            return;
        }
        const ByteView array = attr_view(t[MCIPSEC_A_SEQ]);
        if (array.size() % sizeof(mcipsec_seq)) {
            bad = true;
            return;
        }
        if (array.empty())
            return;
        // Attributes are aligned to 4 bytes, the array's members to 8.
        aligned.resize(array.size() / sizeof(mcipsec_seq));
        std::memcpy(aligned.data(), array.data(), array.size());
        fn(aligned);
    });
    if (r && bad)
        return fail(-EBADMSG, "mcipsec: malformed sequence array");
    return r;
}

Expected<SeqResult> McipsecNl::seq_set(GroupId id, std::span<const mcipsec_seq> seqs, std::uint32_t margin, bool end_hold)
{
    return seq_write(id, seqs, [&] {
        if (margin)
            message_.u32(MCIPSEC_A_SEQ_MARGIN, margin);
        if (end_hold)
            message_.u8(MCIPSEC_A_SEQ_HOLD, MCIPSEC_HOLD_END);
    });
}

Expected<SeqResult> McipsecNl::seq_hold(GroupId id, std::span<const mcipsec_seq> seqs, bool hold)
{
    return seq_write(id, seqs, [&] { message_.u8(MCIPSEC_A_SEQ_HOLD, hold ? MCIPSEC_HOLD_SET : MCIPSEC_HOLD_DROP); });
}

Expected<SeqResult> McipsecNl::seq_write(GroupId id, std::span<const mcipsec_seq> seqs, const std::function<void()> &put)
{
    SeqResult sum;
    while (!seqs.empty()) {
        const auto chunk = seqs.first(std::min<std::size_t>(seqs.size(), MCIPSEC_SEQ_PER_MSG));
        seqs = seqs.subspan(chunk.size());
        start(message_, family_, MCIPSEC_CMD_SEQ_SET);
        message_.u32(MCIPSEC_A_GROUP_ID, id);
        put();
        message_.bytes(MCIPSEC_A_SEQ, ByteView(reinterpret_cast<const std::uint8_t *>(chunk.data()), chunk.size_bytes()));
        bool bad = true;
        auto r = socket_.call(message_, [&](const nlmsghdr *h) {
            const nlattr *t[MCIPSEC_A_MAX + 1];
            SeqResult one;
            if (!parse_attrs(genl_attrs(h), t) || !attr_get(t[MCIPSEC_A_SEQ_UPDATED], one.updated))
                return;
            (void)attr_get(t[MCIPSEC_A_SEQ_UNCHANGED], one.unchanged);
            (void)attr_get(t[MCIPSEC_A_SEQ_MISSING], one.missing);
            (void)attr_get(t[MCIPSEC_A_SEQ_REFUSED], one.refused);
            (void)attr_get(t[MCIPSEC_A_SEQ_EXHAUSTED], one.exhausted);
            bad = false;
            sum.updated += one.updated;
            sum.unchanged += one.unchanged;
            sum.missing += one.missing;
            sum.refused += one.refused;
            sum.exhausted += one.exhausted;
        });
        if (!r)
            return tl::unexpected(r.error());
        if (bad)
            return fail(-EBADMSG, "mcipsec: malformed answer to a sequence import");
    }
    return sum;
}

Expected<void> McipsecNl::switchover(GroupId id, std::uint64_t switchover_id, std::uint32_t flags)
{
    start(message_, family_, MCIPSEC_CMD_SWITCHOVER);
    message_.u32(MCIPSEC_A_GROUP_ID, id);
    message_.u64(MCIPSEC_A_SWITCHOVER_ID, switchover_id);
    message_.u32(MCIPSEC_A_SWITCHOVER_FLAGS, flags);
    return socket_.call(message_);
}

Expected<void> McipsecNl::debug_gate_hook(bool off)
{
    start(message_, family_, MCIPSEC_CMD_DEBUG_SET);
    message_.u8(MCIPSEC_A_GATE_HOOK_OFF, off ? 1 : 0);
    return socket_.call(message_);
}

Expected<std::unique_ptr<McipsecEvents>> McipsecEvents::open_blocking()
{
    auto s = NlSocket::open(NETLINK_GENERIC, 4 << 20);
    if (!s)
        return tl::unexpected(s.error());
    auto family = genl_resolve(*s, MCIPSEC_GENL_NAME, MCIPSEC_MCGRP_EVENTS);
    if (!family)
        return tl::unexpected(family.error());
    if (!family->group)
        return fail(-ENOENT, "generic netlink family " MCIPSEC_GENL_NAME " has no group " MCIPSEC_MCGRP_EVENTS);
    if (auto r = s->join(family->group); !r)
        return tl::unexpected(r.error());
    std::unique_ptr<McipsecEvents> e(new McipsecEvents);
    e->socket_ = std::move(*s);
    e->family_ = family->id;
    return e;
}

Expected<std::unique_ptr<McipsecEvents>> McipsecEvents::open(EventLoop &loop, std::function<void(const ModuleEvent &)> on_event,
                                                             std::function<void()> on_overrun)
{
    auto e = open_blocking();
    if (!e)
        return e;
    auto *self = e->get();
    self->on_event_ = std::move(on_event);
    self->on_overrun_ = std::move(on_overrun);
    auto source = loop.add_fd(self->socket_.fd(), EPOLLIN, [self](std::uint32_t) { self->readable(); }, Priority::High);
    if (!source)
        return tl::unexpected(source.error());
    self->source_ = std::move(*source);
    return e;
}

void McipsecEvents::take(const nlmsghdr *h)
{
    if (h->nlmsg_type != family_)
        return;
    if (auto e = parse_event(genl_attrs(h))) {
        ++events_;
        queue_.push_back(*e);
    } else {
        ++malformed_;
    }
}

void McipsecEvents::readable()
{
    const auto r = socket_.receive([this](const nlmsghdr *h) { take(h); });
    // Handlers run after the receive buffer is done with.
    std::vector<ModuleEvent> events;
    events.swap(queue_);
    if (!r)
        ++overruns_;
    const bool overrun = !r;
    // Copies: a handler may destroy this object.
    const auto on_overrun = on_overrun_;
    const auto on_event = on_event_;
    if (on_event)
        for (const auto &e : events)
            on_event(e);
    // Last: the resync must see a state at least as new as the events.
    if (overrun && on_overrun)
        on_overrun();
}

Expected<ModuleEvent> McipsecEvents::wait(Duration timeout)
{
    const Time deadline = boot_now() + timeout;
    while (queue_.empty()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - boot_now()).count();
        if (left <= 0)
            return fail(-ETIMEDOUT, "no event in time");
        pollfd p{socket_.fd(), POLLIN, 0};
        const int n = ::poll(&p, 1, static_cast<int>(std::min<long long>(left, 1 << 30)));
        if (n < 0)
            return fail_errno(errno, "poll");
        if (n > 0)
            if (auto r = socket_.receive([this](const nlmsghdr *h) { take(h); }); !r) {
                ++overruns_;
                return tl::unexpected(r.error());
            }
    }
    const ModuleEvent e = queue_.front();
    queue_.erase(queue_.begin());
    return e;
}

}  // namespace mcipsec::io
