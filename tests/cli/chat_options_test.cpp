#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <mutex>

namespace modelforge::chat_options_test {

// How the model is to answer: from the command line, and from the configuration.

using namespace modelforge::test;

namespace {

using json = nlohmann::json;
using strings = std::vector<std::string>;

struct chat_options_test : test::cli_test {};

/// A server that answers in one language, and keeps what it was asked.
struct asked_server {
  explicit asked_server(std::string answer) : answer_(std::move(answer)), server{[this](peer& x) { serve(x); }} {}

  void serve(peer& x) {
    while (auto request = x.read_request()) {
      std::lock_guard guard{mutex};
      body = json::parse(request->substr(request->find("\r\n\r\n") + 4));
      x.send(whole_answer(200, answer_));
    }
  }

  /// The fields of what was asked last that are neither the question nor how it is answered.
  json options() {
    std::lock_guard guard{mutex};
    auto result = body;
    for (auto name : {"messages", "model", "stream", "stream_options", "system"})
      result.erase(name);
    return result;
  }

private:
  std::mutex mutex;
  json body;
  std::string answer_;

public:
  misbehaving_server server; ///< Ends before what it writes to.
};

constexpr auto openai =
  R"({"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]})";
constexpr auto anthropic =
  R"({"id":"m1","type":"message","role":"assistant","model":"claude-sonnet-4-5","stop_reason":)"
  R"("end_turn","content":[{"type":"text","text":"fine"}],"usage":{"input_tokens":1,"output_tokens":1}})";

} // namespace

TEST_CASE_METHOD(chat_options_test, "chat sends the options that it is given, and the configuration's for others",
                 "[cli]") {
  asked_server at{openai};
  auto config =
    configure(at.server.url(""), "defaults = { temperature = 0.5, top_p = 0.9, options = [\"min_p=0.1\"] }\n"
                                 "[providers.test.models.\"big-*\"]\ndefaults = { temperature = 1.5 }\n");
  struct sending {
    strings arguments;
    json sent;
  };
  for (auto& [arguments, expected] : std::vector<sending>{
         {{}, {{"temperature", 0.5}, {"top_p", 0.9}, {"min_p", 0.1}}},
         {{"-m", "big-1"}, {{"temperature", 1.5}, {"top_p", 0.9}, {"min_p", 0.1}}},
         {{"--temperature", "0", "--top-p", "1", "--option", "min_p=0"},
          {{"temperature", 0.0}, {"top_p", 1.0}, {"min_p", 0}}},
         {{"--max-tokens", "77", "--seed", "-3", "--stop", "a b", "--stop", "c", "--effort", "low"},
          {{"temperature", 0.5},
           {"top_p", 0.9},
           {"min_p", 0.1},
           {"max_tokens", 77},
           {"seed", -3},
           {"stop", {"a b", "c"}},
           {"reasoning_effort", "low"}}},
         {{"--option", "user=me", "--option", "k=40", "--option", "k=41", "--option", "f={\"a\":[true]}", "--option",
           "e="},
          {{"temperature", 0.5},
           {"top_p", 0.9},
           {"min_p", 0.1},
           {"user", "me"},
           {"k", 41},
           {"f", {{"a", {true}}}},
           {"e", ""}}},
       }) {
    strings all{"chat", "-c", config, "hello"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    auto x = run(all);
    INFO(x.err);
    CHECK(x.exit_code == 0);
    CHECK(x.err.empty());
    CHECK(at.options() == expected);
  }
}

TEST_CASE_METHOD(chat_options_test, "chat refuses options that are none, by name", "[cli]") {
  for (auto& wrong : std::vector<strings>{{"--temperature", "warm"},
                                          {"--top-p", "1.1"},
                                          {"--max-tokens", "0"},
                                          {"--seed", "x"},
                                          {"--option", "top_k"},
                                          {"--option", "=1"},
                                          {"--option", "stream=true"},
                                          {"--temperature", "nan"},
                                          {"--top-p", "NaN"},
                                          {"--top-p", "0"},
                                          {"--timeout", "nan"},
                                          {"--timeout", "inf"},
                                          {"--stop", ""},
                                          {"--output", ""},
                                          {"--model", ""},
                                          {"--provider", ""},
                                          {"--config", ""},
                                          {"--system", ""},
                                          {"--effort", ""},
                                          {"--schema", ""},
                                          {"--file", ""},
                                          {"--image", ""},
                                          {"--schema", folder.write("array.json", "[]")},
                                          {"--schema", folder.write("number.json", "3")},
                                          {"--schema", folder.write("nan.json", "NaN")},
                                          {"--schema", folder.write("empty.json", "")}}) {
    strings all{"chat", "--simulate", "hello"};
    all.insert(all.end(), wrong.begin(), wrong.end());
    auto x = run(all);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(x.out.empty());
    CHECK(contains(x.err, wrong[0] == "--schema" && !wrong[1].empty() ? wrong[1] : wrong[0]));
  }
  auto prompts = folder.write("in.txt", "one\n");
  for (auto& wrong :
       std::vector<strings>{{"-o", ""}, {"--deadline", "-5"}, {"--deadline", "nan"}, {"--deadline", "0"}}) {
    strings all{"batch", "--simulate", prompts, "-o", folder.path("out.jsonl")};
    if (wrong[0] == "-o")
      all.resize(3);
    all.insert(all.end(), wrong.begin(), wrong.end());
    auto x = run(all);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, wrong[0] == "-o" ? "--output" : wrong[0]));
  }
}

