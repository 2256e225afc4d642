#include "tests/cli/cli_fixture.hpp"
#include "tests/simulator/client.hpp"
#include "tests/support/pace.hpp"
#include "tests/support/prometheus_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace modelforge::cli_test {

// The program as its user meets it: what it prints, on which stream, with which exit code, and how fast.

using namespace std::chrono_literals;
using namespace modelforge::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

} // namespace

TEST_CASE_METHOD(cli_test, "chat prints the answer on standard output and nothing else there", "[cli]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto x = chat_with(server.url(""));
  CHECK(x.exit_code == 0);
  CHECK(x.out == "fine\n");
  CHECK(x.err.empty());
}

TEST_CASE_METHOD(cli_test, "each way in which a server can fail is told clearly, in time", "[cli]") {
  struct failing {
    const char* what;
    misbehaving_server::behaviour behaviour;
    std::vector<std::string> expected; ///< Parts of the message.
  };
  auto openai_error = [](const char* code, const char* message) {
    return std::string{R"({"error":{"message":")"} + message + R"(","type":"x","code":")" + code + "\"}}";
  };
  std::string garbage(50u << 20, 'x');
  std::vector<failing> table{
    {"reset in mid-body",
     [](peer& x) {
       x.read_request();
       x.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"id\":");
       x.reset_on_close();
     },
     {"connection_lost"}},
    {"empty body", always(whole_answer(200, "")), {"invalid_response", "empty"}},
    {"HTML instead of JSON",
     always(whole_answer(200, "<!DOCTYPE html><html><body>Welcome</body></html>", "text/html")),
     {"invalid_response", "HTML", "base_url"}},
    {"50 MB of garbage",
     [&](peer& x) {
       x.read_request();
       x.send(whole_answer(200, garbage));
     },
     {"invalid_response"}},
    {"accepts and says nothing", [](peer& x) { x.wait_for_close(); }, {"attempt_timeout", "total"}},
    {"401",
     always(whole_answer(401, openai_error("invalid_api_key", "No such key"))),
     {"authentication", "HTTP 401", "No such key"}},
    {"404",
     always(whole_answer(404, openai_error("model_not_found", "No such model"))),
     {"not_found", "HTTP 404", "No such model"}},
    {"500", always(whole_answer(500, openai_error("oops", "It broke"))), {"server_error", "HTTP 500", "It broke"}},
    {"a 200 with an error in it", always(whole_answer(200, openai_error("oops", "It broke"))), {"It broke"}},
    {"something that is no HTTP", always("220 mail.test ESMTP ready\r\n"), {"invalid_response"}},
  };
  for (auto& x : table) {
    INFO(x.what);
    misbehaving_server server{x.behaviour};
    auto result = chat_with(server.url(""), "timeouts = { total = 2.0 }\nretry = { max_attempts = 1 }\n");
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("modelforge: error: test: "));
    for (auto& part : x.expected)
      CHECK(contains(result.err, part));
    CHECK(result.elapsed < (sanitized ? 20s : 5s));
  }
}

TEST_CASE_METHOD(cli_test, "a server that cannot be reached is told clearly, in time", "[cli]") {
  closed_port closed;
  misbehaving_server plain{always(whole_answer(200, good_answer))};
  auto https = plain.url("").replace(0, 4, "https");
  struct unreachable {
    std::string url;
    const char* code;
    const char* part;
  };
  for (auto& [url, code, part] :
       std::vector<unreachable>{{closed.url(), "connect_failed", "127.0.0.1"},
                                {"http://nothing.invalid", "resolve_failed", "nothing.invalid"},
                                {https, "tls_failed", "http:"}}) {
    INFO(url);
    auto x = chat_with(url);
    INFO(x.err);
    CHECK(x.exit_code == 1);
    CHECK(contains(x.err, code));
    CHECK(contains(x.err, part));
    CHECK(x.elapsed < 10s);
  }
}

