#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <sstream>

namespace modelforge::chat_stream_test {

using namespace modelforge::test;

namespace {

const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

std::string delta(const std::string& text) {
  return "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"}}]}\n\n";
}

const std::string end_mark =
  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

misbehaving_server::behaviour streams(std::string events) {
  return [=](peer& x) {
    if (x.read_request())
      x.send(head + events);
  };
}

struct chat_stream_test : cli_test {
  process_result chat(const std::string& url, std::vector<std::string> more = {}) {
    std::vector<std::string> all{"chat", "-c", configure(url)};
    all.insert(all.end(), more.begin(), more.end());
    all.push_back("hello");
    return run(all);
  }
};

} // namespace

TEST_CASE_METHOD(chat_stream_test, "chat prints a stream as it comes, and Ctrl-C stops the provider", "[cli][stream]") {
  std::atomic<bool> closed{false};
  misbehaving_server server{[&](peer& x) {
    if (!x.read_request())
      return;
    x.send(head + delta("first line\\nsecond")); // printed at once
    x.wait_for_close();
    closed = true;
  }};
  background_process running{{program(), "chat", "-c", configure(server.url("")), "hello"}};
  CHECK(running.read_line() == "first line"); // long before the end, which never comes
  CHECK(running.end(SIGINT) == 130);
  CHECK(running.read_line() == "second");
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!closed && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  CHECK(closed);
}

TEST_CASE_METHOD(chat_stream_test, "a piped stream is the plain text", "[cli][stream]") {
  misbehaving_server server{streams(delta("Gr\xc3\xbc\xc3\x9f") + delta("e\\u001b[1m") + end_mark)};
  auto x = chat(server.url(""));
  CHECK(x.exit_code == 0);
  CHECK(x.out == "Gr\xc3\xbc\xc3\x9f\x65\x1b[1m\n");
  CHECK(x.err.empty());
}

TEST_CASE_METHOD(chat_stream_test, "with --json each event is a line", "[cli][stream]") {
  misbehaving_server server{streams(delta("a\\n") + delta("\\\"b") + end_mark)};
  auto x = chat(server.url(""), {"--json"});
  CHECK(x.exit_code == 0);
  std::istringstream lines{x.out};
  std::vector<nlohmann::json> events;
  for (std::string line; std::getline(lines, line);)
    events.push_back(nlohmann::json::parse(line));
  REQUIRE(events.size() == 3);
  CHECK(events[0] == nlohmann::json{{"type", "text"}, {"text", "a\n"}});
  CHECK(events[1] == nlohmann::json{{"type", "text"}, {"text", "\"b"}});
  CHECK(events[2]["type"] == "done");
  CHECK(events[2]["completion"]["choices"][0]["message"]["content"] == "a\n\"b");
  CHECK(events[2]["completion"]["usage"]["completion_tokens"] == 2);
}

TEST_CASE_METHOD(chat_stream_test, "a stream that breaks leaves what was printed, and says so", "[cli][stream]") {
  misbehaving_server server{streams(delta("half"))};
  auto x = chat(server.url(""));
  CHECK(x.exit_code == 1);
  CHECK(x.out == "half\n");
  // the second: text and end came in one piece, so that nobody had it yet and it was tried again
  CHECK((contains(x.err, "stream_interrupted") || contains(x.err, "connection_lost")));
  auto json = chat(server.url(""), {"--json"});
  CHECK(json.exit_code == 1);
  CHECK(contains(json.out, R"({"type":"error","error":{)"));
  CHECK(contains(json.out, R"("pieces":1)"));
}

TEST_CASE_METHOD(chat_stream_test, "with --no-stream the request is no stream", "[cli][stream]") {
  std::atomic<bool> streamed{false};
  misbehaving_server server{[&](peer& x) {
    while (auto request = x.read_request()) {
      streamed = contains(*request, "\"stream\":true");
      x.answer(R"({"choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]})",
               "Content-Type: application/json\r\n");
    }
  }};
  CHECK(chat(server.url(""), {"--no-stream"}).out == "whole\n");
  CHECK_FALSE(streamed);
  CHECK(chat(server.url("")).out == "whole\n"); // an old server that does not know streams
  CHECK(streamed);
}

