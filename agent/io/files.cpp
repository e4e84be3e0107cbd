// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {

// Reads up to size bytes; gives what was there.
Expected<std::size_t> read_all(int fd, std::span<std::uint8_t> out, const std::string &path)
{
    std::size_t have = 0;
    while (have < out.size()) {
        const ssize_t n = ::read(fd, out.data() + have, out.size() - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(errno, path);
        if (n == 0)
            break;
        have += static_cast<std::size_t>(n);
    }
    return have;
}

Expected<void> write_all(int fd, std::string_view text, const std::string &path)
{
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(errno, path);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace

Expected<std::string> read_file(const std::string &path, std::size_t limit)
{
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        return fail_errno(errno, path);
    std::string text;
    std::uint8_t chunk[8192];
    for (;;) {
        auto n = read_all(fd.get(), chunk, path);
        if (!n)
            return tl::unexpected(n.error());
        text.append(reinterpret_cast<const char *>(chunk), *n);
        if (text.size() > limit)
            return fail(-EFBIG, path + ": longer than " + std::to_string(limit) + " bytes");
        if (*n < sizeof(chunk))
            return text;
    }
}

Expected<SecretBytes> read_secret_file(const std::string &path, std::size_t limit)
{
    // O_NONBLOCK: a FIFO in the place of the file must not hang us.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd)
        return fail_errno(errno, path);
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return fail_errno(errno, path);
    if (!S_ISREG(st.st_mode))
        return fail(-EINVAL, path + ": not a regular file");
    if (st.st_uid != 0 && st.st_uid != ::geteuid())
        return fail(-EPERM, path + ": belongs to uid " + std::to_string(st.st_uid) + ", must belong to root or the agent's user");
    if (st.st_mode & 077) {
        char mode[8];
        std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(st.st_mode & 07777));
        return fail(-EPERM, path + ": mode is " + mode + ", a secret needs 0600 (no access for group and others)");
    }
    if (st.st_size < 0 || static_cast<std::size_t>(st.st_size) > limit)
        return fail(-EFBIG, path + ": longer than " + std::to_string(limit) + " bytes");
    SecretBytes whole(static_cast<std::size_t>(st.st_size) + 1);
    auto n = read_all(fd.get(), whole.mut(), path);
    if (!n)
        return tl::unexpected(n.error());
    auto end = std::min(*n, whole.size());
    const auto bytes = whole.view();
    while (end && (bytes[end - 1] == '\n' || bytes[end - 1] == '\r' || bytes[end - 1] == ' ' || bytes[end - 1] == '\t'))
        --end;
    return SecretBytes(bytes.first(end));
}

Expected<void> write_file_atomic(const std::string &path, std::string_view text, unsigned mode)
{
    std::string temporary = path + ".XXXXXX";
    UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd)
        return fail_errno(errno, path);
    auto r = write_all(fd.get(), text, path);
    if (r && ::fchmod(fd.get(), mode) < 0)
        r = fail_errno(errno, path);
    if (r && ::fsync(fd.get()) < 0)
        r = fail_errno(errno, path);
    if (r && ::rename(temporary.c_str(), path.c_str()) < 0)
        r = fail_errno(errno, path);
    if (!r)
        ::unlink(temporary.c_str());
    return r;
}

Expected<UniqueFd> lock_file(const std::string &path, Duration patience)
{
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd)
        return fail_errno(errno, path);
    constexpr Duration kPause = 20ms;
    for (;; patience -= kPause) {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK)
            return fail_errno(errno, path);
        if (patience <= Duration::zero())
            return fail(-EBUSY, path + " is locked by another process");
        std::this_thread::sleep_for(kPause);
    }
}

Expected<void> make_folder(const std::string &path, unsigned mode)
{
    for (std::size_t at = 1; at <= path.size(); ++at) {
        if (at != path.size() && path[at] != '/')
            continue;
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), mode) < 0 && errno != EEXIST)
            return fail_errno(errno, part);
    }
    struct stat st {};
    if (::stat(path.c_str(), &st) < 0)
        return fail_errno(errno, path);
    if (!S_ISDIR(st.st_mode))
        return fail(-ENOTDIR, path + ": not a folder");
    return {};
}

Expected<void> random_bytes(std::span<std::uint8_t> out)
{
    while (!out.empty()) {
        const ssize_t n = ::getrandom(out.data(), out.size(), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(errno, "getrandom");
        out = out.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Expected<std::uint64_t> random_u64()
{
    std::array<std::uint8_t, 8> b{};
    if (auto r = random_bytes(b); !r)
        return tl::unexpected(r.error());
    std::uint64_t v;
    std::memcpy(&v, b.data(), sizeof(v));
    return v;
}

Expected<std::string> boot_id()
{
    auto text = read_file("/proc/sys/kernel/random/boot_id", 128);
    if (text)
        while (!text->empty() && text->back() == '\n')
            text->pop_back();
    return text;
}

}  // namespace mcipsec::io
