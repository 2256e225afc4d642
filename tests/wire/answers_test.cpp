#include "tests/support/places.hpp"
#include "tests/wire/hear.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

namespace modelforge::answers_test {

// Answers in the form in which providers give them, one a file in tests/data/answers/DIALECT:
//   HTTP STATUS whole|stream
//   the body, as it comes
//   ==== means
//   what it must be read as, as `meaning` writes it

using namespace modelforge::test;

namespace {

struct sample {
  std::string dialect;
  std::string file;
  uint16_t status = 0;
  bool streamed = false;
  std::string body;
  std::string means;
};

sample read_sample(const std::filesystem::path& path) {
  constexpr std::string_view mark = "\n==== means\n";
  std::ifstream in{path, std::ios::binary};
  std::string all{std::istreambuf_iterator<char>{in}, {}};
  sample x;
  x.dialect = path.parent_path().filename();
  x.file = x.dialect + "/" + path.filename().string();
  auto line = all.find('\n'), end = all.find(mark);
  INFO(x.file);
  REQUIRE((all.starts_with("HTTP ") && end != all.npos));
  std::from_chars(all.data() + 5, all.data() + line, x.status);
  x.streamed = all.substr(0, line).ends_with(" stream");
  x.body = all.substr(line + 1, end - line - 1);
  if (x.streamed)
    x.body += x.dialect == "ollama" ? "\n" : "\n\n";
  x.means = all.substr(end + mark.size());
  return x;
}

std::vector<sample> samples() {
  std::vector<sample> result;
  for (auto& x : std::filesystem::recursive_directory_iterator{test::source_path("tests/data/answers")})
    if (x.is_regular_file())
      result.push_back(read_sample(x.path()));
  return result;
}

/// A line for each thing that an answer says; in front of a failure, what came before it.
std::string meaning(const answer& x, const completion& before = {}) {
  std::string out;
  auto say = [&](std::string_view what, const std::string& text) {
    if (!text.empty())
      out += std::string{what} + ": " + text + "\n";
  };
  if (auto* bad = std::get_if<failure>(&x)) {
    say("text", before.text);
    say("failure", to_string(bad->code));
    say("message", bad->message);
    say("provider's code", bad->provider_code);
    if (bad->retry_after)
      say("retry after", std::to_string(bad->retry_after->count() / 1'000'000) + " ms");
    return out;
  }
  auto& good = std::get<completion>(x);
  for (auto& y : good.reasoning) {
    say("reasoning", y.text);
    say("  sealed", y.signature);
  }
  say("text", good.text);
  say("refusal", good.refusal);
  for (auto& y : good.tool_calls) {
    say("call", y.name + " " + y.arguments);
    say("  sealed", y.signature);
  }
  say("finish", to_string(good.finish_reason));
  if (auto& y = good.usage)
    say("tokens", std::to_string(y->input) + " in (" + std::to_string(y->cached_read) + " cached, "
                    + std::to_string(y->cache_written) + " written), " + std::to_string(y->output) + " out ("
                    + std::to_string(y->reasoning) + " thinking)");
  return out;
}

/// A stream says in pieces what a whole answer has at once.
std::string meaning(const heard& x) {
  completion said;
  auto open = false; // the last thought may go on
  for (auto& line : x.said) {
    auto colon = line.find(": ");
    auto kind = line.substr(0, colon), text = line.substr(colon + 2);
    if (kind == "reasoning" && !std::exchange(open, true))
      said.reasoning.emplace_back();
    if (kind == "reasoning")
      said.reasoning.back().text += text;
    else if (kind == "seal" && !std::exchange(open, false))
      said.reasoning.push_back({"", text});
    else if (kind == "seal")
      said.reasoning.back().signature = text;
    else if (kind == "text")
      said.text += text;
    else if (kind == "refusal")
      said.refusal += text;
  }
  auto end = x.end;
  if (auto* good = std::get_if<completion>(&end)) {
    good->text = said.text;
    good->reasoning = said.reasoning;
    good->refusal = said.refusal;
  }
  return meaning(end, said);
}

const dialect& spoken(const sample& x) {
  auto* found = find_dialect(x.dialect);
  REQUIRE(found != nullptr);
  return *found;
}

} // namespace

TEST_CASE("every form of an answer means what its provider says", "[wire][answers]") {
  std::map<std::string, int> forms;
  for (auto& x : samples()) {
    INFO(x.file);
    ++forms[x.dialect];
    auto& by = spoken(x);
    auto means = x.streamed ? meaning(hear(x.body, by))
                            : meaning(by.decode({x.status, {{"content-type", "application/json"}}}, x.body));
    CHECK(means == x.means);
  }
  for (auto* x : dialects())
    CHECK((forms[std::string{x->name()}] >= 3 || x->name() == "azure_responses")); // which is Responses
}

TEST_CASE("every form of a stream means the same however it is cut, and nothing when it is cut short",
          "[wire][answers][stream]") {
  for (auto& x : samples()) {
    if (!x.streamed)
      continue;
    INFO(x.file);
    auto& by = spoken(x);
    check_cuts(x.body, by);
    auto whole = hear(x.body, by);
    auto ends_at = x.body.size() + 1; // a failure stays one
    if (std::holds_alternative<completion>(whole.end))
      for (ends_at = 0; ends_at < x.body.size(); ++ends_at)
        if (std::holds_alternative<completion>(hear(std::string_view{x.body}.substr(0, ends_at), by).end))
          break;
    check_beginnings(x.body, by, ends_at);
    if (ends_at <= x.body.size()) // compatible servers may stop there, without telling their usage
      CHECK(x.means.starts_with(meaning(hear(std::string_view{x.body}.substr(0, ends_at), by))));
  }
}

TEST_CASE("a stream without the event that opens it means the same", "[wire][answers][stream]") {
  // llama.cpp leaves out Anthropic's when the first token is half a character. It may tell tokens that no other does.
  auto without_tokens = [](std::string text) { return text.substr(0, text.find("tokens: ")); };
  std::map<std::string, int> opened;
  for (auto& x : samples()) {
    auto begins_with = [&](std::string_view type) {
      return x.body.substr(0, x.body.find("\n\n")).find("\"type\":\"" + std::string{type} + '"') != std::string::npos;
    };
    if (!x.streamed || !(begins_with("message_start") || begins_with("response.created")))
      continue;
    INFO(x.file);
    ++opened[x.dialect];
    auto rest = std::string_view{x.body}.substr(x.body.find("\n\n") + 2);
    CHECK(without_tokens(meaning(hear(rest, spoken(x)))) == without_tokens(x.means));
  }
  CHECK((opened["anthropic"] >= 3 && opened["openai_responses"] >= 3));
}

TEST_CASE("broken JSON in the middle of a stream is told alike, without a word about the address",
          "[wire][answers][stream]") {
  std::map<std::string, int> broken;
  for (auto& x : samples()) {
    if (!x.streamed || !x.means.starts_with("text: ") || x.means.find("failure: ") != x.means.npos)
      continue;
    INFO(x.file);
    ++broken[x.dialect];
    std::string_view end = x.dialect == "ollama" ? "\n" : "\n\n";
    std::string body;
    auto said = [&] { return hear(body, spoken(x)).said.size(); };
    for (std::string_view rest = x.body; said() == 0; rest.remove_prefix(rest.find(end) + end.size()))
      body += rest.substr(0, rest.find(end) + end.size());
    body += (x.dialect == "ollama" ? "{\"a\":]}" : "data: {\"a\":]}") + std::string{end};
    auto ended = hear(body, spoken(x)).end;
    auto* failed = std::get_if<failure>(&ended);
    REQUIRE(failed != nullptr);
    CHECK(failed->code == errc::invalid_response);
    CHECK(failed->message.starts_with("the stream holds broken JSON"));
    CHECK(failed->suggestion.empty());
  }
  for (auto* dialect : {"anthropic", "gemini", "ollama", "openai", "openai_compatible", "openai_responses"}) {
    CAPTURE(dialect);
    CHECK(broken[dialect] >= 1);
  }
}

} // namespace modelforge::answers_test
