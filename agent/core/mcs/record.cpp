// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mcs/record.hpp"

#include <cerrno>

namespace mcipsec::mcs {
namespace {

// A 64-bit finalizer (xor-shift, multiply): every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

std::uint64_t absorb(std::uint64_t h, std::uint64_t v) { return mix(h + 0x9e3779b97f4a7c15ull + v); }

// Byte order is fixed: both chassis must compute the same buckets.
std::uint64_t load(const std::uint8_t *p)
{
    std::uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

}  // namespace

std::string_view to_string(Kind kind)
{
    return kind == Kind::IkeSa ? "ike" : "child";
}

std::string Key::str() const
{
    return std::string(to_string(kind)) + " " + to_hex(view());
}

Expected<Key> Key::make(Kind kind, ByteView bytes)
{
    Key key;
    key.kind = kind;
    if (kind != Kind::IkeSa && kind != Kind::ChildSa)
        return fail(-EINVAL, "record kind is neither ike nor child");
    if (bytes.size() != key.size())
        return fail(-EINVAL, std::string(to_string(kind)) + " key has " + std::to_string(bytes.size()) + " bytes, not " + std::to_string(key.size()));
    std::memcpy(key.bytes.data(), bytes.data(), bytes.size());
    return key;
}

std::uint64_t hash(const Key &key)
{
    return absorb(absorb(absorb(0, static_cast<std::uint64_t>(key.kind)), load(key.bytes.data())), load(key.bytes.data() + 8));
}

Relation relation(const Version &candidate, const Version &held)
{
    if (candidate == held)
        return Relation::Same;
    if (candidate.generation != held.generation)
        return candidate.generation > held.generation ? Relation::Newer : Relation::Older;
    if (candidate.lineage != held.lineage)
        return Relation::Other;
    return candidate.version > held.version ? Relation::Newer : Relation::Older;
}

std::string_view to_string(LocalStatus status)
{
    switch (status) {
    case LocalStatus::Pending: return "pending";
    case LocalStatus::Installing: return "installing";
    case LocalStatus::Installed: return "installed";
    case LocalStatus::AwaitConf: return "await-conf";
    case LocalStatus::Failed: return "failed";
    case LocalStatus::LocalDeleted: return "local-deleted";
    }
    return "unknown";
}

std::uint64_t fingerprint(const Entry &entry)
{
    const auto &v = entry.version;
    return absorb(absorb(absorb(hash(entry.key), v.generation), v.lineage), v.version);
}

}  // namespace mcipsec::mcs
