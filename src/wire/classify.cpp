#include "base/ascii.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>

// What errors mean: by the answer's status, and by the names and phrases that providers use, whoever uses them.

namespace modelforge::wire {

namespace {

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

/// Whether the text holds one of these, in any case of letters.
template <std::size_t N>
bool says(std::string_view text, const std::array<std::string_view, N>& phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](auto phrase) { return ascii::icontains(text, phrase); });
}

/// Whether the error's type or its code is one of these. Servers do not agree on which of the two holds the name.
template <std::size_t N>
bool is_named(const provider_error& error, const std::array<std::string_view, N>& names) {
  return one_of(error.type, names) || one_of(error.code, names);
}

/// Money or a long-term quota is used up: waiting does not help, so these must not pass for a rate limit.
constexpr auto quota_names = std::to_array<std::string_view>(
  {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
   "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_not_active",
   "billing_hard_limit_reached", "enforced_spend_limit_reached", "budget_exceeded", "BudgetExceededError",
   "exceeded_current_quota_error", "Arrearage", "AccountOverdueError"}); // Moonshot, DashScope, Volcengine

/// Of Anthropic (two) with a 400, and of LiteLLM's proxy about the budgets of its keys, users and teams, with a 400,
/// 401 or 429; of SiliconFlow, xAI and Zhipu with a 403 or 429; of Google about models that a plan does not have.
constexpr auto quota_phrases = std::to_array<std::string_view>(
  {"specified API usage limits", "credit balance is too low", "BudgetExceededError", "budget has been exceeded",
   "ExceededBudget", "ExceededTokenBudget", "balance is insufficient", "used all available credits", "余额不足",
   "limit: 0, model"});

/// The prompt is too long for the model. Names first, since they are sure; the phrases below are for servers that send
/// a plain 400.
constexpr auto context_names =
  std::to_array<std::string_view>({"context_length_exceeded", "exceed_context_size_error", "ContextWindowExceededError",
                                   "model_max_prompt_tokens_exceeded", "tokens_limit_reached"}); // the last two: GitHub

/// Of vLLM and Mistral, Anthropic, Gemini, Ollama (two), llama.cpp, OpenAI's Responses, xAI, Bedrock, LM Studio, Groq;
/// of Anthropic with `max_tokens`, text-generation-inference, LM Studio, Moonshot, DashScope, vLLM (two), SGLang (two),
/// Copilot, Cohere.
constexpr auto context_phrases = std::to_array<std::string_view>({"maximum context length",
                                                                  "prompt is too long",
                                                                  "input token count",
                                                                  "max context length",
                                                                  "exceeds the context length",
                                                                  "available context size",
                                                                  "exceeds the context window",
                                                                  "maximum prompt length",
                                                                  "input is too long for",
                                                                  "greater than the context length",
                                                                  "reduce the length of the messages",
                                                                  "exceed context limit",
                                                                  "max_new_tokens` must be",
                                                                  "loaded with context length",
                                                                  "exceeded model token limit",
                                                                  "range of input length",
                                                                  "longer than the maximum model length",
                                                                  "number of input tokens exceeds",
                                                                  "tokens) exceeds the maximum allowed length",
                                                                  "longer than the model's context",
                                                                  "prompt token count of",
                                                                  "number of tokens in the prompt cannot exceed"});

/// What gateways call it in front of the provider's words; these count whatever the status is.
constexpr auto context_errors = std::to_array<std::string_view>(
  {"ContextWindowExceededError", "context_length_exceeded", "maximum context length is"});

/// LiteLLM's name, in front of the provider's words; of Anthropic and Zhipu.
constexpr auto filter_phrases =
  std::to_array<std::string_view>({"ContentPolicyViolationError", "content filtering policy", "不安全或敏感内容"});

/// What names mean that come inside a 200, as the status they usually come with.
struct named_status {
  std::string_view name;
  uint16_t status;
};

/// What phrases mean of errors inside a 200 that have neither code nor name.
constexpr auto phrased_statuses = std::to_array<named_status>({
  {"unauthorized", 401},
  {"invalid api key", 401},
  {"incorrect api key", 401},
  {"rate limit", 429},
  {"too many requests", 429},
  {"overloaded", 503},
});

