// SPDX-License-Identifier: GPL-2.0-or-later
// Two MCS sessions, each with a simulated charon, joined by a channel that a
// test can cut at any byte, garble, delay and mend. No clock: now advances by hand.
#pragma once

#include <deque>
#include <random>

#include "core/mcs/frame.hpp"
#include "core/mcs/session.hpp"
#include "unit/cmocka_cpp.hpp"

namespace mcs_sim {

using namespace mcipsec;
using namespace mcipsec::mcs;

inline const std::string kTag = "tag-1";

inline Key ike(std::uint64_t n)
{
    Bytes b(16);
    put_be(std::span(b).subspan(0, 8), n);
    put_be(std::span(b).subspan(8, 8), ~n);
    return *Key::make(Kind::IkeSa, b);
}

inline Key child(std::uint32_t n)
{
    Bytes b(5);
    put_be(std::span(b).subspan(0, 4), n);
    b[4] = 50;
    return *Key::make(Kind::ChildSa, b);
}

// What a charon holds, and how it answers.
struct Charon {
    struct Sa {
        std::uint64_t lineage = 0, version = 0;
        std::optional<Key> parent;
        Bytes data;
        bool operator==(const Sa &) const = default;
    };
    std::map<Key, Sa> sas;
    std::set<std::string> unloaded;   // connections that are not loaded: await-conf
    std::set<std::string> broken;     // imports of these fail
    std::set<Key> changing;           // change of their own while a replacement is on its way
    std::set<Key> eager;              // go on before the answer that they are imported
    std::set<Key> busy;               // answer "changed" once, for nothing
    bool hold = false;                // answers wait
    std::deque<Event> answers;
    std::vector<std::string> history; // "import ike ..", "delete child .."
};

struct Node {
    std::string name;
    Session session;
    Charon charon;
    std::uint64_t plugin_epoch = 1, plugin_seq = 0;
    int gauges_changed = 0, protection_changed = 0;
    std::deque<std::uint8_t> wire;    // bytes on their way to the other node
    bool write_pending = false, up = false, closed = false;
    std::uint64_t acked = 0, acked_epoch = 0;  // last PluginAck
    bool none_open = true;
    bool commit = false;
    SyncState state = SyncState::OutOfSync;
    std::optional<act::ProtectionInputs> protection;
    std::vector<act::ImportSeq> seqs;
    std::vector<act::FrozenReceived> frozen;
    std::vector<std::uint64_t> frozen_acked;
    int seq_wanted = 0, traffic_wanted = 0;
    std::vector<TunnelTraffic> traffic;  // as the peer told
    std::vector<std::pair<Key, Time>> inbound;  // said when FinalSeqWanted or InboundWanted asks
    std::vector<SaSeq> final_seq;
    std::vector<Key> merged;          // peers to be asked for life; not before charon has that life
    std::vector<bool> merged_apart;   // of each: both chassis had changed it
    std::vector<std::string> rivals;  // of each: what was said of the life that lost
    std::vector<std::vector<Key>> strays;   // of each: the CHILD_SAs of that one alone
    std::vector<std::string> logs;
    std::size_t largest_send = 0;
    int early_sends = 0;              // SendBytes before WriteReady

    // The agent dies and comes back: what it knew is gone, what charon holds is not.
    void restart(Config c)
    {
        session = Session(std::move(c));
        charon.answers.clear();
        acked = acked_epoch = 0;
        commit = false;
    }

    Node(std::string n, Config c) : name(std::move(n)), session(std::move(c)) {}
    std::uint64_t entries() const { return session.status().local.entries; }
    bool logged(const std::string &what) const { return std::find(logs.begin(), logs.end(), what) != logs.end(); }
};

inline Config config(std::uint64_t epoch)
{
    Config c;
    c.db_epoch = epoch;
    return c;
}

class Pair {
public:
    explicit Pair(Config ca = config(0xa), Config cb = config(0xb), bool start = true) : a("A", std::move(ca)), b("B", std::move(cb))
    {
        for (auto *n : {&a, &b}) {
            step(*n, ev::GroupAdd{kTag, 1});
            charon_up(*n);
        }
        if (!start)
            return;
        role(a, true, false, 1);
        role(b, false, true, 1);
        connect();
        run();
    }

    Node a, b;
    Time now{1000s};
    std::size_t cut_after = SIZE_MAX;      // bytes from A to B until the channel breaks
    std::optional<std::size_t> garble_at;  // byte from A to B that is changed

    Node &peer(Node &n) { return &n == &a ? b : a; }

    void step(Node &n, Event e)
    {
        for (auto &action : n.session.step(std::move(e), now))
            carry(n, std::move(action));
    }

