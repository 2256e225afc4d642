#include "tools/simulator/answers.hpp"
#include "tools/simulator/schema.hpp"
#include "tools/simulator/stats.hpp"
#include "tools/simulator/text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace modelforge::answers_test {

using namespace modelforge::simulator;
using namespace std::chrono_literals;
using json = nlohmann::ordered_json;

TEST_CASE("tokens of a text join to the text and never cut a character", "[simulator]") {
  for (std::string_view text : {"The quick brown fox, 12345 times.", "Ein Straßenbahnfahrer übt",
                                "Почему небо голубое?", "天空为什么是蓝色的？", "空はなぜ青い", "لماذا السماء زرقاء",
                                "a  b\n\n\tc ", "🙂🙂 ok", "bad \xff\xc3 bytes \xe4\xb8"}) {
    std::string joined;
    uint32_t count = 0;
    for (auto rest = text; !rest.empty(); ++count) {
      auto size = first_token(rest);
      REQUIRE(size > 0);
      REQUIRE(size <= rest.size());
      joined += rest.substr(0, size);
      rest.remove_prefix(size);
      if (!rest.empty() && decode(rest).value == 0xfffd)
        CHECK(text.starts_with("bad"));
    }
    CHECK(joined == text);
    CHECK(count_tokens(text) == count);
  }
}

TEST_CASE("JSON strings are valid whatever the bytes", "[simulator]") {
  std::string all, text;
  for (int c = 0; c < 256; ++c)
    all += static_cast<char>(c);
  for (std::string_view bytes :
       {std::string_view(all), std::string_view("\xe0\x80\x80"), std::string_view("\xed\xa0\x80"),
        std::string_view("\xf4\x90\x80\x80"), std::string_view("\xf0\x9f\x99")}) {
    text.clear();
    append_json(text, bytes);
    auto parsed = json::parse(text, nullptr, false);
    REQUIRE(parsed.is_string());
    CHECK(parsed.get<std::string>().find("\xef\xbf\xbd") != std::string::npos);
  }
  text.clear();
  append_json(text, "é 天 🙂 \"\\\n\t");
  CHECK(json::parse(text) == "é 天 🙂 \"\\\n\t");
}

TEST_CASE("token counts follow the rules of thumb for each script", "[simulator]") {
  struct row {
    std::string_view text;
    double least, most; ///< Characters per token.
  };
  for (auto [text, least, most] :
       {row{"It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in "
            "want of a wife.",
            3.5, 5},
        row{"Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива.", 2, 4},
        row{"在一切幸福的家庭里都是相似的", 1, 1}}) {
    auto characters = std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
    auto ratio = static_cast<double>(characters) / count_tokens(text);
    INFO(text);
    CHECK(ratio >= least);
    CHECK(ratio <= most);
  }
}

TEST_CASE("answers keep their length, quote the prompt and speak its language", "[simulator]") {
  struct row {
    std::string_view prompt, word, phrase;
  };
  for (auto [prompt, word, phrase] :
       {row{"How does photosynthesis help cacti?", "photosynthesis", " "},
        row{"Was ist der Unterschied zwischen Mehl und Zucker?", "Zucker", "e"},
        row{"Почему небо голубое?", "голубое", "о"}, row{"天空为什么是蓝色的？", "天空", "。"},
        row{"空はなぜ青いのですか", "空", "ます"}, row{"하늘은 왜 파란가요", "파란가요", "니다"},
        row{"لماذا السماء زرقاء", "السماء", " "}}) {
    INFO(prompt);
    for (uint64_t seed = 0; seed < 200; ++seed) {
      auto text = answer_text(random_source(seed), prompt, 20, 120);
      auto tokens = count_tokens(text);
      CHECK(tokens >= 20);
      CHECK(tokens <= 120);
      CHECK(text.find(phrase) != text.npos);
      CHECK(text.find("{}") == text.npos);
      auto words = key_words(prompt, 4);
      CHECK(std::any_of(words.begin(), words.end(), [&](const auto& x) { return text.find(x) != text.npos; }));
    }
    auto words = key_words(prompt, 4);
    CHECK(std::any_of(words.begin(), words.end(), [&](const auto& x) { return x.starts_with(word); }));
  }
}

