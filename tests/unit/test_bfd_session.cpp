// SPDX-License-Identifier: GPL-2.0-or-later
// BFD: packets byte by byte, the state machine of RFC 5880 section 6.8, two sessions in virtual time.
#include <algorithm>
#include <deque>
#include <functional>

#include "core/bfd/session.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::bfd;

namespace {

ControlPacket down_packet(std::uint32_t mine, std::uint32_t yours)
{
    ControlPacket p;
    p.state = State::Down;
    p.my_discriminator = mine;
    p.your_discriminator = yours;
    return p;
}

void packet_bytes(void **)
{
    ControlPacket p;
    p.diag = Diag::NeighborSignaledDown;
    p.state = State::Up;
    p.poll = true;
    p.detect_mult = 3;
    p.my_discriminator = 0x01020304;
    p.your_discriminator = 0x0a0b0c0d;
    p.desired_min_tx = 100000;
    p.required_min_rx = 50000;
    // 23        version 1, diagnostic 3
    // e0        state Up, P
    // 03 18     multiplier 3, length 24
    // 01020304 0a0b0c0d   discriminators
    // 000186a0 0000c350   100 ms, 50 ms in microseconds
    // 00000000            no echo
    assert_string_equal(to_hex(encode(p)).c_str(), "23e00318010203040a0b0c0d000186a00000c35000000000");
    assert_true(decode(encode(p)).value() == p);
    p = ControlPacket{};
    p.my_discriminator = 1;
    p.final = p.cpi = p.demand = true;
    // 20 version 1, no diagnostic; 5a state Down, F, C, D
    assert_string_equal(to_hex(ByteView(encode(p)).first(2)).c_str(), "205a");
    assert_true(decode(encode(p)).value() == p);
}

void bad_packets(void **)
{
    ControlPacket p;
    p.my_discriminator = 1;
    const auto good = encode(p);
    for (std::size_t n = 0; n < good.size(); ++n)
        assert_false(decode(ByteView(good).first(n)).has_value());
    const auto with = [&](std::size_t at, std::uint8_t v) {
        auto b = good;
        b[at] = v;
        return decode(b).has_value();
    };
    assert_true(with(0, 0x20));
    assert_false(with(0, 0x40));            // version 2
    assert_false(with(2, 0));               // multiplier 0
    assert_false(with(3, 23));              // length below the mandatory section
    assert_false(with(3, 25));              // ... above the payload
    assert_false(with(1, 0x41));            // multipoint
    assert_false(with(7, 0));               // my discriminator 0
    assert_false(with(1, 0xc0));            // Up without your discriminator
    assert_false(with(1, 0x80));            // Init without it
    assert_true(with(1, 0x00));             // AdminDown may
}

SecretBytes key_of(std::uint8_t first)
{
    SecretBytes k(kKeySize);
    for (std::uint8_t &b : k.mut())
        b = first++;
    return k;
}

void signed_packet_bytes(void **)
{
    ControlPacket p;
    p.state = State::Up;
    p.my_discriminator = 1;
    p.your_discriminator = 2;
    p.desired_min_tx = p.required_min_rx = 100000;
    // 20 c4 03 34     version 1, Up with A, multiplier 3, length 52
    // ...             as without authentication
    // 05 1c 01 00     Meticulous Keyed SHA1, length 28, key id 1
    // 01020304        sequence number
    // ...             SHA-1 of all this with the key 00 01 .. 13 in the hash's place
    const auto key = key_of(0);
    auto bytes = encode_signed(p, key.view(), 0x01020304);
    assert_string_equal(to_hex(bytes).c_str(), "20c403340000000100000002000186a0000186a000000000"
                                               "051c010001020304"
                                               "029a0d665351c727b584ed0bb7aa3bebfb6438fd");
    assert_int_equal(verify(bytes, key.view()).value(), 0x01020304);
    assert_false(verify(bytes, key_of(1).view()).has_value());
    assert_false(verify(ByteView(bytes).first(bytes.size() - 1), key.view()).has_value());
    for (auto &b : bytes) {
        b ^= 4;
        assert_false(verify(bytes, key.view()).has_value());
        b ^= 4;
    }
}

struct Pair {
    Config config[2];
    std::vector<Session> s;
    Time now{};
    struct Flight { Time at; int to; Bytes bytes; };
    std::deque<Flight> flights;
    std::vector<std::pair<Time, Action>> seen[2];
    std::function<bool(int)> drop = [](int) { return false; };
    bool dead[2] = {false, false};

