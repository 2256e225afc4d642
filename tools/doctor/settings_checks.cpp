#include "tools/doctor/checks.hpp"

#include "base/ascii.hpp"
#include "base/file.hpp"
#include "config/check.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::doctor {

namespace {

/// "FILE:LINE:COLUMN", as far as it is known.
std::string place_of(const diagnostic& told) {
  if (told.line == 0)
    return told.file;
  return told.file + ':' + std::to_string(told.line) + ':' + std::to_string(told.column);
}

/// Gathers what is wrong with one provider's settings, or with those of some of its models.
class sense_check {
public:
  sense_check(const provider_settings& provider, const runtime_settings& runtime)
    : provider_(provider), runtime_(runtime) {}

  std::vector<finding> run() {
    check_price(provider_.price, "price", provider_.default_model.empty());
    check_room(provider_.defaults, provider_.rate_limit, "defaults", "rate_limit");
    for (auto& model : provider_.models) {
      auto table = "models.\"" + model.pattern + "\".";
      check_price(model.price, table + "price", ascii::icontains(model.pattern, "embed"));
      auto own = has_limit(model.rate_limit);
      check_room(
        model.defaults.max_tokens ? model.defaults : provider_.defaults, own ? model.rate_limit : provider_.rate_limit,
        model.defaults.max_tokens ? table + "defaults" : "defaults", own ? table + "rate_limit" : "rate_limit");
    }
    check_retries();
    check_optimizations();
    return std::move(found_);
  }

private:
  void warn(std::string message, std::string remedy) {
    for (auto& before : found_)
      if (before.message == message)
        return;
    found_.push_back({verdict::warning, "settings", provider_.name, std::move(message), std::move(remedy)});
  }

  /// Prices that no provider has. `makes_vectors`: which have no output that could cost anything.
  void check_price(const price_settings& price, const std::string& table, bool makes_vectors) {
    if (price.input == 0 && (price.output > 0 || price.cached_read > 0 || price.cache_written > 0))
      warn("`" + table + "` has prices, and none for input: costs are told too low", "set `input`, per million tokens");
    if (price.output == 0 && price.input > 0 && !makes_vectors)
      warn("`" + table + "` has a price for input, and none for output: costs are told too low",
           "set `output`, per million tokens");
    if (price.input > 0 && price.cached_read > price.input)
      warn("`" + table + "` has input from the cache cost more than other input", "is `cached_read` in the same unit?");
  }

  /// An answer that may be longer than a limit's window allows could never be sent.
  void check_room(const default_settings& defaults, const rate_limit_settings& limits, const std::string& of,
                  const std::string& over) {
    if (!defaults.max_tokens || limits.token_accounting == counted_tokens::none)
      return;
    auto windows = std::chrono::duration<double>{limits.window}.count() / 60;
    auto check = [&](const std::optional<uint64_t>& per_minute, const char* name) {
      if (!per_minute || static_cast<double>(*defaults.max_tokens) <= static_cast<double>(*per_minute) * windows)
        return;
      warn("`" + of + ".max_tokens` (" + std::to_string(*defaults.max_tokens) + ") is more than `" + over + "." + name
             + "` allows in a window (" + std::to_string(std::llround(static_cast<double>(*per_minute) * windows))
             + "): such requests are refused as too_large where the whole allowance counts",
           "lower `max_tokens`, or raise the limit if the provider grants more");
    };
    check(limits.tokens_per_minute, "tokens_per_minute");
    if (limits.token_accounting != counted_tokens::input)
      check(limits.output_tokens_per_minute, "output_tokens_per_minute");
  }

  /// A retry whose first wait is longer than the request may take never happens.
  void check_retries() {
    auto& retry = provider_.retry;
    if (retry.max_attempts > 1 && provider_.deadline > duration::zero() && retry.base_wait >= provider_.deadline)
      warn("nothing is tried again: `retry.base_wait` is as long as `deadline`, or longer",
           "shorten `base_wait`, or lengthen `deadline`");
  }

  void check_optimizations() {
    auto wanted = provider_.optimizations;
    wanted.enable_batch_api = optimization_settings{}.enable_batch_api; // which batches heed in any case
    if (!runtime_.enable_optimizations && wanted != optimization_settings{})
      warn("`optimizations` is set, and does nothing: `runtime.enable_optimizations` is false",
           "set `enable_optimizations = true` in [runtime], or leave the table out");
  }

  const provider_settings& provider_;
  const runtime_settings& runtime_;
  std::vector<finding> found_;
};

/// A number of things: "1 provider", "2 providers".
std::string counted(std::size_t count, const std::string& thing) {
  return std::to_string(count) + ' ' + thing + (count == 1 ? "" : "s");
}

} // namespace

std::vector<finding> judge_configuration(const load_result& loaded, const std::vector<std::string>& told_elsewhere) {
  std::vector<finding> result;
  if (!loaded.value && loaded.diagnostics.empty())
    return {{verdict::problem, "configuration", "", "nothing is configured",
             "set OPENAI_API_KEY, or write modelforge.toml (`modelforge config example` prints one)"}};
  for (auto& told : loaded.diagnostics) {
    if (std::find(told_elsewhere.begin(), told_elsewhere.end(), told.message) != told_elsewhere.end())
      continue;
    auto level = told.level == severity::error ? verdict::problem : verdict::warning;
    result.push_back({level, "configuration", place_of(told), told.message, told.hint});
  }
  if (!loaded.value)
    return result;
  if (loaded.value->providers.empty())
    result.push_back({verdict::problem, "configuration", loaded.origin, "it configures no provider",
                      "add a table [providers.NAME]; `modelforge config example` shows how"});
  else
    result.insert(result.begin(), {verdict::ok, "configuration", loaded.origin,
                                   "has " + counted(loaded.value->providers.size(), "provider"), ""});
  return result;
}

std::vector<finding> judge_settings(const settings& all) {
  std::vector<finding> result;
  for (auto& provider : all.providers)
    for (auto& found : sense_check{provider, all.runtime}.run())
      result.push_back(std::move(found));
  return result;
}

std::vector<finding> judge_privacy(const place& place, uint32_t user, const std::string& check) {
  std::vector<finding> result;
  if (!place.is_there)
    return result;
  if ((place.mode & 027) != 0) // a group that may read is often meant so
    result.push_back({verdict::warning, check, place.path,
                      "others may open it: its mode is " + base::mode_text(place.mode), "chmod g-w,o= " + place.path});
  if (place.owner != user && place.owner != 0)
    result.push_back(
      {verdict::warning, check, place.path,
       "it belongs to another user (id " + std::to_string(place.owner) + ", this is " + std::to_string(user) + ")",
       "run as that user, or give it to this one (chown)"});
  return result;
}

std::vector<finding> judge_key(const key_facts& key, uint32_t user) {
  if (!key.problem.empty())
    return {{verdict::problem, "key", key.provider, key.problem, key.remedy}};
  std::vector<finding> result{{verdict::ok, "key", key.provider, key.source + " holds one", ""}};
  if (key.file)
    for (auto& found : judge_privacy(*key.file, user, "key"))
      result.push_back(std::move(found));
  return result;
}

} // namespace modelforge::doctor
