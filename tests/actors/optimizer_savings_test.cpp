#include "tests/actors/live_provider.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace modelforge::optimizer_savings_test {

// What the optimizers save, measured where providers' caching rules hold: at the simulator, each workload without and
// with them. docs/optimization.md has the figures.

namespace {

/// Requests of one program, one after the other; each may go on from the answer before.
using workload = std::function<chat_request(int number, const completion* last)>;

struct bill {
  uint64_t input = 0;
  uint64_t cached = 0;
  uint64_t written = 0;
  double cost = 0; ///< US dollars.

  double cached_share() const { return static_cast<double>(cached) / static_cast<double>(input); }
};

bill run(const workload& work, int requests, provider_settings settings, const simulator::options& behaviour,
         bool optimized) {
  simulator::server server{behaviour};
  settings.base_url = server.url() + settings.base_url;
  runtime_settings runtime;
  runtime.enable_optimizations = optimized;
  test::live_provider provider{settings, runtime};
  caf::scoped_actor self{provider.system()};
  bill sum;
  completion last;
  for (auto i = 0; i < requests; ++i) {
    auto x = work(i, i > 0 ? &last : nullptr);
    x.sampling.max_tokens = 100;
    self->request(*provider, std::chrono::seconds{20}, x)
      .receive([&](completion& y) { last = std::move(y); },
               [](const caf::error& y) {
                 auto why = failure_of(y);
                 FAIL(to_string(why) << " " << why.provider_message);
               });
    CHECK(last.optimizations.empty() != optimized);
    REQUIRE(last.usage);
    sum.input += last.usage->input;
    sum.cached += last.usage->cached_read;
    sum.written += last.usage->cache_written;
    sum.cost += last.cost.value();
  }
  return sum;
}

/// About so many tokens, the same each time.
std::string words(int count, const std::string& of) {
  std::string text;
  for (auto i = 0; i < count; ++i)
    text += of + (i % 12 == 11 ? ".\n" : " ");
  return text;
}

provider_settings provider_of(provider_kind kind, const std::string& path, const std::string& model,
                              const price_settings& price) {
  auto x = test::live_provider::settings_for("");
  x.kind = kind;
  x.base_url = path;
  x.default_model = model;
  x.price = price;
  x.optimizations.enable_seed = false; // nothing but caches is measured
  return x;
}

/// A support desk: long rules, the same for everybody, written behind what changes.
chat_request desk(int number, const completion*) {
  chat_request x;
  x.messages.push_back(text_message(role::user, "It is minute " + std::to_string(number) + ".\n<<STATIC>>\n"
                                                  + words(3'000, "rule") + "\n<<DYNAMIC>>\nCustomer "
                                                  + std::to_string(number) + " asks: where is my parcel?"));
  return x;
}

/// A conversation that grows by a question and an answer, behind a long system prompt, without markers.
workload conversation() {
  auto kept = std::make_shared<chat_request>();
  return [kept](int number, const completion* last) {
    if (last == nullptr)
      kept->messages = {text_message(role::system, words(2'500, "instruction"))};
    else
      kept->messages.push_back(turn_of(*last));
    kept->messages.push_back(text_message(role::user, "Question " + std::to_string(number) + ": " + words(60, "why")));
    return *kept;
  };
}

/// Long rules first, as they should be; a question each.
chat_request ordered(int number, const completion*) {
  chat_request x;
  x.messages.push_back(text_message(role::system, words(3'000, "rule")));
  x.messages.push_back(text_message(role::user, "Question " + std::to_string(number)));
  return x;
}

} // namespace

TEST_CASE("optimizers save input tokens where providers cache prompts", "[actors][optimize]") {
  const price_settings claude{.input = 3, .output = 15, .cached_read = 0.3, .cache_written = 3.75};
  const price_settings gpt{.input = 2, .output = 8, .cached_read = 0.5};
  const price_settings flash{.input = 0.3, .output = 2.5, .cached_read = 0.03};
  simulator::options four_machines;
  four_machines.cache_machines = 4;
  struct {
    const char* name;
    provider_settings settings;
    workload work;
    int requests;
    simulator::options behaviour;
    double cached_before; ///< Share of the input, at most.
    double cached_after;  ///< At least.
    double cost_after;    ///< Of the cost before, at most.
  } table[] = {
    {"Anthropic, markers",
     provider_of(provider_kind::anthropic, "", "claude-sim-large", claude),
     desk,
     20,
     {},
     0,
     0.9,
     0.45},
    {"Anthropic, a conversation",
     provider_of(provider_kind::anthropic, "", "claude-sim-large", claude),
     conversation(),
     20,
     {},
     0,
     0.9,
     0.4},
    {"OpenAI, markers", provider_of(provider_kind::openai, "/v1", "sim-large", gpt), desk, 14, {}, 0, 0.91, 0.38},
    {"OpenAI, a key", provider_of(provider_kind::openai, "/v1", "sim-large", gpt), ordered, 14, four_machines, 0.71,
     0.91, 0.72},
    {"Gemini, markers",
     provider_of(provider_kind::gemini, "/v1beta", "gemini-2.5-flash", flash),
     desk,
     20,
     {},
     0,
     0.85,
     0.6},
  };
  for (auto& row : table) {
    INFO(row.name);
    auto before = run(row.work, row.requests, row.settings, row.behaviour, false);
    auto after = run(row.work, row.requests, row.settings, row.behaviour, true);
    std::printf("%-26s %d requests: %.1f %% of %llu input tokens cached, then %.1f %%; %.4f $, then %.4f $ (%.0f %%)\n",
                row.name, row.requests, 100 * before.cached_share(), static_cast<unsigned long long>(before.input),
                100 * after.cached_share(), before.cost, after.cost, 100 * after.cost / before.cost);
    CHECK(before.cached_share() <= row.cached_before);
    CHECK(after.cached_share() >= row.cached_after);
    CHECK(after.cost <= row.cost_after * before.cost);
  }
}

TEST_CASE("JSON mode makes every answer JSON where the prompt alone does not", "[actors][optimize]") {
  simulator::server server{simulator::options{}};
  auto settings = provider_of(provider_kind::openai, server.url() + "/v1", "sim-large", {});
  auto objects = [&](bool optimized) {
    runtime_settings runtime;
    runtime.enable_optimizations = optimized;
    test::live_provider provider{settings, runtime};
    caf::scoped_actor self{provider.system()};
    auto count = 0;
    for (auto i = 0; i < 10; ++i) {
      chat_request x;
      x.messages.push_back(
        text_message(role::user, "Name city " + std::to_string(i) + ". Respond only with a JSON object."));
      self->request(*provider, std::chrono::seconds{20}, x)
        .receive([&](completion& y) { count += nlohmann::json::parse(y.text, nullptr, false).is_object(); },
                 [](const caf::error& y) { FAIL(to_string(failure_of(y))); });
    }
    return count;
  };
  CHECK(objects(false) == 0);
  CHECK(objects(true) == 10);
}

} // namespace modelforge::optimizer_savings_test
