#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <regex>

namespace modelforge::commands_test {

// The command line itself: its help, what it says of words that it does not know, and its output for programs.

using namespace modelforge::test;

namespace {

using json = nlohmann::json;
using strings = std::vector<std::string>;

constexpr auto answer =
  R"({"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]})";

struct commands_test : test::cli_test {};

/// All commands with those below them, as words.
void each_command(test::cli_test& at, const strings& words, std::vector<strings>& found) {
  auto asked = words;
  asked.push_back("--help");
  auto help = at.run(asked).out;
  found.push_back(words);
  auto below = help.find("Subcommands:\n");
  if (below == help.npos)
    return;
  std::regex line{"\n  ([a-z]+)  "};
  auto text = help.substr(below);
  for (std::sregex_iterator one{text.begin(), text.end(), line}, end; one != end; ++one) {
    auto inner = words;
    inner.push_back((*one)[1]);
    each_command(at, inner, found);
  }
}

} // namespace

TEST_CASE_METHOD(commands_test, "the help of each command has examples of its own", "[cli]") {
  std::vector<strings> all;
  each_command(*this, {}, all);
  CHECK(all.size() >= 15);
  for (auto& words : all) {
    std::string command_line = "modelforge";
    for (auto& word : words)
      command_line += " " + word;
    auto asked = words;
    asked.push_back("--help");
    auto help = run(asked).out;
    INFO(command_line);
    auto examples = help.find("Example");
    REQUIRE(examples != help.npos);
    CHECK(help.find(command_line, examples) != help.npos);
  }
}

TEST_CASE_METHOD(commands_test, "words that the program does not know are named, with those that were meant", "[cli]") {
  struct slip {
    strings arguments;
    std::string told;
  };
  for (auto& [arguments, told] : std::vector<slip>{
         {{"chta", "hi"}, "there is no command \"chta\"; did you mean chat?"},
         {{"frobnicate"}, "there is no command \"frobnicate\"\n"},
         {{"config", "chekc"}, "there is no command \"chekc\"; did you mean check?"},
         {{"batch", "stauts", "x.ledger"}, "there is no command \"stauts\"; did you mean status?"},
         {{"chat", "--tempreture", "1", "hi"}, "there is no option --tempreture; did you mean --temperature?"},
         {{"chat", "--sytem=x", "hi"}, "there is no option --sytem; did you mean --system?"},
         {{"batch", "in.txt", "--max-concurent", "2"},
          "there is no option --max-concurent; did you mean --max-concurrent?"},
         {{"chat", "--retry-failed", "hi"}, "there is no option --retry-failed here; it is one of `modelforge batch`"},
         {{"--simulate", "chat", "hi"}, "--simulate belongs behind its command: modelforge chat --simulate"},
         {{"chat", "--nothing-like-it", "hi"}, "there is no option --nothing-like-it\n"},
         {{"chat", "why", "is", "it"}, "unexpected argument \"is\"; a text of several words needs quotes around it"},
       }) {
    auto x = run(arguments);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(x.out.empty());
    CHECK(contains(x.err, told));
    CHECK(contains(x.err, "--help"));
  }
}

TEST_CASE_METHOD(commands_test, "the option -V is --version", "[cli]") {
  auto x = run({"-V"});
  CHECK(x.exit_code == 0);
  CHECK(x.out.starts_with("modelforge "));
  CHECK(x.out == run({"--version"}).out);
}

