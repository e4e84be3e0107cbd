// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/plugin_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace mcipsec::io {

using vici::Message;

namespace {

constexpr std::size_t kIkeKey = 16;
constexpr std::size_t kChildKey = 5;

tl::unexpected<Error> protocol_error(const std::string &where, std::string_view field)
{
    return fail(-EPROTO, where + ": field " + std::string(field) + " is missing or malformed");
}

void flatten_into(Info &out, const vici::Section &s, const std::string &prefix, unsigned depth)
{
    for (const auto &e : s.elements()) {
        const std::string name = prefix + e.name;
        if (const auto *text = std::get_if<std::string>(&e.value)) {
            out.emplace_back(name, *text);
        } else if (const auto *list = std::get_if<vici::List>(&e.value)) {
            std::string joined;
            for (const auto &item : *list)
                joined += (joined.empty() ? "" : ",") + item;
            out.emplace_back(name, std::move(joined));
        } else if (const auto *section = std::get_if<vici::SectionPtr>(&e.value); section && depth < vici::kMaxDepth) {
            flatten_into(out, **section, name + ".", depth + 1);
        }
        // Secrets stay behind.
    }
}

std::optional<GroupId> group_of(const Message &m)
{
    const auto v = m.u64("group");
    if (!v || *v > 0xffffffffu)
        return std::nullopt;
    return static_cast<GroupId>(*v);
}

Expected<CharonState> parse_state(std::string_view text)
{
    for (const auto s : {CharonState::Closed, CharonState::Passive, CharonState::Active})
        if (text == to_string(s))
            return s;
    return fail(-EPROTO, "unknown state of a group");
}

}  // namespace

std::string_view to_string(EntryKind kind)
{
    return kind == EntryKind::Ike ? "ike" : "child";
}

std::string_view to_string(CharonState state)
{
    switch (state) {
    case CharonState::Closed: return "closed";
    case CharonState::Passive: return "passive";
    case CharonState::Active: return "active";
    }
    return "?";
}

std::string_view to_string(PoolShare share)
{
    switch (share) {
    case PoolShare::All: return "all";
    case PoolShare::Even: return "even";
    case PoolShare::Odd: return "odd";
    }
    return "?";
}

Info flatten(const vici::Section &s)
{
    Info out;
    flatten_into(out, s, "", 0);
    return out;
}

Expected<PluginRecord> parse_record(Message &&m)
{
    static const std::string where = "mcipsec-record";
    PluginRecord r;
    const auto epoch = m.hex64("epoch"), lineage = m.hex64("lineage");
    const auto seq = m.u64("seq"), version = m.u64("version");
    const auto group = group_of(m);
    if (!epoch)
        return protocol_error(where, "epoch");
    if (!seq)
        return protocol_error(where, "seq");
    if (!group)
        return protocol_error(where, "group");
    if (!version)
        return protocol_error(where, "version");
    const auto op = m.get("op"), kind = m.get("kind");
    if (op != "upsert" && op != "delete")
        return protocol_error(where, "op");
    if (kind != "ike" && kind != "child")
        return protocol_error(where, "kind");
    if (!lineage && op == "upsert")     // a CHILD_SA may end after its IKE_SA
        return protocol_error(where, "lineage");
    r.epoch = *epoch;
    r.seq = *seq;
    r.group = *group;
    r.version = *version;
    r.lineage = lineage.value_or(0);
    r.op = op == "upsert" ? RecordOp::Upsert : RecordOp::Delete;
    r.kind = kind == "ike" ? EntryKind::Ike : EntryKind::Child;
    r.local = m.flag("local");
    r.snapshot = m.flag("snapshot");
    r.name = m.str("name");
    auto key = from_hex(m.str("key"));
    if (!key || key->size() != (r.kind == EntryKind::Ike ? kIkeKey : kChildKey))
        return protocol_error(where, "key");
    auto parent = from_hex(m.str("parent"));
    if (!parent || (!parent->empty() && parent->size() != kIkeKey) ||
        (r.kind == EntryKind::Child && r.op == RecordOp::Upsert && parent->empty()))
        return protocol_error(where, "parent");
    r.key = std::move(*key);
    r.parent = std::move(*parent);
    if (const auto *info = m.section("info"))
        r.info = flatten(*info);
    if (r.op == RecordOp::Upsert && !m.secret("data"))
        return protocol_error(where, "data");
    r.data = m.take_secret("data");
    r.unfit = m.str("unfit");
    return r;
}