TEST_CASE_METHOD(chat_stream_test, "chat --stats tells what was optimized, what the cache gave and the cost",
                 "[cli][stream]") {
  misbehaving_server server{always(whole_answer(
    200, R"({"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],)"
         R"("usage":{"prompt_tokens":2000,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1024}}})"))};
  auto path =
    configure(server.url(""), "[providers.test.price]\ninput = 1000.0\n[runtime]\nenable_optimizations = true\n");
  auto x = run({"chat", "-c", path, "--stats", "--no-stream", "hello"});
  CHECK(x.exit_code == 0);
  CHECK(contains(x.err, "optimized: enable_seed: seed 42\n"));
  CHECK(contains(x.err, "2000 tokens in (1024 from the cache), 2 out"));
  CHECK(contains(x.err, "cost 2.0"));
  // The same in what programs read; without a price there is none, rather than 0.
  CHECK(contains(run({"chat", "-c", path, "--json", "--no-stream", "hello"}).out, "},\"cost\":2"));
  CHECK(contains(run({"chat", "-c", path, "--json", "hello"}).out, "},\"cost\":2"));
  auto input = folder.write("in.txt", "hello\n");
  CHECK(run({"batch", "-c", path, input, "-o", folder.path("out.jsonl")}).exit_code == 0);
  CHECK(contains(folder.read("out.jsonl"), "},\"cost\":2"));
  auto without = configure(server.url(""));
  CHECK_FALSE(contains(run({"chat", "-c", without, "--json", "--no-stream", "hello"}).out, "\"cost\""));
}

TEST_CASE_METHOD(chat_stream_test, "a streamed answer has a size, too", "[cli][stream]") {
  misbehaving_server server{streams(delta("first ") + delta(std::string(2'000, 'x')) + end_mark)};
  auto ask = [&](const std::string& size) {
    return run({"chat", "-c", configure(server.url(""), "[runtime]\nmax_response_bytes = " + size + "\n"), "hello"});
  };
  auto x = ask("1024");
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "the answer exceeds 1024 bytes"));
  CHECK(contains(x.err, "raise runtime.max_response_bytes"));
  CHECK(ask("4096").exit_code == 0);
}

TEST_CASE_METHOD(chat_stream_test, "what becomes of an answer that nobody reads is set", "[cli][stream]") {
  std::atomic<int> closed{0};
  misbehaving_server whole{streams(delta("a") + delta("b") + end_mark)};
  misbehaving_server endless{[&](peer& x) {
    if (!x.read_request())
      return;
    x.send(head + delta("a"));
    x.wait_for_close();
    ++closed;
  }};
  auto unread = [&](const misbehaving_server& server, const std::string& stream) {
    auto x = command({"chat", "--stats", "-c", configure(server.url(""), "stream = { " + stream + " }\n"), "hello"});
    x.close_stdout = true;
    auto result = run_process(x);
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(contains(result.err, "cannot write to standard output"));
    CHECK_FALSE(contains(result.err, "interrupted"));
    return result;
  };
  CHECK_FALSE(contains(unread(whole, "").err, "tokens in"));
  for (auto* read_on : {"on_disconnect = \"drain\"", "on_disconnect = \"drain_for\", drain_time = 60"})
    CHECK(contains(unread(whole, read_on).err, "3 tokens in, 2 out"));
  unread(endless, "");
  CHECK(unread(endless, "on_disconnect = \"drain_for\", drain_time = 0.3").elapsed.count() >= 0.3);
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (closed < 2 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  CHECK(closed == 2);
}

TEST_CASE_METHOD(chat_stream_test, "a file gets the text, under its name only when it is whole", "[cli][stream]") {
  misbehaving_server good{streams(delta("all ") + delta("of it") + end_mark)};
  auto path = folder.path("answer.txt");
  auto x = chat(good.url(""), {"-o", path, "--stats"});
  CHECK(x.exit_code == 0);
  CHECK(x.out.empty());
  CHECK(contains(x.err, "first token after"));
  CHECK(contains(x.err, "3 tokens in, 2 out"));
  CHECK(folder.read("answer.txt") == "all of it");
  misbehaving_server bad{streams(delta("some of it"))};
  auto y = chat(bad.url(""), {"-o", folder.path("other.txt")});
  CHECK(y.exit_code == 1);
  CHECK(contains(y.err, folder.path("other.txt") + ".partial"));
  CHECK(folder.read("other.txt.partial") == "some of it");
  CHECK_FALSE(std::filesystem::exists(folder.path("other.txt")));
  CHECK(chat(good.url(""), {"-o", path, "--json"}).exit_code == 2);
}

} // namespace modelforge::chat_stream_test