    void role(Node &n, bool acting, bool peer_acting, Generation g)
    {
        step(n, ev::GroupRole{kTag, {acting, peer_acting, g}, acting ? Mastership::Master : Mastership::Standby});
    }
    void connect()
    {
        if (a.up || b.up)
            cut();
        a.wire.clear();
        b.wire.clear();
        for (auto *n : {&a, &b}) {
            n->up = true;
            n->closed = n->write_pending = false;
        }
        step(a, ev::ChannelUp{true, 11, 22});
        step(b, ev::ChannelUp{false, 22, 11});
    }
    void cut()
    {
        for (auto *n : {&a, &b}) {
            n->wire.clear();
            n->write_pending = false;
            if (std::exchange(n->up, false))
                step(*n, ev::ChannelDown{0, "cut"});
        }
    }

    // The charon comes up (again) and lists what it holds.
    void charon_up(Node &n, bool anew = false)
    {
        if (anew) {
            n.plugin_epoch++;
            n.plugin_seq = n.acked = 0;
            n.charon.sas.clear();
            std::erase_if(n.charon.answers, [](const Event &a) {    // the kernel's and the agent's own stay
                return !std::holds_alternative<ev::FrozenSeq>(a) && !std::holds_alternative<ev::FrozenApplied>(a) && !std::holds_alternative<ev::InboundSeen>(a);
            });
        }
        step(n, ev::CharonUp{n.plugin_epoch});
        local_snapshot(n);
    }
    void local_snapshot(Node &n)
    {
        step(n, ev::LocalSnapshotBegin{kTag});
        for (const auto &[key, sa] : n.charon.sas)
            step(n, record(n, key, sa));
        step(n, ev::LocalSnapshotEnd{kTag});
    }
    ev::LocalUpsert record(Node &n, const Key &key, const Charon::Sa &sa)
    {
        ev::LocalUpsert u;
        u.tag = kTag;
        u.key = key;
        u.parent = sa.parent;
        u.lineage = sa.lineage;
        u.version = sa.version;
        u.name = "conn-" + std::to_string(key.bytes[7] % 4);
        u.info = "spi=" + to_hex(key.view()) + "\nby=" + (&n == &a ? "a\n" : "b\n") + "mid-out=" + std::to_string(sa.version) + "\n";
        u.data = SecretBytes(ByteView(sa.data));
        u.epoch = n.plugin_epoch;
        u.seq = ++n.plugin_seq;
        return u;
    }
    // The acting master's charon sets up or changes an SA.
    std::uint64_t upsert(Node &n, const Key &key, std::optional<Key> parent = std::nullopt, std::size_t size = 64)
    {
        auto &sa = n.charon.sas[key];
        sa.parent = parent;
        sa.lineage = parent ? hash(*parent) : hash(key);
        sa.version++;
        sa.data.assign(size, static_cast<std::uint8_t>(sa.version));
        step(n, record(n, key, sa));
        return n.plugin_seq;
    }
    std::uint64_t remove(Node &n, const Key &key)
    {
        n.charon.sas.erase(key);
        step(n, ev::LocalDelete{kTag, key, ev::DeleteScope::Global, n.plugin_epoch, ++n.plugin_seq});
        return n.plugin_seq;
    }
    void tunnel(Node &n, std::uint32_t i)
    {
        upsert(n, ike(i));
        upsert(n, child(i), ike(i));
    }

