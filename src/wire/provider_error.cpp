#include "wire/provider_error.hpp"

#include "base/ascii.hpp"
#include "wire/json.hpp"
#include "wire/retry_after.hpp"
#include "wire/times.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace modelforge::wire {

namespace {

using ascii::lower;

bool contains(std::string_view text, std::string_view part) {
  return ascii::icontains(text, part);
}

bool begins(std::string_view text, std::string_view part) {
  return ascii::istarts_with(text, part);
}

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

/// Whether the text holds one of these, in any case of letters.
template <std::size_t N>
bool says(std::string_view text, const std::array<std::string_view, N>& phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](auto phrase) { return contains(text, phrase); });
}

template <std::size_t N>
bool is_named(const provider_error& x, const std::array<std::string_view, N>& names) {
  return one_of(x.type, names) || one_of(x.code, names);
}

constexpr auto quota_names = std::to_array<std::string_view>(
  {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
   "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_not_active",
   "billing_hard_limit_reached", "enforced_spend_limit_reached"});

/// Anthropic says these with a 400.
constexpr auto quota_phrases =
  std::to_array<std::string_view>({"specified API usage limits", "credit balance is too low"});

constexpr auto filter_names =
  std::to_array<std::string_view>({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation",
                                   "bio_policy", "image_content_policy_violation"});

constexpr auto context_names =
  std::to_array<std::string_view>({"context_length_exceeded", "exceed_context_size_error"});

/// Of vLLM and Mistral, Anthropic, Gemini, Ollama (two), llama.cpp.
constexpr auto context_phrases =
  std::to_array<std::string_view>({"maximum context length", "prompt is too long", "input token count",
                                   "max context length", "exceeds the context length", "available context size"});

/// Google's, with a 400.
constexpr auto key_names = std::to_array<std::string_view>({"API_KEY_INVALID"});

/// Google's, with a 400, where the region is not served or billing is not set up.
constexpr auto permission_names = std::to_array<std::string_view>({"FAILED_PRECONDITION"});

/// What some say with a 429 although no rate was exceeded.
constexpr auto overload_names =
  std::to_array<std::string_view>({"overloaded_error", "engine_overloaded_error", "server_is_overloaded",
                                   "service_unavailable_error", "queue_exceeded", "capacity_exceeded"});

constexpr auto slow_down_names = std::to_array<std::string_view>({"slow_down"});

/// Anthropic's words for its acceleration limits.
constexpr auto slow_down_phrases = std::to_array<std::string_view>({"acceleration limit", "usage increase rate"});

/// What names mean that come inside a 200, as the status they usually come with.
struct named_status {
  std::string_view name;
  uint16_t status;
};

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
});

uint16_t status_of(const provider_error& x) {
  if (x.status != 0)
    return x.status;
  if (is_named(x, quota_names))
    return 429;
  if (is_named(x, context_names) || says(x.message, context_phrases) || x.moderated)
    return 400;
  if (contains(x.code, "image")) // of the Responses API: nothing that passes
    return 400;
  for (auto* name : {&x.code, &x.type})
    for (auto& known : named_statuses)
      if (*name == known.name)
        return known.status;
  return 500;
}

errc classify_refusal(const provider_error& x) {
  if (is_named(x, context_names) || says(x.message, context_phrases))
    return errc::context_length;
  if (says(x.message, quota_phrases))
    return errc::quota_exhausted;
  if (is_named(x, key_names))
    return errc::authentication;
  if (is_named(x, permission_names))
    return errc::permission;
  return x.moderated ? errc::content_filtered : errc::invalid_request;
}

/// A 429 may mean that the rate was too high, that this one request exceeds the limit, or that there is no capacity.
errc classify_429(const provider_error& x) {
  if (x.by_day)
    return errc::quota_exhausted;
  if (contains(x.message, "request too large")) // OpenAI; its code is rate_limit_exceeded all the same
    return errc::too_large;
  if (contains(x.message, "usage limit") && contains(x.message, "upgrade")) // Ollama's cloud, for days
    return errc::quota_exhausted;
  auto named_by_rate = x.code == "rate_limit_exceeded" || x.type == "rate_limit_error";
  if (is_named(x, overload_names) || (!named_by_rate && contains(x.message, "overloaded")))
    return errc::overloaded;
  return errc::rate_limited;
}

