#include "tests/simulator/client.hpp"
#include "tools/simulator/prompt_cache.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::prompt_cache_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;
using simulator::cache_plan;
using simulator::prompt_cache;
using simulator::prompt_chain;

// Prompt caching: the rules in virtual time, then what each API tells of it.

namespace {

constexpr simulator::clock::time_point start{1000s};

simulator::options keeping(std::chrono::milliseconds ttl, uint32_t machines = 1) {
  simulator::options x;
  x.cache_ttl = ttl;
  x.cache_machines = machines;
  return x;
}

/// A prompt of `words`, one token each, noted as OpenAI's are.
cache_plan steps(std::string_view words, std::string key = {}) {
  prompt_chain chain;
  chain.note_steps(1024, 128);
  chain.add(words);
  cache_plan plan;
  plan.how = cache_plan::rule::automatic;
  plan.least = 1024;
  plan.prefixes = chain.take_prefixes();
  plan.head = chain.head();
  plan.routing_key = std::move(key);
  return plan;
}

/// So many tokens, the same in every call; `other` follows.
std::string words(std::size_t count, std::string_view other = {}) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += " w" + std::string(1, static_cast<char>('a' + i % 26));
  return text.append(other);
}

/// Blocks of 1,000 tokens each, named by letters; `marks`: the indices of breakpoints, those above 99 for an hour.
cache_plan blocks(std::string_view names, std::vector<std::size_t> marks) {
  prompt_chain chain;
  for (auto name : names) {
    chain.add_unit(static_cast<uint64_t>(name), 1'000);
    chain.end_block();
  }
  cache_plan plan;
  plan.how = cache_plan::rule::breakpoints;
  plan.least = 1'500;
  plan.prefixes = chain.take_prefixes();
  for (auto mark : marks)
    plan.breakpoints.push_back({mark % 100, mark > 99});
  return plan;
}

/// Looks up, and stores what the answer makes readable.
simulator::cache_use use(prompt_cache& cache, const cache_plan& plan, simulator::clock::time_point now = start) {
  auto found = cache.look_up(plan, now);
  cache.store(found.keep, now);
  return found.use;
}

std::string message(std::string_view blocks, std::string_view more = "{}") {
  return merged(R"({"model": "claude-sim", "max_tokens": 20, "messages": [{"role": "user", "content": "And now?"}],
    "system": )" + std::string(blocks)
                  + "}",
                more);
}

std::string block(std::string_view text, std::string_view mark = {}) {
  return R"({"type": "text", "text": ")" + std::string(text) + "\"" + std::string(mark) + "}";
}

constexpr auto marked = R"(, "cache_control": {"type": "ephemeral"})";
constexpr auto marked_long = R"(, "cache_control": {"type": "ephemeral", "ttl": "1h"})";
constexpr auto version = "anthropic-version: 2023-06-01\r\n";

} // namespace

