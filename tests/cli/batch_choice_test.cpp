#include "tests/cli/cli_fixture.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/shared_list.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>

namespace modelforge::batch_choice_test {

// Whom a batch asks, how, and what that costs.

using namespace modelforge::test;

namespace {

using json = nlohmann::json;
using strings = std::vector<std::string>;

struct batch_choice_test : test::cli_test {
  std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += "prompt " + std::to_string(i) + "\n";
    return folder.write("in.txt", text);
  }

  static std::string provider(const std::string& name, const std::string& url, const std::string& more = {}) {
    return "[providers." + name + "]\nkind = \"openai_compatible\"\nbase_url = \"" + url
           + "/v1\"\ndefault_model = \"m\"\n" + more;
  }

  process_result batch(const std::string& config, const std::string& input, strings more = {}) {
    strings all{"batch", "-c", config, input, "-o", folder.path("out.jsonl")};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
};

/// Keeps the bodies of all requests.
struct keeping_server {
  keeping_server() : server{[this](peer& x) { serve(x); }} {}

  void serve(peer& x) {
    while (auto request = x.read_request()) {
      bodies.add(json::parse(request->substr(request->find("\r\n\r\n") + 4)));
      x.send(whole_answer(200, good_answer));
    }
  }

  shared_list<json> bodies;
  misbehaving_server server; ///< Ends before what it writes to.
};

constexpr auto refused_key =
  R"({"error":{"message":"no such key","type":"invalid_request_error","code":"invalid_api_key"}})";

} // namespace

TEST_CASE_METHOD(batch_choice_test, "each name in a list of providers is one, with or without blanks", "[cli][batch]") {
  struct row {
    std::string names, problem; ///< No problem: the list is taken.
  };
  misbehaving_server good{always(whole_answer(200, good_answer))};
  auto config = folder.write("test.toml", provider("a", good.url("")) + provider("b", good.url("")));
  auto input = lines(2);
  for (auto& [names, problem] : std::vector<row>{
         {"a, b", ""},
         {" a = 2 ,\tb = 1 ", ""},
         {"b,,a", "a name is missing"},
         {"b,", "a name is missing"},
         {",a", "a name is missing"},
         {",", "a name is missing"},
         {" ", "a name is missing"},
         {"a,=2", "a name is missing"},
         {"a,a", "named twice"},
         {"a=,b=1", "is not a number above 0"},
         {"a b", "no provider \"a b\""},
       })
    for (auto more : std::vector<strings>{{"--fresh"}, {"--fresh", "--dry-run"}}) {
      more.insert(more.end(), {"-p", names});
      auto x = batch(config, input, more);
      INFO("\"" << names << "\" " << more[1] << "\n" << x.err);
      CHECK(x.exit_code == (problem.empty() ? 0 : 2));
      CHECK(contains(x.err, problem));
    }
}

TEST_CASE_METHOD(batch_choice_test, "a batch does not wait for a provider that is down while another one answers",
                 "[cli][batch]") {
  closed_port nobody;
  misbehaving_server good{always(whole_answer(200, good_answer))};
  misbehaving_server strict{always(whole_answer(401, refused_key))};
  misbehaving_server broken{always(whole_answer(500, "{}"))};
  auto input = lines(12);
  for (auto& [url, more] : std::vector<std::pair<std::string, std::string>>{
         {nobody.url(), ""}, {strict.url(""), ""}, {broken.url(""), "retry = { max_attempts = 1 }\n"}}) {
    auto config =
      folder.write("test.toml", provider("bad", url, more + "max_concurrent = 4\n") + provider("good", good.url("")));
    for (std::string names : {"bad,good", "good,bad", "bad=3,good=1"}) {
      auto x = batch(config, input, {"-p", names, "--fresh", "--max-concurrent", "3"});
      INFO(url << " " << names << "\n" << x.err);
      CHECK(x.exit_code == 0);
      CHECK(contains(x.err, "12 answered, 0 failed"));
      if (names != "good,bad") { // where it may never be asked
        auto first = x.err.find("modelforge: warning: bad fails, so others get its items: ");
        CHECK(first != std::string::npos);
      }
    }
  }
}

TEST_CASE_METHOD(batch_choice_test, "a batch that another provider gets for want of a key says so at its end, too",
                 "[cli][batch]") {
  misbehaving_server good{always(whole_answer(200, good_answer))};
  auto config = folder.write("test.toml", provider("first", good.url(""), "api_key_env = \"NOT_SET_ANYWHERE\"\n")
                                            + provider("second", good.url("")));
  auto x = batch(config, lines(2));
  INFO(x.err);
  CHECK(x.exit_code == 0);
  auto note = std::string{"asking second, since first cannot be: environment variable NOT_SET_ANYWHERE is not set"};
  CHECK(x.err.starts_with("modelforge: " + note));
  CHECK(contains(x.err, "modelforge: warning: " + note));
  auto named = batch(config, lines(2), {"-p", "first,second", "--fresh"});
  CHECK(named.exit_code == 2);
  CHECK(contains(named.err, "NOT_SET_ANYWHERE"));
}

TEST_CASE_METHOD(batch_choice_test, "a batch takes the options of chat, and a line's own go before them",
                 "[cli][batch]") {
  keeping_server asked;
  auto config = configure(asked.server.url(""));
  auto input =
    folder.write("in.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"temperature\":1.5,\"max_tokens\":7}\n"
                             "{\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"c\"}],\"user\":\"me\","
                             "\"top_p\":0.1}}\n");
  auto x = batch(config, input,
                 {"--max-concurrent", "1", "--temperature", "0.25", "--max-tokens", "50", "--top-p", "0.5", "--stop",
                  "END", "--seed", "3", "--effort", "low", "--option", "user=you", "--option", "logprobs=true"});
  INFO(x.err);
  REQUIRE(x.exit_code == 0);
  auto bodies = asked.bodies.all();
  REQUIRE(bodies.size() == 3);
  auto &first = bodies[0], &second = bodies[1], &third = bodies[2];
  for (auto& body : bodies) {
    CHECK(body["seed"] == 3);
    CHECK(body["stop"] == json{"END"});
    CHECK(body["reasoning_effort"] == "low");
    CHECK(body["logprobs"] == true);
  }
  CHECK(first["temperature"] == 0.25);
  CHECK(first["top_p"] == 0.5);
  CHECK(first["user"] == "you");
  CHECK(second["temperature"] == 1.5);
  CHECK(second.dump().find("50") == std::string::npos);
  CHECK(third["user"] == "me");
  CHECK(third["top_p"] == 0.1);
}

TEST_CASE_METHOD(batch_choice_test, "a batch names whatever its earlier results were made with that is other now",
                 "[cli][batch]") {
  misbehaving_server one{always(whole_answer(200, good_answer))};
  misbehaving_server two{always(whole_answer(200, good_answer))};
  auto input = lines(2);
  auto config = [](const std::string& url, const std::string& more = {}) { return provider("test", url, more); };
  auto port = std::to_string(two.port());
  REQUIRE(batch(folder.write("test.toml", config(one.url(""))), input).exit_code == 0);
  struct row {
    std::string config;
    strings more;
    std::string named;
  };
  for (auto& x : std::vector<row>{
         {config(two.url("")), {}, "now http://127.0.0.1:" + port + "/v1"},
         {config(one.url("/proxy")), {}, "/proxy/v1"},
         {config(one.url(""), "flavor = \"vllm\"\n"),
          {},
          "api: openai_compatible chat, now openai_compatible chat, flavor vllm"},
         {config(one.url(""), "headers = { X-Team = \"red\" }\n"), {}, "headers: none, now X-Team (sum "},
         {config(one.url(""), "defaults = { temperature = 0.5 }\n"), {}, "defaults: none, now temperature 0.5"},
         {config(one.url(""), "[providers.test.models.\"m*\"]\ndefaults = { max_tokens = 9 }\n"),
          {},
          "defaults: none, now m*: max_tokens 9"},
         {config(one.url(""), "[runtime]\nenable_optimizations = true\n"), {}, "optimizations: none, now seed 42"},
         {config(one.url("")),
          {"--temperature", "0.5", "--option", "user=x"},
          "options: none, now temperature 0.5, user \"x\""},
       }) {
    INFO(x.named);
    auto seen = batch(folder.write("test.toml", x.config), input, x.more);
    INFO(seen.err);
    CHECK(seen.exit_code == 2);
    CHECK(contains(seen.err, x.named));
  }
}

TEST_CASE_METHOD(batch_choice_test, "a batch's cost says for how many items it is not known", "[cli][batch]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto input =
    folder.write("in.jsonl", "{\"prompt\":\"a\",\"model\":\"dear\",\"max_tokens\":1000}\n"
                             "{\"prompt\":\"b\",\"max_tokens\":1000}\n{\"prompt\":\"c\",\"max_tokens\":1000}\n");
  auto priced =
    folder.write("test.toml", provider("test", server.url(""))
                                + "[providers.test.models.dear]\nprice = { input = 10.0, output = 40.0 }\n");
  auto x = batch(priced, input);
  INFO(x.err);
  CHECK(contains(x.err, "; cost: 0.00005, and unknown for 2 items; HTTP attempts"));
  auto dry = run({"batch", "-c", priced, "--dry-run", input});
  INFO(dry.out);
  CHECK(contains(dry.out, "at most 0.04000 for those answers"));
  CHECK(contains(dry.out, "cost at test: unknown for 2 items, whose models have no price"));
  auto status = run({"batch", "status", folder.path("out.jsonl")});
  CHECK(contains(status.out, "; cost: 0.00005, and unknown for 2 items"));
  auto unpriced = batch(configure(server.url("")), input, {"--fresh"});
  CHECK(contains(unpriced.err, "; cost: unknown for 3 items"));
}

TEST_CASE_METHOD(batch_choice_test, "a batch has as many items in flight as the settings allow", "[cli][batch]") {
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      auto now = ++held;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      if (++asked > 20) // with few answers nobody sends so many to a server
        test::eventually([&] { return most >= 12; });
      --held;
      x.send(whole_answer(200, good_answer));
    }
  }};
  auto x = batch(configure(server.url(""), "max_concurrent = 12\n"), lines(60));
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(most == 12);
}

} // namespace modelforge::batch_choice_test
