#include <modelforge/config/load.hpp>

#include "config/check.hpp"
#include "config/read_file.hpp"
#include "config/table_reader.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

namespace modelforge {

namespace {

constexpr std::size_t max_file = 1 << 20; // bytes

constexpr auto price_members = std::to_array<std::pair<const char*, double price_settings::*>>({
  {"input", &price_settings::input},
  {"output", &price_settings::output},
  {"cached_read", &price_settings::cached_read},
  {"cache_written", &price_settings::cache_written},
  {"batch", &price_settings::batch},
});

/// What a model's price leaves out is the provider's; one that says nothing stays empty, which means the same.
void inherit_prices(provider_settings& provider, const std::string& path, const load_report& report) {
  for (auto& model : provider.models) {
    auto prices = path + ".models." + schema::quoted_key(model.pattern) + ".price.";
    auto is_set = [&](const auto& member) { return report.is_set(prices + member.first); };
    if (std::any_of(price_members.begin(), price_members.end(), is_set))
      for (const auto& member : price_members)
        if (!is_set(member))
          model.price.*member.second = provider.price.*member.second;
  }
}

/// Makes paths of keys, certificates, the state and the log lead from the folder of the file that names them, wherever
/// the program was started. A text without a file, or a file in the working folder, leaves them as they are.
void anchor_paths(settings& all, const std::string& file) {
  auto folder = std::filesystem::path{file}.parent_path();
  if (folder.empty() || folder == ".")
    return;
  auto anchor = [&](std::string& path) {
    std::error_code ignored;
    if (!path.empty() && !path.starts_with('/'))
      path = std::filesystem::absolute(folder / path, ignored).lexically_normal().string();
  };
  for (auto& provider : all.providers)
    for (auto& key : provider.keys)
      anchor(key.api_key_file);
  for (auto* path : {&all.node.tls.certificate, &all.node.tls.key, &all.node.tls.ca})
    anchor(*path);
  if (all.runtime.state_folder != "none")
    anchor(all.runtime.state_folder);
  if (all.log.names_file())
    anchor(all.log.sink);
  if (all.log.names_access_file())
    anchor(all.log.access);
}

/// A default that another key rules out gives way: nobody wrote it.
void fit_defaults(settings& all, const load_report& report) {
  for (auto& provider : all.providers) {
    auto path = "providers." + schema::quoted_key(provider.name);
    if (!report.is_set(path + ".interactive_slots"))
      provider.interactive_slots = std::min(provider.interactive_slots, provider.max_concurrent - 1);
    inherit_prices(provider, path, report);
  }
}

/// The tree of a text that the parser can be trusted with; nothing, with a report, where there is none.
std::optional<toml_value> read_tree(source_text& source, const std::string& name, load_report& report) {
  auto problems = source.check_bytes();
  parsed_toml parsed;
  if (problems.empty()) {
    parsed = parse_toml(source, name);
    problems = std::move(parsed.errors);
    if (!problems.empty())
      report.mark_incomplete();
  }
  for (const auto& problem : problems)
    report.add(problem.where, problem.message, problem.hint);
  return std::move(parsed.root);
}

// From text to settings in four steps, each of which adds to the report what it finds: bytes, TOML, keys and values,
// and how they fit together. A step that cannot be trusted with the outcome of the one before is left out.
load_result read_settings(std::string_view text, std::string name, const environment& env, const file_check& more) {
  auto whole = text;
  if (text.starts_with("\xef\xbb\xbf"))
    text.remove_prefix(3);
  source_text source{text};
  load_report report{name};
  settings all;
  if (auto root = read_tree(source, name, report)) {
    table_reader{source, report}.read(*root, schema::root(), &all, "");
    normalize(all);
    fit_defaults(all, report);
    anchor_paths(all, name);
    for (const auto& found : cross_check(all, env))
      report.add(found);
    for (const auto& found : more ? more(all, whole) : std::vector<finding>{})
      report.add(found);
  }
  return std::move(report).finish(std::move(all), source);
}

} // namespace

load_result parse(std::string_view text, std::string name, const environment& env) {
  return read_settings(text, std::move(name), env, nullptr);
}

load_result load_file(const std::string& path, const environment& env) {
  return load_file(path, env, nullptr);
}

load_result load_file(const std::string& path, const environment& env, const file_check& more) {
  auto content = read_file(path, max_file);
  if (auto* text = std::get_if<file_text>(&content))
    return read_settings(text->text, path, env, more);
  load_result result;
  auto& problem = result.diagnostics.emplace_back();
  problem.file = path;
  problem.message = "cannot be read: " + std::get<std::string>(content);
  result.origin = path;
  return result;
}

} // namespace modelforge
