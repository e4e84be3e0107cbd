// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mcs/frame.hpp"

#include <bitset>
#include <cerrno>

namespace mcipsec::mcs::frame {
namespace {

// Field ids, one space for all frames. New ones go to the end; none is used again.
enum Id : std::uint16_t {
    kTag = 1, kGeneration, kSerial, kTxn, kChange, kFrom, kTarget, kMask, kRepair, kMode,                    // 1..10
    kEntries, kAudit, kBucketsId, kKind, kKey, kParent, kLineage, kVersion, kRecordGeneration, kName,       // 11..20
    kInfo, kData, kInboundAge, kProtocolId, kAppVersion, kEpoch, kMimpOwn, kMimpPeer, kItem, kDigest,       // 21..30
    kWhy, kReason, kTaken, kLast, kFirst, kSas, kHandover, kLocalDeleted, kAlarmed, kInstalled,             // 31..40
    kInstalling, kAwaitConf, kFailed, kState, kActing, kMastership, kClock, kEcho, kWantReply, kFlags,      // 41..50
    kPending, kChildren, kProtocolOldest, kInherits, kCounts,
    kFieldCount
};
constexpr std::size_t kMaxExtra = 4096;
constexpr std::size_t kMaxItems = 1024;
constexpr std::size_t kChildKeySize = 5;
constexpr std::size_t kCountsSize = 64;  // own and peer's, a newer peer may append
constexpr std::size_t kSeqMinSize = 48;  // the first version of an element; jump came next, then the mark, then sent

template <typename E>
std::uint8_t raw(E e)
{
    return static_cast<std::uint8_t>(e);
}

// The fields of one body. need(): present and sensible, or the frame is bad.
class Bag {
public:
    explicit Bag(ByteView body)
    {
        FieldReader r(body);
        for (Field f; r.next(f);) {
            if (f.id == kItem && items_.size() < kMaxItems)
                items_.push_back(f);
            else if (f.id == kReason && reasons_.size() < kMaxReasons)
                reasons_.push_back(f);
            else if (f.id == 0 || f.id >= kFieldCount)
                unknown_.append(f.whole);
            if (f.id < kFieldCount && !has_[f.id]) {
                has_.set(f.id);
                fields_[f.id] = f;
            }
        }
        if (!r.ok())
            bad("fields do not fill the frame");
    }
    bool has(Id id) const { return has_[id]; }
    const Field &get(Id id) const { return fields_[id]; }
    const std::vector<Field> &items() const { return items_; }
    const std::vector<Field> &reasons() const { return reasons_; }
    SecretBuffer &unknown() { return unknown_; }

