#pragma once

#include "http/client.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <variant>

/// Asking a provider which models it offers: one attempt beside the dispatcher for each page of its list, because it
/// asks for no answer of a model, and providers do not count it.

namespace modelforge::provider {

/// One question, over as many pages as the list has. Not synchronized.
class model_query {
public:
  /// Returns what is to be sent next.
  http::request next(const setup& setup) const;

  /// Takes what came back. Returns the list, with secrets masked, or why there is none; nothing: ask `next`.
  std::optional<std::variant<model_list, failure>> take(const setup& setup, const http::response& answer);

private:
  model_list found_;
  std::unordered_set<std::string> names_; ///< That are in it.
  std::string path_;                      ///< Of the next page; empty: the first one's.
  uint32_t pages_ = 0;
};

} // namespace modelforge::provider
