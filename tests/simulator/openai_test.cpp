#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace modelforge::openai_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto prompt = "How does photosynthesis help cacti?";
constexpr auto weather = R"({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {
  "type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
  "required": ["city", "unit"]}}}]})";
constexpr auto with_usage = R"({"stream": true, "stream_options": {"include_usage": true}})";

} // namespace

TEST_CASE("simulator answers in one piece", "[simulator]") {
  simulator::server server({});
  auto x = chat(server.port(), ask(prompt));
  CHECK(x.status == 200);
  CHECK(x.headers["content-type"] == "application/json");
  CHECK(x.headers["x-request-id"].starts_with("req_"));
  CHECK(std::stoi(x.headers["openai-processing-ms"]) < 1'000);
  CHECK_FALSE(x.headers["openai-version"].empty());
  CHECK_FALSE(x.headers["date"].empty());
  auto body = x.parsed();
  CHECK(body["object"] == "chat.completion");
  CHECK(body["model"] == "sim-mini");
  CHECK(body["system_fingerprint"].get<std::string>().starts_with("fp_"));
  REQUIRE(body["choices"].size() == 1);
  CHECK(body["choices"][0]["finish_reason"] == "stop");
  CHECK(body["choices"][0]["message"]["role"] == "assistant");
  CHECK(content_of(body).size() > 40);
  const auto& usage = body["usage"];
  CHECK(usage["total_tokens"] == usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
}

TEST_CASE("a stream says what the unary answer says, a delta per token", "[simulator]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* more;
  };
  for (auto [text, more] :
       {row{prompt, "{}"}, row{prompt, R"({"max_tokens": 7})"}, row{prompt, R"({"stop": "."})"},
        row{"天空为什么是蓝色的？", "{}"}, row{"say \"quotes\\\" and \n lines", "{}"},
        row{prompt, R"({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema":
          {"type": "object", "properties": {"title": {"type": "string"}, "pages": {"type": "integer"}}}}}})"}}) {
    INFO(text << " " << more);
    auto unary = chat(server.port(), ask(text, more)).parsed();
    auto answer = chat(server.port(), merged(ask(text, more), with_usage));
    CHECK(answer.status == 200);
    CHECK(answer.headers["content-type"].starts_with("text/event-stream"));
    CHECK(answer.headers["cache-control"] == "no-cache");
    CHECK(answer.headers["x-accel-buffering"] == "no");
    auto stream = read_stream(answer.body);
    CHECK(stream.is_done);
    CHECK(stream.text == content_of(unary));
    CHECK(stream.finish_reason == unary["choices"][0]["finish_reason"].get<std::string>());
    CHECK(stream.usage == unary["usage"]);
    CHECK(stream.deltas == unary["usage"]["completion_tokens"].get<std::size_t>());
    std::set<std::string> ids;
    for (const auto& chunk : stream.chunks)
      ids.insert(chunk["id"]);
    CHECK(ids.size() == 1);
    CHECK(stream.chunks.back()["choices"].empty());
  }
}

TEST_CASE("usage comes when asked for, padding unless refused", "[simulator]") {
  simulator::server server({});
  auto plain = read_stream(chat(server.port(), ask(prompt, R"({"stream": true})")).body);
  CHECK(plain.usage.is_null());
  CHECK_FALSE(plain.chunks.at(1).contains("usage"));
  CHECK(plain.chunks.at(1).contains("obfuscation"));
  auto bare = read_stream(
    chat(server.port(), ask(prompt, R"({"stream": true, "stream_options": {"include_obfuscation": false}})")).body);
  CHECK_FALSE(bare.chunks.at(1).contains("obfuscation"));
  CHECK(bare.text == plain.text);
}

TEST_CASE("answers depend on seed, model and messages alone", "[simulator]") {
  auto answer = [](uint64_t seed, std::string_view request) {
    simulator::options settings;
    settings.seed = seed;
    simulator::server server(settings);
    (void)chat(server.port(), ask("something else first"));
    return content_of(chat(server.port(), request).parsed());
  };
  auto first = answer(1, ask(prompt));
  CHECK(answer(1, ask(prompt)) == first);
  CHECK(answer(1, ask(prompt, R"({"temperature": 0.3, "user": "x"})")) == first);
  CHECK(answer(2, ask(prompt)) != first);
  CHECK(answer(1, ask(prompt, R"({"model": "other"})")) != first);
  CHECK(answer(1, ask(prompt, R"({"seed": 5})")) != first);
  auto with_system = R"({"messages": [{"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How does photosynthesis help cacti?"}]})";
  auto other = answer(1, ask(prompt, with_system));
  CHECK_FALSE(other.empty());
  CHECK(other != first);
}

