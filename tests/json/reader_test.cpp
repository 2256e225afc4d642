#include "json/reader.hpp"
#include "json/value.hpp"

#include "tests/sse/allocations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <functional>
#include <random>

namespace modelforge::json_reader_test {

using json = modelforge::json::value;
using modelforge::json::count_in;
using modelforge::json::member;
using modelforge::json::string_in;

namespace {

/// Builds the tree that `parse_json` builds, from what a reader hands out.
json tree_of(modelforge::json::reader& in) {
  json result;
  if (in.members([&](std::string_view name) { result[std::string{name}] = tree_of(in); }))
    return result.is_null() && in.problem().empty() ? json::object() : result;
  result = json::array();
  if (in.elements([&] { result.push_back(tree_of(in)); }))
    return result;
  auto value = in.value();
  std::string scratch;
  if (value.is_string())
    return string_in(value, scratch);
  if (auto count = count_in(value))
    return *count;
  return value.text.empty() ? json{} : std::get<json>(modelforge::json::parse(value.text));
}

/// Makes of the tree what `tree_of` makes: whole numbers are counts, and of equal names the last one is kept.
json simplified(const json& x) {
  json result = x;
  if (x.is_object()) {
    result = json::object();
    for (auto& [name, value] : x.items())
      result[name] = simplified(member(x, name));
  } else if (x.is_array()) {
    for (auto& value : result)
      value = simplified(value);
  } else if (auto count = count_in(x)) {
    result = *count;
  }
  return result;
}

std::string why_not(std::string_view text) {
  modelforge::json::reader in{text};
  return in.finish() ? "" : in.problem();
}

/// The texts of all values in an object or a list, each taken without a look into it, and of those in these.
std::vector<std::string_view> values_in(modelforge::json::reader in) {
  std::vector<std::string_view> result;
  auto take = [&] {
    auto value = in.value();
    result.push_back(value.text);
    for (auto inner : values_in(modelforge::json::reader{value}))
      result.push_back(inner);
  };
  if (!in.members([&](std::string_view) { take(); }))
    in.elements(take);
  return result;
}

/// Checks that the reader takes what `parse_json` takes, with the same reason where it does not; and that it takes the
/// same once more of what was found to be JSON.
void check_as_tree(std::string_view text) {
  CAPTURE(text);
  auto parsed = modelforge::json::parse(text);
  auto* root = std::get_if<json>(&parsed);
  modelforge::json::reader walker{text};
  auto walked = tree_of(walker);
  REQUIRE(walker.finish() == (root != nullptr));
  REQUIRE(why_not(text).empty() == (root != nullptr));
  if (root == nullptr)
    return;
  REQUIRE(walked == simplified(*root));
  auto whole = modelforge::json::reader{text}.value();
  modelforge::json::reader again{whole};
  REQUIRE(tree_of(again) == walked);
  REQUIRE(again.finish());
  REQUIRE(values_in(modelforge::json::reader{whole.text}) == values_in(modelforge::json::reader{whole}));
}

constexpr std::string_view documents[] = {
  "{}",
  "[]",
  " { } ",
  "[[],{},[{}]]",
  R"({"a":1,"b":[true,false,null],"c":{"d":"e"}})",
  R"({"a":1,"a":2,"\u0061":3})",
  R"(["plain","esc\"\\\/\b\f\n\r\tape","\u00e9\ud83c\udf0d","\ud83c alone","\udf0d","Grüße, 世界 🌍",""])",
  "[0,-0,1,-1,1.5,1e3,1E+2,12e-2,18446744073709551615,18446744073709551616,-9223372036854775809,1e999,-1e999,1e-999]",
  "[9007199254740992.0,9007199254740994.0,3.0,-3.0]",
  "\xEF\xBB\xBF{\"marked\":true}",
  "\"alone\"",
  "17",
  "null",
  " \t\r\n[ 1 , 2 ] \n",
  R"({"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null})",
};

