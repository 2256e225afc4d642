#pragma once

#include "http/message.hpp"
#include "wire/words.hpp"
#include "json/reader.hpp"
#include "json/value.hpp"

#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// What an HTTP answer that is no completion means, for every provider that speaks JSON over HTTP: `find_error` reads
/// what a body says, in any provider's form (provider_error.cpp; error_body.cpp for what is no JSON); `classify` gives
/// it a code (classify.cpp); `error_answer` puts both into words (error_answer.cpp). None asks which provider it was:
/// clones use each other's words.

namespace modelforge::wire {

/// An error as a body tells it. Each part may be empty.
struct provider_error {
  std::string code{};     ///< A name such as "rate_limit_exceeded", or digits.
  std::string type{};     ///< A name such as "invalid_request_error".
  std::string message{};  ///< All its words, whichever members hold them.
  std::string param{};    ///< The request's field that is wrong.
  uint16_t status = 0;    ///< The HTTP status that `code` stands for, where it is such a number.
  bool moderated = false; ///< A content filter speaks.
  bool by_day = false;    ///< A day's quota is used up.
  std::optional<std::chrono::nanoseconds> wait{}; ///< As the body tells it.
};

/// Whether the value of a member that is there for errors tells of one: a text, or anything in an object or a list.
/// Many servers write such members beside good answers, with null, "", {}, [], code 0 or an object full of nulls.
bool tells_error(const json::value& value);
bool tells_error(json::raw value);

/// Whether MiniMax's `base_resp`, which stands beside every answer, is one of a failure.
bool tells_failure(const json::value& base_resp);
bool tells_failure(json::raw base_resp);

/// Finds the error in a body: `error` as object (Google's with its details), text or list; what stands beside it; the
/// flat form of Mistral and of gateways (`message`, `msg`, `errorMessage`, ...); lists of errors (`detail`, `errors`),
/// each with the field that it is about; any of these in an array, in each other, or as JSON inside a text. The message
/// has all the words that are said. Empty if the body tells of none.
std::optional<provider_error> find_error(const json::value& body);

/// Returns a number or a text of an error as a word: its code, its type.
std::string word_in(const json::value& value);

/// What an error means. `status` is the answer's; below 400 (an error inside a 200) the error's own words decide.
errc classify(uint16_t status, const provider_error& error);

/// Whether a failure says that the traffic grew too fast, though within its limits.
bool grew_too_fast(const failure& problem);

/// Makes the failure for an answer with an error: by status, by what the body says, or both. `body` is null when it
/// is no JSON; `text` is the body as it came.
failure error_answer(const http::response_head& head, const json::value* body, std::string_view text);

/// Makes the failure for an answer that should be a completion and is not; `description` says what it is instead.
failure invalid_answer(const http::response_head& head, std::string description);

/// Makes the failure for a success whose JSON breaks off or goes wrong: it is the right server that has sent it.
failure broken_json(const http::response_head& head, std::string_view problem);

/// Makes the failure for a success whose body is no JSON: a page with its title, a text with what it says, nothing.
failure invalid_body(const http::response_head& head, std::string_view text);

/// Whether an answer that is none would be the same the next time: a page in place of an answer (`invalid_body`), the
/// answer of another API, vectors that do not fit, pieces that may be new or not, or a status that says that there is
/// nothing (204). An empty body is none of these: overloaded gateways send it.
bool will_come_again(const failure& problem);

} // namespace modelforge::wire
