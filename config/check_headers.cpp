#include "base/ascii.hpp"
#include "config/check.hpp"
#include "config/diagnostic.hpp"
#include "config/names.hpp"

#include <set>

namespace modelforge {

bool check_variable(const std::string& name, const std::string& where, findings& found) {
  constexpr auto hint = "allowed: the name of an environment variable, e.g. \"OPENAI_API_KEY\"";
  if (looks_like_key(name))
    found.error({where}, "this is a key, not the name of a variable; keys are not written into the file", hint);
  else if (name.starts_with('$'))
    found.error({where}, "the name of a variable is written without `$`", hint);
  else if (!is_variable(name))
    found.error({where}, "this is not the name of an environment variable", hint);
  else
    return true;
  return false;
}

void check_headers(const std::vector<header_setting>& headers, const std::string& path, const environment& env,
                   findings& found) {
  std::set<std::string> names;
  for (const auto& header : headers) {
    auto where = path + ".headers." + schema::quoted_key(header.name);
    auto name = ascii::lower(header.name);
    if (!is_header_name(header.name))
      found.error({where}, "a header cannot have this name", "allowed: letters, digits and !#$%&'*+-.^_`|~");
    else if (is_framing_header(name))
      found.error({where}, "header " + code(header.name) + " cannot be set: it follows from the request");
    if (!names.insert(name).second)
      found.error({where}, "header " + code(header.name) + " is given twice (case does not matter)");
    if (!header.env.empty()) {
      if (check_variable(header.env, where, found) && env(header.env).value_or("").empty())
        found.warn({where}, "environment variable " + header.env + " is not set or empty");
    } else if (names_credential(name) || redact(header.value) != header.value) {
      found.error({where}, "the file contains a key, as the value of header " + code(header.name),
                  schema::quoted_key(header.name) + " = { env = \"NAME\" }");
    } else if (header.value.empty()) {
      found.error({where}, "header " + code(header.name) + " has no value");
    } else if (!ascii::all(header.value, [](unsigned char c) { return c >= 0x20 && c != 0x7f; })) {
      found.error({where}, "header " + code(header.name) + " has line breaks or other control characters in its value");
    }
  }
}

} // namespace modelforge
