#include "tools/cli/batch_terms.hpp"

#include "base/hex.hpp"
#include "batch/reader.hpp"
#include "config/address.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::cli {

namespace {

/// Puts "NAME VALUE" parts into one text; "none" where there are none.
class terms_text {
public:
  void add(std::string_view name, std::string_view value) {
    if (value.empty())
      return;
    (text_ += text_.empty() ? "" : ", ") += name;
    (text_ += ' ') += value;
  }

  void add(std::string_view name, const std::optional<double>& value) {
    char text[32];
    if (value && std::snprintf(text, sizeof text, "%.10g", *value) > 0)
      add(name, text);
  }

  template <class Whole>
  void count(std::string_view name, const std::optional<Whole>& value) {
    if (value)
      add(name, std::to_string(*value));
  }

  void texts(std::string_view name, const std::vector<std::string>& values) {
    for (auto& value : values)
      add(name, '"' + value + '"');
  }

  void flag(std::string_view name, bool is_on) {
    if (is_on)
      (text_ += text_.empty() ? "" : ", ") += name;
  }

  std::string take() && { return text_.empty() ? "none" : std::move(text_); }

private:
  std::string text_;
};

std::string options_text(const sampling_options& given) {
  terms_text text;
  auto& s = given.sampling;
  text.add("temperature", s.temperature);
  text.count("max_tokens", s.max_tokens);
  text.add("top_p", s.top_p);
  text.count("seed", s.seed);
  text.texts("stop", s.stop);
  text.add("effort", s.reasoning_effort);
  for (auto& [name, value] : given.options)
    text.add(name, value);
  return std::move(text).take();
}

void add_defaults(terms_text& to, const std::string& where, const default_settings& given) {
  auto& [max_tokens, temperature, top_p, seed, stop, effort, options] = given; // one that is added must be decided on
  to.add(where + "temperature", temperature);
  to.count(where + "max_tokens", max_tokens);
  to.add(where + "top_p", top_p);
  to.count(where + "seed", seed);
  to.texts(where + "stop", stop);
  to.add(where + "effort", effort);
  for (auto& option : options)
    to.add(where + "option", option);
}

std::string defaults_text(const provider_settings& provider) {
  terms_text text;
  add_defaults(text, "", provider.defaults);
  for (auto& model : provider.models)
    add_defaults(text, model.pattern + ": ", model.defaults);
  return std::move(text).take();
}

/// How a provider is spoken to.
std::string api_text(const provider_settings& provider) {
  terms_text text;
  text.add(name_of(provider.kind), name_of(provider.api));
  text.add("version", provider.api_version);
  if (provider.flavor != server_flavor::automatic)
    text.add("flavor", name_of(provider.flavor));
  for (auto& model : provider.models)
    if (model.api != model_api::inherit)
      text.add(model.pattern + ':', name_of(model.api));
  return std::move(text).take();
}

std::string headers_text(const provider_settings& provider) {
  terms_text text;
  for (auto& header : provider.headers) {
    uint32_t sum = 0x811c9dc5; // FNV-1a
    for (unsigned char c : header.value)
      sum = (sum ^ c) * 0x01000193;
    text.add(header.name, header.env.empty() ? "(sum " + hex::digits_of(sum) + ')' : "(of " + header.env + ')');
  }
  return std::move(text).take();
}

std::string optimizations_text(const provider_settings& provider, bool are_enabled) {
  terms_text text;
  if (!are_enabled)
    return std::move(text).take();
  auto& x = provider.optimizations;
  if (x.enable_seed)
    text.add("seed", std::to_string(x.seed));
  text.flag("json_mode_auto", x.json_mode_auto);
  text.flag("cache_prompt_structure", x.cache_prompt_structure);
  for (auto& name : x.custom)
    text.flag(name, true);
  return std::move(text).take();
}

/// "a", or "a (x), b (y)" where providers differ in it.
std::string for_all(const std::vector<session_provider>& providers,
                    const std::function<std::string(const provider_settings&)>& value) {
  std::map<std::string, std::string> values; // in whatever order they were named
  for (auto& one : providers)
    values[one.settings.name] = value(one.settings);
  std::string text;
  auto& first = values.begin()->second;
  if (std::all_of(values.begin(), values.end(), [&](auto& x) { return x.second == first; }))
    return first;
  for (auto& [name, one] : values)
    text += (text.empty() ? "" : ", ") + one + " (" + name + ')';
  return text;
}

std::string names_of(const std::vector<session_provider>& providers) {
  std::vector<std::string> names;
  for (auto& one : providers)
    names.push_back(one.settings.name);
  std::sort(names.begin(), names.end());
  std::string text;
  for (auto& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

} // namespace

std::map<std::string, std::string> batch_terms(const std::vector<session_provider>& providers,
                                               const runtime_settings& runtime, const batch_command_options& given) {
  auto& target = given.target;
  auto of_all = [&](auto value) { return for_all(providers, value); };
  std::map<std::string, std::string> terms;
  terms["provider"] = names_of(providers);
  terms["model"] = of_all([&](const provider_settings& x) {
    auto& model = target.model.empty() ? x.default_model : target.model;
    return model.empty() ? std::string{"none"} : model;
  });
  terms["server"] = of_all([&](const provider_settings& x) { // the simulator's port is another one each time
    return target.simulate ? "simulator" : x.base_url.empty() ? destination(x) : x.base_url;
  });
  terms["simulated"] = target.simulate ? "yes" : "no";
  terms["api"] = of_all(api_text);
  terms["headers"] = of_all(headers_text);
  auto optimizes = runtime.enable_optimizations;
  terms["optimizations"] = of_all([&](const provider_settings& x) { return optimizations_text(x, optimizes); });
  terms["defaults"] = of_all(defaults_text);
  terms["options"] = options_text(given.how);
  auto options = batch_options_of(given);
  auto format = batch::find_format(given.input, batch::form_of(options));
  if (auto* found = std::get_if<batch_format>(&format))
    terms["format"] = name_of(*found);
  terms["prompt"] = given.prompt.empty() ? "none" : given.prompt;
  return terms;
}

} // namespace modelforge::cli
