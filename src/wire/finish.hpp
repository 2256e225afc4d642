#pragma once

#include "http/message.hpp"
#include "wire/json.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <string>
#include <string_view>

/// The one rule for how answers end, whichever the provider, streamed or whole.
///
/// A provider says with a word why its model stopped. A word for a failure of its own (`error`, `abort`) makes the
/// answer a failure, which is tried again where nobody has anything of it. A word for a limit or a filter leaves it an
/// answer with a flaw, which every surface shows. So does a word that we do not know: nobody can tell what it hides. No
/// word at all is no flaw where all else says that the answer is whole, but is warned of: there are servers that never
/// name one.

namespace modelforge::wire {

/// What a provider's word for an answer's end means.
struct ending {
  finish_reason reason = finish_reason::unknown;
  errc failed = errc::none; ///< What an answer with this word ends as; `none`: it counts.
  bool if_empty = false;    ///< It fails only if it holds nothing; else the word is as good as unknown.
};

/// Finds the word among those of all providers, since servers and gateways use each other's, in any case of letters and
/// as programs print it: "maxTokens", "max-tokens", " stop ", "FinishReason.MAX_TOKENS", "FINISH_REASON_STOP".
ending ending_named(std::string_view word);

/// Whether the word stands for none ("null").
bool is_no_reason(std::string_view word);

/// Returns the word that a member holds which is to say why the model stopped: its text, or the one within a list or an
/// object (`{"type":"length"}`). What says neither nothing (null, false, 0, no text) nor a word comes as it is written,
/// so that it counts as a word that nobody knows. A view of `raw` or of `scratch`.
std::string_view reason_word_in(json::raw raw, std::string& scratch);

/// Whether it is known how an answer ended. `told`: by the provider's word; `judged`: by what the answer holds, too,
/// which is unknown where the two do not go together.
bool is_clear_end(finish_reason told, finish_reason judged, bool holds_nothing);

/// What is wrong with an answer that ended so and counts. `is_known`: its word is; `holds_nothing`: neither a text nor
/// a call.
answer_flaw judge_flaw(finish_reason reason, bool is_known, bool holds_nothing);

/// Whether an answer that ends so is for certain no good one, whatever it holds.
bool is_bad(const ending& how);

/// Makes the failure for an answer that its provider broke off with that word. `explanation`: the provider's.
failure broken_by_provider(const http::response_head& head, const ending& how, std::string_view word,
                           std::string_view explanation);

} // namespace modelforge::wire