Message build_import(const PluginRecord &r)
{
    Message m;
    m.add("kind", std::string(to_string(r.kind)));
    m.add_u64("group", r.group);
    m.add("key", to_hex(r.key));
    m.add("parent", to_hex(r.parent));
    m.add_hex64("lineage", r.lineage);
    m.add_u64("version", r.version);
    m.add("name", r.name);
    m.add_secret("data", r.data.clone());
    return m;
}

PluginClient::PluginClient(ViciClient &vici) : vici_(vici) {}

void PluginClient::start(std::function<void(Expected<void>)> registered)
{
    const auto malformed = [this](const Error &e) {
        ++stats_.malformed;
        if (on_malformed)
            on_malformed(e.text);
    };
    vici_.on_event(
        "mcipsec-record",
        [this, malformed](Message &&m) {
            if (const auto epoch = m.hex64("epoch"), seq = m.u64("seq"); epoch && seq)
                saw(*epoch, *seq);      // also of one that says nothing else
            auto r = parse_record(std::move(m));
            if (!r) {
                malformed(r.error());
                return;
            }
            ++stats_.records;
            if (on_record)
                on_record(std::move(*r));
        },
        registered);
    vici_.on_event(
        "mcipsec-log",
        [this](Message &&m) {
            PluginLog log;
            log.group = group_of(m).value_or(0);
            log.what = m.str("what");
            log.text = m.str("text");
            for (auto &field : flatten(m))
                if (field.first != "group" && field.first != "what" && field.first != "text")
                    log.fields.push_back(std::move(field));
            if (on_log)
                on_log(std::move(log));
        },
        registered);
    vici_.on_event(
        "mcipsec-held-expired",
        [this, malformed](Message &&m) {
            const auto group = group_of(m);
            const auto seq = m.u64("seq");
            if (!group || !seq) {
                malformed(Error{-EPROTO, "mcipsec-held-expired: field group or seq is missing or malformed"});
                return;
            }
            if (on_held_expired)
                on_held_expired({*group, m.hex64("epoch").value_or(0), *seq, m.u64("count").value_or(1)});
        },
        registered);
}

void PluginClient::command(std::string name, Message m, Done<Message> done)
{
    vici_.request(name, std::move(m), [name, done = std::move(done)](Expected<Message> reply) {
        if (!done)
            return;
        if (reply && reply->get("success") == "no") {
            done(fail(-EREMOTEIO, name + ": " + reply->str("errmsg", "refused by charon")));
            return;
        }
        done(std::move(reply));
    });
}

namespace {

// Adapts a reply: error goes through, else parse makes the typed answer.
template <typename T, typename Parse>
PluginClient::Done<Message> typed(PluginClient::Done<T> done, Parse parse)
{
    return [done = std::move(done), parse](Expected<Message> m) {
        if (!done)
            return;
        if (!m)
            done(tl::unexpected(m.error()));
        else
            done(parse(*m));
    };
}
PluginClient::Done<Message> plain(PluginClient::Done<void> done)
{
    return typed<void>(std::move(done), [](const Message &) -> Expected<void> { return {}; });
}
PluginClient::Done<Message> count(std::string where, PluginClient::Done<std::uint64_t> done)
{
    return typed<std::uint64_t>(std::move(done), [where](const Message &m) -> Expected<std::uint64_t> {
        if (const auto v = m.u64("count"))
            return *v;
        return protocol_error(where, "count");
    });
}

std::optional<RekeyResult> rekey_result(const Message &m)
{
    static constexpr std::pair<std::string_view, RekeyResult> kResults[] = {
        {"queued", RekeyResult::Queued}, {"busy", RekeyResult::Busy}, {"missing", RekeyResult::Missing}, {"passive", RekeyResult::Passive}};
    const auto result = m.get("result");
    for (const auto &[name, value] : kResults)
        if (result == name)
            return value;
    return std::nullopt;
}

}  // namespace

void PluginClient::version(Done<PluginVersion> done)
{
    command("mcipsec-version", {}, typed<PluginVersion>(std::move(done), [](const Message &m) -> Expected<PluginVersion> {
        const auto protocol = m.u64("protocol"), epoch = m.hex64("epoch");
        if (!protocol || !epoch)
            return protocol_error("mcipsec-version", "protocol or epoch");
        return PluginVersion{m.str("plugin"), m.str("strongswan"), static_cast<unsigned>(*protocol), *epoch};
    }));
}

