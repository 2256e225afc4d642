#include "actors/batch_job.hpp"
#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"
#include "tests/support/temporary_folder.hpp"

#include <modelforge/actors/system.hpp>

#include <utility>

namespace modelforge::settings_test {

namespace {

const test::temporary_folder files;

const place of_provider{"providers.main.", ""};
const place of_models{"providers.main.models.\"gpt-*-mini\".", ""};

/// For the models in `of_models`, and so for the provider's, too.
chat_request mini(chat_request asked) {
  asked.model = "gpt-4o-mini";
  return asked;
}

chat_request for_json() {
  auto result = question(1);
  result.response_format.kind = response_kind::json_object;
  return result;
}

chat_request with_seed() {
  auto result = question(1);
  result.sampling.seed = 5;
  return result;
}

std::string embed(const settings& all) {
  virtual_provider one{all};
  embedding_request asked;
  asked.id = {1, 1};
  asked.inputs = {"a"};
  one.ask(asked);
  return one.sent.empty() ? one.ends() : std::string{one.sent.front().http.content()};
}

/// How many of one kind are in flight, at most, at a server that takes so long for each, times those in flight beside
/// it where it `is_slow`; not counting the first minutes, in which the provider feels its way.
look max_in_flight(chat_request like, bool is_slow = false) {
  return [=](const settings& all) {
    virtual_provider one{all};
    for (uint64_t number = 1; number <= 6'000; ++number) {
      auto asked = like;
      asked.id = {1, number};
      one.ask(asked);
    }
    auto by = [=](std::size_t, std::size_t in_flight) {
      return virtual_provider::reply{answer(), std::chrono::milliseconds{is_slow ? 100 * in_flight : 1'000}};
    };
    one.run(200s, by);
    one.max_in_flight = 0;
    one.run(250s, by);
    return std::to_string(one.max_in_flight) + " in flight";
  };
}

std::string ends_in(const settings& all, std::chrono::nanoseconds time) {
  virtual_provider one{all};
  one.ask(question(1));
  one.wait(time);
  return one.ends() + '.';
}

std::string first_lane(const settings& all) {
  return virtual_provider{all}.status().lanes.at(0).name;
}

/// What an answer cost that wrote to the cache, too.
std::string cost_of_writing(const settings& all) {
  http::response written;
  written.head.status = 200;
  written.body = R"({"id":"m1","type":"message","role":"assistant","model":"x","stop_reason":"end_turn",)"
                 R"("content":[{"type":"text","text":"fine"}],"usage":{"input_tokens":60,)"
                 R"("cache_creation_input_tokens":20,"cache_read_input_tokens":20,"output_tokens":10}})";
  return attempts(mini(question(1)), always(written))(all);
}

/// What an item of a job of the provider's costs.
std::string cost_in_job(const settings& all) {
  auto made = provider::prepare(all.providers.front(), all.runtime);
  batch_job_request asked;
  asked.model = "gpt-4o-mini";
  auto job = prepare_job(std::get<provider::setup>(made), make_transport(), asked);
  token_usage usage;
  usage.input = 1'000'000;
  return std::to_string(std::get<batch_job_parts>(job).price(usage).value_or(-1));
}

void add_prices(std::vector<proof>& to, const place& at) {
  auto price = at.prefix + "price.";
  auto cost = attempts(mini(question(1)), always(answer()));
  to.insert(to.end(), {{price + "input", "1000.0", cost, "1:fine ", "1:fine$0.100000"},
                       {price + "output", "1000.0", cost, "1:fine ", "1:fine$0.010000"},
                       {price + "cached_read", "500.0", cost, "$0.100000", "$0.080000", price + "input = 1000.0"},
                       {price + "cache_written", "2000.0", cost_of_writing, "$0.100000", "$0.120000",
                        "providers.main.kind = \"anthropic\"\n" + price + "input = 1000.0"},
                       {price + "batch", "0.25", cost_in_job, "500.0", "250.0", price + "input = 1000.0"}});
}

void add_defaults(std::vector<proof>& to, const place& at) {
  auto defaults = at.prefix + "defaults.";
  auto sent = sends(mini(question(1)));
  to.insert(to.end(), {{defaults + "max_tokens", "77", sent, "", "77"},
                       {defaults + "temperature", "0.25", sent, "", R"("temperature":0.25)"},
                       {defaults + "top_p", "0.75", sent, "", R"("top_p":0.75)"},
                       {defaults + "seed", "99", sent, "", R"("seed":99)"},
                       {defaults + "stop", "[\"END\"]", sent, "", R"("END")"},
                       {defaults + "effort", "\"low\"", sent, "", R"("reasoning_effort":"low")"},
                       {defaults + "options", "[\"user=me\"]", sent, "", R"("user":"me")"}});
}

} // namespace

std::vector<proof> provider_proofs() {
  auto sent = sends(question(1));
  auto main = of_provider.prefix;
  auto one_key = "providers.main.api_key_env =\n+[[providers.main.keys]]\n+name = \"one\"\n";
  auto key_file = [](const std::string& content) { return '"' + files.write(content, content + "\n") + '"'; };
  std::vector<proof> result{
    {main + "kind", "\"anthropic\"", sent, "/chat/completions", "/messages"},
    {main + "api", "\"responses\"", sent, "/chat/completions", "/responses"},
    {main + "flavor", "\"mistral\"", sends(with_seed()), "\"seed\":5", "\"random_seed\":5",
     "providers.main.kind = \"openai_compatible\""},
    {main + "api_version", "\"2024-10-21\"", sent, "", "api-version=2024-10-21",
     "providers.main.kind = \"azure\"\nproviders.main.base_url = \"http://acme.test\""},
    {main + "base_url", "\"http://other.test\"", sent, "http://acme.test/v1/", "http://other.test/"},
    {main + "api_key_env", "\"OTHER_KEY\"", sent, "key-of-main", "key-of-others"},
    {main + "api_key_file", key_file("key-in-file"), sent, "", "key-in-file", "providers.main.api_key_env ="},
    {main + "default_model", "\"other\"", sent, R"("m")", R"("other")"},
    {main + "default_embedding_model", "\"e\"", embed, "1:", R"("e")"},
    {main + "max_concurrent", "3", max_in_flight(question(1)), "16 in flight", "3 in flight"},
    {main + "interactive_slots", "5", max_in_flight(batch_question(1)), "15 in flight", "11 in flight"},
    {main + "adaptive", "true", max_in_flight(question(1), true), "16 in flight", ""},
    {main + "check_json", "\"fail\"", attempts(for_json(), always(answer("prose"))), "prose", "wrong_format"},
    {main + "deadline", "5", [](auto& all) { return ends_in(all, 10s); }, "", "deadline_exceeded"},
    {main + "headers.X-Title", "\"nightly\"", sent, "", "X-Title: nightly"},
    {main + "headers.X-Team", "{ env = \"TEAM_TOKEN\" }", sent, "", "X-Team: token-of-team"},
    {main + "keys.name", "\"two\"", first_lane, "one", "two",
     one_key + std::string{"+api_key_env = \"OPENAI_API_KEY\""}},
    {main + "keys.api_key_env", "\"OTHER_KEY\"", sent, "key-of-main", "key-of-others",
     one_key + std::string{"+api_key_env = \"OPENAI_API_KEY\""}},
    {main + "keys.api_key_file", key_file("second-key"), sent, "first-key", "second-key",
     one_key + std::string{"+api_key_file = "} + key_file("first-key")},
    {main + "timeouts.connect", "7", sent, "connect 5.000", "connect 7.000"},
    {main + "timeouts.total", "300", sent, "total 600.000", "total 300.000"},
    {of_models.prefix + "api", "\"responses\"", sends(mini(question(1))), "/chat/completions", "/responses"},
  };
  for (auto& at : {of_provider, of_models}) {
    add_prices(result, at);
    add_defaults(result, at);
  }
  return result;
}

} // namespace modelforge::settings_test
