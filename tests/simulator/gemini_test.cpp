#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <set>

namespace modelforge::gemini_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto question = "How does photosynthesis help cacti?";
constexpr auto thoughts = R"({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}})";
constexpr auto weather =
  R"({"tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": {"type": "OBJECT",
  "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}]}]})";

std::string content(std::string_view prompt, std::string_view more = "{}") {
  auto x = json::parse(R"({"contents": [{"role": "user", "parts": [{}]}]})");
  x["contents"][0]["parts"][0]["text"] = prompt;
  return merged(x.dump(), more);
}

http_answer call(uint16_t port, std::string_view method, std::string_view body, std::string_view headers = {},
                 std::string_view model = "gemini-sim-pro") {
  return fetch(port, "POST", "/v1beta/models/" + std::string(model) + ":" + std::string(method), body, headers);
}

http_answer generate(uint16_t port, std::string_view body, std::string_view model = "gemini-sim-pro") {
  return call(port, "generateContent", body, {}, model);
}

http_answer stream(uint16_t port, std::string_view body, std::string_view headers = {}) {
  return call(port, "streamGenerateContent?alt=sse", body, headers);
}

/// What the first candidate says: text, thoughts, calls with their signatures, reason.
json said(const std::vector<json>& answers) {
  json x = {{"text", ""}, {"thoughts", ""}, {"calls", json::array()}, {"reason", nullptr}};
  for (const auto& answer : answers) {
    x["usage"] = answer.value("usageMetadata", x["usage"]);
    for (const auto& candidate : answer.value("candidates", json::array())) {
      if (candidate["index"] != 0)
        continue;
      x["reason"] = candidate.value("finishReason", x["reason"]);
      for (const auto& part : candidate["content"]["parts"]) {
        if (part.contains("functionCall"))
          x["calls"].push_back(part);
        else
          x[part.value("thought", false) ? "thoughts" : "text"].get_ref<std::string&>() += part["text"];
      }
    }
  }
  return x;
}

json said(const http_answer& answer) {
  std::vector<json> all;
  for (const auto& each : events_of(answer.body))
    all.push_back(each.data);
  return said(all.empty() ? std::vector{answer.parsed()} : all);
}

std::string with_response(const json& parts, std::string_view responses, std::string_view more = weather) {
  auto x = json::parse(content("What is the weather in Oslo?", more));
  x["contents"].push_back({{"role", "model"}, {"parts", parts}});
  x["contents"].push_back({{"role", "user"}, {"parts", json::parse(responses)}});
  return x.dump();
}

constexpr auto response = R"([{"functionResponse": {"name": "get_weather", "response": {"degrees": 7}}}])";

} // namespace

TEST_CASE("Gemini's stream says what the unary answer says", "[simulator][gemini]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* more;
    const char* reason;
  };
  for (auto [prompt, more, reason] :
       {row{question, "{}", "STOP"}, row{question, R"({"generationConfig": {"maxOutputTokens": 7}})", "MAX_TOKENS"},
        row{question, R"({"generation_config": {"stop_sequences": ["."]}})", "STOP"}, row{question, thoughts, "STOP"},
        row{question, R"({"generationConfig": {"thinkingConfig": {"thinkingBudget": 100}}})", "STOP"},
        row{question, R"({"generationConfig": {"candidateCount": 3}})", "STOP"},
        row{"天空为什么是蓝色的？", "{}", "STOP"}, row{"What is the weather in Oslo?", weather, "STOP"},
        row{question, R"({"generationConfig": {"responseMimeType": "application/json"}})", "STOP"}}) {
    INFO(prompt << " " << more);
    auto unary = said(generate(server.port(), content(prompt, more)));
    auto answer = stream(server.port(), content(prompt, more));
    CHECK(answer.headers["content-type"] == "text/event-stream");
    CHECK(answer.body.ends_with("\r\n\r\n"));
    CHECK(said(answer) == unary);
    CHECK(unary["reason"] == reason);
    const auto& usage = unary["usage"];
    CHECK(usage["totalTokenCount"]
          == usage["promptTokenCount"].get<int>() + usage["candidatesTokenCount"].get<int>()
               + usage.value("thoughtsTokenCount", 0));
    CHECK(usage.contains("thoughtsTokenCount") == (std::string_view(more).find("thinking") != std::string_view::npos));
    CHECK((unary["thoughts"] != "") == (more == thoughts));
  }
  auto list = call(server.port(), "streamGenerateContent", content(question)).parsed();
  CHECK(list.is_array());
  CHECK(said(std::vector{list[0]}) == said(generate(server.port(), content(question))));
}

