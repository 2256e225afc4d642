#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace modelforge::responses_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

// OpenAI's Responses and its embeddings.

namespace {

constexpr auto question = "How does photosynthesis help cacti?";
constexpr auto reasoning =
  R"({"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]})";
constexpr auto weather = R"({"tools": [{"type": "function", "name": "get_weather", "parameters": {"type": "object",
  "properties": {"city": {"type": "string"}}, "required": ["city"]}}]})";

std::string input(std::string_view prompt, std::string_view more = "{}") {
  return merged(json{{"model", "sim-mini"}, {"input", prompt}}.dump(), more);
}

http_answer post(uint16_t port, std::string_view body, std::string_view headers = {}) {
  return fetch(port, "POST", "/v1/responses", body, headers);
}

/// Puts a stream's items together from their parts, as a client does, and checks the events' names and numbers.
json joined(std::string_view body) {
  json items = json::array(), last;
  int number = 0;
  for (const auto& [name, data] : events_of(body)) {
    REQUIRE(data["type"] == name);
    REQUIRE(data["sequence_number"] == number++);
    auto at = data.value("output_index", std::size_t{0});
    if (name == "response.output_item.added")
      items.push_back(data["item"]);
    else if (name == "response.content_part.added")
      items.at(at)["content"].push_back(data["part"]);
    else if (name == "response.reasoning_summary_part.added")
      items.at(at)["summary"].push_back(data["part"]);
    else if (name == "response.output_text.delta")
      items.at(at)["content"][0]["text"].get_ref<std::string&>() += data["delta"];
    else if (name == "response.reasoning_summary_text.delta")
      items.at(at)["summary"][0]["text"].get_ref<std::string&>() += data["delta"];
    else if (name == "response.function_call_arguments.delta")
      items.at(at)["arguments"].get_ref<std::string&>() += data["delta"];
    else if (name == "response.output_item.done")
      items.at(at)["status"] = data["item"].value("status", "completed");
    else if (data.contains("response"))
      last = data["response"];
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto whole = last["output"].at(i);
    whole["status"] = whole.value("status", "completed");
    CHECK(items[i] == whole);
  }
  CHECK(items.size() == last["output"].size());
  return last;
}

/// What differs from one response to the next.
json without_ids(json x) {
  x.erase("id");
  x["created_at"] = x["created_at"].is_number(); // the second may pass between the two
  for (auto& item : x["output"]) {
    item.erase("id");
    item.erase("encrypted_content");
  }
  return x;
}

std::vector<std::string> types_of(const json& response) {
  std::vector<std::string> all;
  for (const auto& x : response["output"])
    all.push_back(x["type"]);
  return all;
}

} // namespace

TEST_CASE("a stream of Responses says what the unary answer says", "[simulator][responses]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* more;
    std::vector<std::string> types;
    const char* status;
  };
  for (const auto& [prompt, more, types, status] :
       {row{question, "{}", {"message"}, "completed"},
        row{question, R"({"max_output_tokens": 16})", {"message"}, "incomplete"},
        row{question, reasoning, {"reasoning", "message"}, "completed"},
        row{question, R"({"reasoning": {"effort": "high"}})", {"reasoning", "message"}, "completed"},
        row{"What is the weather in Oslo?", weather, {"function_call"}, "completed"},
        row{"天空为什么是蓝色的？", "{}", {"message"}, "completed"},
        row{question,
            R"({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object",
          "properties": {"title": {"type": "string"}}, "required": ["title"]}}}})",
            {"message"},
            "completed"}}) {
    INFO(prompt << " " << more);
    auto unary = post(server.port(), input(prompt, more)).parsed();
    CHECK(unary["object"] == "response");
    CHECK(types_of(unary) == types);
    CHECK(unary["status"] == status);
    CHECK(unary["incomplete_details"].is_null() == (status == std::string("completed")));
    const auto& usage = unary["usage"];
    CHECK((usage["output_tokens_details"]["reasoning_tokens"] > 0) == (types[0] == "reasoning"));
    CHECK(usage["total_tokens"] == usage["input_tokens"].get<int>() + usage["output_tokens"].get<int>());
    auto answer = post(server.port(), merged(input(prompt, more), R"({"stream": true})"));
    CHECK(without_ids(joined(answer.body)) == without_ids(unary));
    auto events = events_of(answer.body);
    CHECK(events.at(0).name == "response.created");
    CHECK(events.at(1).name == "response.in_progress");
    CHECK(events.back().name == std::string("response.") + status);
  }
}