TEST_CASE_METHOD(cli_test, "a timeout given to chat is kept, and waiting costs no CPU", "[cli]") {
  misbehaving_server server{[](peer& x) { x.wait_for_close(); }};
  auto x = run({"chat", "-c", configure(server.url("")), "--timeout", "1.5", "hello"});
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "deadline_exceeded"));
  CHECK(x.elapsed > 1.4s);
  CHECK(x.elapsed < (sanitized ? 6s : 3s));
  if (!sanitized)
    CHECK(x.cpu < 0.1s); // start-up included
}

TEST_CASE_METHOD(cli_test, "configurations that cannot be used end with exit code 2 and the place", "[cli]") {
  struct faulty {
    std::string path;
    std::vector<std::string> expected;
  };
  auto ten = folder.write("ten.toml", "[providers.a]\nkind = \"opnai\"\nmax_concurent = 3\nmax_concurrent = 0\n"
                                      "base_url = \"ftp://x\"\napi_key = \"sk-proj-abcdefghijklmnopqrstuv\"\n"
                                      "deadline = -1\n[providers.a.retry]\nmax_attempts = \"three\"\n"
                                      "backoff_factor = 0.1\n[runtime]\nthreads = 1.5\nunknown = 1\n[nod]\n");
  std::filesystem::create_directory(folder.path("folder.toml"));
  for (auto& [path, expected] : std::vector<faulty>{
         {folder.path("missing.toml"), {"missing.toml", "error"}},
         {folder.path("folder.toml"), {"folder.toml", "error"}},
         {folder.write("binary.toml", "[providers.a]\nkind = \"\xff\xfe\"\n"), {"binary.toml:2", "UTF-8"}},
         {ten,
          {"ten.toml:2:", "ten.toml:3:", "did you mean", "max_concurrent",
           "ten.toml:4:", "ten.toml:5:", "ten.toml:6:", "api_key_env",
           "ten.toml:7:", "ten.toml:9:", "ten.toml:10:", "ten.toml:12:", "ten.toml:13:", "ten.toml:14:"}}}) {
    for (auto& command :
         std::vector<std::vector<std::string>>{{"config", "check", "-c", path}, {"chat", "-c", path, "hi"}}) {
      auto x = run(command);
      INFO(x.err);
      CHECK(x.exit_code == 2);
      CHECK(x.out.empty());
      for (auto& part : expected)
        CHECK(contains(x.err, part));
      CHECK_FALSE(contains(x.err, "abcdefghijklmnopqrstuv"));
    }
  }
}

TEST_CASE_METHOD(cli_test, "without any configuration one line says what to do", "[cli]") {
  auto x = run({"chat", "hello"});
  CHECK(x.exit_code == 2);
  CHECK(std::count(x.err.begin(), x.err.end(), '\n') == 1);
  for (auto part : {"OPENAI_API_KEY", "modelforge.toml", "--simulate"})
    CHECK(contains(x.err, part));
}

TEST_CASE_METHOD(cli_test, "wrong arguments end with exit code 2 and point to the help", "[cli]") {
  for (auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"chta"},
                                             {"chat", "--no-such"},
                                             {"batch", "in.txt"},
                                             {"chat", "--timeout", "-1", "x"},
                                             {"simulate", "--listen", "nowhere"},
                                             {"batch", "in.txt", "-o", "x", "--max-concurrent", "0"}}) {
    auto x = run(arguments);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "--help"));
  }
  CHECK(contains(run({"chta"}).err, "no command \"chta\""));
  auto unknown = run({"chat", "-c", configure("http://127.0.0.1:1"), "-p", "other", "x"});
  CHECK(unknown.exit_code == 2);
  CHECK(contains(unknown.err, "configured: test"));
}

TEST_CASE_METHOD(cli_test, "prompt files that cannot be used end with exit code 2 and their name", "[cli]") {
  auto output = folder.path("out.jsonl");
  for (auto& path : {folder.path("missing.jsonl"), folder.write("empty.jsonl", ""), folder.path("")}) {
    auto x = run({"batch", "--simulate", path, "-o", output});
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, path));
    CHECK_FALSE(std::filesystem::exists(output));
  }
}

