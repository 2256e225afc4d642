#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace modelforge::anthropic_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto question = "How does photosynthesis help cacti?";
constexpr auto version = "anthropic-version: 2023-06-01\r\n";
constexpr auto thinking = R"({"thinking": {"type": "enabled", "budget_tokens": 1024}})";
constexpr auto weather = R"({"tools": [{"name": "get_weather", "input_schema": {"type": "object", "properties":
  {"city": {"type": "string"}}, "required": ["city"]}}]})";

std::string message(std::string_view prompt, std::string_view more = "{}") {
  return merged(ask(prompt), merged(R"({"max_tokens": 4000})", more));
}

http_answer post(uint16_t port, std::string_view body, std::string_view headers = version) {
  return fetch(port, "POST", "/v1/messages", body, headers);
}

/// Puts a stream together as a client does.
json joined(std::string_view body) {
  json x;
  for (const auto& [name, data] : events_of(body)) {
    REQUIRE(data.is_object());
    REQUIRE(data["type"] == name);
    if (name == "message_start")
      x = data["message"];
    else if (name == "content_block_start")
      x["content"].push_back(data["content_block"]);
    else if (name == "message_delta")
      x.update(data["delta"]), x["usage"].update(data["usage"]);
    else if (name == "content_block_stop" && x["content"].back().contains("partial"))
      x["content"].back()["input"] = json::parse(x["content"].back()["partial"].get<std::string>()),
      x["content"].back().erase("partial");
    if (name != "content_block_delta")
      continue;
    auto& block = x["content"].at(data["index"].get<std::size_t>());
    for (auto [from, to] :
         {std::pair{"text", "text"}, {"thinking", "thinking"}, {"signature", "signature"}, {"partial_json", "partial"}})
      if (data["delta"].contains(from))
        block[to] = block.value(to, "") + data["delta"][from].get<std::string>();
  }
  return x;
}

std::vector<std::string> types_of(const json& content) {
  std::vector<std::string> all;
  for (const auto& x : content)
    all.push_back(x["type"]);
  return all;
}

/// A conversation whose last message answers the calls of `answer`, together with the request's other members.
std::string follow_up(const json& content, std::string_view results, std::string_view more = weather) {
  auto body = json::parse(message("What is the weather in Oslo?", more));
  body["messages"].push_back({{"role", "assistant"}, {"content", content}});
  body["messages"].push_back({{"role", "user"}, {"content", json::parse(results)}});
  return body.dump();
}

} // namespace

TEST_CASE("simulator answers in Anthropic's form", "[simulator][anthropic]") {
  simulator::server server({});
  auto answer = post(server.port(), message(question));
  CHECK(answer.status == 200);
  CHECK(answer.headers["request-id"].starts_with("req_"));
  auto x = answer.parsed();
  CHECK(x["type"] == "message");
  CHECK(x["role"] == "assistant");
  CHECK(x["stop_reason"] == "end_turn");
  CHECK(x["stop_sequence"].is_null());
  CHECK(types_of(x["content"]) == std::vector<std::string>{"text"});
  CHECK(x["usage"]["cache_read_input_tokens"] == 0);
  auto counted = fetch(server.port(), "POST", "/v1/messages/count_tokens", ask(question), version).parsed();
  CHECK(counted == json{{"input_tokens", x["usage"]["input_tokens"]}});
  CHECK(server.snapshot().completion_tokens == x["usage"]["output_tokens"].get<uint64_t>());
  CHECK(server.snapshot().admitted == 1); // counting is not limited
}

