#pragma once

#include "wire/dialect.hpp"

namespace modelforge::wire::openai {

/// Chat Completions as OpenAI itself speaks it.
const dialect& chat_api();

/// The Responses API as OpenAI itself speaks it.
const dialect& responses_api();

/// What other servers of the format take: that one's of a name in `known_quirks`, else what they have in common.
const dialect& compatible_chat_api(std::string_view flavor = {});

/// The Responses API as these speak it.
const dialect& compatible_responses_api(std::string_view flavor = {});

/// The dialect of OpenAI itself, and of another server, that the settings want.
const dialect* choose(const dialect_choice& choice);
const dialect* choose_compatible(const dialect_choice& choice);

} // namespace modelforge::wire::openai