TEST_CASE("answers differ by seed and repeat with it", "[simulator]") {
  auto prompt = "How does photosynthesis help cacti?";
  CHECK(answer_text(random_source(7), prompt, 20, 120) == answer_text(random_source(7), prompt, 20, 120));
  CHECK(answer_text(random_source(7), prompt, 20, 120) != answer_text(random_source(8), prompt, 20, 120));
}

TEST_CASE("a sum gets its result", "[simulator]") {
  struct row {
    std::string_view prompt, answer;
  };
  for (auto [prompt, answer] : {row{"what is 12 * 7?", "12 * 7 = 84."}, row{"7-10", "7-10 = -3."},
                                row{"compute 1 / 8 please", "1 / 8 = 0.125."}, row{"2.5 × 2", "2.5 × 2 = 5."}})
    CHECK(answer_text(random_source(1), prompt, 20, 120) == answer);
  CHECK(answer_text(random_source(1), "what is 1 / 0?", 20, 120).find('=') == std::string::npos);
}

TEST_CASE("a looped text is what it would be written out", "[simulator]") {
  const std::string round = "Eins, zwei: Öl für 世界.\n\n";
  for (uint64_t size = 0; size < 3 * round.size() + 5; ++size) {
    looped_text text(round, size);
    auto written = (round + round + round + round).substr(0, size);
    CHECK(text.first(UINT64_MAX) == written);
    CHECK(text.first(7) == written.substr(0, 7));
    CHECK(text.measure(UINT32_MAX) == std::pair{size, count_tokens(written)});
    std::string joined;
    for (auto part = text.after(0); !part.empty(); part = text.after(joined.size()))
      joined += part;
    CHECK(joined == written);
    for (uint32_t most : {0u, 1u, 5u, 20u, 30u}) {
      auto [bytes, tokens] = text.measure(most);
      CHECK(tokens == std::min(most, count_tokens(written)));
      CHECK(count_tokens(written.substr(0, bytes)) == tokens);
    }
    for (auto words : {"zwei", "世", ".\n\nEins", "nowhere"}) {
      auto ended = text;
      ended.end_before(words);
      CHECK(ended.size() == std::min<uint64_t>(written.find(words), size));
    }
  }
}

TEST_CASE("long answers repeat what they begin with, to an exact length", "[simulator]") {
  auto prompt = "How does photosynthesis help cacti?";
  auto text = long_answer(random_source(7), prompt, 1'000'000, 1'000'000);
  CHECK(text.measure(UINT32_MAX).second == 1'000'000);
  auto some = text.first(20'000);
  CHECK(count_tokens(some) > 4'000);
  CHECK(some.find(some.substr(0, 100), 1) != std::string::npos);
  for (uint32_t most : {120u, 2'000u, 3'000u}) {
    auto count = long_answer(random_source(most), prompt, 20, most).measure(UINT32_MAX).second;
    CHECK((count >= 20 && count <= most));
  }
  CHECK(long_answer(random_source(7), prompt, 20, 120).first(UINT64_MAX)
        == answer_text(random_source(7), prompt, 20, 120));
}

TEST_CASE("samples fit their schema", "[simulator]") {
  auto schema = json::parse(R"({
    "type": "object", "$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"},
    {"type": "null"}]}}, "required": ["next"]}},
    "properties": {
      "name": {"type": "string", "minLength": 12, "maxLength": 14},
      "kind": {"enum": ["a", "b"]}, "fixed": {"const": 5}, "maybe": {"type": ["string", "null"]},
      "count": {"type": "integer", "minimum": 3, "maximum": 4}, "even": {"type": "integer", "multipleOf": 2},
      "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
      "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
      "when": {"type": "string", "format": "date-time"}, "tree": {"$ref": "#/$defs/node"},
      "both": {"allOf": [{"properties": {"x": {"type": "null"}}}, {"properties": {"y": {"type": "boolean"}}}]}}})");
  for (uint64_t seed = 0; seed < 100; ++seed) {
    auto x = sample(schema, random_source(seed), {"größer", "word"});
    REQUIRE(x.size() == schema["properties"].size());
    auto name = x["name"].get<std::string>();
    auto characters = std::count_if(name.begin(), name.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
    CHECK(characters >= 12);
    CHECK(characters <= 14);
    CHECK((x["kind"] == "a" || x["kind"] == "b"));
    CHECK(x["fixed"] == 5);
    CHECK(x["maybe"].is_string());
    CHECK((x["count"] == 3 || x["count"] == 4));
    CHECK(x["even"].get<int64_t>() % 2 == 0);
    CHECK(x["share"].get<double>() > 0);
    CHECK(x["share"].get<double>() < 1);
    CHECK(x["list"].size() == 2);
    CHECK(x["list"][0].is_boolean());
    CHECK(x["when"].get<std::string>().size() == 20);
    CHECK(x["tree"].contains("next"));
    CHECK(x["both"].size() == 2);
  }
}

