#pragma once

#include <modelforge/log/record.hpp>

#include <cstddef>
#include <string>
#include <string_view>

/// How an event stands in a line. Whatever a text holds, a line stays one line, and says nothing to a terminal: line
/// breaks, control characters, marks that turn the direction of writing, and bytes that are not UTF-8 are escaped as in
/// JSON or replaced.

namespace modelforge::log {

/// Of a field's text in a line, in bytes; more is cut, with "..." behind it.
inline constexpr std::size_t max_field = 1024;

/// Appends `TIME LEVEL EVENT COMPONENT: SENTENCE NAME=VALUE ...` and a line break, for people.
void append_text(std::string& out, const log_record& record);

/// Appends one JSON object and a line break. Its members: time, level, event, component, message, then the fields.
void append_json(std::string& out, const log_record& record);

/// Appends a text as a JSON string, escaped and cut as all texts in lines are.
void append_json_text(std::string& out, std::string_view text);

/// Appends a number in JSON's notation, to a millionth; one that is not finite becomes `null`.
void append_json_number(std::string& out, double value);

/// The beginning of a line by which systemd's journal knows its level: "<4>".
std::string_view journal_prefix(log_level level);

} // namespace modelforge::log
