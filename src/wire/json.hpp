#pragma once

#include <nlohmann/json.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// Reading JSON that others wrote, without exceptions and within bounds, and writing our own without a tree.

namespace modelforge::wire {

/// Keeps the members of objects in their order: models fill a schema's properties in the order they are given.
using json = nlohmann::ordered_json;

/// Deeper nesting is refused: no honest answer or schema comes near, and what dumps it recurses.
inline constexpr std::size_t max_json_depth = 200;

/// More values in one document are refused: each takes up to 48 bytes here and as little as 2 on the wire.
inline constexpr std::size_t max_json_values = 2'000'000;

/// Reads one document (white space around it is fine), or says what is wrong with it and at which byte. Names that
/// repeat are all kept: read objects with `member`. Half a surrogate pair reads as U+FFFD, and a number that is too
/// large for a double as the largest one.
std::variant<json, std::string> parse_json(std::string_view text);

/// Returns the member of that name (the last one, if it repeats), or null where there is none or `x` is no object.
const json& member(const json& x, std::string_view name);

/// Returns the text of a string, nothing for all else.
std::string_view string_in(const json& x);

/// Returns a whole number from 0 to 2^64 - 1 (as a float: to 2^53), nothing for all else.
std::optional<uint64_t> count_in(const json& x);

/// Returns `x` as JSON text on one line; what is not UTF-8 in it becomes U+FFFD.
std::string to_text(const json& x);

bool valid_utf8(std::string_view text);

/// Returns the text with each byte that is not UTF-8 replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

/// Returns the longest beginning of at most `bytes` bytes that cuts no character in two. `text` must be UTF-8.
std::string_view cut_utf8(std::string_view text, std::size_t bytes);

/// Appends JSON to a string and puts the commas.
class json_writer {
public:
  explicit json_writer(std::string& out) : out_(out) {}

  /// Opens an object (`{`) or an array (`[`).
  void open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
  }

  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }

  /// Begins a member; `name` needs no escapes.
  void key(std::string_view name) {
    separate();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    first_ = true;
  }

  /// Writes the pieces as one string. Returns false where one is not UTF-8: what was written is then no use.
  [[nodiscard]] bool string(std::initializer_list<std::string_view> pieces);
  [[nodiscard]] bool string(std::string_view text) { return string({text}); }

  /// Writes a string from any bytes; what is not UTF-8 becomes U+FFFD.
  void repaired(std::string_view text);

  void number(std::integral auto x) { digits(x); }

  /// `x` must be finite.
  void number(double x) { digits(x); }

  void boolean(bool x) { raw(x ? "true" : "false"); }

  /// Writes a value that is JSON text already.
  void raw(std::string_view text) {
    separate();
    out_ += text;
  }

  /// Takes back what was written since the text had `size` bytes: whole values or members.
  void back_to(std::size_t size) {
    out_.resize(size);
    first_ = size == 0 || out_.back() == '{' || out_.back() == '[';
  }

private:
  void separate() {
    if (!first_)
      out_ += ',';
    first_ = false;
  }

  void digits(auto x) {
    char buffer[32];
    auto end = std::to_chars(buffer, buffer + sizeof buffer, x).ptr;
    raw({buffer, static_cast<std::size_t>(end - buffer)});
  }

  std::string& out_;
  bool first_ = true; ///< Whether the next value needs no comma before it.
};

} // namespace modelforge::wire