TEST_CASE_METHOD(cli_test, "a broken line in a prompt file fails alone", "[cli]") {
  auto input = folder.write("in.jsonl", "{\"id\":\"a\",\"prompt\":\"one\"}\n{\"id\":\"b\",\"prompt\":\n"
                                        "{\"id\":\"c\",\"prompt\":\"three\"}\n");
  auto x = run({"batch", "--simulate", input, "-o", folder.path("out.jsonl")});
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "3 requests: 2 answered, 1 failed"));
  auto out = folder.read("out.jsonl");
  CHECK(std::count(out.begin(), out.end(), '\n') == 3);
  CHECK(contains(out, "in.jsonl:2"));
}

TEST_CASE_METHOD(cli_test, "an output that cannot be written ends the batch with the reason", "[cli]") {
  std::string prompts;
  for (int i = 0; i < 2000; ++i)
    prompts += "prompt " + std::to_string(i) + "\n";
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto input = folder.write("in.txt", prompts);
  auto config = configure(server.url(""));
  SECTION("a full disk") {
    auto x = run({"batch", "-c", config, input, "-o", "/dev/full"});
    INFO(x.err);
    CHECK(x.exit_code == 1);
    CHECK(contains(x.err, "No space left"));
    CHECK(contains(x.err, "/dev/full"));
  }
  SECTION("standard output closed from the start") {
    auto options = command({"batch", "-c", config, input, "-o", "-"});
    options.close_stdout = true;
    auto x = test::run_process(options);
    INFO(x.err);
    CHECK(x.exit_code == 2); // nothing was sent
    CHECK(contains(x.err, "standard output"));
  }
  SECTION("a folder that is not there") {
    auto x = run({"batch", "-c", config, input, "-o", folder.path("no/out.jsonl")});
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "no/out.jsonl"));
  }
}

TEST_CASE_METHOD(cli_test, "chat tells when standard output is closed", "[cli]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto options = command({"chat", "-c", configure(server.url("")), "hello"});
  options.close_stdout = true;
  auto x = test::run_process(options);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "standard output"));
}

TEST_CASE_METHOD(cli_test, "results go to standard output alone when asked for, progress to standard error", "[cli]") {
  auto options = command({"batch", "--simulate", "-", "-o", "-"});
  options.input = "first prompt\nsecond prompt\n";
  auto x = test::run_process(options);
  CHECK(x.exit_code == 0);
  CHECK(std::count(x.out.begin(), x.out.end(), '\n') == 2);
  CHECK(x.out.starts_with("{\"id\":"));
  CHECK(contains(x.err, "2 answered"));
}

TEST_CASE_METHOD(cli_test, "Ctrl-C keeps what is done and ends with 130", "[cli]") {
  // Answers ten requests, then holds the rest.
  std::atomic<int> seen{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request() && ++seen <= 10)
      x.send(whole_answer(200, good_answer));
    x.wait_for_close();
  }};
  std::string prompts;
  for (int i = 0; i < 50; ++i)
    prompts += "prompt " + std::to_string(i) + "\n";
  auto options = command({"batch", "-c", configure(server.url("")), "--max-concurrent", "2",
                          folder.write("in.txt", prompts), "-o", folder.path("out.jsonl")});
  options.interrupt_after_line = 1; // the first line of progress
  auto x = test::run_process(options);
  INFO(x.err);
  CHECK(x.exit_code == 130);
  auto out = folder.read("out.jsonl.part");
  CHECK(std::count(out.begin(), out.end(), '\n') >= 10);
  CHECK(contains(out, "\"fine\""));
  CHECK(contains(x.err, "10 answered"));
  CHECK(contains(x.err, "run the same command again to go on"));
  CHECK(x.elapsed < 15s);
  CHECK(contains(run({"batch", "status", folder.path("out.jsonl")}).out, "10 of 50 done")); // though it was not read
}

