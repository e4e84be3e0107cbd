// SPDX-License-Identifier: GPL-2.0-or-later
// One BFD session: the state machine of RFC 5880 section 6.8. Numbers in
// comments are its sections.
#include "core/bfd/session.hpp"

#include <algorithm>
#include <cerrno>

namespace mcipsec::bfd {

namespace {

Duration us(std::uint32_t v) { return std::chrono::microseconds(v); }

std::uint32_t to_us(Duration d)
{
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

template <typename... F>
struct Overloaded : F... { using F::operator()...; };
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

Expected<void> Session::validate(const Config &c)
{
    if (c.transmit < 10ms || c.transmit > 100s)
        return fail(-ERANGE, "bfd transmit: allowed are 10 to 100000 ms");
    if (c.receive < 10ms || c.receive > 100s)
        return fail(-ERANGE, "bfd receive: allowed are 10 to 100000 ms");
    if (c.multiplier < 1 || c.multiplier > 20)
        return fail(-ERANGE, "bfd multiplier: allowed are 1 to 20");
    return {};
}

Session::Session(Config config, std::uint32_t discriminator, std::uint64_t entropy, std::shared_ptr<const Keys> keys)
    : config_(config), local_disc_(discriminator), random_(entropy | 1), keys_(std::move(keys)), active_rx_(config.receive)
{
    active_tx_ = desired_tx();
    tx_sequence_ = static_cast<std::uint32_t>(next_random() >> 32);     // 6.8.1
}

// xorshift64: spreads packets, hides nothing.
std::uint64_t Session::next_random()
{
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
}

// 6.8.3: not below one second while the session is not up.
Duration Session::desired_tx() const
{
    return state_ == State::Up ? config_.transmit : std::max(config_.transmit, config_.slow);
}

// 6.8.7
Duration Session::transmit_interval() const { return std::max(active_tx_, remote_min_rx_); }

// 6.8.4
Duration Session::detection() const
{
    return remote_mult_ ? std::max(active_rx_, remote_desired_tx_) * remote_mult_ : Duration::zero();
}

// What the remote computes for us: our multiplier and the agreed interval.
Duration Session::remote_detection() const { return remote_mult_ ? transmit_interval() * config_.multiplier : Duration::zero(); }

void Session::schedule(Time now)
{
    // 6.8.7: no periodic packets if the remote asks for none; 75 to 100 % of the interval, 75 to 90 % with multiplier 1.
    if (!started_ || remote_min_rx_ == Duration::zero()) {
        next_tx_ = kNever;
        return;
    }
    const Duration interval = transmit_interval();
    const unsigned span = config_.multiplier == 1 ? 15 : 25;
    const auto percent = static_cast<std::int64_t>(75 + next_random() % (span + 1));
    next_tx_ = now + interval * percent / 100;
}

void Session::transmit(bool final, Actions &out)
{
    ControlPacket p;
    p.diag = diag_;
    p.state = state_;
    p.final = final;
    p.poll = polling_ && !final;                // 6.5: never both
    p.detect_mult = config_.multiplier;
    p.my_discriminator = local_disc_;
    p.your_discriminator = remote_disc_;
    p.desired_min_tx = to_us(desired_tx());
    p.required_min_rx = to_us(config_.receive);
    ++counters_.tx;
    if (keys_) {
        out.push_back(SendPacket{encode_signed(p, keys_->tx.view(), ++tx_sequence_)});
    } else {
        const auto bytes = encode(p);
        out.push_back(SendPacket{Bytes(bytes.begin(), bytes.end())});
    }
}

void Session::note_timing(Actions &out)
{
    if (state_ != State::Up)
        return;
    if (told_interval_ == transmit_interval() && told_detection_ == remote_detection())
        return;
    told_interval_ = transmit_interval();
    told_detection_ = remote_detection();
    out.push_back(TimingChanged{told_interval_, told_detection_});
}

void Session::set_state(State s, Diag diag, Actions &out)
{
    const State old = state_;
    state_ = s;
    diag_ = diag;
    if (old == s)
        return;
    if (s == State::Up) {
        polling_ = true;                        // 6.8.3: our interval falls from slow to configured
        active_tx_ = desired_tx();              // a smaller one may be used at once (6.8.3)
        remote_admin_ = false;
        reported_up_ = true;
        ++counters_.ups;
        out.push_back(Up{});
    } else if (old == State::Up) {
        begin_anew();
        polling_ = false;
        active_tx_ = desired_tx();
        active_rx_ = config_.receive;
        told_interval_ = told_detection_ = Duration::zero();
    }
}

Actions Session::step(const Event &event, Time now)
{
    Actions out;
    std::visit(Overloaded{
                   [&](const Start &) {
                       if (!started_) {
                           started_ = true;
                           next_tx_ = now;
                       }
                   },
                   [&](const PacketIn &e) {
                       if (!started_)
                           return;
                       const auto p = decode(e.bytes);
                       if (!p) {
                           ++counters_.bad_packet;
                           return;
                       }
                       if (rx_sequence_ && now >= rx_sequence_until_)
                           begin_anew();                // 6.8.1: nothing for twice the detection time
                       if (ours(*p) && authentic(*p, e.bytes, now))
                           receive(*p, now, out);
                   },
                   [&](const Timer &) {},
                   [&](const AdminDown &e) {
                       if (e.on && state_ != State::AdminDown) {        // 6.8.16
                           set_state(State::AdminDown, Diag::AdminDown, out);
                           detect_at_ = kNever;
                           reported_up_ = remote_admin_ = false;
                           next_tx_ = now;
                       } else if (!e.on && state_ == State::AdminDown) {
                           set_state(State::Down, Diag::None, out);
                           next_tx_ = now;
                       }
                   },
                   [&](const Reconfigure &e) {
                       const bool slower_tx = e.config.transmit > config_.transmit;
                       const bool faster_rx = e.config.receive < config_.receive;
                       config_ = e.config;
                       if (state_ == State::Up) {
                           polling_ = true;
                           // 6.8.3: a larger transmit or smaller receive interval holds from the end of the Poll Sequence.
                           if (!slower_tx)
                               active_tx_ = desired_tx();
                           if (!faster_rx)
                               active_rx_ = config_.receive;
                           next_tx_ = std::min(next_tx_, now);
                       } else {
                           active_tx_ = desired_tx();
                           active_rx_ = config_.receive;
                       }
                   },
               },
               event);
    if (!started_)
        return out;

    if (now >= detect_at_) {                    // 6.8.4
        detect_at_ = kNever;
        remote_disc_ = 0;                       // 6.8.1
        remote_min_rx_ = us(1);
        const bool was_up = reported_up_ && !remote_admin_;
        const bool never_came_back = remote_admin_ && remote_state_ != State::AdminDown;
        if (state_ == State::Init || state_ == State::Up) {
            set_state(State::Down, Diag::DetectionExpired, out);
            next_tx_ = std::min(next_tx_, now);
        }
        if (was_up || never_came_back) {
            reported_up_ = remote_admin_ = false;
            ++counters_.downs;
            out.push_back(Down{Diag::DetectionExpired});
        }
        remote_state_ = State::Down;
        remote_mult_ = 0;
    }
    if (now >= next_tx_) {
        transmit(false, out);
        schedule(now);
    }
    return out;
}

// What the remote sends next may be of another life, with other numbers. So that
// nothing recorded so far can pass for it, it has to learn a new discriminator.
void Session::begin_anew()
{
    rx_sequence_.reset();
    do
        local_disc_ = static_cast<std::uint32_t>(next_random() >> 32);
    while (local_disc_ == 0);
}

// Meant for this session, and if that is up, from somebody whom it has answered.
bool Session::ours(const ControlPacket &p)
{
    if (p.your_discriminator == local_disc_ || (p.your_discriminator == 0 && state_ != State::Up))
        return true;
    ++counters_.bad_discriminator;
    return false;
}

// 6.7.4, with one rule more: a packet without our discriminator may be an old
// recording, so its number is not taken for the remote's.
bool Session::authentic(const ControlPacket &p, ByteView bytes, Time now)
{
    const auto bad = [&] {
        ++counters_.bad_auth;
        return false;
    };
    if (!keys_)
        return p.auth ? bad() : true;
    const auto sequence = verify(bytes, keys_->rx.view());
    if (!sequence)
        return bad();
    if (p.your_discriminator != local_disc_)
        return true;
    // A remote that left in order may be back with other numbers, and know ours.
    if (state_ != State::Up && p.my_discriminator != rx_sequence_of_)
        rx_sequence_.reset();
    if (rx_sequence_ && (*sequence == *rx_sequence_ || *sequence - *rx_sequence_ > 3u * p.detect_mult))
        return bad();
    rx_sequence_ = sequence;
    rx_sequence_of_ = p.my_discriminator;
    rx_sequence_until_ = now + 2 * std::max(active_rx_, us(p.desired_min_tx)) * p.detect_mult;
    return true;
}

void Session::receive(const ControlPacket &p, Time now, Actions &out)
{
    ++counters_.rx;
    last_rx_ = now;
    remote_disc_ = p.my_discriminator;
    remote_state_ = p.state;
    remote_desired_tx_ = us(p.desired_min_tx);
    remote_mult_ = p.detect_mult;
    const Duration old_min_rx = remote_min_rx_;
    remote_min_rx_ = us(p.required_min_rx);
    if (p.final && polling_) {                  // 6.5: the Poll Sequence ends
        polling_ = false;
        active_tx_ = desired_tx();
        active_rx_ = config_.receive;
    }

    if (state_ == State::AdminDown)             // 6.8.6: discarded from here
        return;

    const State before = state_;
    if (p.state == State::AdminDown) {
        if (state_ != State::Down)
            set_state(State::Down, Diag::NeighborSignaledDown, out);
        if (!remote_admin_) {
            remote_admin_ = true;
            reported_up_ = false;
            out.push_back(RemoteAdminDown{});
        }
    } else {
        switch (state_) {
        case State::Down:
            if (p.state == State::Down)
                set_state(State::Init, Diag::None, out);
            else if (p.state == State::Init)
                set_state(State::Up, Diag::None, out);
            break;
        case State::Init:
            if (p.state == State::Init || p.state == State::Up)
                set_state(State::Up, Diag::None, out);
            break;
        case State::Up:
            if (p.state == State::Down) {
                set_state(State::Down, Diag::NeighborSignaledDown, out);
                if (reported_up_) {
                    reported_up_ = false;
                    ++counters_.downs;
                    out.push_back(Down{Diag::NeighborSignaledDown});
                }
            }
            break;
        case State::AdminDown:
            break;
        }
    }
    detect_at_ = now + detection();

    if (p.poll)
        transmit(true, out);
    if (state_ != before)
        next_tx_ = now;                         // tell at once
    else if (remote_min_rx_ != old_min_rx && remote_min_rx_ < old_min_rx)
        next_tx_ = std::min(next_tx_, now + transmit_interval());
    else if (next_tx_ == kNever)
        schedule(now);
    note_timing(out);
}

Time Session::deadline() const { return started_ ? std::min(next_tx_, detect_at_) : kNever; }

Snapshot Session::snapshot() const
{
    Snapshot s;
    s.state = state_;
    s.diag = diag_;
    s.remote_state = remote_state_;
    s.local_discriminator = local_disc_;
    s.remote_discriminator = remote_disc_;
    s.transmit_interval = transmit_interval();
    s.detection = detection();
    s.remote_detection = remote_detection();
    s.last_rx = last_rx_;
    s.counters = counters_;
    return s;
}

}  // namespace mcipsec::bfd
