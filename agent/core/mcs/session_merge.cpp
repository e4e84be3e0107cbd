// SPDX-License-Identifier: GPL-2.0-or-later
// Two lives of a tunnel: a standby has records from a time when it was acting itself
// and the present master did not hear it (a dual master; an agent that came back
// without its memory while its charon kept what it had). The standby puts them to the
// master, and takes nothing of the master's life of that tunnel before the decision.
// The master decides by who authenticated a packet of the tunnel last (I5: its word
// counts), IKE_SA first; its CHILD_SAs follow the IKE_SA.
//
// Whether a record descends from another cannot be told from their numbers alone: a
// generation is higher also where its writer had not heard the one before. So an
// acting master says which term of the peer it has heard whole (Offer::inherits).
#include <algorithm>

#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {

// --------------------------------------------------------------- standby ---

// Whether it is ours, and the master may not have heard of it: of a later term than the
// one it heard whole, or of that one and not acknowledged when it ended. A master that is
// cut off goes on in its term.
bool Session::Impl::unheard(const Group &g, const Entry &e) const
{
    const auto term = e.version.generation;
    return e.own && (term > g.offer->inherits || (term && term == g.offer->inherits && e.change > g.met));
}

// Whether the master's record is of another life than the one that went on here, and no
// decision has been heard. Puts ours to it the first time.
bool Session::Impl::disputed(Group &g, const Entry &theirs, const Entry *held)
{
    const Key &ike = theirs.parent ? *theirs.parent : theirs.key;
    const bool later = held && unheard(g, *held);
    const bool ours = later && !held->tombstone && held->version != theirs.version;
    const bool ended = held && held->own && held->tombstone && (later || relation(theirs.version, held->version) == Relation::Older);
    // What moved away from one that has ended here is put to it by itself.
    const bool moved = held && !held->tombstone && held->parent && *held->parent != ike && !g.db.find_live(ike);
    if (moved && ours && !g.appealed.contains(theirs.key) && g.rivals.insert(theirs.key).second)
        g.propose.push_back(theirs.key);
    if (!theirs.parent && (ours || ended) && !g.appealed.contains(ike) && g.rivals.insert(ike).second) {
        g.contested.insert(ike);
        (ended ? g.ended : g.propose).push_back(ike);
        for (const auto &key : g.db.children(ike))      // none of what has ended
            g.propose.push_back(key);
    }
    return g.rivals.contains(moved ? theirs.key : ike);
}

// In sync with the master: what is not put to it is not ours alone any more.
void Session::Impl::confirm(Group &g)
{
    const std::unordered_set<Key, KeyHash> open(g.propose.begin(), g.propose.end());
    for (auto &[key, e] : g.db.entries())
        if (e.own && !open.contains(key) && !g.contested.contains(e.parent ? *e.parent : key))
            e.own = false;
}

std::uint32_t Session::Impl::ms_since(Time then) const
{
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count(), 0, UINT32_MAX));
}

std::optional<std::uint32_t> Session::Impl::inbound_age(const Group &g, const Entry &e) const
{
    const auto it = g.inbound.find(e.parent ? *e.parent : e.key);
    if (it == g.inbound.end())
        return std::nullopt;
    return ms_since(it->second);
}

// A standby's own records, proposed to the master; small parts at a time, and behind
// its final sequence state, which must be there before anything sends under their keys.
void Session::Impl::propose(Group &g)
{
    if (!hears(g) || (g.propose.empty() && g.ended.empty()) || !g.final_done || !g.frozen_out.empty())
        return;
    if (!g.ended.empty() && g.rx != Rx::Live)
        return;
    if (!g.ended.empty())
        propose_ends(g);
    for (; !g.propose.empty() && tx.size() < config.write_chunk; g.propose.pop_front()) {
        const Key key = g.propose.front();
        if (g.rivals.erase(key))
            g.appealed.insert(key);     // what comes next of it counts
        if (!g.db.find_live(key))
            continue;
        Entry &e = *g.db.find(key);
        e.inbound_age_ms = inbound_age(g, e);
        frame::encode_propose(tx, g.tag, g.generation, e, g.db.children(e.key));
        n.frames_out++;
        n.proposed++;
    }
}

