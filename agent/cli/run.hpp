// SPDX-License-Identifier: GPL-2.0-or-later
// The mcipsec command: options, words, one command, an exit code. Data goes to
// `out`, diagnostics to `err`; nothing is coloured, nothing that a peer sent is
// printed with control characters.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "cli/backend.hpp"
#include "cli/grammar.hpp"

namespace mcipsec::cli {

// Everything a command may touch; tests put their own in.
struct Context {
    std::ostream &out;
    std::ostream &err;
    std::istream &in;
    bool terminal = false;                                  // stdin is one: ask before a switchover
    bool root = true;                                       // may change things
    std::string config_file = app::kDefaultConfigFile;
    std::string run_dir = app::kDefaultRunDir;
    bool json = false;
    Backend *backend = nullptr;                             // made by `connect` after the options are known
    std::function<std::unique_ptr<Backend>(const std::string &run_dir)> connect = make_backend;
};

// args without the program's name. Returns the exit code (app::Exit).
int run(const std::vector<std::string> &args, Context &context);

// ---- between the files of this folder ----

// "mcipsec: text" on err, returns code.
int complain(Context &c, int code, const std::string &text);
// The document with an indent of two, on out.
void print_json(Context &c, const nlohmann::json &document);
// An agent that is not there, as opposed to one that refuses.
bool unreachable(const Error &e);
// request -> data, or the exit code after a message. words are those of the protocol.
tl::expected<nlohmann::json, int> ask(Context &c, const std::vector<std::string> &words, const nlohmann::json &args = nlohmann::json::object());

int show(Context &c, const Parsed &p);              // show.cpp
int follow_log(Context &c, bool with_past);         // show.cpp: monitor, show log -f
int force_switchover(Context &c, const Parsed &p);  // switchover.cpp
int config_command(Context &c, const Parsed &p);    // config_cmd.cpp

}  // namespace mcipsec::cli