TEST_CASE_METHOD(cli_test, "Ctrl-C works while standard input keeps the batch waiting", "[cli]") {
  auto fifo = folder.path("fifo");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  auto held = open(fifo.c_str(), O_RDWR | O_CLOEXEC); // a writer that never writes more than this
  REQUIRE(write(held, "one prompt\n", 11) == 11);
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto options = command({"batch", "-c", configure(server.url("")), fifo, "-o", folder.path("out.jsonl")});
  options.interrupt_after_line = 1;
  auto x = test::run_process(options);
  close(held);
  INFO(x.err);
  CHECK(x.exit_code == 130);
  CHECK(contains(x.err, "1 answered"));
  CHECK(contains(folder.read("out.jsonl.part"), "\"fine\""));
  CHECK(x.elapsed < 15s);
}

TEST_CASE_METHOD(cli_test, "a batch never overwrites its own input", "[cli]") {
  auto path = folder.write("same.txt", "a prompt\n");
  auto x = run({"batch", "--simulate", path, "-o", path});
  CHECK(x.exit_code == 2);
  CHECK(folder.read("same.txt") == "a prompt\n");
}

TEST_CASE_METHOD(cli_test, "the summary of a batch says why its first item failed", "[cli]") {
  misbehaving_server server{
    always(whole_answer(401, R"({"error":{"message":"No such key","code":"invalid_api_key"}})"))};
  auto x =
    run({"batch", "-c", configure(server.url("")), folder.write("in.txt", "a\nb\n"), "-o", folder.path("out.jsonl")});
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "2 failed"));
  CHECK(contains(x.err, "No such key"));
}

TEST_CASE_METHOD(cli_test, "the quick commands are quick", "[cli]") {
  auto config = configure("http://127.0.0.1:1");
  for (auto& arguments :
       std::vector<std::vector<std::string>>{{"--version"}, {"--help"}, {"config", "check", "-c", config}}) {
    auto least = std::chrono::duration<double>::max();
    for (int i = 0; i < 9; ++i) {
      auto x = run(arguments);
      REQUIRE(x.exit_code == 0);
      least = std::min<decltype(least)>(least, x.cpu / test::pace()); // they wait for nothing
    }
    if (!sanitized)
      CHECK(least < 20ms);
  }
}

TEST_CASE_METHOD(cli_test, "an idle process uses no measurable CPU", "[cli]") {
  test::background_process simulator{{program(), "simulate", "--listen", "127.0.0.1:0"}};
  auto line = simulator.read_line();
  REQUIRE(line.starts_with("listening http://127.0.0.1:"));
  auto before = simulator.cpu();
  // What is measured is a second of doing nothing: a chat that waits 1 s for a silent server fills it.
  misbehaving_server silent{[](peer& x) { x.wait_for_close(); }};
  auto x = run({"chat", "-c", configure(silent.url("")), "--timeout", "1", "hello"});
  CHECK(x.exit_code == 1);
  CHECK(simulator.cpu() - before <= 30ms); // three ticks of the kernel's clock, which may be charged with others' work
  CHECK(simulator.end(SIGTERM) == 0);
}

TEST_CASE_METHOD(cli_test, "config example is a configuration, and config show prints one", "[cli]") {
  auto example = run({"config", "example"});
  REQUIRE(example.exit_code == 0);
  auto path = folder.write("example.toml", example.out);
  CHECK(run({"config", "check", path}).exit_code == 0);
  auto shown = run({"config", "show", path});
  REQUIRE(shown.exit_code == 0);
  auto again = run({"config", "show", folder.write("shown.toml", shown.out)});
  CHECK(again.out == shown.out);
}

TEST_CASE_METHOD(cli_test, "providers lists what is configured and what keeps it from working", "[cli]") {
  auto path = folder.write("p.toml", "[providers.one]\nkind = \"openai\"\napi_key_env = \"NO_SUCH_KEY\"\n"
                                     "[providers.two]\nkind = \"openai_compatible\"\n"
                                     "base_url = \"http://127.0.0.1:1\"\n");
  auto x = run({"providers", "-c", path});
  CHECK(x.exit_code == 0);
  CHECK(contains(x.out, "NO_SUCH_KEY"));
  CHECK(contains(x.out, "ready"));
  auto json = run({"providers", "-c", path, "--json"});
  CHECK(contains(json.out, "\"name\": \"two\""));
}

// -- metrics and status ---------------------------------------------------------------