TEST_CASE("limits end the answer with length, stops without their text", "[simulator]") {
  simulator::server server({});
  for (auto more : {R"({"max_tokens": 4})", R"({"max_completion_tokens": 4})"}) {
    auto x = chat(server.port(), ask(prompt, more)).parsed();
    CHECK(x["choices"][0]["finish_reason"] == "length");
    CHECK(x["usage"]["completion_tokens"] == 4);
  }
  auto whole = content_of(chat(server.port(), ask(prompt)).parsed());
  auto stopped = chat(server.port(), ask(prompt, R"({"stop": ["never", "."]})")).parsed();
  CHECK(content_of(stopped) == whole.substr(0, whole.find('.')));
  CHECK(stopped["choices"][0]["finish_reason"] == "stop");
}

TEST_CASE("n choices differ, and their chunks interleave", "[simulator]") {
  simulator::server server({});
  auto unary = chat(server.port(), ask(prompt, R"({"n": 3})")).parsed();
  REQUIRE(unary["choices"].size() == 3);
  auto stream = read_stream(chat(server.port(), ask(prompt, R"({"n": 3, "stream": true})")).body);
  std::map<int, std::string> texts;
  std::map<int, int> ends;
  for (const auto& chunk : stream.chunks)
    for (const auto& x : chunk["choices"]) {
      texts[x["index"]] += x["delta"].value("content", "");
      ends[x["index"]] += x["finish_reason"].is_string();
    }
  std::set<std::string> different;
  for (int i = 0; i < 3; ++i) {
    CHECK(texts[i] == unary["choices"][i]["message"]["content"].get<std::string>());
    CHECK(ends[i] == 1);
    different.insert(texts[i]);
  }
  CHECK(different.size() == 3);
}

TEST_CASE("tools are called when the choice or the prompt asks for it", "[simulator]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* choice;
    bool is_called;
    std::string finish_reason;
  };
  for (const auto& [text, choice, is_called, finish_reason] :
       {row{"Is it cold in Oslo?", R"({"tool_choice": "required"})", true, "tool_calls"},
        row{"Is it cold in Oslo?", R"({"tool_choice": {"type": "function", "function": {"name": "get_weather"}}})",
            true, "stop"},
        row{"What is the weather in Oslo?", "{}", true, "tool_calls"}, row{"Is it cold in Oslo?", "{}", false, "stop"},
        row{"What is the weather in Oslo?", R"({"tool_choice": "none"})", false, "stop"}}) {
    INFO(text << " " << choice);
    auto request = merged(ask(text, weather), choice);
    auto unary = chat(server.port(), request).parsed();
    const auto& x = unary["choices"][0];
    CHECK(x["finish_reason"] == finish_reason);
    REQUIRE(x["message"].contains("tool_calls") == is_called);
    CHECK(x["message"]["content"].is_null() == is_called);
    auto stream = read_stream(chat(server.port(), merged(request, R"({"stream": true})")).body);
    CHECK(stream.text == content_of(unary));
    if (!is_called)
      continue;
    const auto& call = x["message"]["tool_calls"][0];
    CHECK(call["function"]["name"] == "get_weather");
    auto arguments = call["function"]["arguments"].get<std::string>();
    CHECK(json::parse(arguments)["city"] == "Oslo");
    CHECK(stream.arguments == arguments);
    auto first = stream.chunks.at(0)["choices"][0]["delta"]["tool_calls"][0];
    CHECK(first["id"] == call["id"]);
    CHECK(first["index"] == 0);
  }
}

TEST_CASE("a tool's result is answered with text, its absence with an error", "[simulator]") {
  simulator::server server({});
  auto messages = [](std::string_view more) {
    return merged(ask("", weather), R"({"messages": [{"role": "user", "content": "What is the weather in Oslo?"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function",
      "function": {"name": "get_weather", "arguments": "{}"}}]})"
                                      + std::string(more) + "]}");
  };
  CHECK(chat(server.port(), messages("")).status == 400);
  CHECK(chat(server.port(), messages(R"(, {"role": "tool", "tool_call_id": "call_2", "content": "7"})")).status == 400);
  auto x = chat(server.port(), messages(R"(, {"role": "tool", "tool_call_id": "call_1", "content": "7"})")).parsed();
  CHECK(x["choices"][0]["finish_reason"] == "stop");
  CHECK_FALSE(content_of(x).empty());
}

