#include "tools/simulator/language.hpp"

#include "tools/simulator/random.hpp"

namespace modelforge::simulator {

namespace {

constexpr std::string_view html_type = "text/html; charset=utf-8";
constexpr std::string_view html_page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>\n"
                                       "<body><h1>Guest network</h1><p>Accept the terms of use to go on.</p></body>"
                                       "</html>\n";

reply faulty_reply(const exchange& x, const language& in, const demand& wanted, fault injected) {
  reply answer;
  switch (injected) {
    case fault::garbage:
      return in.garbage_reply(x, wanted.is_stream);
    case fault::html:
      answer.content_type = html_type;
      answer.body = html_page;
      return answer;
    case fault::timeout:
    case fault::reset:
      answer.status = 0;
      return answer;
    default:
      return in.fault_reply(x, wanted.model, injected);
  }
}

} // namespace

reply error_reply(const language& in, const exchange& x, const api_error& error) {
  auto answer = in.new_reply(x);
  answer.status = error.status;
  answer.body = in.error_text(x, error);
  return answer;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::optional<std::string_view> bearer_key(const exchange& x) {
  if (!x.authorization.starts_with("Bearer ") && !x.authorization.starts_with("bearer "))
    return std::nullopt;
  return x.authorization.substr(7);
}

uint64_t unique_number(const exchange& x) {
  return mix(mix(x.settings.seed) + x.number);
}

reply serve(const exchange& x, const language& in, const demand& wanted, const std::function<reply()>& answer) {
  auto decided =
    x.gate.decide(x.arrived, x.request_id, x.attempt, wanted.prompt_tokens, wanted.max_tokens, wanted.is_stream);
  reply result;
  if (!decided.limits.is_admitted())
    result = in.limit_reply(x, wanted.model, decided.limits);
  else if (decided.effect == fault::none || spoils_answer(decided.effect))
    result = answer();
  else
    result = faulty_reply(x, in, wanted, decided.effect);
  result.decided = decided;
  return result;
}

reply remembering(reply answer, prompt_cache::finding found) {
  answer.cached = found.use;
  answer.keep = std::move(found.keep);
  return answer;
}

void add_limit_headers(const exchange& x, const language& in, reply& answer) {
  if (x.settings.limit_headers && answer.status != 0 && answer.content_type != html_type)
    in.append_limit_headers(x, answer);
}

} // namespace modelforge::simulator
