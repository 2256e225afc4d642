#pragma once

#include "http/message.hpp"

#include <cstddef>
#include <string>
#include <string_view>

/// What answers say, made fit to show to people. Whatever a provider sends may be anything: a proxy's page, half a
/// character, the key that it was given.

namespace modelforge::wire {

/// Makes a provider's words fit to show: valid UTF-8 without control characters, keys masked, cut at `bytes`.
std::string clean_words(std::string_view text, std::size_t bytes = 1000);

/// Whether a body is an HTML page, of a web server or a proxy.
bool is_page(std::string_view text);

/// Whether a body is a stream of server-sent events.
bool is_event_stream(std::string_view text);

/// What `describe_body` calls a page.
inline constexpr std::string_view page_name = "an HTML page";

/// What it says of one that is a text, in front of its beginning.
inline constexpr std::string_view text_name = "a body that begins";

/// What it says of one that is compressed or packed, behind the form's name.
inline constexpr std::string_view packed_words = ", although no content-encoding says so";

/// What it calls a stream of events, which nobody asked for where it is called so.
inline constexpr std::string_view stream_name = "an event stream";

/// Said of a body that has come to its end, and holds nothing that its dialect knows.
inline constexpr std::string_view unknown_words = "all of it is unknown";

/// Said of vectors that are not those which were asked for.
inline constexpr std::string_view unfit_words = "vectors that do not fit";

/// Said where these may be new or all so far, and nothing tells which.
inline constexpr std::string_view doubtful_pieces = "the stream's pieces";

/// Says what a body is, for people: "an empty body", "an HTML page", "an event stream", or how it begins.
std::string describe_body(std::string_view text);

/// Returns the id that the provider's support asks for: that of the headers, else that of the answer itself.
std::string request_id_in(const http::response_head& head, std::string_view answer_id = {});

} // namespace modelforge::wire