TEST_CASE("JSON mode gives an object", "[simulator]") {
  simulator::server server({});
  auto x =
    chat(server.port(), ask("Describe Oslo as JSON", R"({"response_format": {"type": "json_object"}})")).parsed();
  CHECK(json::parse(content_of(x)).is_object());
}

TEST_CASE("models are listed", "[simulator]") {
  simulator::server server({});
  auto list = fetch(server.port(), "GET", "/v1/models").parsed();
  CHECK(list["object"] == "list");
  CHECK(list["data"].size() > 1);
  CHECK(fetch(server.port(), "GET", "/v1/models/sim-mini?x=1").parsed()["id"] == "sim-mini");
  CHECK(fetch(server.port(), "GET", "/v1/models/missing-1").status == 404);
}

TEST_CASE("bad requests get OpenAI's errors", "[simulator]") {
  simulator::options settings;
  settings.max_body = 100'000;
  settings.context_tokens = 1'000;
  simulator::server server(settings);
  struct row {
    const char* body;
    int status;
    const char* param; ///< "" stands for null.
    const char* code;  ///< Likewise.
    const char* word;  ///< Of the message.
  };
  static const auto messages = [](const char* x) { return R"({"model": "m", "messages": )" + std::string(x) + "}"; };
  struct family {
    std::string (*body)(const char* x);
    std::vector<row> rows;
  };
  const family families[] = {
    {[](const char* x) { return std::string(x); },
     {{"{\"model\":", 400, "", "", "column 10"},
      {"", 400, "", "", "parse"},
      {"[]", 400, "", "", "object"},
      {"{\"model\":\"\xff\"}", 400, "", "", "UTF-8"},
      {R"({"messages":[]})", 400, "model", "missing_required_parameter", "model"},
      {R"({"model":"m"})", 400, "messages", "missing_required_parameter", "messages"},
      {R"({"model":7,"messages":[]})", 400, "model", "invalid_type", "an integer"}}},
    {[](const char* x) { return messages(x); },
     {{"[]", 400, "messages", "empty_array", "minimum length 1"},
      {"{}", 400, "messages", "invalid_type", "an object"},
      {"[1]", 400, "messages[0]", "invalid_type", "an integer"},
      {R"([{"content":"x"}])", 400, "messages[0].role", "missing_required_parameter", "role"},
      {R"([{"role":"robot","content":"x"}])", 400, "messages[0].role", "invalid_value", "robot"},
      {R"([{"role":"user"}])", 400, "messages[0].content", "missing_required_parameter", "content"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", 400, "messages[0].content[0].text",
       "missing_required_parameter", "text"},
      {R"([{"role":"tool","content":"x","tool_call_id":"a"}])", 400, "messages[0].role", "", "tool_calls"}}},
    {[](const char* x) { return ask(prompt, x); },
     {{R"({"temperature":3})", 400, "temperature", "decimal_above_max_value", "<= 2"},
      {R"({"n":0})", 400, "n", "integer_below_min_value", ">= 1"},
      {R"({"max_tokens":"9"})", 400, "max_tokens", "invalid_type", "a string"},
      {R"({"max_tokens":9,"max_completion_tokens":9})", 400, "max_tokens", "invalid_parameter_combination",
       "same time"},
      {R"({"stop":["a","b","c","d","e"]})", 400, "stop", "array_above_max_length", "length 5"},
      {R"({"stream":"yes"})", 400, "stream", "invalid_type", "a boolean"},
      {R"({"stream_options":{}})", 400, "stream_options", "", "stream"},
      {R"({"tool_choice":"required"})", 400, "tool_choice", "", "tools"},
      {R"({"response_format":{"type":"json_object"}})", 400, "messages", "", "json"},
      {R"({"response_format":{"type":"json_schema"}})", 400, "response_format.json_schema",
       "missing_required_parameter", "json_schema"},
      {R"({"model":"missing-model"})", 404, "", "model_not_found", "missing-model"}}},
    {[](const char* x) { // repeated 50,000 times
       std::string text;
       for (int i = 0; i < 50'000; ++i)
         text += x;
       return ask(text);
     },
     {{"a", 400, "messages", "context_length_exceeded", "1000 tokens"}, {"ab ", 413, "", "", "100000 bytes"}}},
  };
  for (const auto& [body, rows] : families)
    for (const auto& [text, status, param, code, word] : rows) {
      INFO(text);
      auto x = chat(server.port(), body(text));
      CHECK(x.status == status);
      CHECK(x.headers["content-type"] == "application/json");
      CHECK(x.headers["x-request-id"].starts_with("req_"));
      INFO(x.body);
      auto error = x.parsed().value("error", json::object());
      CHECK(error["type"] == "invalid_request_error");
      CHECK(error["param"] == (*param ? json(param) : json()));
      CHECK(error["code"] == (*code ? json(code) : json()));
      CHECK(error.value("message", "").find(word) != std::string::npos);
    }
}

TEST_CASE("wrong paths and methods are told", "[simulator]") {
  simulator::server server({});
  struct row {
    const char* method;
    const char* path;
    int status;
    std::string code, allow;
  };
  for (const auto& [method, path, status, code, allow] :
       {row{"GET", "/v1/chat/completions", 405, "method_not_supported", "POST"},
        row{"DELETE", "/v1/models", 405, "method_not_supported", "GET"},
        row{"GET", "/__simulator/reset", 405, "method_not_supported", "POST"},
        row{"GET", "/v1/nothing", 404, "unknown_url", ""}, row{"POST", "/", 404, "unknown_url", ""}}) {
    INFO(method << " " << path);
    auto x = fetch(server.port(), method, path);
    CHECK(x.status == status);
    CHECK(x.parsed()["error"]["code"] == code);
    CHECK(x.headers["allow"] == allow);
  }
  auto head = fetch(server.port(), "HEAD", "/v1/models");
  CHECK(head.status == 404);
}

TEST_CASE("Azure's paths are OpenAI's, the older ones with a version and a deployment", "[simulator][azure]") {
  simulator::options settings;
  settings.api_key = "right-key";
  simulator::server server(settings);
  struct row {
    const char* path;
    int status;
  };
  for (const auto& [path, status] :
       {row{"/openai/v1/chat/completions", 200}, row{"/openai/v1/chat/completions?api-version=preview", 200},
        row{"/openai/deployments/m/chat/completions?api-version=2024-10-21", 200},
        row{"/openai/deployments/m/chat/completions?x=1&api-version=2024-10-21", 200},
        row{"/openai/deployments/m/chat/completions", 404}, row{"/openai/chat/completions?api-version=2024-10-21", 404},
        row{"/openai/deployments/m/responses?api-version=2024-10-21", 404},
        row{"/openai/deployments?api-version=2024-10-21", 404}, row{"/openai/v1/nothing", 404}}) {
    INFO(path);
    CHECK(fetch(server.port(), "POST", path, ask(prompt), "api-key: right-key\r\n").status == status);
  }
  CHECK(fetch(server.port(), "POST", "/openai/v1/chat/completions", ask(prompt), "api-key: wrong\r\n").status == 401);
  CHECK(fetch(server.port(), "GET", "/openai/models?api-version=2024-10-21", "", "api-key: right-key\r\n").status
        == 200);
}

TEST_CASE("a wrong key is refused, and never repeated", "[simulator]") {
  simulator::options settings;
  settings.api_key = "right-key";
  simulator::server server(settings);
  auto wrong = chat(server.port(), ask(prompt), "authorization: Bearer wrong-key\r\n");
  CHECK(wrong.status == 401);
  CHECK(wrong.parsed()["error"]["code"] == "invalid_api_key");
  CHECK(wrong.body.find("-key") == std::string::npos);
  CHECK(chat(server.port(), ask(prompt)).status == 401);
  CHECK(fetch(server.port(), "GET", "/v1/models").status == 401);
  CHECK(chat(server.port(), ask(prompt), "authorization: Bearer right-key\r\n").status == 200);
  CHECK(fetch(server.port(), "GET", "/__simulator/stats").status == 200);
}

TEST_CASE("Azure's deployments stand for the model, which the body need not name", "[simulator][azure]") {
  simulator::server server({});
  struct row {
    const char *path, *body;
    int status;
  };
  auto chat = R"("messages":[{"role":"user","content":"hi"}])";
  auto without = "{" + std::string{chat} + "}", null = R"({"model":null,)" + std::string{chat} + "}";
  for (const auto& [path, body, status] :
       {row{"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", without.c_str(), 200},
        row{"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", null.c_str(), 200},
        row{"/openai/deployments/my-gpt/embeddings?api-version=2024-10-21", R"({"input":"a"})", 200},
        row{"/openai/deployments/missing/chat/completions?api-version=2024-10-21", without.c_str(), 404},
        row{"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", "[]", 400},
        row{"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", "{", 400},
        row{"/openai/v1/chat/completions", without.c_str(), 400}}) {
    INFO(path << ' ' << body);
    auto x = fetch(server.port(), "POST", path, body);
    CHECK(x.status == status);
    if (status == 200)
      CHECK(x.parsed()["model"] == "my-gpt");
  }
}

} // namespace modelforge::openai_test