    bool answer(Node &n)
    {
        if (n.charon.answers.empty())
            return false;
        auto e = std::move(n.charon.answers.front());
        n.charon.answers.pop_front();
        step(n, std::move(e));
        return true;
    }
    // Moves up to `most` bytes from n to its peer. False: nothing to move.
    bool move(Node &n, std::size_t most = SIZE_MAX)
    {
        Node &to = peer(n);
        if (!n.up)
            return false;
        if (n.wire.empty()) {
            if (!n.write_pending)
                return false;
            n.write_pending = false;
            step(n, ev::WriteReady{});
            return true;
        }
        auto k = std::min(most, n.wire.size());
        if (&n == &a) {
            k = std::min(k, cut_after);
            if (cut_after != SIZE_MAX)
                cut_after -= k;
        }
        Bytes bytes(n.wire.begin(), n.wire.begin() + static_cast<std::ptrdiff_t>(k));
        n.wire.erase(n.wire.begin(), n.wire.begin() + static_cast<std::ptrdiff_t>(k));
        if (&n == &a && garble_at) {
            if (*garble_at < k) {
                bytes[*garble_at] ^= 0x5a;
                garble_at.reset();
            } else {
                *garble_at -= k;
            }
        }
        if (to.up && !bytes.empty())
            step(to, ev::BytesIn{bytes});
        if (&n == &a && cut_after == 0) {
            cut_after = SIZE_MAX;
            cut();
        }
        return true;
    }
    void advance(Duration d)
    {
        const auto end = now + d;
        for (;;) {
            quiesce();
            const auto next = std::min(a.session.deadline(), b.session.deadline());
            if (next > end)
                break;
            now = std::max(now + 1us, next);
            for (auto *n : {&a, &b})
                if (n->session.deadline() <= now)
                    step(*n, ev::Timer{});
        }
        now = end;
    }
    // Until nothing moves at this instant.
    void quiesce()
    {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto *n : {&a, &b}) {
                while (!n->charon.hold && answer(*n))
                    moved = true;
                moved = move(*n) || moved;
            }
            for (auto *n : {&a, &b})
                if (n->closed && n->up) {
                    cut();
                    moved = true;
                }
        }
    }
    void run() { advance(2s); }

    // Both databases and the standby's charon hold what the master's charon holds.
    void assert_same(Node &master)
    {
        Node &standby = peer(master);
        assert_int_equal(master.entries(), master.charon.sas.size());
        assert_int_equal(standby.entries(), master.charon.sas.size());
        for (const auto &[key, sa] : master.charon.sas) {
            const auto *e = standby.session.entry(kTag, key);
            const auto *m = master.session.entry(kTag, key);
            assert_non_null(e);
            assert_non_null(m);
            assert_true(e->version == m->version);
            assert_true(std::equal(e->data.view().begin(), e->data.view().end(), sa.data.begin(), sa.data.end()));
            assert_true(standby.charon.sas[key] == sa);
        }
        assert_int_equal(standby.charon.sas.size(), master.charon.sas.size());
    }

    // For the person who reads a failure.
    void print_differences(Node &master)
    {
        const auto show = [&](Node &n, const Key &key) {
            const auto *e = n.session.entry(kTag, key);
            const auto sa = n.charon.sas.find(key);
            print_message("  %s %s: entry %s g%zu l%zx v%zu, charon %s v%zu\n", n.name.c_str(), key.str().c_str(), e ? std::string(to_string(e->status)).c_str() : "-",
                          e ? e->version.generation : 0, e ? e->version.lineage : 0, e ? e->version.version : 0, sa == n.charon.sas.end() ? "-" : "has",
                          sa == n.charon.sas.end() ? 0 : sa->second.version);
        };
        std::set<Key> keys;
        for (auto *n : {&master, &peer(master)}) {
            n->session.for_each(kTag, [&](const Entry &e) { keys.insert(e.key); });
            for (const auto &[k, sa] : n->charon.sas)
                keys.insert(k);
        }
        for (const auto &key : keys) {
            const auto *e = master.session.entry(kTag, key), *f = peer(master).session.entry(kTag, key);
            if (!e || !f || e->version != f->version || !master.charon.sas.count(key) || !peer(master).charon.sas.count(key)) {
                show(master, key);
                show(peer(master), key);
            }
        }
    }

