#include "config/names.hpp"

#include "base/ascii.hpp"

#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <array>

namespace modelforge {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && ascii::is_letter(text.front())
         && ascii::all(text, [](char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '-' || c == '_'; });
}

// Commands beside a node call themselves NAME.PID, with the node's certificate (see `become_guest` in tools/cli).
std::string_view without_number(std::string_view text) {
  auto dot = text.rfind('.');
  auto has_one = dot != text.npos && dot + 1 < text.size() && ascii::all(text.substr(dot + 1), ascii::is_digit);
  return has_one && text.size() <= 64 ? text.substr(0, dot) : text;
}

bool is_variable(std::string_view text) {
  return !text.empty() && !ascii::is_digit(text.front())
         && ascii::all(text, [](char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '_'; });
}

bool is_header_name(std::string_view text) {
  return !text.empty() && ascii::all(text, [](char c) {
    return ascii::is_letter(c) || ascii::is_digit(c)
           || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

bool is_framing_header(std::string_view lower_case) {
  constexpr auto names =
    std::to_array<std::string_view>({"content-length", "content-type", "content-encoding", "transfer-encoding",
                                     "connection", "te", "trailer", "upgrade", "expect"});
  return std::find(names.begin(), names.end(), lower_case) != names.end();
}

std::string variable_for(std::string_view provider) {
  std::string result;
  for (char c : provider)
    result += ascii::is_lower(c)                          ? static_cast<char>(c - 'a' + 'A')
              : ascii::is_letter(c) || ascii::is_digit(c) ? c
                                                          : '_';
  return result + "_API_KEY";
}

// Names of variables are words in capitals; a long text of letters and digits with a small letter in it is none. A
// false alarm costs a rename, a miss would put a key into an error message.
bool looks_like_key(std::string_view text) {
  if (redact(std::string{text}) != text)
    return true;
  return text.size() >= 20
         && ascii::all(text, [](char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '-'; })
         && std::any_of(text.begin(), text.end(), ascii::is_digit)
         && std::any_of(text.begin(), text.end(), ascii::is_lower);
}

// By the end of the name, since vendors put theirs in front ("x-goog-api-key", "my_token"); `first_token` is our own
// timeout.
bool names_credential(std::string_view name) {
  auto text = ascii::lower(name);
  std::replace(text.begin(), text.end(), '-', '_');
  for (std::string_view end : {"api_key", "apikey", "token", "secret", "password", "authorization", "cookie", "bearer",
                               "credential", "credentials", "private_key", "access_key"})
    if (text == end || text.ends_with('_' + std::string{end}))
      return text != "first_token";
  return text == "key" || text == "auth" || text == "x_goog_api_key";
}

} // namespace modelforge
