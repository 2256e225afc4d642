#include "log/line.hpp"

#include "log/entry.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <limits>

namespace modelforge::log_line_test {

namespace {

using namespace log;
using namespace std::chrono_literals;

constexpr auto moment = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'796'098'255'007}};

log_record record_of(const entry& x) {
  auto& rule = x.rule();
  return {moment, rule.level, rule.name, rule.component, rule.message, x.fields()};
}

std::string text_of(const entry& x) {
  std::string result;
  append_text(result, record_of(x));
  return result;
}

nlohmann::json json_of(const entry& x) {
  std::string result;
  append_json(result, record_of(x));
  CHECK(result.find('\n') == result.size() - 1);
  return nlohmann::json::parse(result);
}

entry opened(std::string_view reason) {
  return entry{event::breaker_opened}
    .with(field::provider, "main")
    .with(field::lane, "key1")
    .with(field::failures, 5u)
    .with(field::wait_seconds, 1500ms)
    .with(field::reason, reason);
}

} // namespace

TEST_CASE("a line for people has time, level, event, component, sentence and fields", "[log]") {
  CHECK(
    text_of(opened("HTTP 503"))
    == "2026-12-01T04:10:55.007Z warning breaker.opened provider: it keeps failing: nothing is sent until a request "
       "tries it again provider=main lane=key1 failures=5 wait_seconds=1.5 reason=\"HTTP 503\"\n");
}

TEST_CASE("a line for machines is one JSON object", "[log]") {
  auto x = json_of(opened("HTTP 503"));
  CHECK(x["time"] == "2026-12-01T04:10:55.007Z");
  CHECK(x["level"] == "warning");
  CHECK(x["event"] == "breaker.opened");
  CHECK(x["component"] == "provider");
  CHECK(x["failures"] == 5);
  CHECK(x["wait_seconds"] == 1.5);
  CHECK(x["reason"] == "HTTP 503");
}

TEST_CASE("no text of others breaks a line, colours a terminal or turns its direction", "[log]") {
  auto evil = std::string{"a\nb\r\x1b[31mred\x07 \x7f \xC2\x9B"
                          "31m \xE2\x80\xAE"
                          "desrever \xE2\x80\xA8 \" \\ \xFF end"}
              + std::string(1, '\0') + "!";
  auto text = text_of(opened(evil));
  CHECK(text.find('\n') == text.size() - 1);
  for (auto c : text.substr(0, text.size() - 1))
    CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  CHECK(text.find("\xC2\x9B") == text.npos);
  CHECK(text.find("\xE2\x80\xAE") == text.npos);
  CHECK(text.find("\\u001b[31mred") != text.npos);
  auto x = json_of(opened(evil));
  CHECK(x["reason"].get<std::string>().substr(0, 3) == "a\nb");
  CHECK(x["reason"].get<std::string>().find("\xE2\x80\xAE") != std::string::npos); // the value is what it was
}

TEST_CASE("a text of others is cut at a bound, between characters", "[log]") {
  std::string lengthy;
  while (lengthy.size() < 5000)
    lengthy += "\xC3\xA4";
  auto x = json_of(opened("_" + lengthy));
  auto reason = x["reason"].get<std::string>();
  CHECK(reason.size() == 1023 + 3);
  CHECK(reason.substr(1021) == "\xC3\xA4...");
}

TEST_CASE("what has no value is left out, and numbers are JSON's", "[log]") {
  auto x =
    json_of(entry{event::breaker_opened}
              .with(field::provider, "")
              .with(field::failures, std::optional<uint32_t>{})
              .with(field::wait_seconds, std::chrono::duration<double>(std::numeric_limits<double>::infinity())));
  CHECK_FALSE(x.contains("provider"));
  CHECK_FALSE(x.contains("failures"));
  CHECK(x["wait_seconds"].is_null());
}

TEST_CASE("the journal's prefixes are syslog's levels", "[log]") {
  CHECK(journal_prefix(log_level::error) == "<3>");
  CHECK(journal_prefix(log_level::warning) == "<4>");
  CHECK(journal_prefix(log_level::info) == "<6>");
  CHECK(journal_prefix(log_level::debug) == "<7>");
}

} // namespace modelforge::log_line_test
