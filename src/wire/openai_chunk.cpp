#include "wire/openai_chunk.hpp"

#include "wire/openai_parts.hpp"

namespace modelforge::wire {

namespace {

void read_function(json::reader& in, std::string_view arguments, call_fragment& x) {
  in.members([&](std::string_view name) {
    if (name == "name")
      x.name = in.value();
    else if (name == arguments)
      x.arguments = in.value();
  });
}

} // namespace

bool read_chunk(std::string_view data, chunk& x, std::string& problem) {
  json::reader in{data};
  in.members([&](std::string_view name) {
    if (name == "choices")
      x.choices = in.value();
    else if (name == "usage")
      x.usage = in.value();
    else if (name == "id")
      x.id = in.value();
    else if (name == "model")
      x.model = in.value();
    else if (name == "error")
      x.error = in.value();
    else if (name == "x_groq")
      in.members([&](std::string_view inner) {
        if (inner == "error")
          x.groq_error = in.value();
      });
  });
  if (in.finish())
    return true;
  problem = in.problem();
  return false;
}

bool take_choice(json::reader& in, chunk_choice& x) {
  return in.members([&](std::string_view name) {
    if (name == "delta")
      x.delta = in.value();
    else if (name == "finish_reason")
      x.finish_reason = in.value();
    else if (name == "index")
      x.index = in.value();
    else if (name == "message")
      x.message = in.value();
    else if (name == "error")
      x.error = in.value();
  });
}

chunk_delta read_delta(json::raw x) {
  chunk_delta result;
  json::reader in{x};
  in.members([&](std::string_view name) {
    if (name == "content")
      result.content = in.value();
    else if (name == "refusal")
      result.refusal = in.value();
    else if (name == "reasoning")
      result.reasoning = in.value();
    else if (name == "reasoning_content")
      result.reasoning_content = in.value();
    else if (name == "tool_calls")
      result.tool_calls = in.value();
    else if (name == "function_call")
      result.function_call = in.value();
  });
  return result;
}

content_piece take_content_piece(json::reader& in) {
  content_piece x;
  in.members([&](std::string_view name) {
    if (name == "type")
      x.type = in.value();
    else if (name == "text")
      x.text = in.value();
    else if (name == "thinking")
      x.thinking = in.value();
    else if (name == "refusal")
      x.refusal = in.value();
  });
  return x;
}

bool take_fragment(json::reader& in, call_fragment& x) {
  return in.members([&](std::string_view name) {
    if (name == "index") {
      x.index = in.value();
    } else if (name == "id") {
      x.id = in.value();
    } else if (name == "function") {
      read_function(in, "arguments", x);
    } else if (name == "custom") { // a tool that takes free text
      x.takes_text = true;
      read_function(in, "input", x);
    }
  });
}

call_fragment read_function_call(json::raw x) {
  call_fragment result;
  json::reader in{x};
  read_function(in, "arguments", result);
  result.index = {"0"};
  return result;
}

told_usage read_usage(json::raw x) {
  told_usage told;
  told_tokens cache_hits; // DeepSeek
  json::reader in{x};
  in.members([&](std::string_view name) {
    if (name == "prompt_tokens")
      told.input = in.value();
    else if (name == "completion_tokens")
      told.output = in.value();
    else if (name == "prompt_cache_hit_tokens")
      cache_hits = in.value();
    else if (name == "prompt_tokens_details")
      in.members([&](std::string_view detail) {
        if (detail == "cached_tokens")
          told.cached = in.value();
        else if (detail == "cache_write_tokens")
          told.cache_written = in.value();
      });
    else if (name == "completion_tokens_details")
      in.members([&](std::string_view detail) {
        if (detail == "reasoning_tokens")
          told.reasoning = in.value();
      });
  });
  if (!told.cached.is_told())
    told.cached = cache_hits;
  return told;
}

bool says_something(json::raw x) {
  return x.is_string() && x.text != "\"\"";
}

bool tells_error(json::raw x) {
  return x.is_object() || says_something(x);
}

} // namespace modelforge::wire