TEST_CASE("Gemini's calls come whole, and go back with their signature", "[simulator][gemini]") {
  simulator::server server({});
  auto parts = generate(server.port(), content("What is the weather in Oslo?", weather))
                 .parsed()["candidates"][0]["content"]["parts"];
  REQUIRE(parts.size() == 1);
  CHECK(parts[0]["functionCall"]["name"] == "get_weather");
  CHECK(parts[0]["functionCall"]["args"]["city"] == "Oslo");
  REQUIRE(parts[0].contains("thoughtSignature"));
  CHECK(said(generate(server.port(), with_response(parts, response)))["text"] != "");
  auto other_arguments = parts, other_name = parts, without = parts, free_pass = parts;
  other_arguments[0]["functionCall"]["args"]["city"] = "Bergen";
  other_name[0]["functionCall"]["name"] = "get_wind";
  without[0].erase("thoughtSignature");
  free_pass[0]["thoughtSignature"] = "skip_thought_signature_validator";
  struct row {
    json parts;
    const char* model;
    int status;
    const char* word;
  };
  for (const auto& [sent, model, status, word] :
       {row{other_arguments, "gemini-2.5-pro", 400, "Corrupted"}, row{other_name, "gemini-sim-pro", 400, "Corrupted"},
        row{without, "gemini-sim-pro", 400, "missing a thought_signature"}, row{without, "gemini-2.5-pro", 200, ""},
        row{free_pass, "gemini-sim-pro", 200, ""}}) {
    auto answer = generate(server.port(), with_response(sent, response), model);
    INFO(answer.body);
    CHECK(answer.status == status);
    CHECK(answer.body.find(word) != std::string::npos);
  }
  auto later = json::parse(with_response(without, response)); // what lies before the present turn is not looked at
  later["contents"].push_back({{"role", "model"}, {"parts", {{{"text", "7 degrees."}}}}});
  later["contents"].push_back({{"role", "user"}, {"parts", {{{"text", "Thanks!"}}}}});
  CHECK(generate(server.port(), later.dump()).status == 200);
}

TEST_CASE("Gemini's modes choose the calls", "[simulator][gemini]") {
  simulator::server server({});
  const auto two = R"({"tools": [{"functionDeclarations": [{"name": "get_weather"}, {"name": "find_city"}]}]})";
  struct row {
    const char* prompt;
    const char* config;
    std::vector<std::string> names;
  };
  for (const auto& [prompt, config, names] :
       {row{"Is it cold in Oslo?", "{}", {}}, row{"The weather in this city?", "{}", {"get_weather", "find_city"}},
        row{"The weather?", R"({"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}})", {}},
        row{"Hello",
            R"({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["find_city"]}}})",
            {"find_city"}}}) {
    INFO(prompt << " " << config);
    std::vector<std::string> called;
    auto x = said(generate(server.port(), merged(content(prompt, two), config)));
    for (const auto& each : x["calls"]) {
      called.push_back(each["functionCall"]["name"]);
      CHECK(each.contains("thoughtSignature") == (called.size() == 1));
    }
    CHECK(called == names);
  }
}

