#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::surroundings_test {

// What stands around the program and its providers: proxies, login pages, files of other systems.

using namespace modelforge::test;

TEST_CASE_METHOD(cli_test, "the simulator is asked directly, whatever proxy the environment names", "[cli]") {
  closed_port closed;
  auto x = command({"chat", "--simulate", "hello"});
  for (auto* name : {"http_proxy=", "ALL_PROXY="})
    x.environment.push_back(name + closed.url());
  auto result = run_process(std::move(x));
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE_METHOD(cli_test, "what no retry helps is asked for once, and the proxy is named", "[cli]") {
  misbehaving_server page{[&](peer& x) {
    while (x.read_request()) {
      ++page.requests;
      x.send(whole_answer(200, "<html><head><title>Sign in</title></head></html>", "text/html"));
    }
  }};
  auto x = chat_with(page.url(""));
  CHECK(contains(x.err, "Sign in"));
  CHECK(page.requests == 1);
  closed_port closed;
  auto proxied = command({"chat", "-c", configure("http://nothing.invalid"), "hello"});
  proxied.environment.push_back("http_proxy=" + closed.url());
  auto result = run_process(std::move(proxied));
  INFO(result.err);
  CHECK(contains(result.err, "the proxy 127.0.0.1:"));
  CHECK(contains(result.err, "NO_PROXY"));
}

TEST_CASE_METHOD(cli_test, "limits that cannot be kept are told, and a service's own folder keeps them", "[cli]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto path = configure(server.url(""), "rate_limit = { requests_per_minute = 600 }\n");
  auto ask = [&](std::vector<std::string> environment) {
    auto x = command({"chat", "--no-stream", "-c", path, "hi"});
    x.environment = std::move(environment);
    return run_process(std::move(x));
  };
  auto without = ask({"PATH=/usr/bin:/bin"});
  CHECK(without.exit_code == 0);
  CHECK(contains(without.err, "warning: the use of limits is not kept across restarts: none of STATE_DIRECTORY"));
  CHECK(contains(ask({"HOME=/dev/null"}).err, "/dev/null is not a folder"));
  auto service = ask({"HOME=/dev/null", "STATE_DIRECTORY=" + folder.path("service") + ":/else"});
  CHECK(service.exit_code == 0);
  CHECK_FALSE(contains(service.err, "warning"));
  CHECK(std::filesystem::exists(folder.path("service/modelforge")));
  configure(server.url("")); // no limits, nothing to keep
  CHECK_FALSE(contains(ask({"PATH=/usr/bin:/bin"}).err, "warning: the use of limits"));
}

TEST_CASE_METHOD(cli_test, "an empty list of models is said to be one", "[cli]") {
  misbehaving_server server{always(whole_answer(200, R"({"object":"list","data":null})"))};
  auto x = run({"models", "-c", configure(server.url(""))});
  CHECK(x.exit_code == 0);
  CHECK(x.out.empty());
  CHECK(contains(x.err, "lists no models"));
}

TEST_CASE_METHOD(cli_test, "a schema may have a byte order mark, and is not UTF-16", "[cli]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto ask = [&](const std::string& schema) {
    return run(
      {"chat", "-c", configure(server.url("")), "--no-stream", "--schema", folder.write("s.json", schema), "hi"});
  };
  CHECK_FALSE(contains(ask("\xEF\xBB\xBF{\"type\":\"object\"}\r\n").err, "s.json"));
  auto refused = ask(std::string{"\xFF\xFE{\0}\0", 6});
  CHECK(refused.exit_code == 2);
  CHECK(contains(refused.err, "s.json is UTF-16; save it as UTF-8"));
}

TEST_CASE_METHOD(cli_test, "a schema may come through a pipe", "[cli]") {
  misbehaving_server server{
    always(whole_answer(200, R"({"choices":[{"index":0,"message":{"content":"{\"a\":1}"},"finish_reason":"stop"}]})"))};
  auto x = run_process([&] {
    auto options =
      command({"chat", "-c", configure(server.url("")), "--no-stream", "--schema", folder.path("pipe"), "hi"});
    options.arguments.insert(
      options.arguments.begin(),
      {"/bin/sh", "-c",
       R"(mkfifo pipe && { echo '{"type":"object","required":["a"]}' > pipe & exec "$@" < /dev/null; })", "sh"});
    return options;
  }());
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(contains(x.out, R"({"a":1})"));
}

TEST_CASE_METHOD(cli_test, "a name for a conversation that is not kept is refused", "[cli]") {
  auto x = run({"chat", "--simulate", "--name", "rivers", "--no-history", "hi"});
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "--name has the conversation kept, and --no-history keeps nothing"));
}

} // namespace modelforge::surroundings_test
