// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's control socket, both ends: SOCK_SEQPACKET, one JSON object a
// packet. Request {"command":[...],"args":{...}}; answer {"ok":true,"data":...}
// or {"ok":false,"exit":N,"error":"..."}; a subscribed client then gets events
// until it leaves.
//
// A packet is at most kMaxPacket bytes. A longer answer goes as packets
// {"part":i,"parts":n,"text":"..."}, whose texts joined are the JSON; both ends
// here do that by themselves.
// Who asks is known by SO_PEERCRED; uid 0 and the agent's own uid are privileged,
// all others may only read, and the handler decides what reading is.
// Clients, their queues and sizes are bounded: a client that does not read loses
// events, counted in its next one ("lost": n); an answer that does not fit closes it.
// Threading: the loop's thread; the client is synchronous.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "io/accept_rest.hpp"
#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::io {

using Json = nlohmann::ordered_json;

constexpr std::size_t kControlMaxPacket = 64 * 1024;
constexpr std::size_t kControlMaxReply = 64u << 20;

struct ControlPeer {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    bool privileged = false;
};

class ControlServer {
public:
    using ClientId = std::uint64_t;
    static constexpr std::size_t kMaxClients = 64;
    static constexpr std::size_t kMaxQueue = 1024;          // packets of a client
    static constexpr std::size_t kMaxQueueBytes = 8u << 20; // events; an answer may pass it once

    // One request; answer with reply(), at once or later.
    using OnRequest = std::function<void(ClientId, const ControlPeer &, const Json &request)>;
    // Replaces a socket that nobody listens on; EADDRINUSE if somebody does. Mode 0666.
    static Expected<std::unique_ptr<ControlServer>> open(EventLoop &loop, std::string path, OnRequest fn);
    ~ControlServer();                                       // removes the socket

    // A client that has left is no error.
    void reply(ClientId id, const Json &answer);
    void subscribe(ClientId id);
    void publish(const Json &event);                        // to all subscribed
    bool subscribed() const { return subscribers_ != 0; }
    std::function<void(ClientId)> on_close;

    struct Stats {
        std::uint64_t accepted = 0, refused = 0, requests = 0, malformed = 0, lost_events = 0, overflows = 0;
        std::uint64_t rests = 0;        // no descriptor left for who waits
    };
    Stats stats() const { auto s = stats_; s.rests = rest_.rests(); return s; }

private:
    struct Client {
        UniqueFd fd;
        ControlPeer peer;
        EventSource source;
        std::deque<std::string> queue;
        std::size_t queued_bytes = 0;
        std::uint64_t lost = 0;
        bool subscribed = false;
        bool broken = false;
    };
    ControlServer() = default;
    void accept();
    void ready(ClientId id, std::uint32_t events);
    void enqueue(Client &c, std::string text);
    void break_off(ClientId id, Client &c);
    void flush(ClientId id, Client &c);
    void drop(ClientId id);

    EventLoop *loop_ = nullptr;
    std::string path_;
    OnRequest fn_;
    UniqueFd fd_;
    EventSource source_;
    AcceptRest rest_;
    std::map<ClientId, std::unique_ptr<Client>> clients_;
    ClientId next_ = 1;
    std::size_t subscribers_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    Stats stats_;
};

class ControlClient {
public:
    // ENOENT, ECONNREFUSED: the agent does not run.
    static Expected<ControlClient> connect(const std::string &path);
    // ETIMEDOUT: the agent hangs. ECONNRESET: it closed.
    Expected<Json> request(const Json &request, Duration timeout);
    // The next object, for monitor; a negative timeout waits for ever. EINTR on a signal.
    Expected<Json> next(Duration timeout);
    int fd() const { return fd_.get(); }

private:
    explicit ControlClient(UniqueFd fd) : fd_(std::move(fd)) {}
    Expected<std::string> packet(Time deadline);
    UniqueFd fd_;
};

// Parts of a text that is too long for one packet; a short one is its own only part.
std::vector<std::string> control_split(std::string text);

}  // namespace mcipsec::io
