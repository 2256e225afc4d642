#pragma once

#include "config/secret_mask.hpp"
#include "dispatch/dispatcher.hpp"
#include "http/message.hpp"
#include "limits/accounting.hpp"
#include "optimize/optimizers.hpp"
#include "provider/request_defaults.hpp"
#include "wire/dialect.hpp"

#include <modelforge/config/secret.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::provider {

/// A credential, ready to be sent.
struct key {
  std::string name;                  ///< For status and errors.
  secret credential;                 ///< Empty: none.
  std::vector<http::header> headers; ///< Secret.
};

/// How the models of one group (see provider/model_groups.hpp) are spoken to and counted.
struct model_group {
  const wire::dialect* dialect = nullptr;
  limits::accounting accounting;
  request_defaults defaults{};
  optimize::pipeline optimizers{};
};

/// A credential with a group of models that has limits of its own.
struct lane_place {
  uint32_t group = 0;
  uint32_t key = 0;

  friend bool operator==(const lane_place&, const lane_place&) = default;
};

/// What the settings of a provider resolve to: keys read, dialects found, all of it checked. Made by `prepare` and not
/// changed afterwards; other settings make another one, which takes its place whole.
struct setup {
  provider_settings settings;
  runtime_settings runtime;
  std::vector<model_group> groups; ///< The provider's own, then one for each of `settings.models`.
  std::string base_url;
  std::string_view vendor;                    ///< The provider as OpenTelemetry names it: `gen_ai.provider.name`.
  std::vector<key> keys;                      ///< At least one; without a credential it has no headers.
  std::vector<http::header> headers;          ///< The configured ones; secret.
  std::shared_ptr<const secret_mask> secrets; ///< All of these; never null.
  dispatcher_settings dispatch;

  /// What all groups have in common: addresses, headers, embeddings.
  const wire::dialect& dialect() const { return *groups.front().dialect; }

  /// By group, then by key; groups that share the provider's limits have none.
  std::vector<lane_place> lanes() const;

  /// For status and errors: the key's name, and behind a "/" the pattern of a group with limits of its own.
  std::string lane_name(lane_place where) const;

  /// Those that every request carries which goes out with this key; secret.
  void add_headers(uint32_t with_key, std::vector<http::header>& headers_of_request) const;
};

/// The values of headers; those that come from the environment are added to `secrets`. A failure says what is missing.
std::optional<failure> read_headers(const std::vector<header_setting>& settings, std::vector<http::header>& headers,
                                    secret_mask& secrets);

/// Gets what the settings name: keys, header values, the dialects. A failure says what is missing.
std::variant<setup, failure> prepare(const provider_settings& settings, const runtime_settings& runtime);

} // namespace modelforge::provider