    std::vector<Bytes> sent[2];
    std::shared_ptr<const Keys> keys[2];

    explicit Pair(Config a = {}, Config b = {}, bool with_keys = false)
    {
        config[0] = a;
        config[1] = b;
        if (with_keys) {
            keys[0] = std::make_shared<Keys>(Keys{key_of(1), key_of(50)});
            keys[1] = std::make_shared<Keys>(Keys{key_of(50), key_of(1)});
        }
        s.emplace_back(a, 11, 111, keys[0]);
        s.emplace_back(b, 22, 222, keys[1]);
        feed(0, Start{});
        feed(1, Start{});
    }
    void feed(int i, const Event &e)
    {
        for (const auto &a : s[static_cast<std::size_t>(i)].step(e, now)) {
            seen[i].emplace_back(now, a);
            if (const auto *p = std::get_if<SendPacket>(&a))
                sent[i].push_back(p->bytes);
            if (const auto *p = std::get_if<SendPacket>(&a); p && !drop(i))
                flights.push_back({now + 1ms, 1 - i, p->bytes});
        }
    }
    void run(Duration d)
    {
        const Time limit = now + d;
        for (;;) {
            Time t = limit;
            int what = -1;
            if (!flights.empty() && flights.front().at < t)
                t = flights.front().at, what = 2;
            for (int i = 0; i < 2; ++i)
                if (!dead[i] && s[static_cast<std::size_t>(i)].deadline() < t)
                    t = s[static_cast<std::size_t>(i)].deadline(), what = i;
            now = std::max(now, t);
            if (what < 0)
                return;
            if (what == 2) {
                const Flight f = flights.front();
                flights.pop_front();
                if (!dead[f.to])
                    feed(f.to, PacketIn{f.bytes});
            } else {
                feed(what, Timer{});
            }
        }
    }
    template <typename T>
    std::size_t count(int i) const
    {
        return static_cast<std::size_t>(std::count_if(seen[i].begin(), seen[i].end(), [](const auto &x) { return std::holds_alternative<T>(x.second); }));
    }
    template <typename T>
    Time when(int i) const
    {
        for (auto it = seen[i].rbegin(); it != seen[i].rend(); ++it)
            if (std::holds_alternative<T>(it->second))
                return it->first;
        return kNever;
    }
    bool up() const { return s[0].state() == State::Up && s[1].state() == State::Up; }
};

void comes_up_and_speeds_up(void **)
{
    Pair p;
    p.run(3s);
    assert_true(p.up());
    p.run(2s);
    const auto snap = p.s[0].snapshot();
    assert_true(snap.transmit_interval == 100ms && snap.detection == 300ms && snap.remote_detection == 300ms);
    assert_int_equal(snap.remote_discriminator, 22);
    assert_int_equal(p.count<Up>(0), 1);
    assert_int_equal(p.count<Down>(0), 0);
    for (const auto &[t, a] : p.seen[0]) {
        if (const auto *timing = std::get_if<TimingChanged>(&a); timing && t > Time{} + 3s)
            assert_true(timing->transmit_interval == 100ms);
    }
    p.run(3600s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1), 0);
}

// 6.8.7: between 75 and 100 % of the interval, spread.
void jitter(void **)
{
    Pair p;
    p.run(10s);
    p.seen[0].clear();
    p.run(100s);
    Time last{};
    Duration least = 1s, most = 0s;
    for (const auto &[t, a] : p.seen[0]) {
        if (!std::holds_alternative<SendPacket>(a))
            continue;
        if (last != Time{}) {
            least = std::min(least, t - last);
            most = std::max(most, t - last);
        }
        last = t;
    }
    assert_true(least >= 75ms && least < 80ms);
    assert_true(most <= 100ms && most > 95ms);
}

void slow_before_up(void **)
{
    Pair p;
    p.dead[1] = true;
    p.run(60s);
    assert_in_range(p.count<SendPacket>(0), 59, 81);
    assert_true(p.s[0].state() == State::Down);
    assert_int_equal(p.count<Down>(0), 0);          // never up: no failure to report
}

