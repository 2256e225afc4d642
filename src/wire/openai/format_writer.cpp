#include "wire/openai/format.hpp"

#include "wire/json.hpp"

#include <chrono>

namespace modelforge::wire::openai {

namespace {

/// The reason in OpenAI's words where it has one.
std::string_view reason_of(const completion& x) {
  switch (x.finish_reason) {
    case finish_reason::refusal:
      return "stop"; // the words are in `refusal`
    case finish_reason::unknown:
    case finish_reason::paused:
    case finish_reason::error:
      return x.raw_finish_reason.empty() ? name_of(x.finish_reason) : std::string_view{x.raw_finish_reason};
    default:
      return name_of(x.finish_reason);
  }
}

void write_text_or_null(json::writer& out, std::string_view key, std::string_view text) {
  out.key(key);
  if (text.empty())
    out.raw("null");
  else
    out.repaired(text);
}

void write_message(json::writer& out, const completion& x) {
  out.open('{');
  out.key("role");
  out.word("assistant");
  auto silent = x.text.empty() && (!x.tool_calls.empty() || !x.refusal.empty());
  out.key("content");
  silent ? out.raw("null") : out.repaired(x.text);
  write_text_or_null(out, "refusal", x.refusal);
  if (auto thoughts = reasoning_of(x); !thoughts.empty()) {
    out.key("reasoning_content");
    out.repaired(thoughts);
  }
  if (!x.tool_calls.empty()) {
    out.key("tool_calls");
    out.open('[');
    for (auto& call : x.tool_calls) {
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

void write_usage(json::writer& out, const token_usage& x) {
  auto count = [&](std::string_view name, uint64_t value) {
    out.key(name);
    out.number(value);
  };
  out.open('{');
  count("prompt_tokens", x.input);
  count("completion_tokens", x.output);
  count("total_tokens", x.input + x.output);
  out.key("prompt_tokens_details");
  out.open('{');
  count("cached_tokens", x.cached_read);
  count("cache_write_tokens", x.cache_written);
  out.close('}');
  out.key("completion_tokens_details");
  out.open('{');
  count("reasoning_tokens", x.reasoning);
  out.close('}');
  out.close('}');
}

std::string code_of(const failure& x) {
  return x.provider_code.empty() ? to_string(x.code) : x.provider_code;
}

std::string message_of(const failure& x) {
  auto text = x.message.empty() ? to_string(x.code) : x.message;
  return x.provider_message.empty() ? text : text + ": " + x.provider_message;
}

} // namespace

std::string write_completion(const completion& x) {
  std::string text;
  text.reserve(512 + x.text.size() + x.text.size() / 16);
  json::writer out{text};
  out.open('{');
  out.key("id");
  out.repaired("chatcmpl-" + to_string(x.id));
  out.key("object");
  out.word("chat.completion");
  out.key("created");
  auto now = std::chrono::system_clock::now().time_since_epoch();
  out.number(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  out.key("model");
  out.repaired(x.model);
  out.key("choices");
  out.open('[');
  out.open('{');
  out.key("index");
  out.number(0);
  out.key("message");
  write_message(out, x);
  out.key("logprobs");
  out.raw("null");
  out.key("finish_reason");
  out.repaired(reason_of(x));
  out.close('}');
  out.close(']');
  if (x.usage) {
    out.key("usage");
    write_usage(out, *x.usage);
  }
  out.close('}');
  return text;
}

std::string write_error(const failure& x) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("code");
  out.repaired(code_of(x));
  out.key("message");
  out.repaired(message_of(x));
  out.close('}');
  return text;
}

std::string write_error_body(const failure& x) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("error");
  out.open('{');
  out.key("message");
  out.repaired(message_of(x));
  out.key("type");
  out.word(name_of(x.code));
  out.key("param");
  out.raw("null");
  out.key("code");
  out.repaired(code_of(x));
  out.close('}');
  out.close('}');
  return text;
}

} // namespace modelforge::wire::openai
