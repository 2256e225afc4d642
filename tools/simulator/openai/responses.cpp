#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/openai/response_request.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

// A response is an envelope around a list of items: thinking, a message, calls. Its events name the response or the
// item that they are about and are numbered; the first and the last hold the whole envelope.

namespace modelforge::simulator::openai {

namespace {

using kind = piece::kind;

/// What writing the items of a response takes.
struct item_style {
  uint64_t number;      ///< Of the response: makes the ids.
  uint64_t seed;        ///< The simulator's.
  bool shows_summary;   ///< Of thinking.
  bool gives_encrypted; ///< Thinking.
};

/// Where an item is.
enum class stage : uint8_t { begun, done, cut };

/// Returns an item's id; its prefix shows the type.
std::string id_of(const piece& part, std::size_t index, const item_style& style) {
  auto prefix = part.type == kind::thinking ? "rs_" : part.type == kind::text ? "msg_" : "fc_";
  return prefix + hex(mix(style.number + index)) + hex(mix(~style.number + index));
}

/// Returns a part of an item's content.
std::string part_text(std::string_view type, std::string_view text) {
  std::string out = R"({"type":")" + std::string(type) + R"(","text":)";
  append_json(out, text);
  return out + (type == "output_text" ? R"(,"annotations":[],"logprobs":[]})" : "}");
}

/// Appends an item as it is at that stage; a begun one is empty.
void append_item(std::string& out, const piece& part, std::size_t index, const item_style& style, stage progress) {
  auto id = id_of(part, index, style);
  auto status = progress == stage::begun ? "in_progress" : progress == stage::cut ? "incomplete" : "completed";
  auto is_begun = progress == stage::begun;
  out += R"({"id":")" + id + R"(","type":")";
  if (part.type == kind::text) {
    out.append(R"(message","status":")").append(status).append(R"(","role":"assistant","content":[)");
    out += (is_begun ? std::string() : part_text("output_text", part.whole())) + "]}";
  } else if (part.type == kind::call) {
    out.append(R"(function_call","status":")").append(status);
    out += R"(","call_id":"call_)" + hex(part.id) + hex(mix(part.id), 8) + R"(","name":)";
    append_json(out, part.tool);
    append_json(out += R"(,"arguments":)", is_begun ? std::string() : part.whole());
    out += '}';
  } else {
    out += R"(reasoning","summary":[)";
    out += (is_begun || !style.shows_summary ? std::string() : part_text("summary_text", part.whole())) + "]";
    if (style.gives_encrypted)
      out += R"(,"encrypted_content":")" + sealed(hash(id, style.seed), style.seed) + "\"";
    out += '}';
  }
}

/// Returns whether the limit ended the choice in that item.
bool is_cut(const choice& completion, std::size_t index) {
  return completion.end == ending::length && index + 1 == completion.pieces.size();
}

/// Returns the list of all items.
std::string output_text(const choice& completion, const item_style& style) {
  std::string text = "[";
  for (std::size_t i = 0; i < completion.pieces.size(); ++i) {
    text += i == 0 ? "" : ",";
    append_item(text, completion.pieces[i], i, style, is_cut(completion, i) ? stage::cut : stage::done);
  }
  return text + "]";
}

/// Returns the member `usage`.
std::string usage_text(const response_request& request, const choice& completion) {
  std::string text = R"({"input_tokens":)" + std::to_string(request.prompt_tokens);
  text += R"(,"input_tokens_details":{"cached_tokens":)" + std::to_string(request.cached.read);
  text += R"(,"cache_write_tokens":)" + std::to_string(request.cached.written);
  text += R"(},"output_tokens":)" + std::to_string(completion.tokens);
  text += R"(,"output_tokens_details":{"reasoning_tokens":)" + std::to_string(completion.tokens_of(kind::thinking));
  return text + R"(},"total_tokens":)" + std::to_string(uint64_t{request.prompt_tokens} + completion.tokens) + "}";
}

/// A response without its status, error, output and usage: its two ends.
struct envelope {
  std::string head, tail;