/// A number or a text, as text.
std::string word_in(const json::value& x) {
  if (x.is_number_integer())
    return to_text(x);
  return clean_words(string_in(x), 200);
}

/// Reads what Google puts beside an error: the exact reason, how long to wait, which quota was exceeded.
void read_details(const json::value& details, provider_error& x) {
  if (!details.is_array())
    return;
  for (auto& detail : details) {
    auto type = string_in(member(detail, "@type"));
    type = type.substr(type.rfind('/') + 1); // npos + 1 is 0
    if (type == "google.rpc.RetryInfo")
      x.wait = read_duration(string_in(member(detail, "retryDelay")));
    else if (auto& reason = member(detail, "reason"); type == "google.rpc.ErrorInfo" && !string_in(reason).empty())
      x.code = word_in(reason);
    else if (auto& all = member(detail, "violations"); type == "google.rpc.QuotaFailure" && all.is_array())
      for (auto& one : all)
        x.by_day = x.by_day || contains(string_in(member(one, "quotaId")), "PerDay");
  }
}

provider_error read_error(const json::value& x) {
  provider_error result;
  if (x.is_string()) {
    result.message = string_in(x);
    return result;
  }
  result.code = word_in(member(x, "code"));
  result.type = word_in(member(x, "type"));
  result.message = string_in(member(x, "message"));
  result.param = word_in(member(x, "param"));
  if (result.type.empty())
    result.type = clean_words(string_in(member(x, "status")), 200); // Google
  read_details(member(x, "details"), result);
  if (result.code.empty())
    result.code = word_in(member(member(x, "details"), "error_code")); // Anthropic
  if (auto number = count_in(member(x, "code")); number && *number >= 400 && *number < 600)
    result.status = static_cast<uint16_t>(*number);
  auto& inner = member(x, "innererror");
  auto& metadata = member(x, "metadata");
  result.moderated = one_of(result.code, filter_names) || one_of(string_in(member(inner, "code")), filter_names)
                     || member(metadata, "reasons").is_array() || member(metadata, "flagged_input").is_string();
  if (result.message.empty())
    result.message = string_in(member(metadata, "raw"));
  return result;
}

/// A list of validation errors, or a text: `{"detail": [{"loc": ["body", "model"], "msg": ...}]}`.
provider_error read_detail(const json::value& detail) {
  provider_error result;
  result.message = string_in(detail);
  if (!detail.is_array())
    return result;
  for (auto& x : detail) {
    std::string place;
    if (auto& steps = member(x, "loc"); steps.is_array())
      for (auto& step : steps)
        if (auto word = word_in(step); word != "body" && !word.empty())
          place += (place.empty() ? "" : ".") + word;
    if (result.param.empty())
      result.param = place;
    result.message += (result.message.empty() ? "" : "; ") + (place.empty() ? "" : place + ": ")
                      + std::string{string_in(member(x, "msg"))};
    if (result.message.size() > 1000)
      break;
  }
  return result;
}

/// The first name in quotes or backticks: "The model `demo` does not exist".
std::string_view quoted_name(std::string_view text) {
  auto start = text.find_first_of("`'\"");
  if (start == text.npos)
    return {};
  auto end = text.find(text[start], start + 1);
  return end == text.npos ? std::string_view{} : text.substr(start + 1, end - start - 1);
}

