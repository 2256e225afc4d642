#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace modelforge::ollama_test {

using namespace modelforge::test;
namespace simulator = modelforge::simulator;

namespace {

constexpr auto question = "How does photosynthesis help cacti?";
constexpr auto unary = R"({"stream": false})";
constexpr auto weather = R"({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters":
  {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]})";

http_answer post(uint16_t port, std::string_view body, std::string_view headers = {}) {
  return fetch(port, "POST", "/api/chat", body, headers);
}

/// The lines of a stream; what is no JSON is discarded.
std::vector<json> lines_of(std::string_view body) {
  std::vector<json> all;
  while (!body.empty()) {
    auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    all.push_back(json::parse(line, nullptr, false));
  }
  return all;
}

/// Puts a stream together as a client does.
json joined(const std::vector<json>& lines) {
  json x = lines.back();
  std::string content, thinking;
  json calls = json::array();
  for (const auto& line : lines) {
    REQUIRE(line["done"] == (&line == &lines.back()));
    content += line["message"]["content"];
    thinking += line["message"].value("thinking", "");
    for (const auto& each : line["message"].value("tool_calls", json::array()))
      calls.push_back(each);
  }
  x["message"]["content"] = content;
  if (!thinking.empty())
    x["message"]["thinking"] = thinking;
  if (!calls.empty())
    x["message"]["tool_calls"] = calls;
  x.erase("created_at");
  return x;
}

} // namespace

TEST_CASE("Ollama's lines say what the unary answer says, unless asked otherwise", "[simulator][ollama]") {
  simulator::server server({});
  struct row {
    const char* prompt;
    const char* more;
    const char* reason;
  };
  for (auto [prompt, more, reason] :
       {row{question, "{}", "stop"}, row{question, R"({"options": {"num_predict": 7}})", "length"},
        row{question, R"({"options": {"stop": ["."]}})", "stop"}, row{question, R"({"think": true})", "stop"},
        row{question, R"({"think": "high", "options": {"num_predict": 9}})", "length"},
        row{"What is the weather in Oslo?", weather, "stop"}, row{"天空为什么是蓝色的？", "{}", "stop"},
        row{question, R"({"format": "json"})", "stop"}}) {
    INFO(prompt << " " << more);
    auto whole = post(server.port(), merged(ask(prompt, more), unary)).parsed();
    auto answer = post(server.port(), ask(prompt, more));
    CHECK(answer.headers["content-type"] == "application/x-ndjson");
    CHECK(answer.body.ends_with("}\n"));
    auto lines = lines_of(answer.body);
    whole.erase("created_at");
    CHECK(joined(lines) == whole);
    CHECK(whole["done_reason"] == reason);
    CHECK(whole["message"].contains("thinking") == (std::string_view(more).find("think") != std::string_view::npos));
    std::set<std::string> times;
    for (const auto& line : lines)
      times.insert(line["created_at"]);
    CHECK(times.size() == lines.size());
  }
}

TEST_CASE("Ollama's calls come whole, with arguments as an object", "[simulator][ollama]") {
  simulator::server server({});
  const auto request = ask("What is the weather in Oslo?", merged(weather, unary));
  auto message = post(server.port(), request).parsed()["message"];
  REQUIRE(message["tool_calls"].size() == 1);
  CHECK(message["tool_calls"][0]["function"]["name"] == "get_weather");
  CHECK(message["tool_calls"][0]["function"]["arguments"]["city"] == "Oslo");
  auto next = json::parse(request);
  next["messages"].push_back(message);
  next["messages"].push_back({{"role", "tool"}, {"tool_name", "get_weather"}, {"content", "7"}});
  auto answer = post(server.port(), next.dump()).body;
  CHECK_FALSE(joined(lines_of(answer))["message"].contains("tool_calls"));
  next["messages"][1]["tool_calls"][0]["function"]["arguments"] = "{}";
  CHECK(post(server.port(), next.dump()).status == 400);
  auto cut = post(server.port(), merged(request, R"({"options": {"num_predict": 4}})")).parsed();
  CHECK(cut["done_reason"] == "length");
  CHECK_FALSE(cut["message"].contains("tool_calls")); // half a call is none
}