    std::uint64_t number(Id id, std::uint64_t missing = 0)
    {
        if (!has(id))
            return missing;
        const auto n = get(id).number();
        if (!n)
            bad("field " + std::to_string(id) + " is no number of 64 bits");
        return n.value_or(0);
    }
    std::uint64_t need(Id id)
    {
        if (!has(id))
            bad("field " + std::to_string(id) + " is missing");
        return number(id);
    }
    template <typename E>
    E pick(Id id, E low, E high)
    {
        const auto n = need(id);
        if (n < raw(low) || n > raw(high))
            bad("field " + std::to_string(id) + " has the value " + std::to_string(n));
        return static_cast<E>(n);
    }
    std::string tag()
    {
        if (!has(kTag) || get(kTag).value.empty() || get(kTag).value.size() > kMaxTag)
            bad("sync-tag is missing or longer than " + std::to_string(kMaxTag));
        return get(kTag).text(kMaxTag);
    }
    void bad(std::string why)
    {
        if (!bad_)
            bad_ = std::move(why);
    }
    const std::optional<std::string> &bad() const { return bad_; }

private:
    std::array<Field, kFieldCount> fields_;
    std::bitset<kFieldCount> has_;
    std::vector<Field> items_, reasons_;
    SecretBuffer unknown_;
    std::optional<std::string> bad_;
};

void write_sas(FrameWriter &w, const std::vector<SaSeq> &sas)
{
    const std::size_t size = kProtocol.newer ? kSeqSize + 4 : kProtocol.mcs > 1 ? kSeqSize : kSeqMinSize;
    auto out = w.space(kSas, 2 + sas.size() * size);
    put_be(out.subspan(0, 2), size);
    out = out.subspan(2);
    for (const auto &s : sas) {
        std::memcpy(out.data(), &s.sa.spi, 4);  // in network order already
        out[4] = s.sa.proto;
        out[5] = s.sa.family;
        put_be(out.subspan(6, 2), s.sa.flags);
        std::memcpy(out.data() + 8, s.sa.daddr, 16);
        put_be(out.subspan(24, 8), s.sa.oseq);
        put_be(out.subspan(32, 8), s.sa.seq);
        put_be(out.subspan(40, 8), s.sa.packets);
        if (size >= kSeqSize) {
            put_be(out.subspan(48, 4), s.jump);
            put_be(out.subspan(52, 4), s.sa.mark);
            put_be(out.subspan(56, 8), s.sent);
        }
        out = out.subspan(size);
    }
}

// Elements of a newer peer are longer: their ends are skipped. Older ones lack the jump, the mark and sent.
std::vector<SaSeq> read_sas(Bag &bag)
{
    std::vector<SaSeq> sas;
    auto in = bag.get(kSas).value;
    const auto size = in.size() >= 2 ? get_be(in.subspan(0, 2)) : 0;
    if (size < kSeqMinSize || (in.size() - 2) % size || (in.size() - 2) / size > kMaxSeqPerFrame) {
        bag.bad("sequence states are missing or do not fill their field");
        return sas;
    }
    for (in = in.subspan(2); !in.empty(); in = in.subspan(size)) {
        SaSeq s;
        std::memcpy(&s.sa.spi, in.data(), 4);
        s.sa.proto = in[4];
        s.sa.family = in[5];
        s.sa.flags = static_cast<std::uint16_t>(get_be(in.subspan(6, 2)));
        std::memcpy(s.sa.daddr, in.data() + 8, 16);
        s.sa.oseq = get_be(in.subspan(24, 8));
        s.sa.seq = get_be(in.subspan(32, 8));
        s.sa.packets = get_be(in.subspan(40, 8));
        if (size >= 52)
            s.jump = static_cast<std::uint32_t>(get_be(in.subspan(48, 4)));
        if (size >= 56)
            s.sa.mark = static_cast<std::uint32_t>(get_be(in.subspan(52, 4)));
        if (size >= 64)
            s.sent = get_be(in.subspan(56, 8));
        sas.push_back(s);
    }
    return sas;
}

BucketMask read_mask(Bag &bag, Id id)
{
    BucketMask m{};
    if (!bag.has(id))
        return m;
    const auto v = bag.get(id).value;
    if (v.size() != m.size())
        bag.bad("bucket mask has " + std::to_string(v.size()) + " bytes, not " + std::to_string(m.size()));
    else
        std::memcpy(m.data(), v.data(), m.size());
    return m;
}

void write_key(FrameWriter &w, const Key &key)
{
    w.u8(kKind, raw(key.kind));
    w.bytes(kKey, key.view());
}

std::optional<Key> read_key(Bag &bag)
{
    const auto key = Key::make(bag.pick(kKind, Kind::IkeSa, Kind::ChildSa), bag.get(kKey).value);
    if (!key) {
        bag.bad(key.error().text);
        return std::nullopt;
    }
    return *key;
}

void write_version(FrameWriter &w, const Version &v)
{
    w.u64(kRecordGeneration, v.generation);
    w.u64(kLineage, v.lineage);
    w.u64(kVersion, v.version);
}

Version read_version(Bag &bag)
{
    return {bag.need(kRecordGeneration), bag.need(kLineage), bag.need(kVersion)};
}

// The record of an ENTRY or PROPOSE; what is wrong with it is left in the bag.
Entry read_record(Bag &bag)
{
    Entry e;
    if (const auto key = read_key(bag))
        e.key = *key;
    e.version = read_version(bag);
    if (bag.has(kParent)) {
        if (const auto parent = Key::make(Kind::IkeSa, bag.get(kParent).value))
            e.parent = *parent;
        else
            bag.bad("parent: " + parent.error().text);
    }
    const auto limit = [&](Id id, std::size_t max, const char *what) {
        if (bag.get(id).value.size() > max)
            bag.bad(std::string(what) + " is longer than " + std::to_string(max));
    };
    limit(kName, kMaxName, "name");
    limit(kInfo, kMaxInfo, "info");
    limit(kData, kMaxData, "data");
    if (!bag.has(kData) || bag.get(kData).value.empty())
        bag.bad("data is missing");
    if (e.key.kind == Kind::ChildSa && !e.parent)
        bag.bad("CHILD_SA without parent");
    if (bag.unknown().size() > kMaxExtra)
        bag.bad("unknown fields are longer than " + std::to_string(kMaxExtra));
    if (bag.has(kInboundAge))
        e.inbound_age_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(bag.number(kInboundAge), UINT32_MAX));
    if (bag.bad())
        return e;
    e.name = bag.get(kName).text(kMaxName);
    e.info = bag.get(kInfo).text(kMaxInfo);
    e.data = SecretBytes(bag.get(kData).value);
    if (!bag.unknown().empty())
        e.extra = bag.unknown().take();
    return e;
}

Frame read_entry(Bag &bag)
{
    EntryFrame f;
    f.tag = bag.tag();
    f.generation = bag.need(kGeneration);
    f.txn = bag.need(kTxn);
    f.change = bag.need(kChange);
    if (bag.bad())
        return f;
    // From here on the frame is sound and only its record can be refused.
    f.entry = read_record(bag);
    if (bag.bad())
        return BadRecord{f.tag, f.generation, f.txn, f.change, *bag.bad()};
    return f;
}

std::vector<Key> read_children(Bag &bag)
{
    std::vector<Key> children;
    const auto keys = bag.get(kChildren).value;
    if (keys.size() % kChildKeySize)
        bag.bad("children are no list of keys");
    for (std::size_t at = 0; at + kChildKeySize <= keys.size(); at += kChildKeySize)
        if (const auto key = Key::make(Kind::ChildSa, keys.subspan(at, kChildKeySize)))
            children.push_back(*key);
    return children;
}

Frame read_propose(Bag &bag)
{
    Propose f;
    f.tag = bag.tag();
    f.generation = bag.need(kGeneration);
    f.entry = read_record(bag);
    f.children = read_children(bag);
    return f;
}

Ended read_ended(Bag &bag)
{
    Ended f;
    f.tag = bag.tag();
    f.generation = bag.need(kGeneration);
    if (const auto key = read_key(bag))
        f.key = *key;
    f.version = read_version(bag);
    if (bag.has(kInboundAge))
        f.age_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(bag.number(kInboundAge), UINT32_MAX));
    f.children = read_children(bag);
    if (f.key.kind != Kind::IkeSa)
        bag.bad("only an IKE_SA is said to have ended");
    return f;
}

