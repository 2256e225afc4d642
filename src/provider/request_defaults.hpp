#pragma once

#include "wire/extra_field.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/error.hpp>

#include <variant>
#include <vector>

namespace modelforge::provider {

/// What requests to a group of models get that say nothing about it.
class request_defaults {
public:
  /// Those without anything.
  request_defaults() = default;

  /// Those of a group (see provider/model_groups.hpp): its own, and the provider's for what it leaves out. The failure
  /// is one of the settings.
  static std::variant<request_defaults, failure> make(const provider_settings& settings, uint32_t group);

  /// Sets what the request leaves open. What it says itself counts, field by field; so do the fields of its `extra`.
  void apply(chat_request& request) const;

private:
  modelforge::sampling sampling_;
  std::vector<wire::extra_field> extra_;
};

} // namespace modelforge::provider
