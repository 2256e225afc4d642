#include "optimize/json_wish.hpp"
#include "optimize/strategies.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace modelforge::json_mode_test {

using namespace modelforge::optimize;

namespace {

struct prompt {
  std::string text;
  bool wants_json = false;
};

chat_request request_of(std::vector<chat_message> messages) {
  chat_request x;
  x.messages = std::move(messages);
  return x;
}

std::string text_of(const chat_request& x, std::size_t message) {
  return std::get<text_part>(x.messages.at(message).content.at(0)).text;
}

} // namespace

TEST_CASE("json mode is switched on by prompts that want JSON alone, and by no others", "[optimize]") {
  const std::vector<prompt> cases = {
    {"List the planets. Respond only with JSON.", true},
    {"Respond ONLY with a valid JSON object matching the form above", true},
    {"Only output JSON: {\"city\": \"...\"}", true},
    {"Return JSON only.", true},
    {"Answer in JSON only, please.", true},
    {"Your answer must be nothing but JSON.", true},
    {"Return a JSON object and nothing else.", true},
    {"Reply with JSON, no prose.", true},
    {"Give me the result as JSON (no explanations)", true},
    {"Output **only** `JSON` with the keys a and b.", true},
    {"Write strictly valid JSON.", true},
    {"respond with json object only", true},
    {"Just return the JSON.", true},
    {"JSON only, please.", true},
    {"Only JSON!", true},
    {"- Answer only in JSON.\n- Be brief.", true},
    {"2. (Always) reply with JSON only", true},
    {"<<STATIC>>planets?<<DYNAMIC>> Answer only in JSON.", true},
    {"Do not explain, respond only with JSON.", true},
    {"List the planets and return only JSON.", true},
    {"You must always reply in JSON, no markdown.", true},
    {"Do not answer in JSON only."},
    {"My server returns only JSON. Write a poem about the sea."},
    {"Explain why our service accepts only JSON."},
    {"The endpoint takes JSON only, no XML. Explain how to call it in prose."},
    {"Summarise: the parser is strictly JSON."},
    {"I just want to learn JSON without comments from my boss."},
    {"Use JSON, no markdown, for the config; explain in prose."},
    {"Explain how to return only JSON from a handler."},
    {"What is JSON?"},
    {"Explain JSON and XML."},
    {"Here is some JSON: {\"a\":1}. What does it say?"},
    {"Return the result as JSON."},
    {"Can you answer only in JSON?"},
    {"Do not use only JSON; explain each field."},
    {"Not only JSON but YAML is fine."},
    {"Use JSON only if the user asks for it."},
    {"Use JSON only for errors."},
    {"If it fails, return only JSON or XML."},
    {"Respond only with a JSON array."},
    {"Respond only with JSON: [{\"id\":1}]"},
    {"Respond only with JSON lines."},
    {"Respond only with JSON holding an array of names."},
    {"Write only GeoJSON."},
    {"Write only JSON5."},
    {"Print only JSON-LD."},
    {"The only JSON file is here."},
    {"There is just a problem. JSON is hard."},
    {"only\nJSON"},
    {""},
  };
  for (auto& x : cases) {
    INFO(x.text);
    auto request = request_of({text_message(role::user, x.text)});
    auto before = request;
    auto told = json_mode()->apply(request);
    CHECK(told.has_value() == x.wants_json);
    CHECK((request.response_format.kind == response_kind::json_object) == x.wants_json);
    request.response_format = before.response_format;
    CHECK(request == before);
  }
}

TEST_CASE("json mode listens to instructions and the last question only", "[optimize]") {
  const std::string wish = "Answer only in JSON.";
  struct one {
    std::vector<chat_message> messages;
    bool wants_json;
  };
  const std::vector<one> cases = {
    {{text_message(role::system, wish), text_message(role::user, "planets?")}, true},
    {{text_message(role::developer, wish), text_message(role::user, "planets?")}, true},
    {{text_message(role::user, wish), text_message(role::assistant, "{}"), text_message(role::user, "In prose?")},
     false},
    {{text_message(role::user, "hi"), text_message(role::assistant, wish), text_message(role::user, "ok")}, false},
    {{text_message(role::system, wish), text_message(role::user, "Give an array of names.")}, true},
    {{text_message(role::system, wish), text_message(role::user, "Give a JSON array of names.")}, false},
  };
  for (auto& x : cases) {
    auto request = request_of(x.messages);
    CHECK(json_mode()->apply(request).has_value() == x.wants_json);
  }
}

TEST_CASE("json mode leaves a form alone that the request has chosen", "[optimize]") {
  auto request = request_of({text_message(role::user, "Answer only in JSON.")});
  SECTION("a schema") {
    request.response_format.kind = response_kind::json_schema;
  }
  SECTION("one of its own words") {
    request.extra = R"({"response_format":{"type":"text"}})";
  }
  SECTION("the word is there") {
    request.response_format.kind = response_kind::json_object;
  }
  auto before = request;
  CHECK_FALSE(json_mode()->apply(request));
  CHECK(request == before);
}

TEST_CASE("json mode adds the word that the API demands", "[optimize]") {
  SECTION("to the system prompt") {
    auto request = request_of({text_message(role::system, "Be brief."), text_message(role::user, "planets?")});
    request.response_format.kind = response_kind::json_object;
    CHECK(json_mode()->apply(request));
    CHECK(text_of(request, 0) == "Be brief.\n\nAnswer in JSON.");
    CHECK_FALSE(json_mode()->apply(request));
  }
  SECTION("as one") {
    auto request = request_of({text_message(role::user, "planets?")});
    request.response_format.kind = response_kind::json_object;
    CHECK(json_mode()->apply(request));
    CHECK(request.messages.size() == 2);
    CHECK(request.messages[0] == text_message(role::system, "Answer in JSON."));
    CHECK(text_of(request, 1) == "planets?");
  }
}

} // namespace modelforge::json_mode_test
