#include "wire/openai/chunk.hpp"

#include "wire/finish.hpp"
#include "wire/forms.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire::openai {

namespace {

constexpr auto chunk_members = make_names<json::raw chunk::*>({
  {"choices", &chunk::choices},
  {"usage", &chunk::usage},
  {"id", &chunk::id},
  {"model", &chunk::model},
  {"error", &chunk::error},
  {"x_groq", &chunk::groq},
  {"finish_reason", &chunk::reason},
  {"finishReason", &chunk::reason},
  {"stop_reason", &chunk::reason},
  {"base_resp", &chunk::base_resp},
  {"output_sensitive", &chunk::output_sensitive},
  {"data", &chunk::data},
});

constexpr auto choice_members = make_names<json::raw chunk_choice::*>({
  {"delta", &chunk_choice::delta},
  {"finish_reason", &chunk_choice::finish_reason},
  {"index", &chunk_choice::index},
  {"message", &chunk_choice::message},
  {"error", &chunk_choice::error},
  {"usage", &chunk_choice::usage},
  {"text", &chunk_choice::text},
  {"content", &chunk_choice::text},
  {"logprobs", &chunk_choice::logprobs},
  {"tool_calls", &chunk_choice::tool_calls},
  {"function_call", &chunk_choice::function_call},
  {"finishReason", &chunk_choice::other_reason},
  {"finish_details", &chunk_choice::other_reason},
  {"stop_reason", &chunk_choice::other_reason},
  {"stopReason", &chunk_choice::other_reason},
  {"done_reason", &chunk_choice::other_reason},
  {"native_finish_reason", &chunk_choice::native_reason},
});

constexpr auto delta_members = make_names<json::raw chunk_delta::*>({
  {"content", &chunk_delta::content},
  {"text", &chunk_delta::text},
  {"refusal", &chunk_delta::refusal},
  {"reasoning", &chunk_delta::reasoning},
  {"reasoning_content", &chunk_delta::reasoning_content},
  {"reasoning_details", &chunk_delta::reasoning_details},
  {"tool_calls", &chunk_delta::tool_calls},
  {"toolCalls", &chunk_delta::tool_calls}, // gateways in JavaScript
  {"function_call", &chunk_delta::function_call},
  {"finish_reason", &chunk_delta::reason},
  {"finishReason", &chunk_delta::reason},
  {"stop_reason", &chunk_delta::reason},
  {"error", &chunk_delta::error},
  {"usage", &chunk_delta::usage},
});

/// Whether a member that no message has may hold its text.
bool names_text(std::string_view member) {
  static constexpr auto names =
    std::to_array<std::string_view>({"answer", "completion", "contents", "generated_text", "message", "output",
                                     "output_text", "parts", "response", "result", "value"});
  return std::find(names.begin(), names.end(), member) != names.end();
}

bool names_thought(std::string_view member) {
  static constexpr auto names = std::to_array<std::string_view>(
    {"reasoning_text", "reasoning_summary", "thinking", "thinking_content", "thought", "thoughts"});
  return std::find(names.begin(), names.end(), member) != names.end();
}

/// Returns its name where it holds what is no text, and comes where it was asked for.
std::string_view media_in(std::string_view member) {
  for (std::string_view name : {"audio", "image", "images", "video"})
    if (name == member)
      return name;
  return {};
}

/// Several such members may be there, most of them without a word.
void keep_longer(json::raw value, json::raw& kept) {
  if (value.text.size() > kept.text.size())
    kept = value;
}

/// Takes a member of a message that is not usual, if it may say something.
void take_other_member(std::string_view name, json::reader& in, chunk_delta& delta) {
  if (names_thought(name)) {
    delta.other_thought = in.value();
  } else if (names_text(name)) {
    keep_longer(in.value(), delta.other_text);
  } else if (auto media = media_in(name); !media.empty()) {
    if (auto value = in.value(); (value.is_object() || value.is_array()) && value.text.size() > 2)
      delta.left_out = media;
  } else {
    delta.has_calls_elsewhere = delta.has_calls_elsewhere || names_calls(name);
  }
}

} // namespace

// Only the members that matter are kept, as views; the rest is skipped without being parsed into anything.
bool read_chunk(std::string_view data, chunk& chunk, std::string& problem) {
  json::reader in{data};
  in.fields(chunk_members, chunk, [&](std::string_view name) {
    chunk.marks.take(name, in);
    if (name == "content" || name == "text" || name == "delta" || names_text(name))
      keep_longer(in.value(), chunk.text);
  });
  if (!in.finish()) {
    problem = in.problem();
    return false;
  }
  json::raw inner;
  if (chunk.choices.text.empty() && read_fields(chunk.data, {{"choices", &inner}})
      && (inner.is_array() || inner.is_object()))
    return read_chunk(chunk.data.text, chunk, problem);
  read_fields(chunk.groq, {{"error", &chunk.groq_error}, {"usage", &chunk.groq_usage}});
  return true;
}