// Once it is known what took their places: no other proposal goes before them.
void Session::Impl::propose_ends(Group &g)
{
    std::unordered_map<std::uint64_t, std::vector<Key>> alive;      // by lineage: the CHILD_SAs
    for (const auto &[key, e] : g.db.entries())
        if (!e.tombstone && key.kind == Kind::IkeSa)
            for (auto &at = alive[e.version.lineage]; const auto &child : g.db.children(key))
                at.push_back(child);
    for (; !g.ended.empty() && tx.size() < config.write_chunk; g.ended.pop_front()) {
        const Key key = g.ended.front();
        g.rivals.erase(key);
        g.appealed.insert(key);
        const auto *e = g.db.find(key);
        if (!e || !e->tombstone)
            continue;
        frame::Ended f{g.tag, g.generation, key, e->version, {}, {}};
        if (const auto it = alive.find(e->version.lineage); it != alive.end())
            f.children = it->second;
        else
            f.age_ms = ms_since(e->ended);
        frame::encode(tx, f);
        n.frames_out++;
        n.proposed++;
    }
}

// ---------------------------------------------------------------- master ---

// Whether the proposed state was written without this one being known, and this one
// without the proposed: no number says which is later. What the peer had acknowledged when
// this term began it went on from. Generation 0: charon had it when this agent began,
// nobody knows whose it was.
bool Session::Impl::apart(const Group &g, const Entry &held, const Entry &proposed) const
{
    const auto term = proposed.version.generation;
    const auto over = relation(proposed.version, held.base);
    const bool unheard = term > g.inherits || (term && term == g.inherits && (over == Relation::Newer || over == Relation::Other));
    return !held.tombstone && held.change > g.met && (held.own || held.version.generation == 0) && term != held.version.generation && unheard;
}

bool Session::Impl::takes(const Group &g, const Entry &held, const Entry &proposed) const
{
    if (proposed.parent && g.adopted.contains(*proposed.parent))
        return true;
    // Its IKE_SA has ended here by the peer's word: where it moved to counts.
    if (proposed.parent && held.parent && *held.parent != *proposed.parent && !g.db.find_live(*held.parent))
        return true;
    const bool newer = relation(proposed.version, held.version) == Relation::Newer;
    if (!apart(g, held, proposed))
        return newer;
    const auto ours = inbound_age(g, held);
    if (ours && proposed.inbound_age_ms)
        return *proposed.inbound_age_ms <= *ours;
    return ours || proposed.inbound_age_ms ? !ours : newer;
}

void Session::Impl::outvote(Group &g, const Key &ike)
{
    g.outvoted.insert(ike);
    for (const auto &key : g.db.children(ike))
        g.db.touch(*g.db.find(key));    // the standby has not listened to them so far
}

// The standby may not have heard of an earlier one, and put it again: what lost then counts
// until it is told.
void Session::Impl::decided(Group &g, const Key &ike, Group::Decision &&d)
{
    const auto [it, fresh] = g.merged.try_emplace(ike, std::move(d));
    if (fresh || it->second.told)
        return;
    it->second.apart |= d.apart;
    it->second.strays.insert(it->second.strays.end(), d.strays.begin(), d.strays.end());
}

// A decided IKE_SA is in charon with the life that goes on: once for each decision.
void Session::Impl::tell_merged(Group &g, const Entry &e)
{
    const auto it = g.merged.find(e.key);
    if (it == g.merged.end() || it->second.told || e.status != LocalStatus::Installed)
        return;
    it->second.told = true;
    auto strays = std::exchange(it->second.strays, {});
    std::erase_if(strays, [&](const Key &key) { return g.db.find_live(key); });
    out.push_back(act::Merged{g.tag, e.key, it->second.apart, it->second.rival, std::move(strays)});
}

// Ours goes out again. Where the refused version counts as newer, the decision makes
// ours newer still: else it would be proposed for ever.
void Session::Impl::insist(Group &g, Entry *held, const Entry &refused)
{
    const Version above{g.generation, refused.version.lineage, refused.version.version + 1};
    const bool newer = !held || relation(refused.version, held->version) == Relation::Newer;
    if (newer && (!held || held->tombstone)) {
        Entry &grave = g.db.bury(refused.key, above);
        grave.own = true;
        grave.ended = now;
    } else if (newer) {
        Entry ours;
        ours.key = held->key;
        ours.parent = held->parent;
        ours.version = {g.generation, held->version.lineage, held->version.version};
        ours.name = held->name;
        ours.info = held->info;
        ours.data = held->data.clone();
        ours.extra = held->extra.clone();
        g.db.store(std::move(ours), true);
    } else if (held->tombstone || held->version != refused.version) {
        g.db.touch(*held);
    }
}

