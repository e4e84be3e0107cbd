// SPDX-License-Identifier: GPL-2.0-or-later
// Key material and records that carry it (I8): move-only bytes on OpenSSL's
// secure heap where one is set up (else the plain heap), wiped when they go.
// Nothing prints them: there is no conversion to text.
#pragma once

#include <openssl/crypto.h>

#include <utility>

#include "core/types.hpp"

namespace mcipsec {

class SecretBytes {
public:
    SecretBytes() = default;
    explicit SecretBytes(std::size_t size) : data_(size ? alloc(size) : nullptr), size_(size) {}
    explicit SecretBytes(ByteView from) : SecretBytes(from.size())
    {
        if (size_)
            std::memcpy(data_, from.data(), size_);
    }
    SecretBytes(SecretBytes &&o) noexcept : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
    SecretBytes &operator=(SecretBytes &&o) noexcept
    {
        if (this != &o) {
            wipe();
            data_ = std::exchange(o.data_, nullptr);
            size_ = std::exchange(o.size_, 0);
        }
        return *this;
    }
    SecretBytes(const SecretBytes &) = delete;
    SecretBytes &operator=(const SecretBytes &) = delete;
    ~SecretBytes() { wipe(); }

    SecretBytes clone() const { return SecretBytes(view()); }
    ByteView view() const { return {data_, size_}; }
    std::span<std::uint8_t> mut() { return {data_, size_}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void wipe()
    {
        if (data_)
            OPENSSL_secure_clear_free(data_, size_);
        data_ = nullptr;
        size_ = 0;
    }

private:
    static std::uint8_t *alloc(std::size_t n)
    {
        // A full secure heap is no reason to stop: the plain heap is wiped as well.
        auto *p = static_cast<std::uint8_t *>(OPENSSL_secure_zalloc(n));
        if (!p)
            p = static_cast<std::uint8_t *>(OPENSSL_zalloc(n));
        if (!p)
            throw std::bad_alloc();
        return p;
    }
    std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace mcipsec
