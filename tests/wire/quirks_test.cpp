#include "wire/openai/quirks.hpp"

#include "tests/wire/hear.hpp"
#include "wire/openai/responses.hpp"

#include <functional>
#include <set>

namespace modelforge::quirks_test {

using namespace modelforge::test;
using json = modelforge::json::value;

namespace {

chat_request hello() {
  chat_request x;
  x.model = "demo";
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

/// A change of a request, and what becomes of it with each server that differs from the rest.
struct change {
  std::string what;
  std::function<void(chat_request&)> make;
  std::string usual;                                       ///< What it adds to the body.
  std::vector<std::pair<std::string, std::string>> others; ///< The same for these; "": left out, with a warning; a text
                                                           ///< without a brace: the beginning of why it is refused.
};

const std::vector<change>& changes() {
  static const std::vector<change> all{
    {"max_tokens",
     [](auto& x) { x.sampling.max_tokens = 9; },
     R"({"max_tokens":9})",
     {{"groq", R"({"max_completion_tokens":9})"}}},
    {"seed",
     [](auto& x) { x.sampling.seed = 7; },
     R"({"seed":7})",
     {{"mistral", R"({"random_seed":7})"}, {"deepseek", ""}}},
    {"top_k",
     [](auto& x) { x.sampling.top_k = 5; },
     R"({"top_k":5})",
     {{"groq", "sampling.top_k "}, {"mistral", "sampling.top_k "}, {"deepseek", ""}, {"ollama", ""}}},
    {"effort",
     [](auto& x) { x.sampling.reasoning_effort = "low"; },
     R"({"reasoning_effort":"low"})",
     {{"openrouter", R"({"reasoning":{"effort":"low"}})"}}},
    {"budget",
     [](auto& x) { x.sampling.reasoning_budget = 99; },
     "sampling.reasoning_budget ",
     {{"openrouter", R"({"reasoning":{"max_tokens":99}})"}}},
    {"JSON",
     [](auto& x) { x.response_format.kind = response_kind::json_object; },
     R"({"response_format":{"type":"json_object"}})",
     {}},
    {"schema",
     [](auto& x) {
       x.response_format = {response_kind::json_schema, "s", "{}", false};
     },
     R"({"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{},"strict":false}}})",
     {{"deepseek", "response_format.schema "}}},
    {"any tool",
     [](auto& x) { x.tool_choice.mode = tool_mode::required; },
     R"({"tool_choice":"required"})",
     {{"mistral", R"({"tool_choice":"any"})"}, {"ollama", "tool_choice "}}},
    {"one tool",
     [](auto& x) {
       x.tool_choice = {tool_mode::named, "f", {}};
     },
     R"({"tool_choice":{"type":"function","function":{"name":"f"}}})",
     {{"llama_cpp", "tool_choice.name "}, {"ollama", "tool_choice "}}},
    {"no tool",
     [](auto& x) {
       x.tools = {{"f", "", "", false}};
       x.tool_choice.mode = tool_mode::none;
     },
     R"({"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"})",
     {{"ollama", "{}"}}},
    {"one call at a time",
     [](auto& x) { x.tool_choice.parallel = false; },
     R"({"parallel_tool_calls":false})",
     {{"deepseek", ""}, {"ollama", ""}}},
    {"several calls",
     [](auto& x) { x.tool_choice.parallel = true; },
     R"({"parallel_tool_calls":true})",
     {{"deepseek", "{}"}, {"ollama", "{}"}}},
    {"cache key", [](auto& x) { x.cache_key = "k"; }, "{}", {{"mistral", R"({"prompt_cache_key":"k"})"}}},
    {"name",
     [](auto& x) { x.messages[0].name = "ada"; },
     R"({"messages":[{"role":"user","content":"Hi","name":"ada"}]})",
     {{"groq", ""}, {"mistral", ""}, {"ollama", ""}}},
    {"developer",
     [](auto& x) { x.messages[0].role = role::developer; },
     R"({"messages":[{"role":"developer","content":"Hi"}]})",
     {{"llama_cpp", R"({"messages":[{"role":"system","content":"Hi"}]})"},
      {"groq", R"({"messages":[{"role":"system","content":"Hi"}]})"},
      {"mistral", R"({"messages":[{"role":"system","content":"Hi"}]})"},
      {"deepseek", R"({"messages":[{"role":"system","content":"Hi"}]})"},
      {"ollama", R"({"messages":[{"role":"system","content":"Hi"}]})"}}},
  };
  return all;
}

} // namespace

