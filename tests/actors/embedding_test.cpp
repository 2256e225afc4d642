#include "actors/embedding_split.hpp"
#include "tests/actors/provider_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <set>

namespace modelforge::embedding_test {

/// Requests for embeddings, and lists of models, through the provider actor.

using namespace modelforge::test;

namespace {

struct embedding_test : provider_test {
  embedding_test() {
    settings.default_embedding_model = "e";
    settings.circuit_breaker.enabled = false;
    settings.retry.max_attempts = 1;
    runtime.state_folder = "none";
  }

  static embedding_request texts(std::size_t count) {
    embedding_request x;
    x.id = {9, count};
    for (std::size_t i = 0; i < count; ++i)
      x.inputs.push_back(std::to_string(i));
    return x;
  }

  auto ask_vectors(const provider_actor& to, embedding_request x) { return ask<embedding>(to, std::move(x)); }

  /// Answers the i-th pending request with a vector for each input: its number, and 1.
  void answer(std::size_t i) {
    auto inputs = nlohmann::json::parse(http->at(i).request.body).at("input").get<std::vector<std::string>>();
    nlohmann::json data = nlohmann::json::array();
    for (std::size_t k = inputs.size(); k-- > 0;) // the index counts, not the order
      data.push_back({{"index", k}, {"embedding", {std::stof(inputs[k]), 1.0F}}});
    http->answer(
      i, 200, nlohmann::json{{"data", data}, {"model", "e-1"}, {"usage", {{"prompt_tokens", inputs.size()}}}}.dump());
    run();
  }
};

} // namespace

TEST_CASE_METHOD(embedding_test, "vectors come in the order of their texts", "[actors][embedding]") {
  settings.price = {2, 0, 0, 0};
  auto provider = spawn();
  auto asked = ask_vectors(provider, texts(3));
  REQUIRE(http->pending() == 1);
  CHECK(http->at(0).request.url == "http://acme.test/v1/embeddings");
  CHECK(nlohmann::json::parse(http->at(0).request.body).at("model") == "e");
  answer(0);
  REQUIRE(asked->value);
  auto& x = *asked->value;
  CHECK(x.vectors == std::vector<std::vector<float>>{{0, 1}, {1, 1}, {2, 1}});
  CHECK(x.id == request_id{9, 3});
  CHECK(x.provider == "acme");
  CHECK(x.model == "e-1");
  REQUIRE(x.usage);
  CHECK(x.usage->input == 3);
  CHECK(x.cost == 6e-6);
  CHECK(x.attempts.size() == 1);
  CHECK(status(provider).answered == 1);
}

TEST_CASE_METHOD(embedding_test, "more texts than a request may carry are split and put together",
                 "[actors][embedding]") {
  auto provider = spawn();
  auto asked = ask_vectors(provider, texts(2048 * 9 + 5));
  std::set<std::size_t> in_flight;
  for (std::size_t rounds = 0; !asked->value && rounds < 20; ++rounds) {
    in_flight.insert(http->pending());
    REQUIRE(http->pending() > 0);
    answer(http->pending() - 1); // the last one first
  }
  REQUIRE(asked->value);
  auto& x = *asked->value;
  REQUIRE(x.vectors.size() == 2048 * 9 + 5);
  for (std::size_t i = 0; i < x.vectors.size(); ++i)
    REQUIRE(x.vectors[i] == std::vector<float>{static_cast<float>(i), 1});
  CHECK(x.usage->input == 2048 * 9 + 5);
  CHECK(x.attempts.size() == 10);
  CHECK(*in_flight.rbegin() <= settings.max_concurrent);
  CHECK(status(provider).queued == 0);
}

TEST_CASE_METHOD(embedding_test, "a part that fails fails the whole, and the others are taken back",
                 "[actors][embedding]") {
  auto provider = spawn();
  auto asked = ask_vectors(provider, texts(2048 * 4));
  REQUIRE(http->pending() == 2);
  http->answer(0, 400, R"({"error":{"message":"no","type":"invalid_request_error"}})");
  run();
  REQUIRE(asked->error);
  CHECK(asked->error->code == errc::invalid_request);
  CHECK(http->pending() == 0);
  auto now = status(provider);
  CHECK(now.queued == 0);
  CHECK(now.in_flight == 0);
}

TEST_CASE_METHOD(embedding_test, "a split request is cancelled by its id", "[actors][embedding]") {
  auto provider = spawn();
  auto asked = ask_vectors(provider, texts(2048 * 4));
  tell(provider, cancel_atom_v, request_id{9, 2048 * 4});
  run();
  REQUIRE(asked->error);
  CHECK(asked->error->code == errc::cancelled);
  CHECK(http->pending() == 0);
  CHECK(status(provider).queued == 0);
}

TEST_CASE_METHOD(embedding_test, "splits are known by their request and by their actor, until they end",
                 "[actors][embedding]") {
  auto provider = spawn();
  embedding_splits splits;
  std::vector<embedding_split_actor> all;
  for (uint64_t i = 0; i < 100; ++i)
    splits.add({1, i}, all.emplace_back(spawn_embedding_split(system(), provider, 1, 1)));
  auto asked_by = [&](const embedding_split_actor& who) {
    return splits.asked_by(caf::actor_cast<caf::strong_actor_ptr>(who));
  };
  for (uint64_t i = 0; i < all.size(); ++i) {
    CHECK(splits.contains({1, i}));
    CHECK(asked_by(all[i]) == request_id{1, i});
  }
  CHECK(splits.asked_by(nullptr) == request_id{});
  CHECK(splits.asked_by(caf::actor_cast<caf::strong_actor_ptr>(provider)) == request_id{});
  auto again = spawn_embedding_split(system(), provider, 1, 1);
  splits.add({1, 7}, again); // an id may come again
  CHECK(asked_by(again) == request_id{1, 7});
  CHECK(asked_by(all[7]) == request_id{});
  for (auto& each : all)
    caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
  all.clear();
  run();
  CHECK_FALSE(splits.contains({1, 0}));
  for (uint64_t i = 0; i < 1'000; ++i) {
    auto brief = spawn_embedding_split(system(), provider, 1, 1);
    splits.add({2, i}, brief);
    caf::anon_send_exit(brief, caf::exit_reason::user_shutdown);
    run();
  }
  CHECK(splits.size() < 50);
  CHECK(asked_by(again) == request_id{1, 7});
  caf::anon_send_exit(again, caf::exit_reason::user_shutdown);
  run();
}

TEST_CASE_METHOD(embedding_test, "what cannot be made vectors of is refused at once", "[actors][embedding]") {
  auto provider = spawn();
  CHECK(ask_vectors(provider, texts(0))->error->code == errc::invalid_request);
  settings.default_embedding_model.clear();
  auto without = spawn();
  auto why = *ask_vectors(without, texts(1))->error;
  CHECK(why.code == errc::invalid_request);
  CHECK(why.suggestion.find("default_embedding_model") != std::string::npos);
  settings.kind = provider_kind::anthropic;
  settings.default_embedding_model = "e";
  CHECK(ask_vectors(spawn(), texts(1))->error->code == errc::unsupported);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(embedding_test, "a provider lists its models beside the queue", "[actors][embedding]") {
  settings.rate_limit.requests_per_minute = 1;
  auto provider = spawn();
  auto asked = ask<model_list>(provider, models_atom_v);
  REQUIRE(http->pending() == 1);
  CHECK(http->at(0).request.method == "GET");
  CHECK(http->at(0).request.url == "http://acme.test/v1/models");
  http->answer(0, 200, R"({"data":[{"id":"a"},{"id":"b"}]})");
  run();
  REQUIRE(asked->value);
  CHECK(asked->value->provider == "acme");
  CHECK(asked->value->models == std::vector<std::string>{"a", "b"});
  CHECK(status(provider).attempts == 0);
  auto refused = ask<model_list>(provider, models_atom_v);
  http->answer(0, 401, R"({"error":{"message":"who?"}})");
  run();
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::authentication);
}

TEST_CASE_METHOD(embedding_test, "no promise goes to the transport, whose thread would count it beside the actor's",
                 "[actors]") {
  http->ignore_cancel = true; // what the transport was given stays there
  settings.default_embedding_model = "e";
  auto provider = spawn();
  auto models = ask<model_list>(provider, models_atom_v);
  auto vectors = ask_vectors(provider, texts(1));
  auto answer = ask_chat(provider, question(7));
  REQUIRE(http->pending() == 3);
  kill(caf::actor_cast<caf::actor>(provider));
  REQUIRE(http->pending() == 3);
  CHECK(models->error); // a promise that somebody kept would keep its asker waiting
  CHECK(vectors->error);
  CHECK(answer->error);
}

} // namespace modelforge::embedding_test
