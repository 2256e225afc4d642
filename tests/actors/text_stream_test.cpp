#include <modelforge/actors/text_stream.hpp>

#include "tests/actors/live_provider.hpp"
#include "tests/actors/provider_fixture.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <filesystem>
#include <future>
#include <stdexcept>

namespace modelforge::text_stream_test {

using namespace std::chrono_literals;

namespace {

std::string delta(const std::string& text, const std::string& more = {}) {
  return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"}}]" + more + "}\n\n";
}

const std::string end_mark =
  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Streams in virtual time: nothing blocks as long as the end has come before somebody waits for it.
struct text_stream_test : test::provider_test {
  std::vector<std::string> texts;
  std::vector<std::string> pieces;
  std::vector<uint64_t> progress;
  std::vector<stream_outcome> ends;

  stream_options watched() {
    stream_options x;
    x.on_text = [this](const std::string& text) { texts.push_back(text); };
    x.on_chunk = [this](const stream_piece& piece) { pieces.push_back(piece.text); };
    x.on_progress = [this](uint64_t tokens) { progress.push_back(tokens); };
    x.on_end = [this](const stream_outcome& how) { ends.push_back(how); };
    return x;
  }

  text_stream start(stream_options options, chat_request x = question(1)) {
    auto result = stream_text(system(), provider, std::move(x), std::move(options));
    run();
    return result;
  }

  const failure& why() const { return std::get<stream_failed>(ends.at(0)).why; }

  provider_actor provider = spawn();
};

/// A provider before a simulator, with real threads.
struct live {
  explicit live(const simulator::options& x) : server(x), provider(server.url()) {}