void PluginClient::group(const PluginGroup &g, Done<PluginGroupReply> done)
{
    Message m;
    m.add_u64("group", g.group);
    m.add("state", std::string(to_string(g.state)));
    m.add_bool("commit", g.commit);
    m.add_u64("commit-limit-ms", g.commit_limit_ms);
    m.add("pool-share", std::string(to_string(g.share)));
    m.add_bool("responder-only", g.responder_only);
    vici::List addresses;
    for (const auto &a : g.addresses)
        addresses.push_back(a.str());
    m.add_list("addresses", std::move(addresses));
    m.add_list("connections", g.connections);
    m.add_bool("more", g.more);
    command("mcipsec-group", std::move(m), typed<PluginGroupReply>(std::move(done), [](const Message &r) -> Expected<PluginGroupReply> {
        auto state = parse_state(r.str("state"));
        if (!state)
            return protocol_error("mcipsec-group", "state");
        return PluginGroupReply{*state, r.u64("ike").value_or(0), r.u64("child").value_or(0)};
    }));
}

void PluginClient::group_remove(GroupId group, Done<void> done)
{
    Message m;
    m.add_u64("group", group);
    command("mcipsec-group-remove", std::move(m), plain(std::move(done)));
}

void PluginClient::saw(std::uint64_t epoch, std::uint64_t seq)
{
    if (epoch != seen_.epoch)
        seen_ = {epoch, 0};
    seen_.seq = std::max(seen_.seq, seq);
}

void PluginClient::import(const PluginRecord &r, bool replace, Done<PluginImport> done)
{
    auto message = build_import(r);
    if (replace)
        message.add_bool("replace", true);
    message.add_u64("seen", seen_.seq);
    command("mcipsec-import", std::move(message), typed<PluginImport>(std::move(done), [](const Message &m) -> Expected<PluginImport> {
        static constexpr std::pair<std::string_view, ImportResult> kResults[] = {
            {"installed", ImportResult::Installed}, {"await-conf", ImportResult::AwaitConf},
            {"stale", ImportResult::Stale}, {"changed", ImportResult::Changed}, {"failed", ImportResult::Failed}};
        const auto result = m.get("result");
        for (const auto &[name, value] : kResults)
            if (result == name)
                return PluginImport{value, m.str("reason")};
        return protocol_error("mcipsec-import", "result");
    }));
}

void PluginClient::remove(EntryKind kind, GroupId group, const Bytes &key, bool ended, Done<std::uint64_t> done)
{
    Message m;
    m.add("kind", std::string(to_string(kind)));
    m.add_u64("group", group);
    m.add("key", to_hex(key));
    if (ended)
        m.add_bool("ended", true);
    command("mcipsec-delete", std::move(m), count("mcipsec-delete", std::move(done)));
}

void PluginClient::purge(GroupId group, Done<std::uint64_t> done)
{
    Message m;
    m.add_u64("group", group);
    command("mcipsec-purge", std::move(m), count("mcipsec-purge", std::move(done)));
}

void PluginClient::ack(std::uint64_t epoch, std::uint64_t seq, const std::map<GroupId, std::uint64_t> &groups, Done<void> done)
{
    Message m;
    m.add_hex64("epoch", epoch);
    m.add_u64("seq", seq);
    for (const auto &[group, upto] : groups)
        m.add_u64(fmt::format("group-{}", group), upto);
    command("mcipsec-ack", std::move(m), plain(std::move(done)));
}

void PluginClient::snapshot(GroupId group, Done<PluginSnapshot> done)
{
    Message m;
    m.add_u64("group", group);
    command("mcipsec-snapshot", std::move(m), typed<PluginSnapshot>(std::move(done), [this](const Message &r) -> Expected<PluginSnapshot> {
        const auto count = r.u64("count"), seq = r.u64("seq");
        if (!count || !seq)
            return protocol_error("mcipsec-snapshot", "count or seq");
        const auto epoch = r.hex64("epoch").value_or(0);
        saw(epoch, *seq);
        return PluginSnapshot{*count, epoch, *seq};
    }));
}