TEST_CASE("Anthropic's stream says what the unary answer says", "[simulator][anthropic]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* more;
    std::vector<std::string> types;
    std::string stop_reason;
  };
  for (const auto& [prompt, more, types, stop_reason] :
       {row{question, "{}", {"text"}, "end_turn"}, row{question, R"({"max_tokens": 7})", {"text"}, "max_tokens"},
        row{question, R"({"stop_sequences": ["."]})", {"text"}, "stop_sequence"},
        row{question, thinking, {"thinking", "text"}, "end_turn"},
        row{question, R"({"thinking": {"type": "adaptive", "display": "omitted"}})", {"thinking", "text"}, "end_turn"},
        row{"天空为什么是蓝色的？", thinking, {"thinking", "text"}, "end_turn"},
        row{"What is the weather in Oslo?", weather, {"text", "tool_use"}, "tool_use"},
        row{"ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING", thinking, {"redacted_thinking", "text"}, "end_turn"},
        row{"ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL", "{}", {}, "refusal"}}) {
    INFO(prompt << " " << more);
    auto unary = post(server.port(), message(prompt, more)).parsed();
    CHECK(types_of(unary["content"]) == types);
    CHECK(unary["stop_reason"] == stop_reason);
    auto answer = post(server.port(), message(prompt, merged(more, R"({"stream": true})")));
    CHECK(answer.headers["content-type"].starts_with("text/event-stream"));
    auto streamed = joined(answer.body);
    unary.erase("id");
    streamed.erase("id");
    CHECK(streamed == unary);
    auto events = events_of(answer.body);
    CHECK(events.back().name == "message_stop");
    CHECK(std::count_if(events.begin(), events.end(), [](auto& x) { return x.name == "ping"; })
          == static_cast<int>(!types.empty()));
  }
}

TEST_CASE("Anthropic's tools are called as the choice says", "[simulator][anthropic]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* choice;
    std::vector<std::string> types;
  };
  const auto two = merged(weather, R"({"tools": [{"name": "get_weather", "input_schema": {"type": "object"}},
    {"name": "find_city", "input_schema": {"type": "object"}}]})");
  for (const auto& [prompt, choice, types] :
       {row{"Is it cold in Oslo?", "{}", {"text"}},
        row{"Is it cold in Oslo?", R"({"tool_choice": {"type": "any"}})", {"tool_use"}},
        row{"Is it cold in Oslo?", R"({"tool_choice": {"type": "tool", "name": "find_city"}})", {"tool_use"}},
        row{"What is the weather in Oslo?", R"({"tool_choice": {"type": "none"}})", {"text"}},
        row{"What is the weather in that city?", "{}", {"text", "tool_use", "tool_use"}},
        row{"What is the weather in that city?",
            R"({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})",
            {"text", "tool_use"}}}) {
    INFO(prompt << " " << choice);
    auto x = post(server.port(), merged(message(prompt, two), choice)).parsed();
    CHECK(types_of(x["content"]) == types);
    std::set<std::string> ids;
    for (const auto& block : x["content"])
      ids.insert(block.value("id", ""));
    CHECK(ids.size() == std::set(types.begin(), types.end()).size() + (types.size() > 2));
  }
}

