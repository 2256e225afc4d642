#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <sstream>

namespace modelforge::flaw_test {

// What users see of an answer that is no good one: cut, blocked, empty, of an unknown end, or broken off.

using namespace modelforge::test;

namespace {

bool is_stream(const std::string& request) {
  return contains(request, "\"stream\":true");
}

/// The answer, streamed to a request for a stream; `reason` is the provider's word.
std::string answer_to(const std::string& request, const std::string& text, const std::string& reason) {
  auto head = [](const char* type) {
    return std::string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "} + type + "\r\n\r\n";
  };
  auto end = "\"finish_reason\":\"" + reason + "\"}]}";
  if (!is_stream(request))
    return whole_answer(200,
                        R"({"choices":[{"index":0,"message":{"role":"assistant","content":")" + text + "\"}," + end);
  return head("text/event-stream") + R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n"
         + R"(data: {"choices":[{"index":0,"delta":{},)" + end + "\n\ndata: [DONE]\n\n";
}

struct flaw_test : cli_test {
  /// Answers each request with the text and the finish reason, and counts them.
  misbehaving_server::behaviour says(const std::string& text, const std::string& reason) {
    return [=, this](peer& x) {
      while (auto request = x.read_request()) {
        ++asked;
        if (!x.send(answer_to(*request, text, reason)) || is_stream(*request))
          return; // a stream ends with its connection
      }
    };
  }

  process_result chat(const misbehaving_server& server, std::vector<std::string> more) {
    std::vector<std::string> all{"chat", "-c",
                                 configure(server.url(""), "[providers.test.retry]\nbase_wait = 0.001\n")};
    all.insert(all.end(), more.begin(), more.end());
    all.push_back("hello");
    return run(all);
  }

  std::atomic<int> asked{0};
};

const std::vector<std::vector<std::string>> ways_to_ask{
  {}, {"--no-stream"}, {"--json"}, {"--json", "--no-stream"}, {"-o", "out.txt"}};

} // namespace

TEST_CASE_METHOD(flaw_test, "chat tells an answer that is no good one by a warning and its exit code", "[cli][flaw]") {
  struct {
    std::string text, reason;
    int exit_code;
    std::string warning;
  } table[] = {
    {"Whole.", "stop", 0, ""},
    {"Whole.", "eos", 0, ""},
    {"Half an ans", "length", 3, "the answer was cut by the token limit (finish reason \"length\")"},
    {"", "length", 3, "the answer was cut by the token limit (finish reason \"length\")"},
    {"Half an ans", "brand_new", 3, "a finish reason that is not known, \"brand_new\""},
    {"Half an ans", "tool_calls", 3, "it told of a call of a tool, and none came (finish reason \"tool_calls\")"},
    {"", "stop", 3, "the answer is empty"},
    {"Half an ans", "content_filter", 4, "the provider's filter blocked the answer, or the rest of it"},
    {"", "SAFETY", 4, "(finish reason \"SAFETY\")"},
  };
  for (auto& row : table) {
    misbehaving_server server{says(row.text, row.reason)};
    for (auto& way : ways_to_ask) {
      asked = 0;
      std::filesystem::remove(folder.path("out.txt"));
      auto x = chat(server, way);
      CAPTURE(row.text, row.reason, way, x.err, x.out);
      CHECK(x.exit_code == row.exit_code);
      CHECK(asked == 1);
      CHECK(x.err.empty() == row.warning.empty());
      CHECK(contains(x.err, row.warning));
      CHECK(contains(way.empty() || way[0] != "-o" ? x.out : folder.read("out.txt"), row.text));
    }
  }
}

TEST_CASE_METHOD(flaw_test, "with --json the last event says what is wrong", "[cli][flaw]") {
  misbehaving_server server{says("Half", "length")};
  auto out = chat(server, {"--json"}).out;
  auto last = nlohmann::json::parse(out.substr(out.rfind('\n', out.size() - 2) + 1));
  CHECK(last["flaw"] == "cut");
  CHECK(last["completion"]["choices"][0]["finish_reason"] == "length");
}

TEST_CASE_METHOD(flaw_test, "an answer that the provider broke off is asked for again, then an error", "[cli][flaw]") {
  for (auto* reason : {"error", "abort", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"}) {
    misbehaving_server server{says("Half an ans", reason)};
    asked = 0;
    auto x = chat(server, {"--no-stream"});
    CAPTURE(reason, x.err);
    CHECK(x.exit_code == 1);
    CHECK(asked == 3);
    CHECK(contains(x.err, std::string{"(finish reason \""} + reason + "\")"));
    CHECK(x.out.empty());
    CHECK(contains(x.err, "the answer was:\nHalf an ans\n")); // it may have been paid for
    auto json = chat(server, {"--no-stream", "--json"});
    CHECK(nlohmann::json::parse(json.out)["error"]["text"] == "Half an ans");
    auto streamed = chat(server, {});
    CHECK(streamed.exit_code == 1);
    CHECK(contains(streamed.err, std::string{"(finish reason \""} + reason + "\")"));
  }
}

TEST_CASE_METHOD(flaw_test, "a batch counts what is no good answer, and says so in its line", "[cli][flaw][batch]") {
  misbehaving_server server{[](peer& x) {
    while (auto request = x.read_request()) {
      auto reason = contains(*request, "\"cut\"")       ? "length"
                    : contains(*request, "\"blocked\"") ? "content_filter"
                    : contains(*request, "\"odd\"")     ? "brand_new"
                    : contains(*request, "\"broken\"")  ? "error"
                                                        : "stop";
      if (!x.send(answer_to("", contains(*request, "\"empty\"") ? "" : "Half", reason)))
        return;
    }
  }};
  auto input = folder.write("in.txt", "good\ncut\ncut\nblocked\nempty\nodd\nbroken\n");
  std::vector<std::string> arguments{
    "batch", "-c", configure(server.url(""), "[providers.test.retry]\nbase_wait = 0.001\n"),
    input,   "-o", folder.path("out.jsonl")};
  auto x = run(arguments);
  INFO(x.err);
  CHECK(x.exit_code == 1);
  const std::string counts = "1 answered, 2 cut, 1 blocked, 1 empty, 1 unclear, 1 failed";
  CHECK(contains(x.err, "7 requests: " + counts));
  CHECK(contains(x.err, "say so in their lines, as \"flaw\""));
  CHECK(contains(x.err, "warning: the answer may not be whole: it ended with a finish reason that is not known, "
                        "\"brand_new\""));
  std::vector<std::string> flaws;
  std::istringstream lines{folder.read("out.jsonl")};
  for (std::string line; std::getline(lines, line);)
    flaws.push_back(nlohmann::json::parse(line).value("flaw", ""));
  CHECK(flaws == std::vector<std::string>{"", "cut", "cut", "blocked", "empty", "unclear", ""});
  CHECK(contains(folder.read("out.jsonl"), R"("text":"Half")")); // of the one that was broken off
  CHECK(contains(run({"batch", "status", folder.path("out.jsonl.ledger")}).out, "7 of 7 done: " + counts));
  CHECK(contains(run(arguments).err, "7 requests: " + counts)); // of the earlier run
}

} // namespace modelforge::flaw_test