std::string explain(errc code, uint16_t status) {
  auto number = std::to_string(status);
  switch (code) {
    case errc::context_length:
      return "the conversation does not fit the model's context";
    case errc::content_filtered:
      return "the provider's content filter blocked the request";
    case errc::authentication:
      return "the provider did not accept the key";
    case errc::permission:
      return "the key may not do this";
    case errc::not_found:
      return status == 410 ? "what was asked for is gone" : "the provider knows no such model or path";
    case errc::quota_exhausted:
      return "the account's credit or quota is used up";
    case errc::rate_limited:
      return "the provider's rate limit was reached";
    case errc::overloaded:
      return "the provider is overloaded";
    case errc::too_large:
      return "the request is too large";
    case errc::unsupported:
      return "the provider has no such feature";
    case errc::invalid_request:
      return "the provider refused the request";
    case errc::invalid_response:
      return "the provider answered with HTTP " + number;
    default:
      return status < 400 ? "the provider failed while it answered" : "the provider failed with HTTP " + number;
  }
}

std::string suggest(errc code, uint16_t status, const provider_error& x) {
  switch (code) {
    case errc::context_length:
      return "shorten the conversation, or choose a model with a longer context";
    case errc::content_filtered:
      return "change the prompt; unchanged it will be blocked again";
    case errc::authentication:
      return "check the key that api_key_env or api_key_file names";
    case errc::permission:
      return "may this key use this model, from this country and network?";
    case errc::not_found:
      if (auto name = clean_words(quoted_name(x.message), 100); contains(x.message, "model") && !name.empty())
        return "does this provider have the model " + name + "?";
      return status == 410 ? "this service or model was retired: choose another one"
                           : "does this provider have that model, and is base_url right? it usually ends in /v1";
    case errc::quota_exhausted:
      return x.by_day
               ? "a day's quota is used up (Google renews it at midnight Pacific time): raise it, or use another model"
               : "add credit or raise the spend limit at the provider; waiting does not help";
    case errc::rate_limited:
      return x.code == "slow_down" ? "raise the load more slowly"
                                   : "set requests_per_minute and tokens_per_minute to what the provider grants";
    case errc::overloaded:
      return "try again later, or use another model or provider";
    case errc::too_large:
      return "send less in one request: fewer messages, smaller images, a lower max_tokens";
    case errc::server_error:
      return status == 504 ? "the answer may take too long: ask for a shorter one (max_tokens)" : "";
    default:
      return x.param.empty() ? "" : "look at the field " + x.param;
  }
}

/// Masks what follows the beginnings that providers give their keys.
void mask_keys(std::string& text) {
  constexpr auto prefixes =
    std::to_array<std::string_view>({"sk-", "gsk_", "AIza", "ghp_", "gho_", "github_pat_", "hf_", "xai-"});
  constexpr std::size_t shortest_key = 16;
  auto in_word = [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*';
  };
  for (auto prefix : prefixes)
    for (std::size_t i = 0; (i = text.find(prefix, i)) != text.npos; i += prefix.size()) {
      auto end = static_cast<std::size_t>(
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(), in_word) - text.begin());
      if ((i == 0 || !in_word(text[i - 1])) && end - i >= shortest_key)
        text.replace(i + prefix.size(), end - i - prefix.size(), "***");
    }
}

} // namespace

std::optional<provider_error> find_error(const json::value& body) {
  if (body.is_array())
    return body.empty() ? std::nullopt : find_error(body.front().is_array() ? json::value{} : body.front());
  if (auto& error = member(body, "error"); error.is_object() || !string_in(error).empty()) {
    auto result = read_error(error);
    if (result.message.empty()) // e.g. {"error": "not_found", "message": "..."}
      result.message = string_in(member(body, "message"));
    return result;
  }
  if (body.contains("choices"))
    return {};
  if (member(body, "message").is_string() || string_in(member(body, "object")) == "error")
    return read_error(body);
  if (auto& detail = member(body, "detail"); detail.is_array() || detail.is_string())
    return read_detail(detail);
  return {};
}

