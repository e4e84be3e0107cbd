// SPDX-License-Identifier: GPL-2.0-or-later
// Packets of a MIMP session: source, lengths, HMAC, epoch, sequence, in this
// order; echo and freshness; what goes out and when.
//
// Why a sequence number can be the challenge: whoever echoes our number n in an
// authenticated packet has received our packet n, hence lived after we sent it.
// An old packet of the peer, replayed, can echo only numbers that were old when
// it was made. live_floor_ is our number when the live session began; an epoch
// that echoes a higher one is therefore younger than the live one.
#include <algorithm>

#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

void Session::packet_in(const PacketIn &e, Time now, Actions &out)
{
    if (e.source != config_->peer) {
        ++counters_.bad_source;
        return;
    }
    const auto packet = decode(e.bytes, *auth_);
    if (packet)
        return receive(*packet, e.received == Time{} ? now : std::min(e.received, now), now, out);
    switch (packet.error()) {
    case DecodeError::Truncated:
    case DecodeError::BadLength: ++counters_.bad_length; break;
    case DecodeError::BadVersion: ++counters_.bad_version; break;
    case DecodeError::BadMac: ++counters_.bad_mac; break;
    case DecodeError::BadField: ++counters_.bad_field; break;
    }
    out.push_back(LogEntry{LogLevel::Debug, 0, "MIMP packet dropped: " + std::string(to_string(packet.error()))});
}

std::optional<Time> Session::sent_at(std::uint64_t sequence) const
{
    std::optional<Time> at;
    for (const auto &m : marks_) {
        if (m.first > sequence)
            break;
        at = m.at;
    }
    return at;
}

void Session::receive(const Packet &p, Time received, Time now, Actions &out)
{
    if (p.epoch == epoch_) {
        ++counters_.own_epoch;
        return;
    }
    const auto heard = [&] {
        heard_at_ = now;
        heard_arrival_ = received;
    };
    if (p.epoch == live_epoch_) {
        if (p.sequence <= live_sequence_) {
            ++counters_.replayed;
            return;
        }
        heard();
        return accept(p, received, now, out);
    }

    ++counters_.unknown_epoch;
    bool proof = p.echo_epoch == epoch_ && p.echo_sequence > std::max(live_floor_, wake_floor_) && p.echo_sequence <= sequence_;
    if (proof) {
        const auto at = sent_at(p.echo_sequence);
        proof = at && now < *at + config_->detection();
    }
    if (!proof && p.epoch == pending_epoch_ && p.sequence <= pending_sequence_) {
        ++counters_.replayed;
        return;
    }
    heard();
    if (proof)
        return establish(p, received, now, out);
    pending_epoch_ = p.epoch;
    pending_sequence_ = p.sequence;
    pending_until_ = now + config_->detection();
    if (p.request)      // the challenge: our next number, to be echoed under its epoch
        send(now, true, true, p.epoch, p.sequence, out);
}

void Session::establish(const Packet &p, Time received, Time now, Actions &out)
{
    const bool replaced = live_epoch_ != 0;
    live_epoch_ = p.epoch;
    live_sequence_ = 0;
    live_floor_ = sequence_;
    echo_ = 0;
    pending_epoch_ = 0;
    for (auto &g : groups_) {
        if (replaced)
            handover_clear(g, Refusal::PeerRestarted, out);
        g.peer_known = false;
    }
    peer_version_ = p.version;
    peer_mcs_ = p.mcs;
    peer_mcs_oldest_ = p.mcs_oldest;
    if (p.version != kProtocol.mimp)
        out.push_back(LogEntry{LogLevel::Notice, 0, "the peer speaks MIMP version " + std::to_string(p.version) + ", this node " +
                                                        std::to_string(kProtocol.mimp) + ": what both know is used"});
    out.push_back(PeerSession{});
    if (replaced)
        out.push_back(PeerRestarted{});
    accept(p, received, now, out);
}

void Session::accept(const Packet &p, Time received, Time now, Actions &out)
{
    ++counters_.rx;
    live_sequence_ = p.sequence;
    last_rx_ = received;
    if (p.echo_epoch == epoch_ && p.echo_sequence > sequence_) {
        ++counters_.bad_field;
    } else if (p.echo_epoch == epoch_ && p.echo_sequence > echo_) {
        echo_ = p.echo_sequence;
        const auto at = sent_at(echo_);
        if (at && echo_ > wake_floor_ && now < *at + config_->detection())
            fresh_until_ = std::max({fresh_until_, *at + config_->detection(), grace_until_});
    }
    if (p.answer && p.echo_epoch == epoch_ && p.echo_sequence == request_sequence_ && request_sequence_) {
        rtt_ = received - request_at_;
        if (p.clock && wall_offset_)
            skew_ = static_cast<std::int64_t>(p.clock) - (received.time_since_epoch().count() + wall_offset_ - rtt_.count() / 2);
    }
    if (p.restart_hold_ms && Duration(std::chrono::milliseconds(*p.restart_hold_ms)) <= kRestartHoldMax) {
        if (now < fresh_until_)
            peer_hold_until_ = now + std::chrono::milliseconds(*p.restart_hold_ms);
    } else {
        peer_hold_until_ = Time{};
    }
    if (p.request)
        answer_due_ = true;
    take_adverts(p, out);
}