Config read_config(Bag &bag)
{
    Config f{bag.tag(), {}};
    for (const auto &item : bag.items()) {
        ConfigItem c;
        FieldReader r(item.value);
        for (Field field; r.next(field);) {
            if (field.id == kName)
                c.name = field.text(kMaxName);
            else if (field.id == kDigest && field.value.size() <= 64)
                c.digest.assign(field.value.begin(), field.value.end());
        }
        if (!r.ok() || c.name.empty())
            bag.bad("configuration item is truncated or has no name");
        f.items.push_back(std::move(c));
    }
    return f;
}

Digest read_digest(Bag &bag)
{
    Digest f{bag.tag(), bag.need(kGeneration), bag.need(kSerial), bag.need(kChange), bag.number(kEntries), bag.number(kAudit) != 0, {}};
    const auto v = bag.get(kBucketsId).value;
    if (v.size() != kBuckets * 8)
        bag.bad("digest has " + std::to_string(v.size()) + " bytes, not " + std::to_string(kBuckets * 8));
    else
        for (std::size_t i = 0; i < kBuckets; i++)
            f.buckets[i] = get_be(v.subspan(i * 8, 8));
    return f;
}

void write_traffic(std::span<std::uint8_t> out, const mcipsec::Traffic &t)
{
    put_be(out.subspan(0, 8), t.octets_in);
    put_be(out.subspan(8, 8), t.packets_in);
    put_be(out.subspan(16, 8), t.octets_out);
    put_be(out.subspan(24, 8), t.packets_out);
}

mcipsec::Traffic read_counts(ByteView in)
{
    return {get_be(in.subspan(0, 8)), get_be(in.subspan(8, 8)), get_be(in.subspan(16, 8)), get_be(in.subspan(24, 8))};
}

Traffic read_traffic(Bag &bag)
{
    Traffic f{bag.tag(), {}};
    for (const auto &item : bag.items()) {
        TunnelTraffic t;
        FieldReader r(item.value);
        bool counts = false;
        for (Field field; r.next(field);) {
            if (field.id == kName)
                t.tunnel = field.text(kMaxName);
            else if (field.id == kCounts && field.value.size() >= kCountsSize) {
                t.own = read_counts(field.value);
                t.peer = read_counts(field.value.subspan(kCountsSize / 2));
                counts = true;
            }
        }
        if (!r.ok() || t.tunnel.empty() || !counts)
            bag.bad("counters of a tunnel are truncated or have no name");
        f.tunnels.push_back(std::move(t));
    }
    return f;
}