TEST_CASE("every known server gets the fields that it knows", "[wire][quirks]") {
  for (auto& row : changes())
    for (auto& server : openai::known_quirks()) {
      CAPTURE(row.what, server.name);
      auto expected = row.usual;
      for (auto& [name, other] : row.others)
        if (server.name == name)
          expected = other;
      auto x = hello();
      row.make(x);
      auto result = openai::compatible_chat_api(server.name).encode(x);
      auto* problem = std::get_if<failure>(&result);
      if (problem != nullptr) {
        CHECK(problem->code == errc::unsupported);
        CHECK(problem->message.starts_with(expected));
        CHECK_FALSE(problem->suggestion.empty());
        REQUIRE_FALSE(expected.empty());
        continue;
      }
      auto& good = std::get<encoded_request>(result);
      CHECK(good.warnings.size() == (expected.empty() ? 1 : 0));
      auto wanted = json::parse(R"({"model":"demo","messages":[{"role":"user","content":"Hi"}]})");
      wanted.update(json::parse(expected.empty() ? "{}" : expected));
      wanted["stream"] = false;
      CHECK(json::parse(good.body) == wanted);
    }
}

TEST_CASE("thoughts go back to servers that take them, unless another one sealed them", "[wire][quirks]") {
  struct {
    std::string_view name, field;
  } table[] = {{"vllm", "reasoning"},
               {"llama_cpp", "reasoning_content"},
               {"groq", ""},
               {"mistral", ""},
               {"deepseek", "reasoning_content"},
               {"openrouter", "reasoning"},
               {"ollama", "reasoning"},
               {"", ""}};
  for (auto& row : table) {
    CAPTURE(row.name);
    auto x = hello();
    x.messages.push_back({role::assistant,
                          {reasoning_part{"hm", ""}, reasoning_part{"no", "gemini:c2ln"}, reasoning_part{"so", ""},
                           tool_call{"a", "f", "{}"}},
                          ""});
    auto result = std::get<encoded_request>(openai::compatible_chat_api(row.name).encode(x));
    auto turn = json::parse(result.body)["messages"][1];
    REQUIRE(result.warnings.size() == 1);
    auto left_out = row.field.empty() ? "3 parts" : "1 parts";
    CHECK(result.warnings[0].find(left_out) != std::string::npos);
    if (row.field.empty())
      CHECK(turn.size() == 3);
    else
      CHECK(turn[std::string{row.field}] == "hm\n\nso");
  }
}

TEST_CASE("OpenRouter's object for thinking takes one of two fields, and more by extra", "[wire][quirks]") {
  auto x = hello();
  x.sampling.reasoning_budget = 99;
  x.sampling.reasoning_effort = "low";
  x.extra = R"({"reasoning":{"exclude":true},"provider":{"sort":"price"}})";
  auto result = std::get<encoded_request>(openai::compatible_chat_api("openrouter").encode(x));
  CHECK(json::parse(result.body)["reasoning"].dump() == R"({"max_tokens":99,"exclude":true})");
  CHECK(json::parse(result.body).contains("provider"));
  CHECK(result.warnings.size() == 1);
}

TEST_CASE("usage is asked for where a server tells it only then", "[wire][quirks]") {
  for (auto& server : openai::known_quirks()) {
    auto result = std::get<encoded_request>(openai::compatible_chat_api(server.name).encode(hello(), true));
    CHECK(json::parse(result.body).contains("stream_options") == (server.name != "mistral"));
  }
}

TEST_CASE("embeddings have each server's words, where it makes any", "[wire][quirks]") {
  embedding_request x;
  x.model = "demo";
  x.inputs = {"a"};
  x.dimensions = 8;
  for (auto& server : openai::known_quirks()) {
    CAPTURE(server.name);
    auto& by = openai::compatible_chat_api(server.name);
    auto result = by.encode_embedding(x);
    auto* good = std::get_if<encoded_request>(&result);
    auto makes_some = server.name != "groq" && server.name != "deepseek";
    CHECK((good != nullptr) == makes_some);
    CHECK((by.max_inputs() > 0) == makes_some);
    if (good != nullptr)
      CHECK(json::parse(good->body)[server.name == "mistral" ? "output_dimension" : "dimensions"] == 8);
    else
      CHECK(std::get<failure>(result).message == std::string{server.name} + " makes no embeddings");
  }
}

TEST_CASE("servers are found by their names, and by their public addresses", "[wire][quirks]") {
  std::set<std::string_view> names;
  for (auto& x : openai::known_quirks()) {
    CHECK(names.insert(x.name).second);
    CHECK(openai::quirks_of(x.name) == &x);
    CHECK(openai::compatible_chat_api(x.name).name() == x.name);
    CHECK(openai::compatible_responses_api(x.name).name() == std::string{x.name} + "_responses");
    CHECK(openai::compatible_chat_api(x.name).default_base_url().empty());
  }
  CHECK(openai::quirks_of("") == nullptr);
  CHECK(openai::compatible_chat_api("brand_new").name() == "openai_compatible");
  for (auto& [url, name] : {std::pair{"https://api.groq.com/openai/v1", "groq"},
                            {"https://api.mistral.ai/v1", "mistral"},
                            {"https://api.deepseek.com", "deepseek"},
                            {"https://openrouter.ai/api/v1", "openrouter"},
                            {"https://openrouter.ai:443/api/v1", "openrouter"},
                            {"https://API.Groq.com/openai/v1", "groq"},
                            {"http://127.0.0.1:11434/v1", ""},
                            {"https://api.groq.com.example/v1", ""},
                            {"https://example.com/api.groq.com", ""},
                            {"", ""}}) {
    auto* found = openai::quirks_at(url);
    CHECK((found == nullptr ? "" : found->name) == name);
  }
}

