// SPDX-License-Identifier: GPL-2.0-or-later
// From the database into the own charon. Per key at most one Import or Delete is
// under way; a CHILD_SA waits for its IKE_SA; what waits for configuration or
// failed is parked, told to the master, and tried again.
#include <algorithm>

#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {

// Sees to it that the present state of e gets into charon.
void Session::Impl::import(Group &g, Entry &e)
{
    e.delete_due = false;
    if (e.status == LocalStatus::LocalDeleted)
        g.db.set_status(e, LocalStatus::Pending);
    if (!can_import(g)) {
        // charon is away or has not said yet what it holds: refilled then.
        g.db.set_status(e, LocalStatus::Pending);
        settle(e, e.rx_txn);
        return;
    }
    if (e.op != Entry::Op::None || e.queued) {
        if (e.op != Entry::Op::Importing)
            g.db.set_status(e, LocalStatus::Pending);
        return;
    }
    if (e.parent) {
        const auto *parent = g.db.find_live(*e.parent);
        const bool hopeless = !parent || parent->status == LocalStatus::AwaitConf || parent->status == LocalStatus::Failed ||
                              parent->status == LocalStatus::LocalDeleted;
        if (hopeless || parent->status != LocalStatus::Installed) {
            e.waiting = true;
            if (hopeless)
                park(g, e, LocalStatus::AwaitConf, parent ? "its IKE_SA is " + std::string(to_string(parent->status)) : "its IKE_SA is not known");
            else
                g.db.set_status(e, LocalStatus::Pending);
            return;
        }
    }
    g.parked.erase(e.key);
    g.db.set_status(e, LocalStatus::Pending);
    e.waiting = false;
    e.queued = true;
    g.ready.push_back(e.key);
}

void Session::Impl::park(Group &g, Entry &e, LocalStatus status, const std::string &reason)
{
    const bool failed = status == LocalStatus::Failed;
    if (e.status != status && !e.waiting)  // one word for an IKE_SA and its CHILD_SAs
        log(failed ? act::Severity::Alarm : act::Severity::Warning, g.tag, failed ? "entry-failed" : "entry-await-conf",
            e.key.str() + " " + e.name + ": " + reason);
    g.db.set_status(e, status);
    g.parked.insert(e.key);
    auto &at = failed ? failed_retry_at : retry_at;
    at = std::min(at, now + (failed ? config.failed_retry_interval : config.retry_interval));
    if (e.rx_txn) {
        nack(g, e.rx_txn, failed ? frame::Nack::Why::Failed : frame::Nack::Why::AwaitConf, &e, reason);
        settle(e, e.rx_txn);
    }
    if (e.key.kind != Kind::IkeSa)
        return;
    for (const auto &key : g.db.children(e.key))
        if (auto *child = g.db.find(key); child->waiting && child->status == LocalStatus::Pending)
            park(g, *child, LocalStatus::AwaitConf, "its IKE_SA is " + std::string(to_string(status)));
}

// The IKE_SA is there: its CHILD_SAs may come.
void Session::Impl::wake(Group &g, const Key &parent)
{
    for (const auto &key : g.db.children(parent))
        if (auto *e = g.db.find(key); e->waiting && e->status != LocalStatus::Installed)
            import(g, *e);
}

// The IKE_SA went: charon ends with it whatever CHILD_SAs it still has.
void Session::Impl::orphan(Group &g, const Key &parent)
{
    for (const auto &key : g.db.children(parent)) {
        auto *e = g.db.find(key);
        if (e->status == LocalStatus::LocalDeleted || e->op != Entry::Op::None)
            continue;  // the answer finds out
        e->waiting = true;
        park(g, *e, LocalStatus::AwaitConf, "its IKE_SA ended");
    }
}

