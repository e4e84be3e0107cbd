// SPDX-License-Identifier: GPL-2.0-or-later
// Files and entropy: what the agent reads and writes outside of sockets.
#pragma once

#include "core/secret.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::io {

constexpr std::size_t kMaxFile = 4u << 20;

Expected<std::string> read_file(const std::string &path, std::size_t limit = kMaxFile);
// Regular file, owner root or ourselves, no access for group or others (0600 or
// less): else EPERM with what is allowed. Trailing white space is removed.
Expected<SecretBytes> read_secret_file(const std::string &path, std::size_t limit = 64 * 1024);
// Temporary file in the same folder, fsync, rename: readers see old or new.
Expected<void> write_file_atomic(const std::string &path, std::string_view text, unsigned mode = 0644);
// An exclusive lock on a file, made if need be, for as long as the descriptor is open:
// EBUSY if another process has it for all of `patience`, which this waits. Not inherited by
// a program that is executed.
Expected<UniqueFd> lock_file(const std::string &path, Duration patience = Duration::zero());
// As mkdir -p; an existing folder is no error.
Expected<void> make_folder(const std::string &path, unsigned mode = 0755);

// From the kernel (getrandom); waits for it at early boot.
Expected<void> random_bytes(std::span<std::uint8_t> out);
Expected<std::uint64_t> random_u64();
// Random at each boot of the kernel: tells whether this is the first start since.
Expected<std::string> boot_id();

}  // namespace mcipsec::io
