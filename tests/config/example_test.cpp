#include "config/schema.hpp"
#include "support.hpp"
#include "tests/support/pace.hpp"
#include "tests/support/places.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <time.h>

#include <chrono>
#include <fstream>
#include <random>
#include <sstream>

namespace modelforge::example_test {

using namespace modelforge::test;

namespace {

const auto env = variables(
  {{"OPENAI_API_KEY", "a-key-of-the-test"}, {"ANTHROPIC_API_KEY_RESEARCH", "another"}, {"TEAM_TOKEN", "a-third"}});

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr bool slow = true;
#else
constexpr bool slow = false;
#endif

/// The CPU time of this thread, so that others who keep the machine busy do not count.
std::chrono::nanoseconds thread_time() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    result.push_back(line);
  return result;
}

bool is_sample(const std::string& line) {
  return line.size() > 1 && line[0] == '#' && line[1] != ' ';
}

/// The example with its samples put to use.
std::string with_samples() {
  std::string result;
  for (const auto& line : lines_of(example_toml()))
    result += (is_sample(line) ? line.substr(1) : line) + '\n';
  return result;
}

/// The words of a table's header in the form of the schema: "providers.NAME.retry".
std::string schema_path(const std::string& header) {
  auto name = header.substr(1, header.rfind(']') - 1);
  for (std::string_view user : {"main", "local", "team"})
    if (auto pos = name.find("providers." + std::string{user}); pos != std::string::npos)
      name.replace(pos + 10, user.size(), "NAME");
  if (auto pos = name.find('"'); pos != std::string::npos)
    name = name.substr(0, pos) + "\"PATTERN\"";
  return name;
}

/// What the comment above each key says, by "TABLE/KEY". A key that is a table stands in its header.
std::map<std::string, std::string> comments() {
  std::map<std::string, std::string> result;
  std::string comment, table;
  for (const auto& line : lines_of(with_samples())) {
    if (line.starts_with("# ")) {
      comment += line.substr(1);
      continue;
    }
    if (line.starts_with('[')) {
      table = schema_path(line);
      auto path = table.substr(table.starts_with('['), table.find_first_of("]\"") - table.starts_with('['));
      if (path == "providers.NAME")
        path = "providers";
      if (path.ends_with('.'))
        path.pop_back();
      auto dot = path.rfind('.');
      result.emplace(dot == std::string::npos ? '/' + path : path.substr(0, dot) + '/' + path.substr(dot + 1), comment);
    } else if (auto end = line.find(" ="); end != std::string::npos) {
      result.emplace(table + '/' + line.substr(0, end), comment);
    }
    comment.clear();
  }
  return result;
}

} // namespace

TEST_CASE("the example is what the program prints", "[config]") {
  std::ifstream file{source_path("config/example.toml"), std::ios::binary};
  std::ostringstream content;
  content << file.rdbuf();
  REQUIRE_FALSE(content.str().empty());
  CHECK(example_toml() == content.str());
}

TEST_CASE("the example says the defaults", "[config]") {
  auto result = parse(example_toml(), "example.toml", env);
  INFO(text_of(result));
  REQUIRE(result.value);
  CHECK(result.diagnostics.empty());
  settings expected;
  expected.providers.emplace_back();
  expected.providers[0].name = "main";
  expected.providers[0].keys = {{"key1", "OPENAI_API_KEY", ""}};
  CHECK(*result.value == expected);
}

TEST_CASE("the example explains every key in the words of the schema", "[config]") {
  auto found = comments();
  for (const auto* table : schema::tables())
    for (const auto& key : table->keys) {
      auto name = std::string{table->path} + '/' + std::string{key.name};
      CAPTURE(name);
      REQUIRE(found.count(name) == 1);
      if (!(name == "[providers.NAME.keys]/api_key_env" || name == "[providers.NAME.keys]/api_key_file"))
        CHECK_THAT(found[name], Catch::Matchers::ContainsSubstring(std::string{key.doc}));
    }
}

TEST_CASE("the example's samples load", "[config]") {
  auto result = parse(with_samples(), "example.toml", env);
  INFO(text_of(result));
  REQUIRE(result.value);
  REQUIRE(result.value->providers.size() == 3);
  const auto& main = result.value->providers[0];
  CHECK(main.rate_limit.requests_per_minute == 500);
  CHECK(main.headers.size() == 2);
  CHECK(main.models.size() == 1);
  CHECK(result.value->providers[2].keys.size() == 2);
}