// What a standby puts to this node. The decision needs to know who was heard here, as of now.
Group *Session::Impl::asked(const std::string &tag, Generation generation)
{
    auto *g = find(tag);
    if (!g || !counts(serves(*g) ? judge_proposal(*g, generation) : Verdict::NotActing))
        return nullptr;
    if (g->proposals.empty() && g->ends.empty())
        out.push_back(act::InboundWanted{g->tag});
    return g;
}

void Session::Impl::on(frame::Propose &f)
{
    if (auto *g = asked(f.tag, f.generation))
        g->proposals.push_back(std::move(f));
}

void Session::Impl::on(frame::Ended &f)
{
    if (auto *g = asked(f.tag, f.generation))
        g->ends.push_back(std::move(f));
}

void Session::Impl::on(ev::InboundSeen &r)
{
    auto *g = find(r.tag);
    if (!g)
        return;
    g->inbound.clear();
    g->inbound.insert(r.ike.begin(), r.ike.end());
    for (const auto &f : std::exchange(g->ends, {}))
        if (serves(*g) && judge_proposal(*g, f.generation) == Verdict::Take)
            decide_end(*g, f);
    for (auto &f : std::exchange(g->proposals, {}))
        if (serves(*g) && judge_proposal(*g, f.generation) == Verdict::Take)
            decide(*g, std::move(f));
}

// What wins, or is unknown, is taken and comes back to the standby as our own change;
// what we buried stays buried. A tunnel wins or loses as a whole: with its IKE_SA.
void Session::Impl::decide(Group &g, frame::Propose &&f)
{
    Entry &e = f.entry;
    const bool ike = e.key.kind == Kind::IkeSa;
    auto *held = g.db.find(e.key);
    const bool live = held && !held->tombstone;
    const bool outvoted = e.parent && g.outvoted.contains(*e.parent);
    const bool both = live && apart(g, *held, e);
    // Once more, before it has come back: an audit was quicker. It is here.
    if (const auto it = g.taken.find(e.key); live && it != g.taken.end() && it->second == e.version)
        return g.db.touch(*held);
    if (outvoted || (held && !takes(g, *held, e))) {
        const bool loses = ike && live && held->version != e.version;
        insist(g, held, e);
        if (loses) {
            // What is a tombstone here was ended with the peer.
            std::erase_if(f.children, [&](const Key &key) { return g.db.find(key); });
            outvote(g, e.key);
            decided(g, e.key, {both, e.info, both ? std::move(f.children) : std::vector<Key>()});
            tell_merged(g, *held);
        }
        return;
    }
    std::vector<Key> ended;
    if (ike && live) {
        if (both)
            g.adopted.insert(e.key);
        for (const auto &key : g.db.children(e.key)) {
            if (std::find(f.children.begin(), f.children.end(), key) != f.children.end())
                continue;       // it comes again after its IKE_SA
            g.parked.erase(key);
            const auto version = g.db.find(key)->version;
            g.db.bury(key, {g.generation, version.lineage, version.version + 1}).own = true;
            ended.push_back(key);
        }
    }
    if (ike)
        decided(g, e.key, {both, live ? held->info : std::string(), both ? ended : std::vector<Key>()});
    n.merged++;
    g.taken[e.key] = e.version;
    log(act::Severity::Info, g.tag, "merged", e.key.str() + " " + e.name + " taken over from the peer");
    e.version.generation = g.generation;
    if (held && relation(e.version, held->version) != Relation::Newer)
        e.version.version = held->version.version + 1;
    const bool append = !held || !unsent(g, *held);
    Entry &stored = g.db.store(std::move(e), append);
    stored.own = true;
    stored.gives_way = ike && stored.in_charon;
    g.db.set_status(stored, LocalStatus::Pending);
    import(g, stored);
    for (const auto &key : ended)       // most go with the IKE_SA; not where charon does not replace it
        work_delete(g, *g.db.find(key));
}

