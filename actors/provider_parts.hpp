#pragma once

#include "dispatch/dispatcher.hpp"
#include "dispatch/journal.hpp"
#include "http/client.hpp"
#include "limits/accounting.hpp"
#include "wire/dialect.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge {

/// A credential, ready to be sent.
struct provider_key {
  std::string name;                  ///< For status and errors.
  std::vector<http::header> headers; ///< Secret.
};

/// What a provider actor is made of, checked and ready.
struct provider_parts {
  provider_settings settings;
  runtime_settings runtime;
  const wire::dialect* dialect = nullptr;
  std::string base_url;
  std::vector<provider_key> keys;             ///< At least one; without a credential it has no headers.
  std::vector<http::header> headers;          ///< The configured ones; secret.
  std::vector<limits::accounting> accounting; ///< By group of models.
  dispatcher_settings dispatch;
  std::optional<journal> limits_journal; ///< Where what is used of the limits is kept.
  std::string problem;                   ///< What does not work, though requests do.
  std::shared_ptr<http::client> transport;
};

/// Gets what the settings name: keys, header values, the dialect. A failure says what is missing.
std::variant<provider_parts, failure> prepare_provider(const provider_settings& x, const runtime_settings& runtime);

/// The group of models whose limits are `model`'s: 0 for the provider's own, i for the i-th of `models`.
uint32_t group_of(const provider_settings& x, std::string_view model);

/// What an answer of a model of that group cost; empty where no price is set.
std::optional<double> cost_of(const provider_settings& x, uint32_t group, const token_usage& usage);

/// Returns whether `name` matches `pattern`, in which `*` stands for any text and `?` for any one character.
bool matches(std::string_view pattern, std::string_view name);

/// Name of a lane for status and errors: the key's, and behind a "/" the pattern of a group with limits of its own.
std::string lane_name(const provider_parts& x, uint32_t group, uint32_t key);

} // namespace modelforge
