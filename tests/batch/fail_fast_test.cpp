#include "batch/fail_fast.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace modelforge::fail_fast_test {

using batch::fail_fast;

namespace {

failure of(errc code, const std::string& message = "no") {
  auto why = make_failure(code, message);
  why.http_status = code == errc::invalid_request ? 0 : 403;
  return why;
}

/// How many such failures in a row it takes; 0: any number.
uint32_t needed(fail_fast x, const failure& why, bool names_model = true) {
  for (uint32_t n = 1; n < 100; ++n) {
    if (!x.may_be_all(why, names_model))
      return 0;
    if (x.on_doubt(why))
      return n;
  }
  return 0;
}

} // namespace

TEST_CASE("what no item can be to blame for is enough three times in a row", "[batch][fail_fast]") {
  struct row {
    errc code;
    bool at_first; ///< Whether it counts while nothing has been answered.
    bool later;
  };
  for (auto [code, at_first, later] :
       {row{errc::authentication, true, true}, row{errc::quota_exhausted, true, true},
        row{errc::permission, true, false}, row{errc::not_found, true, false}, row{errc::configuration, true, false},
        row{errc::invalid_request, false, false}, row{errc::content_filtered, false, false},
        row{errc::context_length, false, false}, row{errc::overloaded, false, false},
        row{errc::connect_failed, false, false}, row{errc::rate_limited, false, false}}) {
    INFO(to_string(code));
    CHECK(needed(fail_fast{false}, of(code)) == (at_first ? 3 : 0));
    CHECK(needed(fail_fast{true}, of(code)) == 0);
    fail_fast answered{false};
    answered.on_answer();
    CHECK(needed(answered, of(code)) == (later ? 3 : 0));
  }
  CHECK(needed(fail_fast{false}, of(errc::invalid_request), false) == 3); // no model is named
}

TEST_CASE("only what says the same adds up", "[batch][fail_fast]") {
  fail_fast x{false};
  auto missing = of(errc::not_found, "no model a");
  CHECK_FALSE(x.on_doubt(missing));
  CHECK(x.says_the_same(missing));
  auto other = of(errc::not_found, "no model b");
  CHECK_FALSE(x.says_the_same(other));
  CHECK_FALSE(x.on_doubt(other));
  CHECK_FALSE(x.on_doubt(other));
  SECTION("an answer, and a failure of an item's own, begin anew") {
    x.on_own_failure();
    CHECK_FALSE(x.says_the_same(other));
    CHECK(needed(x, other) == 3);
    x.on_answer();
    CHECK(needed(x, of(errc::authentication)) == 3);
  }
  SECTION("a refused key is one, whatever words come with it") {
    CHECK_FALSE(x.on_doubt(of(errc::authentication, "no such key")));
    CHECK_FALSE(x.on_doubt(of(errc::authentication, "all keys have been refused")));
    CHECK(x.on_doubt(of(errc::authentication, "no such key")));
    CHECK(x.reason().code == errc::authentication);
    CHECK(x.reason().message.ends_with(": no such key")); // the first one's words
    CHECK(x.reason().suggestion.find("--keep-going") != std::string::npos);
  }
}

} // namespace modelforge::fail_fast_test
