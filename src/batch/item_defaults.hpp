#pragma once

#include "json/value.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <string>

namespace modelforge::batch {

/// What a batch's chat items get that say nothing about it: a model, ways to answer, fields of the provider's own. What
/// an item says itself counts, field by field.
class item_defaults {
public:
  /// `extra`: a JSON object, as text, or empty.
  item_defaults(std::string model, modelforge::sampling sampling, std::string extra);

  void apply(chat_request& request) const;

  /// The model alone, for what is no chat.
  void name_model(chat_request& request) const {
    if (request.model.empty())
      request.model = model_;
  }

private:
  std::string model_;
  modelforge::sampling sampling_;
  std::string extra_;
  json::value fields_; ///< The same; null where there are none.
};

} // namespace modelforge::batch