namespace {

/// Takes a list of one element for that element; another one is odd.
void read_only_element(json::raw& list, json::raw& odd) {
  std::size_t count = 0;
  json::raw element;
  for_each_in(list, [&](json::reader& in) {
    element = in.value();
    ++count;
  });
  if (count > 1)
    odd = list;
  list = count == 1 ? element : json::raw{};
}

} // namespace

// A text is a choice that has nothing else.
bool take_choice(json::reader& in, chunk_choice& choice) {
  auto is_object = in.fields(choice_members, choice);
  if (!is_object) {
    auto value = in.value();
    (value.is_string() ? choice.delta : choice.odd) = value;
    return value.text != "null";
  }
  for (auto* inner : {&choice.delta, &choice.message})
    if (inner->is_array())
      read_only_element(*inner, choice.odd);
  return true;
}

int64_t place_of(const chunk_choice& choice) {
  return place_in(choice.index).value_or(0);
}

json::raw message_in(const chunk_choice& choice) {
  for (auto value : {choice.message, choice.delta, choice.text})
    if (value.is_object() || value.is_string())
      return value;
  return {};
}

bool holds_message(json::raw choices) {
  auto found = false;
  for_each_in(choices, [&](json::reader& in) {
    chunk_choice choice;
    found = (take_choice(in, choice) && !message_in(choice).text.empty() && choice.delta.text.empty()) || found;
  });
  return found;
}

bool chunk_delta::is_only_text() const {
  auto is_none = [](json::raw x) { return x.text.empty() || x.text == "null" || x.text == "[]" || x.text == "\"\""; };
  return content.is_string() && is_none(refusal) && is_none(reasoning) && is_none(reasoning_content)
         && is_none(reasoning_details) && is_none(tool_calls) && is_none(function_call) && is_none(other_thought)
         && is_none(other_text) && left_out.empty();
}

chunk_delta read_delta(json::raw value) {
  chunk_delta result;
  result.all = value;
  if (value.is_string())
    result.content = value;
  json::reader in{value};
  in.fields(delta_members, result, [&](std::string_view name) { take_other_member(name, in, result); });
  if (!result.content.has_text() && result.text.has_text())
    result.content = result.text;
  return result;
}

chunk_delta read_delta(json::raw value, const chunk_choice& choice) {
  auto result = read_delta(value);
  if (result.tool_calls.text.empty())
    result.tool_calls = choice.tool_calls;
  if (result.function_call.text.empty())
    result.function_call = choice.function_call;
  return result;
}

void join_split_choice(std::vector<chunk_choice>& all) {
  auto has_calls = [](const chunk_choice& choice) {
    return read_delta(choice.message, choice).tool_calls.text.size() > 2;
  };
  auto is_same_place = [&](const chunk_choice& x) { return place_in(x.index) == place_in(all.front().index); };
  if (all.size() != 2 || !is_same_place(all[1]) || has_calls(all[0]) || !has_calls(all[1])
      || read_delta(all[1].message).content.has_text()
      || ending_named(all[0].finish_reason.between_quotes()).reason != finish_reason::tool_calls)
    return;
  all[0].tool_calls = read_delta(all[1].message, all[1]).tool_calls;
  all.pop_back();
}

bool content_piece::is_known() const {
  return !text.text.empty() || !thinking.text.empty() || !refusal.text.empty();
}

bool may_hold_text(json::raw type) {
  auto name = type.between_quotes();
  return type.text.empty() || name == "text" || name == "output_text";
}

content_piece take_content_piece(json::reader& in) {
  content_piece piece;
  json::raw content;
  auto take = [&](std::string_view name) {
    if (name == "type")
      piece.type = in.value();
    else if (name == "text" || (name == "value" && piece.text.text.empty()))
      piece.text = in.value();
    else if (name == "content")
      note_other(name, content = in.value(), piece.call);
    else if (name == "thinking")
      piece.thinking = in.value();
    else if (name == "refusal")
      piece.refusal = in.value();
    else if (name == "logprobs")
      piece.logprobs = in.value();
    else
      take_member_of_call(name, in, piece.call);
  };
  if (!in.members(take))
    piece.text = in.value();
  if (piece.text.text.empty() && may_hold_text(piece.type))
    piece.text = content;
  read_fields(piece.text, {{"value", &piece.text}}); // as OpenAI's Assistants have it
  return piece;
}

std::string text_in(json::raw content) {
  std::string result, scratch;
  if (content.is_string())
    return std::string{string_in(content, scratch)};
  for_each_in(content, [&](json::reader& in) {
    auto piece = take_content_piece(in);
    if (auto type = piece.type.between_quotes(); type != "thinking" && type != "reasoning" && !piece.is_call())
      result += string_in(piece.text, scratch);
  });
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
                      {"input_tokens", &other_input}, // the Responses API, and other dialects
                      {"output_tokens", &other_output},
                      {"input_tokens_details", &input_details},
                      {"output_tokens_details", &output_details},
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

} // namespace modelforge::wire::openai
