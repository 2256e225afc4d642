#include "wire/error_body.hpp"

#include "base/ascii.hpp"
#include "wire/json.hpp"
#include "wire/words.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

// Errors that are no JSON document: events, lines, pages, XML, plain text.

namespace modelforge::wire {

namespace {

/// No more of a body is looked at: errors are short, and stand at its beginning.
constexpr std::size_t looked_at = 64 << 10;
constexpr std::size_t max_lines = 200;
/// Of a page without a title.
constexpr std::size_t max_page_words = 300;

struct entity {
  std::string_view name;
  std::string_view text;
};

constexpr auto entities = std::to_array<entity>({{"amp", "&"},
                                                 {"lt", "<"},
                                                 {"gt", ">"},
                                                 {"quot", "\""},
                                                 {"apos", "'"},
                                                 {"nbsp", " "},
                                                 {"ndash", "\u2013"},
                                                 {"mdash", "\u2014"},
                                                 {"rsquo", "\u2019"},
                                                 {"hellip", "\u2026"}});

/// Reads what stands between "&" and ";"; empty where it is none that we know.
std::string entity_text(std::string_view name) {
  auto found = std::find_if(entities.begin(), entities.end(), [&](auto& x) { return x.name == name; });
  if (found != entities.end())
    return std::string{found->text};
  if (!name.starts_with('#'))
    return {};
  name.remove_prefix(1);
  auto is_hex = ascii::istarts_with(name, "x");
  name.remove_prefix(is_hex ? 1 : 0);
  unsigned code = 0;
  auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), code, is_hex ? 16 : 10);
  auto is_plain = problem == std::errc{} && end == name.data() + name.size() && code >= 0x20 && code < 0x7F;
  return is_plain ? std::string(1, static_cast<char>(code)) : std::string{};
}

/// Makes plain text of markup: without tags, entities and runs of white space.
std::string plain_text(std::string_view markup, std::size_t bytes) {
  std::string text;
  auto put = [&](std::string_view more) {
    for (char c : more)
      if (ascii::spaces.find(c) == ascii::spaces.npos)
        text += c;
      else if (!text.empty() && text.back() != ' ')
        text += ' ';
  };
  while (!markup.empty() && text.size() < bytes) {
    if (markup.front() == '<') {
      put(" ");
      markup.remove_prefix(std::min(markup.find('>'), markup.size() - 1) + 1);
      continue;
    }
    auto end = markup.front() == '&' ? markup.substr(0, 10).find(';') : markup.npos;
    auto known = end != markup.npos ? entity_text(markup.substr(1, end - 1)) : std::string{};
    put(known.empty() ? markup.substr(0, 1) : std::string_view{known});
    markup.remove_prefix(known.empty() ? 1 : end + 1);
  }
  text.resize(utf8::cut(text, bytes).size());
  return std::string{ascii::trim(text)};
}

/// Where `word` stands next, in any case of letters; npos where it does not.
std::size_t find_word(std::string_view text, std::string_view word, std::size_t from = 0) {
  auto found = std::search(text.begin() + static_cast<std::ptrdiff_t>(std::min(from, text.size())), text.end(),
                           word.begin(), word.end(), ascii::same_letter);
  return found == text.end() ? text.npos : static_cast<std::size_t>(found - text.begin());
}

/// What the first element of that name holds, with or without a prefix such as "soap:"; as it is in the text.
std::string_view element(std::string_view text, std::string_view name) {
  for (std::size_t at = 0; (at = find_word(text, name, at)) != text.npos; at += name.size()) {
    auto behind = at + name.size();
    auto is_open = at > 0 && (text[at - 1] == '<' || text[at - 1] == ':') && behind < text.size()
                   && (text[behind] == '>' || text[behind] == ' ');
    auto begin = is_open ? text.find('>', behind) : text.npos;
    if (begin == text.npos)
      continue;
    auto end = text.npos; // an element of that name does not hold another one
    for (auto close = text.find("</", begin); close != text.npos && end == text.npos;
         close = text.find("</", close + 2)) {
      auto closed = text.substr(close + 2, name.size() + 16);
      closed = closed.substr(0, closed.find('>'));
      if (ascii::iequals(closed.substr(closed.find(':') + 1), name)) // npos + 1 is 0
        end = close;
    }
    return text.substr(begin + 1, end == text.npos ? end : end - begin - 1);
  }
  return {};
}

