#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/openai/chat_request.hpp"
#include "tools/simulator/random.hpp"

#include <algorithm>

// Chunks of a stream and the unary answer begin alike, with `opening`. A stream goes through all its choices in step:
// each call of `next` writes one token of every choice that is not done.

namespace modelforge::simulator::openai {

namespace {

constexpr std::string_view end_mark = "data: [DONE]\n\n";
/// Returns the choice's end in OpenAI's words.
std::string_view finish_reason_of(const choice& completion, const chat_request& request) {
  if (completion.end == ending::length)
    return "length";
  return completion.end == ending::calls && !request.is_tool_named ? "tool_calls" : "stop";
}

/// What every chunk and the unary answer begin with, up to the value of `choices`.
std::string opening(const exchange& incoming, const chat_request& request, std::string_view object) {
  auto id = unique_number(incoming);
  std::string text = R"({"id":"chatcmpl-)" + hex(id) + hex(mix(id), 12) + R"(","object":")";
  text.append(object).append(R"(","created":)");
  append_number(text, static_cast<uint64_t>(incoming.created));
  text += R"(,"model":)";
  append_json(text, request.model);
  text +=
    R"(,"service_tier":"default","system_fingerprint":"fp_)" + hex(mix(incoming.settings.seed), 10) + R"(","choices":)";
  return text;
}

/// Returns the member `usage`.
std::string usage_text(uint32_t prompt, const cache_use& cached, uint32_t completion) {
  std::string text = R"({"prompt_tokens":)";
  append_number(text, prompt);
  text += R"(,"completion_tokens":)";
  append_number(text, completion);
  text += R"(,"total_tokens":)";
  append_number(text, uint64_t{prompt} + completion);
  text += R"(,"prompt_tokens_details":{"cached_tokens":)" + std::to_string(cached.read);
  return text + R"(,"cache_write_tokens":)" + std::to_string(cached.written)
         + R"(,"audio_tokens":0},"completion_tokens_details":)"
           R"({"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,)"
           R"("rejected_prediction_tokens":0}})";
}

/// Returns a call's id.
std::string id_of(const piece& call) {
  return "call_" + hex(call.id) + hex(mix(call.id), 8);
}

/// Appends what comes after a call's opening brace.
void append_call(std::string& out, const piece& call, std::string_view arguments) {
  out += R"("id":")" + id_of(call) + R"(","type":"function","function":{"name":)";
  append_json(out, call.tool);
  out += R"(,"arguments":)";
  append_json(out, arguments);
  out += "}}";
}

/// Returns whether the piece is a call; otherwise it is text, since this API shows no thinking.
bool is_call(const piece& part) {
  return part.type == piece::kind::call;
}

/// Appends the message of a whole choice: a text or calls.
void append_message(std::string& out, const choice& completion) {
  out += R"({"role":"assistant","content":)";
  if (!is_call(completion.pieces.front())) {
    append_json(out, completion.pieces.front().whole());
    out += R"(,"refusal":null,"annotations":[]})";
    return;
  }
  out += R"(null,"refusal":null,"annotations":[])";
  for (const auto& call : completion.pieces) {
    out += &call == &completion.pieces.front() ? R"(,"tool_calls":[{)" : ",{";
    append_call(out, call, call.whole());
  }
  out += "]}";
}

/// Returns the whole answer as one object.
std::string unary_text(const exchange& incoming, const chat_request& request, const std::vector<choice>& choices,
                       uint32_t completion_tokens) {
  auto text = opening(incoming, request, "chat.completion");
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += i == 0 ? R"([{"index":)" : R"(,{"index":)";
    append_number(text, i);
    text += R"(,"message":)";
    append_message(text, choices[i]);
    text.append(R"(,"logprobs":null,"finish_reason":")").append(finish_reason_of(choices[i], request)).append("\"}");
  }
  return text + R"(],"usage":)" + usage_text(request.prompt_tokens, request.cached, completion_tokens) + "}";
}

/// Writes chunks: first the role, then a delta for each token of each choice, at last usage and [DONE]. One call of
/// `next` is one step of time, in which each choice says a token. Called by `outgoing_stream`.
class chat_stream : public token_stream {
public:
  chat_stream(const exchange& incoming, const chat_request& request, std::vector<choice> choices,
              uint32_t completion_tokens)
    : opening_("data: " + opening(incoming, request, "chat.completion.chunk")), padding_(request.seed),
      prompt_tokens_(request.prompt_tokens), cached_(request.cached), completion_tokens_(completion_tokens),
      include_usage_(request.include_usage), obfuscation_(request.obfuscation) {
    for (auto& each : choices) {
      reasons_.push_back(finish_reason_of(each, request));
      choices_.emplace_back(std::move(each));
    }
  }