TEST_CASE_METHOD(chat_options_test, "what is said of an option names it as it was given", "[cli]") {
  asked_server at{openai};
  auto config = configure(at.server.url(""), "defaults = { options = [\"max_tokens=9\"] }\n");
  auto ask = [&](const std::string& option) {
    auto x = run({"chat", "-c", config, "--max-tokens", "5", "--option", option, "hello"});
    CHECK_FALSE(contains(x.err, "extra"));
    return x;
  };
  CHECK(contains(ask("model=x").err, "--option model replaces the request's own"));
  CHECK(contains(ask("model=x").err, "max_tokens in `options` of the configuration replaces the request's own"));
  auto unsent = ask("n=3"); // nobody was asked
  CHECK(contains(unsent.err, "--option n asks for several answers"));
  CHECK(unsent.exit_code == 2);
  auto gemini = folder.write("g.toml", "[providers.g]\nkind = \"gemini\"\ndefault_model = \"gemini-2.5-flash\"\n"
                                       "base_url = \"http://127.0.0.1:1\"\n");
  auto other = run({"chat", "-c", gemini, "--no-stream", "--option", "n=3", "hello"});
  CHECK(contains(other.err, "--option n "));
  CHECK_FALSE(contains(other.err, "extra"));
}

TEST_CASE_METHOD(chat_options_test, "the warning about a length that Anthropic demands goes where one is set",
                 "[cli]") {
  asked_server at{anthropic};
  auto config = [&](const std::string& more) {
    return folder.write("a.toml",
                        "[providers.claude]\nkind = \"anthropic\"\ndefault_model = \"claude-sonnet-4-5\"\nbase_url = \""
                          + at.server.url("") + "\"\n" + more);
  };
  auto warned = run({"chat", "--no-stream", "-c", config(""), "hello"});
  CHECK(warned.out == "fine\n");
  CHECK(contains(warned.err, "max_tokens"));
  auto told = run({"chat", "--no-stream", "-c", config(""), "--max-tokens", "99", "hello"});
  CHECK(told.err.empty());
  CHECK(at.options()["max_tokens"] == 99);
  auto set = run({"chat", "--no-stream", "-c", config("defaults = { max_tokens = 88 }\n"), "hello"});
  CHECK(set.err.empty());
  CHECK(at.options()["max_tokens"] == 88);
}

TEST_CASE_METHOD(chat_options_test, "config check names a default that cannot be one", "[cli]") {
  auto x =
    run({"config", "check",
         configure("http://127.0.0.1:1", "[providers.test.defaults]\nmax_tokens = 0\n"
                                         "temperature = \"warm\"\noptions = [\"top_k\"]\n"
                                         "top_p = 0\nstop = [\"a\", \"\"]\n"
                                         "[providers.test.models.\"m\".defaults]\noptions = [\"stream=true\"]\n")});
  INFO(x.err);
  CHECK(x.exit_code == 2);
  for (auto part :
       {"test.toml:6:", "test.toml:7:", "test.toml:8:", "NAME=VALUE", "test.toml:9:", "test.toml:10:", "test.toml:12:"})
    CHECK(contains(x.err, part));
}

} // namespace modelforge::chat_options_test
