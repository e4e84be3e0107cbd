// SPDX-License-Identifier: GPL-2.0-or-later
// Errors of encryption and decryption of this gateway's SAs, for the session log.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "app/engine.hpp"
#include "app/record_info.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {
constexpr Duration kErrorInterval = 30s;    // between two looks at the kernel's error counters: a stranger's packets must not fill the log
}

// Whose SAs of the kernel are, as the records have it; one pass over these.
std::vector<std::optional<CryptoErrors::Owner>> Engine::owners_of(const std::vector<io::XfrmSa> &sas) const
{
    std::vector<std::optional<CryptoErrors::Owner>> out(sas.size());
    std::vector<SaId> wanted;
    std::vector<std::string> spi;       // as the records' text has it: most are not looked at closer
    for (const auto &sa : sas) {
        SaId id{htonl(sa.spi), sa.proto, static_cast<std::uint8_t>(sa.dst.family == 4 ? AF_INET : AF_INET6), {}};
        std::copy_n(sa.dst.bytes.begin(), sa.dst.size(), id.daddr.begin());
        wanted.push_back(id);
        spi.push_back(fmt::format("={:08x}\n", sa.spi));
    }
    for (const auto &[id, g] : groups_) {
        const auto *tag = g.sync ? g.sync->tag_of(id) : nullptr;
        if (!tag)
            continue;
        const auto &session = g.sync->session();
        session.for_each(*tag, [&, id = id](const mcs::Entry &e) {
            if (e.key.kind != mcs::Kind::ChildSa || !e.parent)
                return;
            for (std::size_t i = 0; i < sas.size(); ++i) {
                if (out[i] || e.info.find(spi[i]) == std::string::npos)
                    continue;
                const auto pair = child_sas(info_fields(e.info));
                if (!pair || (SaId::of(pair->in) != wanted[i] && SaId::of(pair->out) != wanted[i]))
                    continue;
                const auto *ike = session.entry(*tag, *e.parent);
                const auto *tunnel = ike ? config_.tunnel_of(id, ike->name) : nullptr;
                out[i] = CryptoErrors::Owner{id, tunnel ? tunnel->name : ""};
            }
        });
    }
    return out;
}

// One line for many packets of an SA.
void Engine::check_crypto_errors(Time now)
{
    if (now < crypto_errors_at_ + kErrorInterval)
        return;
    crypto_errors_at_ = now;
    const auto text = io::read_file("/proc/thread-self/net/xfrm_stat");
    if (!text)          // a kernel without these statistics
        return;
    const auto dump = [](const CryptoErrors::EachSa &each) -> Expected<void> {
        auto xfrm = io::XfrmNl::open();
        if (!xfrm)
            return tl::unexpected(xfrm.error());
        const auto count = xfrm->sa_count();
        if (!count || *count > CryptoErrors::kReadSas)
            return count ? fail(-E2BIG, "too many SAs") : tl::unexpected(count.error());
        return xfrm->dump_sas(each);
    };
    for (auto &r : crypto_errors_.look(parse_xfrm_stat(*text), dump, [this](const std::vector<io::XfrmSa> &sas) { return owners_of(sas); }))
        log_.write(std::move(r));
}

}  // namespace mcipsec::app
