// needs: cli
// SPDX-License-Identifier: GPL-2.0-or-later
// The command line's real backend against a real control socket: answers of
// any size, events, and an agent that is not there or does not answer.
#include "unit/cmocka_cpp.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <thread>

#include "cli/run.hpp"
#include "io/control_socket.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using nlohmann::json;

namespace {

std::string dir;

// An agent that answers {"data": {"echo": command, "pad": ...}} in a thread of its own.
class Agent {
public:
    Agent()
    {
        loop_ = std::move(*io::EventLoop::create());
        auto server = io::ControlServer::open(*loop_, dir + "/control.sock", [this](io::ControlServer::ClientId id, const io::ControlPeer &, const io::Json &request) {
            const auto &command = request.at("command");
            io::Json answer{{"ok", true}, {"data", {{"echo", command}}}};
            if (command == io::Json{"stats"})
                answer["data"]["metrics"] = io::Json::array({{{"name", std::string(300000, 'x')}}});
            server_->reply(id, answer);
            if (command == io::Json{"monitor"}) {
                server_->subscribe(id);
                for (int i = 1; i <= 3; i++)
                    server_->publish({{"event", {{"seq", i}, {"text", "event"}}}});
            }
        });
        if (!server)
            fail_with("%s", server.error().text.c_str());
        server_ = std::move(*server);
        loop_->on_wake = [this] { loop_->stop(); };
        thread_ = std::thread([this] { static_cast<void>(loop_->run()); });
    }
    ~Agent()
    {
        loop_->wake();
        thread_.join();
        server_.reset();
    }

private:
    std::unique_ptr<io::EventLoop> loop_;
    std::unique_ptr<io::ControlServer> server_;
    std::thread thread_;
};

void test_request(void **)
{
    Agent agent;
    const auto b = cli::make_backend(dir);
    const auto r = b->agent({{"command", {"show", "log"}}});
    if (!r)
        fail_with("%s", r.error().text.c_str());
    assert_true((*r)["ok"] == true);
    assert_true((*r)["data"]["echo"][1] == "log");
}

void test_answer_of_many_packets(void **)
{
    Agent agent;
    std::ostringstream out, err;
    std::istringstream in;
    cli::Context c{out, err, in};
    assert_int_equal(cli::run({"-j", "-s", dir, "stats"}, c), 0);
    assert_int_equal(json::parse(out.str())["metrics"][0]["name"].get<std::string>().size(), 300000);
}

void test_events(void **)
{
    Agent agent;
    const auto b = cli::make_backend(dir);
    bool ready = false;
    int seen = 0;
    const auto r = b->events([&] { ready = true; }, [&](const json &e) {
        assert_true(ready);
        assert_int_equal(e["event"]["seq"].get<int>(), ++seen);
        return seen < 3;
    });
    assert_true(r.has_value());
    assert_int_equal(seen, 3);
}

void test_no_agent(void **)
{
    const auto b = cli::make_backend(dir + "/none");
    const auto r = b->agent({{"command", {"stats"}}});
    assert_false(r.has_value());
    assert_true(cli::unreachable(r.error()));
    assert_true(cli::unreachable(b->events([] {}, [](const json &) { return true; }).error()));
}

void test_dead_socket(void **)
{
    // Left behind by an agent that was killed.
    const auto path = dir + "/dead";
    assert_int_equal(mkdir(path.c_str(), 0755), 0);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof a.sun_path, "%s/control.sock", path.c_str());
    assert_int_equal(bind(fd, reinterpret_cast<sockaddr *>(&a), sizeof a), 0);
    close(fd);
    const auto r = cli::make_backend(path)->agent({{"command", {"stats"}}});
    assert_int_equal(r.error().code, -ECONNREFUSED);
    unlink(a.sun_path);
    rmdir(path.c_str());
}

void test_silent_agent(void **)
{
    // Stopped: the socket listens, nobody answers.
    const auto path = dir + "/silent";
    assert_int_equal(mkdir(path.c_str(), 0755), 0);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof a.sun_path, "%s/control.sock", path.c_str());
    assert_int_equal(bind(fd, reinterpret_cast<sockaddr *>(&a), sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    const auto r = cli::make_backend(path)->agent({{"command", {"stats"}}});
    assert_int_equal(r.error().code, -ETIMEDOUT);
    assert_true(cli::unreachable(r.error()));
    close(fd);
    unlink(a.sun_path);
    rmdir(path.c_str());
}

int set_up(void **)
{
    char path[] = "/tmp/mcipsec-test-XXXXXX";
    if (!mkdtemp(path))
        return -1;
    dir = path;
    return 0;
}
int tear_down(void **)
{
    unlink((dir + "/control.sock").c_str());
    return rmdir(dir.c_str());
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_answer_of_many_packets),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_no_agent),
        cmocka_unit_test(test_dead_socket),
        cmocka_unit_test(test_silent_agent),
    };
    return cmocka_run_group_tests_name("cli socket", tests, set_up, tear_down);
}
