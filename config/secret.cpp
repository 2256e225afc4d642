#include <modelforge/config/secret.hpp>

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "config/read_file.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace modelforge {

namespace {

constexpr std::size_t key_file_limit = 64 << 10;

constexpr std::string_view mask = "***";

// In order of length where one starts with another: the longest match keeps the most telling prefix readable.
constexpr auto key_prefixes = std::to_array<std::string_view>(
  {"sk-proj-", "sk-ant-", "sk-or-", "sk-", "gsk_", "AIza", "ghp_", "gho_", "github_pat_", "hf_"});

constexpr auto secret_headers =
  std::to_array<std::string_view>({"proxy-authorization", "authorization", "x-goog-api-key", "x-api-key", "api-key"});

constexpr auto cookie_headers = std::to_array<std::string_view>({"set-cookie", "cookie"});

constexpr auto secret_queries =
  std::to_array<std::string_view>({"key", "api_key", "api-key", "apikey", "access_token", "token"});

/// Which bytes a text of any of these lists begins with, in either case.
template <class... Lists>
constexpr std::array<bool, 256> first_bytes(const Lists&... lists) {
  std::array<bool, 256> result{};
  for (int byte = 0; byte < 256; ++byte) {
    auto begins = [&](std::string_view text) { return ascii::same_letter(text.front(), static_cast<char>(byte)); };
    result[static_cast<std::size_t>(byte)] = (std::any_of(lists.begin(), lists.end(), begins) || ...);
  }
  return result;
}

// Nearly all bytes begin none of them: a look at each byte costs a tenth of comparing it with each.
constexpr auto begins_key = first_bytes(key_prefixes);
constexpr auto begins_header = first_bytes(secret_headers, cookie_headers);

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_key_char(char c) {
  return ascii::is_alnum(c) || c == '-' || c == '_' || c == '*';
}

/// Ends a value in a text of any kind: JSON, a header line, a URL, prose.
bool ends_value(char c) {
  return is_space(c) || std::strchr("\"'\\,;&#<>()[]{}`", c) != nullptr;
}

template <class Predicate>
std::size_t run_length(std::string_view text, Predicate belongs) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), belongs) - text.begin());
}

/// A part of a text to be masked, as distances from where it was looked for.
struct span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A key by its prefix. Inside a word only if it is as long as real keys are: "task-force" is a word, while the "n" of
/// an escaped line break may stand right before a key.
std::optional<span> find_prefixed(std::string_view text, bool inside_word) {
  for (auto prefix : key_prefixes)
    if (text.starts_with(prefix)) {
      auto tail = text.substr(prefix.size());
      tail = tail.substr(0, run_length(tail, is_key_char));
      if (tail == mask)
        return std::nullopt;
      auto long_enough =
        inside_word ? tail.size() >= 20 && std::any_of(tail.begin(), tail.end(), ascii::is_digit) : tail.size() >= 4;
      if (long_enough)
        return span{prefix.size(), prefix.size() + tail.size()};
    }
  return std::nullopt;
}

