#include "provider/admission.hpp"
#include "tests/provider/fixture.hpp"

#include <nlohmann/json.hpp>

namespace modelforge::request_defaults_test {

using namespace test;
using json = nlohmann::json;

namespace {

/// A provider with defaults, some of whose models have their own.
provider_settings generous() {
  auto result = acme();
  result.defaults = {100, 0.5, 0.9, 7, {"END"}, "low", {"user=me", "min_p=0.1", "min_p=0.2", "tags=[\"a\"]"}};
  auto& big = result.models.emplace_back(models("big-*", 0));
  big.defaults.temperature = 1.5;
  big.defaults.max_tokens = 5000;
  big.defaults.options = {"min_p=0.4"};
  return result;
}

/// What is sent for a request.
json body_of(chat_request request, const provider_settings& settings = generous()) {
  auto setup = prepared(settings);
  limits::token_estimator estimator;
  node::spent_attempts spent;
  auto result = provider::admission{setup, estimator, spent, start_time}.admit(request, {});
  REQUIRE(std::holds_alternative<provider::admission::ready>(result.verdict));
  auto& ready = std::get<provider::admission::ready>(result.verdict);
  CHECK(ready.request.encoded.warnings.empty());
  return json::parse(*ready.request.body);
}

json chosen(const json& body) {
  json result;
  for (auto name :
       {"max_completion_tokens", "temperature", "top_p", "seed", "stop", "reasoning_effort", "user", "min_p", "tags"})
    if (body.contains(name))
      result[name] = body[name];
  return result;
}

} // namespace

TEST_CASE("defaults: requests that say nothing get the provider's, those to some models these models'", "[provider]") {
  json all{{"max_completion_tokens", 100}, {"temperature", 0.5}, {"top_p", 0.9}, {"seed", 7},    {"stop", {"END"}},
           {"reasoning_effort", "low"},    {"user", "me"},       {"min_p", 0.2}, {"tags", {"a"}}};
  CHECK(chosen(body_of(question(1))) == all);
  auto big = question(2);
  big.model = "big-1";
  all["temperature"] = 1.5;
  all["max_completion_tokens"] = 5000;
  all["min_p"] = 0.4;
  CHECK(chosen(body_of(big)) == all);
  CHECK(chosen(body_of(question(3), acme())).is_null());
}

TEST_CASE("defaults: what a request says itself counts, field by field", "[provider]") {
  auto request = question(1);
  request.sampling.max_tokens = 1;
  request.sampling.temperature = 0;
  request.sampling.top_p = 0.1;
  request.sampling.seed = 1;
  request.sampling.stop = {"x"};
  request.sampling.reasoning_effort = "high";
  request.extra = R"({"user":"you","min_p":1})";
  CHECK(chosen(body_of(request))
        == json{{"max_completion_tokens", 1},
                {"temperature", 0},
                {"top_p", 0.1},
                {"seed", 1},
                {"stop", {"x"}},
                {"reasoning_effort", "high"},
                {"user", "you"},
                {"min_p", 1},
                {"tags", {"a"}}});
}

TEST_CASE("defaults: the answer's length counts for the limits", "[provider]") {
  auto settings = generous();
  settings.kind = provider_kind::openai_compatible;
  settings.rate_limit.token_accounting = counted_tokens::arrival;
  auto setup = prepared(settings);
  limits::token_estimator estimator;
  node::spent_attempts spent;
  auto request = question(1);
  auto result = provider::admission{setup, estimator, spent, start_time}.admit(request, {});
  auto& ready = std::get<provider::admission::ready>(result.verdict);
  CHECK(limits::at(ready.offer.cost.total(), limits::dimension::tokens) >= 100);
}

TEST_CASE("defaults: an option that is none keeps a provider from starting", "[provider]") {
  for (auto option : {"top_k", "=1", "a b=1"}) {
    auto settings = acme();
    settings.defaults.options = {option};
    auto made = provider::prepare(settings, {});
    auto* why = std::get_if<failure>(&made);
    REQUIRE(why);
    CHECK(why->code == errc::configuration);
    CHECK(why->message == "defaults.options: \"" + std::string{option} + "\" is not NAME=VALUE, e.g. top_k=40");
  }
}

} // namespace modelforge::request_defaults_test