TEST_CASE("a schema that only refers to itself comes to an end", "[simulator]") {
  auto schema = json::parse(R"({"$defs": {"x": {"type": "object", "required": ["a", "b"], "properties":
    {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}}}}, "$ref": "#/$defs/x"})");
  CHECK(sample(schema, random_source(1), {"word"}).is_object());
}

TEST_CASE("fullest window counts half-open intervals", "[simulator]") {
  fullest_window window(60s);
  auto at = [](auto offset) { return modelforge::simulator::clock::time_point(1h + offset); };
  window.add(at(0s), 10);
  window.add(at(59s), 10);
  window.add(at(60s), 10); // the first one has left: [0 s, 60 s) ends before it
  CHECK(window.most() == 20);
  window.add(at(118s), 50);
  window.add(at(118s), 50);
  CHECK(window.most() == 120);
  window.add(at(1000s), 1);
  CHECK(window.most() == 120);
  window.clear();
  CHECK(window.most() == 0);
  window.add(at(1001s), 1); // what was before is forgotten
  CHECK(window.most() == 1);
}

TEST_CASE("attempt log counts per request id and forgets the oldest", "[simulator]") {
  attempt_log log;
  auto id = [](uint64_t x) { return hex(0) + hex(x); };
  log.add(id(1), "1");
  log.add(id(1), "2", fault::unavailable, 503);
  log.add(id(1), "3");
  log.add(id(2), "1");
  for (auto [bad_id, number] : {std::pair{id(3), "0"}, {id(3), "x"}, {id(3).substr(1), "1"}, {id(3) + "0", "1"}})
    log.add(bad_id, number);
  stats x;
  log.tell(x);
  CHECK(x.attempts == 4);
  CHECK(x.first_attempts == 2);
  CHECK(x.retries == 2);
  CHECK(x.attempt_requests == 2);
  CHECK(x.attempts_per_request == 3);
  CHECK(x.highest_attempt_number == 3);
  CHECK(log.find(id(1))->attempts == 3);
  CHECK(log.find(id(1))->injected == fault::unavailable); // the last one injected
  CHECK(log.find(id(1))->status == 503);
  CHECK(log.find(id(2))->injected == fault::none);
  CHECK_FALSE(log.find(id(3)));
  CHECK_FALSE(log.find("x"));
  for (uint64_t i = 10; i < 10 + 131'072; ++i)
    log.add(id(i), "1");
  CHECK_FALSE(log.find(id(1)));
  log.add(id(1), "4");
  CHECK(log.find(id(1))->attempts == 1);
  log.tell(x);
  CHECK(x.attempts_per_request == 3); // counted anew
  CHECK(x.highest_attempt_number == 4);
}

} // namespace modelforge::answers_test
