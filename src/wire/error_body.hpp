#pragma once

#include "wire/provider_error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::wire {

/// What the body of an error is.
enum class body_form : uint8_t {
  known,  ///< An error in a form that we know: JSON, or a stream or lines of it.
  page,   ///< An HTML page, of a web server or a proxy.
  text,   ///< Anything else, shown as it is.
  nothing ///< Empty.
};

/// What the body of an error says, in the provider's words.
struct error_body {
  body_form form = body_form::nothing;
  provider_error error;
};

/// Reads the body of an answer that is no completion. `body` is null where `text` is no JSON. Errors are found in JSON,
/// in server-sent events, in lines of JSON and in XML; of a page its title is taken; of all else the text itself.
error_body read_error_body(const json::value* body, std::string_view text);

/// What a page says in short: its title, or what stands in its place. As plain text.
std::string page_words(std::string_view page);

} // namespace modelforge::wire
