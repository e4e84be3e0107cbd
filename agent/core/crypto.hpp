// SPDX-License-Identifier: GPL-2.0-or-later
// The authentication key of a multi-chassis peer and what is derived from it.
// One key per pair of chassis; HKDF-SHA-256 (RFC 5869) with a label makes an
// independent key of each use, so that a MIMP packet reflected to its sender
// does not verify and the TLS PSK never leaves its use.
//
// Threading: pure functions. Secrets live in SecretBytes (I8).
#pragma once

#include "core/secret.hpp"
#include "core/types.hpp"

namespace mcipsec {

constexpr std::size_t kAuthKeySize = 32;                    // 256 bits
constexpr std::string_view kAuthKeyPrefix = "mcipsec-key-1:";  // then base64 of the 32 bytes

using Digest = std::array<std::uint8_t, 32>;

// A new key as one line of text (no newline): prefix and 44 base64 characters.
// Fails only if OpenSSL has no randomness. Wipe what you write out.
Expected<SecretBytes> generate_auth_key();

// Parses the text of a key file (surrounding white space is ignored). Refused:
// no prefix, not base64, fewer than 256 bits, all bytes equal. The error never
// quotes the text.
Expected<SecretBytes> parse_auth_key(std::string_view text);

// RFC 5869 over SHA-256. size <= 255 * 32.
SecretBytes hkdf_sha256(ByteView key, ByteView salt, std::string_view info, std::size_t size);

Digest hmac_sha256(ByteView key, ByteView data);
Digest sha256(ByteView data);
bool equal_constant_time(ByteView a, ByteView b);   // false if sizes differ

// 64 random bits: epochs and the like. Aborts the start-up (throws) if OpenSSL has none.
std::uint64_t random_u64();

// Everything that one authentication key yields for a pair of addresses. Both
// ends compute the same pair of MIMP keys: the lower source address sends with
// the one, the higher with the other.
struct DerivedKeys {
    SecretBytes mimp_tx;    // 32 bytes, signs what `own` sends
    SecretBytes mimp_rx;    // 32 bytes, verifies what `peer` sends
    SecretBytes bfd_tx;     // 20 bytes, BFD's Meticulous Keyed SHA1, what `own` sends
    SecretBytes bfd_rx;     // 20 bytes, what `peer` sends
    SecretBytes tls_psk;    // 32 bytes, external PSK of the MCS connection
};
DerivedKeys derive_keys(ByteView auth_key, const IpAddress &own, const IpAddress &peer);

}  // namespace mcipsec