/// Whether the words are about a model that there is not.
bool misses_model(std::string_view words) {
  return ascii::icontains(words, "model")
         && (ascii::icontains(words, "not found") || ascii::icontains(words, "does not exist"));
}

/// By which some servers say inside a 200 that they do not know the path (LM Studio; Spring).
constexpr auto path_phrases = std::to_array<std::string_view>(
  {"unexpected endpoint", "unknown endpoint", "404 not_found", "404 page not found", "cannot post /", "no route"});

/// Google's, with a 400; LiteLLM's, for a key that it does not know and has no database to look up in.
constexpr auto key_names = std::to_array<std::string_view>({"API_KEY_INVALID", "no_db_connection"});

/// Of xAI, with a 400.
constexpr auto key_phrases = std::to_array<std::string_view>({"incorrect api key provided"});

/// With a 400, of OpenAI and Mistral, Perplexity, Together, Azure.
constexpr auto model_names = std::to_array<std::string_view>(
  {"model_not_found", "invalid_model", "model_not_available", "model_not_exist", "unknown_model"});

/// Likewise, of LiteLLM, DeepSeek, OpenRouter, SiliconFlow, Zhipu.
constexpr auto model_phrases = std::to_array<std::string_view>(
  {"Invalid model name passed in", "Model Not Exist", "is not a valid model ID", "Model does not exist", "模型不存在"});

/// Of Ollama, with a 400, about a model.
constexpr auto lack_phrases = std::to_array<std::string_view>(
  {"does not support tools", "does not support thinking", "does not support chat", "does not support generate",
   "does not support embeddings", "does not support insert"});

/// Google's, with a 400, where the region is not served or billing is not set up.
constexpr auto permission_names = std::to_array<std::string_view>({"FAILED_PRECONDITION"});

/// What some say with a 429 although no rate was exceeded.
constexpr auto overload_names = std::to_array<std::string_view>(
  {"overloaded_error", "engine_overloaded_error", "server_is_overloaded", "service_unavailable_error", "queue_exceeded",
   "capacity_exceeded", "NoCapacity", "ServerOverloaded"});

/// OpenAI's name, with a 429 or a 503, for traffic that grows too fast.
constexpr auto slow_down_names = std::to_array<std::string_view>({"slow_down"});

/// Anthropic's words for its acceleration limits.
constexpr auto slow_down_phrases = std::to_array<std::string_view>({"acceleration limit", "usage increase rate"});

constexpr auto named_statuses = std::to_array<named_status>({
  {"invalid_request_error", 400},
  {"BadRequestError", 400},
  {"unsupported_parameter", 400},
  {"invalid_prompt", 400},
  {"data_residency_mismatch", 400},
  {"authentication_error", 401},
  {"invalid_api_key", 401},
  {"billing_error", 402},
  {"permission_error", 403},
  {"not_found_error", 404},
  {"model_not_found", 404},
  {"timeout_error", 408},
  {"request_too_large", 413},
  {"rate_limit_error", 429},
  {"rate_limit_exceeded", 429},
  {"requests", 429},
  {"tokens", 429},
  {"slow_down", 429},
  {"queue_exceeded", 429},
  {"capacity_exceeded", 498},
  {"server_error", 500},
  {"api_error", 500},
  {"not_supported_error", 501},
  {"overloaded_error", 529},
  {"server_is_overloaded", 503},
  {"service_unavailable_error", 503},
  {"unavailable_error", 503},
  {"engine_overloaded_error", 503},
  {"validation", 422}, // text-generation-inference
  {"Validation", 422}, // text-embeddings-inference
  {"overloaded", 503},
  {"Overloaded", 503},
});