namespace {

/// A port that was free a moment ago.
uint16_t free_port() {
  return closed_port{}.port();
}

std::string metrics_at(uint16_t port) {
  return "[metrics]\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n";
}

/// A running batch as `modelforge providers` finds it.
constexpr auto canned_status =
  R"({"program":"modelforge","pid":4711,"providers":[{"name":"test","kind":"openai_compatible",)"
  R"("base_url":"http://x.test/v1","max_concurrent":16,"in_flight":12,"queued":{"interactive":40,"batch":300},)"
  R"("queued_bytes":1000,"retries_waiting":3,"next_retry_seconds":1.2,"predicted_wait_seconds":4.1,)"
  R"("answered":10000,"failed":4,"late":0,"attempts":10233,"retries":{"rate":12,"transient":3},)"
  R"("refusals":{"queue_full":2},"draining":false,"problem":"","lanes":[{"name":"default","breaker":"closed",)"
  R"("breaker_openings":0,"slots":16,"in_flight":12,"paused_seconds":2.5,"out":false,"limits":[)"
  R"({"of":"requests","limit":500,"used":431},{"of":"input_tokens","limit":200000,"used":180000}]}]}]})";

} // namespace

TEST_CASE_METHOD(cli_test, "providers shows what a running program does", "[cli][metrics]") {
  misbehaving_server running{always(whole_answer(200, canned_status))};
  auto path = configure("http://x.test", "[providers.idle]\nkind = \"openai_compatible\"\ndefault_model = \"m\"\n"
                                         "base_url = \"http://y.test\"\nrate_limit = { requests_per_minute = 60 }\n"
                                           + metrics_at(running.port()));
  auto x = run({"providers", "-c", path});
  CHECK(x.exit_code == 0);
  CHECK(x.err.empty());
  CHECK(x.out
        == "running, pid 4711 (127.0.0.1:" + std::to_string(running.port())
             + ")\n"
               "test  openai_compatible  http://x.test/v1  ready\n"
               "  in flight 12 of 16 · queued 340 (300 batch) · 3 retries wait, the next in 1.2 s\n"
               "    a request would wait 4.1 s\n"
               "  limits (default): requests 431 of 500 (86 %), input tokens 180k of 200k (90 %); breaker closed; "
               "paused by the provider for 2.5 s\n"
               "  attempts 10,233 · answered 10,000 · failed 4 · retried: rate 12, transient 3\n"
               "    refused: queue_full 2\n"
               "idle  openai_compatible  http://y.test  ready\n"
               "  at most 16 in flight · model m\n"
               "  limits (default): requests 0 of 60 (0 %)\n");
  auto json = test::json::parse(run({"providers", "-c", path, "--json"}).out);
  CHECK(json["running"] == true);
  CHECK(json["pid"] == 4711);
  auto& test = json["providers"][0];
  CHECK(test["running"] == true);
  CHECK(test["queued"]["batch"] == 300);
  CHECK(test["next_retry_seconds"] == 1.2);
  CHECK(test["lanes"][0]["limits"][0]["used_percent"] == 86.2);
  auto& idle = json["providers"][1];
  CHECK(idle["running"] == false);
  CHECK(idle["ready"] == true);
  CHECK(idle["requests_per_minute"] == 60);
  CHECK(idle["attempts"] == 0);
}

TEST_CASE_METHOD(cli_test, "providers says why a running program cannot use one", "[cli][metrics]") {
  for (auto& [state, words] :
       std::vector<std::pair<std::string, std::string>>{{"ready", "ready"},
                                                        {"failing", "not usable: it is failing"},
                                                        {"unreachable", "not usable: it is unreachable"},
                                                        {"key_refused", "not usable: it refuses the key"},
                                                        {"ended", "not usable: it has ended, and is started again"},
                                                        {"unanswered", "not usable: it does not answer"},
                                                        {"draining", "shutting down"}}) {
    auto answer = R"({"program":"modelforge","pid":1,"providers":[{"name":"test","state":")" + state + "\"}]}";
    misbehaving_server running{always(whole_answer(200, answer))};
    auto path = configure("http://x.test", metrics_at(running.port()));
    auto x = run({"providers", "-c", path});
    CHECK(contains(x.out, "test  openai_compatible  http://x.test/v1  " + words + "\n"));
    auto json = test::json::parse(run({"providers", "-c", path, "--json"}).out)["providers"][0];
    CHECK(json["state"] == state);
    CHECK(json["ready"] == (state == "ready"));
  }
}

