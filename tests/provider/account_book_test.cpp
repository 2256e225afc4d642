#include "provider/account_book.hpp"

#include "tests/provider/engine_bench.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <random>

namespace modelforge::account_book_test {

// What an engine has for the access log, in virtual time: each request once, however it ends.

using namespace test;
using log::request_kind;
using log::request_outcome;

namespace {

struct bench : engine_bench {
  std::vector<log::request_record> ended;

  explicit bench(const provider_settings& settings = acme()) : engine_bench(prepared(settings)) {
    engine.accounts().keep(true);
  }

  void settle() override {
    auto news = engine.accounts().collect();
    ended.insert(ended.end(), std::make_move_iterator(news.begin()), std::make_move_iterator(news.end()));
  }

  const log::request_record& only() const {
    REQUIRE(ended.size() == 1);
    return ended.front();
  }
};

std::chrono::nanoseconds wait_for(const log::request_record& x, wait_reason why) {
  return x.waits[static_cast<std::size_t>(why)];
}

provider_settings priced(uint32_t max_concurrent = 1) {
  auto result = acme();
  result.max_concurrent = max_concurrent;
  result.interactive_slots = 0;
  result.price.input = 10'000;
  result.price.output = 100'000;
  return result;
}

} // namespace

TEST_CASE("account book: an answer's account says who asked, what it took and what it cost", "[provider]") {
  bench b{priced()};
  auto asked = question(1);
  asked.tenant = "team";
  asked.labels = {{"job", "7"}};
  asked.priority = priority::batch;
  b.ask(asked, {.node = "node east"});
  b.now += 2s;
  b.end(answer());
  auto& x = b.only();
  CHECK(x.id == request_id{1, 1});
  CHECK(x.kind == request_kind::batch_item);
  CHECK(x.rank == priority::batch);
  CHECK(x.tenant == "team");
  CHECK(x.labels == std::vector<std::pair<std::string, std::string>>{{"job", "7"}});
  CHECK(x.node == "east");
  CHECK(x.provider == "acme");
  CHECK(x.model == "m");
  CHECK(x.answered_by == "m-1");
  CHECK(x.outcome == request_outcome::answered);
  CHECK(x.code == errc::none);
  CHECK(x.attempts.size() == 1);
  CHECK(x.attempts[0].http_status == 200);
  CHECK(x.duration == 2s);
  CHECK_FALSE(x.first_token);
  REQUIRE(x.usage);
  CHECK(x.usage->input == 100);
  CHECK(x.usage->output == 7);
  CHECK(x.cost == 1.7); // 100 at 0.01, 7 at 0.1
  CHECK(x.finish == finish_reason::stop);
  CHECK(x.flaw == answer_flaw::none);
}

TEST_CASE("account book: nobody's account is kept where nobody wants it", "[provider]") {
  bench b;
  b.engine.accounts().keep(false);
  b.ask();
  CHECK(b.engine.find({1, 1})->account == nullptr);
  b.end(answer());
  auto again = question(2);
  again.model.clear();
  b.ask(again);
  CHECK(b.ended.empty());
}

TEST_CASE("account book: waits are told by their causes", "[provider]") {
  bench b{priced(1)};
  b.ask();
  b.ask();
  b.now += 3s;
  b.end(refusal(500));
  b.end(answer()); // the second one, which has waited for the slot
  REQUIRE(b.ended.size() == 1);
  CHECK(b.ended[0].id == request_id{1, 2});
  CHECK(wait_for(b.ended[0], wait_reason::slot) == 3s);
  auto failed_at = b.now;
  b.wake();
  auto waited = b.now - failed_at;
  b.end(answer());
  REQUIRE(b.ended.size() == 2);
  CHECK(b.ended[1].attempts.size() == 2);
  CHECK(b.ended[1].attempts[0].http_status == 500);
  CHECK(wait_for(b.ended[1], wait_reason::backoff) == waited);
  CHECK(wait_for(b.ended[1], wait_reason::slot) == 0s);
}

TEST_CASE("account book: of very many attempts all are counted, with their waits", "[provider]") {
  auto settings = priced(1);
  settings.retry.max_attempts = 100;
  settings.circuit_breaker.enabled = false;
  bench b{settings};
  auto asked = question(1);
  asked.priority = priority::batch; // waits for the budget of retries
  b.ask(asked);
  auto began = b.now;
  std::size_t made = 0;
  while (b.ended.empty())
    if (b.sent.empty()) {
      b.wake();
    } else {
      ++made;
      b.end(refusal(500));
    }
  auto& x = b.only();
  CHECK(made > provider::requests::max_records);
  CHECK(x.attempts.size() == provider::requests::max_records);
  CHECK(x.attempts.size() + x.more_attempts == made);
  std::chrono::nanoseconds waits{0};
  for (auto wait : x.waits)
    waits += wait;
  CHECK(waits == b.now - began); // the attempts themselves took no time
}

TEST_CASE("account book: what is taken back while it waits has waited, too", "[provider]") {
  bench b{priced(1)};
  b.ask();
  b.ask();
  b.now += 4s;
  b.engine.withdraw({1, 2}, "cancelled by the caller", b.now);
  b.run();
  auto& x = b.only();
  CHECK(x.outcome == request_outcome::cancelled);
  CHECK(x.code == errc::cancelled);
  CHECK(x.attempts.empty());
  CHECK(x.duration == 4s);
  CHECK(wait_for(x, wait_reason::slot) == 4s);
}

TEST_CASE("account book: a deadline ends a request as expired, waiting or in flight", "[provider]") {
  bench b{priced(1)};
  for (uint64_t i = 1; i <= 2; ++i) {
    auto asked = question(i);
    asked.deadline = 5s;
    b.ask(asked);
  }
  b.now += 5s;
  b.run();
  REQUIRE(b.ended.size() == 2);
  std::sort(b.ended.begin(), b.ended.end(), [](auto& x, auto& y) { return x.id < y.id; });
  for (auto& each : b.ended) {
    CHECK(each.outcome == request_outcome::expired);
    CHECK(each.code == errc::deadline_exceeded);
    CHECK(each.duration == 5s);
  }
  CHECK(b.ended[0].attempts.size() == 1);
  CHECK(b.ended[1].attempts.empty());
  CHECK(wait_for(b.ended[1], wait_reason::slot) == 5s);
}

TEST_CASE("account book: refusals of all kinds are told", "[provider]") {
  auto settings = acme();
  settings.default_model.clear();
  bench b{settings};
  b.ask(question(1)); // no model
  auto good = question(2);
  good.model = "m";
  b.ask(good);
  b.ask(good); // the same id
  auto streamed = question(3);
  static_cast<void>(
    b.engine.refuse(make_failure(errc::invalid_request, "the stream has no subscriber"), streamed, {.streamed = true}));
  b.engine.drain();
  auto late = question(4);
  late.model = "m";
  b.ask(late);
  REQUIRE(b.ended.size() == 4);
  const errc codes[] = {errc::invalid_request, errc::duplicate_request, errc::invalid_request, errc::draining};
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(b.ended[i].outcome == request_outcome::refused);
    CHECK(b.ended[i].code == codes[i]);
    CHECK(b.ended[i].provider == "acme");
    CHECK(b.ended[i].id);
  }
  CHECK(b.ended[2].kind == request_kind::stream);
}

