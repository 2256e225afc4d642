#include "batch/job_book.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::job_book_test {

using batch::job_book;

namespace {

batch::job_draft draft(std::vector<uint64_t> items) {
  batch::job_draft x;
  for (auto item : items) {
    chat_request request;
    request.model = "m";
    x.requests.push_back({item, std::move(request)});
    x.items.emplace(item, batch::job_item{"id-" + std::to_string(item), 1});
  }
  return x;
}

} // namespace

TEST_CASE("a new job has its items in ranges, and knows which jobs are others", "[batch][job_book]") {
  job_book x;
  auto first = x.begin("n1", draft({3, 4, 5, 9}), "one", 77);
  auto* job = x.find("n1");
  REQUIRE(job != nullptr);
  CHECK(job->entry.items == std::vector<std::pair<uint64_t, uint64_t>>{{3, 5}, {9, 9}});
  CHECK(job->entry.provider == "one");
  CHECK(job->entry.at == 77);
  CHECK(first.start == batch_job_start::create);
  CHECK(first.model == "m");
  CHECK(first.items.size() == 4);
  CHECK(first.others.empty());
  CHECK(x.open() == 0);
  CHECK(x.learn_id(*job, "j1"));
  CHECK_FALSE(x.learn_id(*job, "j1"));
  CHECK(x.open() == 1);
  CHECK(x.begin("n2", draft({6}), "one", 78).others == std::vector<std::string>{"j1"});
  CHECK(x.end("n1").items.size() == 4);
  CHECK(x.find("n1") == nullptr);
  CHECK(x.begin("n3", draft({7}), "one", 79).others == std::vector<std::string>{"j1"});
}

TEST_CASE("jobs of an earlier run are looked for, or attached to, with the items that have no result",
          "[batch][job_book]") {
  test::temporary_folder folder;
  auto path = folder.path("out.ledger");
  auto file = batch::open_ledger_file(path);
  auto opened = batch::ledger::open(std::move(std::get<0>(file)), path, {1000, 7, "in"});
  auto& known = *std::get<0>(opened);
  REQUIRE_FALSE(known.note(batch::ledger_job{"n0", "one", "m", 4, {{0, 3}}, {}}));
  REQUIRE_FALSE(known.note(batch::job_named{"n0", "j0"}));
  REQUIRE_FALSE(known.note(batch::job_ended{"n0", "finished"}));
  REQUIRE_FALSE(known.note(batch::ledger_job{"n1", "one", "m", 5, {{0, 3}}, {}}));
  REQUIRE_FALSE(known.add({1, false, 1, {}, {}, "one", "{}"}));
  REQUIRE_FALSE(known.note(batch::ledger_job{"n2", "two", "m", 6, {{4, 4}, {8, 9}}, {}}));
  REQUIRE_FALSE(known.note(batch::job_named{"n2", "j2"}));
  REQUIRE_FALSE(known.sync());
  job_book x;
  x.load(known);
  x.recover(1, {"id-1", 1}); // has failed there
  x.recover(2, {"id-2", 1});
  x.recover(8, {"id-8", 1});
  x.recover(6, {"id-6", 1}); // in none
  x.end_recovery();
  auto* sought = x.find("n1");
  auto* attached = x.find("n2");
  REQUIRE((sought != nullptr && attached != nullptr));
  CHECK((sought->items.size() == 1 && sought->items.contains(2)));
  CHECK((attached->items.size() == 1 && attached->items.at(8).custom_id == "id-8"));
  auto find = x.resume(*sought);
  CHECK(find.start == batch_job_start::find);
  CHECK(find.not_before == 5);
  CHECK(find.others == std::vector<std::string>{"j0", "j2"});
  auto attach = x.resume(*attached);
  CHECK(attach.start == batch_job_start::attach);
  CHECK(attach.job == "j2");
  CHECK(attach.others == std::vector<std::string>{"j0"});
}

} // namespace modelforge::job_book_test
