#include "wire/openai/format.hpp"

#include "wire/json.hpp"

#include <chrono>

namespace modelforge::wire::openai {

namespace {

/// The reason in OpenAI's words where it has one.
template <class Answer>
std::string_view reason_of(const Answer& answer) {
  switch (answer.finish_reason) {
    case finish_reason::refusal:
      return answer.refusal.empty() ? "content_filter" : "stop"; // then the words are in `refusal`
    case finish_reason::unknown:
    case finish_reason::paused:
      return answer.raw_finish_reason.empty() ? name_of(answer.finish_reason)
                                              : std::string_view{answer.raw_finish_reason};
    default:
      return name_of(answer.finish_reason);
  }
}

void write_text_or_null(json::writer& out, std::string_view key, std::string_view text) {
  out.key(key);
  if (text.empty())
    out.raw("null");
  else
    out.repaired(text);
}

/// The content is null, not empty, where the model said nothing: clients tell the two apart.
template <class Answer>
void write_message(json::writer& out, const Answer& answer) {
  out.open('{');
  out.key("role");
  out.word("assistant");
  auto silent = answer.text.empty() && (!answer.tool_calls.empty() || !answer.refusal.empty());
  out.key("content");
  silent ? out.raw("null") : out.repaired(answer.text);
  write_text_or_null(out, "refusal", answer.refusal);
  if (auto thoughts = reasoning_of(answer.reasoning); !thoughts.empty()) {
    out.key("reasoning_content");
    out.repaired(thoughts);
  }
  if (!answer.tool_calls.empty()) {
    out.key("tool_calls");
    out.open('[');
    for (auto& call : answer.tool_calls) {
      out.open('{');
      out.key("id");
      out.repaired(call.id);
      out.key("type");
      out.word("function");
      out.key("function");
      out.open('{');
      out.key("name");
      out.repaired(call.name);
      out.key("arguments");
      out.repaired(call.arguments);
      out.close('}');
      out.close('}');
    }
    out.close(']');
  }
  out.close('}');
}

/// One of the answers to a question: a `completion`, or one beside it.
template <class Answer>
void write_choice(json::writer& out, std::size_t index, const Answer& answer) {
  out.open('{');
  out.key("index");
  out.number(index);
  out.key("message");
  write_message(out, answer);
  out.key("logprobs");
  out.raw(answer.logprobs.empty() ? "null" : std::string_view{answer.logprobs});
  out.key("finish_reason");
  out.repaired(reason_of(answer));
  out.close('}');
}

/// Our counts include the parts already, as OpenAI's do, so they are copied.
void write_usage(json::writer& out, const token_usage& usage) {
  auto count = [&](std::string_view name, uint64_t value) {
    out.key(name);
    out.number(value);
  };
  out.open('{');
  count("prompt_tokens", usage.input);
  count("completion_tokens", usage.output);
  count("total_tokens", usage.input + usage.output);
  out.key("prompt_tokens_details");
  out.open('{');
  count("cached_tokens", usage.cached_read);
  count("cache_write_tokens", usage.cache_written);
  out.close('}');
  out.key("completion_tokens_details");
  out.open('{');
  count("reasoning_tokens", usage.reasoning);
  out.close('}');
  out.close('}');
}

/// The provider's own code where it gave one, since clients know those; else ours.
std::string code_of(const failure& failed) {
  return failed.provider_code.empty() ? to_string(failed.code) : failed.provider_code;
}

std::string message_of(const failure& failed) {
  auto text = failed.message.empty() ? to_string(failed.code) : failed.message;
  return failed.provider_message.empty() ? text : text + ": " + failed.provider_message;
}

} // namespace

std::string write_completion(const completion& answer) {
  std::string text;
  text.reserve(512 + answer.text.size() + answer.text.size() / 16);
  json::writer out{text};
  out.open('{');
  out.key("id");
  out.repaired("chatcmpl-" + to_string(answer.id));
  out.key("object");
  out.word("chat.completion");
  out.key("created");
  auto now = std::chrono::system_clock::now().time_since_epoch();
  out.number(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  out.key("model");
  out.repaired(answer.model);
  out.key("choices");
  out.open('[');
  write_choice(out, 0, answer);
  for (std::size_t i = 0; i < answer.alternatives.size(); ++i)
    write_choice(out, i + 1, answer.alternatives[i]);
  out.close(']');
  if (answer.usage) {
    out.key("usage");
    write_usage(out, *answer.usage);
  }
  if (answer.cost) { // not OpenAI's: absent, never 0, where it is not known
    out.key("cost");
    out.number(*answer.cost);
  }
  out.close('}');
  return text;
}

std::string write_error(const failure& problem) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("code");
  out.repaired(code_of(problem));
  out.key("message");
  out.repaired(message_of(problem));
  if (!problem.text.empty()) {
    out.key("text");
    out.repaired(problem.text);
  }
  out.close('}');
  return text;
}

std::string write_error_body(const failure& problem) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("error");
  out.open('{');
  out.key("message");
  out.repaired(message_of(problem));
  out.key("type");
  out.word(name_of(problem.code));
  out.key("param");
  out.raw("null");
  out.key("code");
  out.repaired(code_of(problem));
  out.close('}');
  out.close('}');
  return text;
}

} // namespace modelforge::wire::openai