TEST_CASE("account book: a stream's account has its first token, and whether it was cut", "[provider]") {
  bench b{priced()};
  b.ask(question(1), {.streamed = true});
  b.now += 5s;
  provider::stream_end end;
  end.outcome = make_failure(errc::connection_lost, "it broke off");
  end.first_token = 2s;
  http::response head;
  head.head.status = 200;
  b.end(head, &end);
  auto& x = b.only();
  CHECK(x.kind == request_kind::stream);
  CHECK(x.outcome == request_outcome::cut);
  CHECK(x.first_token == 2s);
  CHECK(x.attempts.back().http_status == 200);
}

TEST_CASE("account book: a stream that is taken back has its first token, and not that of an earlier attempt",
          "[provider]") {
  bench b{priced()};
  for (auto is_begun : {true, false}) {
    b.ended.clear();
    b.ask(question(++b.asked), {.streamed = true});
    b.now += 1s;
    b.engine.on_begun(b.sent.front().attempt, b.now);
    provider::stream_end end;
    end.outcome = make_failure(errc::connection_lost, "it broke off");
    end.first_token = 1s;
    end.repeatable = true;
    http::response head;
    head.head.status = 200;
    b.end(head, &end);
    b.wake();
    b.now += 1s;
    auto second = b.now;
    if (is_begun)
      b.engine.on_begun(b.sent.front().attempt, b.now);
    b.now += 1s;
    auto accepted = b.engine.find({1, b.asked})->accepted;
    b.engine.withdraw({1, b.asked}, "cancelled by the caller", b.now);
    b.engine.on_lost(b.sent.front().attempt, true, b.now);
    b.sent.clear();
    b.run();
    CHECK(b.only().outcome == request_outcome::cancelled);
    CHECK(b.only().first_token == (is_begun ? std::optional{second - accepted} : std::nullopt));
  }
}

