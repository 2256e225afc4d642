/// A host that is no CAF program: one object, answers as values, a stream as a range, callbacks and futures.
///
/// Runs without a key: a simulated provider is started inside this program. To ask real ones, load a configuration:
/// modelforge::runtime ai{*modelforge::load_file("modelforge.toml").value};

#include <modelforge/actors/runtime.hpp>

#include "tools/simulator/simulator.hpp"

#include <cstdio>
#include <future>
#include <vector>

int main() {
  modelforge::simulator::server simulator{{}};
  modelforge::settings settings;
  auto& demo = settings.providers.emplace_back();
  demo.name = "demo";
  demo.kind = modelforge::provider_kind::openai_compatible;
  demo.base_url = simulator.url() + "/v1";
  demo.default_model = "simulated-mini";
  modelforge::runtime ai{settings};

  // One question, one answer: a value, or a failure that says what happened and what to do.
  auto answer = ai.chat("Why is the sky blue?");
  if (!answer) {
    std::fprintf(stderr, "%s\n", to_string(answer.error()).c_str());
    return 1;
  }
  std::printf("%s\n\n", answer->text.c_str());

  // A stream, read as it comes. What is not read holds the provider back.
  for (auto& text : ai.stream("Tell me about rivers."))
    std::printf("%s", text.c_str());
  std::printf("\n\n");

  // Many at once: the provider's actor keeps to its limits.
  std::vector<std::future<modelforge::expected<modelforge::completion>>> sums;
  for (auto i = 1; i <= 3; ++i) {
    modelforge::chat_request x;
    x.messages.push_back(modelforge::text_message(modelforge::role::user, "What is " + std::to_string(i) + " * 7?"));
    sums.push_back(ai.chat_async(std::move(x)));
  }
  for (auto& each : sums) {
    auto sum = each.get();
    if (!sum)
      return 1;
    std::printf("%s\n", sum->text.c_str());
  }
  return 0;
}
