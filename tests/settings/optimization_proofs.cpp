#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"

#include <modelforge/optimize/optimizer.hpp>

namespace modelforge::settings_test {

namespace {

chat_request long_prompt() {
  auto result = question(1);
  std::string text;
  for (int i = 0; i < 2'000; ++i)
    text += "station ";
  result.messages.insert(result.messages.begin(), text_message(role::system, text));
  return result;
}

/// A host's own.
class warm : public optimizer {
public:
  std::string_view name() const override { return "warm"; }

  std::optional<std::string> apply(chat_request& request) const override {
    request.sampling.temperature = 0.125;
    return "warm";
  }
};

} // namespace

std::vector<proof> optimization_proofs() {
  register_optimizer("warm", [] { return std::make_shared<warm>(); });
  const std::string on = "runtime.enable_optimizations = true";
  const std::string here = "providers.main.optimizations.";
  auto sent = sends(question(1));
  auto marked = sends(question(1, "First this. <<STATIC>>Always the same. <<DYNAMIC>>Then that."));
  return {
    {"runtime.enable_optimizations", "true", sent, "", R"("seed":42)"},
    {here + "enable_seed", "false", sent, R"("seed":42)", "", on},
    {here + "seed", "77", sent, R"("seed":42)", R"("seed":77)", on},
    {here + "json_mode_auto", "false", sends(question(1, "Name a river. Answer only in JSON.")), "json_object", "", on},
    {here + "cache_prompt_structure", "false", marked, "", "", on},
    {here + "prompt_cache_key", "false", sends(long_prompt()), "prompt_cache_key", "", on},
    {here + "min_cache_length", "1000000", sends(long_prompt()), "prompt_cache_key", "", on},
    {here + "min_cache_tokens", "1000000", sends(long_prompt()), "prompt_cache_key", "", on},
    {here + "keep_alive", "77", sent, R"("keep_alive":1800)", R"("keep_alive":77)",
     on + "\nproviders.main.kind = \"ollama\"\nproviders.main.base_url = \"http://acme.test\""},
    {here + "custom", "[\"warm\"]", sent, "", R"("temperature":0.125)", on},
  };
}

} // namespace modelforge::settings_test
