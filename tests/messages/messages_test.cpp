#include "tests/messages/samples.hpp"

#include <caf/deep_to_string.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <map>
#include <set>
#include <type_traits>

namespace modelforge::messages_test {

using namespace modelforge::test;

namespace {

/// An inspector that writes down each field's name and text.
struct field_texts {
  std::map<std::string, std::string> texts;

  template <class T>
  field_texts& object(T&) {
    return *this;
  }

  template <class T>
  bool field(std::string_view name, T& x) {
    return texts.emplace(name, caf::deep_to_string(x)).second;
  }

  template <class... Fields>
  bool fields(Fields... x) {
    return (x && ...);
  }
};

/// Checks that no field of the sample has its default, so that a field which is not inspected cannot hide.
template <class T>
void check_sample(T x) {
  T unset;
  field_texts ours, defaults;
  REQUIRE(inspect(ours, x));
  REQUIRE(inspect(defaults, unset));
  for (auto& [name, text] : ours.texts) {
    CAPTURE(name);
    CHECK(text != defaults.texts[name]);
  }
}

template <auto Last>
struct last_value {
  static constexpr auto value = Last;
};

} // namespace

TEST_CASE("samples set every field", "[messages]") {
  for_each_sample([](const std::string& name, const auto& x) {
    CAPTURE(name);
    if constexpr (std::is_class_v<std::decay_t<decltype(x)>>)
      check_sample(x);
    else
      CHECK(x != std::decay_t<decltype(x)>{});
  });
  check_sample(sample_usage());
  check_sample(sample_timings());
  check_sample(sample_sampling());
  check_sample(sample_format());
  check_sample(sample_tool());
  check_sample(sample_choice());
}

TEST_CASE("there is a sample for each type of the id block", "[messages]") {
  std::set<std::string> sampled;
  for_each_sample([&](const std::string& name, const auto&) { sampled.insert(name); });
  for (auto id = caf::id_block::modelforge::begin; id < caf::id_block::modelforge::end; ++id) {
    auto name = name_of_type(id);
    CAPTURE(name);
    CHECK((name.ends_with("_atom") || sampled.count(name) == 1));
  }
}

TEST_CASE("every message survives the way over the wire", "[messages]") {
  for_each_sample([]<class T>(const std::string& name, const T& x) {
    CAPTURE(name);
    auto bytes = to_bytes(x);
    REQUIRE_FALSE(bytes.empty());
    T back{};
    CHECK(from_bytes(bytes, back));
    CHECK(back == x);
    T unset{};
    CHECK(from_bytes(to_bytes(T{}), unset));
    CHECK(unset == T{});
  });
}

TEST_CASE("bytes that are cut fail to load", "[messages]") {
  for_each_sample([]<class T>(const std::string& name, const T& x) {
    CAPTURE(name);
    auto bytes = to_bytes(x);
    while (!bytes.empty()) {
      bytes.pop_back();
      T back{};
      REQUIRE_FALSE(from_bytes(bytes, back));
    }
  });
}

TEMPLATE_TEST_CASE("every enum value has a name, and the name is the value's", "[messages]",
                   last_value<errc::wrong_format>, last_value<role::tool>, last_value<priority::batch>,
                   last_value<response_kind::json_schema>, last_value<tool_mode::named>,
                   last_value<wait_reason::breaker>, last_value<finish_reason::paused>,
                   last_value<answer_flaw::unclear>, last_value<batch_job_state::cancelled>,
                   last_value<batch_job_start::attach>, last_value<batch_job_outcome::undecided>) {
  using type = std::decay_t<decltype(TestType::value)>;
  auto count = enum_names<type>.size();
  CHECK(count == static_cast<std::size_t>(TestType::value) + 1);
  CHECK(std::set<std::string_view>(enum_names<type>.begin(), enum_names<type>.end()).size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    auto x = static_cast<type>(i);
    type back = TestType::value;
    CHECK(from_string(to_string(x), back));
    CHECK(back == x);
    CHECK(caf::deep_to_string(x).find(to_string(x)) != std::string::npos);
    CHECK(to_bytes(x).size() == 1);
  }
  auto x = TestType::value;
  CHECK_FALSE(from_string("no such name", x));
  CHECK_FALSE(from_string("", x));
  CHECK_FALSE(from_bytes({static_cast<caf::byte_buffer::value_type>(count)}, x));
  CHECK(x == TestType::value);
  CHECK(to_string(static_cast<type>(255)) == "unknown");
}

TEST_CASE("the last value of each enum has the name we mean", "[messages]") {
  CHECK(to_string(errc::internal) == "internal");
  CHECK(to_string(errc::node_lost) == "node_lost");
  CHECK(to_string(errc::rate_limited) == "rate_limited");
  CHECK(to_string(role::tool) == "tool");
  CHECK(to_string(priority::batch) == "batch");
  CHECK(to_string(response_kind::json_schema) == "json_schema");
  CHECK(to_string(tool_mode::named) == "named");
  CHECK(to_string(wait_reason::breaker) == "breaker");
  CHECK(to_string(finish_reason::paused) == "paused");
}

TEST_CASE("messages can be read by people", "[messages]") {
  auto text = caf::deep_to_string(sample_attempt());
  for (auto* part : {"key2/demo", "breaker", "overloaded", "503"})
    CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("a request id is 32 digits and back", "[messages]") {
  std::mt19937_64 random{1};
  std::set<request_id> seen;
  for (int i = 0; i < 1'000; ++i) {
    auto id = make_request_id(random);
    REQUIRE(id);
    auto text = to_string(id);
    REQUIRE(text.size() == 32);
    request_id back;
    REQUIRE(from_string(text, back));
    REQUIRE(back == id);
    seen.insert(id);
  }
  CHECK(seen.size() == 1'000);
  CHECK(to_string(request_id{0x0123456789abcdef, 0xf}) == "0123456789abcdef000000000000000f");
  CHECK_FALSE(request_id{});
}

TEST_CASE("what is no request id leaves the target alone", "[messages]") {
  auto good = to_string(request_id{1, 2});
  for (auto& text : {std::string{}, good.substr(1), good + "0", "g" + good.substr(1), "-" + good.substr(1),
                     good.substr(0, 31) + " ", "0x" + good.substr(2)}) {
    request_id x{3, 4};
    CAPTURE(text);
    CHECK_FALSE(from_string(text, x));
    CHECK(x == request_id{3, 4});
  }
}

TEST_CASE("a failure is told in one line, with what to do about it below", "[messages]") {
  auto x = sample_failure();
  CHECK(to_string(x)
        == "openai: it broke: sorry [overloaded, HTTP 503, request req_1]\n  retry after: 7 s\n  try again");
  failure bare;
  bare.code = errc::cancelled;
  CHECK(to_string(bare) == "cancelled [cancelled]");
  x.attempts.resize(3);
  CHECK(to_string(x).find("3 attempts") != std::string::npos);
}

} // namespace modelforge::messages_test