private:
    void carry(Node &n, Action &&action)
    {
        if (auto *s = std::get_if<act::SendBytes>(&action)) {
            n.early_sends += n.write_pending;
            n.largest_send = std::max(n.largest_send, s->bytes.size());
            if (!n.up)
                return;
            n.wire.insert(n.wire.end(), s->bytes.view().begin(), s->bytes.view().end());
            n.write_pending = true;
            return;
        }
        if (auto *i = std::get_if<act::Import>(&action)) {
            import(n, *i);
        } else if (auto *d = std::get_if<act::Delete>(&action)) {
            n.charon.history.push_back("delete " + d->key.str());
            n.charon.sas.erase(d->key);
            if (d->key.kind == Kind::IkeSa)
                std::erase_if(n.charon.sas, [&](const auto &x) { return x.second.parent == d->key; });
            n.charon.answers.push_back(ev::DeleteResult{d->tag, d->key, true, ""});
        } else if (auto *p = std::get_if<act::PluginAck>(&action)) {
            assert_true(p->seq >= n.acked || p->epoch != n.acked_epoch);
            n.acked_epoch = p->epoch;
            n.acked = p->seq;
            n.none_open = p->none_open;
        } else if (auto *c = std::get_if<act::CommitMode>(&action)) {
            n.commit = c->on;
        } else if (auto *st = std::get_if<act::SyncStateChanged>(&action)) {
            n.state = st->new_state;
        } else if (std::get_if<act::GaugesChanged>(&action)) {
            n.gauges_changed++;
        } else if (auto *pi = std::get_if<act::ProtectionInputs>(&action)) {
            n.protection_changed++;
            n.protection = *pi;
        } else if (std::get_if<act::CloseChannel>(&action)) {
            n.closed = true;
            n.early_sends = 0;  // last words may come early
        } else if (auto *is = std::get_if<act::ImportSeq>(&action)) {
            n.seqs.push_back(std::move(*is));
        } else if (auto *f = std::get_if<act::FrozenReceived>(&action)) {
            if (!f->handover)   // a test of a hand-over says itself when it is applied
                n.charon.answers.push_back(ev::FrozenApplied{f->tag, 0});
            n.frozen.push_back(std::move(*f));
        } else if (auto *fa = std::get_if<act::FrozenAcked>(&action)) {
            n.frozen_acked.push_back(fa->handover);
        } else if (auto *m = std::get_if<act::Merged>(&action)) {
            n.merged.push_back(m->ike);
            n.merged_apart.push_back(m->apart);
            n.rivals.push_back(m->rival);
            n.strays.push_back(m->strays);
            assert_true(n.charon.sas.count(m->ike) && n.session.entry(m->tag, m->ike)->status == LocalStatus::Installed);
        } else if (std::get_if<act::SeqWanted>(&action)) {
            n.seq_wanted++;
        } else if (std::get_if<act::TrafficWanted>(&action)) {
            n.traffic_wanted++;
        } else if (auto *tr = std::get_if<act::TrafficReceived>(&action)) {
            n.traffic.insert(n.traffic.end(), tr->tunnels.begin(), tr->tunnels.end());
        } else if (auto *fw = std::get_if<act::FinalSeqWanted>(&action)) {
            n.charon.answers.push_back(ev::InboundSeen{fw->tag, n.inbound});
            n.charon.answers.push_back(ev::FrozenSeq{fw->tag, 0, n.final_seq});
        } else if (auto *iw = std::get_if<act::InboundWanted>(&action)) {
            n.charon.answers.push_back(ev::InboundSeen{iw->tag, n.inbound});
        } else if (std::get_if<act::LocalSnapshotWanted>(&action)) {
            n.charon.answers.push_back(ev::LocalSnapshotBegin{kTag});
            for (const auto &[key, sa] : n.charon.sas)
                n.charon.answers.push_back(record(n, key, sa));
            n.charon.answers.push_back(ev::LocalSnapshotEnd{kTag});
        } else if (auto *l = std::get_if<act::Log>(&action)) {
            n.logs.push_back(l->what);
        }
    }
    void import(Node &n, const act::Import &i)
    {
        n.charon.history.push_back("import " + i.key.str());
        const auto *e = n.session.entry(i.tag, i.key);
        ev::ImportResult r{i.tag, i.key, {}, ev::ImportOutcome::Stale, ""};
        if (e) {
            r.version = e->version;
            if (n.charon.changing.erase(i.key)) {
                auto &sa = n.charon.sas[i.key];     // a record of its own first, as the plugin
                sa.version++;
                sa.data.assign(64, 0xcc);
                for (const auto &[key, child] : n.charon.sas)
                    if (child.parent == i.key)
                        n.charon.answers.push_back(record(n, key, child));
                n.charon.answers.push_back(record(n, i.key, sa));
                r.outcome = ev::ImportOutcome::Changed;
            } else if (n.charon.busy.erase(i.key)) {
                r.outcome = ev::ImportOutcome::Changed;
            } else if (n.charon.unloaded.count(e->name)) {
                r.outcome = ev::ImportOutcome::AwaitConf;
            } else if (n.charon.broken.count(e->name) || (e->parent && !n.charon.sas.count(*e->parent))) {
                r.outcome = ev::ImportOutcome::Failed;
                r.reason = "no";
            } else if (!i.replace && n.session.group_status(i.tag)->acting && n.charon.sas.count(i.key) &&
                       n.charon.sas[i.key].version < e->version.version) {
                r.outcome = ev::ImportOutcome::Failed;      // as the plugin does
                r.reason = "the group is active";
            } else {
                r.outcome = ev::ImportOutcome::Installed;
                if (i.replace)
                    std::erase_if(n.charon.sas, [&](const auto &x) { return x.second.parent == i.key; });
                auto &sa = n.charon.sas[i.key];
                sa = {e->version.lineage, e->version.version, e->parent, Bytes(e->data.view().begin(), e->data.view().end())};
                if (n.charon.eager.erase(i.key))
                    n.charon.answers.push_back(record(n, i.key, {sa.lineage, sa.version + 1, sa.parent, sa.data}));
            }
        }
        n.charon.answers.push_back(std::move(r));
    }

};

}  // namespace mcs_sim