void detection(void **)
{
    Pair p;
    p.run(5s);
    p.dead[1] = true;
    p.flights.clear();
    const Time last = p.s[0].snapshot().last_rx;
    p.run(1s);
    assert_int_equal(p.count<Down>(0), 1);
    assert_true(p.when<Down>(0) - last == 300ms);
    assert_true(p.s[0].snapshot().diag == Diag::DetectionExpired);
    p.dead[1] = false;
    p.run(5s);
    assert_true(p.up());
    assert_int_equal(p.count<Up>(0), 2);
}

void one_way_loss_takes_both_down(void **)
{
    Pair p;
    p.run(5s);
    p.drop = [](int from) { return from == 0; };
    p.run(2s);
    assert_int_equal(p.count<Down>(0), 1);          // told by the neighbor
    assert_int_equal(p.count<Down>(1), 1);          // by its own detection time
    assert_true(p.s[1].state() != State::Up);
    p.drop = [](int) { return false; };
    p.run(5s);
    assert_true(p.up());
}

void admin_down_is_no_failure(void **)
{
    Pair p;
    p.run(5s);
    p.feed(0, AdminDown{true});
    p.run(100ms);
    assert_int_equal(p.count<RemoteAdminDown>(1), 1);
    assert_int_equal(p.count<Down>(1), 0);
    assert_true(p.s[1].state() == State::Down);
    p.dead[0] = true;                               // restarts: silence
    p.run(30s);
    assert_int_equal(p.count<Down>(1), 0);
    p.s[0] = Session(p.config[0], 33, 333);         // and returns with another discriminator
    p.dead[0] = false;
    p.feed(0, Start{});
    p.run(5s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(1), 0);
    assert_int_equal(p.count<Up>(1), 2);
    p.dead[0] = true;
    p.run(1s);
    assert_int_equal(p.count<Down>(1), 1);          // from now on silence counts again
}

void admin_down_then_lost_on_the_way_up_is_a_failure(void **)
{
    Pair p;
    p.run(5s);
    p.feed(0, AdminDown{true});
    p.run(100ms);
    p.feed(0, AdminDown{false});
    p.run(5ms);                                     // it says Down once
    p.dead[0] = true;
    p.flights.clear();
    p.run(10s);
    assert_int_equal(p.count<Down>(1), 1);
}

void restart_without_notice_is_a_failure(void **)
{
    Pair p;
    p.run(5s);
    p.s[0] = Session(p.config[0], 33, 333);
    p.feed(0, Start{});
    p.run(100ms);
    assert_int_equal(p.count<Down>(1), 0);      // anybody could have said that: the detection time decides
    p.run(200ms);
    assert_int_equal(p.count<Down>(1), 1);
    p.run(5s);
    assert_true(p.up());
}

// What one forged packet from the peer's address could do to a session that is up.
void packets_without_our_discriminator_change_nothing(void **)
{
    Pair p;
    p.run(5s);
    for (const auto state : {State::Down, State::AdminDown}) {
        ControlPacket x;
        x.state = state;
        x.my_discriminator = 99;
        x.required_min_rx = 0;              // "send me nothing"
        x.desired_min_tx = 100000000;
        p.feed(0, PacketIn{encode(x)});
    }
    assert_int_equal(p.s[0].snapshot().counters.bad_discriminator, 2);
    assert_int_equal(p.s[0].snapshot().remote_discriminator, 22);
    p.run(5s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1) + p.count<RemoteAdminDown>(0), 0);
}

// ... and what somebody can who sees the packets, so that he knows the discriminators.
void without_a_key_the_discriminators_are_enough(void **)
{
    Pair p;
    p.run(5s);
    const auto x = down_packet(22, 11);
    p.feed(0, PacketIn{encode(x)});
    assert_int_equal(p.count<Down>(0), 1);
}

