#include "tools/simulator/anthropic/anthropic.hpp"
#include "tools/simulator/anthropic/message_request.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

// A message is a list of blocks: thinking, text, calls. Unary answers and streams write the same parts in different
// order, so both are made of the functions at the top; the stream prepares its first and last events when it begins and
// writes the rest token by token.

namespace modelforge::simulator::anthropic {

namespace {

using kind = piece::kind;

/// Returns the choice's end in Anthropic's words.
std::string_view stop_reason_of(const choice& completion, const message_request& request) {
  if (request.is_refused)
    return "refusal";
  if (request.is_warm_up || completion.end == ending::length)
    return "max_tokens";
  return completion.end == ending::calls       ? "tool_use"
         : completion.end == ending::stop_word ? "stop_sequence"
                                               : "end_turn";
}

/// The members of an answer's end, from the stop reason on.
std::string stop_text(const choice& completion, const message_request& request) {
  std::string text = R"("stop_reason":")";
  text.append(stop_reason_of(completion, request)).append(R"(","stop_sequence":)");
  if (completion.end == ending::stop_word)
    append_json(text, completion.stop_word);
  else
    text += "null";
  return text;
}

/// What stays the same in all tellings of the usage: the prompt's part.
std::string input_usage(const message_request& request) {
  const auto& cached = request.cached;
  auto written = cached.written + cached.written_long;
  return R"("input_tokens":)" + std::to_string(request.prompt_tokens - cached.read - written)
         + R"(,"cache_creation_input_tokens":)" + std::to_string(written) + R"(,"cache_read_input_tokens":)"
         + std::to_string(cached.read);
}

/// The answer's part of the usage, thinking included.
std::string output_usage(const choice& completion, const message_request& request) {
  std::string text = R"("output_tokens":)";
  append_number(text, request.has_content() ? completion.tokens : 0);
  if (auto thinking = completion.tokens_of(kind::thinking); thinking > 0 && request.has_content()) {
    text += R"(,"output_tokens_details":{"thinking_tokens":)";
    append_number(text, thinking);
    text += '}';
  }
  return text;
}

/// What a whole message reports of its usage beyond that.
std::string more_usage(const message_request& request) {
  return R"("cache_creation":{"ephemeral_5m_input_tokens":)" + std::to_string(request.cached.written)
         + R"(,"ephemeral_1h_input_tokens":)" + std::to_string(request.cached.written_long)
         + R"(},"service_tier":"standard")";
}

/// What a message begins with, up to its content.
std::string opening(const exchange& incoming, const message_request& request) {
  auto id = unique_number(incoming);
  std::string text = R"("id":"msg_)" + hex(id) + hex(mix(id), 8) + R"(","type":"message","role":"assistant","model":)";
  append_json(text, request.model);
  return text;
}

/// How thinking is shown.
struct thinking_style {
  bool is_hidden, is_redacted;
  uint64_t seed;
};

/// Returns what the request and the settings say of thinking.
thinking_style style_of(const exchange& incoming, const message_request& request) {
  return {request.hides_thinking, request.is_redacted, incoming.settings.seed};
}

/// Thinking as the client gets it: that is what is signed.
std::string shown(const piece& part, const thinking_style& style) {
  return style.is_hidden ? std::string() : part.whole();
}

/// Appends a block with all its content, or as a stream begins it.
void append_block(std::string& out, const piece& part, const thinking_style& style, bool is_whole) {
  if (part.type == kind::text) {
    out += R"({"type":"text","text":)";
    append_json(out, is_whole ? part.whole() : std::string());
  } else if (part.type == kind::call) {
    out += R"({"type":"tool_use","id":"toolu_)" + hex(part.id) + hex(mix(part.id), 8) + R"(","name":)";
    append_json(out, part.tool);
    auto input = part.whole();
    out.append(R"(,"input":)").append(is_whole && json::accept(input) ? input : "{}"); // cut JSON is lost
  } else if (style.is_redacted) {
    out += R"({"type":"redacted_thinking","data":")" + sealed(hash(part.whole(), ~style.seed), style.seed) + '"';
  } else {
    auto text = is_whole ? shown(part, style) : std::string();
    out += R"({"type":"thinking","thinking":)";
    append_json(out, text);
    out.append(R"(,"signature":")").append(is_whole ? signature_of(text, style.seed) : "").append("\"");
  }
  out += '}';
}

/// Returns the whole message as one object.
std::string unary_text(const exchange& incoming, const message_request& request, const choice& completion) {
  auto text = "{" + opening(incoming, request) + R"(,"content":[)";
  for (const auto& each : completion.pieces) {
    if (!request.has_content())
      break;
    if (&each != &completion.pieces.front())
      text += ',';
    append_block(text, each, style_of(incoming, request), true);
  }
  text += "]," + stop_text(completion, request) + R"(,"usage":{)" + input_usage(request) + ",";
  return text.append(output_usage(completion, request)).append(",").append(more_usage(request)).append("}}");
}

