/// Two programs share one provider: the first runs it and listens, the second calls it by the same name with the same
/// calls, and the limit holds for both together. Here both live in one process, to be one file; on two machines give
/// each certificates by [node.tls] (script/certs makes some), and see docs/nodes.md.
///
/// Runs without a key: the provider is simulated.

#include <modelforge/actors/runtime.hpp>

#include "tools/simulator/simulator.hpp"

#include <chrono>
#include <cstdio>
#include <future>
#include <vector>

namespace {

using namespace std::chrono_literals;

/// What both programs say of the provider; only its owner uses address, keys and limits.
modelforge::settings settings_of(const std::string& node, const std::string& url) {
  modelforge::settings x;
  x.runtime.state_folder = "none";
  x.node.name = node;
  auto& demo = x.providers.emplace_back();
  demo.name = "demo";
  demo.kind = modelforge::provider_kind::openai_compatible;
  demo.base_url = url;
  demo.default_model = "simulated-mini";
  demo.nodes = {"owner"};
  demo.rate_limit.requests_per_minute = 1'200; // 20 in each second
  demo.rate_limit.window = 1s;
  return x;
}

modelforge::chat_request sum_of(int i) {
  modelforge::chat_request x;
  x.messages.push_back(modelforge::text_message(modelforge::role::user, "What is " + std::to_string(i) + " * 7?"));
  return x;
}

} // namespace

int main() {
  modelforge::simulator::options strict;
  strict.requests_per_minute = 1'200; // answers 429 to what is beyond
  strict.window = 1s;
  modelforge::simulator::server simulator{strict};

  auto owner_settings = settings_of("owner", simulator.url() + "/v1");
  owner_settings.node.listen = "127.0.0.1:0";
  modelforge::runtime owner{owner_settings};

  auto guest_settings = settings_of("guest", simulator.url() + "/v1");
  guest_settings.node.peers = {owner.node().listening};
  modelforge::runtime guest{guest_settings};

  std::vector<std::future<modelforge::expected<modelforge::completion>>> sums;
  for (auto i = 1; i <= 15; ++i) { // both at once
    sums.push_back(owner.chat_async(sum_of(i)));
    sums.push_back(guest.chat_async(sum_of(i)));
  }
  for (auto& each : sums) {
    auto sum = each.get();
    if (!sum) {
      std::fprintf(stderr, "%s\n", to_string(sum.error()).c_str());
      return 1;
    }
  }
  std::printf("%zu answers for two programs, %llu refused with 429\n", sums.size(),
              static_cast<unsigned long long>(simulator.snapshot().rejected));

  for (auto& text : guest.stream("Tell me about rivers.")) // a stream crosses, and so does its reader's demand
    std::printf("%s", text.c_str());
  std::printf("\n");
  for (auto& peer : guest.node().peers)
    std::printf("linked with %s at %s\n", peer.name.c_str(), peer.address.c_str());
  return simulator.snapshot().rejected == 0 ? 0 : 1;
}