constexpr std::string_view broken[] = {
  "",
  " ",
  "{",
  "[",
  "}",
  "]",
  "[1,]",
  "[,1]",
  "{,}",
  "[1 2]",
  "{\"a\"}",
  "{\"a\":}",
  "{\"a\":1,",
  "{\"a\":1,}",
  "{a:1}",
  "{1:2}",
  "[1}",
  "{\"a\":1]",
  "01",
  "-",
  "1.",
  ".5",
  "1e",
  "+1",
  "tru",
  "nul",
  "True",
  "\"",
  "\"\\",
  "\"\\x\"",
  "\"\\u12\"",
  "\"\\u12G4\"",
  "\"\n\"",
  "\"\xFF\"",
  "\"\xC3\"",
  "[\"\xED\xA0\x80\"]",
  "1 2",
  "{}{}",
  "[] x",
  "[[1]",
  "{\"a\":[}",
  "'a'",
  "{\"\xFF\":1}",
  "[\"a\" : 1]",
  "\"\\ud800\\u12\"",
};

} // namespace

TEST_CASE("json reader hands out what the tree holds", "[wire][json]") {
  for (auto text : documents)
    check_as_tree(text);
  for (auto text : broken) {
    check_as_tree(text);
    CHECK_FALSE(why_not(text).empty());
    auto place = [](const std::string& problem) { return problem.substr(problem.find("at byte")); };
    CHECK(place(why_not(text)) == place(std::get<std::string>(modelforge::json::parse(text))));
  }
}

TEST_CASE("json reader and tree agree on documents that were damaged at random", "[wire][json]") {
  constexpr std::string_view bytes = "{}[]\",:\\u0e9-+.dtn \n\x01\xC3\xBC\xFF/";
  for (unsigned seed = 0; seed < 30'000; ++seed) {
    std::mt19937 random{seed};
    std::string text{documents[random() % std::size(documents)]};
    for (auto n = 1 + random() % 3; n > 0; --n) {
      auto at = random() % (text.size() + 1);
      auto c = bytes[random() % bytes.size()];
      if (random() % 2 == 0)
        text.insert(at, 1, c);
      else if (at < text.size())
        random() % 2 == 0 ? void(text[at] = c) : void(text.erase(at, 1));
    }
    check_as_tree(text);
  }
}

TEST_CASE("what a consumer does not take is skipped, and still checked", "[wire][json]") {
  modelforge::json::reader in{R"( {"skip":{"a":[1,{"b":"}"}]},"take":"x\ty","list":[1,[2],{"n":3}],"no":4} )"};
  std::string scratch, taken;
  std::vector<uint64_t> numbers;
  CHECK(in.members([&](std::string_view name) {
    if (name == "take")
      taken = string_in(in.value(), scratch);
    else if (name == "list")
      in.elements([&] {
        if (auto count = count_in(in.value()))
          numbers.push_back(*count);
      });
    else if (name == "no")
      CHECK_FALSE((in.members([](std::string_view) { FAIL("no object"); }) || in.elements([] { FAIL("no array"); })));
  }));
  CHECK(in.finish());
  CHECK(taken == "x\ty");
  CHECK(numbers == std::vector<uint64_t>{1});

  modelforge::json::reader bad{R"({"a":1,"b":[tru],"c":2})"};
  std::string names;
  bad.members([&](std::string_view name) { names += name; });
  CHECK(names == "ab");
  CHECK_FALSE(bad.finish());
  CHECK(bad.problem() == "an unknown word at byte 12");
  CHECK(bad.value().text.empty());
}

TEST_CASE("fields are taken by their names, the last of equal ones, and the rest is skipped", "[wire][json]") {
  modelforge::json::raw id, list, none;
  modelforge::json::reader in{R"({"id":"a","x":{"id":"b"},"list":[1],"id":"c"})"};
  CHECK(in.fields({{"id", &id}, {"list", &list}, {"none", &none}}));
  CHECK(in.finish());
  CHECK(id.between_quotes() == "c");
  CHECK(id.has_text());
  CHECK(list.text == "[1]");
  CHECK_FALSE((none.has_text() || none.is_object()));
  CHECK_FALSE(modelforge::json::read_fields(list, {{"id", &none}}));
  CHECK_FALSE(modelforge::json::raw{"\"\""}.has_text());
}

TEST_CASE("members that are not among the fields are handed out, and may be taken or left", "[wire][json]") {
  modelforge::json::reader in{std::string_view{R"({"a":1,"b":[2],"c":{"d":3},"a":4,"e":5})"}};
  modelforge::json::raw a, c;
  std::string others;
  CHECK(in.fields({{"a", &a}}, [&](std::string_view name) {
    others += name;
    if (name == "c")
      c = in.value();
  }));
  CHECK(in.finish());
  CHECK(a.text == "4");
  CHECK(c.text == R"({"d":3})");
  CHECK(others == "bce");
}