TEST_CASE("a response's items go back as input", "[simulator][responses]") {
  simulator::server server({});
  const auto more = merged(weather, reasoning);
  auto first = json::parse(input("What is the weather in Oslo?", more));
  first["input"] = {
    {{"role", "user"}, {"content", {{{"type", "input_text"}, {"text", "What is the weather in Oslo?"}}}}}};
  auto unary = post(server.port(), first.dump()).parsed();
  REQUIRE(types_of(unary) == std::vector<std::string>{"reasoning", "function_call"});
  CHECK(json::parse(unary["output"][1]["arguments"].get<std::string>())["city"] == "Oslo");
  auto next = first;
  for (const auto& item : unary["output"])
    next["input"].push_back(item);
  CHECK(post(server.port(), next.dump()).body.find("No tool output found") != std::string::npos);
  next["input"].push_back(
    {{"type", "function_call_output"}, {"call_id", unary["output"][1]["call_id"]}, {"output", "7"}});
  CHECK(types_of(post(server.port(), next.dump()).parsed()) == std::vector<std::string>{"reasoning", "message"});
  auto other = next;
  other["input"][1]["encrypted_content"] = "gAAA";
  CHECK(post(server.port(), other.dump()).parsed()["error"]["code"] == "invalid_encrypted_content");
  other = next;
  other["input"].back()["call_id"] = "call_other";
  CHECK(post(server.port(), other.dump()).status == 400);
}