TEST_CASE_METHOD(cli_test, "providers takes nothing but a status for one, and waits a second at most",
                 "[cli][metrics]") {
  for (auto& behaviour : std::vector<misbehaving_server::behaviour>{
         [](peer& x) { x.wait_for_close(); }, always(whole_answer(200, "{\"program\":\"other\"}")),
         always(whole_answer(200, "<html>")), always(whole_answer(500, canned_status)), always("SSH-2.0\r\n")}) {
    misbehaving_server other{behaviour};
    auto x = run({"providers", "-c", configure("http://x.test", metrics_at(other.port()))});
    INFO(x.out);
    CHECK(x.exit_code == 0);
    CHECK(x.out.starts_with("not running: no ModelForge program answers at 127.0.0.1:"));
    CHECK(contains(x.out, "  ready\n"));
    CHECK(x.elapsed < (sanitized ? 10s : 3s));
  }
}

TEST_CASE_METHOD(cli_test, "providers lets nothing through that a terminal would obey", "[cli][metrics]") {
  std::string evil = canned_status;
  evil.replace(evil.find("\"problem\":\"\""), 12, "\"problem\":\"\\u001b[2Jx\"");
  misbehaving_server running{always(whole_answer(200, evil))};
  auto x = run({"providers", "-c", configure("http://x.test", metrics_at(running.port()))});
  CHECK(contains(x.out, "problem: [2Jx\n"));
  CHECK(x.out.find('\x1b') == std::string::npos);
}

TEST_CASE_METHOD(cli_test, "providers shows what an ended program has used, and changes nothing of it",
                 "[cli][metrics]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto path = configure(server.url(""), "rate_limit = { requests_per_minute = 1000 }\n[runtime]\nstate_folder = \""
                                          + folder.path("state") + "\"\n");
  REQUIRE(run({"chat", "-c", path, "hi"}).exit_code == 0);
  auto kept = folder.read("state/test.limits");
  REQUIRE_FALSE(kept.empty());
  auto x = run({"providers", "-c", path, "--json"});
  INFO(x.out + x.err);
  auto limit = test::json::parse(x.out)["providers"][0]["lanes"][0]["limits"][0];
  CHECK(limit["limit"] == 1000);
  CHECK(limit["used"] >= 1);
  CHECK(folder.read("state/test.limits") == kept);
  auto none =
    run({"providers", "-c", configure(server.url(""), "[runtime]\nstate_folder = \"" + folder.path("no") + "\"\n")});
  CHECK(none.exit_code == 0);
  CHECK_FALSE(std::filesystem::exists(folder.path("no")));
}

TEST_CASE_METHOD(cli_test, "a batch serves its metrics and status while it runs", "[cli][metrics]") {
  std::atomic<bool> held{true};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request()) {
      test::eventually([&] { return !held; });
      x.send(whole_answer(200, good_answer));
    }
  }};
  auto port = free_port();
  auto path = configure(server.url(""), metrics_at(port));
  auto input = folder.write("in.txt", "a\nb\nc\nd\ne\n");
  auto options = command({"batch", "-c", path, "--max-concurrent", "2", input, "-o", folder.path("out.jsonl")});
  test::process_result batch;
  std::thread runner{[&] { batch = test::run_process(options); }};
  test::json seen;
  CHECK(test::eventually([&] {
    seen = test::json::parse(run({"providers", "-c", path, "--json"}).out);
    return seen["running"] == true && seen["providers"][0]["in_flight"] == 2;
  }));
  CHECK(seen["pid"] != getpid());
  CHECK(seen["providers"][0]["queued"]["interactive"] == 0);
  test::http_answer metrics;
  test::http_answer lost;
  test::json status;
  if (seen["running"] == true) {
    metrics = test::fetch(port, "GET", "/metrics");
    status = test::fetch(port, "GET", "/status").parsed();
    lost = test::fetch(port, "GET", "/favicon.ico");
  }
  auto human = run({"providers", "-c", path});
  held = false;
  runner.join();
  INFO(batch.err);
  CHECK(batch.exit_code == 0);
  CHECK(metrics.status == 200);
  CHECK(lost.status == 404);
  CHECK(status["settings"]["origin"] == path);
  CHECK(status["ready"] == true);
  test::prometheus_text text{metrics.body};
  CHECK(text.problem == "");
  CHECK(text.at("modelforge_requests_in_flight{modelforge_provider=\"test\"}") == 2);
  CHECK(text.at("modelforge_attempts_total{modelforge_provider=\"test\"}") == 2);
  CHECK(human.out.starts_with("running, pid "));
  CHECK(contains(human.out, "  in flight 2 of "));
  CHECK(run({"providers", "-c", path}).out.starts_with("not running"));
}