Status read_status(Bag &bag)
{
    Status f;
    f.tag = bag.tag();
    f.gauges = {bag.need(kEntries),        bag.number(kLocalDeleted), bag.number(kAlarmed), bag.number(kInstalled),
                bag.number(kInstalling), bag.number(kAwaitConf),    bag.number(kFailed)};
    f.state = bag.pick(kState, SyncState::OutOfSync, SyncState::InSync);
    f.generation = bag.number(kGeneration);
    f.acting = bag.number(kActing) != 0;
    if (bag.has(kMastership))
        f.mastership = bag.pick(kMastership, Mastership::Discovery, Mastership::Master);
    f.pending = bag.number(kPending);
    for (const auto &r : bag.reasons())
        f.reasons.push_back(r.text(kMaxReason));
    return f;
}

Nack read_nack(Bag &bag)
{
    Nack f;
    f.tag = bag.tag();
    f.txn = bag.need(kTxn);
    f.why = bag.pick(kWhy, Nack::Why::AwaitConf, Nack::Why::Role);
    if (bag.has(kKind))
        f.key = read_key(bag);
    if (bag.has(kReason))
        f.reason = bag.get(kReason).text(kMaxReason);
    return f;
}

Expected<Frame> read(Type type, Bag &bag)
{
    switch (type) {
    case Type::Hello:
        return Hello{static_cast<std::uint16_t>(bag.need(kProtocolId)), static_cast<std::uint16_t>(bag.number(kProtocolOldest)), bag.get(kAppVersion).text(64), bag.need(kEpoch), bag.number(kMimpOwn),
                     bag.number(kMimpPeer)};
    case Type::Config: return read_config(bag);
    case Type::Offer: return Offer{bag.tag(), bag.need(kGeneration), bag.need(kSerial), bag.number(kChange), bag.number(kEntries), bag.number(kInherits, UINT64_MAX)};
    case Type::Resync:
        return Resync{bag.tag(), bag.need(kGeneration), bag.need(kSerial), bag.pick(kMode, Resync::Mode::Delta, Resync::Mode::Buckets),
                      bag.number(kFrom), read_mask(bag, kMask), bag.number(kRepair) != 0};
    case Type::Digest: return read_digest(bag);
    case Type::SnapshotBegin:
        return SnapshotBegin{bag.tag(), bag.need(kGeneration), bag.need(kSerial), bag.need(kFrom), bag.need(kTarget), read_mask(bag, kMask),
                             bag.number(kRepair) != 0};
    case Type::SnapshotEnd: return SnapshotEnd{bag.tag(), bag.need(kGeneration), bag.need(kTxn), bag.need(kTarget)};
    case Type::Entry: return read_entry(bag);
    case Type::Delete: {
        Delete f{bag.tag(), bag.need(kGeneration), bag.need(kTxn), bag.need(kChange), {}, {}};
        if (bag.bad())
            return f;
        if (const auto key = read_key(bag))
            f.key = *key;
        f.version = read_version(bag);
        if (bag.bad())
            return BadRecord{f.tag, f.generation, f.txn, f.change, *bag.bad()};
        return f;
    }
    case Type::Ack: return Ack{bag.need(kTxn)};
    case Type::Nack: return read_nack(bag);
    case Type::Seq: return Seq{bag.tag(), bag.need(kGeneration), bag.need(kTaken), bag.number(kLast, 1) != 0, read_sas(bag)};
    case Type::Frozen:
        return Frozen{bag.tag(), bag.need(kGeneration), bag.need(kHandover), bag.number(kFirst, 1) != 0, bag.number(kLast, 1) != 0, read_sas(bag)};
    case Type::FrozenAck: return FrozenAck{bag.tag(), bag.need(kHandover)};
    case Type::Status: return read_status(bag);
    case Type::Keepalive: return Keepalive{bag.need(kClock), bag.number(kEcho), bag.number(kWantReply) != 0};
    case Type::Bye: return Bye{static_cast<std::uint32_t>(bag.number(kFlags)), bag.get(kReason).text(kMaxReason)};
    case Type::Propose: return read_propose(bag);
    case Type::Traffic: return read_traffic(bag);
    case Type::Ended: return read_ended(bag);
    }
    return fail(-EOPNOTSUPP, "frame type " + std::to_string(raw(type)) + " is not known");
}

}  // namespace