  envelope(const exchange& incoming, const response_request& request) {
    auto id = unique_number(incoming);
    head = R"({"id":"resp_)" + hex(id) + hex(mix(id)) + R"(","object":"response","created_at":)";
    head += std::to_string(incoming.created);
    tail = R"(,"model":)";
    append_json(tail, request.model);
    tail += R"(,"service_tier":"default")" + request.echo + "}";
  }

  /// Returns the envelope with these members between its ends, each given as JSON.
  std::string with(std::string_view status, std::string_view error, std::string_view incomplete,
                   std::string_view output, std::string_view usage) const {
    std::string text = head + R"(,"status":")";
    text.append(status).append(R"(","error":)").append(error).append(R"(,"incomplete_details":)").append(incomplete);
    return text.append(R"(,"output":)").append(output).append(R"(,"usage":)").append(usage).append(tail);
  }

  /// Returns the response as it is at its end.
  std::string finished(const choice& completion, const item_style& style, std::string_view usage) const {
    auto is_whole = completion.end != ending::length;
    return with(is_whole ? "completed" : "incomplete", "null", is_whole ? "null" : R"({"reason":"max_output_tokens"})",
                output_text(completion, style), usage);
  }
};

/// Writes the events of a response; each has its number. A step is one token of one item: its events, with the item's
/// beginning before the first and its end behind the last one. The last event repeats the whole response. Called by
/// `outgoing_stream`.
class response_stream : public token_stream {
public:
  response_stream(const exchange& incoming, const response_request& request, choice completion)
    : style_{unique_number(incoming), incoming.settings.seed, request.shows_summary, request.gives_encrypted},
      envelope_(incoming, request), usage_(usage_text(request, completion)), choice_(std::move(completion)),
      padding_(request.seed), obfuscation_(request.obfuscation) {}

  bool next(std::string& out) override {
    if (number_ == 0)
      for (auto name : {"response.created", "response.in_progress"})
        append_event(out, name, R"("response":)" + envelope_.with("in_progress", "null", "null", "[]", "null"));
    auto step = choice_.next();
    item_ =
      R"("item_id":")" + id_of(step.part, step.index, style_) + R"(","output_index":)" + std::to_string(step.index);
    if (step.begins)
      begin_item(out, step);
    if (!step.token.empty() && is_shown(step.part))
      append_delta(out, step);
    if (step.ends)
      end_item(out, step);
    if (choice_.is_done())
      finish(out);
    return !choice_.is_done();
  }

  uint64_t tokens() const override { return choice_.tokens(); }

  uint64_t events() const override {
    uint64_t count = 3;
    for (const auto& part : choice_.all().pieces)
      count += !is_shown(part) ? 2 : (part.type == kind::call ? 3 : 5) + part.tokens - part.name_tokens;
    return count;
  }

  void fail(std::string& out) const override {
    auto error = server_error();
    std::string message;
    append_json(message, error.message);
    append_numbered(out, "error", number_, R"("code":"server_error","message":)" + message + R"(,"param":null)");
    auto failed =
      envelope_.with("failed", R"({"code":"server_error","message":)" + message + "}", "null", "[]", "null");
    append_numbered(out, "response.failed", number_ + 1, R"("response":)" + failed);
  }

private:
  /// Writes an event with that number.
  static void append_numbered(std::string& out, std::string_view name, uint64_t number, std::string_view members) {
    out.append("event: ").append(name).append("\ndata: {\"type\":\"").append(name).append(R"(","sequence_number":)");
    append_number(out, number);
    out.append(",").append(members).append("}\n\n");
  }

  /// Writes the next event.
  void append_event(std::string& out, std::string_view name, std::string_view members) {
    append_numbered(out, name, number_++, members);
  }

  /// Whether the client sees the piece's text: thinking only as a summary, if that was asked for.
  bool is_shown(const piece& part) const { return part.type != kind::thinking || style_.shows_summary; }

  /// Writes an event that holds the whole item.
  void append_item_event(std::string& out, std::string_view name, const choice_cursor::step& step, stage progress) {
    auto members = R"("output_index":)" + std::to_string(step.index) + R"(,"item":)";
    append_item(members, step.part, step.index, style_, progress);
    append_event(out, name, members);
  }

