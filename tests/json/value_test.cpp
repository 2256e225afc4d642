#include "base/utf8.hpp"
#include "json/value.hpp"
#include "json/writer.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>

namespace modelforge::json_value_test {

using json = modelforge::json::value;
using modelforge::json::count_in;
using modelforge::json::member;
using modelforge::json::string_in;

namespace {

std::string written(std::string_view text) {
  std::string out;
  modelforge::json::writer writer{out};
  return writer.string(text) ? out : "refused";
}

std::string why_not(std::string_view text) {
  auto result = modelforge::json::parse(text);
  auto* why = std::get_if<std::string>(&result);
  return why != nullptr ? *why : "";
}

/// What the library thinks of a text, as an oracle.
bool library_takes(const std::string& text) {
  try {
    (void)json(text).dump();
    return true;
  } catch (const json::type_error&) {
    return false;
  }
}

} // namespace

TEST_CASE("json writer escapes so that the library reads the same text back", "[wire][json]") {
  for (std::size_t length : {0u, 1u, 7u, 8u, 9u, 31u})
    for (int c = 0; c < 128; ++c) {
      auto text = std::string(length, 'x') + static_cast<char>(c) + std::string(length, 'y');
      REQUIRE(json::parse(written(text)).get<std::string>() == text);
    }
  for (auto* text : {"Grüße, 世界 🌍", "\xF4\x8F\xBF\xBF", "tab\there \"quoted\" back\\slash\x7F"})
    CHECK(json::parse(written(text)).get<std::string>() == text);
}

TEST_CASE("json writer and UTF-8 check agree with the library on every short sequence", "[wire][json]") {
  auto check = [](std::string text) {
    auto expected = library_takes(text);
    if (utf8::is_valid(text) != expected || (written(text) != "refused") != expected)
      FAIL("differs for " << json(std::vector<uint8_t>(text.begin(), text.end())).dump());
    text = "12345678" + text; // behind a block of ASCII
    if (utf8::is_valid(text) != expected)
      FAIL("differs behind ASCII");
  };
  auto edges = {0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0};
  auto byte = [](int x) { return static_cast<char>(x); };
  for (int first = 0x80; first < 256; ++first) {
    check({byte(first)});
    for (int second = 0x70; second < 256; ++second)
      check({byte(first), byte(second)});
    for (int second : edges)
      for (int third : edges) {
        check({byte(first), byte(second), byte(third)});
        for (int fourth : edges)
          check({byte(first), byte(second), byte(third), byte(fourth)});
      }
  }
}

TEST_CASE("broken UTF-8 is repaired byte by byte", "[wire][json]") {
  CHECK(utf8::repair("a\xC3(\xFFz\xE4\xB8") == "a\xEF\xBF\xBD(\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(utf8::repair("Grüße") == "Grüße");
  std::string out;
  modelforge::json::writer writer{out};
  writer.open('[');
  writer.repaired("a\xFF");
  writer.repaired("b");
  writer.close(']');
  CHECK(out == "[\"a\xEF\xBF\xBD\",\"b\"]");
}

TEST_CASE("cutting never splits a character", "[wire][json]") {
  std::string text = "aü世🌍";
  for (std::size_t bytes = 0; bytes <= text.size() + 1; ++bytes) {
    auto cut = utf8::cut(text, bytes);
    CHECK(utf8::is_valid(cut));
    CHECK(cut.size() <= bytes);
    CHECK(cut.size() + 4 > std::min(bytes, text.size()));
  }
}

TEST_CASE("json reader bounds depth", "[wire][json]") {
  auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(why_not(nested(modelforge::json::max_depth)) == "");
  CHECK(why_not(nested(modelforge::json::max_depth + 1)).find("nested deeper") != std::string::npos);
  CHECK(why_not(std::string(10'000'000, '[')).find("nested deeper") != std::string::npos);
}

TEST_CASE("json reader bounds the number of values", "[wire][json]") {
  std::string text = "[";
  for (std::size_t i = 0; i + 1 < modelforge::json::max_values; ++i)
    text += "0,";
  CHECK(why_not(text + "0]").find("values") != std::string::npos);
  text.pop_back();
  CHECK(why_not(text + "]") == "");
}

TEST_CASE("json reader takes an object of very many names in little time", "[wire][json]") {
  std::string text = "{";
  for (int i = 0; i < 500'000; ++i)
    text += "\"k" + std::to_string(i) + "\":1,";
  text.back() = '}';
  auto start = std::chrono::steady_clock::now();
  auto result = modelforge::json::parse(text);
  CHECK(count_in(member(std::get<json>(result), "k499999")) == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds{20}); // with a look-up for each: minutes
}

TEST_CASE("json reader agrees with the library on whole, cut and changed documents", "[wire][json]") {
  const std::string whole =
    R"( {"a":[1,-2,0,-0,1.5,-1e3,2E+2,18446744073709551615,18446744073709551616,-9223372036854775809,0.1],)"
    R"("text":"Gr\u00fc\u00DFe \ud83c\udf0d 世界 \"\\\/\b\f\n\r\t","":{},"b":[[],{"c":true,"d":false,"e":null}]} )";
  auto check = [](const std::string& text) {
    auto expected = json::parse(text, nullptr, false);
    auto result = modelforge::json::parse(text);
    auto* ours = std::get_if<json>(&result);
    if (ours != nullptr && expected.is_discarded())
      return text.find("\\u") != text.npos || text.find_first_of("eE") != text.npos; // halves of pairs, huge numbers
    return (ours == nullptr) == expected.is_discarded()
           && (ours == nullptr || json::parse(ours->dump()).dump() == expected.dump());
  };
  REQUIRE(check(whole));
  REQUIRE(std::holds_alternative<json>(modelforge::json::parse(whole)));
  const std::string marks = "{}[]\",:\\u0123456789aeE+-. \n\x1F\x7F\x80\xC3\xFFtfn";
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    REQUIRE(check(whole.substr(0, i)));
    REQUIRE(check(whole.substr(i)));
    REQUIRE(check(whole.substr(0, i) + whole.substr(i + 1)));
    for (char c : marks) {
      auto changed = whole;
      changed[i] = c;
      CAPTURE(changed);
      REQUIRE(check(changed));
      changed = whole;
      changed.insert(i, 1, c);
      REQUIRE(check(changed));
    }
  }
}

