#pragma once

#include "tests/cli/cli_fixture.hpp"
#include "tests/support/shared_list.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

/// `modelforge chat` at a terminal, and the provider that it talks with.

namespace modelforge::test {

#ifdef MODELFORGE_LINE_EDITOR
inline constexpr bool has_editor = true;
#else
inline constexpr bool has_editor = false;
#endif

/// A provider that answers "answer N"; to what holds "stall" it begins an answer and says no more, to what holds
/// "refuse" it answers with 401, to "think" with thoughts, and to "silent" not at all.
struct session_test : cli_test {
  session_test() : server{[this](peer& x) { serve(x); }} { config = configure(server.url("")); }

  void serve(peer& x) {
    while (auto request = x.read_request()) {
      auto body = nlohmann::json::parse(request->substr(request->find("\r\n\r\n") + 4));
      auto last = body["messages"].back()["content"];
      auto question = last.is_string() ? last.get<std::string>() : last.dump();
      auto number = asked.add(body);
      if (question.find("silent") != question.npos) {
        x.wait_for_close();
        return;
      }
      if (question.find("refuse") != question.npos) {
        x.send(whole_answer(401, R"({"error":{"message":"wrong key","type":"invalid_request_error"}})"));
        continue;
      }
      auto event = [](const nlohmann::json& delta, const nlohmann::json& end = nullptr) {
        return "data: " + nlohmann::json{{"choices", {{{"index", 0}, {"delta", delta}, {"finish_reason", end}}}}}.dump()
               + "\n\n";
      };
      auto answer = event({{"content", "answer " + std::to_string(number)}});
      if (question.find("think") != question.npos)
        answer = event({{"reasoning_content", "a thought"}}) + answer;
      if (question.find("stall") != question.npos) {
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + answer);
        x.wait_for_close();
        return;
      }
      x.send(
        whole_answer(200, answer + event(nlohmann::json::object(), "stop") + "data: [DONE]\n\n", "text/event-stream"));
    }
  }

  /// Without colours, unless `colours` is another setting of NO_COLOR.
  process_options at_terminal(std::vector<std::string> more = {}, const std::string& term = "xterm",
                              const std::string& colours = "NO_COLOR=1") {
    std::vector<std::string> arguments{"chat", "-c", config};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto result = command(arguments);
    result.environment.push_back("TERM=" + term);
    result.environment.push_back(colours);
    return result;
  }

  /// "role: text" of each message of a request, the last one if none is said.
  std::vector<std::string> sent(std::size_t number = 0) {
    auto all = asked.all();
    std::vector<std::string> result;
    for (auto& message : all.at(number == 0 ? all.size() - 1 : number - 1)["messages"])
      result.push_back(
        message["role"].get<std::string>() + ": "
        + (message["content"].is_string() ? message["content"].get<std::string>() : message["content"].dump()));
    return result;
  }

  std::size_t count() { return asked.all().size(); }

  std::vector<std::string> kept() {
    std::vector<std::string> result;
    auto place = folder.path(".local/state/modelforge/conversations");
    if (std::filesystem::exists(place))
      for (auto& file : std::filesystem::directory_iterator{place})
        result.push_back(file.path().string());
    std::sort(result.begin(), result.end());
    return result;
  }

  std::string only_kept() {
    auto all = kept();
    REQUIRE(all.size() == 1);
    return folder.read(all[0]);
  }

  shared_list<nlohmann::json> asked;
  std::string config;
  misbehaving_server server; ///< Ends before what it writes to.
};

} // namespace modelforge::test
