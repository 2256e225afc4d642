#pragma once

#include "wire/json.hpp"
#include "wire/openai/openai.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Listening to streamed answers in tests.

namespace modelforge::test {

using namespace modelforge::wire;

/// Writes down what a stream says, a line for each piece.
struct listener : piece_sink {
  std::vector<std::string> said;
  std::string words; ///< All text, joined.

  void text(std::string_view x) override {
    words += x;
    note("text", x);
  }
  void reasoning(std::string_view x) override { note("reasoning", x); }
  void refusal(std::string_view x) override { note("refusal", x); }
  void seal(std::string_view x) override { note("seal", x); }

  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    note("call " + std::to_string(call), std::string{id} + " " + std::string{name});
    if (!signature.empty())
      note("seal of call " + std::to_string(call), signature);
  }

  void tool_arguments(uint32_t call, std::string_view x) override { note("arguments " + std::to_string(call), x); }

  void note(const std::string& kind, std::string_view x) {
    if (!utf8::is_valid(x))
      FAIL("a piece is no UTF-8");
    said.push_back(kind + ": " + std::string{x});
  }
};

using answer = std::variant<completion, failure>;

struct heard {
  std::vector<std::string> said;
  std::string words;
  answer end;
  uint64_t tokens = 0;
  std::size_t news = 0;
  bool ended = false; ///< Its end mark came, whatever came behind it.

  friend bool operator==(const heard&, const heard&) = default;

  const completion& good() const {
    if (auto* problem = std::get_if<failure>(&end))
      FAIL(problem->message);
    return std::get<completion>(end);
  }

  const failure& bad() const {
    REQUIRE(std::holds_alternative<failure>(end));
    return std::get<failure>(end);
  }
};

inline const http::response_head ok{200, {{"content-type", "text/event-stream"}, {"x-request-id", "req_1"}}};

/// Reads a body that comes in parts of these sizes; the rest comes whole.
inline heard hear(std::string_view body, const dialect& by = openai::compatible_chat_api(),
                  const std::vector<std::size_t>& sizes = {}) {
  auto reader = by.read_stream(ok);
  listener to;
  heard result;
  auto take = [&](std::size_t bytes) {
    std::string part{body.substr(0, bytes)}; // gone afterwards
    body.remove_prefix(part.size());
    if (!reader->ended()) // as the session of a stream does
      result.news += reader->take(part, to);
  };
  for (auto bytes : sizes)
    take(bytes);
  take(body.size());
  result.ended = reader->has_end();
  result.tokens = reader->tokens();
  result.end = reader->end(to);
  result.said = to.said;
  result.words = to.words;
  return result;
}

/// Any cutting of a stream gives the same pieces and the same end.
inline void check_cuts(std::string_view body, const dialect& by) {
  auto expected = hear(body, by);
  for (std::size_t cut = 0; cut <= body.size(); ++cut)
    REQUIRE(hear(body, by, {cut}) == expected);
  REQUIRE(hear(body, by, std::vector<std::size_t>(body.size(), 1)) == expected);
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random{seed};
    std::vector<std::size_t> sizes(1 + random() % 40);
    for (auto& size : sizes)
      size = random() % (2 * body.size() / sizes.size() + 2);
    REQUIRE(hear(body, by, sizes) == expected);
  }
}

/// Whether a body that ends so is cut in the middle of an event, a line or an array. Told by its letters alone.
inline bool ends_within(std::string body) {
  std::erase(body, '\r');
  if (body.starts_with('[') || body.starts_with('{')) {
    auto line =
      body.starts_with('[') ? body : body.substr(body.rfind('\n') + 1); // an array has one end, lines have many
    return !line.empty() && !json::reader{line}.finish();
  }
  auto blank = body.rfind("\n\n");
  std::string data, rest = blank == body.npos ? body : body.substr(blank + 2);
  for (std::size_t begin = 0; begin < rest.size();) {
    auto end = std::min(rest.find('\n', begin), rest.size());
    auto line = rest.substr(begin, end - begin);
    begin = end + 1;
    if (std::string_view{"data: "}.starts_with(line))
      return true;
    if (line.starts_with("data: "))
      data += line.substr(6);
  }
  return !data.empty() && !std::string_view{"[DONE]"}.starts_with(data) && !json::reader{data}.finish();
}

/// Every beginning of fewer than `end` bytes is a failure, with the pieces so far; from there on it is a completion,
/// unless it ends in the middle of something before its end mark.
inline void check_beginnings(std::string_view body, const dialect& by, std::size_t end) {
  auto whole = hear(body, by);
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    CAPTURE(body.substr(0, cut));
    auto x = hear(body.substr(0, cut), by);
    auto is_cut = cut < end || (!x.ended && ends_within(std::string{body.substr(0, cut)}));
    REQUIRE(std::holds_alternative<failure>(x.end) == is_cut);
    REQUIRE(x.said.size() <= whole.said.size());
    REQUIRE(std::equal(x.said.begin(), x.said.end(), whole.said.begin()));
  }
}

} // namespace modelforge::test