Expected<Frame> decode(const RawFrame &raw_frame)
{
    Bag bag(raw_frame.body);
    // A body that is not made of fields: nothing behind it can be trusted.
    if (bag.bad())
        return fail(-EPROTO, *bag.bad());
    auto f = read(static_cast<Type>(raw_frame.type), bag);
    if (f && bag.bad() && !std::holds_alternative<BadRecord>(*f)) {
        // Entries are numbered: one that cannot be numbered breaks the stream.
        const auto type = static_cast<Type>(raw_frame.type);
        const bool numbered = type == Type::Entry || type == Type::Delete || type == Type::SnapshotEnd;
        return fail(numbered ? -EPROTO : -EBADMSG, "frame type " + std::to_string(raw_frame.type) + ": " + *bag.bad());
    }
    return f;
}

void encode(SecretBuffer &out, const Hello &f)
{
    FrameWriter w(out, raw(Type::Hello));
    w.u16(kProtocolId, f.protocol);
    if (f.protocol > 1)
        w.u16(kProtocolOldest, f.protocol_oldest);
    w.text(kAppVersion, f.app_version);
    w.u64(kEpoch, f.db_epoch);
    w.u64(kMimpOwn, f.mimp_own);
    w.u64(kMimpPeer, f.mimp_peer);
}

void encode(SecretBuffer &out, const Config &f)
{
    FrameWriter w(out, raw(Type::Config));
    w.text(kTag, f.tag);
    for (std::size_t i = 0; i < std::min(f.items.size(), kMaxItems); i++) {
        const auto mark = w.begin(kItem);
        w.text(kName, std::string_view(f.items[i].name).substr(0, kMaxName));
        w.bytes(kDigest, ByteView(f.items[i].digest).subspan(0, std::min<std::size_t>(64, f.items[i].digest.size())));
        w.end(mark);
    }
}

void encode(SecretBuffer &out, const Offer &f)
{
    FrameWriter w(out, raw(Type::Offer));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kSerial, f.serial);
    w.u64(kChange, f.last_change);
    w.u64(kEntries, f.entries);
    w.u64(kInherits, f.inherits);
}

void encode(SecretBuffer &out, const Resync &f)
{
    FrameWriter w(out, raw(Type::Resync));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kSerial, f.serial);
    w.u8(kMode, raw(f.mode));
    w.u64(kFrom, f.from);
    w.bytes(kMask, f.mask);
    w.u8(kRepair, f.repair);
}

void encode(SecretBuffer &out, const Digest &f)
{
    FrameWriter w(out, raw(Type::Digest));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kSerial, f.serial);
    w.u64(kChange, f.change);
    w.u64(kEntries, f.entries);
    w.u8(kAudit, f.audit);
    auto b = w.space(kBucketsId, kBuckets * 8);
    for (std::size_t i = 0; i < kBuckets; i++)
        put_be(b.subspan(i * 8, 8), f.buckets[i]);
}

void encode(SecretBuffer &out, const SnapshotBegin &f)
{
    FrameWriter w(out, raw(Type::SnapshotBegin));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kSerial, f.serial);
    w.u64(kFrom, f.from);
    w.u64(kTarget, f.target);
    w.bytes(kMask, f.mask);
    w.u8(kRepair, f.repair);
}

void encode(SecretBuffer &out, const SnapshotEnd &f)
{
    FrameWriter w(out, raw(Type::SnapshotEnd));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kTxn, f.txn);
    w.u64(kTarget, f.target);
}

namespace {

void write_record(FrameWriter &w, const Entry &e)
{
    write_key(w, e.key);
    write_version(w, e.version);
    if (e.parent)
        w.bytes(kParent, e.parent->view());
    w.text(kName, e.name);
    w.text(kInfo, e.info);
    if (e.inbound_age_ms)
        w.u32(kInboundAge, *e.inbound_age_ms);
    w.bytes(kData, e.data.view());
    w.raw(e.extra.view());
}

void write_children(FrameWriter &w, std::span<const Key> children)
{
    if (children.empty())
        return;
    auto keys = w.space(kChildren, children.size() * kChildKeySize);
    for (const auto &key : children) {
        std::copy_n(key.view().begin(), kChildKeySize, keys.begin());
        keys = keys.subspan(kChildKeySize);
    }
}

}  // namespace

