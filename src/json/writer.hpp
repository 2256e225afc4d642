#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

/// Writing JSON without a tree.

namespace modelforge::json {

/// Appends JSON to a string and puts the commas.
class writer {
public:
  explicit writer(std::string& out) : out_(out) {}

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

  /// Writes a string that needs no escapes.
  void word(std::string_view text) {
    separate();
    out_.append(1, '"').append(text).append(1, '"');
  }

  /// Writes a string from any bytes; what is not UTF-8 becomes U+FFFD.
  void repaired(std::string_view text);

  void number(std::integral auto value) { digits(value); }

  /// `value` must be finite.
  void number(double value) { digits(value); }

  void boolean(bool value) { raw(value ? "true" : "false"); }

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

  void digits(auto value) {
    char buffer[32];
    auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    raw({buffer, static_cast<std::size_t>(end - buffer)});
  }

  std::string& out_;
  bool first_ = true; ///< Whether the next value needs no comma before it.
};

} // namespace modelforge::json