  bool next(std::string& out) override {
    auto is_more = false;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      auto& cursor = choices_[i];
      if (cursor.is_done())
        continue;
      send_step(out, i, cursor.next());
      if (cursor.is_done())
        append_chunk(out, i, "{}", reasons_[i], 0);
      is_more = is_more || !cursor.is_done();
    }
    is_begun_ = true;
    if (!is_more)
      finish(out);
    return is_more;
  }

  uint64_t tokens() const override { return tokens_of(choices_); }

  uint64_t events() const override {
    uint64_t count = include_usage_ ? 2 : 1;
    for (const auto& cursor : choices_) {
      count +=
        1 + cursor.all().pieces.size(); // the first tells the role and perhaps a call, the last the finish reason
      for (const auto& each : cursor.all().pieces)
        count += each.tokens - each.name_tokens;
    }
    return count;
  }

  void fail(std::string& out) const override {
    out.append("data: ").append(error_text(server_error())).append("\n\n").append(end_mark);
  }

private:
  /// Writes what one token of the `i`th choice puts on the wire; the role goes with the first.
  void send_step(std::string& out, std::size_t i, const choice_cursor::step& step) {
    if (!is_begun_)
      delta_ =
        R"({"role":"assistant","content":)" + std::string(is_call(step.part) ? "null" : "\"\"") + R"(,"refusal":null)";
    else
      delta_ = "{";
    if (step.begins && is_call(step.part)) {
      delta_ += is_begun_ ? "" : ",";
      open_call(step.index);
      delta_ += ',';
      append_call(delta_, step.part, "");
      delta_ += ']';
    }
    if (step.begins)
      append_chunk(out, i, delta_ += '}', {}, 0);
    if (!step.token.empty())
      send_token(out, i, step);
  }

  /// Begins the list of calls with the one of that index, which an increment names each time.
  void open_call(std::size_t index) {
    delta_ += R"("tool_calls":[{"index":)";
    append_number(delta_, index);
  }

  /// Writes the token as an increment of the text or of the call's arguments.
  void send_token(std::string& out, std::size_t i, const choice_cursor::step& step) {
    delta_ = "{";
    if (is_call(step.part)) {
      open_call(step.index);
      delta_ += R"(,"function":{"arguments":)";
    } else {
      delta_ += R"("content":)";
    }
    append_json(delta_, step.token);
    delta_ += is_call(step.part) ? "}}]}" : "}";
    append_chunk(out, i, delta_, {}, step.token.size());
  }

  /// `size` is the length of the text inside, which the padding hides.
  void append_chunk(std::string& out, std::size_t index, std::string_view delta, std::string_view finish_reason,
                    std::size_t size) {
    out.append(opening_).append(R"([{"index":)");
    append_number(out, index);
    out.append(R"(,"delta":)").append(delta).append(R"(,"logprobs":null,"finish_reason":)");
    if (finish_reason.empty())
      out += "null";
    else
      out.append("\"").append(finish_reason).append("\"");
    out += include_usage_ ? R"(}],"usage":null)" : "}]";
    if (obfuscation_)
      out.append(R"(,"obfuscation":")").append(hex(padding_.next(), static_cast<int>(16 - size % 16))).append("\"");
    out += "}\n\n";
  }

  /// Ends the stream, after the usage if that was asked for.
  void finish(std::string& out) {
    if (include_usage_)
      out += opening_ + R"([],"usage":)" + usage_text(prompt_tokens_, cached_, completion_tokens_) + "}\n\n";
    out += end_mark;
  }

  std::string opening_;
  std::string delta_; ///< Of the chunk being written; kept to spare allocations.
  std::vector<choice_cursor> choices_;
  std::vector<std::string_view> reasons_; ///< Of each choice.
  random_source padding_;
  uint32_t prompt_tokens_;
  cache_use cached_;
  uint32_t completion_tokens_;
  bool include_usage_;
  bool obfuscation_;
  bool is_begun_ = false;
};

/// Answers a request that was admitted.
reply answer_chat(const exchange& incoming, const chat_request& request) {
  auto choices = make_choices(request, incoming.settings);
  auto answer = paced_reply(speech(), incoming, request, choices);
  if (request.is_stream) {
    answer.content_type = "text/event-stream; charset=utf-8";
    answer.headers += "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
    answer.stream = std::make_unique<chat_stream>(incoming, request, std::move(choices), answer.completion_tokens);
  } else {
    answer.body = unary_text(incoming, request, choices, answer.completion_tokens);
  }
  return answer;
}

} // namespace

reply chat_completions(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_chat_request(incoming); },
    [&](const auto& request) { return answer_chat(incoming, request); });
}

} // namespace modelforge::simulator::openai
