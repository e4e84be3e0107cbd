// SPDX-License-Identifier: GPL-2.0-or-later
// Two MIMP sessions in virtual time, joined by a channel with delay and loss,
// each with a small engine that does what the agent would: keeps the gate and
// the lease, answers hand-over actions. For unit tests and long simulations.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

struct SessionProbe {   // the session's friend: tests look inside
    static std::uint64_t epoch(const Session &s) { return s.epoch_; }
    static std::uint64_t sequence(const Session &s) { return s.sequence_; }
    static std::uint64_t live_epoch(const Session &s) { return s.live_epoch_; }
};

inline IpAddress address(const char *text) { return IpAddress::parse(text).value(); }

struct World {
    struct Node {
        std::string name;
        Config config;
        std::unique_ptr<Session> session;
        std::shared_ptr<const Authenticator> auth;
        std::map<GroupId, Mastership> state;    // as set by SetState
        std::map<GroupId, bool> prepared;
        std::map<GroupId, Generation> generation;
        Time lease = kNever;
        Time next_timer = kNever;
        bool hung = false;                      // neither timers nor packets are served; those wait
        std::vector<std::pair<Time, Action>> history;
        bool engine_answers = true;             // hand-over actions are answered after engine_delay
        bool open(GroupId g, Time now) const
        {
            const auto it = state.find(g);
            return it != state.end() && acting_master(it->second) && now < lease;
        }
    };
    struct Flight { Time at; std::uint64_t order; int to; Bytes bytes; IpAddress source; };
    struct Due { Time at; std::uint64_t order; int node; Event event; };

    Node node[2];
    Time now{};
    Duration delay = 1ms;
    Duration engine_delay = 2ms;
    std::function<bool(int from, const Bytes &)> drop = [](int, const Bytes &) { return false; };
    std::vector<Flight> flights;
    std::vector<Due> dues;
    std::uint64_t order = 0;
    std::uint64_t epochs = 1000;
    std::function<void()> after_step = [] {};

    // node 0 is 192.0.2.1 with the higher priority, node 1 is 192.0.2.2: the seed's SeGW-1 and SeGW-2.
    explicit World(std::function<void(Config &, int)> adjust = [](Config &, int) {})
    {
        const char *addresses[2] = {"192.0.2.1", "192.0.2.2"};
        SecretBytes key(kAuthKeySize);
        for (std::size_t i = 0; i < key.size(); ++i)
            key.mut()[i] = static_cast<std::uint8_t>(i);
        for (int i = 0; i < 2; ++i) {
            Node &n = node[i];
            n.name = i ? "SeGW-2" : "SeGW-1";
            n.config.own = address(addresses[i]);
            n.config.peer = address(addresses[1 - i]);
            n.config.discovery_interval = 30s;
            n.config.discovery_interval_boot = 60s;
            n.config.groups = {GroupConfig{1, 1, static_cast<std::uint8_t>(i ? 150 : 200), false}};
            adjust(n.config, i);
            if (auto ok = Session::validate(n.config); !ok)
                throw std::runtime_error(ok.error().text);
            auto keys = derive_keys(key.view(), n.config.own, n.config.peer);
            n.auth = make_authenticator(std::move(keys.mimp_tx), std::move(keys.mimp_rx));
        }
    }

    // A new process: gates closed, new epoch.
    void boot(int i, bool oper_up = true)
    {
        Node &n = node[i];
        n.session = std::make_unique<Session>(n.config, n.auth, ++epochs);
        n.state.clear();
        n.prepared.clear();
        n.hung = false;
        for (const auto &g : n.config.groups)
            n.session->step(OperChange{g.id, oper_up, static_cast<std::uint16_t>(oper_up ? 1 : 0)}, now);
        feed(i, Start{});
    }
    void kill(int i)
    {
        node[i].session.reset();
        node[i].state.clear();
        node[i].next_timer = kNever;
        std::erase_if(dues, [&](const Due &d) { return d.node == i; });
    }

    void feed(int i, const Event &event)
    {
        Node &n = node[i];
        if (!n.session)
            return;
        for (auto &a : n.session->step(event, now))
            carry_out(i, a);
        n.next_timer = n.session ? n.session->deadline() : kNever;
        after_step();
    }

