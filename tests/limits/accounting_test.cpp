#include "limits/accounting.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::accounting_test {

using namespace modelforge::limits;

namespace {

constexpr accounting arrival_sum{token_accounting::arrival, output_rule::sum};
constexpr accounting arrival_larger{token_accounting::arrival, output_rule::larger};
constexpr accounting produced{token_accounting::produced};
constexpr accounting input{token_accounting::input};
constexpr accounting none{token_accounting::none};

bool same(const charge& x, const amounts& arriving, const amounts& made) {
  return x.arriving == arriving && x.produced == made;
}

} // namespace

TEST_CASE("an attempt is charged as its provider counts", "[limits][accounting]") {
  CHECK(same(charge_for(arrival_sum, 100, 30), {1, 130, 100, 30}, {}));
  CHECK(same(charge_for(arrival_larger, 100, 30), {1, 100, 100, 30}, {}));
  CHECK(same(charge_for(arrival_larger, 30, 100), {1, 100, 30, 100}, {}));
  CHECK(same(charge_for(arrival_sum, 100, 0), {1, 100, 100, 0}, {}));
  CHECK(same(charge_for(produced, 100, 30), {1, 100, 100, 0}, {0, 30, 0, 30}));
  CHECK(charge_for(produced, 100, 30).total() == amounts{1, 130, 100, 30});
  CHECK(same(charge_for(input, 100, 30), {1, 100, 100, 0}, {}));
  CHECK(same(charge_for(none, 100, 30), {1, 0, 0, 0}, {}));
}

TEST_CASE("a charge is corrected by the usage, and comes back only where it is produced", "[limits][accounting]") {
  struct row {
    const char* why;
    accounting by;
    uint64_t input, output; ///< By the usage; 100 and 50 were reserved.
    amounts arriving, made;
  };
  const row rows[] = {
    {"a short answer", arrival_sum, 100, 1, {1, 150, 100, 50}, {}},
    {"a short prompt", arrival_sum, 10, 1, {1, 150, 100, 50}, {}},
    {"a longer prompt", arrival_sum, 130, 1, {1, 180, 130, 50}, {}},
    {"a longer prompt, where the larger counts", arrival_larger, 130, 1, {1, 130, 130, 50}, {}},
    {"a shorter one, where the larger counts", arrival_larger, 60, 1, {1, 100, 100, 50}, {}},
    {"both shorter", produced, 40, 5, {1, 40, 40, 0}, {0, 5, 0, 5}},
    {"both longer", produced, 140, 500, {1, 140, 140, 0}, {0, 500, 0, 500}},
    {"all from the cache", produced, 0, 5, {1, 0, 0, 0}, {0, 5, 0, 5}},
    {"a shorter prompt, where only prompts count", input, 10, 500, {1, 10, 10, 0}, {}},
    {"a longer prompt, where only prompts count", input, 110, 500, {1, 110, 110, 0}, {}},
    {"nothing counts", none, 10, 500, {1, 0, 0, 0}, {}},
  };
  for (auto& row : rows) {
    INFO(row.why);
    CHECK(same(corrected(row.by, charge_for(row.by, 100, 50), row.input, row.output), row.arriving, row.made));
  }
}

TEST_CASE("a lane's limiter takes corrections in by its accounting", "[limits][accounting]") {
  using std::chrono::seconds;
  for (auto& by : {arrival_sum, arrival_larger, produced, input, none}) {
    rate_limits settings;
    settings.per_minute = {100, 10'000, 10'000, 10'000};
    rate_limiter x{settings};
    time_point now{seconds{1000}};
    auto reserved = charge_for(by, 300, 200);
    for (int i = 0; i < 50; ++i) {
      auto t = x.reserve(reserved, now);
      x.written(t, now);
      now += seconds{1};
      auto real = corrected(by, reserved, 250 + static_cast<uint64_t>(i), 100 + 3 * static_cast<uint64_t>(i));
      x.end(t, now, &real);
    }
    CHECK(x.pending() == amounts{});
    CHECK(x.live(now)[0] == 50);
    CHECK(x.live(now + seconds{61}) == amounts{}); // what came in has gone out again, to the last token
  }
}

} // namespace modelforge::accounting_test