void only_signed_packets_count(void **)
{
    Pair p({}, {}, true);
    p.run(5s);
    assert_true(p.up());
    const auto before = p.s[0].snapshot().counters.rx;
    const auto x = down_packet(22, 11);
    p.feed(0, PacketIn{encode(x)});                                         // unsigned
    p.feed(0, PacketIn{encode_signed(x, key_of(7).view(), 1)});             // another key
    p.feed(0, PacketIn{encode_signed(x, p.keys[0]->tx.view(), 1)});         // our own key: a reflection
    auto forged = p.sent[1].back();
    forged[1] ^= 0x80;                                                      // Up -> Down
    p.feed(0, PacketIn{forged});
    assert_int_equal(p.s[0].snapshot().counters.bad_auth, 4);
    assert_int_equal(p.s[0].snapshot().counters.rx, before);
    p.run(60s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1), 0);
    // One that has no key at all refuses signed ones.
    Session bare(Config{}, 11, 1);
    bare.step(Start{}, Time{});
    bare.step(PacketIn{p.sent[1].back()}, Time{} + 1ms);
    assert_int_equal(bare.snapshot().counters.bad_auth, 1);
}

void recorded_packets_change_nothing(void **)
{
    Pair p({}, {}, true);
    p.run(5s);
    const auto recorded = p.sent[1];
    assert_true(recorded.size() > 20);
    for (const auto &b : recorded)
        p.feed(0, PacketIn{b});
    const auto c = p.s[0].snapshot().counters;
    assert_int_equal(c.bad_auth + c.bad_discriminator, recorded.size());
    p.run(5s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1), 0);

    // Played to the next life of the session, all the while: it comes up with the real peer.
    p.s[0] = Session(p.config[0], 33, 333, p.keys[0]);
    p.feed(0, Start{});
    for (int i = 0; i < 200; ++i) {
        p.feed(0, PacketIn{recorded[static_cast<std::size_t>(i) % recorded.size()]});
        p.run(50ms);
    }
    assert_true(p.up());
    const auto downs = p.count<Down>(1);
    for (int i = 0; i < 200; ++i) {
        p.feed(0, PacketIn{recorded[static_cast<std::size_t>(i) % recorded.size()]});
        p.run(50ms);
    }
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1), downs);
}

// A dead peer is not brought back to life by what it once said, in this life of the
// session or in one before, even if it never had to forget a sequence number.
void recorded_packets_raise_no_dead(void **)
{
    Pair p({}, {}, true);
    p.run(5s);
    p.s[1] = Session(p.config[1], 44, 444, p.keys[1]);      // a second life of the peer
    p.feed(1, Start{});
    p.run(5s);
    assert_true(p.up());
    const auto recorded = p.sent[1];
    p.dead[1] = true;
    p.run(60s);
    assert_true(p.s[0].state() == State::Down);
    const auto ups = p.count<Up>(0);
    for (int round = 0; round < 3; ++round)
        for (const auto &b : recorded) {
            p.feed(0, PacketIn{b});
            p.run(20ms);
            assert_true(p.s[0].state() != State::Up);
        }
    assert_int_equal(p.count<Up>(0), ups);
}

// Nobody is refused because of what his former life counted, whether it left in order
// (and went on saying so for a while) or crashed.
void a_new_life_is_heard_at_once(void **)
{
    for (const bool in_order : {true, false})
        for (const auto away : {20ms, 500ms, 1100ms, 2100ms, 3100ms, 5000ms}) {
            Pair p({}, {}, true);
            p.run(5s);
            assert_true(p.up());
            if (in_order)
                p.feed(1, AdminDown{true});
            else
                p.dead[1] = true;
            p.run(away);
            p.dead[1] = false;
            p.s[1] = Session(p.config[1], 55, 555, p.keys[1]);
            p.feed(1, Start{});
            p.run(p.s[0].snapshot().detection + 2500ms);    // the slow packets of the beginning are a second apart
            assert_true(p.up());
        }
}

// The sequence number may have moved on while nothing was heard.
void a_long_silence_is_no_lockout(void **)
{
    Pair p({}, {}, true);
    p.run(5s);
    p.drop = [](int) { return true; };
    p.run(60s);
    assert_false(p.up());
    p.drop = [](int) { return false; };
    p.run(5s);
    assert_true(p.up());
}

void foreign_discriminator_is_dropped(void **)
{
    Pair p;
    p.run(5s);
    const auto x = down_packet(99, 98);
    const auto bytes = encode(x);
    p.feed(0, PacketIn{bytes});
    assert_int_equal(p.s[0].snapshot().counters.bad_discriminator, 1);
    assert_true(p.s[0].state() == State::Up);
}

