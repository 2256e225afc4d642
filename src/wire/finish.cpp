#include "wire/finish.hpp"

#include "base/ascii.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire {

namespace {

struct known_ending {
  std::string_view word; ///< In small letters.
  ending means;
};

constexpr ending stops{finish_reason::stop};
constexpr ending cuts{finish_reason::length};
constexpr ending calls{finish_reason::tool_calls};
constexpr ending filters{finish_reason::content_filter};
constexpr ending declines{finish_reason::refusal};
constexpr ending pauses{finish_reason::paused};
constexpr ending fails{finish_reason::unknown, errc::server_error};
constexpr ending overloads{finish_reason::unknown, errc::overloaded};
/// The model's own mistake: asked once more it may do better.
constexpr ending garbles{finish_reason::unknown, errc::invalid_response};
constexpr ending lacks_seal{finish_reason::unknown, errc::invalid_request};
/// Said where nothing was generated, and where nobody knows why it ended.
constexpr ending tells_nothing{finish_reason::unknown, errc::server_error, true};

constexpr auto all_endings = std::to_array<known_ending>({
  {"stop", stops},
  {"end_turn", stops}, // Anthropic
  {"stop_sequence", stops},
  {"completed", stops}, // Responses
  {"complete", stops},  // Cohere
  {"eos", stops},       // servers of their own, by the token that ended it
  {"eos_token", stops}, // text-generation-inference
  {"eot", stops},
  {"stop_token", stops},
  {"stop_word", stops},
  {"finish", stops},
  {"finished", stops},
  {"end", stops},
  {"done", stops},

  {"length", cuts},
  {"max_tokens", cuts}, // Anthropic, Gemini, Cohere
  {"max_output_tokens", cuts},
  {"max_completion_tokens", cuts},
  {"max_new_tokens", cuts},
  {"max_length", cuts},
  {"model_length", cuts}, // Mistral
  {"model_context_window_exceeded", cuts},
  {"context_window_exceeded", cuts},
  {"context_length_exceeded", cuts},
  {"context_length", cuts},
  {"error_limit", cuts}, // Cohere
  {"limit", cuts},
  {"token_limit", cuts},
  {"truncated", cuts},

  {"tool_calls", calls},
  {"tool_call", calls},
  {"tool_use", calls},      // Anthropic
  {"function_call", calls}, // OpenAI's old form

  {"content_filter", filters},
  {"content_filtered", filters},     // Bedrock
  {"guardrail_intervened", filters}, // Bedrock
  {"error_toxic", filters},          // Cohere
  {"sensitive", filters},            // Zhipu
  {"moderation", filters},
  {"blocked", filters},
  {"filtered", filters},
  {"safety", filters}, // Gemini, down to the images
  {"recitation", filters},
  {"language", filters},
  {"blocklist", filters},
  {"prohibited_content", filters},
  {"spii", filters},
  {"model_armor", filters},
  {"image_safety", filters},
  {"image_prohibited_content", filters},
  {"image_recitation", filters},

  {"refusal", declines}, // Anthropic
  {"pause_turn", pauses},

  {"error", fails}, // Mistral, OpenRouter
  {"abort", fails}, // vLLM, SGLang
  {"aborted", fails},
  {"cancel", fails},
  {"cancelled", fails},
  {"canceled", fails},
  {"fail", fails},
  {"failed", fails},
  {"failure", fails},
  {"interrupted", fails},
  {"timeout", fails},
  {"timed_out", fails},
  {"network_error", fails}, // Zhipu
  {"internal_error", fails},
  {"internal_server_error", fails},
  {"server_error", fails},
  {"insufficient_system_resource", overloads}, // DeepSeek
  {"overloaded", overloads},
  {"overloaded_error", overloads},
  {"engine_overloaded", overloads},
  {"service_unavailable", overloads},
  {"unavailable", overloads},
  {"malformed_function_call", garbles}, // Gemini
  {"malformed_response", garbles},
  {"unexpected_tool_call", garbles},
  {"too_many_tool_calls", garbles},
  {"malformed_tool_use", garbles}, // Bedrock
  {"malformed_model_output", garbles},
  {"missing_thought_signature", lacks_seal}, // Gemini

  {"load", tells_nothing}, // Ollama: the model was loaded, or unloaded, and nothing else
  {"unload", tells_nothing},
  {"other", tells_nothing}, // Gemini
  {"image_other", tells_nothing},
  {"no_image", tells_nothing},
});

/// Whether a word is one of the table's, which are in small letters with "_" between them.
bool is_same(std::string_view known, std::string_view letters) {
  auto next = letters.begin();
  for (auto c : known)
    if (c != '_' && (next == letters.end() || *next++ != c))
      return false;
  return next == letters.end();
}

/// The letters and digits of a word, small, without what programs print in front of it.
std::string letters_of(std::string_view word) {
  word = ascii::trim(word);
  if (auto dot = word.rfind('.'); dot != word.npos && dot + 1 < word.size())
    word.remove_prefix(dot + 1);
  std::string result;
  for (auto c : word)
    if (c != '_' && c != '-' && c != ' ')
      result += ascii::lower(c);
  for (std::string_view prefix : {"finishreason", "stopreason"})
    if (result.starts_with(prefix) && result.size() > prefix.size())
      result.erase(0, prefix.size());
  return result;
}

constexpr auto max_nesting = 3; ///< Of a reason in others; deeper ones are taken as they are.

bool holds_no_word(std::string_view value) {
  constexpr std::string_view nothing[] = {"", "null", "false", "0", "{}", "[]"};
  return std::find(std::begin(nothing), std::end(nothing), value) != std::end(nothing);
}

/// See `reason_word_in`; of several words the last one is taken.
std::string word_within(json::raw raw, int nesting) {
  if (holds_no_word(raw.text))
    return {};
  std::string found;
  if (raw.is_string())
    return std::string{string_in(raw, found)};
  auto look = [&](json::raw inner) {
    if (auto word = nesting < max_nesting ? word_within(inner, nesting + 1) : ""; !is_no_reason(word))
      found = std::move(word);
  };
  json::reader in{raw};
  in.elements([&] { look(in.value()); });
  json::raw word;
  read_fields(raw, {{"type", &word}, {"reason", &word}, {"value", &word}, {"name", &word}, {"finish_reason", &word}});
  look(word);
  auto is_unset = !word.text.empty() && (holds_no_word(word.text) || word.text == "\"\"");
  return found.empty() && !is_unset ? std::string{raw.text} : found;
}

std::string_view suggest_for(errc code) {
  switch (code) {
    case errc::overloaded:
      return "try again later, or use another model or provider";
    case errc::invalid_response:
      return "ask again; a strict schema, simpler tools or a lower temperature may help";
    case errc::invalid_request:
      return "send what the model thought back with the conversation, seals included";
    default:
      return {};
  }
}

} // namespace

