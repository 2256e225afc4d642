#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/times.hpp"

// Ollama answers with objects that each have the time, an increment of the message and at the end counts and durations;
// a stream is one such object per line. Durations are made up from the settings, since nothing is computed here.

namespace modelforge::simulator::ollama {

namespace {

using kind = piece::kind;

constexpr uint64_t token_time = 5'000'000; ///< Nanoseconds, here and below; where no speed is set.
constexpr uint64_t prompt_time = 200'000;  ///< Of one token.
constexpr uint64_t load_time = 1'500'000;

/// What a line begins with, up to the message; the moments of a stream's lines differ by their number.
std::string opening(const std::string& model, const std::string& second, uint64_t number) {
  std::string text = R"({"model":)";
  append_json(text, model);
  auto fraction = std::to_string(1'000'000'000 + number % 1'000'000'000).substr(1);
  return text + R"(,"created_at":")" + second + "." + fraction + "Z\"";
}

/// The second at which `incoming` arrived, without its zone.
std::string second_of(const exchange& incoming) {
  auto text = utc_time(incoming.created);
  text.pop_back();
  return text;
}

/// Appends a call; `index` counts those of the message.
void append_call(std::string& out, const piece& call, std::size_t index) {
  out += R"({"id":"call_)" + hex(call.id, 8) + R"(","function":{"index":)" + std::to_string(index) + R"(,"name":)";
  append_json(out, call.tool);
  out.append(R"(,"arguments":)").append(call.whole()).append("}}");
}

/// What ends the last line: why it ended, and the counts, which are left out when they are zero.
std::string closing(const exchange& incoming, const chat_request& request, const choice& completion) {
  auto rate = incoming.settings.tokens_per_second;
  auto each = rate > 0 ? static_cast<uint64_t>(1e9 / rate) : token_time;
  auto prompt = request.prompt_tokens * prompt_time;
  auto eval = completion.tokens * each;
  std::string text =
    R"(,"done":true,"done_reason":")" + std::string(completion.end == ending::length ? "length" : "stop");
  text += R"(","total_duration":)" + std::to_string(load_time + prompt + eval);
  text += R"(,"load_duration":)" + std::to_string(load_time);
  if (request.prompt_tokens > 0)
    text += R"(,"prompt_eval_count":)" + std::to_string(request.prompt_tokens);
  text += R"(,"prompt_eval_duration":)" + std::to_string(prompt);
  if (completion.tokens > 0)
    text += R"(,"eval_count":)" + std::to_string(completion.tokens);
  return text + R"(,"eval_duration":)" + std::to_string(eval) + "}";
}

/// Returns whether the limit left the call's arguments whole; cut ones are not sent.
bool is_whole_call(const piece& part) {
  return part.type == kind::call && json::accept(part.whole());
}

/// Returns the whole answer as one object.
std::string unary_text(const exchange& incoming, const chat_request& request, const choice& completion) {
  std::string content, thinking, calls;
  std::size_t count = 0;
  for (const auto& each : completion.pieces) {
    if (each.type == kind::text)
      content += each.whole();
    else if (each.type == kind::thinking)
      thinking += each.whole();
    else if (is_whole_call(each))
      append_call(calls += calls.empty() ? "" : ",", each, count++);
  }
  auto text = opening(request.model, second_of(incoming), 0) + R"(,"message":{"role":"assistant","content":)";
  append_json(text, content);
  if (!thinking.empty())
    append_json(text += R"(,"thinking":)", thinking);
  if (!calls.empty())
    text += R"(,"tool_calls":[)" + calls + "]";
  return text + "}" + closing(incoming, request, completion);
}

/// Writes lines: one for each token of text or thinking, one for each call, and a last one with the counts.
class line_stream : public token_stream {
public:
  line_stream(const exchange& incoming, const chat_request& request, choice completion)
    : model_(request.model), second_(second_of(incoming)), closing_(closing(incoming, request, completion)),
      choice_(std::move(completion)) {}

  bool next(std::string& out) override {
    auto step = choice_.next();
    std::string more;
    if (step.part.type == kind::call) {
      if (step.ends && is_whole_call(step.part))
        append_call(more = R"(,"tool_calls":[)", step.part, calls_++);
      more += more.empty() ? "" : "]";
    } else if (step.part.type == kind::thinking) {
      append_json(more = R"(,"thinking":)", step.token);
    }
    if (step.part.type == kind::text && !step.token.empty())
      append_line(out, step.token, "", R"(,"done":false})");
    else if (!more.empty())
      append_line(out, "", more, R"(,"done":false})");
    if (choice_.is_done())
      append_line(out, "", "", closing_);
    return !choice_.is_done();
  }

  uint64_t tokens() const override { return choice_.tokens(); }

  uint64_t events() const override {
    uint64_t count = 1;
    for (const auto& part : choice_.all().pieces)
      count += part.type == kind::call ? is_whole_call(part) : part.tokens;
    return count;
  }

  void fail(std::string& out) const override {
    out.append(error_text("an error was encountered while running the model: unexpected EOF")).append("\n");
  }

  /// There are no comments between lines of JSON.
  stream_form form() const override { return {"\n", ""}; }

private:
  /// Writes a line: an increment of the content, more members of the message, and what ends the object.
  void append_line(std::string& out, std::string_view content, std::string_view more, std::string_view end) {
    out.append(opening(model_, second_, ++lines_)).append(R"(,"message":{"role":"assistant","content":)");
    append_json(out, content);
    out.append(more).append("}").append(end).append("\n");
  }

  std::string model_;
  std::string second_;
  std::string closing_; ///< What ends the last line.
  choice_cursor choice_;
  uint64_t lines_ = 0;
  std::size_t calls_ = 0;
};

/// Answers a request without messages, which only loads or unloads the model.
reply load_reply(const exchange& incoming, const chat_request& request) {
  auto answer = speech().new_reply(incoming);
  answer.body = opening(request.model, second_of(incoming), 0)
                + R"(,"message":{"role":"assistant","content":""},"done":true)" + R"(,"done_reason":")"
                + std::string(request.load_reason) + "\"}";
  return answer;
}

/// Answers a request that was admitted.
reply answer_chat(const exchange& incoming, const chat_request& request) {
  if (!request.load_reason.empty())
    return load_reply(incoming, request);
  auto completion = make_choice(request, 0, incoming.settings);
  auto answer = paced_reply(speech(), incoming, request, {&completion, 1});
  if (request.is_stream) {
    answer.content_type = "application/x-ndjson";
    answer.stream = std::make_unique<line_stream>(incoming, request, std::move(completion));
  } else {
    answer.body = unary_text(incoming, request, completion);
  }
  return answer;
}

} // namespace

reply chat(const exchange& incoming) {
  return judge(
    incoming, speech(), [&] { return read_chat_request(incoming); },
    [&](const auto& request) { return answer_chat(incoming, request); });
}

} // namespace modelforge::simulator::ollama
