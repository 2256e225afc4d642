#include "log/line.hpp"

#include "base/utc_text.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <variant>

namespace modelforge::log {

namespace {

uint32_t code_point_of(std::string_view character) {
  auto byte = [&](std::size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(character[i])); };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  }
}

/// Whether a terminal, or whoever reads lines, may take it for more than a character: controls (also the upper ones),
/// breaks of lines and paragraphs, marks of direction, and what cannot be seen.
bool is_unsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F)
         || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

void append_escape(std::string& out, uint32_t c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4)
        out += digits[(c >> shift) & 0xF];
  }
}

/// What stands in a line as it is; most texts are nothing else.
bool is_harmless(char c) {
  return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void append_quoted(std::string& out, std::string_view text) {
  auto is_cut = text.size() > max_field;
  if (is_cut)
    text = utf8::cut(text, max_field);
  out += '"';
  auto* end = text.data() + text.size();
  for (auto* p = text.data(); p != end;) {
    auto* run = std::find_if_not(p, end, is_harmless);
    out.append(p, run);
    p = run;
    if (p == end)
      break;
    auto length = utf8::character_length(p, end);
    if (length == 0) {
      out += utf8::replacement;
      ++p;
      continue;
    }
    std::string_view character{p, length};
    if (auto c = code_point_of(character); is_unsafe(c))
      append_escape(out, c);
    else if (c == '"' || c == '\\')
      (out += '\\') += character;
    else
      out += character;
    p += length;
  }
  out += is_cut ? "...\"" : "\"";
}

/// What needs no quotes in a line for people.
bool is_plain(std::string_view text) {
  return !text.empty() && text.size() <= max_field && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || std::string_view{"-_.,:/@+#%()[]"}.find(c) != std::string_view::npos;
  });
}

/// In JSON's notation; times to a microsecond.
void append_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[64];
  auto rounded = std::abs(value) < 1e9 ? std::round(value * 1e6) / 1e6 : value;
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, rounded).ptr);
}

void append_value(std::string& out, const log_value& value, bool quotes_all) {
  if (auto* text = std::get_if<std::string>(&value)) {
    if (!quotes_all && is_plain(*text))
      out += *text;
    else
      append_quoted(out, *text);
  } else if (auto* number = std::get_if<int64_t>(&value)) {
    out += std::to_string(*number);
  } else if (auto* real = std::get_if<double>(&value)) {
    append_number(out, *real);
  } else {
    out += std::get<bool>(value) ? "true" : "false";
  }
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  ((out += ",\"") += name) += "\":";
  append_quoted(out, text);
}

} // namespace

void append_text(std::string& out, const log_record& record) {
  out += base::utc_text(record.time);
  ((out += ' ') += name_of(record.level)).append(8 - name_of(record.level).size(), ' ');
  ((out += record.event) += ' ') += record.component;
  (out += ": ") += record.message;
  for (auto& field : record.fields) {
    ((out += ' ') += field.name) += '=';
    append_value(out, field.value, false);
  }
  out += '\n';
}

void append_json(std::string& out, const log_record& record) {
  (out += "{\"time\":\"") += base::utc_text(record.time);
  out += '"';
  append_member(out, "level", name_of(record.level));
  append_member(out, "event", record.event);
  append_member(out, "component", record.component);
  append_member(out, "message", record.message);
  for (auto& field : record.fields) {
    ((out += ",\"") += field.name) += "\":";
    append_value(out, field.value, true);
  }
  out += "}\n";
}

void append_json_text(std::string& out, std::string_view text) {
  append_quoted(out, text);
}

void append_json_number(std::string& out, double value) {
  append_number(out, value);
}

// As in <syslog.h>: 3 is an error, 7 for debugging.
std::string_view journal_prefix(log_level level) {
  constexpr std::array<std::string_view, 5> prefixes{"<3>", "<4>", "<6>", "<7>", "<7>"};
  return prefixes[static_cast<std::size_t>(level)];
}

} // namespace modelforge::log
