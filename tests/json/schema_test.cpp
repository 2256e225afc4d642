#include "json/schema.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <variant>

namespace modelforge::schema_test {

namespace {

json::schema schema_of(std::string_view text) {
  auto parsed = json::schema::parse(text);
  if (auto* why = std::get_if<std::string>(&parsed))
    FAIL(*why);
  return std::get<json::schema>(parsed);
}

std::string mismatch(std::string_view schema, std::string_view instance) {
  auto parsed = json::parse(instance);
  REQUIRE(std::holds_alternative<json::value>(parsed));
  return schema_of(schema).mismatch(std::get<json::value>(parsed)).value_or("");
}

} // namespace

TEST_CASE("a value is checked by every keyword that we know", "[json][schema]") {
  struct row {
    std::string_view schema, good, bad, why;
  };
  for (auto& [schema, good, bad, why] : std::initializer_list<row>{
         {R"({"type":"object"})", "{}", "[]", "the answer is an array, not an object"},
         {R"({"type":["string","null"]})", "null", "7", "the answer is an integer, not a string or null"},
         {R"({"type":"integer"})", "7.0", "7.5", "is a number, not an integer"},
         {R"({"type":"number"})", "7", "\"7\"", "is a string, not a number"},
         {R"({"type":"STRING","nullable":true})", "null", "true", "is a boolean, not a string"},
         {R"({"enum":["a",{"x":1,"y":[2]}]})", R"({"y":[2.0],"x":1})", "\"b\"", R"(is "b", which is none of ["a",)"},
         {R"({"const":null})", "null", "0", "is 0, not null"},
         {R"({"properties":{"a/b":{"type":"string"}}})", R"({"a/b":"","c":0})", R"({"a/b":0})", "/a~1b is an integer"},
         {R"({"required":["a","b"]})", R"({"b":0,"a":null})", R"({"a":0})", R"(lacks the member "b")"},
         {R"({"properties":{"a":{}},"additionalProperties":false})", R"({"a":1})", R"({"b":1})",
          R"(has a member "b", which the schema does not know)"},
         {R"({"additionalProperties":{"type":"null"}})", R"({"a":null})", R"({"a":1})", "/a is an integer, not null"},
         {R"({"propertyNames":{"maxLength":1}})", R"({"a":1})", R"({"ab":1})", R"("ab", whose name does not match)"},
         {R"({"minProperties":1,"maxProperties":2})", R"({"a":1})", "{}", "has 0 members, fewer than 1"},
         {R"({"dependentRequired":{"a":["b"]}})", R"({"b":1})", R"({"a":1})",
          R"(lacks the member "b", which "a" needs)"},
         {R"({"items":{"type":"string"}})", R"(["a"])", R"(["a",1])", "/1 is an integer, not a string"},
         {R"({"prefixItems":[{"type":"string"}],"items":false})", R"(["a"])", R"(["a",1])", "/1 is not allowed there"},
         {R"({"items":[{"type":"string"}],"additionalItems":false})", R"(["a"])", R"([1])", "/0 is an integer"},
         {R"({"minItems":1,"maxItems":2})", "[1]", "[1,2,3]", "has 3 items, more than 2"},
         {R"({"uniqueItems":true})", R"([1,"1"])", R"([{"a":1},2,{"a":1.0}])", "has the same item twice, at 0 and 2"},
         {R"({"contains":{"type":"null"},"maxContains":1})", "[1,null]", "[1]", R"(has 0 items that match "contains")"},
         {R"({"minLength":2,"maxLength":3})", "\"\xC3\xA4\xE2\x82\xAC\"", "\"abcd\"", "has 4 characters, more than 3"},
         {R"({"minimum":1,"maximum":2})", "1", "2.5", "is 2.5, not at most 2"},
         {R"({"exclusiveMinimum":1})", "2", "1", "is 1, not more than 1"},
         {R"({"minimum":1,"exclusiveMinimum":true})", "2", "1", "is 1, not at least 1"},
         {R"({"exclusiveMaximum":1})", "0", "1", "is 1, not less than 1"},
         {R"({"multipleOf":0.1})", "0.3", "0.35", "is 0.35, not a multiple of 0.1"},
         {R"({"anyOf":[{"type":"null"},{"type":"object","required":["a"]}]})", "null", "{}", R"(lacks the member "a")"},
         {R"({"anyOf":[{"type":"null"},{"type":"string"}]})", "\"\"", "0", R"(none of the schemas in "anyOf")"},
         {R"({"oneOf":[{"type":"integer"},{"minimum":2}]})", "1", "2", R"(several of the schemas in "oneOf")"},
         {R"({"allOf":[{"minimum":1},{"maximum":2}]})", "2", "3", "not at most 2"},
         {R"({"not":{"type":"null"}})", "0", "null", R"("not" forbids)"},
         {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"const":0}})", "0", "\"\"", "fewer than 1"},
         {R"({"if":{"type":"string"},"then":{"minLength":1},"else":{"const":0}})", "\"a\"", "1", "is 1, not 0"},
         {R"({"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"null"}}})", "null", "0", "not null"},
         {R"({"properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"]})",
          R"({"next":{"next":null}})", R"({"next":{}})", "/next matches none"},
         {"true", "{}", "", ""},
         {"false", "", "{}", "is not allowed"},
       }) {
    INFO(schema);
    if (!good.empty())
      CHECK(mismatch(schema, good) == "");
    if (!bad.empty()) {
      INFO(bad);
      auto told = mismatch(schema, bad);
      CHECK(told.find(why) != told.npos);
      CHECK_FALSE(told.empty());
    }
  }
}

TEST_CASE("what hangs on a keyword that we do not know counts as right, also inside of others", "[json][schema]") {
  for (auto* schema :
       {R"({"pattern":"^a$"})", R"({"not":{"pattern":"^a$"}})", R"({"oneOf":[{"pattern":"^b$"},{}]})",
        R"({"anyOf":[{"pattern":"^b$"},{"type":"null"}]})", R"({"if":{"pattern":"b"},"then":false})",
        R"({"$ref":"https://example.com/a.json"})", R"({"$ref":"#/nowhere"})", R"({"$dynamicRef":"#a"})"}) {
    INFO(schema);
    CHECK(mismatch(schema, "\"c\"") == "");
  }
  auto with_patterns =
    R"({"properties":{"a":{"type":"null"}},"patternProperties":{"^x":{}},"additionalProperties":false})";
  CHECK(mismatch(with_patterns, R"({"x1":1})") == "");
  CHECK(mismatch(with_patterns, R"({"x1":1,"a":1})") == "/a is an integer, not null");
}

TEST_CASE("schemas that refer to themselves and lists without end take bounded time", "[json][schema]") {
  CHECK(mismatch(R"({"$ref":"#"})", "{}") == "");
  CHECK(mismatch(R"({"anyOf":[{"$ref":"#"},{"$ref":"#"}]})", "{}") == "");
  CHECK(mismatch(R"({"allOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]})", "[]") == "");
  std::string list = "[0";
  for (int i = 1; i < 5000; ++i)
    list += "," + std::to_string(i);
  CHECK(mismatch(R"({"uniqueItems":true})", list + "]") == "");
}

TEST_CASE("what is no schema is told", "[json][schema]") {
  for (auto* text : {"", "7", "[]", "{", "\"object\""})
    CHECK(std::holds_alternative<std::string>(json::schema::parse(text)));
}

} // namespace modelforge::schema_test