TEST_CASE("automatic caching reads the longest same beginning, in steps", "[simulator][cache]") {
  prompt_cache cache(keeping(300s));
  auto first = use(cache, steps(words(2'000)));
  CHECK(first.read == 0);
  CHECK(first.written == 1'920); // 1,024 and seven times 128
  struct row {
    std::string prompt;
    uint32_t read, written;
  };
  for (const auto& [prompt, read, written] :
       {row{words(2'000), 1'920, 0}, row{words(1'500, " other") + words(2'000), 1'408, 2'048},
        row{"other" + words(2'000), 0, 1'920}, row{words(1'024), 1'024, 0}, row{words(1'023), 0, 0}}) {
    INFO(prompt.size());
    auto copy = cache;
    auto x = use(copy, steps(prompt));
    CHECK(x.read == read);
    CHECK(x.written == written);
  }
}

TEST_CASE("a prefix is readable once its answer has begun, and as long as it is read", "[simulator][cache]") {
  prompt_cache cache(keeping(300s));
  const auto plan = steps(words(1'024));
  auto found = cache.look_up(plan, start);
  CHECK(cache.look_up(plan, start + 1s).use.read == 0); // no answer yet
  cache.store(found.keep, start + 2s);
  CHECK(cache.look_up(plan, start + 301s).use.read == 1'024);
  CHECK(cache.look_up(plan, start + 600s).use.read == 1'024); // the last look has kept it
  CHECK(cache.look_up(plan, start + 900s).use.read == 0);
  cache.configure(keeping(0s));
  CHECK(use(cache, plan).written == 0);
}

TEST_CASE("a key keeps requests on one machine while it is not busy", "[simulator][cache]") {
  prompt_cache cache(keeping(300s, 3));
  const auto plain = steps(words(1'024));
  CHECK(use(cache, plain).read == 0);
  CHECK(use(cache, plain).read == 0);
  CHECK(use(cache, plain).read == 0);
  CHECK(use(cache, plain).read == 1'024); // the first machine's turn again
  const auto keyed = steps(words(1'024, " more"), "team");
  prompt_cache other(keeping(300s, 3));
  int misses = 0;
  for (int i = 0; i < 30; ++i)
    misses += use(other, keyed).read == 0;
  CHECK(misses == 2); // beyond 15 a minute another machine helps
}

TEST_CASE("breakpoints write and read blocks before them, up to twenty back", "[simulator][cache]") {
  prompt_cache cache(keeping(300s));
  auto first = use(cache, blocks("abcd", {1, 3}));
  CHECK(first.read == 0);
  CHECK(first.written == 4'000);
  CHECK(use(cache, blocks("abcd", {3})).read == 4'000);
  CHECK(use(cache, blocks("abcdef", {5})).read == 4'000); // one that was kept lies within the look-back
  auto grown = use(cache, blocks("abcdefgh", {7}));
  CHECK(grown.read == 6'000);
  CHECK(grown.written == 2'000);
  CHECK(use(cache, blocks("abXd", {3})).read == 2'000); // the other breakpoint still holds
  CHECK(use(cache, blocks("Xbcd", {3})).read == 0);
  CHECK(use(cache, blocks("a", {0})).written == 0); // too short
  const std::string many = "ab" + std::string(18, 'x'), more = "ab" + std::string(19, 'x');
  CHECK(use(cache, blocks(many + "y", {20})).read == 2'000);
  prompt_cache fresh(keeping(300s));
  use(fresh, blocks("ab", {1}));
  CHECK(use(fresh, blocks(more + "y", {21})).read == 0); // the twenty-first block back
}

TEST_CASE("what is kept for an hour outlives the rest", "[simulator][cache]") {
  prompt_cache cache(keeping(300s));
  auto first = use(cache, blocks("abcd", {101, 3}));
  CHECK(first.written_long == 2'000);
  CHECK(first.written == 2'000);
  auto later = use(cache, blocks("abcd", {101, 3}), start + 400s);
  CHECK(later.read == 2'000);
  CHECK(later.written == 2'000);
  CHECK(use(cache, blocks("abcd", {101, 3}), start + 400s + 3'600s).read == 0);
}

TEST_CASE("OpenAI's usage tells what was cached", "[simulator][cache]") {
  simulator::options settings;
  settings.tokens_per_minute = 6'000;
  simulator::server server(settings);
  const auto tools = R"({"tools": [{"type": "function", "function": {"name": "f", "description": ")"
                     + std::string(3'600, 'd') + R"("}}]})";
  const auto prompt = words(1'200);
  auto usage = [&](std::string_view text, std::string_view more = "{}") {
    return chat(server.port(), ask(text, more)).parsed()["usage"]["prompt_tokens_details"];
  };
  CHECK(usage(prompt)["cache_write_tokens"] == 1'152);
  CHECK(usage(prompt)["cached_tokens"] == 1'152);
  CHECK(usage(prompt + " other", R"({"model": "another"})")["cached_tokens"] == 0);
  CHECK(server.snapshot().cached_tokens == 1'152);
  CHECK(server.snapshot().charged_tokens > 3'600); // cached ones count
  CHECK(usage("Hello", tools)["cached_tokens"] == 0);
  CHECK(chat(server.port(), ask("Bye", tools)).status == 429);
  server.configure({});
  CHECK(usage("Bye", tools)["cached_tokens"] == 1'152); // tools come first
  auto response = [&] {
    auto body = json{{"model", "sim-mini"}, {"instructions", prompt}, {"input", "Hello"}}.dump();
    return fetch(server.port(), "POST", "/v1/responses", body).parsed()["usage"]["input_tokens_details"];
  };
  CHECK(response()["cached_tokens"] == 0);
  CHECK(response()["cached_tokens"] == 1'152);
}

TEST_CASE("Anthropic's usage tells what was cached, and limits leave it out", "[simulator][cache]") {
  simulator::options settings;
  settings.tokens_per_minute = 5'000;
  settings.accounting = simulator::token_accounting::input;
  simulator::server server(settings);
  const auto stable = "[" + block(words(1'200), marked_long) + "," + block(words(900), marked) + "]";
  auto usage = [&](std::string_view body) {
    auto answer = fetch(server.port(), "POST", "/v1/messages", body, version);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return answer.parsed()["usage"];
  };
  auto first = usage(message(stable));
  CHECK(first["cache_read_input_tokens"] == 0);
  CHECK(first["cache_creation_input_tokens"] == 2'100);
  CHECK(first["cache_creation"] == json{{"ephemeral_1h_input_tokens", 1'200}, {"ephemeral_5m_input_tokens", 900}});
  CHECK(first["input_tokens"] < 20);
  for (int i = 0; i < 10; ++i) // far more than the limit, were they counted
    CHECK(usage(message(stable))["cache_read_input_tokens"] == 2'100);
  CHECK(server.snapshot().cached_tokens == 21'000);
  CHECK(server.snapshot().cache_written_tokens == 2'100);
  CHECK(server.snapshot().charged_tokens < 2'500);
  server.configure({});
  auto unmarked = usage(message("[" + block(words(1'200)) + "]"));
  CHECK(unmarked["cache_creation_input_tokens"] == 0); // nothing by itself
  auto by_itself = message("[" + block(words(1'300)) + "]", R"({"cache_control": {"type": "ephemeral"}})");
  CHECK(usage(by_itself)["cache_creation_input_tokens"] > 1'300);
  CHECK(usage(by_itself)["cache_read_input_tokens"] > 1'300);
  CHECK(usage(merged(by_itself, R"({"thinking": {"type": "adaptive"}})"))["cache_read_input_tokens"] == 0);
  auto short_one = message("[" + block(words(1'000), marked) + "]");
  CHECK(usage(short_one)["cache_creation_input_tokens"] == 0); // below this model's 1,024
  CHECK(usage(merged(short_one, R"({"model": "claude-opus-5"})"))["cache_creation_input_tokens"] == 1'000);
}

TEST_CASE("Gemini's usage tells what was cached", "[simulator][cache]") {
  simulator::server server({});
  auto cached = [&](const char* model) {
    auto body = json{{"contents", {{{"parts", {{{"text", words(4'200)}}}}}}}}.dump();
    auto path = "/v1beta/models/" + std::string(model) + ":generateContent";
    return fetch(server.port(), "POST", path, body).parsed()["usageMetadata"].value("cachedContentTokenCount", 0);
  };
  CHECK(cached("gemini-2.5-flash") == 0);
  CHECK(cached("gemini-2.5-flash") == 4'096);
  CHECK(cached("gemini-3-pro") == 0);
  CHECK(cached("gemini-3-pro") == 4'096);
}

TEST_CASE("a prompt whose answer fails is not cached", "[simulator][cache]") {
  simulator::server server(always_with("503"));
  CHECK(chat(server.port(), ask(words(1'200))).status == 503);
  server.configure({});
  auto x = chat(server.port(), ask(words(1'200))).parsed();
  CHECK(x["usage"]["prompt_tokens_details"]["cached_tokens"] == 0);
  CHECK(fetch(server.port(), "POST", "/__simulator/configure", R"({"cache_min_tokens": 64, "cache_ttl": 60})").status
        == 200);
  CHECK(chat(server.port(), ask(words(100))).status == 200);
  auto y = chat(server.port(), ask(words(100))).parsed();
  CHECK(y["usage"]["prompt_tokens_details"]["cached_tokens"] == 64);
  CHECK(fetch(server.port(), "POST", "/__simulator/configure", R"({"cache_machines": 0})").status == 400);
}

} // namespace modelforge::prompt_cache_test