TEST_CASE_METHOD(commands_test, "models, embed and config check print JSON where it is asked for", "[cli]") {
  misbehaving_server models{always(whole_answer(200, R"({"data":[{"id":"a"},{"id":"b"}]})"))};
  CHECK(json::parse(run({"models", "--json", "-c", configure(models.url(""))}).out)
        == json{{"provider", "test"}, {"models", {"a", "b"}}});
  misbehaving_server embeddings{always(whole_answer(
    200, R"({"model":"e-1","data":[{"index":0,"embedding":[1,2]}],"usage":{"prompt_tokens":3,"total_tokens":3}})"))};
  auto config = configure(embeddings.url(""), "price = { input = 1000.0 }\n");
  auto embedded = run({"embed", "-m", "e", "--json", "-c", config, "text"});
  INFO(embedded.err);
  CHECK(embedded.err.empty());
  auto last = embedded.out.find('\n') + 1;
  CHECK(json::parse(embedded.out.substr(0, last))["embedding"] == json{1.0, 2.0});
  auto stats = json::parse(embedded.out.substr(last))["stats"];
  CHECK(stats["seconds"] > 0);
  stats.erase("seconds");
  CHECK(stats == json{{"model", "e-1"}, {"vectors", 1}, {"dimensions", 2}, {"tokens", 3}, {"cost", 0.003}});
  auto good = json::parse(run({"config", "check", "--json", config}).out);
  CHECK(good["ok"] == true);
  CHECK(good["providers"] == 1);
  CHECK(good["file"] == config);
  CHECK(good["diagnostics"].empty());
  auto wrong = run({"config", "check", "--json", folder.write("bad.toml", "[providers.a]\nkind = \"opnai\"\n")});
  CHECK(wrong.exit_code == 2);
  CHECK(wrong.err.empty());
  auto found = json::parse(wrong.out);
  CHECK(found["ok"] == false);
  REQUIRE_FALSE(found["diagnostics"].empty());
  CHECK(found["diagnostics"].back()["level"] == "error");
  CHECK(found["diagnostics"].back()["line"] == 2);
  CHECK(contains(found["diagnostics"].back()["hint"], "openai"));
}

TEST_CASE_METHOD(commands_test, "without -p the first provider is asked that can be", "[cli]") {
  misbehaving_server server{always(whole_answer(200, answer))};
  auto keyless = [](const std::string& name) {
    return "[providers." + name + "]\nkind = \"openai\"\napi_key_env = \"NO_SUCH_KEY\"\ndefault_model = \"m\"\n";
  };
  auto usable =
    "[providers.two]\nkind = \"openai_compatible\"\ndefault_model = \"m\"\nbase_url = \"" + server.url("") + "\"\n";
  auto second = run({"chat", "-c", folder.write("a.toml", keyless("one") + usable), "hi"});
  INFO(second.err);
  CHECK(second.exit_code == 0);
  CHECK(second.out == "fine\n");
  CHECK(contains(second.err, "asking two, since one cannot be: "));
  CHECK(contains(second.err, "NO_SUCH_KEY"));
  auto first = run({"chat", "-c", folder.write("b.toml", usable + keyless("three")), "hi"});
  CHECK(first.out == "fine\n");
  CHECK(first.err.empty());
  auto none = run({"chat", "-c", folder.write("c.toml", keyless("one") + keyless("three")), "hi"});
  CHECK(none.exit_code == 2);
  CHECK(contains(none.err, "NO_SUCH_KEY"));
  auto named = run({"chat", "-p", "one", "-c", folder.path("a.toml"), "hi"}); // what is asked for is not replaced
  CHECK(named.exit_code == 2);
}

TEST_CASE_METHOD(commands_test, "a wait is told on a terminal, and nowhere else", "[cli]") {
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request())
      if (asked++ % 2 == 0)
        x.send("HTTP/1.1 429 X\r\nRetry-After: 4\r\nContent-Length: 2\r\n\r\n{}");
      else
        x.send(whole_answer(200, answer));
  }};
  auto words = program() + " chat -c " + configure(server.url("")) + " hello";
  auto options = command({});
  options.arguments = {"/usr/bin/script", "-qec", words, "/dev/null"};
  auto terminal = run_process(options);
  INFO(terminal.out);
  CHECK(terminal.exit_code == 0);
  CHECK(contains(terminal.out, "paused by the provider for "));
  CHECK(contains(terminal.out, "\r\x1b[Kfine"));
  options.arguments = {"/bin/sh", "-c", words};
  auto piped = run_process(options);
  CHECK(piped.out == "fine\n");
  CHECK(piped.err.empty());
}

} // namespace modelforge::commands_test