TEST_CASE("what a text said to be JSON lacks is no end of it", "[wire][json]") {
  for (std::string_view text : {"", "{", "[", R"({"a)", R"({"a\")", R"({"a")", R"({"a":)", R"({"a":[1,")",
                                R"({"a":[1,"b\")", R"({"a":{"b":[)", R"(["\)", R"(["\\\")"}) {
    CAPTURE(text);
    modelforge::json::reader in{modelforge::json::raw{text}};
    CHECK(tree_of(in).size() <= 1);
    CHECK_FALSE(in.finish());
    CHECK_FALSE(modelforge::json::reader{modelforge::json::raw{text}}.finish());
    std::string scratch;
    for (std::size_t at = 0; at < text.size(); ++at)
      if (text[at] == '"')
        string_in(modelforge::json::raw{text.substr(at)}, scratch);
  }
}

TEST_CASE("an object is handed out whole with its members", "[wire][json]") {
  modelforge::json::reader in{R"( [ {"a": 1, "b": [2]} , "text", {"c": ] )"};
  std::vector<std::string> names, whole;
  in.elements([&] { whole.emplace_back(in.object([&](std::string_view name) { names.emplace_back(name); }).text); });
  CHECK(whole == std::vector<std::string>{R"({"a": 1, "b": [2]})", R"("text")", ""});
  CHECK(names == std::vector<std::string>{"a", "b", "c"});
  CHECK_FALSE(in.problem().empty());
}

TEST_CASE("json reader bounds the depth, skipped or walked", "[wire][json]") {
  auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  std::function<void(modelforge::json::reader&)> walk = [&](modelforge::json::reader& in) {
    in.elements([&] { walk(in); });
  };
  for (auto depth : {modelforge::json::max_depth, modelforge::json::max_depth + 1}) {
    auto fits = depth == modelforge::json::max_depth;
    auto text = nested(depth);
    CHECK(why_not(text).empty() == fits);
    modelforge::json::reader walker{text};
    walk(walker);
    CHECK(walker.finish() == fits);
    auto both = "[[" + text.substr(2, text.size() - 4) + "]]";
    modelforge::json::reader mixed{both};
    mixed.elements([&] { mixed.elements([] {}); });
    CHECK(mixed.finish() == fits);
  }
  CHECK(why_not(std::string(10'000'000, '[')).find("nested deeper") != std::string::npos);
}

TEST_CASE("json reader allocates nothing and takes a fraction of the tree's time", "[wire][json]") {
  const std::string text =
    R"({"id":"chatcmpl-d2abcdefghijklmnopqrs","object":"chat.completion.chunk","created":1790000001,"model":"demo-mini",)"
    R"("service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" Grüß\n"},)"
    R"("logprobs":null,"finish_reason":null}],"usage":null})";
  std::string scratch, content;
  scratch.reserve(64);
  auto read = [&] {
    modelforge::json::reader in{text};
    in.members([&](std::string_view name) {
      if (name == "choices")
        in.elements([&] {
          in.members([&](std::string_view field) {
            if (field == "delta")
              in.members([&](std::string_view what) {
                if (what == "content")
                  content = string_in(in.value(), scratch);
              });
          });
        });
    });
    return in.finish();
  };
  auto before = test::allocations();
  auto is_json = read();
  auto allocated = test::allocations() - before;
  CHECK(is_json);
  CHECK(allocated == 0);
  CHECK(content == " Grüß\n");

  constexpr int rounds = 2000;
  auto time = [&](auto f) { // the best of several: others use this machine, too
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
      auto start = std::chrono::steady_clock::now();
      for (int j = 0; j < rounds; ++j)
        f();
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
    }
    return best / rounds;
  };
  auto ours = time(read);
  auto tree = time([&] { (void)modelforge::json::parse(text); });
  INFO("reader " << ours.count() << " ns, tree " << tree.count() << " ns, " << text.size() << " bytes");
  CHECK(ours < tree);
}

} // namespace modelforge::json_reader_test