// The peer of an IKE_SA that we hold has ended it with the other chassis, or so that one
// says. If it was heard here since, ours goes on, and it is asked for life itself.
void Session::Impl::decide_end(Group &g, const frame::Ended &f)
{
    auto *held = g.db.find(f.key);
    if (!held || held->tombstone)
        return;
    const auto ours = inbound_age(g, *held);
    if (f.age_ms && ours && *ours < *f.age_ms) {
        Entry refused;
        refused.key = f.key;
        refused.version = f.version;
        insist(g, held, refused);
        outvote(g, f.key);
        decided(g, f.key, {true});
        tell_merged(g, *g.db.find(f.key));
        return;
    }
    n.merged++;
    log(act::Severity::Info, g.tag, "merged", f.key.str() + " " + held->name + " has ended with the peer");
    std::vector<Key> all = g.db.children(f.key);
    std::erase_if(all, [&](const Key &key) { return std::find(f.children.begin(), f.children.end(), key) != f.children.end(); });
    all.push_back(f.key);
    for (const auto &key : all) {
        auto &e = *g.db.find(key);
        const auto above = std::max(e.version.version, key == f.key ? f.version.version : 0) + 1;
        settle(e, e.rx_txn);
        g.parked.erase(key);
        Entry &grave = g.db.bury(key, {g.generation, e.version.lineage, above});
        grave.own = grave.leaves = true;
        grave.ended = now;
    }
    // A CHILD_SA must not go before what charon is about to do with it, the IKE_SA's tasks.
    std::reverse(all.begin(), all.end());
    g.leaving.push_back(std::move(all));
    g.merged.erase(f.key);
}

// Of one that was rekeyed CHILD_SAs live on: with it they would go in charon.
void Session::Impl::follow_ends(Group &g)
{
    const auto begin = [&](const std::vector<Key> &keys) {
        if (g.acting && !g.db.children(keys.front()).empty())
            return false;
        for (const auto &key : keys)
            if (auto *e = g.db.find(key); e && e->leaves)
                work_delete(g, *e);
        return true;
    };
    if (!g.acting || !g.db.gauges().installing)
        std::erase_if(g.leaving, begin);
}

// What charon still does with a life that has lost, before the other one takes its place.
// While that is under way nobody knows whose it is.
void Session::Impl::last_words(Group &g, const ev::LocalUpsert &r)
{
    const Key ike = r.key.kind == Kind::IkeSa ? r.key : r.parent.value_or(Key{});
    const auto it = g.merged.find(ike);
    const auto *held = g.db.find(ike);
    if (it == g.merged.end() || it->second.told || !it->second.apart || !held)
        return;
    if (held->op == Entry::Op::Importing)
        it->second.said.emplace_back(r.key, r.info);
    else
        last_words_count(g, it->second, r.key, r.info);
}

void Session::Impl::last_words_count(const Group &g, Group::Decision &d, const Key &key, const std::string &info)
{
    if (key.kind == Kind::IkeSa)
        d.rival = info;
    else if (!g.db.find(key) && std::find(d.strays.begin(), d.strays.end(), key) == d.strays.end())
        d.strays.push_back(key);
}

// The answer to an import. done: what charon said meanwhile was of the life that is in now,
// or else of the one that is there still.
void Session::Impl::made_way(Group &g, const Key &ike, bool done)
{
    const auto it = g.merged.find(ike);
    if (it == g.merged.end())
        return;
    for (const auto &[key, info] : std::exchange(it->second.said, {}))
        if (!done)
            last_words_count(g, it->second, key, info);
}

// Whether a record of the own charon is of a life that has lost: charon has it until the
// other one is imported.
bool Session::Impl::gives_way(const Group &g, const Key &key, const std::optional<Key> &parent) const
{
    const auto *held = g.db.find_live(key);
    const auto *ike = key.kind == Kind::IkeSa ? held : parent ? g.db.find_live(*parent) : held && held->parent ? g.db.find_live(*held->parent) : nullptr;
    return ike && ike->gives_way;
}

}  // namespace mcipsec::mcs