void reconfigured_by_a_poll_sequence(void **)
{
    Pair p;
    p.run(5s);
    Config slower = p.config[0];
    slower.transmit = 400ms;
    slower.receive = 50ms;
    p.feed(0, Reconfigure{slower});
    p.run(2s);
    assert_true(p.up());
    assert_int_equal(p.count<Down>(0) + p.count<Down>(1), 0);
    assert_true(p.s[0].snapshot().transmit_interval == 400ms);
    assert_true(p.s[1].snapshot().detection == 1200ms);
    bool told = false;
    for (const auto &[t, a] : p.seen[0])
        if (const auto *timing = std::get_if<TimingChanged>(&a))
            told |= timing->transmit_interval == 400ms && timing->remote_detection == 1200ms;
    assert_true(told);                              // the lease follows
}

void asymmetric_timers(void **)
{
    Config fast, slow;
    fast.transmit = fast.receive = 50ms;
    slow.transmit = slow.receive = 200ms;
    slow.multiplier = 5;
    Pair p(fast, slow);
    p.run(5s);
    assert_true(p.up());
    assert_true(p.s[0].snapshot().transmit_interval == 200ms);      // the larger wins
    assert_true(p.s[0].snapshot().detection == 1000ms);             // the remote's multiplier
    assert_true(p.s[1].snapshot().detection == 600ms);
}

// Two state machine rows that a pair cannot show.
void single_transitions(void **)
{
    Session s(Config{}, 11, 1);
    s.step(Start{}, Time{});
    ControlPacket x;
    x.my_discriminator = 5;
    const auto say = [&](State st) {
        x.state = st;
        x.your_discriminator = s.snapshot().local_discriminator;   // another one each time it was up
        const auto b = encode(x);
        s.step(PacketIn{b}, Time{} + 1ms);
        return s.state();
    };
    assert_true(say(State::Up) == State::Down);     // Down does not go up on Up
    assert_true(say(State::Down) == State::Init);
    assert_true(say(State::Down) == State::Init);
    assert_true(say(State::Up) == State::Up);
    assert_true(say(State::Init) == State::Up);
    assert_true(say(State::AdminDown) == State::Down);
    assert_true(say(State::Init) == State::Up);
    s.step(AdminDown{true}, Time{} + 2ms);
    assert_true(say(State::Down) == State::AdminDown);
    s.step(AdminDown{false}, Time{} + 3ms);
    assert_true(s.state() == State::Down);
}

void limits(void **)
{
    assert_true(Session::validate(Config{}).has_value());
    Config c;
    c.transmit = 9ms;
    assert_false(Session::validate(c).has_value());
    c = Config{};
    c.receive = 101s;
    assert_false(Session::validate(c).has_value());
    c = Config{};
    c.multiplier = 0;
    assert_false(Session::validate(c).has_value());
    c.multiplier = 21;
    assert_false(Session::validate(c).has_value());
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(packet_bytes),
        cmocka_unit_test(bad_packets),
        cmocka_unit_test(signed_packet_bytes),
        cmocka_unit_test(comes_up_and_speeds_up),
        cmocka_unit_test(jitter),
        cmocka_unit_test(slow_before_up),
        cmocka_unit_test(detection),
        cmocka_unit_test(one_way_loss_takes_both_down),
        cmocka_unit_test(admin_down_is_no_failure),
        cmocka_unit_test(admin_down_then_lost_on_the_way_up_is_a_failure),
        cmocka_unit_test(restart_without_notice_is_a_failure),
        cmocka_unit_test(packets_without_our_discriminator_change_nothing),
        cmocka_unit_test(without_a_key_the_discriminators_are_enough),
        cmocka_unit_test(only_signed_packets_count),
        cmocka_unit_test(recorded_packets_change_nothing),
        cmocka_unit_test(recorded_packets_raise_no_dead),
        cmocka_unit_test(a_new_life_is_heard_at_once),
        cmocka_unit_test(a_long_silence_is_no_lockout),
        cmocka_unit_test(foreign_discriminator_is_dropped),
        cmocka_unit_test(reconfigured_by_a_poll_sequence),
        cmocka_unit_test(asymmetric_timers),
        cmocka_unit_test(single_transitions),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
