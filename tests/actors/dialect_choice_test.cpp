#include "tests/actors/provider_fixture.hpp"
#include "wire/openai/quirks.hpp"
#include "wire/vendors.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <catch2/catch_test_macros.hpp>

namespace modelforge::dialect_choice_test {

using namespace modelforge::test;

namespace {

const std::string response = R"({"id":"resp_1","status":"completed","model":"o3-demo",)"
                             R"("output":[{"type":"message","content":[{"type":"output_text","text":"Mild."}]}],)"
                             R"("usage":{"input_tokens":7,"output_tokens":3}})";

} // namespace

TEST_CASE_METHOD(provider_test, "models are asked by the API that their entry names", "[actors]") {
  runtime.state_folder = "none";
  settings.models.push_back({"o3*", {}, {}, model_api::responses});
  auto provider = spawn();
  ask_chat(provider, question(1));
  CHECK(http->at(0).request.url == "http://acme.test/v1/chat/completions");
  say(0, "hi");
  auto x = question(2);
  x.model = "o3-mini";
  auto answer = ask_chat(provider, x);
  CHECK(http->at(0).request.url == "http://acme.test/v1/responses");
  http->answer(0, 200, response);
  run();
  CHECK(answer->value->text == "Mild.");
  CHECK(answer->value->usage == token_usage{7, 3, 0, 0, 0});
  CHECK(answer->value->attempts.at(0).lane == "default"); // it shares the provider's limits
}

TEST_CASE_METHOD(provider_test, "a stream is read as its model was asked", "[actors][stream]") {
  settings.api = provider_api::responses;
  settings.models.push_back({"old-*", {}, {}, model_api::chat});
  auto provider = spawn();
  auto told = std::make_shared<std::vector<stream_done>>();
  for (auto* model : {"o3-mini", "old-1"}) {
    auto to = system().spawn([=](stream_subscriber_actor::pointer) -> stream_subscriber_actor::behavior_type {
      return {
        [](const stream_chunk&) {},
        [=](const stream_done& x) { told->push_back(x); },
        [](const stream_failed&) {},
      };
    });
    stream_request x;
    x.chat = question(told->size() + 1);
    x.chat.model = model;
    x.whole_text = true;
    auto session = ask<stream_session_actor>(provider, x, to);
    REQUIRE(session->value);
    auto is_new = std::string_view{model} == "o3-mini";
    CHECK(http->at(0).request.url.ends_with(is_new ? "/responses" : "/chat/completions"));
    http->stream(0, is_new ? "data: {\"type\":\"response.completed\",\"response\":" + response + "}\n\n"
                           : "data: {\"choices\":[{\"delta\":{\"content\":\"Mild.\"},\"finish_reason\":\"stop\"}]}\n\n"
                             "data: [DONE]\n\n");
    http->end(0);
    run();
  }
  REQUIRE(told->size() == 2);
  for (auto& x : *told)
    CHECK(x.result.text == "Mild.");
}

TEST_CASE_METHOD(provider_test, "a server is known by its address or by the flavor that is set", "[actors]") {
  struct {
    std::string base_url;
    server_flavor flavor;
    std::string field;
  } table[] = {
    {"https://api.groq.com/openai/v1", server_flavor::automatic, "max_completion_tokens"},
    {"https://api.groq.com/openai/v1", server_flavor::none, "max_tokens"},
    {"https://example.com/v1", server_flavor::groq, "max_completion_tokens"},
    {"https://example.com/v1", server_flavor::automatic, "max_tokens"},
  };
  settings.kind = provider_kind::openai_compatible;
  for (auto& row : table) {
    settings.base_url = row.base_url;
    settings.flavor = row.flavor;
    auto provider = spawn();
    auto x = question(1);
    x.sampling.max_tokens = 5;
    auto answer = ask_chat(provider, x);
    CHECK(http->at(0).request.body.find("\"" + row.field + "\":5") != std::string::npos);
    say(0, "hi");
    CHECK(answer->value);
  }
}

TEST_CASE_METHOD(provider_test, "Azure's older API is asked by deployment and version", "[actors]") {
  settings.kind = provider_kind::azure;
  settings.base_url = "https://r.openai.azure.com";
  settings.api_version = "2024-10-21";
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  CHECK(http->at(0).request.url
        == "https://r.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21");
  say(0, "hi");
  CHECK(answer->value);
}

TEST_CASE("every flavor of the settings is a server that is known, and every API has its kinds", "[actors]") {
  for (auto name : enum_names<server_flavor>)
    CHECK((wire::openai::quirks_of(name) != nullptr) == (name != "automatic" && name != "none"));
  CHECK(wire::openai::known_quirks().size() + 2 == enum_names<server_flavor>.size());
  for (auto kind : enum_names<provider_kind>) {
    CHECK(wire::find_dialect({.kind = kind, .base_url = "https://h/v1"}) == wire::find_dialect(kind));
    auto has_both = kind == "openai" || kind == "azure" || kind == "openai_compatible";
    CHECK((wire::find_dialect({.kind = kind, .api = "responses"}) != nullptr) == has_both);
  }
}

} // namespace modelforge::dialect_choice_test