TEST_CASE("without messages Ollama loads a model", "[simulator][ollama]") {
  simulator::server server({});
  auto x = post(server.port(), R"({"model": "sim"})");
  CHECK(x.headers["content-type"] == "application/json; charset=utf-8");
  CHECK(x.parsed()["done_reason"] == "load");
  CHECK(post(server.port(), R"({"model": "sim", "keep_alive": 0})").parsed()["done_reason"] == "unload");
}

TEST_CASE("bad requests get Ollama's errors", "[simulator][ollama]") {
  simulator::server server({});
  struct row {
    std::string body;
    int status;
    const char* word;
  };
  for (const auto& [body, status, word] :
       {row{"", 400, "missing request body"}, row{"{", 400, "parse"}, row{"{}", 400, "model is required"},
        row{R"({"model": 7})", 400, "cannot unmarshal number"},
        row{ask(question, R"({"model": "missing"})"), 404, "not found"},
        row{ask(question, R"({"messages": "x"})"), 400, "of type []api.Message"},
        row{ask(question, R"({"messages": [{"role": "developer", "content": "x"}]})"), 400, "invalid role"},
        row{ask(question, R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})"), 400, "array into Go"},
        row{ask(question, R"({"messages": [{"role": "user", "images": ["https://x"]}]})"), 400, "base64"},
        row{ask(question, R"({"options": {"num_predict": "x"}})"), 400, "num_predict"},
        row{ask(question, R"({"options": {"stop": "x"}})"), 400, "stop"},
        row{ask(question, R"({"format": "yaml"})"), 400, "format"},
        row{ask(question, R"({"think": "a lot"})"), 400, "think"},
        row{ask(question, R"({"keep_alive": "soon"})"), 400, "duration"},
        row{ask(question, R"({"options": {"num_ctx": 5}, "truncate": false})"), 400, "context length"}}) {
    auto answer = post(server.port(), body);
    INFO(body << " " << answer.body);
    CHECK(answer.status == status);
    REQUIRE(answer.parsed()["error"].is_string());
    CHECK(answer.parsed()["error"].get<std::string>().find(word) != std::string::npos);
  }
  auto cut = post(server.port(), ask(question, R"({"options": {"num_ctx": 5}, "stream": false, "unknown": 1})"));
  CHECK(cut.parsed()["prompt_eval_count"] == 5); // dropped in silence, as the field is
}

TEST_CASE("limits and faults speak Ollama's language", "[simulator][ollama]") {
  struct row {
    const char* name;
    int status;
    const char* retry_after;
  };
  for (auto [name, status, retry_after] :
       {row{"429", 429, ""}, row{"429_retry_after", 429, "1"}, row{"429_quota", 429, ""}, row{"500", 500, ""},
        row{"503", 503, ""}, row{"529", 503, ""}}) {
    simulator::server server(always_with(name));
    auto x = post(server.port(), ask(question));
    INFO(name << " " << x.body);
    CHECK(x.status == status);
    CHECK(x.parsed()["error"].is_string());
    CHECK(x.headers["retry-after"] == retry_after);
  }
  simulator::options settings;
  settings.requests_per_minute = 1;
  settings.api_key = "key";
  simulator::server server(settings);
  CHECK(post(server.port(), ask(question)).status == 401);
  CHECK(post(server.port(), ask(question), "authorization: Bearer key\r\n").status == 200);
  CHECK(post(server.port(), ask(question), "authorization: Bearer key\r\n").status == 429);
}

TEST_CASE("faults in Ollama's streams strike between and within its lines", "[simulator][ollama]") {
  for (auto more : {"{}", R"({"think": true})", weather}) {
    const auto request = ask("What is the weather in Oslo?", more);
    simulator::server whole({});
    const auto all = lines_of(post(whole.port(), request).body).size();
    std::set<std::size_t> lengths;
    simulator::server server(always_with("error_event"));
    for (int i = 100; i < 200; ++i) {
      auto id = "x-modelforge-request: " + std::string(29, '0') + std::to_string(i) + "\r\n"; // another place
      auto lines = lines_of(post(server.port(), request, id).body);
      CHECK(lines.back()["error"].is_string());
      lengths.insert(lines.size());
    }
    CHECK(*lengths.begin() < 10);
    CHECK(*lengths.rbegin() + 10 > all);
    CHECK(*lengths.rbegin() <= all);
  }
  simulator::server cut(always_with("cut"));
  auto lines = lines_of(post(cut.port(), ask(question)).body);
  CHECK((lines.empty() || lines.back()["done"] == false));
  simulator::server garbage(always_with("garbage"));
  CHECK(lines_of(post(garbage.port(), ask(question)).body).at(0).is_discarded());
}

TEST_CASE("Ollama's streams have no comments, and CR LF if that is asked for", "[simulator][ollama]") {
  simulator::options settings;
  settings.latency = std::chrono::milliseconds(60);
  settings.keep_alive = std::chrono::milliseconds(10);
  settings.crlf = true;
  settings.pieces_per_packet = 7;
  simulator::server server(settings);
  auto body = post(server.port(), ask(question)).body;
  CHECK(body.ends_with("}\r\n"));
  for (const auto& line : lines_of(body))
    CHECK(line.is_object());
}

TEST_CASE("Ollama embeds texts and shows its models", "[simulator][ollama]") {
  simulator::server server({});
  auto embed = [&](const char* body) { return fetch(server.port(), "POST", "/api/embed", body); };
  auto two = embed(R"({"model": "sim", "input": ["a red apple", "tax law"], "dimensions": 32})").parsed();
  REQUIRE(two["embeddings"].size() == 2);
  CHECK(two["embeddings"][1].size() == 32);
  CHECK(two["prompt_eval_count"] == 5);
  auto one = embed(R"({"model": "sim", "input": "a red apple"})").parsed();
  CHECK(one["embeddings"][0].size() == 768);
  CHECK(embed(R"({"model": "sim"})").parsed()["embeddings"].empty());
  CHECK(embed(R"({"input": "x"})").status == 400);
  CHECK(embed(R"({"model": "missing", "input": "x"})").status == 404);
  auto tags = fetch(server.port(), "GET", "/api/tags").parsed();
  CHECK(tags["models"].size() > 1);
  CHECK(tags["models"][0]["digest"].get<std::string>().size() == 64);
  CHECK(fetch(server.port(), "GET", "/api/version").parsed().contains("version"));
  CHECK(fetch(server.port(), "POST", "/api/show", R"({"model": "sim"})").parsed().contains("model_info"));
  CHECK(fetch(server.port(), "GET", "/api/chat").parsed()["error"].is_string());
}

TEST_CASE("the older path for vectors gives one, the same as the newer", "[simulator][ollama]") {
  simulator::server server({});
  auto post = [&](const char* path, const char* body) { return fetch(server.port(), "POST", path, body); };
  auto one = post("/api/embeddings", R"({"model":"m","prompt":"a river"})");
  CHECK(one.status == 200);
  CHECK(one.parsed()["embedding"]
        == post("/api/embed", R"({"model":"m","input":"a river"})").parsed()["embeddings"][0]);
  CHECK(post("/api/embeddings", R"({"model":"m"})").parsed()["embedding"].empty());
  CHECK(post("/api/embeddings", R"({"model":"m","prompt":""})").parsed()["embedding"].empty());
  CHECK(post("/api/embeddings", R"({"model":"m","prompt":7})").status == 400);
  CHECK(post("/api/embeddings", R"({"model":"missing","prompt":"a"})").status == 404);
}

} // namespace modelforge::ollama_test
