#include "tools/simulator/language.hpp"

#include "tools/simulator/random.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

constexpr std::string_view html_type = "text/html; charset=utf-8";
constexpr std::string_view html_page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>\n"
                                       "<body><h1>Guest network</h1><p>Accept the terms of use to go on.</p></body>"
                                       "</html>\n";

/// Returns what a fault puts in the place of an answer; those that spoil the right answer are not for here.
reply faulty_reply(const exchange& incoming, const language& dialect, const demand& wanted, fault injected) {
  reply answer;
  switch (injected) {
    case fault::garbage:
      return dialect.garbage_reply(incoming, wanted.is_stream);
    case fault::html:
      answer.content_type = html_type;
      answer.body = html_page;
      return answer;
    case fault::timeout:
    case fault::reset:
      answer.status = 0;
      return answer;
    default:
      return dialect.fault_reply(incoming, wanted.model, injected);
  }
}

} // namespace

reply paced_reply(const language& dialect, const exchange& incoming, const generation& request,
                  std::span<const choice> choices) {
  auto answer = dialect.new_reply(incoming);
  for (auto& each : choices) {
    answer.completion_tokens += each.tokens;
    answer.steps = std::max(answer.steps, each.tokens);
  }
  answer.is_paced = true;
  answer.jitter_seed = request.seed;
  answer.prompt_tokens = request.prompt_tokens;
  return answer;
}

reply error_reply(const language& dialect, const exchange& incoming, const api_error& error) {
  auto answer = dialect.new_reply(incoming);
  answer.status = error.status;
  answer.body = dialect.error_text(incoming, error);
  return answer;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::optional<std::string_view> bearer_key(const exchange& incoming) {
  if (!incoming.authorization.starts_with("Bearer ") && !incoming.authorization.starts_with("bearer "))
    return std::nullopt;
  return incoming.authorization.substr(7);
}

// Mixing hides that the numbers are consecutive; ids that providers give look random, too.
uint64_t unique_number(const exchange& incoming) {
  return mix(mix(incoming.settings.seed) + incoming.number);
}

// The answer is made only when it is wanted: it may take millions of tokens.
reply serve(const exchange& incoming, const language& dialect, const demand& wanted,
            const std::function<reply()>& answer) {
  auto decided = incoming.gate.decide(incoming.arrived, incoming.request_id, incoming.attempt, wanted.prompt_tokens,
                                      wanted.max_tokens, wanted.is_stream);
  reply result;
  if (!decided.limits.is_admitted())
    result = dialect.limit_reply(incoming, wanted.model, decided.limits);
  else if (decided.effect == fault::none || spoils_answer(decided.effect))
    result = answer();
  else
    result = faulty_reply(incoming, dialect, wanted, decided.effect);
  result.decided = decided;
  return result;
}

reply remembering(reply answer, prompt_cache::finding found) {
  answer.cached = found.use;
  answer.keep = std::move(found.keep);
  return answer;
}

void add_limit_headers(const exchange& incoming, const language& dialect, reply& answer) {
  if (incoming.settings.limit_headers && answer.status != 0 && answer.content_type != html_type)
    dialect.append_limit_headers(incoming, answer);
}

} // namespace modelforge::simulator