// Sees to it that the buried e leaves charon.
void Session::Impl::work_delete(Group &g, Entry &e)
{
    if (!can_import(g)) {
        e.delete_due = false;  // charon says what it holds when it is back
        settle(e, e.rx_txn);
        return;
    }
    e.delete_due = true;
    if (e.op != Entry::Op::None || e.queued)
        return;
    e.queued = true;
    g.ready.push_back(e.key);
}

void Session::Impl::reimport_all(Group &g, bool unseen_only)
{
    std::vector<Key> keys;
    for (auto &[key, e] : g.db.entries())
        if (!e.tombstone && e.status != LocalStatus::LocalDeleted && !(unseen_only && e.seen && e.status == LocalStatus::Installed))
            keys.push_back(key);
    std::sort(keys.begin(), keys.end());  // IKE_SAs first
    g.refilling = g.refilling || !keys.empty();
    for (const auto &key : keys)
        if (auto &e = *g.db.find(key); e.op == Entry::Op::None)
            g.db.set_status(e, LocalStatus::Pending);
    for (const auto &key : keys)
        import(g, *g.db.find(key));
}

void Session::Impl::retry(bool await_conf, bool failed)
{
    for (auto &[tag, gp] : groups) {
        std::vector<Key> keys(gp->parked.begin(), gp->parked.end());
        std::sort(keys.begin(), keys.end());
        for (const auto &key : keys) {
            auto *e = gp->db.find(key);
            if (!e || e->tombstone || (e->status != LocalStatus::AwaitConf && e->status != LocalStatus::Failed))
                gp->parked.erase(key);
            else if (gp->acting && gp->filled && await_conf && e->parent && !gp->db.find_live(*e->parent)) {
                // It ended with its IKE_SA, nobody but us can tell; charon may have an older state of it.
                bury_local(*gp, *e, 0);
                work_delete(*gp, *e);
            } else if (e->status == LocalStatus::Failed ? failed : await_conf)
                import(*gp, *e);
        }
    }
    if (await_conf)
        retry_at = kNever;
    if (failed)
        failed_retry_at = kNever;
    for (const auto &[tag, gp] : groups)
        for (const auto &key : gp->parked)
            if (const auto *e = gp->db.find_live(key); e && e->status == LocalStatus::Failed)
                failed_retry_at = std::min(failed_retry_at, now + config.failed_retry_interval);
            else if (e && e->status == LocalStatus::AwaitConf)
                retry_at = std::min(retry_at, now + config.retry_interval);
}

// What the own charon lost (somebody ended it on the standby) it is given again.
void Session::Impl::retry_lost()
{
    lost_retry_at = kNever;
    for (auto &[tag, gp] : groups) {
        std::vector<Key> keys;
        for (const auto &[key, e] : gp->db.entries())
            if (!e.tombstone && e.status == LocalStatus::LocalDeleted)
                keys.push_back(key);
        std::sort(keys.begin(), keys.end());    // IKE_SAs first
        for (const auto &key : keys)
            import(*gp, *gp->db.find(key));
    }
}

// Merged, or too late for a takeover: charon runs an older state of it, which makes way.
// The CHILD_SAs of an IKE_SA go with it in charon, and come again after it.
bool Session::Impl::replaces(Group &g, const Entry &e)
{
    if (!g.acting || !e.in_charon)
        return false;
    for (const auto &key : g.db.children(e.key)) {
        Entry &child = *g.db.find(key);
        if (child.status == LocalStatus::LocalDeleted)
            continue;
        child.waiting = true;
        g.parked.erase(key);
        g.db.set_status(child, LocalStatus::Pending);
    }
    return true;
}