    void carry_out(int i, const Action &a)
    {
        Node &n = node[i];
        n.history.emplace_back(now, a);
        const auto answer = [&](Event e) {
            if (n.engine_answers)
                dues.push_back({now + engine_delay, ++order, i, std::move(e)});
        };
        if (const auto *p = std::get_if<SendPacket>(&a)) {
            if (!drop(i, p->bytes))
                flights.push_back({now + delay, ++order, 1 - i, p->bytes, n.config.own});
        } else if (const auto *l = std::get_if<RenewLease>(&a)) {
            n.lease = l->expiry;
        } else if (const auto *s = std::get_if<SetState>(&a)) {
            n.state[s->group] = s->new_state;
            n.prepared[s->group] = s->prepared;
            n.generation[s->group] = s->generation;
        } else if (const auto *h = std::get_if<HandoverPrepareStandby>(&a)) {
            answer(HandoverPrepared{h->group, h->id});
        } else if (const auto *f = std::get_if<HandoverFlipAndExport>(&a)) {
            answer(HandoverExported{f->group, f->id});
        } else if (const auto *m = std::get_if<HandoverImport>(&a)) {
            answer(HandoverImported{m->group, m->id});
        }
    }

    // Next thing that happens, at or before `limit`.
    bool advance(Time limit)
    {
        Time t = limit;
        int what = -1;
        std::size_t index = 0;
        std::uint64_t first = ~0ull;
        for (std::size_t k = 0; k < flights.size(); ++k) {
            if (node[flights[k].to].hung)
                continue;
            if (flights[k].at < t || (flights[k].at == t && flights[k].order < first)) {
                t = flights[k].at, what = 0, index = k, first = flights[k].order;
            }
        }
        for (std::size_t k = 0; k < dues.size(); ++k) {
            if (node[dues[k].node].hung)
                continue;
            if (dues[k].at < t || (dues[k].at == t && dues[k].order < first))
                t = dues[k].at, what = 1, index = k, first = dues[k].order;
        }
        for (int i = 0; i < 2; ++i) {
            if (!node[i].hung && node[i].session && node[i].next_timer < t)
                t = node[i].next_timer, what = 2, index = static_cast<std::size_t>(i);
        }
        now = std::max(now, t);
        if (what < 0)
            return false;
        if (what == 0) {
            Flight f = std::move(flights[index]);
            flights.erase(flights.begin() + static_cast<std::ptrdiff_t>(index));
            feed(f.to, PacketIn{f.bytes, f.source});
        } else if (what == 1) {
            Due d = std::move(dues[index]);
            dues.erase(dues.begin() + static_cast<std::ptrdiff_t>(index));
            feed(d.node, d.event);
        } else {
            feed(static_cast<int>(index), Timer{});
        }
        return true;
    }
    void run(Duration d)
    {
        const Time limit = now + d;
        while (advance(limit)) {}
    }
    // Until `done` holds; false after `d`.
    bool until(const std::function<bool()> &done, Duration d)
    {
        const Time limit = now + d;
        while (!done()) {
            if (!advance(limit))
                return done();
        }
        return true;
    }

    Mastership state(int i, GroupId g = 1) const
    {
        const auto it = node[i].state.find(g);
        return it == node[i].state.end() ? Mastership::Discovery : it->second;
    }
    bool prepared_at(int i, GroupId g = 1) const
    {
        const auto it = node[i].prepared.find(g);
        return it != node[i].prepared.end() && it->second;
    }
    bool is(Mastership a, Mastership b, GroupId g = 1) const { return state(0, g) == a && state(1, g) == b; }
    GroupView view(int i, GroupId g = 1) const
    {
        for (auto &v : node[i].session->snapshot().groups)
            if (v.config.id == g)
                return v;
        return {};
    }
    Counters counters(int i) const { return node[i].session->snapshot().counters; }

    template <typename T>
    std::vector<T> all(int i) const
    {
        std::vector<T> out;
        for (const auto &[t, a] : node[i].history)
            if (const auto *p = std::get_if<T>(&a))
                out.push_back(*p);
        return out;
    }
    template <typename T>
    std::optional<T> last(int i) const
    {
        auto v = all<T>(i);
        return v.empty() ? std::nullopt : std::optional<T>(v.back());
    }
    void forget()
    {
        for (auto &n : node)
            n.history.clear();
    }
};

}  // namespace mcipsec::mimp
