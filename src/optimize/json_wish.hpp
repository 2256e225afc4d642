#pragma once

#include <string_view>

/// What an English prompt says about JSON. When in doubt it says nothing: an answer that is forced into an object where
/// none was wanted is worse than one that is not.

namespace modelforge::optimize {

/// Whether the letters are there, in any case.
bool mentions_json(std::string_view text);

/// Whether it asks for an answer that is JSON and nothing else, as in "Respond only with valid JSON" or "return a JSON
/// object and nothing else". Questions ("Can you ...?") and conditions ("JSON only if ...") do not count.
bool asks_for_json_only(std::string_view text);

/// Whether it may want JSON that is not a single object: arrays, lines of JSON.
bool speaks_of_other_json(std::string_view text);

} // namespace modelforge::optimize
