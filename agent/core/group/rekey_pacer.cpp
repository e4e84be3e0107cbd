// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/rekey_pacer.hpp"

#include <algorithm>

namespace mcipsec::group {

Duration RekeyPacer::gap()
{
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const double unit = static_cast<double>(random_ >> 11) / static_cast<double>(1ULL << 53);
    const double interval = 1e9 / pace_.rate;
    return Duration(static_cast<std::int64_t>(interval * (1.0 + pace_.jitter * (unit - 0.5))));
}

void RekeyPacer::start(std::vector<Bytes> children, Time now)
{
    cancel();
    total_ = children.size();
    done_ = failed_ = 0;
    for (auto &c : children)
        queue_.push_back({std::move(c), 0});
    next_start_ = now;
}

void RekeyPacer::cancel()
{
    queue_.clear();
    waiting_.clear();
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
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
        queue_.push_back(std::move(waiting_.begin()->second));
        waiting_.erase(waiting_.begin());
    }
    std::vector<Bytes> out;
    while (!queue_.empty() && flying_.size() < pace_.in_flight && next_start_ <= now) {
        Item item = std::move(queue_.front());
        queue_.pop_front();
        flying_[item.key] = {item.tries + 1, now + pace_.timeout};
        out.push_back(std::move(item.key));
        next_start_ = std::max(next_start_, now - gap()) + gap();
    }
    return out;
}

Time RekeyPacer::deadline() const
{
    Time t = kNever;
    if (!queue_.empty() && flying_.size() < pace_.in_flight)
        t = next_start_;
    if (!waiting_.empty())
        t = std::min(t, waiting_.begin()->first);
    for (const auto &[key, flight] : flying_)
        t = std::min(t, flight.expires);
    return t;
}

void RekeyPacer::finished(const Bytes &child)
{
    const bool flew = flying_.erase(child) > 0;
    const auto queued = std::find_if(queue_.begin(), queue_.end(), [&](const Item &i) { return i.key == child; });
    const auto later = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto &w) { return w.second.key == child; });
    if (queued != queue_.end())
        queue_.erase(queued);
    else if (later != waiting_.end())
        waiting_.erase(later);
    else if (!flew)
        return;
    ++done_;
}

void RekeyPacer::busy(const Bytes &child, Time now)
{
    const auto it = flying_.find(child);
    if (it == flying_.end())
        return;
    const Item item{child, it->second.tries};
    flying_.erase(it);
    again(item, now + pace_.retry);
}

void RekeyPacer::missing(const Bytes &child) { finished(child); }

RekeyProgress RekeyPacer::progress() const
{
    return {total_, done_, flying_.size(), queue_.size() + waiting_.size(), failed_};
}

}  // namespace mcipsec::group