TEST_CASE("bad requests for responses get OpenAI's errors", "[simulator][responses]") {
  simulator::options settings;
  settings.context_tokens = 1'000;
  simulator::server server(settings);
  const auto long_prompt = input(std::string(8'000, 'x'));
  struct row {
    std::string body;
    const char* param; ///< "" stands for null, as below.
    const char* code;
  };
  for (const auto& [body, param, code] :
       {row{input(question, R"({"seed": 1})"), "seed", "unknown_parameter"},
        row{input(question, R"({"messages": []})"), "messages", "unknown_parameter"},
        row{R"({"model": "m"})", "input", "missing_required_parameter"},
        row{input(question, R"({"max_output_tokens": 15})"), "max_output_tokens", "integer_below_min_value"},
        row{input(question, R"({"previous_response_id": "resp_1"})"), "previous_response_id",
            "previous_response_not_found"},
        row{input(question, R"({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]})"),
            "input[0].content[0].type", "invalid_value"},
        row{input(question, R"({"input": [{"role": "tool", "content": "x"}]})"), "input[0].role", "invalid_value"},
        row{input(question, R"({"input": [{"type": "message_in_a_bottle"}]})"), "input[0].type", "invalid_value"},
        row{input(question, R"({"tools": [{"type": "function", "function": {"name": "x"}}]})"), "tools[0].name",
            "missing_required_parameter"},
        row{input(question, R"({"text": {"format": {"type": "json_object"}}})"), "input", ""},
        row{input(question, R"({"text": {"format": {"type": "json_schema", "json_schema": {}}}})"), "text.format.name",
            "missing_required_parameter"},
        row{input(question, R"({"reasoning": {"effort": "extreme"}})"), "reasoning.effort", "invalid_value"},
        row{input(question, R"({"stream_options": {}})"), "stream_options", ""},
        row{long_prompt, "input", "context_length_exceeded"}}) {
    auto answer = post(server.port(), body);
    INFO(body << " " << answer.body);
    CHECK(answer.status == 400);
    auto error = answer.parsed()["error"];
    CHECK(error["param"] == param);
    CHECK(error["code"] == (*code ? json(code) : json()));
  }
}

TEST_CASE("faults in Responses strike between its events", "[simulator][responses]") {
  for (auto more : {"{}", reasoning, R"({"reasoning": {"effort": "low"}})", weather}) {
    const auto request = merged(input("What is the weather in Oslo?", more), R"({"stream": true})");
    simulator::server whole({});
    const auto all = events_of(post(whole.port(), request).body).size();
    simulator::server server(always_with("error_event"));
    std::set<std::size_t> lengths;
    for (int i = 100; i < 200; ++i) {
      auto id = "x-modelforge-request: " + std::string(29, '0') + std::to_string(i) + "\r\n"; // another place
      auto events = events_of(post(server.port(), request, id).body);
      REQUIRE(events.size() >= 2);
      CHECK(events[events.size() - 2].name == "error");
      CHECK(events.back().name == "response.failed");
      CHECK(events.back().data["response"]["error"]["code"] == "server_error");
      CHECK(events.back().data["sequence_number"] == events[events.size() - 2].data["sequence_number"].get<int>() + 1);
      lengths.insert(events.size() - 1);
    }
    CHECK(*lengths.begin() < 10);
    CHECK(*lengths.rbegin() <= all);
    CHECK(*lengths.rbegin() + 10 > all);
  }
}

TEST_CASE("a response's input can be counted", "[simulator][responses]") {
  simulator::server server({});
  auto counted = fetch(server.port(), "POST", "/v1/responses/input_tokens", input(question)).parsed();
  CHECK(counted["input_tokens"] == post(server.port(), input(question)).parsed()["usage"]["input_tokens"]);
}

TEST_CASE("OpenAI's embeddings come as numbers or packed", "[simulator][embeddings]") {
  simulator::server server({});
  auto embed = [&](std::string_view more) {
    return fetch(server.port(), "POST", "/v1/embeddings",
                 merged(R"({"model": "sim-embedding", "input": ["a red apple", "tax law"], "dimensions": 3})", more));
  };
  auto plain = embed("{}").parsed();
  REQUIRE(plain["data"].size() == 2);
  CHECK(plain["data"][1]["index"] == 1);
  CHECK(plain["data"][0]["embedding"].size() == 3);
  CHECK(plain["usage"] == json{{"prompt_tokens", 5}, {"total_tokens", 5}});
  auto packed = embed(R"({"encoding_format": "base64"})").parsed();
  CHECK(packed["data"][0]["embedding"].get<std::string>().size() == 16);
  CHECK(embed(R"({"input": [1, 2, 3]})").parsed()["data"].size() == 1);
  CHECK(embed(R"({"input": [[1, 2], [3]], "dimensions": null})").parsed()["data"][1]["embedding"].size() == 1536);
  const auto too_many = json{{"input", std::vector<std::string>(2'049, "x")}}.dump();
  const auto too_long = json{{"input", std::string(70'000, 'x')}}.dump();
  for (std::string_view more :
       {std::string_view(R"({"input": ""})"), std::string_view(R"({"input": []})"), std::string_view(R"({"input": 7})"),
        std::string_view(R"({"dimensions": 0})"), std::string_view(R"({"encoding_format": "hex"})"),
        std::string_view(R"({"texts": []})"), std::string_view(too_many), std::string_view(too_long)}) {
    INFO(more.substr(0, 100));
    CHECK(embed(more).status == 400);
  }
  CHECK(embed(R"({"model": "missing"})").status == 404);
  simulator::options settings;
  settings.tokens_per_minute = 8;
  simulator::server limited(settings);
  auto limited_embed = [&] {
    return fetch(limited.port(), "POST", "/v1/embeddings", R"({"model": "m", "input": "a red apple and more"})");
  };
  CHECK(limited_embed().headers["x-ratelimit-remaining-tokens"] == "3");
  CHECK(limited_embed().status == 429);
}

} // namespace modelforge::responses_test