TEST_CASE("bad requests get Google's errors", "[simulator][gemini]") {
  simulator::options settings;
  settings.context_tokens = 1'000;
  simulator::server server(settings);
  const auto call_part = R"([{"functionCall": {"name": "get_weather", "args": {}}, "thoughtSignature":
    "skip_thought_signature_validator"}])"_json;
  struct row {
    std::string body;
    const char* word;
  };
  for (const auto& [body, word] :
       {row{"{", "Invalid JSON payload"}, row{"{}", "contents is not specified"},
        row{content(question, R"({"message": 1})"), "Unknown name \\\"message\\\": Cannot find field"},
        row{content(question, R"({"generationConfig": {"max_tokens": 1}})"), "at 'generation_config'"},
        row{content(question, R"({"generationConfig": {"maxOutputTokens": 0}})"), "not in the range"},
        row{content(question, R"({"generationConfig": {"temperature": 3}})"), "temperature value of 3"},
        row{content(question, R"({"generationConfig": {"stopSequences": ["a","b","c","d","e","f"]}})"), "at most 5"},
        row{content(question, R"({"generationConfig": {"responseSchema": {"type": "OBJECT"}}})"), "response_mime_type"},
        row{content(question,
                    R"({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}})"),
            "only one of thinking"},
        row{content(question, R"({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]})"), "valid role"},
        row{content(question, R"({"contents": [{"role": "user", "parts": []}]})"), "must not be empty"},
        row{content(question, R"({"contents": [{"role": "user", "parts": [{"thought": true}]}]})"), "oneof field"},
        row{content(question, R"({"tools": [{"functionDeclarations": [{"name": "a b"}]}]})"), "Invalid function name"},
        row{content(question, R"({"tools": [{"functionDeclarations": [{"name": "a", "parameters":
          {"type": "OBJECT", "additionalProperties": false}}]}]})"),
            "additionalProperties"},
        row{
          content(question, R"({"tools": [{"functionDeclarations": [{"name": "a", "parameters": {"type": "map"}}]}]})"),
          "v1beta.Type"},
        row{with_response(call_part, R"([{"text": "x"}])"), "number of function response parts"},
        row{with_response(R"([{"text": "x"}])"_json, response), "immediately after a function call turn"},
        row{with_response(call_part, R"([{"functionResponse": {"name": "get_weather", "response": "7"}}])"), "Struct"},
        row{content(std::string(8'000, 'x')), "exceeds the maximum number of tokens"}}) {
    auto answer = generate(server.port(), body);
    INFO(body << " " << answer.body);
    CHECK(answer.status == 400);
    CHECK(answer.parsed()["error"]["status"] == "INVALID_ARGUMENT");
    CHECK(answer.parsed()["error"]["code"] == 400);
    CHECK(answer.body.find(word) != std::string::npos);
  }
  auto missing = generate(server.port(), content(question), "missing-1");
  CHECK(missing.status == 404);
  CHECK(missing.parsed()["error"]["status"] == "NOT_FOUND");
  CHECK(call(server.port(), "sing", "{}").status == 404);
}

TEST_CASE("Google's keys are wrong with 400, absent with 403", "[simulator][gemini]") {
  simulator::options settings;
  settings.api_key = "key";
  simulator::server server(settings);
  CHECK(call(server.port(), "generateContent", content(question)).status == 403);
  auto wrong = call(server.port(), "generateContent", content(question), "x-goog-api-key: other\r\n");
  CHECK(wrong.status == 400);
  CHECK(wrong.parsed()["error"]["details"][0]["reason"] == "API_KEY_INVALID");
  CHECK(call(server.port(), "generateContent", content(question), "x-goog-api-key: key\r\n").status == 200);
  CHECK(call(server.port(), "generateContent?alt=json&key=key", content(question)).status == 200);
}

TEST_CASE("limits and faults speak Google's language", "[simulator][gemini]") {
  struct row {
    const char* name;
    int status;
    const char* word;
    const char* delay; ///< Empty: none.
  };
  for (auto [name, status, word, delay] :
       {row{"429", 429, "RESOURCE_EXHAUSTED", ""}, row{"429_retry_after", 429, "PerMinute", "1.5s"},
        row{"429_quota", 429, "PerDay", "21s"}, row{"500", 500, "INTERNAL", ""}, row{"503", 503, "UNAVAILABLE", ""},
        row{"529", 503, "overloaded", ""}}) {
    auto settings = always_with(name);
    settings.retry_after = std::chrono::milliseconds(1'500);
    simulator::server server(settings);
    auto x = generate(server.port(), content(question));
    INFO(name << " " << x.body);
    CHECK(x.status == status);
    CHECK(x.body.find(word) != std::string::npos);
    CHECK(x.body.find("\"retryDelay\":\"" + std::string(delay)) != (*delay ? std::string::npos : 0));
    CHECK((x.body.find("RetryInfo") != std::string::npos) == (*delay != 0));
    CHECK_FALSE(x.headers.contains("retry-after"));
  }
  simulator::options settings;
  settings.requests_per_minute = 1;
  simulator::server server(settings);
  CHECK(generate(server.port(), content(question)).headers.contains("x-ratelimit-limit-requests") == false);
  auto refused = generate(server.port(), content(question));
  CHECK(refused.status == 429);
  auto details = refused.parsed()["error"]["details"];
  CHECK(details[0]["violations"][0]["quotaValue"] == "1");
  CHECK(std::stod(details.back()["retryDelay"].get<std::string>()) > 30);
}

TEST_CASE("faults in Gemini's streams strike between its events", "[simulator][gemini]") {
  for (auto more : {"{}", thoughts, weather}) {
    const auto request = content("What is the weather in Oslo?", more);
    simulator::server whole({});
    const auto all = events_of(stream(whole.port(), request).body).size();
    simulator::server server(always_with("error_event"));
    std::set<std::size_t> lengths;
    for (int i = 100; i < 200; ++i) {
      auto answer =
        stream(server.port(), request, "x-modelforge-request: " + std::string(29, '0') + std::to_string(i) + "\r\n");
      auto error = answer.body.substr(answer.body.rfind("\n{") + 1);
      CHECK(json::parse(error)["error"]["status"] == "INTERNAL");
      lengths.insert(events_of(answer.body).size());
    }
    CHECK(*lengths.rbegin() < all);
    CHECK(*lengths.begin() < 2 + all / 10);
  }
  simulator::server cut(always_with("truncated"));
  CHECK(stream(cut.port(), content("What is the weather in Oslo?", weather)).status == 0);
}

TEST_CASE("Gemini's embeddings keep near what has the same words", "[simulator][gemini]") {
  simulator::server server({});
  auto one = call(server.port(), "embedContent", R"({"content": {"parts": [{"text": "a red apple"}]}})").parsed();
  auto batch = [&](std::string_view model) {
    return call(server.port(), "batchEmbedContents", R"({"requests": [
      {"model": "models/)" + std::string(model) + R"(", "content": {"parts": [{"text": "a red apple"}]}},
      {"model": "models/)" + std::string(model) + R"(", "content": {"parts": [{"text": "the red apple"}]}},
      {"model": "models/)" + std::string(model) + R"(", "content": {"parts": [{"text": "income tax law"}]}}]})");
  };
  auto vectors = batch("gemini-sim-pro").parsed()["embeddings"];
  REQUIRE(vectors.size() == 3);
  CHECK(vectors[0]["values"].size() == 3072);
  CHECK(vectors[0]["values"] == one["embedding"]["values"]);
  auto product = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = 0; i < 3072; ++i)
      sum += vectors[a]["values"][i].get<double>() * vectors[b]["values"][i].get<double>();
    return sum;
  };
  CHECK(std::abs(product(0, 0) - 1) < 1e-3);
  CHECK(product(0, 1) > product(0, 2) + 0.3);
  CHECK(batch("another").status == 400);
  CHECK(call(server.port(), "embedContent", R"({"content": {"parts": []}})").status == 400);
  CHECK(server.snapshot().admitted == 2);
  simulator::server faulty(always_with("503"));
  CHECK(call(faulty.port(), "embedContent", R"({"content": {"parts": [{"text": "x"}]}})").status == 503);
}

TEST_CASE("Gemini counts tokens and lists models", "[simulator][gemini]") {
  simulator::server server({});
  auto counted = call(server.port(), "countTokens", content(question)).parsed();
  CHECK(counted["totalTokens"] == said(generate(server.port(), content(question)))["usage"]["promptTokenCount"]);
  CHECK(fetch(server.port(), "GET", "/v1beta/models?pageSize=1000").parsed()["models"].size() > 1);
  CHECK(fetch(server.port(), "GET", "/v1beta/models/gemini-x").parsed()["name"] == "models/gemini-x");
  CHECK(fetch(server.port(), "GET", "/v1/models", "", "x-goog-api-key: k\r\n").parsed().contains("models"));
  CHECK(fetch(server.port(), "POST", "/v1/models/gemini-x:generateContent", content(question)).status == 200);
}

} // namespace modelforge::gemini_test
