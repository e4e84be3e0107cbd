// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mcs/db.hpp"

namespace mcipsec::mcs {

BucketMask all_buckets()
{
    BucketMask m;
    m.fill(0xff);
    return m;
}

BucketMask difference(const Buckets &a, const Buckets &b)
{
    BucketMask m{};
    for (std::size_t i = 0; i < kBuckets; i++)
        if (a[i] != b[i])
            set(m, i);
    return m;
}

bool any(const BucketMask &m)
{
    return m != BucketMask{};
}

Entry *Db::find(const Key &key)
{
    const auto it = map_.find(key);
    return it == map_.end() ? nullptr : &it->second;
}

const Entry *Db::find_live(const Key &key) const
{
    const auto *e = find(key);
    return e && !e->tombstone ? e : nullptr;
}

// Adds (or takes away) what a live entry contributes to gauges and buckets.
void Db::count(const Entry &e, std::int64_t by)
{
    if (e.tombstone)
        return;
    const auto n = static_cast<std::uint64_t>(by);
    buckets_[bucket_of(e.key)] ^= fingerprint(e);
    gauges_.entries += n;
    switch (e.status) {
    case LocalStatus::Pending:
    case LocalStatus::Installing: gauges_.installing += n; break;
    case LocalStatus::Installed: gauges_.installed += n; break;
    case LocalStatus::AwaitConf: gauges_.await_conf += n; break;
    case LocalStatus::Failed:
        gauges_.failed += n;
        gauges_.alarmed += n;
        break;
    case LocalStatus::LocalDeleted: gauges_.local_deleted += n; break;
    }
}

void Db::log(Entry &e)
{
    if (e.change) {
        log_.erase(e.change);
        graves_.erase(e.change);
    }
    e.change = ++last_change_;
    log_.emplace(e.change, &e);
    if (e.tombstone)
        graves_.insert(e.change);
}

std::vector<Key> Db::children(const Key &ike) const
{
    const auto it = children_.find(ike);
    return it == children_.end() ? std::vector<Key>() : it->second;
}

void Db::adopt(const Entry &e)
{
    if (!e.tombstone && e.parent)
        children_[*e.parent].push_back(e.key);
}

void Db::disown(const Entry &e)
{
    if (e.tombstone || !e.parent)
        return;
    const auto it = children_.find(*e.parent);
    if (it == children_.end())
        return;
    std::erase(it->second, e.key);
    if (it->second.empty())
        children_.erase(it);
}

Entry &Db::store(Entry &&fresh, bool append)
{
    auto [it, created] = map_.try_emplace(fresh.key);
    Entry &e = it->second;
    if (created) {
        e.key = fresh.key;
        e.tombstone = true;  // contributes nothing yet
    }
    const bool revived = e.tombstone;
    count(e, -1);
    if (!revived && e.parent != fresh.parent)
        disown(e);
    const bool moved = revived || e.parent != fresh.parent;
    e.tombstone = e.leaves = false;
    e.parent = fresh.parent;
    if (moved)
        adopt(e);
    if (!e.own)
        e.base = e.version;
    e.version = fresh.version;
    e.name = std::move(fresh.name);
    e.info = std::move(fresh.info);
    e.name.shrink_to_fit();
    e.info.shrink_to_fit();
    e.data = std::move(fresh.data);
    e.extra = std::move(fresh.extra);
    e.inbound_age_ms = fresh.inbound_age_ms;
    if (revived) {
        e.status = LocalStatus::Pending;
        e.in_charon = false;
    }
    count(e, 1);
    if (append || revived || !e.change)
        log(e);
    return e;
}

Entry &Db::bury(const Key &key, const Version &version)
{
    auto [it, created] = map_.try_emplace(key);
    Entry &e = it->second;
    if (created) {
        e.key = key;
    } else {
        count(e, -1);
        disown(e);
    }
    e.tombstone = true;
    e.version = version;
    e.parent.reset();
    e.name = {};
    e.info = {};
    e.data.wipe();
    e.extra.wipe();
    e.inbound_age_ms.reset();
    log(e);
    return e;
}

void Db::erase(const Key &key)
{
    const auto it = map_.find(key);
    if (it == map_.end())
        return;
    count(it->second, -1);
    disown(it->second);
    log_.erase(it->second.change);
    graves_.erase(it->second.change);
    map_.erase(it);
}

void Db::clear()
{
    log_.clear();
    graves_.clear();
    map_.clear();
    children_.clear();
    buckets_ = {};
    gauges_ = {};
    horizon_ = last_change_;
}

void Db::set_status(Entry &e, LocalStatus status)
{
    if (e.status == status)
        return;
    count(e, -1);
    e.status = status;
    count(e, 1);
}

Entry *Db::next(std::uint64_t after)
{
    const auto it = log_.upper_bound(after);
    return it == log_.end() ? nullptr : it->second;
}

std::size_t Db::trim(std::uint64_t acked, Generation generation, std::size_t max)
{
    std::size_t lost = 0;
    while (!graves_.empty()) {
        const auto change = *graves_.begin();
        const Entry &e = *log_.at(change);
        const bool passed = (!e.own || change <= acked) && e.version.generation < generation;
        if (e.op != Entry::Op::None || e.delete_due || e.leaves || e.rx_txn || (!passed && graves_.size() <= max))
            break;
        lost += !passed;
        horizon_ = std::max(horizon_, change);
        erase(Key(e.key));
    }
    return lost;
}

}  // namespace mcipsec::mcs