void PluginClient::rekey(GroupId group, const Bytes &child_key, Done<RekeyResult> done)
{
    Message m;
    m.add_u64("group", group);
    m.add("key", to_hex(child_key));
    command("mcipsec-rekey", std::move(m), typed<RekeyResult>(std::move(done), [](const Message &r) -> Expected<RekeyResult> {
        if (const auto result = rekey_result(r))
            return *result;
        return protocol_error("mcipsec-rekey", "result");
    }));
}

void PluginClient::doubt(GroupId group, const Bytes &ike_key, const PluginRival &rival, Done<RekeyResult> done)
{
    Message m;
    m.add_u64("group", group);
    m.add("key", to_hex(ike_key));
    if (!rival.proposed.empty())
        m.add("proposed", rival.proposed);
    if (rival.mid_out)
        m.add_u64("mid-out", *rival.mid_out);
    if (!rival.strays.empty()) {
        std::vector<std::string> keys;
        for (const auto &key : rival.strays)
            keys.push_back(to_hex(key));
        m.add_list("strays", keys);
    }
    command("mcipsec-doubt", std::move(m), typed<RekeyResult>(std::move(done), [](const Message &r) -> Expected<RekeyResult> {
        if (const auto result = rekey_result(r))
            return *result;
        return protocol_error("mcipsec-doubt", "result");
    }));
}

void PluginClient::liveness(GroupId group, const Bytes &ike_key, Done<PluginLiveness> done)
{
    Message m;
    m.add_u64("group", group);
    m.add("key", to_hex(ike_key));
    command("mcipsec-liveness", std::move(m), typed<PluginLiveness>(std::move(done), [](const Message &r) -> Expected<PluginLiveness> {
        const auto result = rekey_result(r);
        const auto mid = r.u64("mid");
        if (!result || (*result == RekeyResult::Queued && (!mid || *mid > UINT32_MAX)))
            return protocol_error("mcipsec-liveness", "result or mid");
        return PluginLiveness{*result, static_cast<std::uint32_t>(mid.value_or(0))};
    }));
}

void PluginClient::status(Done<Message> done)
{
    command("mcipsec-status", {}, std::move(done));
}

void PluginClient::connection(const std::string &name, Done<Message> done)
{
    Message m;
    m.add("name", name);
    command("mcipsec-conn", std::move(m), std::move(done));
}

void PluginClient::streamed(const std::string &name, const std::string &event, Message m, std::function<void(const Message &)> on_item,
                            Done<void> done)
{
    // The registration stays: charon raises these events only while such a command runs.
    if (std::find(stream_events_.begin(), stream_events_.end(), event) == stream_events_.end()) {
        stream_events_.push_back(event);
        vici_.on_event(event, [this, event](Message &&item) {
            if (!streams_.empty() && streams_.front().event == event && streams_.front().on_item) {
                const auto fn = streams_.front().on_item;
                fn(item);
            }
        });
    }
    streams_.push_back({name, event, std::move(m), std::move(on_item), std::move(done)});
    if (streams_.size() == 1)
        start_stream();
}

void PluginClient::start_stream()
{
    Stream &s = streams_.front();
    command(s.command, std::move(s.message), [this](Expected<Message> reply) {
        const Stream finished = std::move(streams_.front());
        streams_.pop_front();
        if (!streams_.empty())
            start_stream();
        if (!finished.done)
            return;
        if (reply)
            finished.done({});
        else
            finished.done(tl::unexpected(reply.error()));
    });
}

void PluginClient::list_sas(const std::string &ike, std::function<void(const Message &)> on_sa, Done<void> done)
{
    Message m;
    m.add_bool("noblock", true);
    if (!ike.empty())
        m.add("ike", ike);
    streamed("list-sas", "list-sa", std::move(m), std::move(on_sa), std::move(done));
}

void PluginClient::list_conns(std::function<void(const Message &)> on_conn, Done<void> done)
{
    streamed("list-conns", "list-conn", {}, std::move(on_conn), std::move(done));
}

void PluginClient::terminate(const std::string &ike, Done<std::uint64_t> done)
{
    Message m;
    m.add("ike", ike);
    m.add("timeout", "-1");     // do not wait for the peer: the answer comes at once
    command("terminate", std::move(m), typed<std::uint64_t>(std::move(done), [](const Message &r) -> Expected<std::uint64_t> {
        return r.u64("terminated").value_or(0);
    }));
}

void PluginClient::stats(Done<Message> done)
{
    command("stats", {}, std::move(done));
}

}  // namespace mcipsec::io
