#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "wire/dialect.hpp"

#include <modelforge/config/secret.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace modelforge::cli {

namespace {

std::string address_of(const provider_settings& x) {
  auto* dialect = wire::find_dialect(name_of(x.kind));
  if (!x.base_url.empty() || dialect == nullptr)
    return x.base_url;
  return std::string{dialect->default_base_url()};
}

/// Says whether a request could be sent; empty: yes.
std::string trouble_of(const provider_settings& x) {
  if (wire::find_dialect(name_of(x.kind)) == nullptr)
    return "kind is not spoken yet";
  for (auto& key : x.keys) {
    auto found = resolve(key);
    if (auto* problem = std::get_if<std::string>(&found))
      return *problem;
  }
  for (auto& header : x.headers)
    if (!header.env.empty() && std::getenv(header.env.c_str()) == nullptr)
      return "the environment variable " + header.env + " is not set (header " + header.name + ")";
  return {};
}

std::string limit_text(const std::optional<uint64_t>& x) {
  return x ? std::to_string(*x) : "-";
}

int print_json(const settings& all) {
  auto list = nlohmann::ordered_json::array();
  auto limit = [](const std::optional<uint64_t>& x) { return x ? nlohmann::ordered_json(*x) : nullptr; };
  for (auto& x : all.providers)
    list.push_back({{"name", x.name},
                    {"kind", to_string(x.kind)},
                    {"base_url", address_of(x)},
                    {"default_model", x.default_model},
                    {"max_concurrent", x.max_concurrent},
                    {"requests_per_minute", limit(x.rate_limit.requests_per_minute)},
                    {"tokens_per_minute", limit(x.rate_limit.tokens_per_minute)},
                    {"problem", trouble_of(x)}});
  return print(list.dump(2) + "\n") ? exit_ok : exit_failed;
}

} // namespace

int providers(const providers_options& options) {
  auto all = load_settings(options.config);
  if (!all)
    return exit_usage;
  if (options.json)
    return print_json(*all);
  using row = std::array<std::string, 7>;
  std::vector<row> rows{{"NAME", "KIND", "MODEL", "REQUESTS/MIN", "TOKENS/MIN", "ADDRESS", "STATE"}};
  for (auto& x : all->providers) {
    auto trouble = trouble_of(x);
    rows.push_back({x.name, to_string(x.kind), x.default_model.empty() ? "-" : x.default_model,
                    limit_text(x.rate_limit.requests_per_minute), limit_text(x.rate_limit.tokens_per_minute),
                    address_of(x), trouble.empty() ? "ready" : trouble});
  }
  std::array<std::size_t, 7> widths{};
  for (auto& cells : rows)
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], cells[i].size());
  std::string text;
  for (auto& cells : rows)
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += cells[i] + (i + 1 < cells.size() ? std::string(widths[i] - cells[i].size() + 2, ' ') : "\n");
  return print(text) ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
