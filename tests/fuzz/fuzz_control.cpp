// needs: cli
// SPDX-License-Identifier: GPL-2.0-or-later
// What reaches the agent and the command line as text: requests on the control
// socket (whoever asks), answers as the command line reads them, its words, and the
// small state files. The first byte chooses.
//
// A request of an unprivileged client must change nothing; each request is answered
// by one JSON object; no reader may throw but what its caller catches.
#include <cstdlib>
#include <string>

#include "app/control_dispatch.hpp"
#include "app/crypto_errors.hpp"
#include "app/record_info.hpp"
#include "app/restart_state.hpp"
#include "cli/grammar.hpp"
#include "core/crypto.hpp"

using namespace mcipsec;
using namespace mcipsec::app;
using nlohmann::json;

namespace {

// Answers with the words that were asked for, so that they come back in the answer.
class Api final : public AgentApi {
public:
    explicit Api(bool privileged) : privileged_(privileged) {}

    std::vector<PeerView> peers() override
    {
        PeerView v;
        v.peer_addr = "192.0.2.2";
        v.tunnel_groups.resize(1);
        v.tunnel_groups[0].id = 1;
        return {v};
    }
    std::vector<SyncView> sync() override
    {
        SyncView v;
        v.peer_ip_address = "2001:db8::2";
        return {v};
    }
    std::vector<TunnelGroupView> tunnel_groups() override
    {
        TunnelGroupView v;
        v.id = 1;
        return {v};
    }
    std::vector<TunnelView> tunnels(const std::string &name, std::size_t, std::size_t limit) override
    {
        if (limit > 1024)
            std::abort();
        TunnelView v;
        v.tunnel_name = name;
        return {v};
    }
    Expected<std::vector<SaView>> sas(GroupId, std::size_t, std::size_t) override { return changed(std::vector<SaView>(1)); }
    std::vector<VrrpView> vrrp() override { return std::vector<VrrpView>(1); }
    std::vector<LogEntryView> log(std::uint64_t after, std::size_t) override
    {
        LogEntryView v;
        v.seq = after + 1;
        return {v};
    }
    std::vector<MetricView> stats() override { return std::vector<MetricView>(1); }
    std::string running_config() override { return "[system]\n"; }
    Expected<void> admin_tunnel_group(GroupId, bool) override { return changed(); }
    Expected<void> admin_mda(GroupId, const std::string &name, bool) override { return changed(), fail(-ENOENT, "no mda " + name); }
    Expected<void> admin_peer(const IpAddress &, bool) override { return changed(); }
    Expected<void> admin_sync(const IpAddress &, bool) override { return changed(); }
    Expected<void> admin_mc_ipsec(const IpAddress &, GroupId, bool) override { return changed(); }
    Expected<SwitchoverView> force_switchover(const SwitchoverRequest &) override { return changed(SwitchoverView{}); }
    Expected<SwitchoverView> switchover_status(GroupId) override { return SwitchoverView{}; }
    Expected<void> clear_tunnel(const std::string &name) override { return changed(), fail(-ENOENT, "no tunnel " + name); }
    Expected<Reloaded> reload() override { return changed(Reloaded{{{"a", "b", "c"}}, {"w"}}); }

private:
    template <class T>
    Expected<T> changed(T value)
    {
        changed();
        return value;
    }
    Expected<void> changed()
    {
        if (!privileged_)
            std::abort();
        return {};
    }
    bool privileged_;
};

void request(std::string_view text, bool privileged)
{
    Api api(privileged);
    const auto answer = json::parse(dispatch_packet(api, text, privileged), nullptr, false);
    if (!answer.is_object() || !answer.contains("ok") || (answer["ok"] == true ? !answer.contains("data") : !answer.contains("error")))
        std::abort();
    static_cast<void>(wants_events(answer));
}

template <class View>
void render(const json &j)
{
    const auto view = j.get<View>();
    const auto again = json(view).get<View>();
    if (json(again) != json(view))
        std::abort();
}

void answer(std::string_view text)
{
    const auto j = json::parse(text, nullptr, false);
    if (j.is_discarded())
        return;
    try {
        static_cast<void>(render_table(j.get<PeerView>()));
        static_cast<void>(render_table(j.get<SyncDocument>()));
        static_cast<void>(render_table(j.get<TunnelGroupsDocument>(), true));
        static_cast<void>(render_table(j.get<TunnelsDocument>()));
        static_cast<void>(render_table(j.get<SasDocument>()));
        static_cast<void>(render_table(j.get<VrrpDocument>()));
        static_cast<void>(render_table(j.get<LogDocument>()));
        static_cast<void>(render_table(j.get<StatsDocument>()));
        render<LogEntryView>(j);
        render<SwitchoverView>(j);
    } catch (const json::exception &) {
        // cli::run() says so and ends with 1
    }
}

void words(std::string_view text)
{
    std::vector<std::string> in;
    while (!text.empty()) {
        const auto end = text.find('\n');
        in.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    const auto p = cli::parse(in);
    if (!p)
        return;
    // What was completed is a command of its own.
    if (const auto again = cli::parse(p->words); !again || again->action != p->action)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string text(reinterpret_cast<const char *>(data) + 1, size - 1);
    switch (data[0] % 8) {
    case 0: request(text, false); break;
    case 1: request(text, true); break;
    case 2: answer(text); break;
    case 3: words(text); break;
    case 4:
        if (const auto s = RestartState::from_json(text, "b", Time{})) {
            const auto again = RestartState::from_json(s->json(), "b", Time{});
            if (!again || again->json() != s->json())
                std::abort();
        }
        break;
    case 5: {
        const auto fields = info_fields(text);
        static_cast<void>(child_sas(fields));
        for (const auto &[name, value] : fields)
            static_cast<void>(info_list(value));
        break;
    }
    case 6:
        if (const auto key = parse_auth_key(text); key && key->size() < kAuthKeySize)
            std::abort();
        static_cast<void>(parse_xfrm_stat(text));
        break;
    case 7:
        if (const auto a = IpAddress::parse(text); a && IpAddress::parse(a->str()) != *a)
            std::abort();
        if (const auto p = Prefix::parse(text); p && Prefix::parse(p->str()) != *p)
            std::abort();
        break;
    }
    return 0;
}
