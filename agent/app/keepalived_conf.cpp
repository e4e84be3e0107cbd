// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/keepalived_conf.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>

#include "io/files.hpp"

namespace mcipsec::app {

namespace {

// Words of a line; '#' and '!' begin a comment, braces are words of their own.
std::vector<std::string> words_of(const std::string &line)
{
    std::vector<std::string> out;
    std::string word;
    auto flush = [&] {
        if (!word.empty())
            out.push_back(std::exchange(word, {}));
    };
    for (const char c : line) {
        if (c == '#' || c == '!')
            break;
        if (c == '{' || c == '}') {
            flush();
            out.emplace_back(1, c);
        } else if (c == ' ' || c == '\t' || c == '\r') {
            flush();
        } else {
            word += c;
        }
    }
    flush();
    return out;
}

std::string unquoted(const std::string &text)
{
    return text.size() > 1 && text.front() == '"' && text.back() == '"' ? text.substr(1, text.size() - 2) : text;
}

int integer(const std::string &text) { return static_cast<int>(std::strtol(text.c_str(), nullptr, 10)); }

// The number behind `weight` in a statement, if there is one.
std::optional<int> weight_of(const std::vector<std::string> &w)
{
    const auto at = std::find(w.begin(), w.end(), "weight");
    return at == w.end() || at + 1 == w.end() ? std::nullopt : std::optional(integer(at[1]));
}

void take(KeepalivedInstance &i, const std::vector<std::string> &w)
{
    const std::string value = w.size() > 1 ? w[1] : "";
    if (w[0] == "interface")
        i.interface = value;
    else if (w[0] == "virtual_router_id")
        i.virtual_router_id = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    else if (w[0] == "priority")
        i.priority = integer(value);
    else if (w[0] == "advert_int")
        i.advert_int = std::strtod(value.c_str(), nullptr);
    else if (w[0] == "nopreempt")
        i.nopreempt = true;
}

}  // namespace

std::map<std::string, KeepalivedInstance> parse_keepalived_conf(std::string_view text)
{
    std::map<std::string, KeepalivedInstance> out;
    std::map<std::string, KeepalivedInstance::Tracked> files;   // track_file NAME { } of the whole
    struct Use { std::string instance, name; std::optional<int> weight; };
    std::vector<Use> uses;
    std::vector<std::string> blocks;        // names of the open ones; an instance's has its name behind a space
    std::vector<std::string> pending;       // words before a brace on a line of its own
    std::istringstream in{std::string(text)};
    for (std::string line; std::getline(in, line);) {
        const auto words = words_of(line);
        std::vector<std::string> statement;
        KeepalivedInstance *instance = nullptr;
        auto finish = [&] {
            instance = nullptr;
            if (!blocks.empty() && blocks[0].starts_with("vrrp_instance "))
                instance = &out[blocks[0].substr(14)];
            if (instance && !statement.empty()) {
                if (blocks.size() == 1)
                    take(*instance, statement);
                else if (blocks.size() == 2 && blocks[1] == "track_file")
                    uses.push_back({blocks[0].substr(14), unquoted(statement[0]), weight_of(statement)});
                else if (blocks.size() == 2 && blocks[1] == "virtual_ipaddress") {
                    const auto address = statement[0].substr(0, statement[0].find('/'));
                    instance->ipv6 = instance->ipv6 || address.find(':') != std::string::npos;
                    instance->virtual_addresses.push_back(address);
                }
            }
            if (blocks.size() == 1 && !statement.empty())
                for (const std::string_view head : {"track_file ", "vrrp_track_file "})
                    if (blocks[0].starts_with(head)) {
                        auto &file = files[unquoted(blocks[0].substr(head.size()))];
                        if (statement[0] == "file" && statement.size() > 1)
                            file.file = unquoted(statement[1]);
                        if (const auto weight = weight_of(statement))
                            file.weight = *weight;
                    }
            pending = statement;
            statement.clear();
        };
        for (const auto &word : words) {
            if (word == "{") {
                const auto &head = statement.empty() ? pending : statement;
                blocks.push_back(head.empty() ? "" : head.size() > 1 ? head[0] + " " + head[1] : head[0]);
                if (blocks.size() == 1 && blocks[0].starts_with("vrrp_instance "))
                    out.try_emplace(blocks[0].substr(14));
                statement.clear();
            } else if (word == "}") {
                finish();
                if (!blocks.empty())
                    blocks.pop_back();
            } else {
                statement.push_back(word);
            }
        }
        finish();
    }
    for (const auto &use : uses)
        if (const auto it = files.find(use.name); it != files.end())
            out[use.instance].tracked.push_back({it->second.file, use.weight.value_or(it->second.weight)});
    return out;
}

std::map<std::string, KeepalivedInstance> read_keepalived_conf(const std::string &path)
{
    const auto text = io::read_file(path);
    return text ? parse_keepalived_conf(*text) : std::map<std::string, KeepalivedInstance>{};
}

}  // namespace mcipsec::app
