#pragma once

#include <string>
#include <string_view>

/// Names that settings give and use, and how a credential is told from one.

namespace modelforge {

/// A name of a provider or node: up to 64 letters, digits, `-` and `_`, the first one a letter.
bool is_name(std::string_view text);

/// A node's name without the `.` and digits that commands beside it have behind theirs.
std::string_view without_number(std::string_view text);

/// A name of an environment variable.
bool is_variable(std::string_view text);

/// A token of RFC 9110, 5.6.2.
bool is_header_name(std::string_view text);

/// Headers that describe a message's frame or body: a wrong one breaks the connection, not just the request.
bool is_framing_header(std::string_view lower_case);

/// The name of a variable that suits a provider's key: "MY_GROQ_API_KEY" for "my-groq".
std::string variable_for(std::string_view provider);

/// Whether a text is a credential by its looks. Made for names of variables, which real keys may be mistaken for.
bool looks_like_key(std::string_view text);

/// Whether only a credential would be the value under such a name ("api_key", "Authorization", "cookie").
bool names_credential(std::string_view name);

} // namespace modelforge