void encode_entry(SecretBuffer &out, const std::string &tag, Generation generation, std::uint64_t txn, const Entry &e)
{
    FrameWriter w(out, raw(Type::Entry));
    w.text(kTag, tag);
    w.u64(kGeneration, generation);
    w.u64(kTxn, txn);
    w.u64(kChange, e.change);
    write_record(w, e);
}

void encode_propose(SecretBuffer &out, const std::string &tag, Generation generation, const Entry &e, std::span<const Key> children)
{
    FrameWriter w(out, raw(Type::Propose));
    w.text(kTag, tag);
    w.u64(kGeneration, generation);
    write_children(w, children);
    write_record(w, e);
}

void encode(SecretBuffer &out, const Delete &f)
{
    FrameWriter w(out, raw(Type::Delete));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kTxn, f.txn);
    w.u64(kChange, f.change);
    write_key(w, f.key);
    write_version(w, f.version);
}

void encode(SecretBuffer &out, const Ack &f)
{
    FrameWriter w(out, raw(Type::Ack));
    w.u64(kTxn, f.txn);
}

void encode(SecretBuffer &out, const Nack &f)
{
    FrameWriter w(out, raw(Type::Nack));
    w.text(kTag, f.tag);
    w.u64(kTxn, f.txn);
    w.u8(kWhy, raw(f.why));
    if (f.key)
        write_key(w, *f.key);
    w.text(kReason, std::string_view(f.reason).substr(0, kMaxReason));
}

void encode(SecretBuffer &out, const Seq &f)
{
    FrameWriter w(out, raw(Type::Seq));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kTaken, f.taken);
    w.u8(kLast, f.last);
    write_sas(w, f.sas);
}

void encode(SecretBuffer &out, const Frozen &f)
{
    FrameWriter w(out, raw(Type::Frozen));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    w.u64(kHandover, f.handover);
    w.u8(kFirst, f.first);
    w.u8(kLast, f.last);
    write_sas(w, f.sas);
}

void encode(SecretBuffer &out, const FrozenAck &f)
{
    FrameWriter w(out, raw(Type::FrozenAck));
    w.text(kTag, f.tag);
    w.u64(kHandover, f.handover);
}

void encode(SecretBuffer &out, const Traffic &f)
{
    FrameWriter w(out, raw(Type::Traffic));
    w.text(kTag, f.tag);
    for (const auto &t : f.tunnels) {
        const auto mark = w.begin(kItem);
        w.text(kName, std::string_view(t.tunnel).substr(0, kMaxName));
        const auto counts = w.space(kCounts, kCountsSize);
        write_traffic(counts, t.own);
        write_traffic(counts.subspan(kCountsSize / 2), t.peer);
        w.end(mark);
    }
}

void encode(SecretBuffer &out, const Ended &f)
{
    FrameWriter w(out, raw(Type::Ended));
    w.text(kTag, f.tag);
    w.u64(kGeneration, f.generation);
    write_key(w, f.key);
    write_version(w, f.version);
    if (f.age_ms)
        w.u32(kInboundAge, *f.age_ms);
    write_children(w, f.children);
}

void encode(SecretBuffer &out, const Status &f)
{
    FrameWriter w(out, raw(Type::Status));
    w.text(kTag, f.tag);
    w.u64(kEntries, f.gauges.entries);
    w.u64(kLocalDeleted, f.gauges.local_deleted);
    w.u64(kAlarmed, f.gauges.alarmed);
    w.u64(kInstalled, f.gauges.installed);
    w.u64(kInstalling, f.gauges.installing);
    w.u64(kAwaitConf, f.gauges.await_conf);
    w.u64(kFailed, f.gauges.failed);
    w.u8(kState, raw(f.state));
    w.u64(kGeneration, f.generation);
    w.u8(kActing, f.acting);
    w.u8(kMastership, raw(f.mastership));
    w.u64(kPending, f.pending);
    for (std::size_t i = 0; i < std::min(f.reasons.size(), kMaxReasons); i++)
        w.text(kReason, std::string_view(f.reasons[i]).substr(0, kMaxReason));
}

void encode(SecretBuffer &out, const Keepalive &f)
{
    FrameWriter w(out, raw(Type::Keepalive));
    w.u64(kClock, f.clock);
    w.u64(kEcho, f.echo);
    w.u8(kWantReply, f.want_reply);
}

void encode(SecretBuffer &out, const Bye &f)
{
    FrameWriter w(out, raw(Type::Bye));
    w.u32(kFlags, f.flags);
    w.text(kReason, std::string_view(f.reason).substr(0, kMaxReason));
}

}  // namespace mcipsec::mcs::frame