TEST_CASE("json reader keeps what others would lose: halves of pairs and huge numbers", "[wire][json]") {
  auto value = [](std::string_view text) { return std::get<json>(modelforge::json::parse(text)); };
  CHECK(string_in(value(R"("a\ud83cz")")) == "a\xEF\xBF\xBDz");
  CHECK(string_in(value(R"("\udf0d\ud83c\u0041")"))
        == "\xEF\xBF\xBD\xEF\xBF\xBD"
           "A");
  CHECK(value("1e999").get<double>() > 1e300);
  CHECK(value("-1e999").get<double>() < -1e300);
  CHECK(value("1e-999").get<double>() == 0);
  CHECK(value("\xEF\xBB\xBF 1") == 1);
}

TEST_CASE("the last of equal names counts", "[wire][json]") {
  auto x = std::get<json>(modelforge::json::parse(R"({"a":1,"b":2,"a":3})"));
  CHECK(count_in(member(x, "a")) == 3);
}

TEST_CASE("what is missing or of another type reads as nothing", "[wire][json]") {
  auto x = std::get<json>(
    modelforge::json::parse(R"({"s":"t","n":-1,"f":1.5,"big":1e30,"whole":12.0,"u":18446744073709551615})"));
  CHECK(string_in(member(x, "s")) == "t");
  CHECK(string_in(member(x, "n")).empty());
  CHECK(member(member(x, "s"), "deeper").is_null());
  for (auto* name : {"s", "n", "f", "big", "none"})
    CHECK_FALSE(count_in(member(x, name)));
  CHECK(count_in(member(x, "whole")) == 12);
  CHECK(count_in(member(x, "u")) == UINT64_MAX);
}

TEST_CASE("json reader says what is wrong and where, without the text itself", "[wire][json]") {
  for (auto* text :
       {"", "{", "[1,]", "{\"a\":tru}", "[1] 2", "\"a\nb\"", "\"\xFF\"", "nul", "01", "1.", "-", "\"\\x\"", "[1}"}) {
    CAPTURE(text);
    auto why = why_not(text);
    CHECK(why.find("at byte") != std::string::npos);
    CHECK(why.find("last read") == std::string::npos);
  }
  CHECK(why_not("\"" + std::string(100'000, 'x')).size() < 200);
}

} // namespace modelforge::json_value_test