TEST_CASE("Groq's requests are counted for a day", "[wire][quirks]") {
  const http::response_head head{200,
                                 {{"x-ratelimit-limit-requests", "14400"},
                                  {"x-ratelimit-remaining-requests", "14399"},
                                  {"x-ratelimit-reset-requests", "6s"},
                                  {"x-ratelimit-limit-tokens", "18000"}}};
  auto of = [&](std::string_view flavor) { return openai::compatible_chat_api(flavor).hints(head, nullptr).limits; };
  CHECK_FALSE(of("groq")[0].limit);
  CHECK(of("groq")[0].remaining == 14399);
  CHECK(of("groq")[1].limit == 18000);
}

TEST_CASE("the Responses API of other servers has their words too", "[wire][quirks]") {
  auto x = hello();
  x.messages.push_back(text_message(role::developer, "Late."));
  x.sampling.max_tokens = 1;
  auto body = json::parse(std::get<encoded_request>(openai::compatible_responses_api("ollama").encode(x, true)).body);
  CHECK(body["input"][1]["role"] == "system");
  CHECK(body["max_output_tokens"] == 1);
  CHECK_FALSE(body.contains("stream_options"));
  auto answer = openai::compatible_responses_api("vllm").decode({200, {}}, R"({"status":"completed","output":[
    {"type":"reasoning","id":"rs","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
    {"type":"message","content":[{"type":"output_text","text":"Hi"}]}]})");
  CHECK(std::get<completion>(answer).reasoning == std::vector<reasoning_part>{{"hm", ""}});
}

TEST_CASE("answers of the known servers end as they mean it", "[wire][quirks][stream]") {
  auto chunk = [](std::string_view x) { return "data: " + std::string{x} + "\n\n"; };
  auto text = chunk(R"({"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]})");
  auto ended = [&](std::string_view reason, std::string_view more = "") {
    return chunk(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":")" + std::string{reason} + "\"}]"
                 + std::string{more} + "}");
  };
  auto error = chunk(R"({"error":{"message":"broke","type":"BadRequestError","code":400}})");
  const std::string done = "data: [DONE]\n\n";
  struct {
    std::string_view server;
    std::string body;
    std::optional<finish_reason> reason; ///< Empty: a failure.
    uint64_t output = 0;
  } table[] = {
    {"vllm", text + error + done, {}},
    {"vllm", text + ended("abort") + done, {}},
    {"groq",
     text + ended("stop", R"(,"usage":{"prompt_tokens":1,"completion_tokens":4},"x_groq":{"id":"r","usage":{}})")
       + done,
     finish_reason::stop, 4},
    {"groq", text + ended("stop", R"(,"x_groq":{"id":"r","error":"over capacity"})"), {}},
    {"mistral", text + ended("model_length", R"(,"usage":{"prompt_tokens":1,"completion_tokens":5})") + done,
     finish_reason::length, 5},
    {"mistral", text + ended("error") + done, {}},
    {"deepseek", ": keep-alive\n\n\n\n" + text + ended("insufficient_system_resource") + done, {}},
    {"openrouter",
     ": OPENROUTER PROCESSING\n\n" + text + chunk(R"({"id":"gen-demo","error":{"code":502,"message":"Upstream closed"},
data: "choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]})"),
     {}},
    {"ollama", text + chunk(R"({"id":"c","choices":[]})"), {}}, // then nothing: it failed
    {"ollama", text + ended("stop") + done, finish_reason::stop},
    {"llama_cpp", text + ended("stop", R"(,"timings":{"predicted_n":3})") + done, finish_reason::stop},
  };
  for (auto& row : table) {
    CAPTURE(row.server, row.body);
    auto& by = openai::compatible_chat_api(row.server);
    auto x = hear(row.body, by);
    REQUIRE(std::holds_alternative<completion>(x.end) == row.reason.has_value());
    CHECK(x.words == "a");
    if (row.reason) {
      CHECK(x.good().finish_reason == *row.reason);
      CHECK((x.good().usage ? x.good().usage->output : 0) == row.output);
    }
    check_cuts(row.body, by);
  }
}

} // namespace modelforge::quirks_test
