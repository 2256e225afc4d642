#include "optimize/optimizers.hpp"

#include "wire/openai/openai.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <stdexcept>

namespace modelforge::optimizers_test {

using namespace std::chrono_literals;

namespace {

chat_request question(std::string text = "hi") {
  chat_request x;
  x.id = {1, 2};
  x.model = "m";
  x.messages = {text_message(role::user, std::move(text))};
  return x;
}

std::string long_text() {
  std::string result;
  for (int i = 0; i < 2000; ++i)
    result += "station ";
  return result;
}

std::string names(const optimize::list& all) {
  std::string result;
  for (auto& x : all)
    result += (result.empty() ? "" : " ") + std::string{x->name()};
  return result;
}

const wire::dialect& find(std::string_view name) {
  auto* found = wire::find_dialect(name);
  REQUIRE(found);
  return *found;
}

optimize::outcome run(std::string_view dialect, chat_request& x, const optimize::options& by = {}) {
  return optimize::apply(optimize::make_optimizers(find(dialect).optimizations(), by), x);
}

std::string key_of(chat_request x) {
  run("openai", x);
  return x.cache_key;
}

template <class F>
class made_of : public optimizer {
public:
  explicit made_of(F f) : f_(std::move(f)) {}
  std::string_view name() const override { return "mine"; }
  std::optional<std::string> apply(chat_request& x) const override { return f_(x); }

private:
  F f_;
};

template <class F>
std::shared_ptr<const optimizer> optimizer_of(F f) {
  return std::make_shared<made_of<F>>(std::move(f));
}

} // namespace

TEST_CASE("each dialect has the optimizers that fit it", "[optimize]") {
  optimize::options all;
  all.keep_alive = 30min;
  optimize::options none{
    .enable_seed = false, .json_mode_auto = false, .prompt_cache_key = false, .cache_prompt_structure = false};
  const std::vector<std::pair<std::string, std::string>> cases = {
    {"openai", "prompt_cache_key cache_prompt_structure json_mode_auto enable_seed"},
    {"openai_responses", "prompt_cache_key cache_prompt_structure json_mode_auto"},
    {"openai_compatible", "cache_prompt_structure json_mode_auto enable_seed"},
    {"azure", "prompt_cache_key cache_prompt_structure json_mode_auto enable_seed"},
    {"azure_responses", "prompt_cache_key cache_prompt_structure json_mode_auto"},
    {"anthropic", "cache_prompt_structure"},
    {"gemini", "cache_prompt_structure"},
    {"ollama", "cache_prompt_structure keep_alive"},
  };
  for (auto& [dialect, expected] : cases) {
    INFO(dialect);
    CHECK(names(optimize::make_optimizers(find(dialect).optimizations(), all)) == expected);
    CHECK(optimize::make_optimizers(find(dialect).optimizations(), none).empty());
  }
}

TEST_CASE("servers that speak as OpenAI does have what they take", "[optimize]") {
  CHECK(names(optimize::make_optimizers(wire::openai::compatible_chat_api("mistral").optimizations(), {}))
        == "prompt_cache_key cache_prompt_structure json_mode_auto enable_seed");
  CHECK(names(optimize::make_optimizers(wire::openai::compatible_chat_api("deepseek").optimizations(), {}))
        == "cache_prompt_structure json_mode_auto");
}

TEST_CASE("what optimizers make of a request, every dialect can send", "[optimize]") {
  for (auto* dialect : wire::dialects()) {
    INFO(dialect->name());
    auto x = question("Monday. <<STATIC>>" + long_text() + "<<DYNAMIC>>Answer only in JSON.");
    auto result = run(dialect->name(), x);
    CHECK_FALSE(result.changes.empty());
    CHECK(result.warnings.empty());
    auto encoded = dialect->encode(x);
    auto* sent = std::get_if<wire::encoded_request>(&encoded);
    REQUIRE(sent);
    CHECK(sent->body.find("<<") == sent->body.npos);
    CHECK(sent->body.find("station") < sent->body.find("Monday"));
    CHECK(sent->body.find("Monday") < sent->body.find("only in JSON"));
    for (auto& warning : sent->warnings)
      CHECK(warning.find("max_tokens") != warning.npos); // Anthropic's own, for any request
  }
}

TEST_CASE("markers go even where there is no optimizer", "[optimize]") {
  auto x = question("a<<STATIC>>b<<DYNAMIC>>c");
  auto result = optimize::apply(optimize::list{}, x);
  CHECK(x.messages == question("abc").messages);
  CHECK(result.changes.empty());
  CHECK(result.warnings.empty());
  CHECK_FALSE(result.original);
  x = question("a<<DYNAMIC>>b<<STATIC>>c");
  CHECK(optimize::apply(optimize::list{}, x).warnings.size() == 1);
  CHECK(x.messages == question("abc").messages);
}

TEST_CASE("markers are text like any other where optimizations are off", "[optimize]") {
  auto x = question("a<<DYNAMIC>>b<<STATIC>>c");
  auto result = optimize::apply(std::nullopt, x);
  CHECK(x.messages == question("a<<DYNAMIC>>b<<STATIC>>c").messages);
  CHECK(result.warnings.empty());
  CHECK_FALSE(result.original);
}

TEST_CASE("a seed is set where there is none", "[optimize]") {
  auto x = question();
  auto result = run("openai", x, {.seed = -7});
  CHECK(x.sampling.seed == -7);
  CHECK(result.changes == std::vector<std::string>{"enable_seed: seed -7"});
  REQUIRE(result.original);
  CHECK(*result.original == question());
  x = question();
  x.sampling.seed = 1;
  run("openai", x);
  CHECK(x.sampling.seed == 1);
  for (auto* extra : {R"({"seed":3})", "no JSON"}) {
    x = question();
    x.extra = extra;
    run("openai", x);
    CHECK_FALSE(x.sampling.seed);
  }
}

TEST_CASE("a model stays loaded unless the request says how long", "[optimize]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
    {"", R"({"keep_alive":1800})"},
    {"{}", R"({"keep_alive":1800})"},
    {R"({"options":{"num_ctx":8192}} )", R"({"options":{"num_ctx":8192},"keep_alive":1800} )"},
    {R"({"keep_alive":"5m"})", R"({"keep_alive":"5m"})"},
    {R"([1])", R"([1])"},
  };
  for (auto& [given, expected] : cases) {
    auto x = question();
    x.extra = given;
    run("ollama", x, {.keep_alive = 30min});
    CHECK(x.extra == expected);
  }
}

