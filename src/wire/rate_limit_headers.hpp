#pragma once

#include "http/message.hpp"
#include "limits/charge.hpp"

#include <chrono>

namespace modelforge::wire {

/// Reads what an answer's headers tell of the provider's limits, whoever sent it:
///
/// - `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, Azure, Groq and most others), the same for a
///   project (`-project-tokens`), with a window in the name (`-req-minute`, `-tokens-minute`, `-requests-day`: Mistral,
///   Cerebras), or with nothing behind (OpenRouter: requests);
/// - `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`.
///
/// A reset may be a duration as Go writes it, seconds, a Unix time in seconds or milliseconds, or RFC 3339; points in
/// time are taken relative to the answer's Date header, or to `now` where it has none.
///
/// Of several counts in one dimension the tighter ones are given: the least limit, the least remaining, the latest
/// reset. A limit over more than a minute is left out, since a day's requests are no pace, but its remaining and its
/// reset stay: they cap what may be sent. It is known by its name, or by its reset: what was used of a minute's limit
/// is whole again after used / limit x 60 s, so a reset beyond ten times that and a second (three, for points in time)
/// belongs to a longer window. A limit of 0 tells nothing. Values that cannot be read are ignored one by one; below 0
/// they are 0.
limits::server_limits limits_in(const http::response_head& head, std::chrono::system_clock::time_point now);

} // namespace modelforge::wire