/// The value after `name:`, in a header line as in JSON or Python's way of printing a dictionary.
std::optional<span> find_header(std::string_view text, std::string_view name, bool whole_line) {
  if (!ascii::istarts_with(text, name))
    return std::nullopt;
  auto in_between = [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\\'; };
  auto pos = name.size();
  pos += run_length(text.substr(pos), in_between);
  if (pos == text.size() || (text[pos] != ':' && text[pos] != '='))
    return std::nullopt;
  ++pos;
  pos += run_length(text.substr(pos), in_between);
  auto rest = text.substr(pos);
  if (whole_line)
    return span{pos, pos + run_length(rest, [](char c) { return c != '\r' && c != '\n' && c != '"'; })};
  for (std::string_view scheme : {"bearer ", "basic ", "token "})
    if (ascii::istarts_with(rest, scheme)) {
      auto start = scheme.size() + run_length(rest.substr(scheme.size()), is_space);
      return span{pos + start, pos + start + run_length(rest.substr(start), std::not_fn(ends_value))};
    }
  return span{pos, pos + run_length(rest, std::not_fn(ends_value))};
}

std::optional<span> find_query(std::string_view text) {
  if (text.front() != '?' && text.front() != '&')
    return std::nullopt;
  for (auto name : secret_queries)
    if (ascii::istarts_with(text.substr(1), name) && text.substr(1 + name.size()).starts_with('=')) {
      auto start = name.size() + 2;
      return span{start, start + run_length(text.substr(start), std::not_fn(ends_value))};
    }
  return std::nullopt;
}

/// USER:PASSWORD of a URL, looked for at its "://".
std::optional<span> find_password(std::string_view text) {
  if (!text.starts_with("://"))
    return std::nullopt;
  auto rest = text.substr(3);
  auto authority = rest.substr(0, run_length(rest, [](char c) { return c != '/' && c != '?' && !ends_value(c); }));
  auto end = authority.rfind('@');
  return end == std::string_view::npos ? std::nullopt : std::optional{span{3, 3 + end}};
}

/// Looks at the start of `text`, before which stands `previous`.
std::optional<span> find_secret(std::string_view text, char previous) {
  auto first = static_cast<unsigned char>(text.front());
  if (begins_key[first])
    if (auto found = find_prefixed(text, is_key_char(previous)))
      return found;
  if (auto found = find_query(text))
    return found;
  if (auto found = find_password(text))
    return found;
  if (!begins_header[first] || ascii::is_alnum(previous))
    return std::nullopt;
  for (auto name : secret_headers)
    if (auto found = find_header(text, name, false))
      return found;
  for (auto name : cookie_headers)
    if (auto found = find_header(text, name, true))
      return found;
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(run_length(text, is_space));
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

/// Judges what a source held; `origin` names it.
std::variant<secret, std::string> accept(std::string_view content, const std::string& origin) {
  if (auto encoding = foreign_encoding(content); !encoding.empty())
    return origin + " is " + std::string{encoding} + "; save it as UTF-8";
  auto key = trimmed(without_mark(content));
  if (key.empty())
    return origin + " is empty";
  if (std::any_of(key.begin(), key.end(), [](unsigned char c) { return c < 0x21 || c > 0x7e; }))
    return origin + " holds more than a key: it has blanks, line breaks or other characters that no key has";
  return secret{key};
}

} // namespace

/// Overwrites its text when it goes. Never moved or copied: a short string would leave its characters behind.
class secret::buffer {
public:
  explicit buffer(std::string_view text) : text_{text} {}
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
  ~buffer() { wipe(text_); }

  std::string_view view() const { return text_; }

private:
  std::string text_;
};

secret::secret(std::string_view text) : text_{std::make_shared<const buffer>(text)} {}

std::string_view secret::reveal() const {
  return text_ ? text_->view() : std::string_view{};
}

// Not `==` of the texts, which stops at the first difference: by the time that takes a key could be guessed byte by
// byte.
bool operator==(const secret& a, const secret& b) {
  auto left = a.reveal();
  auto right = b.reveal();
  if (left.size() != right.size())
    return false;
  volatile unsigned char difference = 0; // volatile: no early way out for the compiler
  for (std::size_t i = 0; i < left.size(); ++i)
    difference = static_cast<unsigned char>(difference | (left[i] ^ right[i]));
  return difference == 0;
}

environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const auto* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>{value} : std::nullopt;
  };
}

void wipe(std::string& text) {
  text.resize(text.capacity());
  volatile char* out = text.data(); // volatile: or the compiler sees that nobody reads it again
  for (std::size_t i = 0; i < text.size(); ++i)
    out[i] = 0;
  text.clear();
}

// Copies that are made on the way are overwritten. The reason never quotes the content: a wrong key may be another's.
std::variant<secret, std::string> resolve(const key_source& source, const environment& env) {
  if (!source.api_key_env.empty()) {
    auto value = env(source.api_key_env);
    if (!value)
      return "environment variable " + source.api_key_env + " is not set";
    auto result = accept(*value, "environment variable " + source.api_key_env);
    wipe(*value);
    return result;
  }
  if (source.api_key_file.empty())
    return "key `" + source.name + "` names neither a variable nor a file";
  auto content = read_file(source.api_key_file, key_file_limit);
  if (auto* reason = std::get_if<std::string>(&content))
    return "key file " + source.api_key_file + " cannot be read: " + *reason;
  auto& text = std::get<file_text>(content).text;
  auto result = accept(text, "key file " + source.api_key_file);
  wipe(text);
  return result;
}

// One pass from left to right; at each byte every kind of credential is looked for, and the search goes on behind what
// was masked. What is masked already is not found again.
std::string redact(std::string text) {
  std::string result;
  std::size_t done = 0; // what of `text` is in `result`
  for (std::size_t pos = 0; pos < text.size(); ++pos) {
    auto found = find_secret(std::string_view{text}.substr(pos), pos > 0 ? text[pos - 1] : ' ');
    if (!found || found->begin == found->end)
      continue;
    result.append(text, done, pos + found->begin - done);
    result += mask;
    done = pos + found->end;
    pos = done - 1;
  }
  if (done == 0)
    return text;
  result.append(text, done);
  return result;
}

} // namespace modelforge
