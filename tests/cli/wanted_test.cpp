#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <atomic>
#include <sstream>

namespace modelforge::wanted_test {

// What is asked for and not delivered, as people meet it: JSON by a schema, vectors of a length, several answers.

using namespace modelforge::test;
using json = nlohmann::json;

namespace {

/// A server that says the same to everybody, whole or as a stream, and counts.
struct wanted_test : cli_test {
  std::atomic<int> asked = 0;

  misbehaving_server::behaviour saying(std::string text) {
    return [this, text = std::move(text)](peer& x) {
      while (auto request = x.read_request()) {
        ++asked;
        auto is_stream = request->find("\"stream\":true") != request->npos;
        json choice = {{"index", 0}, {"finish_reason", "stop"}};
        auto middle = text.size() / 2;
        auto event = [](const json& one) { return "data: " + json{{"choices", json::array({one})}}.dump() + "\n\n"; };
        json first = {{"index", 0}, {"delta", {{"content", text.substr(0, middle)}}}};
        choice[is_stream ? "delta" : "message"] = {{"content", is_stream ? text.substr(middle) : text}};
        auto body = is_stream ? event(first) + event(choice) + "data: [DONE]\n\n"
                              : json{{"choices", json::array({choice})},
                                     {"usage", {{"prompt_tokens", 3}, {"completion_tokens", 5}}}}
                                  .dump();
        x.send(whole_answer(200, body, is_stream ? "text/event-stream" : "application/json"));
      }
    };
  }

  std::string schema() {
    return folder.write("answer.json", R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})");
  }
};

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> result;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    result.push_back(json::parse(line));
  return result;
}

} // namespace

TEST_CASE_METHOD(wanted_test, "chat --schema prints what follows the schema, and shows all else as an error",
                 "[cli][schema]") {
  struct row {
    std::string text, printed, told;
  };
  for (auto& [text, printed, told] :
       std::initializer_list<row>{{R"({"a":1})", "{\"a\":1}\n", ""},
                                  {"```json\n{\"a\":1}\n```", "{\"a\":1}\n", "code fence"},
                                  {R"({"a":"x"})", "", "/a is a string, not an integer"},
                                  {"Sorry, only prose.", "", "is not JSON"}})
    for (auto* form : {"--stats", "--no-stream"}) {
      INFO(text << ' ' << form);
      asked = 0;
      misbehaving_server server{saying(text)};
      auto x = run({"chat", "-c", configure(server.url("")), "--schema", schema(), form, "hello"});
      CHECK(x.exit_code == (printed.empty() ? 1 : 0));
      CHECK(x.out == printed);
      CHECK(contains(x.err, told));
      if (printed.empty())
        CHECK(contains(x.err, "the answer was:\n" + text));
      CHECK(asked == 1);
    }
}

TEST_CASE_METHOD(wanted_test, "chat --schema keeps what came in JSON and in files, too", "[cli][schema]") {
  misbehaving_server prose{saying("prose")}, fenced{saying("```\n{\"a\":1}\n```")};
  auto x = run({"chat", "-c", configure(prose.url("")), "--schema", schema(), "--json", "--no-stream", "hello"});
  CHECK(x.exit_code == 1);
  CHECK(json::parse(x.out)["error"]["code"] == "wrong_format");
  CHECK(json::parse(x.out)["error"]["text"] == "prose");
  x = run({"chat", "-c", configure(prose.url("")), "--schema", schema(), "--json", "hello"});
  CHECK(x.exit_code == 1);
  CHECK(lines_of(x.out).back()["error"]["text"] == "prose");
  auto path = folder.path("out.json");
  x = run({"chat", "-c", configure(fenced.url("")), "--schema", schema(), "-o", path, "hello"});
  CHECK(x.exit_code == 0);
  CHECK(folder.read("out.json") == "{\"a\":1}");
  x = run({"chat", "-c", configure(prose.url("")), "--schema", schema(), "-o", path, "hello"});
  CHECK(x.exit_code == 1);
  CHECK(folder.read("out.json") == "{\"a\":1}");
  CHECK(folder.read("out.json.partial") == "prose");
}

TEST_CASE_METHOD(wanted_test, "rows of a batch that are not the JSON they asked for are told apart", "[cli][schema]") {
  misbehaving_server server{saying("prose")};
  auto body = [](const std::string& more) {
    return R"({"custom_id":"q","body":{"model":"m","messages":[{"role":"user","content":"hi"}])" + more + "}}\n";
  };
  auto input = folder.write("in.jsonl", body(R"(,"response_format":{"type":"json_object"})"));
  auto x = run({"batch", "-c", configure(server.url("")), input, "-o", folder.path("out.jsonl")});
  CHECK(x.exit_code == 1);
  auto lines = lines_of(folder.read("out.jsonl"));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["response"].is_null());
  CHECK(lines[0]["error"]["code"] == "wrong_format");
  CHECK(lines[0]["error"]["text"] == "prose");
  CHECK(contains(x.err, "5 out"));
  CHECK(asked == 1);
}

TEST_CASE_METHOD(wanted_test, "embed says that a server has no choice of dimensions", "[cli][schema]") {
  std::string vectors = R"({"data":[{"index":0,"embedding":[1,2,3]}]})";
  misbehaving_server server{always(whole_answer(200, vectors))};
  auto embed = [&](const char* count) {
    return run({"embed", "-c", configure(server.url("")), "-m", "e", "--dimensions", count, "a"});
  };
  CHECK(embed("3").exit_code == 0);
  auto x = embed("8");
  CHECK(x.exit_code == 1);
  CHECK(x.out.empty());
  CHECK(contains(x.err, "vectors of 8 numbers were asked for, and 3 came"));
  CHECK(contains(x.err, "leave them out"));
}

} // namespace modelforge::wanted_test