TEST_CASE("thinking comes back unchanged, or not at all", "[simulator][anthropic]") {
  simulator::server server({});
  const auto more = merged(weather, thinking);
  auto content = post(server.port(), message("What is the weather in Oslo?", more)).parsed()["content"];
  REQUIRE(types_of(content) == std::vector<std::string>{"thinking", "text", "tool_use"});
  CHECK(content[2]["input"]["city"] == "Oslo");
  auto results = json{{{"type", "tool_result"}, {"tool_use_id", content[2]["id"]}, {"content", "7"}}}.dump();
  auto answer = post(server.port(), follow_up(content, results, more)).parsed();
  CHECK(answer["stop_reason"] == "end_turn");
  auto changed = content;
  changed[0]["thinking"] = "Something else.";
  auto refused = post(server.port(), follow_up(changed, results, more));
  CHECK(refused.status == 400);
  CHECK(refused.parsed()["error"]["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block");
  content.erase(0);
  CHECK(post(server.port(), follow_up(content, results, more)).status == 400);
  CHECK(post(server.port(), follow_up(content, results)).status == 200); // without thinking
  auto redacted = post(server.port(), message("ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING", thinking)).parsed();
  auto body = json::parse(message("And now?", thinking));
  body["messages"] = {{{"role", "user"}, {"content", "First"}},
                      {{"role", "assistant"}, {"content", redacted["content"]}},
                      {{"role", "user"}, {"content", "And now?"}}};
  CHECK(post(server.port(), body.dump()).status == 200);
  body["messages"][1]["content"][0]["data"] = "Ered00";
  CHECK(post(server.port(), body.dump()).status == 400);
}

TEST_CASE("tool results follow their calls at once, in one message, first", "[simulator][anthropic]") {
  simulator::server server({});
  auto use = [](const char* id) {
    return json{{"type", "tool_use"}, {"id", id}, {"name", "get_weather"}, {"input", json::object()}};
  };
  struct row {
    const char* results;
    int status;
    const char* word;
  };
  for (auto [results, status, word] :
       {row{R"([{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"b"},
              {"type":"text","text":"Well?"}])",
            200, ""},
        row{R"([{"type":"tool_result","tool_use_id":"a"}])", 400, "immediately after: b."},
        row{R"([{"type":"tool_result","tool_use_id":"a"},{"type":"text","text":"Well?"},
              {"type":"tool_result","tool_use_id":"b"}])",
            400, "immediately after: b."},
        row{R"("Never mind")", 400, "immediately after: a, b."},
        row{R"([{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"b"},
              {"type":"tool_result","tool_use_id":"c"}])",
            400, "unexpected `tool_use_id`"}}) {
    auto answer = post(server.port(), follow_up({use("a"), use("b")}, results));
    INFO(answer.body);
    CHECK(answer.status == status);
    CHECK(answer.body.find(word) != std::string::npos);
  }
  CHECK(post(server.port(), follow_up({use("a"), use("a")}, R"("x")")).body.find("unique") != std::string::npos);
}

TEST_CASE("bad requests get Anthropic's errors", "[simulator][anthropic]") {
  simulator::options settings;
  settings.context_tokens = 1'000;
  simulator::server server(settings);
  struct row {
    const char* more; ///< null: the member is taken away.
    int status;
    const char* word;
  };
  const auto long_prompt = json{{"system", std::string(8'000, 'x')}}.dump();
  const auto marks = [](int count, const char* ttl) {
    auto blocks = json::array();
    for (int i = 0; i < count; ++i)
      blocks.push_back(
        {{"type", "text"}, {"text", "x"}, {"cache_control", {{"type", "ephemeral"}, {"ttl", i == 1 ? ttl : "5m"}}}});
    return json{{"system", blocks}}.dump();
  };
  const auto five_marks = marks(5, "5m"), late_mark = marks(2, "1h");
  for (auto [more, status, word] :
       {row{R"({"max_tokens": null})", 400, "max_tokens: Field required"},
        row{R"({"max_tokens": -1})", 400, "max_tokens"},
        row{R"({"model": null})", 400, "model: Field required"},
        row{R"({"model": "missing-1"})", 404, "model: missing-1"},
        row{R"({"seed": 1})", 400, "seed: Extra inputs are not permitted"},
        row{R"({"messages": []})", 400, "at least one message"},
        row{R"({"messages": [{"role": "system", "content": "x"}]})", 400, "top-level `system`"},
        row{R"({"messages": [{"role": "robot", "content": "x"}]})", 400, "messages.0.role"},
        row{R"({"messages": [{"role": "user", "content": ""}]})", 400, "non-empty content"},
        row{R"({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]})", 400, "non-whitespace"},
        row{R"({"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]})", 400, "not expected"},
        row{R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})", 400,
            "prefill"},
        row{R"({"system": 7})", 400, "system"},
        row{R"({"temperature": 2})", 400, "temperature"},
        row{R"({"temperature": 0.5, "top_p": 0.5})", 400, "cannot both be specified"},
        row{R"({"temperature": 0.5, "thinking": {"type": "adaptive"}})", 400, "may only be set to 1"},
        row{R"({"thinking": {"type": "enabled", "budget_tokens": 100}})", 400, "1024"},
        row{R"({"thinking": {"type": "enabled", "budget_tokens": 4000}})", 400, "must be greater than"},
        row{R"({"tool_choice": {"type": "any"}})", 400, "while providing tools"},
        row{R"({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]})", 400, "tools.0.custom.name"},
        row{R"({"tools": [{"name": "a"}]})", 400, "tools.0.custom.input_schema: Field required"},
        row{R"({"stop_sequences": [" "]})", 400, "non-whitespace"},
        row{R"({"max_tokens": 0, "stream": true})", 400, "streaming"},
        row{five_marks.c_str(), 400, "maximum of 4 blocks with cache_control may be provided. Found 5."},
        row{late_mark.c_str(), 400, "system.1.cache_control.ttl"},
        row{long_prompt.c_str(), 400, "prompt is too long"}}) {
    auto answer = post(server.port(), message(question, more));
    INFO(more << " " << answer.body);
    CHECK(answer.status == status);
    auto body = answer.parsed();
    CHECK(body["type"] == "error");
    CHECK(body["error"]["type"] == (status == 404 ? "not_found_error" : "invalid_request_error"));
    CHECK(body["error"].value("message", "").find(word) != std::string::npos);
    CHECK(body["request_id"] == answer.headers["request-id"]);
  }
  CHECK(post(server.port(), message(question), "").body.find("anthropic-version: header is required")
        != std::string::npos);
  CHECK(post(server.port(), "{", version).status == 400);
}

