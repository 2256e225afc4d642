#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::hostile_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

// Whatever a client sends: it gets an answer, and the server lives on.

namespace {

struct example {
  const char* path;
  const char* headers;
  const char* body;
};

constexpr auto version = "anthropic-version: 2023-06-01\r\n";
constexpr example examples[] = {
  {"/v1/chat/completions", "", R"({"model": "m", "seed": 1, "stop": ["."], "n": 2, "max_tokens": 9, "temperature": 1,
    "prompt_cache_key": "k", "prompt_cache_retention": "24h", "parallel_tool_calls": true,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
      "properties": {"a": {"type": "string", "enum": ["x"]}, "b": {"type": "array", "items": {"type": "integer"}}},
      "required": ["a"]}}}],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "stream": true, "stream_options": {"include_usage": true},
    "messages": [{"role": "system", "content": "json"},
      {"role": "user", "content": [{"type": "text", "text": "weather"}, {"type": "image_url", "image_url": {"url": "u"}}]},
      {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "7"}]})"},
  {"/v1/responses", "", R"({"model": "m", "instructions": "json", "max_output_tokens": 20, "temperature": 1,
    "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}, "stream": true,
    "stream_options": {"include_obfuscation": true},
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "u"}]},
      {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
      {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
      {"type": "function_call_output", "call_id": "c", "output": "7"},
      {"type": "web_search_call", "id": "w"}, {"type": "item_reference", "id": "i"}]})"},
  {"/v1/embeddings", "", R"({"model": "m", "input": ["a", "b"], "dimensions": 4, "encoding_format": "base64"})"},
  {"/v1/messages", version, R"({"model": "m", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024,
      "display": "omitted"}, "stop_sequences": ["x"], "stream": true, "cache_control": {"type": "ephemeral"},
    "tools": [{"name": "f", "type": "custom", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral",
      "ttl": "1h"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "citations": []},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aa"}}]},
      {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "d"}, {"type": "tool_use", "id": "t", "name": "f",
        "input": {"a": 1}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "7"}]}]}]})"},
  {"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "", R"({
    "systemInstruction": {"parts": [{"text": "s"}]},
    "generationConfig": {"seed": 1, "temperature": 1, "topP": 1, "topK": 1, "candidateCount": 2, "maxOutputTokens": 9,
      "stopSequences": ["x"], "responseMimeType": "application/json", "thinkingConfig": {"includeThoughts": true,
      "thinkingBudget": 9}, "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "ARRAY",
      "items": {"type": "STRING"}}}, "anyOf": [{"type": "STRING"}]}},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "contents": [{"role": "user", "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "aa"}}]},
      {"role": "model", "parts": [{"text": "t", "thought": true}, {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}}]},
      {"role": "user", "parts": [{"functionResponse": {"id": "i", "name": "f", "response": {"r": 1}}}]}]})"},
  {"/v1beta/models/m:batchEmbedContents", "", R"({"requests": [{"model": "models/m", "outputDimensionality": 4,
    "content": {"parts": [{"text": "x"}]}}]})"},
  {"/api/chat", "", R"({"model": "m", "keep_alive": "5m", "think": "low", "truncate": true, "stream": true,
    "format": {"type": "object"}, "options": {"seed": 1, "num_predict": 9, "num_ctx": 100, "stop": ["x"], "temperature": 1},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "messages": [{"role": "user", "content": "x", "images": ["aaaa"]},
      {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
      {"role": "tool", "tool_name": "f", "content": "7"}]})"},
  {"/api/embed", "", R"({"model": "m", "input": ["a", "b"], "dimensions": 4, "truncate": false, "keep_alive": 1})"},
  {"/api/show", "", R"({"model": "m"})"}};

/// Calls `act` with `root` after each change of one place to each of `values`, and undoes it.
template <class Act>
void change_each(json& root, json& place, const std::vector<json>& values, Act act) {
  if (place.is_structured())
    for (auto& inner : place)
      change_each(root, inner, values, act);
  for (const auto& value : values) {
    auto before = std::exchange(place, value);
    act(root);
    place = std::move(before);
  }
}

} // namespace

TEST_CASE("any value in any place of a request gets an answer", "[simulator][hostile]") {
  simulator::options settings;
  settings.max_answer_tokens = 20;
  simulator::server server(settings);
  const std::vector<json> values = {nullptr,
                                    true,
                                    -1,
                                    1e300,
                                    18'446'744'073'709'551'615u,
                                    "",
                                    "text",
                                    json::array(),
                                    {nullptr},
                                    {{}},
                                    json::object(),
                                    {{"type", 7}},
                                    {{"type", "text"}}};
  for (const auto& each : examples) {
    auto root = json::parse(each.body);
    connection to(server.port());
    change_each(root, root, values, [&](const json& changed) {
      to.send(http_request("POST", each.path, changed.dump(), each.headers));
      auto status = to.receive().status;
      if (status == 200 || (status >= 400 && status < 500))
        return;
      FAIL(each.path << " " << status << " " << changed.dump());
    });
  }
}

TEST_CASE("a body that ends anywhere gets an answer", "[simulator][hostile]") {
  simulator::server server({});
  for (const auto& [path, headers, body] : examples) {
    connection to(server.port());
    const std::string_view all = body;
    for (std::size_t i = 0; i < all.size(); i += 7) {
      to.send(http_request("POST", path, all.substr(0, i), headers));
      INFO(path << " " << i);
      REQUIRE(to.receive().status == 400);
    }
  }
}

TEST_CASE("a body that is nested without end gets an answer", "[simulator][hostile]") {
  simulator::server server({});
  for (std::size_t depth : {400u, 1'000'000u})
    for (const auto& [path, headers, body] : examples) {
      auto nested = std::string(depth, '[') + std::string(depth, ']');
      auto x = std::string(body);
      x.insert(x.find('{') + 1, R"("metadata": )" + nested + ", ");
      INFO(path << " " << depth);
      auto status = fetch(server.port(), "POST", path, x, headers).status;
      CHECK((status == 200 || (status >= 400 && status < 500)));
    }
}

} // namespace modelforge::hostile_test