/// An error as XML has it: Amazon's, Google's and Azure's gateways and storages, SOAP.
error_body read_xml(std::string_view text) {
  error_body result{body_form::known, {}};
  for (auto name : {"message", "faultstring", "detail", "title"})
    if (result.error.message.empty())
      result.error.message = plain_text(element(text, name), looked_at);
  result.error.code = clean_words(plain_text(element(text, "code"), 200), 200);
  if (result.error.message.empty())
    result = {body_form::text, {.message = plain_text(text, looked_at)}};
  return result;
}

/// The value of a line of an event stream; the line itself where it is none.
std::string_view value_of(std::string_view line) {
  for (std::string_view field : {"data:", "error:"})
    if (line.starts_with(field))
      return ascii::trim(line.substr(field.size()));
  return ascii::trim(line);
}

bool is_silent(std::string_view line) {
  return line.empty() || line.starts_with(':') || line.starts_with("event:") || line.starts_with("id:")
         || line.starts_with("retry:") || value_of(line) == "[DONE]";
}

/// Finds the error in events or in lines of JSON: the first text in it that is one, by line or by event.
error_body read_lines(std::string_view text) {
  std::string event, words;
  auto read = [](std::string_view value) -> std::optional<provider_error> {
    if (!value.starts_with('{') && !value.starts_with('['))
      return {};
    auto parsed = json::parse(value);
    auto* root = std::get_if<json::value>(&parsed);
    return root != nullptr ? find_error(*root) : std::nullopt;
  };
  for (std::size_t count = 0; !text.empty() && count < max_lines; ++count) {
    auto line = ascii::trim(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), std::min(text.find('\n'), text.size()) + 1));
    if (line.empty())
      event.clear();
    if (is_silent(line))
      continue;
    auto value = value_of(line);
    words.append(words.empty() ? "" : " ").append(value);
    event.append(event.empty() ? "" : "\n").append(value);
    for (auto part : {value, std::string_view{event}})
      if (auto found = read(part))
        return {body_form::known, std::move(*found)};
  }
  return {words.empty() ? body_form::nothing : body_form::text, {.message = std::move(words)}};
}

/// A text of JSON, or of anything.
error_body read_plain(const json::value* body, std::string_view text) {
  if (body == nullptr || !body->is_string())
    return {body_form::text, {.message = std::string{text}}};
  auto inner = string_in(*body);
  auto parsed = json::parse(inner);
  auto* root = std::get_if<json::value>(&parsed);
  auto found = root != nullptr ? find_error(*root) : std::nullopt;
  return found ? error_body{body_form::known, std::move(*found)}
               : error_body{inner.empty() ? body_form::nothing : body_form::text, {.message = std::string{inner}}};
}

} // namespace

// Titles that name nothing give way to a heading, to what frameworks put into <pre>, or to the page's text.
std::string page_words(std::string_view page) {
  page = page.substr(0, looked_at);
  std::string words;
  for (auto name : {"title", "h1", "pre", "body"}) {
    words = plain_text(element(page, name), max_page_words);
    auto is_telling = !words.empty() && !ascii::iequals(words, "error") && !ascii::iequals(words, "document")
                      && !ascii::iequals(words, "index");
    if (is_telling)
      return words;
  }
  return words.empty() ? plain_text(page, max_page_words) : words;
}

error_body read_error_body(const json::value* body, std::string_view text) {
  if (auto found = body != nullptr ? find_error(*body) : std::nullopt)
    return {body_form::known, std::move(*found)};
  text = ascii::trim(text.substr(0, looked_at));
  if (text.empty())
    return {};
  if (is_page(text))
    return {body_form::page, {.message = page_words(text)}};
  if (text.starts_with('<'))
    return read_xml(text);
  if (body == nullptr && (is_event_stream(text) || text.starts_with('{') || text.starts_with('[')))
    if (auto found = read_lines(text);
        found.form == body_form::known || (found.form == body_form::text && is_event_stream(text)))
      return found;
  return read_plain(body, text);
}

} // namespace modelforge::wire