TEST_CASE_METHOD(cli_test, "programs with one metrics port all run, and those that are not watched say so",
                 "[cli][metrics]") {
  misbehaving_server server{always(whole_answer(200, good_answer))}; // has the port, as another program would
  auto path = configure(server.url(""), metrics_at(server.port()));
  auto warning = "modelforge: warning: this run is not watched: metrics.listen: cannot listen on 127.0.0.1:"
                 + std::to_string(server.port());
  auto batch = run({"batch", "-c", path, folder.write("in.txt", "a\n"), "-o", folder.path("out.jsonl")});
  CHECK(batch.exit_code == 0);
  CHECK(contains(batch.err, warning));
  CHECK(contains(folder.read("out.jsonl"), "fine"));
  auto chat = run({"chat", "-c", path, "hello"});
  CHECK(chat.exit_code == 0);
  CHECK(chat.out == "fine\n");
  CHECK(contains(chat.err, warning));
}

TEST_CASE_METHOD(cli_test, "with port 0 a batch tells where its metrics are", "[cli][metrics]") {
  misbehaving_server server{always(whole_answer(200, good_answer))};
  auto x = run({"batch", "-c", configure(server.url(""), metrics_at(0)), folder.write("in.txt", "a\n"), "-o",
                folder.path("out.jsonl")});
  CHECK(x.exit_code == 0);
  CHECK(x.err.starts_with("modelforge: metrics at http://127.0.0.1:"));
}

TEST_CASE_METHOD(cli_test, "a batch uses every slot that the settings allow, and no more", "[cli][batch]") {
  for (std::string more : {"max_concurrent = 2\n", "max_concurrent = 2\ninteractive_slots = 1\n"}) {
    std::atomic<int> held{0};
    std::atomic<int> most{0};
    misbehaving_server server{[&](peer& x) {
      while (x.read_request()) {
        auto now = ++held;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        test::eventually([&] { return most >= 2; });
        --held;
        x.send(whole_answer(200, good_answer));
      }
    }};
    auto x = run({"batch", "-c", configure(server.url(""), more), folder.write("in.txt", "a\nb\nc\nd\n"), "-o",
                  folder.path("out.jsonl"), "--fresh"});
    INFO(x.err);
    CHECK(x.exit_code == 0);
    CHECK(most == 2);
  }
}

TEST_CASE_METHOD(cli_test, "a batch's progress says that the provider has paused it", "[cli][metrics]") {
  std::atomic<int> asked{0};
  misbehaving_server server{[&](peer& x) {
    while (x.read_request())
      if (++asked == 1)
        x.send("HTTP/1.1 429 X\r\nRetry-After: 4\r\nContent-Length: 2\r\n\r\n{}");
      else
        x.send(whole_answer(200, good_answer));
  }};
  auto x = run({"batch", "-c", configure(server.url("")), folder.write("in.txt", "a\nb\n"), "--max-concurrent", "1",
                "-o", folder.path("out.jsonl")});
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, ", paused by the provider for "));
}

} // namespace modelforge::cli_test
