#include "tools/simulator/ollama/chat_request.hpp"
#include "tools/simulator/ollama/ollama.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/times.hpp"

namespace modelforge::simulator::ollama {

namespace {

using kind = piece::kind;

constexpr uint64_t token_time = 5'000'000; ///< Nanoseconds that are told, where no speed is set.
constexpr uint64_t prompt_time = 200'000;  ///< Of one token.
constexpr uint64_t load_time = 1'500'000;

/// What a line begins with, up to the message; the moments of a stream's lines differ by their number.
std::string opening(const std::string& model, const std::string& second, uint64_t number) {
  std::string text = R"({"model":)";
  append_json(text, model);
  auto fraction = std::to_string(1'000'000'000 + number % 1'000'000'000).substr(1);
  return text + R"(,"created_at":")" + second + "." + fraction + "Z\"";
}

/// The second at which `x` arrived, without its zone.
std::string second_of(const exchange& x) {
  auto text = utc_time(x.created);
  text.pop_back();
  return text;
}

void append_call(std::string& out, const piece& x, std::size_t index) {
  out += R"({"id":"call_)" + hex(x.id, 8) + R"(","function":{"index":)" + std::to_string(index) + R"(,"name":)";
  append_json(out, x.tool);
  out.append(R"(,"arguments":)").append(x.whole()).append("}}");
}

/// What ends the last line: why it ended, and the counts, which are left out when they are zero.
std::string closing(const exchange& x, const chat_request& request, const choice& made) {
  auto rate = x.settings.tokens_per_second;
  auto each = rate > 0 ? static_cast<uint64_t>(1e9 / rate) : token_time;
  auto prompt = request.prompt_tokens * prompt_time;
  auto eval = made.tokens * each;
  std::string text = R"(,"done":true,"done_reason":")" + std::string(made.end == ending::length ? "length" : "stop");
  text += R"(","total_duration":)" + std::to_string(load_time + prompt + eval);
  text += R"(,"load_duration":)" + std::to_string(load_time);
  if (request.prompt_tokens > 0)
    text += R"(,"prompt_eval_count":)" + std::to_string(request.prompt_tokens);
  text += R"(,"prompt_eval_duration":)" + std::to_string(prompt);
  if (made.tokens > 0)
    text += R"(,"eval_count":)" + std::to_string(made.tokens);
  return text + R"(,"eval_duration":)" + std::to_string(eval) + "}";
}

bool is_whole_call(const piece& x) {
  return x.what == kind::call && json::accept(x.whole());
}

std::string unary_text(const exchange& x, const chat_request& request, const choice& made) {
  std::string content, thinking, calls;
  std::size_t count = 0;
  for (const auto& each : made.pieces) {
    if (each.what == kind::text)
      content += each.whole();
    else if (each.what == kind::thinking)
      thinking += each.whole();
    else if (is_whole_call(each))
      append_call(calls += calls.empty() ? "" : ",", each, count++);
  }
  auto text = opening(request.model, second_of(x), 0) + R"(,"message":{"role":"assistant","content":)";
  append_json(text, content);
  if (!thinking.empty())
    append_json(text += R"(,"thinking":)", thinking);
  if (!calls.empty())
    text += R"(,"tool_calls":[)" + calls + "]";
  return text + "}" + closing(x, request, made);
}

/// Writes lines: one for each token of text or thinking, one for each call, and a last one with the counts.
class line_stream : public token_stream {
public:
  line_stream(const exchange& x, const chat_request& request, choice made)
    : model_(request.model), second_(second_of(x)), closing_(closing(x, request, made)), choice_(std::move(made)) {}

  bool next(std::string& out) override {
    auto step = choice_.next();
    std::string more;
    if (step.of.what == kind::call) {
      if (step.ends && is_whole_call(step.of))
        append_call(more = R"(,"tool_calls":[)", step.of, calls_++);
      more += more.empty() ? "" : "]";
    } else if (step.of.what == kind::thinking) {
      append_json(more = R"(,"thinking":)", step.token);
    }
    if (step.of.what == kind::text && !step.token.empty())
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
    for (const auto& x : choice_.all().pieces)
      count += x.what == kind::call ? is_whole_call(x) : x.tokens;
    return count;
  }

  void fail(std::string& out) const override {
    out.append(error_text("an error was encountered while running the model: unexpected EOF")).append("\n");
  }

  /// There are no comments between lines of JSON.
  stream_form form() const override { return {"\n", ""}; }

private:
  void append_line(std::string& out, std::string_view content, std::string_view more, std::string_view end) {
    out.append(opening(model_, second_, ++lines_)).append(R"(,"message":{"role":"assistant","content":)");
    append_json(out, content);
    out.append(more).append("}").append(end).append("\n");
  }

  std::string model_;
  std::string second_;
  std::string closing_;
  choice_cursor choice_;
  uint64_t lines_ = 0;
  std::size_t calls_ = 0;
};

reply load_reply(const exchange& x, const chat_request& request) {
  auto answer = speech().new_reply(x);
  answer.body = opening(request.model, second_of(x), 0) + R"(,"message":{"role":"assistant","content":""},"done":true)"
                + R"(,"done_reason":")" + std::string(request.load_reason) + "\"}";
  return answer;
}

reply answer_chat(const exchange& x, const chat_request& request) {
  if (!request.load_reason.empty())
    return load_reply(x, request);
  auto answer = speech().new_reply(x);
  auto made = make_choice(request, 0, x.settings);
  answer.completion_tokens = answer.steps = made.tokens;
  answer.is_paced = true;
  answer.jitter_seed = request.seed;
  answer.prompt_tokens = request.prompt_tokens;
  if (request.is_stream) {
    answer.content_type = "application/x-ndjson";
    answer.stream = std::make_unique<line_stream>(x, request, std::move(made));
  } else {
    answer.body = unary_text(x, request, made);
  }
  return answer;
}

} // namespace

reply chat(const exchange& x) {
  return judge(
    x, speech(), [&] { return read_chat_request(x); }, [&](const auto& request) { return answer_chat(x, request); });
}

} // namespace modelforge::simulator::ollama
