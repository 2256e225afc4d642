#pragma once

#include "json/schema.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <optional>
#include <string>

namespace modelforge::wire {

/// The JSON that a request asks for, and whether an answer is it: the same for all providers, whole and streamed
/// answers, and items of their batch jobs. Models deliver it less often than one thinks, since many servers do not
/// enforce it.
///
/// Immutable; one object serves all threads.
class json_demand {
public:
  /// Null where nothing is to be checked. `usual`: for requests that do not say. A schema that is none is not checked
  /// by: whoever writes the request refuses it.
  static std::shared_ptr<const json_demand> of(const response_format& format, json_check usual);

  /// Looks at an answer that has its text. A code fence around the JSON is taken away, with a warning. What is not the
  /// JSON that was asked for is a failure that has the text and the usage, or gets a warning, as the request says; of
  /// several answers the failure is told only if all are wrong. An answer whose finish reason says that it is none, or
  /// not all of it, is left alone.
  std::optional<failure> judge(completion& answer) const;

private:
  json_demand(std::optional<json::schema> schema, json_check check) : schema_(std::move(schema)), check_(check) {}

  std::string flaw_of(std::string& text, bool& is_unwrapped) const;
  std::string flaw_in(const json::value& found) const;

  std::optional<json::schema> schema_; ///< Empty: any JSON object will do.
  json_check check_;
};

/// The JSON that an answer's text holds in its one code fence; empty where there is no such thing.
std::optional<std::string> unfenced(std::string_view text);

} // namespace modelforge::wire
