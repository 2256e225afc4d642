#include "tools/simulator/batch_jobs.hpp"
#include "tools/simulator/multipart.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::batch_jobs_test {

using namespace modelforge::simulator;
using namespace std::chrono_literals;

namespace {

constexpr auto start = modelforge::simulator::clock::time_point(1h);

using phase = batch_phase;

} // namespace

TEST_CASE("a batch job's phases and items follow its schedule", "[simulator][batch]") {
  auto never = std::optional<std::chrono::milliseconds>();
  struct row {
    std::chrono::milliseconds window;
    bool is_invalid;
    std::optional<std::chrono::milliseconds> cancelled;
    std::chrono::milliseconds now;
    phase wanted;
    std::size_t run; ///< Of 80 items.
  };
  for (const auto& x : {
         row{24h, false, never, 0s, phase::validating, 0},      row{24h, false, never, 999ms, phase::validating, 0},
         row{24h, false, never, 1s, phase::in_progress, 0},     row{24h, false, never, 1050ms, phase::in_progress, 0},
         row{24h, false, never, 3s, phase::in_progress, 20},    row{24h, false, never, 9s, phase::finalizing, 80},
         row{24h, false, never, 10s, phase::completed, 80},     row{24h, false, never, 1h, phase::completed, 80},
         row{10s, false, never, 10s, phase::completed, 80}, // just in time
         row{5s, false, never, 4999ms, phase::in_progress, 39}, row{5s, false, never, 5s, phase::expired, 40},
         row{5s, false, never, 1h, phase::expired, 40},         row{0s, false, never, 0s, phase::expired, 0},
         row{24h, true, never, 999ms, phase::validating, 0},    row{24h, true, never, 1s, phase::failed, 0},
         row{24h, true, never, 1h, phase::failed, 0},           row{24h, false, 3s, 3s, phase::cancelling, 20},
         row{24h, false, 3s, 3999ms, phase::cancelling, 20},    row{24h, false, 3s, 4s, phase::cancelled, 20},
         row{24h, false, 0s, 1h, phase::cancelled, 0},
       }) {
    batch_schedule when{start, 10s, x.window, x.is_invalid, {}};
    if (x.cancelled)
      when.cancelled = start + *x.cancelled;
    INFO(x.window.count() << " " << x.is_invalid << " " << x.now.count());
    CHECK(when.phase(start + x.now) == x.wanted);
    CHECK(when.run_by(start + x.now, 80) == x.run);
    CHECK(is_over(x.wanted) == (start + x.now >= when.end()));
  }
  batch_schedule at_once{start, 0s, 24h, false, {}};
  CHECK(at_once.phase(start) == phase::completed);
  CHECK(at_once.run_by(start, 7) == 7);
}

TEST_CASE("forms are cut at their boundaries and nowhere else", "[simulator][batch]") {
  constexpr auto type = "multipart/form-data; boundary=\"x--y\"";
  constexpr std::string_view good = "--x--y\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
                                    "--x--y\r\ncontent-type: application/jsonl\r\n"
                                    "content-disposition: form-data; name=\"file\"; filename=\"a;b.jsonl\"\r\n\r\n"
                                    "{}\r\n--x-y\r\n\n\r\n--x--y--\r\n";
  auto parts = read_form(type, good);
  REQUIRE(parts);
  REQUIRE(parts->size() == 2);
  CHECK((*parts)[0].name == "purpose");
  CHECK((*parts)[0].filename.empty());
  CHECK((*parts)[0].content == "batch");
  CHECK((*parts)[1].name == "file");
  CHECK((*parts)[1].filename == "a;b.jsonl");
  CHECK((*parts)[1].content == "{}\r\n--x-y\r\n\n");
  for (std::size_t size = 0; size + 4 < good.size(); ++size) // the end of the last boundary is missing
    CHECK_FALSE(read_form(type, good.substr(0, size)));
  CHECK_FALSE(read_form("application/json", good));
  CHECK_FALSE(read_form("multipart/form-data", good));
  CHECK_FALSE(read_form("multipart/form-data; boundary=other", good));
}

} // namespace modelforge::batch_jobs_test
