#pragma once

#include "tools/simulator/body_reader.hpp"

namespace modelforge::simulator::openai {

/// Returns `text` between single quotes.
std::string in_quotes(std::string_view text);

/// Returns "name[i]".
std::string index_path(std::string_view name, std::size_t i);

/// Returns whether `text` holds "json" in any case.
bool mentions_json(std::string_view text);

/// What OpenAI's APIs have in common: their words for what is wrong.
class openai_reader : protected body_reader {
protected:
  using body_reader::body_reader;
  using body_reader::fail;

  ~openai_reader() = default;

  /// Notes a fault; `param` is the field, `code` OpenAI's word for it, empty where it has none.
  void fail(std::string message, std::string param, std::string code, int status = 400) {
    body_reader::fail({status, std::move(message), std::move(param), std::move(code)});
  }

  /// Notes one of the faults that many fields can have, in OpenAI's words.
  void fail_missing(const std::string& param) override;
  void fail_type(const std::string& param, std::string_view expected, const json& found) override;
  void fail_value(std::string param, std::string_view found, std::string_view supported);

  /// Checks the number with that name in the body, if it is there: from `min` to `max`.
  void check_decimal(const char* name, double min, double max);

  /// Returns the integer with that name, from `min` to `max`; nothing where it is missing, or after a fault.
  std::optional<uint32_t> read_integer(const char* name, int64_t min, int64_t max);

  /// Reads what decides about caching; before any of the prompt is read.
  void read_cacheable();

  /// Reads the model, with which the seed begins; names that begin with "missing" are unknown.
  void read_model();

  /// Takes the function that `function` describes, at `path`, among those that may be called.
  void read_function(const json& function, const std::string& path);

  /// Judges the prompt's length; `param` holds it.
  void check_length(const char* param);
};

} // namespace modelforge::simulator::openai
