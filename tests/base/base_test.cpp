#include "base/ascii.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/ip_address.hpp"
#include "base/name_table.hpp"
#include "base/public_servers.hpp"
#include "base/text_encoding.hpp"
#include "base/utc_text.hpp"
#include "base/utf8.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <limits>
#include <string>
#include <thread>

namespace modelforge::base_test {

TEST_CASE("a table of names finds each of its names, and nothing else", "[base][names]") {
  constexpr auto table = make_names<int>({{"id", 1}, {"a", 2}, {"idx", 3}, {"di", 4}, {"b", 5}, {"ix", 6}});
  static_assert(*table.find("idx") == 3);
  constexpr std::pair<std::string_view, int> known[] = {{"id", 1}, {"a", 2}, {"idx", 3},
                                                        {"di", 4}, {"b", 5}, {"ix", 6}};
  for (auto& [name, meaning] : known) {
    CAPTURE(name);
    REQUIRE(table.find(name) != nullptr);
    CHECK(*table.find(name) == meaning);
  }
  for (std::string_view name : {"", "c", "i", "ID", "iy", "idy", "idxx"})
    CHECK(table.find(name) == nullptr);
  CHECK(table.find(std::string(1000, 'a')) == nullptr);
  auto longest = std::string(name_table<int, 1>::max_name, 'n');
  auto one = name_table<int, 1>{{std::pair{std::string_view{longest}, 7}}};
  REQUIRE(one.find(longest) != nullptr);
  CHECK(*one.find(longest) == 7);
  CHECK(one.find(longest + "n") == nullptr);
}

TEST_CASE("case is that of ASCII alone", "[base]") {
  CHECK(ascii::lower("Retry-AFTER \xC3\x84") == "retry-after \xC3\x84");
  CHECK(ascii::iequals("X-Request-Id", "x-request-ID"));
  CHECK_FALSE(ascii::iequals("x", "xy"));
  CHECK(ascii::istarts_with("<!DOCTYPE html>", "<!doctype"));
  CHECK_FALSE(ascii::istarts_with("<!", "<!doctype"));
  CHECK(ascii::icontains("Request Too Large", "too large"));
  CHECK_FALSE(ascii::iequals("[", "{")); // 32 apart, as letters are
}

TEST_CASE("white space is trimmed from both ends", "[base]") {
  CHECK(ascii::trim(" \t a b\r\n") == "a b");
  CHECK(ascii::trim("\n ").empty());
  CHECK(ascii::trim_front("\r\n a ") == "a ");
  CHECK(ascii::trim_front("  ").empty());
}

TEST_CASE("hexadecimal digits are as many as a number's type has room for", "[base]") {
  CHECK(hex::digits_of(uint32_t{0x00c0ffee}) == "00c0ffee");
  CHECK(hex::digits_of(uint64_t{1}) == "0000000000000001");
  std::string text;
  hex::append(text, '\xFA');
  hex::append(text, '/', hex::large_digits);
  CHECK(text == "fa2F");
  CHECK(hex::value_of('f') == 15u);
  CHECK(hex::value_of('A') == 10u);
  CHECK_FALSE(hex::value_of('g'));
}

TEST_CASE("UTF-8 is valid up to its first wrong byte", "[base]") {
  CHECK(utf8::valid_length("12345678\xC3\xBC\xFF") == 10);
  CHECK(utf8::valid_length("\xE4\xB8") == 0);
  CHECK(utf8::is_valid(""));
}

TEST_CASE("public servers have an address without a slash at its end", "[base]") {
  for (auto& x : public_servers) {
    CAPTURE(x.name);
    CHECK_FALSE(x.base_url.ends_with('/'));
    CHECK_FALSE(host_of(x.base_url).empty());
  }
  CHECK(host_of(public_address("ollama")) == "127.0.0.1:11434");
  CHECK(public_address("azure").empty());
  CHECK(host_of("https://user@example.com/path?x").starts_with("example.com"));
}

TEST_CASE("a point in time is told in UTC, for programs and for people", "[base]") {
  constexpr std::time_t second = 1'796'098'255;
  auto time = std::chrono::system_clock::from_time_t(second) + std::chrono::milliseconds{7};
  CHECK(base::utc_text(time) == "2026-12-01T04:10:55.007Z");
  CHECK(base::utc_text(time - std::chrono::seconds{second + 1}) == "1969-12-31T23:59:59.007Z");
  CHECK(base::utc_second(second) == "2026-12-01T04:10:55Z");
  CHECK(base::utc_for_people(second) == "2026-12-01 04:10:55 UTC");
  CHECK_FALSE(base::utc_for_people(std::numeric_limits<std::time_t>::max()).empty());
}

TEST_CASE("an address has bytes, what only looks like one has none", "[base]") {
  CHECK(ip_bytes("127.0.0.1") == std::string{"\x7f\0\0\1", 4});
  CHECK(ip_bytes("::1").size() == 16);
  for (auto* text : {"", "localhost", "999.1.1.1", "1.2.3", "[::1]", "::g", "1.2.3.4 "})
    CHECK(ip_bytes(text).empty());
}

TEST_CASE("permission bits are told as people write them", "[base]") {
  CHECK(base::mode_text(0640) == "0640");
  CHECK(base::mode_text(07777) == "7777");
  CHECK(base::mode_text(0) == "0000");
}

TEST_CASE("a foreign encoding is told by its mark or its zeros, a NUL in a text is not one", "[base]") {
  using namespace std::string_view_literals;
  struct {
    std::string_view text, encoding;
    std::size_t line_of_nul;
  } table[] = {
    {"", "", 0},
    {"a", "", 0},
    {"ab\ncd", "", 0},
    {"\xFF\xFE"sv, "UTF-16", 0},
    {"\xFF\xFE\x61\0"sv, "UTF-16", 1},
    {"\xFE\xFF\0a"sv, "UTF-16", 1},
    {"a\0"sv, "UTF-16", 1},
    {"\0a"sv, "UTF-16", 1},
    {"a\0b\0"sv, "UTF-16", 1},
    {"\0a\0b\0c"sv, "UTF-16", 1},
    {"\xFF\xFE\0\0"sv, "UTF-32", 1},
    {"\0\0\xFE\xFF"sv, "UTF-32", 1},
    {"a\0\0\0b\0\0\0"sv, "UTF-32", 1},
    {"\0\0\0a"sv, "UTF-32", 1},
    {"\0"sv, "UTF-16", 1}, // of a first line that is cut at a byte
    {"\0a\0"sv, "UTF-16", 1},
    {"a\0b"sv, "", 1},
    {"a\0bc"sv, "", 1},
    {"\0abc"sv, "", 1},
    {"a\n\nb\0"sv, "", 3},
  };
  for (auto& row : table) {
    CAPTURE(row.text);
    CHECK(foreign_encoding(row.text) == row.encoding);
    CHECK(line_of_nul(row.text) == row.line_of_nul);
  }
}

// More than a pipe holds, so that a reader has to make room first.
TEST_CASE("a text is written whole where the descriptor does not block", "[base]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  base::file from{ends[0]}, to{ends[1]};
  REQUIRE(::fcntl(to.get(), F_SETFL, O_NONBLOCK) == 0);
  std::string text(1u << 20, 'a'), seen;
  std::thread reader{[&] {
    char bytes[4096];
    for (ssize_t n; (n = ::read(from.get(), bytes, sizeof bytes)) > 0;)
      seen.append(bytes, static_cast<std::size_t>(n));
  }};
  CHECK(base::write_all(to.get(), text));
  to.close();
  reader.join();
  CHECK((seen == text));
}

TEST_CASE("a text that nobody reads is not written", "[base]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  base::file from{ends[0]}, to{ends[1]};
  from.close();
  auto before = std::signal(SIGPIPE, SIG_IGN);
  CHECK_FALSE(base::write_all(to.get(), "a"));
  CHECK(errno == EPIPE);
  CHECK(base::write_all(to.get(), ""));
  std::signal(SIGPIPE, before);
}

} // namespace modelforge::base_test