void Session::take_adverts(const Packet &p, Actions &out)
{
    std::size_t matched = 0;
    for (auto &g : groups_) {
        const auto it = std::find_if(p.groups.begin(), p.groups.end(), [&](const GroupAdvert &a) { return a.id == g.config.peer_group; });
        const bool known = it != p.groups.end() && it->peer_group == g.config.id;
        const bool mismatch = it != p.groups.end() && !known;
        if (mismatch && !g.mismatch)
            out.push_back(LogEntry{LogLevel::Warning, g.config.id,
                                   "peer-group mismatch: the peer pairs its tunnel-group " + std::to_string(it->id) +
                                       " with our " + std::to_string(it->peer_group)});
        g.mismatch = mismatch;
        if (known) {
            ++matched;
            GroupAdvert heard = *it;
            heard.reached = heard.reached && p.echo_epoch == epoch_;    // else it speaks of our last life
            g.announced |= !g.peer_known || g.peer != heard;
            g.peer = heard;
        } else {
            g.announced |= g.peer_known;
        }
        g.peer_known = known;
    }
    counters_.bad_group += p.groups.size() - matched;
}

GroupAdvert Session::advert(const Group &g) const
{
    GroupAdvert a;
    a.id = g.config.id;
    a.peer_group = g.config.peer_group;
    a.priority = g.shown_priority;
    a.state = g.state;
    a.active_members = g.shown_members;
    a.oper_up = g.oper_up;
    a.acting = acting_master(g.state);
    a.nominal = g.nominal;
    a.shutdown = g.shutdown;
    a.prepared = g.prepared;
    a.reached = group_reached(g);
    a.phase = g.phase;
    a.generation = g.generation;
    a.handover = g.handover;
    a.ignoring = g.leading && g.ignoring;
    return a;
}

bool Session::changed() const
{
    return std::any_of(groups_.begin(), groups_.end(), [&](const Group &g) { return advert(g) != g.sent; });
}

void Session::send(Time now, bool request, bool answer, std::uint64_t echo_epoch, std::uint64_t echo_sequence, Actions &out)
{
    Packet p;
    p.request = request;
    p.answer = answer;
    p.epoch = epoch_;
    p.sequence = ++sequence_;
    p.echo_epoch = echo_epoch;
    p.echo_sequence = echo_epoch ? echo_sequence : 0;
    if (kProtocol.mimp > 1) {
        p.mcs = kProtocol.mcs;
        p.mcs_oldest = kProtocol.mcs_oldest;
    }
    if (wall_offset_)
        p.clock = static_cast<std::uint64_t>(now.time_since_epoch().count() + wall_offset_);
    if (restart_until_ > now)
        p.restart_hold_ms = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(restart_until_ - now).count());
    // A challenge goes to whom we do not know: it must not count as told to the live session.
    const bool challenge = live_epoch_ && echo_epoch != live_epoch_;
    p.groups.reserve(groups_.size());
    for (auto &g : groups_) {
        p.groups.push_back(advert(g));
        if (challenge)
            p.groups.back().reached = false;    // we reach another epoch, not this one
        else
            g.sent = p.groups.back();
        const Inputs in = inputs(g);
        if (g.inputs_sequence == 0 || in != g.sent_inputs) {
            g.sent_inputs = in;
            g.inputs_sequence = sequence_;
        }
    }

    // Marks: a number's time is that of the newest mark not above it, so never too young.
    const Duration detection = config_->detection();
    if (marks_.empty() || now - marks_.back().at >= detection / 48)
        marks_.push_back({sequence_, now});
    while (marks_.size() > 1 && marks_[1].at + detection <= now)
        marks_.erase(marks_.begin());

    if (!challenge) {
        if (request) {
            request_sequence_ = sequence_;
            request_at_ = now;
        }
        answer_due_ = false;
        force_send_ = false;
    }
    // Whoever hears this packet counts us as reached from when it sent what we echo, which was before
    // that arrived. After a while of silence there is nobody whose detection could run.
    vouched_ = std::max(vouched_, now <= served_until() ? heard_arrival_ : now);
    if (!config_->bfd_enable) {
        lease_expiry_ = std::max(lease_expiry_, vouched_ + detection - guard_);
        if (restart_answered_ && restart_until_ > now)
            lease_expiry_ = std::max(lease_expiry_, restart_until_ - guard_);
        out.push_back(RenewLease{lease_expiry_});
    }
    ++counters_.tx;
    out.push_back(SendPacket{encode(p, *auth_)});
}

}  // namespace mcipsec::mimp
