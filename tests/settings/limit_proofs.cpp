#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"
#include "tests/support/temporary_folder.hpp"

#include <filesystem>

namespace modelforge::settings_test {

namespace {

chat_request big(uint32_t max_tokens) {
  auto result = question(1);
  result.model = "gpt-4o-mini";
  result.sampling.max_tokens = max_tokens;
  return result;
}

/// How many questions of one kind a provider that was busy before sends at once after a restart.
std::string after_restart(const settings& all) {
  test::temporary_folder folder;
  auto here = all;
  here.runtime.state_folder = folder.path("");
  auto ask = [](virtual_provider& one, uint64_t count) {
    for (uint64_t number = 1; number <= count; ++number)
      one.ask(question(number));
  };
  {
    virtual_provider before{here};
    ask(before, 4);
    before.run(1s, always(answer(), 1ms));
    if (before.problem.empty())
      before.save();
  }
  virtual_provider after{here};
  ask(after, 10);
  return std::to_string(after.sent.size()) + " at once";
}

std::string kept_files(const settings& all) {
  virtual_provider one{all};
  one.ask(question(1));
  std::string text = "kept:";
  std::error_code none;
  for (auto& entry : std::filesystem::directory_iterator{all.runtime.state_folder, none})
    text += ' ' + entry.path().filename().string();
  return text;
}

void add_limits(std::vector<proof>& to, const place& at) {
  auto limits = at.prefix + "rate_limit.";
  auto more = "providers.main.max_concurrent = 100\n" + at.with;
  auto requests = more + limits + "requests_per_minute = 600\n" + limits + "burst = 5";
  auto few = more + limits + "requests_per_minute = 12\n" + limits + "burst = 12";
  auto tokens = more + limits + "tokens_per_minute = 5000\n" + limits + "burst = 100";
  auto hundred = paced(100, big(100), 200s);
  to.insert(to.end(),
            {{limits + "requests_per_minute", "12", hundred, "100 at once", "10 at once", more},
             {limits + "tokens_per_minute", "5000", hundred, "100 at once", "", more + limits + "burst = 100"},
             {limits + "input_tokens_per_minute", "500", hundred, "100 at once", "", more + limits + "burst = 100"},
             {limits + "output_tokens_per_minute", "2000", hundred, "100 at once", "", more + limits + "burst = 100"},
             {limits + "burst", "20", hundred, "5 at once", "20 at once", requests},
             {limits + "window", "20", paced(30, big(100), 200s), "12 at once", "4 at once", few},
             {limits + "window_guard", "7", paced(30, big(100), 200s), "", "", few},
             {limits + "token_accounting", "\"none\"", hundred, "", "100 at once", tokens}});
}

/// What becomes of so many questions when nothing is answered.
look refused_of(std::size_t count, std::string text) {
  return [=](const settings& all) {
    virtual_provider one{all};
    for (uint64_t number = 1; number <= count; ++number)
      one.ask(question(number, text));
    return std::to_string(one.refused.size()) + " refused";
  };
}

} // namespace

std::vector<proof> limit_proofs() {
  static const test::temporary_folder folder;
  std::filesystem::create_directory(folder.path("kept"));
  const std::string on_start = "providers.main.rate_limit.on_start";
  const std::string ten = "providers.main.rate_limit.requests_per_minute = 10";
  std::vector<proof> result{
    {on_start, "\"empty\"", after_restart, "6 at once", "10 at once", ten},
    {on_start, "\"full\"", after_restart, "6 at once", "0 at once", ten},
    {"runtime.state_folder", '"' + folder.path("kept") + '"', kept_files, "", "main", ten},
    {"runtime.max_queued", "2", refused_of(20, "hi"), "0 refused", "2 refused"},
    {"runtime.max_queued_bytes", "65536", refused_of(20, std::string(30'000, 'x')), "0 refused", "2 refused"},
    {"runtime.max_response_bytes", "4096", sends(question(1)), "size 67108864", "size 4096"},
    {"runtime.max_response_bytes", "4096", sends(question(1), true), "size 67108864", "size 4096"},
  };
  add_limits(result, {"providers.main.", ""});
  add_limits(result, {"providers.main.models.\"gpt-*-mini\".", ""});
  return result;
}

} // namespace modelforge::settings_test