TEST_CASE("account book: callers that end and a provider that ends are told apart", "[provider]") {
  bench b;
  for (int i = 0; i < 3; ++i)
    b.ask();
  b.engine.withdraw({1, 1}, "its caller has ended", b.now, request_outcome::abandoned);
  static_cast<void>(b.engine.withdraw_all("the provider is shutting down", b.now));
  b.run();
  REQUIRE(b.ended.size() == 3);
  CHECK(b.ended[0].outcome == request_outcome::abandoned);
  CHECK(b.ended[1].outcome == request_outcome::stopped);
  CHECK(b.ended[2].outcome == request_outcome::stopped);
}

TEST_CASE("account book: a request for embeddings is told with the one that it is a part of", "[provider]") {
  bench b;
  embedding_request asked;
  asked.id = {1, 1};
  asked.model = "e";
  asked.inputs = {"one"};
  b.ask(asked, {.part_of = {9, 9}});
  auto good = answer();
  good.body = R"({"model":"e-1","data":[{"index":0,"embedding":[1,2]}],"usage":{"prompt_tokens":3}})";
  b.end(good);
  auto& x = b.only();
  CHECK(x.kind == request_kind::embedding);
  CHECK(x.part_of == request_id{9, 9});
  CHECK(x.answered_by == "e-1");
  CHECK(x.usage->input == 3);
  CHECK_FALSE(x.finish);
}

TEST_CASE("account book: what strangers say is bounded", "[provider]") {
  bench b;
  auto asked = question(1);
  asked.tenant = std::string(10'000, 't');
  asked.model = std::string(10'000, 'm');
  for (int i = 0; i < 1'000; ++i)
    asked.labels.emplace("name" + std::to_string(i) + std::string(1'000, 'n'), std::string(1'000, 'v'));
  b.ask(asked);
  b.engine.withdraw({1, 1}, "not wanted", b.now);
  b.run();
  auto& x = b.only();
  CHECK(x.labels.size() == log::request_record::max_labels);
  CHECK(x.more_labels == 1'000 - x.labels.size());
  CHECK(x.bytes() < 40'000);
}

TEST_CASE("account book: whatever happens, each request has one account", "[provider]") {
  auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  auto settings = acme();
  settings.deadline = 20s;
  settings.rate_limit = requests_per_minute(120);
  bench b{settings};
  std::map<request_id, std::size_t> expected;
  for (int i = 0; i < 2'000; ++i) {
    b.now += std::chrono::milliseconds{random() % 400};
    b.run();
    switch (random() % 4) {
      case 0:
      case 1: {
        auto asked = question(1 + random() % 1'000); // some are alive already
        if (random() % 10 == 0)
          asked.deadline = std::chrono::milliseconds{random() % 3'000};
        if (random() % 20 == 0)
          asked.extra = "no JSON";
        ++expected[asked.id];
        b.ask(asked, {.streamed = random() % 3 == 0});
        break;
      }
      case 2:
        b.engine.withdraw({1, 1 + random() % 1'000}, "not wanted", b.now);
        break;
      default:
        if (b.sent.empty())
          break;
        if (b.sent.front().streamed) {
          provider::stream_end end;
          end.repeatable = random() % 2 == 0;
          if (random() % 2 == 0)
            end.outcome = make_failure(errc::connection_lost, "it broke off");
          b.end(random() % 2 == 0 ? answer() : refusal(500), &end);
        } else {
          b.end(random() % 2 == 0 ? answer() : random() % 2 == 0 ? refusal(500) : broken(errc::connection_lost, true));
        }
    }
  }
  static_cast<void>(b.engine.withdraw_all("the provider is shutting down", b.now));
  b.run();
  std::map<request_id, std::size_t> told;
  for (auto& each : b.ended) {
    ++told[each.id];
    CHECK((each.outcome == request_outcome::answered) == (each.code == errc::none));
    std::chrono::nanoseconds waits{0}, work{0};
    for (auto wait : each.waits)
      waits += wait;
    for (auto& made : each.attempts)
      work += made.duration;
    if (each.attempts.size() < provider::requests::max_records)
      CHECK(waits + work <= each.duration);
  }
  CHECK(told == expected);
}

} // namespace modelforge::account_book_test
