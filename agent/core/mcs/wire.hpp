// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes on the MCS channel: a buffer that wipes itself, frames of typed fields.
//
// Invariants: every byte that was in a buffer is wiped when it leaves it (I8);
// a length is checked before it is used; an unknown field is skipped by its
// length, so that peers of other versions run with the common ones.
// Format: Documentation/wire-mcs.rst. Integers are in network order.
#pragma once

#include <optional>

#include "core/protocol.hpp"
#include "core/secret.hpp"

namespace mcipsec::mcs {

constexpr std::size_t kFrameHeader = 12;        // length, version, type, flags, checksum
constexpr std::size_t kFieldHeader = 6;         // id, length
constexpr std::size_t kMaxFrame = 128 * 1024;   // whole frame
constexpr std::uint8_t kFrameVersion = 1;
constexpr std::uint16_t kNewerField = 0x7ffe;   // what kProtocol.newer adds to every frame
constexpr std::uint8_t kNewerFrame = 0xfe;      // ... and sends after HELLO

// A growing queue of bytes; grows by doubling, wipes what it leaves.
class SecretBuffer {
public:
    void append(ByteView bytes);
    std::span<std::uint8_t> grow(std::size_t n);  // n more bytes, zeroed
    void consume(std::size_t n);                  // from the front
    ByteView view() const { return {data_.view().data() + begin_, end_ - begin_}; }
    std::span<std::uint8_t> mut() { return {data_.mut().data() + begin_, end_ - begin_}; }
    std::size_t size() const { return end_ - begin_; }
    bool empty() const { return begin_ == end_; }
    SecretBytes take();  // everything, exact size; empty afterwards
    void clear();

private:
    SecretBytes data_;
    std::size_t begin_ = 0, end_ = 0;
};

// RFC 3720 B.4; before: of the bytes that precede.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

// Writes one frame at the end of a buffer; finish() or the destructor closes it.
class FrameWriter {
public:
    FrameWriter(SecretBuffer &out, std::uint8_t type);
    ~FrameWriter() { finish(); }
    FrameWriter(const FrameWriter &) = delete;
    FrameWriter &operator=(const FrameWriter &) = delete;

    void u8(std::uint16_t id, std::uint8_t v);
    void u16(std::uint16_t id, std::uint16_t v);
    void u32(std::uint16_t id, std::uint32_t v);
    void u64(std::uint16_t id, std::uint64_t v);
    void bytes(std::uint16_t id, ByteView v);
    void text(std::uint16_t id, std::string_view v);
    void raw(ByteView fields) { out_.append(fields); }  // whole fields as they came
    // A field of n bytes to be filled by the caller.
    std::span<std::uint8_t> space(std::uint16_t id, std::size_t n);
    // A field that holds fields; close with end().
    std::size_t begin(std::uint16_t id);
    void end(std::size_t mark);
    void finish();

private:
    SecretBuffer &out_;
    std::size_t start_;
    bool done_ = false;
};

struct Field {
    std::uint16_t id = 0;
    ByteView value;
    ByteView whole;  // with its header
    // Integers may be shorter or longer on the wire; nullopt if the value does not fit.
    std::optional<std::uint64_t> number() const;
    std::string text(std::size_t max) const;  // cut at max; what is not UTF-8 or a control character becomes '?'
};

// Walks over fields. next() is false at the end and after an error; ok() tells which.
class FieldReader {
public:
    explicit FieldReader(ByteView body) : rest_(body) {}
    bool next(Field &f);
    bool ok() const { return ok_; }

private:
    ByteView rest_;
    bool ok_ = true;
};

struct RawFrame {
    std::uint8_t type = 0;
    ByteView body;
};

// Cuts a stream into frames. After an error the stream is of no use any more.
class FrameReader {
public:
    void append(ByteView bytes) { in_.append(bytes); }
    // nullopt: more bytes are needed. The body is valid until the next call.
    // Errors (-EPROTO): length out of bounds, frame version, checksum.
    std::optional<Expected<RawFrame>> next();
    void clear();
    std::size_t size() const { return in_.size(); }

private:
    SecretBuffer in_;
    std::size_t done_ = 0;  // of the frame handed out last
};

inline void put_be(std::span<std::uint8_t> out, std::uint64_t v)
{
    for (std::size_t i = out.size(); i-- > 0; v >>= 8)
        out[i] = static_cast<std::uint8_t>(v);
}
inline std::uint64_t get_be(ByteView in)
{
    std::uint64_t v = 0;
    for (auto b : in)
        v = v << 8 | b;
    return v;
}

}  // namespace mcipsec::mcs
