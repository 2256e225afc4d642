#include "actors/exposed_metrics.hpp"
#include "tests/actors/provider_fixture.hpp"
#include "tests/support/prometheus_text.hpp"

#include <modelforge/actors/text_stream.hpp>
#include <modelforge/optimize/optimizer.hpp>

#include <catch2/catch_test_macros.hpp>

#include <stdexcept>

namespace modelforge::optimizer_test {

using namespace std::chrono_literals;

using test::provider_test;

namespace {

using strings = std::vector<std::string>;

struct optimizer_test : provider_test {
  optimizer_test() { runtime.enable_optimizations = true; }

  double failures() {
    telemetry::exposition out;
    write_metrics(out, system().metrics());
    return test::prometheus_text{out.take()}.at("modelforge_optimizer_failures_total{modelforge_provider=\"acme\"}");
  }
};

/// An optimizer of a host, which does what the test says.
class scripted : public optimizer {
public:
  using script = std::function<std::optional<std::string>(chat_request&)>;

  explicit scripted(script f) : f_(std::move(f)) {}
  std::string_view name() const override { return "mine"; }
  std::optional<std::string> apply(chat_request& x) const override { return f_(x); }

private:
  script f_;
};

void register_as_mine(scripted::script f) {
  register_optimizer("mine", [f] { return std::make_shared<scripted>(f); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE_METHOD(optimizer_test, "provider sends what its optimizers made of a request, and says so", "[actors]") {
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1, "<<STATIC>>planets?<<DYNAMIC>> Answer only in JSON."));
  REQUIRE(http->sent_bodies.size() == 1);
  auto& body = http->sent_bodies[0];
  CHECK(contains(body, R"("seed":42)"));
  CHECK(contains(body, R"("response_format":{"type":"json_object"})"));
  CHECK(contains(body, R"("planets? Answer only in JSON.")"));
  say(0, "{}");
  REQUIRE(answer->value);
  CHECK(answer->value->optimizations
        == strings{"json_mode_auto: a JSON object is asked for, as the prompt does", "enable_seed: seed 42"});
  CHECK(answer->value->warnings.empty());
  CHECK(failures() == 0);
}

TEST_CASE_METHOD(optimizer_test, "provider changes nothing, not even markers, where optimizations are off",
                 "[actors]") {
  runtime.enable_optimizations = false;
  settings.optimizations.custom = {"unknown"};
  auto answer = ask_chat(spawn(), question(1, "a<<DYNAMIC>>b<<STATIC>>c. Answer only in JSON."));
  REQUIRE(http->sent_bodies.size() == 1);
  CHECK(contains(http->sent_bodies[0], R"("a<<DYNAMIC>>b<<STATIC>>c. Answer only in JSON.")"));
  CHECK_FALSE(contains(http->sent_bodies[0], "seed"));
  CHECK_FALSE(contains(http->sent_bodies[0], "response_format"));
  say(0, "{}");
  REQUIRE(answer->value);
  CHECK(answer->value->optimizations.empty());
  CHECK(answer->value->warnings.empty());
}

TEST_CASE_METHOD(optimizer_test, "provider tells of a stream's optimizations at its end", "[actors]") {
  auto provider = spawn();
  std::optional<completion> result;
  stream_options options;
  options.on_end = [&](const stream_outcome& how) {
    if (auto* done = std::get_if<stream_done>(&how))
      result = done->result;
  };
  auto stream = stream_text(system(), provider, question(1), std::move(options));
  run();
  REQUIRE(http->pending() == 1);
  CHECK(contains(http->sent_bodies[0], R"("seed":42)"));
  http->stream(0, "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":"
                  "\"stop\"}]}\n\ndata: [DONE]\n\n");
  http->end(0);
  run();
  REQUIRE(result);
  CHECK(result->optimizations == strings{"enable_seed: seed 42"});
}

TEST_CASE_METHOD(optimizer_test, "provider uses a host's optimizer by its name", "[actors]") {
  register_as_mine([](chat_request& x) {
    x.messages.push_back(text_message(role::user, "please"));
    return "asked politely";
  });
  settings.optimizations.enable_seed = false;
  settings.optimizations.custom = {"mine"};
  auto answer = ask_chat(spawn(), question(1));
  CHECK(contains(http->sent_bodies.at(0), "please"));
  say(0, "well");
  CHECK(answer->value->optimizations == strings{"mine: asked politely"});
}

TEST_CASE_METHOD(optimizer_test, "provider is not spawned with an optimizer that nobody has registered", "[actors]") {
  settings.optimizations.custom = {"nobody's"};
  auto spawned = spawn_provider(system(), settings, runtime, http);
  auto* why = std::get_if<failure>(&spawned);
  REQUIRE(why);
  CHECK(why->code == errc::configuration);
  CHECK(contains(why->message, "nobody's"));
}

TEST_CASE_METHOD(optimizer_test, "provider sends a request unchanged when an optimizer fails", "[actors]") {
  settings.optimizations.enable_seed = false;
  settings.optimizations.custom = {"mine"};
  SECTION("by throwing") {
    register_as_mine([](chat_request& x) -> std::optional<std::string> {
      x.messages.clear();
      throw std::runtime_error{"no luck"};
    });
  }
  SECTION("by making what cannot be sent") {
    register_as_mine([](chat_request& x) -> std::optional<std::string> {
      x.messages.clear();
      return "no luck";
    });
  }
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1, "planets?<<DYNAMIC>>"));
  REQUIRE(http->pending() == 1);
  CHECK(contains(http->sent_bodies[0], R"("planets?")"));
  say(0, "nine");
  REQUIRE(answer->value);
  CHECK(answer->value->optimizations.empty());
  CHECK(answer->value->warnings.size() == 1);
  CHECK(failures() == 1);
  CHECK(contains(status(provider).problem, "an optimizer failed"));
}

TEST_CASE_METHOD(optimizer_test, "a request that cannot be sent is refused with or without optimizers", "[actors]") {
  auto bad = question(1);
  bad.messages.clear();
  auto refused = ask_chat(spawn(), std::move(bad));
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::invalid_request);
  CHECK(failures() == 0);
}

} // namespace modelforge::optimizer_test
