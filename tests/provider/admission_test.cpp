#include "provider/admission.hpp"
#include "tests/provider/fixture.hpp"

#include <nlohmann/json.hpp>

namespace modelforge::admission_test {

using namespace test;

namespace {

struct admission_test {
  provider::setup setup = prepared();
  limits::token_estimator estimator;
  node::spent_attempts spent;

  template <class Request>
  provider::admission::result admit(Request& request, const provider::admission::arrival& how = {}) {
    return provider::admission{setup, estimator, spent, start_time}.admit(request, how);
  }

  template <class Request>
  provider::admission::ready admitted(Request request, const provider::admission::arrival& how = {}) {
    auto result = admit(request, how);
    REQUIRE(std::holds_alternative<provider::admission::ready>(result.verdict));
    return std::get<provider::admission::ready>(std::move(result.verdict));
  }

  template <class Request>
  failure refused(Request request, const provider::admission::arrival& how = {}) {
    auto result = admit(request, how);
    REQUIRE(std::holds_alternative<failure>(result.verdict));
    return std::get<failure>(std::move(result.verdict));
  }
};

} // namespace

TEST_CASE_METHOD(admission_test, "admission: a request becomes words, an estimate and an offer", "[provider]") {
  auto request = question(1, "how many moons has Jupiter, and what are they called?");
  request.sampling.max_tokens = 50;
  request.tenant = "zoo";
  auto ready = admitted(request, {.node = "node a"});
  auto& [kept, offer] = ready;
  CHECK(kept.encoded.path == "/chat/completions");
  auto body = nlohmann::json::parse(*kept.body);
  CHECK(body["model"] == "m");
  CHECK_FALSE(body.contains("stream"));
  CHECK(kept.dialect == setup.groups[0].dialect);
  CHECK(kept.model == "m");
  CHECK(kept.accepted == start_time);
  CHECK(kept.inputs == 0);
  CHECK(offer.id == request.id);
  CHECK(offer.tenant == "zoo");
  CHECK(offer.node == "node a");
  CHECK(offer.bytes == kept.body->size());
  CHECK(limits::at(offer.cost.total(), limits::dimension::requests) == 1);
  CHECK(limits::at(offer.cost.total(), limits::dimension::tokens) >= 50);
  for (std::size_t i = 0; i < limits::dimensions; ++i)
    CHECK(offer.least[i] <= offer.cost.total()[i]);
}

TEST_CASE_METHOD(admission_test, "admission: a stream is asked for as a stream", "[provider]") {
  auto ready = admitted(question(1), {.streamed = true});
  CHECK(ready.request.streamed);
  CHECK(nlohmann::json::parse(*ready.request.body)["stream"] == true);
}

TEST_CASE_METHOD(admission_test, "admission: what lacks a model is told which setting would give one", "[provider]") {
  setup.settings.default_model.clear();
  CHECK(refused(question(1)).suggestion == "name one, or set default_model for this provider");
  embedding_request vectors;
  vectors.id = {1, 2};
  vectors.inputs = {"a"};
  CHECK(refused(vectors).suggestion == "name one, or set default_embedding_model for this provider");
}

TEST_CASE_METHOD(admission_test, "admission: nothing that is too late or in use already is encoded", "[provider]") {
  auto late = question(1);
  late.deadline = 0s;
  CHECK(refused(late).code == errc::deadline_exceeded);
  CHECK(refused(question(1), {.is_busy = true}).message == "a stream with this id is being handed over");
}

TEST_CASE_METHOD(admission_test, "admission: what cannot be sent is refused at once", "[provider]") {
  auto request = question(1, "not \xff UTF-8");
  CHECK(refused(request).code == errc::invalid_request);
  embedding_request none;
  none.id = {1, 2};
  none.model = "e";
  CHECK(refused(none).message == "inputs is empty");
}

TEST_CASE_METHOD(admission_test, "admission: attempts of others count, until none is left", "[provider]") {
  auto request = question(1);
  attempt_record lost;
  lost.result = errc::node_lost;
  request.earlier = {1, 5s, {lost}, true};
  auto ready = admitted(request);
  CHECK(ready.request.spent == 1);
  CHECK(ready.request.reports);
  CHECK(ready.request.accepted == start_time - 5s);
  CHECK(ready.request.idle_since == start_time);
  CHECK(ready.request.records.size() == 1);
  CHECK(ready.offer.spent == 1);
  request.earlier.spent = setup.settings.retry.max_attempts;
  auto why = refused(request);
  CHECK(why.code == errc::node_lost);
  CHECK(why.attempts.size() == 1);
  CHECK(why.message == "its attempts were used up before it came here: 3 of 3 (max_attempts)");
}

TEST_CASE_METHOD(admission_test, "admission: interactive requests have a deadline, batch items only their own",
                 "[provider]") {
  auto request = question(1);
  CHECK(admitted(request).offer.deadline == start_time + 300s);
  request.priority = priority::batch;
  CHECK_FALSE(admitted(request).offer.deadline);
  request.deadline = 7s;
  CHECK(admitted(request).offer.deadline == start_time + 7s);
  request.deadline = std::chrono::nanoseconds::max();
  CHECK(admitted(request).offer.deadline == provider::time_point::max());
}

TEST_CASE_METHOD(admission_test, "admission: where caches make prompts free no tokens are certain", "[provider]") {
  auto settings = acme();
  settings.kind = provider_kind::anthropic;
  setup = prepared(settings);
  auto request = question(1, std::string(10'000, 'x'));
  request.sampling.max_tokens = 1000;
  auto ready = admitted(request);
  CHECK(ready.offer.least == limits::amounts{1, 0, 0, 0});
  CHECK(ready.offer.cost.total()[2] > 100);
}

TEST_CASE_METHOD(admission_test, "admission: a group without limits of its own queues as the provider's",
                 "[provider]") {
  auto settings = acme();
  settings.models = {models("cheap", 0, 1), models("rare", 1)};
  setup = prepared(settings);
  auto request = question(1);
  request.model = "cheap";
  auto cheap = admitted(request);
  CHECK(cheap.request.group == 1);
  CHECK(cheap.offer.group == 0);
  request.model = "rare";
  CHECK(admitted(request).offer.group == 2);
}

} // namespace modelforge::admission_test