TEST_CASE("settings print as TOML that loads to the same settings", "[config]") {
  for (const auto& text : {example_toml(), with_samples(), std::string{}}) {
    auto first = parse(text, "first", env);
    REQUIRE(first.value);
    auto second = parse(to_toml(*first.value), "second", env);
    INFO(to_toml(*first.value) << text_of(second));
    REQUIRE(second.value);
    CHECK(*second.value == *first.value);
  }
}

TEST_CASE("settings with random values print as TOML that loads to the same settings", "[config]") {
  std::mt19937_64 random{7};
  auto draw = [&](double least, double most) { return std::uniform_real_distribution<>{least, most}(random); };
  for (int round = 0; round < 200; ++round) {
    settings x;
    x.providers.resize(2);
    x.providers[0].name = "one";
    x.providers[1].name = "two";
    x.providers[1].headers = {{"X-Quote", "\"\\ é #", ""}, {"X-Env", "", "OPENAI_API_KEY"}};
    x.providers[1].models.resize(1);
    x.providers[1].models[0].pattern = "a.\"b\"?";
    schema::for_each_value(x, [&](const std::string&, const schema::key_rule& key, const schema::slot& value) {
      auto most = std::min(key.max, 1e15);
      auto least = std::max(key.min, -1e15);
      if (auto* to = std::get_if<duration*>(&value))
        **to = duration{std::llround(draw(least, most) * 1e9)};
      else if (auto* number = std::get_if<double*>(&value))
        **number = draw(least, most);
      else if (auto* big = std::get_if<uint64_t*>(&value))
        **big = static_cast<uint64_t>(draw(least, most));
      else if (auto* optional = std::get_if<std::optional<uint64_t>*>(&value))
        **optional = static_cast<uint64_t>(draw(least, most));
      else if (auto* fraction = std::get_if<std::optional<double>*>(&value))
        **fraction = draw(least, most);
      else if (auto* any = std::get_if<std::optional<int64_t>*>(&value))
        **any = static_cast<int64_t>(random());
      else if (auto* seed = std::get_if<int64_t*>(&value))
        **seed = static_cast<int64_t>(random());
      else if (auto* choice = std::get_if<schema::enum_slot>(&value); choice && key.name != "kind")
        *choice->value = static_cast<unsigned char>(random() % choice->names.size());
    });
    for (auto& y : x.providers) { // whatever the cross checks would refuse
      y.interactive_slots = 0;
      y.retry.base_wait = std::chrono::milliseconds{1};
      y.rate_limit.window = std::chrono::hours{1};
      y.rate_limit.requests_per_minute = 600;
      for (auto& model : y.models)
        model.rate_limit = y.rate_limit;
    }
    x.node.timeout = 2 * x.node.heartbeat;
    auto loaded = parse(to_toml(x), "printed", env);
    INFO(text_of(loaded));
    REQUIRE(loaded.value);
    REQUIRE(*loaded.value == x);
  }
}

TEST_CASE("the example may be cut anywhere: it loads or the fault is told", "[config]") {
  auto text = with_samples();
  for (std::size_t size = 0; size <= text.size(); size += slow ? 13 : 1) {
    auto result = parse(std::string_view{text}.substr(0, size), "cut", env);
    if (!result.value && result.diagnostics.empty())
      FAIL("nothing to say about " << size << " bytes");
  }
}

TEST_CASE("the example may have any byte changed: it loads or the fault is told", "[config]") {
  std::mt19937 random{11};
  for (int round = 0; round < (slow ? 100 : 1000); ++round) {
    auto text = with_samples();
    for (int i = 0; i < 1 + round % 3; ++i)
      text[random() % text.size()] = "\0\n\"'[]{}=.,#\\ \x80\xc3"
                                     "a1"[random() % 19];
    auto result = parse(text, "changed", env);
    std::string shown = text_of(result);
    if (!result.value && result.diagnostics.empty())
      FAIL("nothing to say about round " << round);
  }
}

TEST_CASE("loading and checking the example takes less than 5 ms", "[config]") {
  auto text = example_toml();
  auto best = std::chrono::duration<double, std::milli>::max();
  for (int i = 0; i < 20; ++i) {
    auto start = thread_time();
    REQUIRE(parse(text, "example.toml", env).value);
    best = std::min<decltype(best)>(best, (thread_time() - start) / test::pace());
  }
  INFO("best of 20: " << best.count() << " ms");
  CHECK(best < std::chrono::milliseconds{slow ? 100 : 5});
}

} // namespace modelforge::example_test
