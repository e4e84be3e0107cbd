// SPDX-License-Identifier: GPL-2.0-or-later
// A fixed buffer on the plain heap that is wiped when it goes: for bytes in
// transit that may hold records. The secure heap is small and kept for what stays.
#pragma once

#include <openssl/crypto.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace mcipsec::io {

class WipedBuffer {
public:
    WipedBuffer() = default;
    explicit WipedBuffer(std::size_t size) : data_(std::make_unique<std::uint8_t[]>(size)), size_(size) {}
    WipedBuffer(WipedBuffer &&o) noexcept : data_(std::move(o.data_)), size_(std::exchange(o.size_, 0)) {}
    WipedBuffer &operator=(WipedBuffer &&o) noexcept
    {
        if (this != &o) {
            wipe();
            data_ = std::move(o.data_);
            size_ = std::exchange(o.size_, 0);
        }
        return *this;
    }
    ~WipedBuffer() { wipe(); }

    std::uint8_t *data() { return data_.get(); }
    const std::uint8_t *data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    std::span<std::uint8_t> span() { return {data_.get(), size_}; }
    void wipe(std::size_t first = SIZE_MAX)
    {
        if (data_)
            OPENSSL_cleanse(data_.get(), first < size_ ? first : size_);
    }

private:
    std::unique_ptr<std::uint8_t[]> data_;
    std::size_t size_ = 0;
};

}  // namespace mcipsec::io
