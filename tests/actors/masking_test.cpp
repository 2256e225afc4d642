#include "provider/masking.hpp"
#include "tests/actors/provider_fixture.hpp"
#include "tests/support/temporary_folder.hpp"

#include <modelforge/actors/text_stream.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>

namespace modelforge::masking_test {

using namespace std::chrono_literals;

namespace {

const std::string key = "3f9a0c77d1e84b52a6b0e1f2c3d4958a"; // as Azure's: no prefix tells what it is
const std::string pass = "gate/way+Pass=word-77";           // of a header

const std::string encoded = "gate%2Fway%2BPass%3Dword-77";
const std::string in_base64 = "M2Y5YTBjNzdkMWU4NGI1MmE2YjBlMWYyYzNkNDk1OGE="; // the key

/// A provider whose answers hold its own secrets.
struct masking_test : test::provider_test {
  masking_test() {
    ::setenv("MODELFORGE_TEST_GATE", pass.c_str(), 1);
    settings.keys.push_back({"default", {}, folder.write("key", key + "\n")});
    settings.headers.push_back({"x-gate", {}, "MODELFORGE_TEST_GATE"});
    settings.retry.max_attempts = 1;
    settings.circuit_breaker.enabled = false;
  }

  /// What of the secrets is in a message's texts.
  template <class Message>
  static std::string found(Message x) {
    std::string result;
    text_visitor to{[&](const std::string& text) {
      for (auto* secret : {&key, &pass})
        for (std::size_t at = 0; at + 8 <= secret->size(); ++at)
          if (text.find(secret->substr(at, 8)) != text.npos)
            result += text + "\n";
      if (text.find(encoded) != text.npos || text.find(in_base64.substr(0, 12)) != text.npos)
        result += text + "\n";
    }};
    to.visit(x);
    return result;
  }

  test::temporary_folder folder;
};

} // namespace

TEST_CASE_METHOD(masking_test, "secrets that a provider echoes are in no error", "[actors][secret]") {
  auto provider = spawn();
  auto error = [](const std::string& message, const std::string& code) {
    return R"({"error":{"message":")" + message + R"(","type":")" + code + R"(","code":")" + code + R"("}})";
  };
  const std::vector<std::string> bodies = {
    error("the key " + key + " is wrong", "invalid_api_key"),
    error("no", key),
    error("the gate's " + encoded, pass.substr(10) + "x"),
    error("see " + in_base64, "x"),
    error("the key " + key.substr(0, 20) + "... is wrong", "x"),
    "<html><title>" + key + "</title>" + pass + "</html>",
    std::string(990, '.') + key,
    error(std::string(980, '.') + key, "x"),
    "{\"broken\":" + key,
    key,
  };
  for (auto status : {uint16_t{200}, uint16_t{401}, uint16_t{404}, uint16_t{500}})
    for (auto& body : bodies) {
      CAPTURE(status, body);
      auto answer = ask_chat(provider, question(0));
      http->answer(0, status, body, {{"x-request-id", "q-" + key}, {"request-id", pass}});
      run();
      REQUIRE(answer->error);
      CHECK(found(*answer->error) == "");
    }
}

TEST_CASE_METHOD(masking_test, "nor in answers, embeddings and lists of models", "[actors][secret]") {
  settings.default_embedding_model = "e";
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  http->answer(0, 200,
               R"({"id":")" + key + R"(","model":")" + key + R"(","choices":[{"message":{"content":"it is )" + key
                 + R"(","tool_calls":[{"id":")" + key
                 + R"(","function":{"name":"f","arguments":"{\"a\":\"gate\\/way+Pass=word-77\"}"}}]},"finish_reason":")"
                 + pass + R"("}]})");
  run();
  REQUIRE(answer->value);
  CHECK(found(*answer->value) == "");
  CHECK(answer->value->text == "it is ***");
  embedding_request texts;
  texts.inputs = {"a"};
  auto vectors = ask<embedding>(provider, texts);
  http->answer(0, 200, R"({"model":")" + key + R"(","data":[{"index":0,"embedding":[1,2]}]})");
  run();
  REQUIRE(vectors->value);
  CHECK(found(*vectors->value) == "");
  auto models = ask<model_list>(provider, models_atom_v);
  http->answer(0, 200, R"({"data":[{"id":"m"},{"id":")" + key + R"("}]})");
  run();
  REQUIRE(models->value);
  CHECK(models->value->models == std::vector<std::string>{"m", "***"});
}

TEST_CASE_METHOD(masking_test, "nor in streams", "[actors][secret]") {
  auto provider = spawn();
  std::string texts;
  std::vector<stream_outcome> ends;
  stream_options options;
  options.on_text = [&](const std::string& x) { texts += x; };
  options.on_end = [&](const stream_outcome& x) { ends.push_back(x); };
  auto stream = stream_text(system(), provider, question(1), options);
  run();
  http->stream(0, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"it is " + key + ".\"}}]}\n\n");
  http->send(0, "data: {\"error\":{\"message\":\"" + pass + " is wrong\",\"code\":\"" + key + "\"}}\n\n");
  run();
  CHECK(texts == "it is ***.");
  REQUIRE(ends.size() == 1);
  CHECK(found(std::get<stream_failed>(ends[0]).why) == "");
}

} // namespace modelforge::masking_test
