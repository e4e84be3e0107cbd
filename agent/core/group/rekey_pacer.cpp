// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/rekey_pacer.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mcipsec::group {

Duration RekeyPacer::delay()
{
    random_ ^= random_ << 13;       // xorshift64
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const double unit = static_cast<double>(random_ >> 11) / static_cast<double>(1ULL << 53);
    return Duration(static_cast<std::int64_t>(static_cast<double>(pace_.jitter.count()) * unit));
}

void RekeyPacer::start(std::vector<Bytes> children, Time now)
{
    cancel();
    total_ = children.size();
    done_ = failed_ = 0;
    Time at = now;
    for (auto &c : children) {
        waiting_.emplace(at + delay(), Item{std::move(c), 0});
        at += gap();
    }
    next_start_ = now;
}

void RekeyPacer::start_held(std::vector<Bytes> children)
{
    start({}, Time{});
    total_ = children.size();
    held_.insert(std::make_move_iterator(children.begin()), std::make_move_iterator(children.end()));
}

void RekeyPacer::release(Time now)
{
    for (const auto &child : std::exchange(held_, {})) {
        waiting_.emplace(now + delay(), Item{child, 0});
        now += gap();
    }
}

bool RekeyPacer::add(const Bytes &child, Time now)
{
    const bool known = held_.contains(child) || flying_.contains(child) ||
                       std::any_of(waiting_.begin(), waiting_.end(), [&](const auto &item) { return item.second.key == child; });
    if (known)
        return false;
    ++total_;
    if (held_.empty())
        waiting_.emplace(now + delay(), Item{child, 0});
    else
        held_.insert(child);
    return true;
}

void RekeyPacer::cancel()
{
    waiting_.clear();
    held_.clear();
    flying_.clear();
    total_ = done_ + failed_;
}

void RekeyPacer::again(Item item, Time at)
{
    if (item.tries >= pace_.attempts)
        ++failed_;
    else
        waiting_.emplace(at, std::move(item));
}

std::vector<Bytes> RekeyPacer::due(Time now)
{
    for (auto it = flying_.begin(); it != flying_.end();) {
        if (it->second.expires <= now) {
            again({it->first, it->second.tries}, now);
            it = flying_.erase(it);
        } else {
            ++it;
        }
    }
    std::vector<Bytes> out;
    while (!waiting_.empty() && waiting_.begin()->first <= now && flying_.size() < pace_.in_flight && next_start_ <= now) {
        Item item = std::move(waiting_.begin()->second);
        waiting_.erase(waiting_.begin());
        flying_[item.key] = {item.tries + 1, now + pace_.timeout};
        out.push_back(std::move(item.key));
        next_start_ = std::max(next_start_, now - gap()) + gap();   // at most one late start is made up for
    }
    return out;
}

Time RekeyPacer::deadline() const
{
    Time t = kNever;
    if (!waiting_.empty() && flying_.size() < pace_.in_flight)
        t = std::max(waiting_.begin()->first, next_start_);
    for (const auto &[key, flight] : flying_)
        t = std::min(t, flight.expires);
    return t;
}

void RekeyPacer::finished(const Bytes &child)
{
    if (!flying_.erase(child) && !held_.erase(child)) {
        const auto later = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto &w) { return w.second.key == child; });
        if (later == waiting_.end())
            return;
        waiting_.erase(later);
    }
    ++done_;
}

void RekeyPacer::busy(const Bytes &child, Time now)
{
    const auto it = flying_.find(child);
    if (it == flying_.end())
        return;
    waiting_.emplace(now + pace_.retry, Item{child, it->second.tries - 1});     // no rekey began
    flying_.erase(it);
}

void RekeyPacer::missing(const Bytes &child) { finished(child); }

RekeyProgress RekeyPacer::progress() const
{
    return {total_, done_, flying_.size(), waiting_.size() + held_.size(), failed_};
}

}  // namespace mcipsec::group
