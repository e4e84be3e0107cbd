// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/mcs/wire.hpp"

#include <algorithm>
#include <cerrno>

namespace mcipsec::mcs {

// ----------------------------------------------------------- SecretBuffer ---

std::span<std::uint8_t> SecretBuffer::grow(std::size_t n)
{
    if (end_ + n > data_.size()) {
        const std::size_t used = size();
        // What was consumed makes room first; only then is there a larger copy.
        if (used + n <= data_.size() && begin_ >= used) {
            std::memcpy(data_.mut().data(), data_.view().data() + begin_, used);
            OPENSSL_cleanse(data_.mut().data() + used, end_ - used);
        } else {
            SecretBytes larger(std::max<std::size_t>({2 * used, used + n, 1024}));
            if (used)
                std::memcpy(larger.mut().data(), data_.view().data() + begin_, used);
            data_ = std::move(larger);
        }
        begin_ = 0;
        end_ = used;
    }
    auto out = data_.mut().subspan(end_, n);
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    end_ += n;
    return out;
}

void SecretBuffer::append(ByteView bytes)
{
    if (bytes.empty())
        return;
    std::memcpy(grow(bytes.size()).data(), bytes.data(), bytes.size());
}

void SecretBuffer::consume(std::size_t n)
{
    n = std::min(n, size());
    if (n == 0)
        return;
    OPENSSL_cleanse(data_.mut().data() + begin_, n);
    begin_ += n;
    if (begin_ == end_)
        begin_ = end_ = 0;
}

SecretBytes SecretBuffer::take()
{
    SecretBytes out(view());
    consume(size());
    if (data_.size() > kMaxFrame)
        data_.wipe();
    return out;
}

void SecretBuffer::clear()
{
    data_.wipe();
    begin_ = end_ = 0;
}

// -------------------------------------------------------------- checksum ---

std::uint32_t crc32c(ByteView bytes, std::uint32_t before)
{
    static const auto table = [] {
        std::array<std::uint32_t, 256> t{};
        for (std::uint32_t i = 0; i < 256; i++) {
            std::uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
            t[i] = c;
        }
        return t;
    }();
    std::uint32_t c = ~before;
    for (auto b : bytes)
        c = c >> 8 ^ table[(c ^ b) & 0xff];
    return ~c;
}

// ----------------------------------------------------------- FrameWriter ---

FrameWriter::FrameWriter(SecretBuffer &out, std::uint8_t type) : out_(out), start_(out.size())
{
    auto h = out_.grow(kFrameHeader);
    h[4] = kFrameVersion;
    h[5] = type;
}

std::span<std::uint8_t> FrameWriter::space(std::uint16_t id, std::size_t n)
{
    auto f = out_.grow(kFieldHeader + n);
    put_be(f.subspan(0, 2), id);
    put_be(f.subspan(2, 4), n);
    return f.subspan(kFieldHeader);
}

void FrameWriter::u8(std::uint16_t id, std::uint8_t v) { put_be(space(id, 1), v); }
void FrameWriter::u16(std::uint16_t id, std::uint16_t v) { put_be(space(id, 2), v); }
void FrameWriter::u32(std::uint16_t id, std::uint32_t v) { put_be(space(id, 4), v); }
void FrameWriter::u64(std::uint16_t id, std::uint64_t v) { put_be(space(id, 8), v); }

void FrameWriter::bytes(std::uint16_t id, ByteView v)
{
    auto f = space(id, v.size());
    if (!v.empty())
        std::memcpy(f.data(), v.data(), v.size());
}

void FrameWriter::text(std::uint16_t id, std::string_view v)
{
    bytes(id, {reinterpret_cast<const std::uint8_t *>(v.data()), v.size()});
}

std::size_t FrameWriter::begin(std::uint16_t id)
{
    space(id, 0);
    return out_.size() - start_;
}

void FrameWriter::end(std::size_t mark)
{
    const auto at = start_ + mark;
    put_be(out_.mut().subspan(at - 4, 4), out_.size() - at);
}

void FrameWriter::finish()
{
    if (done_)
        return;
    if (kProtocol.newer)
        u32(kNewerField, kNewerField);
    done_ = true;
    auto f = out_.mut().subspan(start_);
    put_be(f.subspan(0, 4), f.size() - 4);
    put_be(f.subspan(8, 4), crc32c(f.subspan(kFrameHeader), crc32c(f.subspan(0, 8))));
}

// ----------------------------------------------------------- FieldReader ---

std::optional<std::uint64_t> Field::number() const
{
    std::uint64_t v = 0;
    for (auto b : value) {
        if (v >> 56)
            return std::nullopt;
        v = v << 8 | b;
    }
    return v;
}

namespace {

// Length of the UTF-8 sequence at the start of s, 0 if it is none.
std::size_t utf8_length(ByteView s)
{
    const auto b = s[0];
    const std::size_t n = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : (b & 0xf0) == 0xe0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
    if (n > s.size())
        return 0;
    for (std::size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((b == 0xe0 && s[1] < 0xa0) || (b == 0xed && s[1] > 0x9f) || (b == 0xf0 && s[1] < 0x90) || (b == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

}  // namespace

std::string Field::text(std::size_t max) const
{
    std::string out;
    for (auto rest = value.subspan(0, std::min(max, value.size())); !rest.empty();) {
        const auto n = utf8_length(rest);
        const bool control = n == 1 && ((rest[0] < 0x20 && rest[0] != '\n' && rest[0] != '\t') || rest[0] == 0x7f);
        if (n == 0 || control)
            out += '?';
        else
            out.append(reinterpret_cast<const char *>(rest.data()), n);
        rest = rest.subspan(std::max<std::size_t>(n, 1));
    }
    return out;
}

bool FieldReader::next(Field &f)
{
    if (rest_.empty() || !ok_)
        return false;
    if (rest_.size() < kFieldHeader) {
        ok_ = false;
        return false;
    }
    const auto length = get_be(rest_.subspan(2, 4));
    if (length > rest_.size() - kFieldHeader) {
        ok_ = false;
        return false;
    }
    f.id = static_cast<std::uint16_t>(get_be(rest_.subspan(0, 2)));
    f.value = rest_.subspan(kFieldHeader, length);
    f.whole = rest_.subspan(0, kFieldHeader + length);
    rest_ = rest_.subspan(kFieldHeader + length);
    return true;
}

// ----------------------------------------------------------- FrameReader ---

std::optional<Expected<RawFrame>> FrameReader::next()
{
    in_.consume(std::exchange(done_, 0));
    const auto b = in_.view();
    if (b.size() < 4)
        return std::nullopt;
    const auto size = get_be(b.subspan(0, 4)) + 4;
    if (size < kFrameHeader || size > kMaxFrame)
        return fail(-EPROTO, "frame of " + std::to_string(size) + " bytes, allowed are " + std::to_string(kFrameHeader) + ".." + std::to_string(kMaxFrame));
    if (b.size() >= 5 && b[4] != kFrameVersion)
        return fail(-EPROTO, "frame version " + std::to_string(b[4]) + ", not " + std::to_string(kFrameVersion));
    if (b.size() < size)
        return std::nullopt;
    const auto body = b.subspan(kFrameHeader, size - kFrameHeader);
    if (get_be(b.subspan(8, 4)) != crc32c(body, crc32c(b.subspan(0, 8))))
        return fail(-EPROTO, "frame checksum is wrong");
    done_ = size;
    return RawFrame{b[5], body};
}

void FrameReader::clear()
{
    in_.clear();
    done_ = 0;
}

}  // namespace mcipsec::mcs
