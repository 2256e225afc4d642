#include "tools/simulator/multipart.hpp"

#include <algorithm>
#include <string>

namespace modelforge::simulator {

namespace {

constexpr std::string_view line_end = "\r\n";

/// Returns the value of `name` in a header such as `form-data; name="file"; filename="in.jsonl"`, quoted or not.
std::string_view parameter(std::string_view header, std::string_view name) {
  for (auto semicolon = header.find(';'); semicolon != header.npos; semicolon = header.find(';', semicolon + 1)) {
    auto rest = header.substr(semicolon + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    if (!rest.starts_with(name) || !rest.substr(name.size()).starts_with('='))
      continue;
    rest.remove_prefix(name.size() + 1);
    if (!rest.starts_with('"'))
      return rest.substr(0, rest.find_first_of("; \r"));
    rest.remove_prefix(1);
    return rest.substr(0, rest.find('"'));
  }
  return {};
}

/// Reads what stands between two boundaries: headers, an empty line, the content.
std::optional<form_part> read_part(std::string_view text) {
  form_part part;
  auto head_end = text.find("\r\n\r\n");
  if (head_end == text.npos)
    return std::nullopt;
  part.content = text.substr(head_end + 4);
  for (auto head = text.substr(0, head_end); !head.empty();) {
    auto line = head.substr(0, head.find(line_end));
    head.remove_prefix(std::min(line.size() + line_end.size(), head.size()));
    constexpr std::string_view wanted = "content-disposition:";
    auto is_wanted = line.size() > wanted.size();
    for (std::size_t i = 0; is_wanted && i < wanted.size(); ++i)
      is_wanted = (line[i] | 0x20) == (wanted[i] | 0x20);
    if (!is_wanted)
      continue;
    part.name = parameter(line, "name");
    part.filename = parameter(line, "filename");
  }
  if (part.name.empty())
    return std::nullopt;
  return part;
}

} // namespace

std::optional<std::vector<form_part>> read_form(std::string_view content_type, std::string_view body) {
  auto boundary = parameter(content_type, "boundary");
  if (!content_type.starts_with("multipart/form-data") || boundary.empty())
    return std::nullopt;
  auto mark = "--" + std::string(boundary);
  if (!body.starts_with(mark))
    return std::nullopt;
  body.remove_prefix(mark.size());
  mark.insert(0, line_end);
  std::vector<form_part> parts;
  while (body.starts_with(line_end)) {
    body.remove_prefix(line_end.size());
    auto end = body.find(mark);
    auto part = end == body.npos ? std::nullopt : read_part(body.substr(0, end));
    if (!part)
      return std::nullopt;
    parts.push_back(*part);
    body.remove_prefix(end + mark.size());
  }
  if (!body.starts_with("--"))
    return std::nullopt;
  return parts;
}

} // namespace modelforge::simulator
