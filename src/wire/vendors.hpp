#pragma once

#include "wire/dialect.hpp"

#include <span>
#include <string_view>

/// Who speaks what: the one list of vendors, above all of them.

namespace modelforge::wire {

/// Returns the dialect for a provider, or for some models of it; null where its kind has not got that API. It lives as
/// long as the program.
const dialect* find_dialect(const dialect_choice& choice);

/// One of each name, but for the flavours of `openai_compatible` and its Responses API.
std::span<const dialect* const> dialects();

/// Returns the dialect of that name, which for a kind as named in TOML is its usual one; null if there is none.
const dialect* find_dialect(std::string_view name);

} // namespace modelforge::wire