// Hands out work, one key a group in turn, up to the window.
void Session::Impl::pump_imports()
{
    for (bool progress = true; progress && works < config.import_window;) {
        progress = false;
        for (auto &[tag, gp] : groups) {
            Group &g = *gp;
            if (g.ready.empty() || works >= config.import_window || !can_import(g))
                continue;
            progress = true;
            const auto key = g.ready.front();
            g.ready.pop_front();
            auto *e = g.db.find(key);
            if (!e || !e->queued)
                continue;
            e->queued = false;
            if (e->op != Entry::Op::None || (e->tombstone ? !e->delete_due : e->status != LocalStatus::Pending))
                continue;
            works++;
            e->op_txn = e->rx_txn;
            e->op_change = e->change;
            if (e->tombstone) {
                e->op = Entry::Op::Deleting;
                e->delete_due = false;
                out.push_back(act::Delete{g.tag, key, g.acting && e->leaves});
            } else {
                e->op = Entry::Op::Importing;
                g.db.set_status(*e, LocalStatus::Installing);
                n.imports++;
                out.push_back(act::Import{g.tag, key, replaces(g, *e)});
            }
        }
    }
}

void Session::Impl::on(ev::ImportResult &r)
{
    auto *g = find(r.tag);
    auto *e = g ? g->db.find(r.key) : nullptr;
    if (!e || e->op != Entry::Op::Importing) {
        n.unknown_events++;
        return;
    }
    works--;
    e->op = Entry::Op::None;
    e->gives_way = e->gives_way && r.outcome == ev::ImportOutcome::Changed;
    made_way(*g, r.key, r.outcome == ev::ImportOutcome::Installed || r.outcome == ev::ImportOutcome::Stale);
    if (e->tombstone) {
        if (e->delete_due)
            work_delete(*g, *e);
    } else if (e->status == LocalStatus::Pending) {
        e->in_charon = e->in_charon || r.outcome == ev::ImportOutcome::Installed || r.outcome == ev::ImportOutcome::Stale;
        import(*g, *e);  // ended and began again meanwhile, or another state of it came
    } else if (e->status != LocalStatus::Installing) {
        settle(*e, e->rx_txn);  // the own plugin spoke meanwhile
    } else if (e->change != e->op_change && r.version != e->version) {
        // It changed after the message was built.
        if (r.outcome == ev::ImportOutcome::Installed || r.outcome == ev::ImportOutcome::Stale) {
            e->in_charon = true;
            settle(*e, e->op_txn);
        }
        import(*g, *e);
    } else if (r.outcome == ev::ImportOutcome::Installed || r.outcome == ev::ImportOutcome::Stale) {
        // Stale: charon has this state or a later one of the same SA.
        g->db.set_status(*e, LocalStatus::Installed);
        e->in_charon = true;
        settle(*e, e->rx_txn);
        tell_merged(*g, *e);
        if (e->parent && !g->db.find_live(*e->parent))
            import(*g, *e);  // its IKE_SA ended meanwhile
        else
            wake(*g, r.key);
    } else if (r.outcome == ev::ImportOutcome::Changed) {
        g->db.set_status(*e, LocalStatus::Pending);
        import(*g, *e);  // the change did not concern it after all
    } else if (r.outcome == ev::ImportOutcome::AwaitConf) {
        n.import_await_conf++;
        park(*g, *e, LocalStatus::AwaitConf, r.reason.empty() ? "its connection is not loaded" : r.reason);
    } else {
        n.import_failures++;
        park(*g, *e, LocalStatus::Failed, r.reason.empty() ? "import failed" : r.reason);
    }
    advance();
}

void Session::Impl::on(ev::DeleteResult &r)
{
    auto *g = find(r.tag);
    auto *e = g ? g->db.find(r.key) : nullptr;
    if (!e || e->op != Entry::Op::Deleting) {
        n.unknown_events++;
        return;
    }
    works--;
    e->op = Entry::Op::None;
    e->leaves = false;
    if (!r.ok)
        log(act::Severity::Warning, g->tag, "delete-failed", r.key.str() + ": " + r.reason);
    settle(*e, e->op_txn);
    if (!e->tombstone)
        import(*g, *e);
    else if (e->delete_due)
        work_delete(*g, *e);
    advance();
}

}  // namespace mcipsec::mcs
