#include "provider/engine.hpp"
#include "tests/provider/fixture.hpp"
#include "trace/span_json.hpp"

#include <deque>
#include <iterator>

namespace modelforge::traced_test {

// What an engine has for the traces: which requests, in which trace, and what it tells the provider of that.

using namespace test;

namespace {

constexpr auto callers_trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct bench {
  provider::time_point now = start_time;
  provider::engine engine;
  std::deque<provider::send> sent;
  std::vector<log::request_record> ended;

  explicit bench(const provider_settings& settings = acme(), std::optional<double> share = 1.0)
    : engine(prepared(settings), {}, {}, 7, now, {}) {
    engine.accounts().sample(share);
  }

  void run() {
    while (auto step = engine.next(now))
      if (auto* send = std::get_if<provider::send>(&*step))
        sent.push_back(std::move(*send));
    auto news = engine.accounts().collect();
    ended.insert(ended.end(), std::make_move_iterator(news.begin()), std::make_move_iterator(news.end()));
  }

  void ask(chat_request request) {
    static_cast<void>(engine.admit(request, {}, now));
    run();
  }

  void end(const http::response& with) {
    REQUIRE_FALSE(sent.empty());
    engine.on_end(sent.back().attempt, with, nullptr, now);
    run();
  }

  std::string traceparent() const {
    for (auto& header : sent.back().http.headers)
      if (header.name == "traceparent")
        return header.value;
    return {};
  }
};

chat_request traced(std::string trace = callers_trace) {
  auto x = question(1);
  x.trace = std::move(trace);
  return x;
}

std::string with_span(uint64_t span) {
  return "00-4bf92f3577b34da6a3ce929d0e0e4736-" + hex::digits_of(span) + "-01";
}

} // namespace

TEST_CASE("traced: a request that comes without a trace begins one, of which its provider hears nothing",
          "[provider]") {
  bench b;
  b.ask(question(1));
  CHECK(b.traceparent() == "");
  b.end(answer());
  REQUIRE(b.ended.size() == 1);
  auto& trace = b.ended[0].trace;
  REQUIRE(trace);
  CHECK(trace->context.is_sampled());
  CHECK(trace->parent == 0);
  CHECK(trace->vendor == "openai");
  CHECK(trace->url == "http://acme.test/v1/chat/completions");
  CHECK(trace->earlier == 0);
  CHECK(trace::count_spans(b.ended[0]) == 2);
}

TEST_CASE("traced: a caller's trace goes on below the span of each attempt", "[provider]") {
  bench b;
  b.ask(traced());
  auto first = b.traceparent();
  b.end(refusal(503));
  b.now = *b.engine.wake_at(b.now);
  b.run();
  REQUIRE(b.sent.size() == 2);
  auto second = b.traceparent();
  b.end(answer());
  REQUIRE(b.ended.size() == 1);
  auto& trace = *b.ended[0].trace;
  CHECK(trace.parent == 0x00f067aa0ba902b7);
  CHECK(first == with_span(child_span(trace.context.span, 1)));
  CHECK(second == with_span(child_span(trace.context.span, 2)));
}

TEST_CASE("traced: what is not recorded is passed on as it came", "[provider]") {
  std::string unsampled = callers_trace;
  unsampled.back() = '0';
  SECTION("because the caller's trace is not") {
    bench b;
    b.ask(traced(unsampled));
    CHECK(b.traceparent() == unsampled);
    b.end(answer());
    CHECK(b.ended.empty());
  }
  SECTION("because nothing is traced") {
    bench b{acme(), std::nullopt};
    b.ask(traced());
    CHECK(b.traceparent() == callers_trace);
    b.end(answer());
    CHECK(b.ended.empty());
  }
  SECTION("because the request was not drawn") {
    bench b{acme(), 0.0};
    b.ask(question(1));
    b.end(answer());
    CHECK(b.ended.empty());
  }
}

TEST_CASE("traced: the access log has requests that have no spans", "[provider]") {
  bench b{acme(), 0.0};
  b.engine.accounts().keep(true);
  b.ask(question(1));
  b.end(answer());
  REQUIRE(b.ended.size() == 1);
  CHECK_FALSE(b.ended[0].trace);
}

TEST_CASE("traced: a request that is refused has its span, and no attempt", "[provider]") {
  bench b;
  auto x = traced();
  x.deadline = 0s;
  x.earlier.spent = 1;
  x.earlier.records.emplace_back();
  b.ask(x);
  REQUIRE(b.ended.size() == 1);
  CHECK(b.ended[0].outcome == log::request_outcome::refused);
  CHECK(b.ended[0].trace->url == "http://acme.test/v1");
  CHECK(trace::count_spans(b.ended[0]) == 1);
}

TEST_CASE("traced: attempts that others have made are left to them", "[provider]") {
  bench b;
  auto x = traced();
  x.earlier.spent = 2;
  x.earlier.age = 5s;
  for (uint32_t i = 1; i <= 2; ++i)
    x.earlier.records.emplace_back().number = i;
  b.ask(x);
  b.now += 1s;
  b.end(answer());
  REQUIRE(b.ended.size() == 1);
  CHECK(b.ended[0].attempts.size() == 3);
  CHECK(b.ended[0].trace->earlier == 2);
  CHECK(trace::count_spans(b.ended[0]) == 2);
}

TEST_CASE("traced: providers have the names of OpenTelemetry's conventions", "[provider]") {
  auto vendor = [](provider_kind kind, std::string url, server_flavor flavor = server_flavor::automatic) {
    auto x = acme();
    x.kind = kind;
    x.base_url = std::move(url);
    x.flavor = flavor;
    return std::string{prepared(x).vendor};
  };
  using enum provider_kind;
  CHECK(vendor(openai, "") == "openai");
  CHECK(vendor(anthropic, "") == "anthropic");
  CHECK(vendor(gemini, "") == "gcp.gemini");
  CHECK(vendor(ollama, "") == "ollama");
  CHECK(vendor(azure, "https://r.openai.azure.com/openai/v1") == "azure.ai.openai");
  CHECK(vendor(openai_compatible, "https://api.groq.com/openai/v1") == "groq");
  CHECK(vendor(openai_compatible, "https://api.mistral.ai/v1") == "mistral_ai");
  CHECK(vendor(openai_compatible, "https://api.deepseek.com/v1") == "deepseek");
  CHECK(vendor(openai_compatible, "https://openrouter.ai/api/v1") == "openai_compatible");
  CHECK(vendor(openai_compatible, "http://localhost:8000/v1") == "openai_compatible");
  CHECK(vendor(openai_compatible, "http://localhost:8000/v1", server_flavor::groq) == "groq");
  CHECK(vendor(openai_compatible, "http://localhost:8000/v1", server_flavor::vllm) == "openai_compatible");
}

} // namespace modelforge::traced_test