ending ending_named(std::string_view word) {
  auto find = [](auto&& is_its) {
    auto found = std::find_if(all_endings.begin(), all_endings.end(), [&](auto& x) { return is_its(x.word); });
    return found == all_endings.end() ? nullptr : &found->means;
  };
  auto* means = find([&](std::string_view known) { return ascii::iequals(known, word); });
  if (means == nullptr && !word.empty())
    means = find([letters = letters_of(word)](std::string_view known) { return is_same(known, letters); });
  return means == nullptr ? ending{} : *means;
}

std::string_view reason_word_in(json::raw raw, std::string& scratch) {
  return raw.is_string() || raw.text.empty() ? string_in(raw, scratch) : scratch = word_within(raw, 0);
}

bool is_no_reason(std::string_view word) {
  word = ascii::trim(word);
  return word.empty() || ascii::iequals(word, "null") || ascii::iequals(word, "none");
}

bool is_clear_end(finish_reason told, finish_reason judged, bool holds_nothing) {
  return told != finish_reason::unknown && (judged != finish_reason::unknown || holds_nothing);
}

answer_flaw judge_flaw(finish_reason reason, bool is_known, bool holds_nothing) {
  switch (reason) {
    case finish_reason::length:
    case finish_reason::paused:
      return answer_flaw::cut;
    case finish_reason::content_filter:
    case finish_reason::refusal:
      return answer_flaw::blocked;
    default:
      return !is_known ? answer_flaw::unclear : holds_nothing ? answer_flaw::empty : answer_flaw::none;
  }
}

bool is_bad(const ending& how) {
  return (how.failed != errc::none && !how.if_empty) || judge_flaw(how.reason, true, false) != answer_flaw::none;
}

failure broken_by_provider(const http::response_head& head, const ending& how, std::string_view word,
                           std::string_view explanation) {
  auto result = invalid_answer(head, {});
  result.code = how.failed;
  result.provider_code = clean_words(word, 100);
  result.provider_message = explanation;
  result.message = how.failed == errc::invalid_response  ? "the model's answer is of no use to the provider"
                   : how.failed == errc::invalid_request ? "the provider did not take the conversation"
                   : how.if_empty                        ? "the provider ended the answer before it said anything"
                                                         : "the provider broke the answer off";
  result.message += " (finish reason \"" + result.provider_code + "\")";
  result.suggestion = suggest_for(how.failed);
  return result;
}

} // namespace modelforge::wire