errc classify(uint16_t status, const provider_error& x) {
  if (status < 400 && status / 100 != 3)
    status = status_of(x);
  if (status / 100 == 4 && status != 401 && is_named(x, quota_names))
    return errc::quota_exhausted;
  switch (status) {
    case 400:
    case 422:
      return classify_refusal(x);
    case 401:
      return errc::authentication;
    case 402:
      return errc::quota_exhausted;
    case 403:
      if (contains(x.message, "unregistered callers")) // Gemini, where there was no key
        return errc::authentication;
      return x.moderated ? errc::content_filtered : errc::permission;
    case 404:
    case 410:
      return errc::not_found;
    case 408:
    case 409:
      return errc::server_error;
    case 413:
      return is_named(x, context_names) ? errc::context_length : errc::too_large;
    case 429:
      return classify_429(x);
    case 501:
      return errc::unsupported;
    case 503:
      return is_named(x, slow_down_names) ? errc::rate_limited : errc::overloaded;
    case 498:
    case 529:
      return errc::overloaded;
    default:
      return status >= 500 ? errc::server_error : status >= 400 ? errc::invalid_request : errc::invalid_response;
  }
}

bool grew_too_fast(const failure& x) {
  return one_of(x.provider_code, slow_down_names)
         || (x.code == errc::rate_limited && says(x.provider_message, slow_down_phrases));
}

failure error_answer(const http::response_head& head, const json::value* body, std::string_view text) {
  auto found = body != nullptr ? find_error(*body) : std::nullopt;
  auto error = found.value_or(provider_error{});
  failure result;
  result.code = classify(head.status, error);
  result.http_status = head.status;
  result.message = explain(result.code, head.status);
  auto is_status = error.code == std::to_string(error.status);
  result.provider_code = (error.code.empty() || is_status) && !error.type.empty() ? error.type : error.code;
  result.provider_message = clean_words(error.message);
  result.provider_request_id = request_id_in(head);
  if (result.provider_request_id.empty() && body != nullptr)
    result.provider_request_id = word_in(member(*body, "request_id"));
  if (!error.by_day) // a wait beside it is for another quota
    result.retry_after = error.wait ? error.wait : retry_after(head, std::chrono::system_clock::now());
  result.suggestion = suggest(result.code, head.status, error);
  if (!found) {
    auto kind = describe_body(text);
    result.message += ", with " + kind;
    if (kind == "an HTML page" && result.code != errc::authentication && head.status < 500)
      result.suggestion = "is base_url right? it usually ends in /v1";
  }
  if (head.status / 100 == 3) {
    auto host = clean_words(host_of(head.get("location")), 200);
    result.message = "the provider answered with HTTP " + std::to_string(head.status) + "; redirects are not followed";
    result.suggestion = host.empty() ? "is base_url right? it usually ends in /v1"
                                     : "the server points to " + host + ": should base_url name that host?";
  }
  return result;
}

failure invalid_answer(const http::response_head& head, std::string what) {
  failure result;
  result.code = errc::invalid_response;
  result.http_status = head.status;
  result.message = "the provider answered with " + std::move(what);
  result.provider_request_id = request_id_in(head);
  result.suggestion = "is base_url right? it usually ends in /v1";
  return result;
}

std::string_view host_of(std::string_view url) {
  auto start = url.find("://");
  if (start == url.npos)
    return {};
  url.remove_prefix(start + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  return url.substr(url.find('@') + 1); // npos + 1 is 0
}

std::string describe_body(std::string_view text) {
  auto start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos)
    return "an empty body";
  text.remove_prefix(start);
  if (begins(text, "<!doctype html") || begins(text, "<html") || begins(text, "<head"))
    return "an HTML page";
  if (begins(text, "data:") || begins(text, "event:") || begins(text, ": "))
    return "an event stream";
  return "a body that begins " + clean_words(text, 80);
}

std::string request_id_in(const http::response_head& head) {
  for (auto* name : {"x-request-id", "request-id", "apim-request-id"})
    if (auto value = head.get(name); !value.empty())
      return clean_words(value, 200);
  return {};
}

std::string clean_words(std::string_view text, std::size_t bytes) {
  auto part = text.substr(0, 4 * bytes + 64); // bodies may be long; masking shortens what it meets
  auto words = utf8::repair(part.size() < text.size() ? utf8::cut(part, part.size() - 4) : part);
  std::replace_if(
    words.begin(), words.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  std::erase_if(words, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; });
  mask_keys(words);
  words.resize(utf8::cut(words, bytes).size());
  return words;
}

} // namespace modelforge::wire
