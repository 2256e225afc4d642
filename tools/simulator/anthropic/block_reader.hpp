#pragma once

#include "tools/simulator/anthropic/message_request.hpp"
#include "tools/simulator/body_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace modelforge::simulator::anthropic {

/// Returns whether `list` has that element.
template <class List>
bool contains(const List& list, std::string_view value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

/// The place of an element, as the API's messages have it.
inline std::string index_path(const std::string& path, std::size_t i) {
  return path + "." + std::to_string(i);
}

/// Returns whether there is nothing but white space.
inline bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

/// Returns whether `text` has 1 to `max` letters, digits, underscores and hyphens, and nothing else.
bool is_identifier(std::string_view text, std::size_t max);

/// Reads a request of blocks that may be marked for the cache, in the API's words.
class block_reader : protected body_reader {
protected:
  block_reader(const json& body, const options& settings) : body_reader(body, settings, result_) {}
  ~block_reader() = default;

  // -- faults -------------------------------------------------------------------

  /// Notes a fault in the API's form: the message names the field.
  void fail(std::string message, int status = 400) { body_reader::fail({status, std::move(message)}); }

  void fail_missing(const std::string& path) override { fail(path + ": Field required"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override;

  // -- numbers ------------------------------------------------------------------

  /// Returns the integer `name` of `object`, or nothing where it is missing or not an integer. One below `min` is a
  /// fault.
  std::optional<int64_t> integer_in(const json& object, std::string_view name, const std::string& path, int64_t min);

  /// Returns the number from 0 to 1 with that name in the body; nothing where it is missing, or after a fault.
  std::optional<double> share_in(std::string_view name);

  /// Models from 4 on are stricter.
  bool is_old() const { return result_.model.starts_with("claude-3") || result_.model.starts_with("claude-2"); }

  // -- caching ------------------------------------------------------------------

  /// Reads the mark for the cache that `object`, a block or a tool, may have.
  void note_cache_control(const json& object, const std::string& path);

  /// A block ends here; it is a breakpoint if it was marked, itself or inside.
  void close_block();

  /// Judges all marks together and hands the prompt's prefixes over; ends the reading of the prompt.
  void check_cache_control();

  message_request result_; ///< What was read so far.

private:
  /// The marks for the cache.
  struct marks {
    std::size_t count = 0;
    std::optional<bool> open; ///< Of the present block: whether it is for an hour.
    bool has_short = false;
  };

  marks marks_;
};

} // namespace modelforge::simulator::anthropic
