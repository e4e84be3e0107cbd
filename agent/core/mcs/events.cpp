// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mcs/events.hpp"

namespace mcipsec::mcs {

std::string_view to_string(SyncState state)
{
    switch (state) {
    case SyncState::OutOfSync: return "outOfSync";
    case SyncState::InProgress: return "syncInProgress";
    case SyncState::InSync: return "inSync";
    }
    return "unknown";
}

std::vector<std::string_view> oper_flag_names(std::uint32_t flags)
{
    static constexpr std::pair<std::uint32_t, std::string_view> names[] = {
        {kSyncAdminDown, "sync-admin-down"},           {kPeerAdminDown, "peer-admin-down"},
        {kConnectionDown, "connection-down"},          {kMcsVersionMismatch, "mcs-version-mismatch"},
        {kAppVersionMismatch, "app-version-mismatch"}, {kDecryptionError, "decryption-error"},
        {kInternalError, "internal-error"},
    };
    std::vector<std::string_view> out;
    for (const auto &[bit, name] : names)
        if (flags & bit)
            out.push_back(name);
    return out;
}

Gauges &Gauges::operator+=(const Gauges &o)
{
    entries += o.entries;
    local_deleted += o.local_deleted;
    alarmed += o.alarmed;
    installed += o.installed;
    installing += o.installing;
    await_conf += o.await_conf;
    failed += o.failed;
    return *this;
}

}  // namespace mcipsec::mcs