TEST_CASE("requests with one stable prefix share a cache key", "[optimize]") {
  auto base = question();
  base.messages.insert(base.messages.begin(), text_message(role::system, long_text()));
  auto key = key_of(base);
  CHECK(key.size() == 19);

  auto other = base;
  other.messages[1] = text_message(role::user, "something else");
  other.sampling.temperature = 1;
  CHECK(key_of(other) == key);
  auto marked = base;
  marked.messages[0] = text_message(role::system, "<<STATIC>>" + long_text() + "<<DYNAMIC>>It is Monday.");
  auto tuesday = marked;
  tuesday.messages[0] = text_message(role::system, "<<STATIC>>" + long_text() + "<<DYNAMIC>>It is Tuesday.");
  CHECK(key_of(marked) == key_of(tuesday));

  auto longer = base;
  longer.messages[0] = text_message(role::system, long_text() + ".");
  CHECK(key_of(longer) != key);
  auto with_tools = base;
  with_tools.tools = {{"look", "", "{}"}};
  CHECK(key_of(with_tools) != key);
  auto in_question = question("<<STATIC>>" + long_text() + "<<DYNAMIC>>hi");
  CHECK_FALSE(key_of(in_question).empty());
  CHECK(key_of(in_question) != key);
}

TEST_CASE("a cache key is given to what can be cached only, and once", "[optimize]") {
  CHECK(key_of(question()).empty());
  CHECK(key_of(question(long_text())).empty()); // a question is no prefix
  auto x = question();
  x.messages.insert(x.messages.begin(), text_message(role::system, long_text()));
  x.cache_key = "team-a";
  CHECK(key_of(x) == "team-a");
}

TEST_CASE("an optimizer that throws changes nothing, and the others go on", "[optimize]") {
  auto seed = optimize::make_optimizers({.seed = true}, {.cache_prompt_structure = false});
  optimize::list all = {optimizer_of([](chat_request& x) -> std::optional<std::string> {
                          x.messages.clear();
                          throw std::runtime_error{"no luck"};
                        }),
                        optimizer_of([](chat_request& x) -> std::optional<std::string> {
                          x.id = {};
                          x.tenant = "them";
                          return "tenant";
                        }),
                        optimizer_of([](chat_request& x) -> std::optional<std::string> {
                          x.tenant.clear();
                          throw 1;
                        })};
  all.insert(all.end(), seed.begin(), seed.end());
  auto x = question();
  auto result = optimize::apply(all, x);
  auto expected = question();
  expected.tenant = "them";
  expected.sampling.seed = 42;
  CHECK(x == expected);
  CHECK(result.changes == std::vector<std::string>{"mine: tenant", "enable_seed: seed 42"});
  CHECK(result.failed == std::vector<std::string>{"mine: no luck", "mine: something that is not a std::exception"});
  CHECK(result.warnings.size() == 2);
}

TEST_CASE("a host's optimizer is found by the name it was registered under", "[optimize]") {
  register_optimizer("polite",
                     [] { return optimizer_of([](chat_request&) -> std::optional<std::string> { return "please"; }); });
  register_optimizer("absent", [] { return std::shared_ptr<const optimizer>{}; });
  register_optimizer("broken", []() -> std::shared_ptr<const optimizer> { throw std::runtime_error{"no luck"}; });
  auto x = question();
  CHECK(std::get<0>(optimize::make_registered("polite"))->apply(x) == "please");
  for (auto* name : {"unknown", "absent", "broken"}) {
    auto made = optimize::make_registered(name);
    REQUIRE(made.index() == 1);
    CHECK(std::get<1>(made).find(name) != std::string::npos);
  }
}

} // namespace modelforge::optimizers_test