/// The status of an error that came inside a success, as errors in a stream do: the provider's own figure, else what
/// its names and phrases usually come with, else 500, so that it is tried again.
uint16_t status_of(const provider_error& error) {
  if (says(error.message, path_phrases))
    return 404;
  if (error.status != 0)
    return error.status;
  if (is_named(error, quota_names) || says(error.message, quota_phrases))
    return 429;
  if (is_named(error, context_names) || says(error.message, context_phrases) || error.moderated)
    return 400;
  if (ascii::icontains(error.code, "image")) // of the Responses API: nothing that passes
    return 400;
  for (auto* name : {&error.code, &error.type})
    for (auto& known : named_statuses)
      if (*name == known.name)
        return known.status;
  if (misses_model(error.message) || ascii::iequals(error.message, "not found"))
    return 404;
  for (auto& known : phrased_statuses)
    if (ascii::icontains(error.message, known.name))
      return known.status;
  return 500;
}

/// For 400 and 422, which say only that the request was refused: names and phrases tell why.
errc classify_refusal(const provider_error& error) {
  if (is_named(error, context_names) || says(error.message, context_phrases))
    return errc::context_length;
  if (is_named(error, key_names) || says(error.message, key_phrases))
    return errc::authentication;
  if (is_named(error, permission_names))
    return errc::permission;
  if (is_named(error, model_names) || says(error.message, model_phrases))
    return errc::not_found;
  if (says(error.message, lack_phrases))
    return errc::unsupported;
  return error.moderated || says(error.message, filter_phrases) ? errc::content_filtered : errc::invalid_request;
}

/// A 429 may mean that the rate was too high, that this one request exceeds the limit, or that there is no capacity.
errc classify_429(const provider_error& error) {
  if (error.by_day)
    return errc::quota_exhausted;
  if (ascii::icontains(error.message, "request too large")) // OpenAI; its code is rate_limit_exceeded all the same
    return errc::too_large;
  if (ascii::icontains(error.message, "usage limit")
      && ascii::icontains(error.message, "upgrade")) // Ollama's cloud, for days
    return errc::quota_exhausted;
  auto named_by_rate = error.code == "rate_limit_exceeded" || error.type == "rate_limit_error";
  if (is_named(error, overload_names) || (!named_by_rate && ascii::icontains(error.message, "overloaded")))
    return errc::overloaded;
  return errc::rate_limited;
}

} // namespace

// The status decides, and names refine it. A status that says success or nothing is first replaced by the one that fits
// the error's names. Names of a used-up quota win over any 4xx but 401, which is about the key in any case unless its
// words speak of a budget; those of a prompt that is too long win over all.
errc classify(uint16_t status, const provider_error& error) {
  if (status < 400 && status / 100 != 3)
    status = status_of(error);
  if (status == 400 && ascii::icontains(error.type, "ThrottlingException")) // Amazon, with its namespace before it
    status = 429;
  if (status / 100 == 4 && ((status != 401 && is_named(error, quota_names)) || says(error.message, quota_phrases)))
    return errc::quota_exhausted;
  if (status >= 400 && says(error.message, context_errors))
    return errc::context_length;
  switch (status) {
    case 400:
    case 422:
      return classify_refusal(error);
    case 401:
      return errc::authentication;
    case 402:
      return errc::quota_exhausted;
    case 403:
      if (ascii::icontains(error.message, "unregistered callers")) // Gemini, where there was no key
        return errc::authentication;
      return error.moderated ? errc::content_filtered : errc::permission;
    case 404:
    case 405:
    case 410:
      return errc::not_found;
    case 407: // no retry helps
    case 511:
      return errc::permission;
    case 408:
    case 409:
    case 425:
      return errc::server_error;
    case 413:
      return is_named(error, context_names) ? errc::context_length : errc::too_large;
    case 429:
      return classify_429(error);
    case 501:
      return errc::unsupported;
    case 503:
      return is_named(error, slow_down_names) ? errc::rate_limited : errc::overloaded;
    case 498:
    case 529:
      return errc::overloaded;
    default:
      return status >= 500 ? errc::server_error : status >= 400 ? errc::invalid_request : errc::invalid_response;
  }
}

// The pause for this is longer than for a mere rate limit: see `retry::meaning::ramp`.
bool grew_too_fast(const failure& failed) {
  return one_of(failed.provider_code, slow_down_names)
         || (failed.code == errc::rate_limited && says(failed.provider_message, slow_down_phrases));
}

} // namespace modelforge::wire
