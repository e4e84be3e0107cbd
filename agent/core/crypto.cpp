// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/crypto.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace mcipsec {

namespace {

constexpr std::size_t kHash = 32;
constexpr std::size_t kBfdKey = 20;
constexpr std::size_t kBase64Size = 44;     // of 32 bytes

// "label|lower|higher": both ends write the same text, whoever they are.
std::string label(std::string_view what, const IpAddress &low, const IpAddress &high)
{
    return std::string("mcipsec v1 ") + std::string(what) + "|" + low.str() + "|" + high.str();
}

std::string_view trim(std::string_view s)
{
    const auto space = " \t\r\n";
    const auto first = s.find_first_not_of(space);
    if (first == std::string_view::npos)
        return {};
    return s.substr(first, s.find_last_not_of(space) - first + 1);
}

}  // namespace

Digest hmac_sha256(ByteView key, ByteView data)
{
    Digest out;
    unsigned size = out.size();
    static const std::uint8_t none = 0;
    if (!HMAC(EVP_sha256(), key.empty() ? &none : key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), &size))
        throw std::runtime_error("HMAC-SHA-256 is not available");
    return out;
}

Digest sha256(ByteView data)
{
    Digest out;
    unsigned size = out.size();
    if (EVP_Digest(data.data(), data.size(), out.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("SHA-256 is not available");
    return out;
}

bool equal_constant_time(ByteView a, ByteView b)
{
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::uint64_t random_u64()
{
    std::uint64_t v = 0;
    do {
        if (RAND_bytes(reinterpret_cast<unsigned char *>(&v), sizeof v) != 1)
            throw std::runtime_error("no randomness");
    } while (v == 0);
    return v;
}

SecretBytes hkdf_sha256(ByteView key, ByteView salt, std::string_view info, std::size_t size)
{
    if (size > 255 * kHash)
        throw std::invalid_argument("HKDF: too much asked for");
    Digest prk = hmac_sha256(salt, key);                // RFC 5869 section 2.2
    SecretBytes out(size);
    SecretBytes block(kHash + info.size() + 1);         // T(n-1) | info | n
    Digest t{};
    std::size_t done = 0;
    for (std::uint8_t n = 1; done < size; ++n) {        // section 2.3
        std::size_t at = 0;
        auto bytes = block.mut();
        if (n > 1) {
            std::copy(t.begin(), t.end(), bytes.begin());
            at = kHash;
        }
        std::copy(info.begin(), info.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
        at += info.size();
        bytes[at++] = n;
        t = hmac_sha256(prk, block.view().first(at));
        const std::size_t take = std::min(kHash, size - done);
        std::copy_n(t.begin(), take, out.mut().begin() + static_cast<std::ptrdiff_t>(done));
        done += take;
    }
    OPENSSL_cleanse(prk.data(), prk.size());
    OPENSSL_cleanse(t.data(), t.size());
    return out;
}

Expected<SecretBytes> generate_auth_key()
{
    SecretBytes key(kAuthKeySize);
    if (RAND_priv_bytes(key.mut().data(), static_cast<int>(key.size())) != 1)
        return fail(-EIO, "OpenSSL has no randomness");
    SecretBytes text(kAuthKeyPrefix.size() + kBase64Size + 1);      // EVP_EncodeBlock ends with a NUL
    auto out = text.mut();
    std::copy(kAuthKeyPrefix.begin(), kAuthKeyPrefix.end(), out.begin());
    EVP_EncodeBlock(out.data() + kAuthKeyPrefix.size(), key.view().data(), static_cast<int>(key.size()));
    return SecretBytes(text.view().first(text.size() - 1));
}

Expected<SecretBytes> parse_auth_key(std::string_view text)
{
    text = trim(text);
    if (!text.starts_with(kAuthKeyPrefix))
        return fail(-EINVAL, "not an authentication key: `mcipsec genkey` makes one, it begins with " + std::string(kAuthKeyPrefix));
    text.remove_prefix(kAuthKeyPrefix.size());
    const bool alphabet = std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '=';
    });
    const auto padding = std::min(text.find('='), text.size());
    if (!alphabet || text.size() % 4 != 0 || text.size() - padding > 2 || text.find_first_not_of('=', padding) != std::string_view::npos)
        return fail(-EINVAL, "the authentication key is not base64");
    if (text.size() < kBase64Size)
        return fail(-EINVAL, "the authentication key is shorter than 256 bits");
    if (text.size() != kBase64Size || text.size() - padding != 1)
        return fail(-EINVAL, "the authentication key is not 256 bits long");

    SecretBytes raw(kAuthKeySize + 1);      // the padding decodes to one more zero byte
    if (EVP_DecodeBlock(raw.mut().data(), reinterpret_cast<const unsigned char *>(text.data()), static_cast<int>(text.size())) !=
        static_cast<int>(kAuthKeySize + 1))
        return fail(-EINVAL, "the authentication key is not base64");
    SecretBytes key(raw.view().first(kAuthKeySize));
    const auto bytes = key.view();
    if (std::all_of(bytes.begin(), bytes.end(), [&](std::uint8_t b) { return b == bytes[0]; }))
        return fail(-EINVAL, "the authentication key is no random key: make one with `mcipsec genkey`");
    return key;
}

DerivedKeys derive_keys(ByteView auth_key, const IpAddress &own, const IpAddress &peer)
{
    const bool lower = own < peer;
    const IpAddress &low = lower ? own : peer;
    const IpAddress &high = lower ? peer : own;
    SecretBytes up = hkdf_sha256(auth_key, {}, label("mimp lower to higher", low, high), kHash);
    SecretBytes down = hkdf_sha256(auth_key, {}, label("mimp higher to lower", low, high), kHash);
    DerivedKeys keys;
    keys.mimp_tx = lower ? up.clone() : down.clone();
    keys.mimp_rx = lower ? std::move(down) : std::move(up);
    up = hkdf_sha256(auth_key, {}, label("bfd lower to higher", low, high), kBfdKey);
    down = hkdf_sha256(auth_key, {}, label("bfd higher to lower", low, high), kBfdKey);
    keys.bfd_tx = lower ? up.clone() : down.clone();
    keys.bfd_rx = lower ? std::move(down) : std::move(up);
    keys.tls_psk = hkdf_sha256(auth_key, {}, label("mcs tls psk", low, high), kHash);
    return keys;
}

}  // namespace mcipsec