  simulator::server server;
  test::live_provider provider;
};

chat_request asking(const std::string& text) {
  chat_request x;
  x.messages.push_back(text_message(role::user, text));
  return x;
}

} // namespace

TEST_CASE_METHOD(text_stream_test, "texts are joined by buffer_size, pieces come one by one", "[actors][text_stream]") {
  auto options = watched();
  options.buffer_size = 3;
  auto stream = start(options);
  for (auto* text : {"a", "b", "c", "d"}) {
    http->stream(0, delta(text));
    run();
  }
  CHECK(texts == std::vector<std::string>{"abc"});
  http->send(0, delta("e") + delta("f") + delta("g") + end_mark);
  http->end(0);
  run();
  CHECK(texts == std::vector<std::string>{"abc", "def", "g"});
  CHECK(pieces == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g"});
  REQUIRE(ends.size() == 1);
  CHECK(std::get<stream_done>(ends[0]).result.finish_reason == finish_reason::stop);
  CHECK_FALSE(stream.next());
}

TEST_CASE_METHOD(text_stream_test, "progress fires on every tenth token, also when a piece holds many",
                 "[actors][text_stream]") {
  auto stream = start(watched());
  auto usage = [](int n) { return ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":" + std::to_string(n) + "}"; };
  http->stream(0, delta("a", usage(9)));
  run();
  CHECK(progress.empty());
  http->send(0, delta("b", usage(31)));
  run();
  CHECK(progress == std::vector<uint64_t>{10, 20, 30});
  std::string rest;
  for (int i = 0; i < 12; ++i)
    rest += delta("c");
  http->send(0, rest + end_mark);
  http->end(0);
  run();
  CHECK(progress == std::vector<uint64_t>{10, 20, 30, 40});
  CHECK(ends.size() == 1);
}

TEST_CASE_METHOD(text_stream_test, "a number of tokens that cannot be is no progress", "[actors][text_stream]") {
  auto stream = start(watched());
  auto usage = [](const std::string& n) { return ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":" + n + "}"; };
  http->stream(0, delta("a", usage("1000000000000000")));
  http->send(0, delta("b", usage("12")) + delta("c", usage("18446744073709551615")) + end_mark);
  http->end(0);
  run();
  CHECK(progress == std::vector<uint64_t>{10});
  REQUIRE(ends.size() == 1);
  CHECK(std::get<stream_done>(ends[0]).result.usage == token_usage{1, 0});
}

TEST_CASE_METHOD(text_stream_test, "what another node tells of tokens ends, too", "[actors][text_stream]") {
  stream_done end;
  end.result.usage = token_usage{1, ~uint64_t{0}};
  auto far = hold(system().spawn([end](provider_actor::pointer self) -> provider_actor::behavior_type {
    return {
      [](const chat_request&) { return completion{}; },
      [self, end](const stream_request&, const stream_subscriber_actor& to) {
        auto session = self->spawn([](stream_session_actor::pointer) -> stream_session_actor::behavior_type {
          return {
            [](grant_atom, uint32_t) {},
            [](subscribe_atom, const stream_subscriber_actor&, const subscription&) {},
            [](cancel_atom) {},
            [](status_atom) { return stream_status{}; },
          };
        });
        stream_chunk chunk;
        chunk.tokens = ~uint64_t{0};
        self->send(to, chunk);
        self->send(to, end);
        return session;
      },
      [](const embedding_request&) { return embedding{}; },
      [](const batch_job_request&, const batch_job_listener_actor&) { return batch_job_actor{}; },
      [](models_atom) { return model_list{}; },
      [](cancel_atom, request_id) {},
      [](status_atom) { return provider_status{}; },
      [](drain_atom, caf::timespan) {},
      [](const request_id&, const attempts_made&) {},
      [](received_atom, uint64_t) {},
    };
  }));
  for (auto heard : {true, false}) {
    auto options = watched();
    if (!heard)
      options.on_progress = nullptr;
    ends.clear();
    progress.clear();
    auto stream = stream_text(system(), far, question(1), std::move(options));
    run();
    CHECK(ends.size() == 1);
    CHECK(progress.size() == (heard ? max_output_tokens / 10 : 0));
  }
}

TEST_CASE_METHOD(text_stream_test, "a callback that throws ends the stream and the provider's work",
                 "[actors][text_stream]") {
  auto options = watched();
  auto bad = GENERATE(0, 1, 2);
  CAPTURE(bad);
  auto burst = [](const auto&) { throw std::runtime_error{"no more paper"}; };
  options.buffer_size = 1;
  if (bad == 0)
    options.on_text = burst;
  else if (bad == 1)
    options.on_chunk = burst;
  else
    options.on_progress = burst;
  auto stream = start(options);
  std::string twelve;
  for (int i = 0; i < 12; ++i)
    twelve += delta("x");
  http->stream(0, twelve);
  run();
  REQUIRE(ends.size() == 1);
  CHECK(why().code == errc::callback_failed);
  CHECK(why().message.find("no more paper") != std::string::npos);
  CHECK(http->cancelled.size() == 1);
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(text_stream_test, "on_end comes once, whatever happens", "[actors][text_stream]") {
  auto stream = start(watched());
  http->stream(0, delta("a"));
  run();
  SECTION("cancelled by the host") {
    stream.cancel();
    stream.cancel();
    run();
    CHECK(why().code == errc::cancelled);
  }
  SECTION("cut off") {
    http->fail(0, errc::connection_lost, true);
    run();
    CHECK(why().code == errc::stream_interrupted);
    CHECK(texts == std::vector<std::string>{"a"});
  }
  SECTION("its provider ends") {
    caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
    run();
    CHECK(why().code == errc::cancelled);
  }
  SECTION("done") {
    http->send(0, end_mark);
    http->end(0);
    run();
  }
  CHECK(ends.size() == 1);
  stream.cancel();
  run();
  CHECK(ends.size() == 1);
}

TEST_CASE_METHOD(text_stream_test, "a request that is refused is the stream's end", "[actors][text_stream]") {
  auto x = question(1);
  x.messages[0].content = {text_part{"\xff"}};
  auto stream = start(watched(), x);
  CHECK(why().code == errc::invalid_request);
  CHECK(std::holds_alternative<stream_failed>(stream.wait()));
}

TEST_CASE_METHOD(text_stream_test, "a timeout says what to raise, and by how much", "[actors][text_stream]") {
  auto options = watched();
  options.timeout = 10s;
  auto x = question(1);
  x.sampling.max_tokens = 100;
  auto stream = start(options, x);
  advance(1s);
  http->stream(0, delta("a") + delta("b"));
  run();
  advance(9s);
  REQUIRE(ends.size() == 1);
  CHECK(why().code == errc::deadline_exceeded);
  CHECK(why().message.find("10 s; 2 tokens") != std::string::npos);
  CHECK(why().suggestion.find("raise timeout from 10 s to at least 9.2 min")
        != std::string::npos); // 100 / 2 x 10 s x 1.1
}

TEST_CASE_METHOD(text_stream_test, "what the host does not read holds the provider back", "[actors][text_stream]") {
  stream_options options;
  options.buffer_size = 1;
  auto stream = start(options);
  http->stream(0);
  for (int i = 0; i < 12; ++i) {
    http->send(0, delta(std::string(15'000, 'x')));
    run();
  }
  auto before = http->granted[1];
  CHECK(before <= 8 * 16'000); // the chunks that may be on their way
  for (int i = 0; i < 4; ++i) {
    REQUIRE(stream.next());
    run();
  }
  CHECK(http->granted[1] > before);
  stream.cancel();
  run();
}

TEST_CASE("a range reads a stream to its end", "[actors][text_stream]") {
  live at{{}};
  stream_options options;
  options.whole_text = true;
  std::string joined;
  std::size_t texts = 0;
  auto stream = stream_text(at.provider.system(), *at.provider, std::string{"Tell me about rivers"}, options);
  for (auto& text : stream) {
    joined += text;
    ++texts;
  }
  auto& done = std::get<stream_done>(stream.wait());
  CHECK(joined == done.result.text);
  CHECK(texts == (done.result.usage->output + 9) / 10);
}

TEST_CASE("letting go of a stream stops the provider at once", "[actors][text_stream]") {
  simulator::options slow;
  slow.tokens_per_second = 5;
  live at{slow};
  std::promise<stream_outcome> end;
  {
    stream_options options;
    options.buffer_size = 1;
    options.on_end = [&](const stream_outcome& how) { end.set_value(how); };
    auto stream = stream_text(at.provider.system(), *at.provider, std::string{"Tell me about rivers"}, options);
    REQUIRE(stream.next());
  }
  auto how = end.get_future();
  REQUIRE(how.wait_for(0s) == std::future_status::ready); // before the destructor returned
  CHECK(std::get<stream_failed>(how.get()).why.code == errc::cancelled);
  auto until = std::chrono::steady_clock::now() + 10s;
  while (at.server.snapshot().aborted == 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  CHECK(at.server.snapshot().aborted == 1);
}

TEST_CASE("a stream goes to a file, which gets its name at a good end only", "[actors][text_stream]") {
  test::temporary_folder folder;
  auto path = folder.path("answer.txt");
  simulator::options server;
  SECTION("good") {
    live at{server};
    auto result = stream_to_file(at.provider.system(), *at.provider, asking("Tell me about rivers"), path, {});
    REQUIRE(std::holds_alternative<completion>(result));
    CHECK(folder.read(path).size() > 40);
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
  }
  SECTION("cut") {
    simulator::add_fault(server, "truncated=1");
    live at{server};
    auto result = stream_to_file(at.provider.system(), *at.provider, asking("Tell me about rivers"), path, {});
    REQUIRE(std::holds_alternative<failure>(result));
    CHECK(std::get<failure>(result).message.find(path + ".partial") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK_FALSE(folder.read(path + ".partial").empty());
  }
  SECTION("no such folder") {
    live at{server};
    auto result = stream_to_file(at.provider.system(), *at.provider, asking("Hi"), path + "/x/y", {});
    REQUIRE(std::holds_alternative<failure>(result));
    CHECK(std::get<failure>(result).code == errc::io_failed);
    CHECK(at.server.snapshot().requests == 0);
  }
}

TEST_CASE_METHOD(text_stream_test, "what the host does not read holds the provider back, whatever the chunks' sizes",
                 "[actors][text_stream]") {
  stream_options options; // texts of ten pieces, which never end where chunks do
  auto stream = start(options);
  http->stream(0);
  std::size_t sent = 0;
  for (auto pieces = 3; sent < 2'000'000; pieces = 50 - pieces) {
    std::string bytes;
    for (int i = 0; i < pieces; ++i)
      bytes += delta(std::string(200, 'x'));
    if (sent + bytes.size() > (64u << 10) + http->granted[1])
      break; // the transfer would pause here
    sent += bytes.size();
    http->send(0, bytes);
    run();
  }
  CHECK(sent < 400'000);
  stream.cancel();
  run();
}

TEST_CASE_METHOD(text_stream_test, "a host that cancels stops a provider that would be drained",
                 "[actors][text_stream]") {
  settings.stream.on_disconnect = disconnect_policy::drain;
  auto other = spawn();
  auto stream = stream_text(system(), other, question(9), watched());
  run();
  http->stream(0, delta("a"));
  run();
  stream.cancel();
  run();
  CHECK(http->cancelled.size() == 1);
  CHECK(status(other).in_flight == 0);
  CHECK(ends.size() == 1);
}

} // namespace modelforge::text_stream_test
