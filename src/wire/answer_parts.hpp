#pragma once

#include "http/message.hpp"
#include "wire/call_list.hpp"
#include "wire/forms.hpp"
#include "wire/json.hpp"
#include "wire/stream.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// What answers have in common, whole and streamed ones, whichever the provider.

namespace modelforge::wire {

/// Puts the texts of an answer together; the calls come otherwise.
struct piece_collector final : piece_sink {
  std::string words, declined;
  std::vector<reasoning_part> thoughts;

  void text(std::string_view more) override { words += more; }
  void reasoning(std::string_view more) override { open_reasoning(thoughts).text += more; }
  void seal(std::string_view signature) override { open_reasoning(thoughts).signature = signature; }
  void refusal(std::string_view more) override { declined += more; }
  void tool_call(uint32_t, std::string_view, std::string_view, std::string_view) override {}
  void tool_arguments(uint32_t, std::string_view) override {}
};

/// Names the call at that place of an answer which gave it no id: its result must be able to name it.
std::string made_up_id(std::string_view answer_id, std::size_t place);

/// Puts the calls into `answer` and judges its finish reason by them, by what the provider `told` and by whether the
/// model `refused`. Arguments must be JSON objects that belong to a tool and were not told in two versions, else it is
/// a failure that names the tool; but where the answer was cut or blocked, as its finish reason says, cut arguments
/// stay as they are, with a warning.
std::optional<failure> add_calls(const http::response_head& head, std::vector<called_tool> calls,
                                 std::string_view answer_id, finish_reason told, bool refused, completion& answer);

/// A number of tokens as an answer tells it: none, or one that can be.
class told_tokens {
public:
  told_tokens() = default;

  /// What is no whole number from 0 to `max_input_tokens`, perhaps written as a string, tells nothing.
  told_tokens(const json::value& value) { take(told_count(value)); }
  told_tokens(json::raw raw) { take(told_count(raw)); }

  bool is_told() const { return is_told_; }

  /// 0 where none was told.
  uint64_t value() const { return value_; }

  /// Whether there was a number, but more than can be.
  bool is_too_large() const { return is_too_large_; }

  /// A sum is told where one of its parts is, and too large where one of them is.
  told_tokens& operator+=(const told_tokens& usage);

  /// The same, with a smaller bound.
  told_tokens at_most(uint64_t most) const;

private:
  void take(std::optional<uint64_t> count);

  uint64_t value_ = 0;
  bool is_told_ = false;
  bool is_too_large_ = false;
};

/// Numbers as an answer tells them.
struct told_usage {
  told_tokens input, output, cached, cache_written, reasoning;
};

/// Empty where neither input nor output was told; parts are never more than their whole.
std::optional<token_usage> usage_of(const told_usage& told);

/// Whether a number of it is left out because it cannot be.
bool is_odd(const told_usage& told);

/// The usage of an answer that tells it in parts, or several times: the last one counts, but for one of zeros. Kept
/// here once for all dialects, whole answers and streams.
class noted_usage {
public:
  /// One that tells nothing changes nothing. `tokens`, what has been counted so far, is raised to what it tells.
  void note(const told_usage& told, uint64_t& tokens);

  /// Of the last one; empty: none, or one that cannot be.
  const std::optional<token_usage>& last() const { return last_; }

  /// Whether a number of the last one is left out.
  bool is_odd() const { return is_odd_; }

private:
  std::optional<token_usage> last_;
  bool is_odd_ = false;
};

/// Said of an answer whose usage is odd.
inline constexpr auto usage_warning = "the provider told a number of tokens that cannot be; it is left out";

/// Makes the failure for a stream without its end mark; `ending`: what had come of the end, where pieces had;
/// `beginning`: of the stream, where none had.
failure broken_off(const http::response_head& head, uint64_t pieces, std::string_view ending,
                   std::string_view beginning = {});

/// Returns a JSON text on one line, its numbers as they are. What some servers write for numbers that JSON has not got
/// (NaN, Infinity) becomes null.
std::string compacted(std::string_view json_text);

/// Said of an answer with more beside the first one than are kept.
inline constexpr auto choices_warning =
  "the answer held more choices, or longer ones, than are kept; the rest is left out";

/// Reads a list of models, whatever the answer's status: the texts `name` in the objects of the array `list`, or in one
/// of the other forms that servers have: a bare array, names alone, `data` or `models`, `id`, `name` or `model`. An
/// empty list, or null in its place, is one; entries of which none has a name are not.
std::variant<model_list, failure> read_names(const http::response_head& head, std::string_view body,
                                             std::string_view list, std::string_view name);

/// Said of an answer with a text that was told again, and otherwise.
inline constexpr auto versions_warning =
  "the provider told two versions of a text; the one that it said first is given";

/// Said of an answer of which bytes were replaced.
inline constexpr auto repaired_warning = "the answer held bytes that are not UTF-8; they were replaced";

/// Said of an answer with numbers that JSON does not have.
inline constexpr auto odd_numbers_warning =
  "the answer held NaN or infinity, which JSON does not have; they are read as null";

} // namespace modelforge::wire
