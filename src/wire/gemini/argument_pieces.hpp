#pragma once

#include "wire/json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::wire::gemini {

/// The arguments of one call that come in pieces (`partialArgs`): each names a place in them by its JSON path (RFC
/// 9535) and has the value there, or more of its text.
class argument_pieces {
public:
  /// Adds a list of pieces, or one. Returns what is wrong with them; empty where nothing is.
  std::string add(json::raw list);

  /// Whether nothing has come.
  bool is_empty() const { return root_.is_null(); }

  /// Returns them as an object on one line.
  std::string text();

private:
  std::string add_piece(const std::string& path, json::raw value);
  std::string add_text(json::value& place, const std::string& path, json::raw value);
  void end_half();

  json::value root_;
  std::size_t bytes_ = 0;
  std::string half_path_; ///< Of the latest text,
  uint32_t half_ = 0;     ///< and of which character it has but one half; see `json::string_in`.
};

} // namespace modelforge::wire::gemini