TEST_CASE("the version of 2026 has no sampling parameters", "[simulator][anthropic]") {
  simulator::server server({});
  const auto request = message(question, R"({"temperature": 1})");
  CHECK(post(server.port(), request).status == 200);
  auto refused = post(server.port(), request, "anthropic-version: 2026-10-21\r\n");
  CHECK(refused.status == 400);
  CHECK(refused.parsed()["error"]["message"] == "temperature: Extra inputs are not permitted");
  CHECK(post(server.port(), message(question), "anthropic-version: 2026-10-21\r\n").status == 200);
}

TEST_CASE("a request that only warms the cache has an empty answer", "[simulator][anthropic]") {
  simulator::server server({});
  auto x = post(server.port(), message(question, R"({"max_tokens": 0})")).parsed();
  CHECK(x["content"].empty());
  CHECK(x["stop_reason"] == "max_tokens");
  CHECK(x["usage"]["output_tokens"] == 0);
}

TEST_CASE("Anthropic's keys come in either header", "[simulator][anthropic]") {
  simulator::options settings;
  settings.api_key = "key";
  simulator::server server(settings);
  struct row {
    const char* header;
    int status;
  };
  for (auto [header, status] : {row{"", 401}, row{"x-api-key: other\r\n", 401}, row{"x-api-key: key\r\n", 200},
                                row{"authorization: Bearer key\r\n", 200}, row{"authorization: Bearer x\r\n", 401}}) {
    INFO(header);
    auto answer = post(server.port(), message(question), std::string(version) + header);
    CHECK(answer.status == status);
    if (status == 401)
      CHECK(answer.parsed()["error"]["type"] == "authentication_error");
    CHECK(fetch(server.port(), "GET", "/v1/models", "", std::string(version) + header).status == status);
  }
}

