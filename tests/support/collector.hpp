#pragma once

#include "tests/http/misbehaving_server.hpp"

#include <nlohmann/json.hpp>

#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::test {

/// A collector of traces: keeps what it is sent, and answers as it is told, in turn; then with success.
class collector {
public:
  explicit collector(std::deque<std::string> answers = {}) : answers_(std::move(answers)) {}

  std::string url() const { return server_.url(""); }

  /// Heads and bodies.
  std::vector<std::string> requests() {
    std::lock_guard lock{mutex_};
    return requests_;
  }

  std::vector<nlohmann::json> bodies() {
    std::vector<nlohmann::json> result;
    for (auto& each : requests())
      result.push_back(nlohmann::json::parse(each.substr(each.find("\r\n\r\n") + 4)));
    return result;
  }

  /// All spans, in the order in which they came.
  std::vector<nlohmann::json> spans() {
    std::vector<nlohmann::json> result;
    for (auto& body : bodies())
      for (auto& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"])
        result.push_back(span);
    return result;
  }

private:
  std::string next_answer(std::string request) {
    std::lock_guard lock{mutex_};
    requests_.push_back(std::move(request));
    if (answers_.empty())
      return "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n{\"partialSuccess\":{}}";
    auto result = std::move(answers_.front());
    answers_.pop_front();
    return result;
  }

  std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<std::string> requests_;
  misbehaving_server server_{[this](peer& x) { // the last member: its threads use the others
    while (auto request = x.read_request())
      if (!x.send(next_answer(std::move(*request))))
        return;
  }};
};

/// Its attributes by name; numbers as such, lists as their texts.
inline nlohmann::json attributes_of(const nlohmann::json& of) {
  auto result = nlohmann::json::object();
  for (auto& each : of["attributes"]) {
    auto kind = each["value"].begin().key();
    auto value = each["value"].begin().value();
    if (kind == "intValue")
      value = std::stoll(value.get<std::string>());
    if (kind == "arrayValue")
      value = value["values"][0]["stringValue"];
    result[each["key"].get<std::string>()] = value;
  }
  return result;
}

} // namespace modelforge::test
