#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/request_id.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace modelforge {

namespace {

std::string number(double x, const char* unit) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), x < 10 && x != static_cast<int>(x) ? "%.1f %s" : "%.0f %s", x, unit);
  return text.data();
}

/// Gives `to` what it has not got.
template <class T>
void fill_in(std::optional<T>& to, const std::optional<T>& with) {
  if (!to)
    to = with;
}

template <class T>
void fill_in(T& to, const T& with) {
  if (to.empty())
    to = with;
}

} // namespace

void fill_in(sampling& to, const sampling& with) {
  fill_in(to.max_tokens, with.max_tokens);
  fill_in(to.temperature, with.temperature);
  fill_in(to.top_p, with.top_p);
  fill_in(to.top_k, with.top_k);
  fill_in(to.frequency_penalty, with.frequency_penalty);
  fill_in(to.presence_penalty, with.presence_penalty);
  fill_in(to.seed, with.seed);
  fill_in(to.stop, with.stop);
  if (to.reasoning_effort.empty() && !to.reasoning_budget) {
    to.reasoning_budget = with.reasoning_budget;
    to.reasoning_effort = with.reasoning_effort;
  }
}

request_id make_request_id(std::mt19937_64& random) {
  request_id x;
  while (!x)
    x = {random(), random()};
  return x;
}

std::string to_string(const request_id& x) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (int i = 0; i < 16; ++i) {
    text[15 - i] = digits[(x.high >> (4 * i)) & 15];
    text[31 - i] = digits[(x.low >> (4 * i)) & 15];
  }
  return text;
}

bool from_string(std::string_view text, request_id& x) {
  if (text.size() != 32)
    return false;
  auto read = [](std::string_view half, uint64_t& value) {
    auto [end, error] = std::from_chars(half.data(), half.data() + half.size(), value, 16);
    return error == std::errc{} && end == half.data() + half.size();
  };
  request_id result;
  if (!read(text.substr(0, 16), result.high) || !read(text.substr(16), result.low))
    return false;
  x = result;
  return true;
}

namespace {

/// Whether a finish reason is one of those that tell of calls, as any provider writes them.
bool names_calls(std::string_view reason) {
  constexpr auto parts = std::to_array<std::string_view>({"tool", "TOOL", "Tool", "function_call", "FUNCTION_CALL"});
  return std::any_of(parts.begin(), parts.end(), [&](auto part) { return reason.find(part) != reason.npos; });
}

} // namespace

std::string flaw_text(const completion& x) {
  auto told = x.raw_finish_reason.empty() ? std::string{} : " (finish reason \"" + x.raw_finish_reason + "\")";
  switch (x.flaw) {
    case answer_flaw::none:
      return {};
    case answer_flaw::cut:
      return (x.finish_reason == finish_reason::paused ? "the provider paused the answer: it is not whole"
                                                       : "the answer was cut by the token limit")
             + told;
    case answer_flaw::blocked:
      return (x.finish_reason == finish_reason::refusal ? "the model declined to answer"
                                                        : "the provider's filter blocked the answer, or the rest of it")
             + told;
    case answer_flaw::empty:
      return "the answer is empty: it holds neither a text nor a call of a tool" + told;
    case answer_flaw::unclear:
      if (x.finish_reason != finish_reason::unknown)
        return "the answer may not be whole: see the warnings";
      if (names_calls(x.raw_finish_reason))
        return "the answer may not be whole: it told of a call of a tool, and none came" + told;
      return "the answer may not be whole: it ended with a finish reason that is not known, \"" + x.raw_finish_reason
             + '"';
  }
  return {};
}

std::string reasoning_of(const std::vector<reasoning_part>& x) {
  std::string text;
  for (auto& part : x)
    text += part.text;
  return text;
}

std::string reasoning_of(const completion& x) {
  return reasoning_of(x.reasoning);
}

chat_message turn_of(const completion& x) {
  chat_message result{role::assistant, {x.reasoning.begin(), x.reasoning.end()}, {}};
  if (!x.text.empty())
    result.content.push_back(text_part{x.text});
  else if (!x.refusal.empty())
    result.content.push_back(text_part{x.refusal});
  result.content.insert(result.content.end(), x.tool_calls.begin(), x.tool_calls.end());
  return result;
}

std::string to_string(const failure& x) {
  std::string text = x.provider.empty() ? std::string{} : x.provider + ": ";
  text += x.message.empty() ? to_string(x.code) : x.message;
  if (!x.provider_message.empty())
    text += ": " + x.provider_message;
  text += " [" + to_string(x.code);
  if (x.http_status != 0)
    text += ", HTTP " + std::to_string(x.http_status);
  if (!x.provider_request_id.empty())
    text += ", request " + x.provider_request_id;
  if (x.attempts.size() > 1)
    text += ", " + std::to_string(x.attempts.size()) + " attempts";
  text += "]";
  if (x.retry_after)
    text +=
      "\n  retry after: " + std::to_string(std::chrono::ceil<std::chrono::seconds>(*x.retry_after).count()) + " s";
  if (!x.suggestion.empty())
    text += "\n  " + x.suggestion;
  return text;
}

failure make_failure(errc code, std::string message, std::string suggestion) {
  failure x;
  x.code = code;
  x.message = std::move(message);
  x.suggestion = std::move(suggestion);
  return x;
}

std::string duration_text(std::chrono::nanoseconds x) {
  auto seconds = std::chrono::duration<double>{x}.count();
  if (seconds < 0.9995)
    return number(seconds * 1000, "ms");
  if (seconds < 120)
    return number(seconds, "s");
  return seconds < 7200 ? number(seconds / 60, "min") : number(seconds / 3600, "h");
}

} // namespace modelforge
