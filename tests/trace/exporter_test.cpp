#include "tests/support/collected_log.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/otlp_rules.hpp"
#include "trace/exporter.hpp"

#include "config/secret_mask.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <mutex>
#include <string>
#include <vector>

namespace modelforge::exporter_test {

namespace {

using namespace trace;
using namespace std::chrono_literals;
using test::eventually;

/// A collector that answers within `fetch`, or never.
class instant_client : public http::client {
public:
  http::transfer_id fetch(http::request x, std::function<void(http::response)> done) override {
    uint16_t status = 0;
    {
      std::lock_guard lock{mutex_};
      sent_.push_back(std::move(x));
      status = statuses_.size() >= sent_.size() ? statuses_[sent_.size() - 1] : last_status_;
    }
    http::response answer;
    answer.head.status = status;
    if (status != silent)
      done(std::move(answer));
    return 1;
  }

  http::transfer_id open(http::request, std::shared_ptr<http::receiver>) override { return 0; }
  void grant(http::transfer_id, std::size_t) override {}
  void cancel(http::transfer_id) override {}
  void cancel_after(http::transfer_id, std::chrono::nanoseconds) override {}

  static constexpr uint16_t silent = 0;

  explicit instant_client(std::vector<uint16_t> statuses = {}, uint16_t last = 200)
    : statuses_(std::move(statuses)), last_status_(last) {}

  std::vector<http::request> sent() {
    std::lock_guard lock{mutex_};
    return sent_;
  }

private:
  std::mutex mutex_;
  std::vector<uint16_t> statuses_;
  uint16_t last_status_;
  std::vector<http::request> sent_;
};

log::request_record request(uint64_t number) {
  log::request_record x;
  x.id = {0, number};
  x.model = "m";
  x.trace.emplace();
  x.trace->context = {1, 2, number + 1, 1};
  return x;
}

struct bench {
  std::shared_ptr<instant_client> at;
  test::collected_log told;
  std::optional<exporter> is;

  explicit bench(std::vector<uint16_t> statuses = {}, uint16_t last = 200,
                 std::chrono::nanoseconds flush = exporter::max_flush)
    : at(std::make_shared<instant_client>(std::move(statuses), last)) {
    log_options options;
    options.sink = told.sink();
    options.level = log_level::info;
    auto log = std::get<log_handle>(start_log({}, options));
    is.emplace(
      std::move(log), [this] { return at; }, 1, flush);
  }

  /// Until all of them must have been sent.
  void take(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i)
      is->take(request(i));
  }
};

destination somewhere() {
  return {.url = "http://collector.test/v1/traces", .headers = {{"x-key", "open sesame"}}, .from = {.version = "1"}};
}

} // namespace

TEST_CASE("exporter: a full batch is sent at once, the rest at the end", "[trace]") {
  bench b;
  CHECK_FALSE(b.is->share());
  b.is->send_to(somewhere());
  CHECK(b.is->share() == 1.0);
  b.take(outbox::max_batch + 5);
  CHECK(eventually([&] { return b.is->counts().exported == outbox::max_batch; }));
  b.is.reset();
  auto sent = b.at->sent();
  REQUIRE(sent.size() == 2);
  std::size_t spans = 0;
  for (auto& each : sent) {
    CHECK(each.method == "POST");
    CHECK(each.url == "http://collector.test/v1/traces");
    CHECK(each.headers == std::vector<http::header>{{"x-key", "open sesame"}, {"content-type", "application/json"}});
    auto body = nlohmann::json::parse(each.content());
    CHECK(test::otlp_judge::faults_of(body) == std::vector<std::string>{});
    spans += body["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
  }
  CHECK(spans == outbox::max_batch + 5);
  CHECK(b.told.lines().empty());
}

TEST_CASE("exporter: what is sent again is the same, and the log hears of what is lost", "[trace]") {
  bench b{{400, 200}};
  b.is->send_to(somewhere());
  b.take(outbox::max_batch);
  CHECK(eventually([&] { return b.is->counts().failed == outbox::max_batch; }));
  b.take(outbox::max_batch);
  CHECK(eventually([&] { return b.is->counts().exported == outbox::max_batch; }));
  CHECK(b.told.wait_for("traces.exported") == "traces.exported address=http://collector.test/v1/traces");
  b.is.reset();
  CHECK(b.told.lines()
        == std::vector<std::string>{"traces.not_exported address=http://collector.test/v1/traces reason=it answered "
                                    "with HTTP 400",
                                    "traces.exported address=http://collector.test/v1/traces"});
}

TEST_CASE("exporter: the end waits for no collector that is silent", "[trace]") {
  bench b{{}, instant_client::silent, 1ms};
  b.is->send_to(somewhere());
  b.take(outbox::max_batch + 5);
  CHECK(eventually([&] { return b.at->sent().size() == 1; }));
  b.is.reset(); // comes back
  CHECK(b.at->sent().size() == 1);
}

TEST_CASE("exporter: the end tries once more what waits to be sent again", "[trace]") {
  bench b{{}, 503};
  b.is->send_to(somewhere());
  b.take(outbox::max_batch);
  CHECK(eventually([&] { return b.at->sent().size() == 1; }));
  b.is.reset();
  auto sent = b.at->sent();
  REQUIRE(sent.size() >= 2);
  for (auto& each : sent)
    CHECK(each.shared_body == sent[0].shared_body);
}

TEST_CASE("exporter: secrets are masked in what others have said", "[trace]") {
  bench b;
  auto secrets = std::make_shared<secret_mask>();
  secrets->add("SECRET-VALUE");
  b.is->mask(secrets);
  b.is->send_to(somewhere());
  auto x = request(1);
  x.tenant = "SECRET-VALUE";
  x.answered_by = "m SECRET-VALUE";
  x.labels = {{"SECRET-VALUE", "SECRET-VALUE"}};
  x.trace->state = "a=SECRET-VALUE";
  x.trace->url = "http://h/SECRET-VALUE";
  b.is->take(x);
  b.is.reset();
  REQUIRE(b.at->sent().size() == 1);
  CHECK(b.at->sent()[0].content().find("SECRET") == std::string::npos);
  CHECK(b.at->sent()[0].content().find("m ***") != std::string::npos);
}

TEST_CASE("exporter: one that has nowhere to send to makes no thread and no transport", "[trace]") {
  bool made = false;
  exporter none{{},
                [&] {
                  made = true;
                  return std::make_shared<instant_client>();
                },
                1};
  none.send_to({});
  CHECK_FALSE(none.share());
  CHECK_FALSE(made);
}

} // namespace modelforge::exporter_test
