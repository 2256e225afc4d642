#include "batch/job_builder.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::job_builder_test {

using namespace std::chrono_literals;
using batch::job_builder;
using batch::provider_pool;

namespace {

const batch::time_point now{100h};

provider_pool one_provider(std::size_t max_jobs = 10) {
  return provider_pool{{{}}, {30s, max_jobs}};
}

void add(job_builder& to, const std::string& model, uint64_t index, const std::string& prompt = "hello") {
  auto* draft = to.find(model);
  if (draft == nullptr)
    draft = &to.begin(model, 0);
  chat_request request;
  request.model = model;
  request.messages.push_back(text_message(role::user, prompt));
  to.add(*draft, index, {"id-" + std::to_string(index), 1}, std::move(request));
}

} // namespace

TEST_CASE("a job has as many items as it may, and the rest at the end of the input", "[batch][job_builder]") {
  auto pool = one_provider();
  job_builder x{3, 1'000'000};
  for (uint64_t i = 0; i < 3; ++i) {
    CHECK_FALSE(x.take_next(pool, now, false));
    add(x, "m", i);
  }
  auto full = x.take_next(pool, now, false);
  REQUIRE(full);
  CHECK(full->items.size() == 3);
  CHECK(full->requests.size() == 3);
  CHECK(full->items.at(2).custom_id == "id-2");
  CHECK(x.empty());
  add(x, "m", 3);
  CHECK_FALSE(x.take_next(pool, now, false));
  auto rest = x.take_next(pool, now, true);
  REQUIRE(rest);
  CHECK(rest->items.contains(3));
  CHECK_FALSE(x.take_next(pool, now, true));
}

TEST_CASE("large prompts fill a job with few items", "[batch][job_builder]") {
  auto pool = one_provider();
  job_builder x{100, 10'000};
  add(x, "m", 0, std::string(4'000, 'x'));
  CHECK_FALSE(x.take_next(pool, now, false));
  add(x, "m", 1, std::string(6'000, 'x'));
  CHECK(x.take_next(pool, now, false)->items.size() == 2);
}

TEST_CASE("many models share the items in memory: the largest job goes", "[batch][job_builder]") {
  auto pool = one_provider();
  job_builder x{4, 1'000'000};
  add(x, "a", 0);
  add(x, "b", 1);
  add(x, "b", 2);
  CHECK_FALSE(x.take_next(pool, now, false));
  add(x, "c", 3);
  CHECK(x.items() == 4);
  CHECK(x.is_blocked(pool, now));
  auto largest = x.take_next(pool, now, false);
  REQUIRE(largest);
  CHECK(largest->requests.front().request.model == "b");
  CHECK_FALSE(x.is_blocked(pool, now));
  CHECK_FALSE(x.take_next(pool, now, false));
}

TEST_CASE("a full job whose provider takes none now waits, and nothing more is added", "[batch][job_builder]") {
  auto pool = one_provider(1);
  pool.on_job_begun(0);
  job_builder x{2, 1'000'000};
  add(x, "m", 0);
  CHECK_FALSE(x.is_blocked(pool, now));
  add(x, "m", 1);
  CHECK(x.is_blocked(pool, now));
  CHECK_FALSE(x.take_next(pool, now, true));
  pool.on_job_gone(0);
  CHECK_FALSE(x.empty());
  CHECK(x.take_next(pool, now, false));
}

TEST_CASE("what was put together for a provider is taken apart", "[batch][job_builder]") {
  auto pool = one_provider();
  job_builder x{10, 1'000'000};
  add(x, "a", 5);
  add(x, "b", 2);
  CHECK(x.take_apart(1).empty());
  CHECK(x.take_apart(0) == std::vector<uint64_t>{5, 2});
  CHECK(x.empty());
  CHECK(x.items() == 0);
}

} // namespace modelforge::job_builder_test