  /// Opens an item, and the part of it that takes the text.
  void begin_item(std::string& out, const choice_cursor::step& step) {
    append_item_event(out, "response.output_item.added", step, stage::begun);
    if (step.part.type == kind::text)
      append_event(out, "response.content_part.added",
                   item_ + R"(,"content_index":0,"part":)" + part_text("output_text", ""));
    else if (step.part.type == kind::thinking && style_.shows_summary)
      append_event(out, "response.reasoning_summary_part.added",
                   item_ + R"(,"summary_index":0,"part":)" + part_text("summary_text", ""));
  }

  /// Writes an increment; the obfuscation pads it, so that its size does not reveal the token's.
  void append_delta(std::string& out, const choice_cursor::step& step) {
    auto type = step.part.type;
    auto members = item_
                   + (type == kind::text   ? R"(,"content_index":0,"delta":)"
                      : type == kind::call ? R"(,"delta":)"
                                           : R"(,"summary_index":0,"delta":)");
    append_json(members, step.token);
    members += type == kind::text ? R"(,"logprobs":[])" : "";
    if (obfuscation_)
      members += R"(,"obfuscation":")" + hex(padding_.next(), static_cast<int>(16 - step.token.size() % 16)) + "\"";
    append_event(out,
                 type == kind::text   ? "response.output_text.delta"
                 : type == kind::call ? "response.function_call_arguments.delta"
                                      : "response.reasoning_summary_text.delta",
                 members);
  }

  /// Closes the part and the item; each of these events repeats the whole text.
  void end_item(std::string& out, const choice_cursor::step& step) {
    auto whole = is_shown(step.part) ? step.part.whole() : std::string();
    std::string text;
    append_json(text, whole);
    if (step.part.type == kind::text) {
      append_event(out, "response.output_text.done",
                   item_ + R"(,"content_index":0,"text":)" + text + R"(,"logprobs":[])");
      append_event(out, "response.content_part.done",
                   item_ + R"(,"content_index":0,"part":)" + part_text("output_text", whole));
    } else if (step.part.type == kind::call) {
      append_json(item_ += R"(,"name":)", step.part.tool);
      append_event(out, "response.function_call_arguments.done", item_ + R"(,"arguments":)" + text);
    } else if (style_.shows_summary) {
      append_event(out, "response.reasoning_summary_text.done", item_ + R"(,"summary_index":0,"text":)" + text);
      append_event(out, "response.reasoning_summary_part.done",
                   item_ + R"(,"summary_index":0,"part":)" + part_text("summary_text", whole));
    }
    append_item_event(out, "response.output_item.done", step,
                      is_cut(choice_.all(), step.index) ? stage::cut : stage::done);
  }

  /// Writes the last event.
  void finish(std::string& out) {
    append_event(out, choice_.all().end == ending::length ? "response.incomplete" : "response.completed",
                 R"("response":)" + envelope_.finished(choice_.all(), style_, usage_));
  }

  item_style style_;
  envelope envelope_;
  std::string usage_;
  std::string item_; ///< Which item an event is about.
  choice_cursor choice_;
  random_source padding_;
  uint64_t number_ = 0; ///< Of the next event.
  bool obfuscation_;
};

/// Answers a request that was admitted.
reply answer_response(const exchange& incoming, const response_request& request) {
  auto completion = make_choice(request, 0, incoming.settings);
  auto answer = paced_reply(speech(), incoming, request, {&completion, 1});
  if (request.is_stream) {
    answer.content_type = "text/event-stream; charset=utf-8";
    answer.headers += "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
    answer.stream = std::make_unique<response_stream>(incoming, request, std::move(completion));
  } else {
    item_style style{unique_number(incoming), incoming.settings.seed, request.shows_summary, request.gives_encrypted};
    answer.body = envelope(incoming, request).finished(completion, style, usage_text(request, completion));
  }
  return answer;
}

} // namespace

reply responses(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_response_request(incoming); },
    [&](const auto& request) { return answer_response(incoming, request); });
}

reply count_input(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto request = read_response_request(incoming);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"object":"response.input_tokens","input_tokens":)"
                + std::to_string(std::get<response_request>(request).prompt_tokens) + "}";
  return answer;
}

} // namespace modelforge::simulator::openai