/// Writes the events of a message: its start, its blocks with a delta for each token, its end. A step is one token of
/// one block; start and end come with the first and the last. Called by `outgoing_stream`.
class message_stream : public token_stream {
public:
  message_stream(const exchange& incoming, const message_request& request, choice completion)
    : request_number_(unique_number(incoming)), style_(style_of(incoming, request)),
      has_content_(request.has_content()),
      start_(R"({"type":"message_start","message":{)" + opening(incoming, request)
             + R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{)" + input_usage(request)
             + R"(,"output_tokens":)" + (has_content_ ? "1," : "0,") + more_usage(request) + "}}}"),
      end_(R"({"type":"message_delta","delta":{)" + stop_text(completion, request) + R"(},"usage":{)"
           + input_usage(request) + "," + output_usage(completion, request) + "}}"),
      choice_(std::move(completion)) {}

  bool next(std::string& out) override {
    if (!start_.empty())
      append_event(out, "message_start", start_);
    start_.clear();
    if (has_content_)
      send_step(out, choice_.next());
    if (has_content_ && !choice_.is_done())
      return true;
    append_event(out, "message_delta", end_);
    append_event(out, "message_stop", R"({"type":"message_stop"})");
    return false;
  }

  uint64_t tokens() const override { return choice_.tokens(); }

  uint64_t events() const override {
    uint64_t count = has_content_ ? 4 : 3; // the message's three, and a ping
    for (const auto& part : choice_.all().pieces) {
      if (!has_content_)
        break;
      auto is_shown = part.type != kind::thinking || !(style_.is_hidden || style_.is_redacted);
      count += 2 + (is_shown ? part.tokens - part.name_tokens : 0);
      count +=
        part.type == kind::call || (part.type == kind::thinking && !style_.is_redacted); // empty delta; signature
    }
    return count;
  }

  void fail(std::string& out) const override { append_event(out, "error", server_error(request_number_)); }

  stream_form form() const override { return {"\n\n", "event: ping\ndata: {\"type\":\"ping\"}\n\n"}; }

private:
  static void append_event(std::string& out, std::string_view name, std::string_view data) {
    out.append("event: ").append(name).append("\ndata: ").append(data).append("\n\n");
  }

  /// Writes what one token puts on the wire: the beginning and the end of its block go with the first and last token.
  void send_step(std::string& out, const choice_cursor::step& step) {
    if (step.begins)
      begin_block(out, step);
    auto is_thinking = step.part.type == kind::thinking;
    if (!step.token.empty() && !(is_thinking && (style_.is_hidden || style_.is_redacted)))
      append_delta(out, step, step.token);
    if (!step.ends)
      return;
    if (is_thinking && !style_.is_redacted)
      append_signature(out, step);
    append_event(out, "content_block_stop", R"({"type":"content_block_stop",)" + index_text(step) + "}");
  }

  /// Opens a block; the first is followed by a ping, as in the real API, and a call by an empty delta.
  void begin_block(std::string& out, const choice_cursor::step& step) {
    data_ = R"({"type":"content_block_start",)" + index_text(step) + R"(,"content_block":)";
    append_block(data_, step.part, style_, false);
    append_event(out, "content_block_start", data_ += '}');
    if (step.index == 0)
      append_event(out, "ping", R"({"type": "ping"})");
    if (step.part.type == kind::call)
      append_delta(out, step, "");
  }

  /// Writes an increment of the block.
  void append_delta(std::string& out, const choice_cursor::step& step, std::string_view text) {
    data_ = R"({"type":"content_block_delta",)" + index_text(step) + R"(,"delta":{"type":)";
    data_ += step.part.type == kind::text   ? R"("text_delta","text":)"
             : step.part.type == kind::call ? R"("input_json_delta","partial_json":)"
                                            : R"("thinking_delta","thinking":)";
    append_json(data_, text);
    append_event(out, "content_block_delta", data_ += "}}");
  }

  /// The signature of thinking comes as a last increment of its block.
  void append_signature(std::string& out, const choice_cursor::step& step) {
    data_ = R"({"type":"content_block_delta",)" + index_text(step)
            + R"(,"delta":{"type":"signature_delta","signature":")"
            + signature_of(shown(step.part, style_), style_.seed) + "\"}}";
    append_event(out, "content_block_delta", data_);
  }

  static std::string index_text(const choice_cursor::step& step) { return R"("index":)" + std::to_string(step.index); }

  uint64_t request_number_;
  thinking_style style_;
  bool has_content_;
  std::string start_; ///< Empty once it is sent.
  std::string end_;   ///< The data of `message_delta`: usage and stop reason are known from the start.
  std::string data_;  ///< Of the event being written; kept to spare allocations.
  choice_cursor choice_;
};

/// Answers a request that was admitted.
reply answer_message(const exchange& incoming, const message_request& request) {
  auto completion = make_choice(request, 0, incoming.settings);
  auto answer = paced_reply(speech(), incoming, request, {&completion, request.has_content() ? 1u : 0u});
  if (request.is_stream) {
    answer.content_type = "text/event-stream; charset=utf-8";
    answer.headers += "cache-control: no-cache\r\n";
    answer.stream = std::make_unique<message_stream>(incoming, request, std::move(completion));
  } else {
    answer.body = unary_text(incoming, request, completion);
  }
  return answer;
}

} // namespace

reply messages(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_message_request(incoming); },
    [&](const auto& request) { return answer_message(incoming, request); });
}

reply count_prompt(const exchange& incoming) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto request = read_message_request(incoming, true);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"input_tokens":)" + std::to_string(std::get<message_request>(request).prompt_tokens) + "}";
  return answer;
}

} // namespace modelforge::simulator::anthropic
