#include "wire/openai/chunk.hpp"

namespace modelforge::wire::openai {

// Only the members that matter are kept, as views; the rest is skipped without being parsed into anything.
bool read_chunk(std::string_view data, chunk& chunk, std::string& problem) {
  json::raw groq;
  json::reader in{data};
  in.fields({{"choices", &chunk.choices},
             {"usage", &chunk.usage},
             {"id", &chunk.id},
             {"model", &chunk.model},
             {"error", &chunk.error},
             {"x_groq", &groq}});
  if (!in.finish()) {
    problem = in.problem();
    return false;
  }
  read_fields(groq, {{"error", &chunk.groq_error}, {"usage", &chunk.groq_usage}});
  return true;
}

// An element that is no object is skipped, and is no choice.
bool take_choice(json::reader& in, chunk_choice& choice) {
  return in.fields({{"delta", &choice.delta},
                    {"finish_reason", &choice.finish_reason},
                    {"index", &choice.index},
                    {"message", &choice.message},
                    {"error", &choice.error},
                    {"usage", &choice.usage},
                    {"text", &choice.text},
                    {"logprobs", &choice.logprobs}});
}

bool chunk_delta::is_only_text() const {
  auto is_none = [](json::raw x) { return x.text.empty() || x.text == "null" || x.text == "[]" || x.text == "\"\""; };
  return content.is_string() && is_none(refusal) && is_none(reasoning) && is_none(reasoning_content)
         && is_none(reasoning_details) && is_none(tool_calls) && is_none(function_call);
}

chunk_delta read_delta(json::raw value) {
  chunk_delta result;
  if (value.is_string())
    result.content = value;
  read_fields(value, {{"content", &result.content},
                      {"refusal", &result.refusal},
                      {"reasoning", &result.reasoning},
                      {"reasoning_content", &result.reasoning_content},
                      {"reasoning_details", &result.reasoning_details},
                      {"tool_calls", &result.tool_calls},
                      {"function_call", &result.function_call}});
  return result;
}

bool content_piece::is_known() const {
  return !text.text.empty() || !thinking.text.empty() || !refusal.text.empty();
}

content_piece take_content_piece(json::reader& in) {
  content_piece piece;
  if (!in.fields(
        {{"type", &piece.type}, {"text", &piece.text}, {"thinking", &piece.thinking}, {"refusal", &piece.refusal}}))
    if (auto value = in.value(); value.is_string())
      piece.text = value;
  read_fields(piece.text, {{"value", &piece.text}}); // as OpenAI's Assistants have it
  return piece;
}

bool take_fragment(json::reader& in, call_fragment& part) {
  json::raw function, custom, parameters;
  if (!in.fields({{"index", &part.index},
                  {"id", &part.id},
                  {"function", &function},
                  {"custom", &custom},
                  {"name", &part.name},
                  {"arguments", &part.arguments}})) // some do without the object around these
    return false;
  read_fields(function, {{"name", &part.name}, {"arguments", &part.arguments}, {"parameters", &parameters}});
  if (part.arguments.text.empty())
    part.arguments = parameters;
  part.takes_text = read_fields(custom, {{"name", &part.name}, {"input", &part.arguments}});
  return true;
}

call_fragment read_function_call(json::raw value) {
  call_fragment result;
  read_fields(value, {{"name", &result.name}, {"arguments", &result.arguments}});
  result.index = {"0"};
  return result;
}

told_usage read_usage(json::raw value) {
  json::raw input, output, cache_hits, input_details, output_details, cached, cache_written, reasoning;
  json::raw other_input, other_output;
  read_fields(value, {{"prompt_tokens", &input},
                      {"completion_tokens", &output},
                      {"prompt_cache_hit_tokens", &cache_hits}, // DeepSeek
                      {"prompt_tokens_details", &input_details},
                      {"completion_tokens_details", &output_details},
                      {"input_tokens", &other_input}, // as other dialects have it
                      {"output_tokens", &other_output},
                      {"promptTokens", &other_input}, // gateways in JavaScript
                      {"completionTokens", &other_output}});
  read_fields(input_details, {{"cached_tokens", &cached}, {"cache_write_tokens", &cache_written}});
  read_fields(output_details, {{"reasoning_tokens", &reasoning}});
  told_usage told{input.text.empty() ? other_input : input, output.text.empty() ? other_output : output, cached,
                  cache_written, reasoning};
  if (!told.cached.is_told())
    told.cached = cache_hits;
  return told;
}

bool tells_error(json::raw raw) {
  return raw.is_object() || raw.has_text();
}

} // namespace modelforge::wire::openai