TEST_CASE("limits and faults speak Anthropic's language", "[simulator][anthropic]") {
  struct row {
    const char* name;
    int status;
    const char* type;
    const char* retry_after;
  };
  for (auto [name, status, type, retry_after] :
       {row{"429", 429, "rate_limit_error", ""}, row{"429_retry_after", 429, "rate_limit_error", "1"},
        row{"429_quota", 429, "rate_limit_error", ""}, row{"500", 500, "api_error", ""},
        row{"503", 503, "api_error", ""}, row{"529", 529, "overloaded_error", ""}}) {
    simulator::server server(always_with(name));
    auto x = post(server.port(), message(question));
    INFO(name << " " << x.body);
    CHECK(x.status == status);
    CHECK(x.parsed()["error"]["type"] == type);
    CHECK(x.parsed()["error"].contains("details") == (name == std::string("429_quota")));
    CHECK(x.headers["retry-after"] == retry_after);
  }
  simulator::options settings;
  settings.requests_per_minute = 1;
  settings.tokens_per_minute = 10'000;
  settings.accounting = simulator::token_accounting::input;
  simulator::server server(settings);
  auto first = post(server.port(), message(question));
  CHECK(first.status == 200);
  CHECK(first.headers["anthropic-ratelimit-requests-limit"] == "1");
  CHECK(first.headers["anthropic-ratelimit-requests-remaining"] == "0");
  CHECK(first.headers["anthropic-ratelimit-requests-reset"].ends_with("Z"));
  CHECK(first.headers["anthropic-ratelimit-input-tokens-limit"] == "10000");
  auto second = post(server.port(), message(question));
  CHECK(second.status == 429);
  CHECK(std::stoi(second.headers["retry-after"]) >= 1);
}

TEST_CASE("faults in Anthropic's streams strike between and within its events", "[simulator][anthropic]") {
  const auto request = message(question, merged(thinking, R"({"stream": true})"));
  std::set<std::size_t> lengths;
  simulator::server whole({});
  const auto all = events_of(post(whole.port(), request).body);
  simulator::server server(always_with("error_event"));
  for (int i = 100; i < 200; ++i) {
    auto id = "x-modelforge-request: " + std::string(29, '0') + std::to_string(i) + "\r\n"; // another place
    auto events = events_of(post(server.port(), request, version + id).body);
    REQUIRE_FALSE(events.empty());
    CHECK(events.back().name == "error");
    CHECK(events.back().data["error"]["type"] == "api_error");
    CHECK(events.size() <= all.size());
    lengths.insert(events.size());
  }
  CHECK(*lengths.begin() < 10);
  CHECK(*lengths.rbegin() > all.size() - 10);
  simulator::server cut(always_with("cut"));
  auto events = events_of(post(cut.port(), request).body);
  CHECK((events.empty() || events.back().name != "message_stop"));
  simulator::server garbage(always_with("garbage"));
  CHECK(events_of(post(garbage.port(), request).body).back().data.is_discarded());
}

TEST_CASE("the older place of an answer's schema means the same", "[simulator][anthropic]") {
  simulator::server server({});
  auto post = [&](const std::string& more) {
    return fetch(server.port(), "POST", "/v1/messages",
                 R"({"model":"m","max_tokens":200,"messages":[{"role":"user","content":"hi"}],)" + more + "}",
                 "anthropic-version: 2023-06-01\r\n");
  };
  std::string format = R"({"type":"json_schema","schema":{"type":"object","properties":{"city":{"type":"string"}},
    "required":["city"],"additionalProperties":false}})";
  auto older = post(R"("output_format":)" + format);
  REQUIRE(older.status == 200);
  auto text = older.parsed()["content"][0]["text"].get<std::string>();
  CHECK(json::parse(text)["city"].is_string());
  auto newer = post(R"("output_config":{"format":)" + format + "}");
  CHECK(newer.parsed()["content"][0]["text"] == text);
  CHECK(post(R"("output_format":)" + format + R"(,"output_config":{"format":)" + format + "}").status == 400);
  CHECK(post(R"("output_format":{"type":"text"})").status == 400);
  CHECK(post(R"("output_format":7)").status == 400);
  CHECK(post(R"("output_format":null)").status == 200);
}

} // namespace modelforge::anthropic_test
