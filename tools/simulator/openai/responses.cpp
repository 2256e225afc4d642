#include "tools/simulator/openai/openai.hpp"

#include "tools/simulator/openai/response_request.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

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

std::string id_of(const piece& x, std::size_t index, const item_style& style) {
  auto prefix = x.what == kind::thinking ? "rs_" : x.what == kind::text ? "msg_" : "fc_";
  return prefix + hex(mix(style.number + index)) + hex(mix(~style.number + index));
}

std::string part_text(std::string_view type, std::string_view text) {
  std::string out = R"({"type":")" + std::string(type) + R"(","text":)";
  append_json(out, text);
  return out + (type == "output_text" ? R"(,"annotations":[],"logprobs":[]})" : "}");
}

/// Appends an item as it is at that stage; a begun one is empty.
void append_item(std::string& out, const piece& x, std::size_t index, const item_style& style, stage at) {
  auto id = id_of(x, index, style);
  auto status = at == stage::begun ? "in_progress" : at == stage::cut ? "incomplete" : "completed";
  auto is_begun = at == stage::begun;
  out += R"({"id":")" + id + R"(","type":")";
  if (x.what == kind::text) {
    out.append(R"(message","status":")").append(status).append(R"(","role":"assistant","content":[)");
    out += (is_begun ? std::string() : part_text("output_text", x.whole())) + "]}";
  } else if (x.what == kind::call) {
    out.append(R"(function_call","status":")").append(status);
    out += R"(","call_id":"call_)" + hex(x.id) + hex(mix(x.id), 8) + R"(","name":)";
    append_json(out, x.tool);
    append_json(out += R"(,"arguments":)", is_begun ? std::string() : x.whole());
    out += '}';
  } else {
    out += R"(reasoning","summary":[)";
    out += (is_begun || !style.shows_summary ? std::string() : part_text("summary_text", x.whole())) + "]";
    if (style.gives_encrypted)
      out += R"(,"encrypted_content":")" + sealed(hash(id, style.seed), style.seed) + "\"";
    out += '}';
  }
}

bool is_cut(const choice& x, std::size_t index) {
  return x.end == ending::length && index + 1 == x.pieces.size();
}

std::string output_text(const choice& x, const item_style& style) {
  std::string text = "[";
  for (std::size_t i = 0; i < x.pieces.size(); ++i) {
    text += i == 0 ? "" : ",";
    append_item(text, x.pieces[i], i, style, is_cut(x, i) ? stage::cut : stage::done);
  }
  return text + "]";
}

std::string usage_text(const response_request& request, const choice& made) {
  std::string text = R"({"input_tokens":)" + std::to_string(request.prompt_tokens);
  text += R"(,"input_tokens_details":{"cached_tokens":)" + std::to_string(request.cached.read);
  text += R"(,"cache_write_tokens":)" + std::to_string(request.cached.written);
  text += R"(},"output_tokens":)" + std::to_string(made.tokens);
  text += R"(,"output_tokens_details":{"reasoning_tokens":)" + std::to_string(made.tokens_of(kind::thinking));
  return text + R"(},"total_tokens":)" + std::to_string(uint64_t{request.prompt_tokens} + made.tokens) + "}";
}

/// A response without its status, error, output and usage: its two ends.
struct envelope {
  std::string head, tail;

  envelope(const exchange& x, const response_request& request) {
    auto id = unique_number(x);
    head = R"({"id":"resp_)" + hex(id) + hex(mix(id)) + R"(","object":"response","created_at":)";
    head += std::to_string(x.created);
    tail = R"(,"model":)";
    append_json(tail, request.model);
    tail += R"(,"service_tier":"default")" + request.echo + "}";
  }

  std::string with(std::string_view status, std::string_view error, std::string_view incomplete,
                   std::string_view output, std::string_view usage) const {
    std::string text = head + R"(,"status":")";
    text.append(status).append(R"(","error":)").append(error).append(R"(,"incomplete_details":)").append(incomplete);
    return text.append(R"(,"output":)").append(output).append(R"(,"usage":)").append(usage).append(tail);
  }

  std::string finished(const choice& made, const item_style& style, std::string_view usage) const {
    auto is_whole = made.end != ending::length;
    return with(is_whole ? "completed" : "incomplete", "null", is_whole ? "null" : R"({"reason":"max_output_tokens"})",
                output_text(made, style), usage);
  }
};

/// Writes the events of a response; each has its number.
class response_stream : public token_stream {
public:
  response_stream(const exchange& x, const response_request& request, choice made)
    : style_{unique_number(x), x.settings.seed, request.shows_summary, request.gives_encrypted}, around_(x, request),
      usage_(usage_text(request, made)), choice_(std::move(made)), padding_(request.seed),
      obfuscation_(request.obfuscation) {}

  bool next(std::string& out) override {
    if (number_ == 0)
      for (auto name : {"response.created", "response.in_progress"})
        append_event(out, name, R"("response":)" + around_.with("in_progress", "null", "null", "[]", "null"));
    auto step = choice_.next();
    item_ = R"("item_id":")" + id_of(step.of, step.index, style_) + R"(","output_index":)" + std::to_string(step.index);
    if (step.begins)
      begin_item(out, step);
    if (!step.token.empty() && is_shown(step.of))
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
    for (const auto& x : choice_.all().pieces)
      count += !is_shown(x) ? 2 : (x.what == kind::call ? 3 : 5) + x.tokens - x.name_tokens;
    return count;
  }

  void fail(std::string& out) const override {
    auto error = server_error();
    std::string message;
    append_json(message, error.message);
    append_numbered(out, "error", number_, R"("code":"server_error","message":)" + message + R"(,"param":null)");
    auto failed = around_.with("failed", R"({"code":"server_error","message":)" + message + "}", "null", "[]", "null");
    append_numbered(out, "response.failed", number_ + 1, R"("response":)" + failed);
  }

private:
  static void append_numbered(std::string& out, std::string_view name, uint64_t number, std::string_view members) {
    out.append("event: ").append(name).append("\ndata: {\"type\":\"").append(name).append(R"(","sequence_number":)");
    append_number(out, number);
    out.append(",").append(members).append("}\n\n");
  }

  void append_event(std::string& out, std::string_view name, std::string_view members) {
    append_numbered(out, name, number_++, members);
  }

  bool is_shown(const piece& x) const { return x.what != kind::thinking || style_.shows_summary; }

  void append_item_event(std::string& out, std::string_view name, const choice_cursor::step& step, stage at) {
    auto members = R"("output_index":)" + std::to_string(step.index) + R"(,"item":)";
    append_item(members, step.of, step.index, style_, at);
    append_event(out, name, members);
  }

  void begin_item(std::string& out, const choice_cursor::step& step) {
    append_item_event(out, "response.output_item.added", step, stage::begun);
    if (step.of.what == kind::text)
      append_event(out, "response.content_part.added",
                   item_ + R"(,"content_index":0,"part":)" + part_text("output_text", ""));
    else if (step.of.what == kind::thinking && style_.shows_summary)
      append_event(out, "response.reasoning_summary_part.added",
                   item_ + R"(,"summary_index":0,"part":)" + part_text("summary_text", ""));
  }

  void append_delta(std::string& out, const choice_cursor::step& step) {
    auto what = step.of.what;
    auto members = item_
                   + (what == kind::text   ? R"(,"content_index":0,"delta":)"
                      : what == kind::call ? R"(,"delta":)"
                                           : R"(,"summary_index":0,"delta":)");
    append_json(members, step.token);
    members += what == kind::text ? R"(,"logprobs":[])" : "";
    if (obfuscation_)
      members += R"(,"obfuscation":")" + hex(padding_.next(), static_cast<int>(16 - step.token.size() % 16)) + "\"";
    append_event(out,
                 what == kind::text   ? "response.output_text.delta"
                 : what == kind::call ? "response.function_call_arguments.delta"
                                      : "response.reasoning_summary_text.delta",
                 members);
  }

  void end_item(std::string& out, const choice_cursor::step& step) {
    auto whole = is_shown(step.of) ? step.of.whole() : std::string();
    std::string text;
    append_json(text, whole);
    if (step.of.what == kind::text) {
      append_event(out, "response.output_text.done",
                   item_ + R"(,"content_index":0,"text":)" + text + R"(,"logprobs":[])");
      append_event(out, "response.content_part.done",
                   item_ + R"(,"content_index":0,"part":)" + part_text("output_text", whole));
    } else if (step.of.what == kind::call) {
      append_json(item_ += R"(,"name":)", step.of.tool);
      append_event(out, "response.function_call_arguments.done", item_ + R"(,"arguments":)" + text);
    } else if (style_.shows_summary) {
      append_event(out, "response.reasoning_summary_text.done", item_ + R"(,"summary_index":0,"text":)" + text);
      append_event(out, "response.reasoning_summary_part.done",
                   item_ + R"(,"summary_index":0,"part":)" + part_text("summary_text", whole));
    }
    append_item_event(out, "response.output_item.done", step,
                      is_cut(choice_.all(), step.index) ? stage::cut : stage::done);
  }

  void finish(std::string& out) {
    append_event(out, choice_.all().end == ending::length ? "response.incomplete" : "response.completed",
                 R"("response":)" + around_.finished(choice_.all(), style_, usage_));
  }

  item_style style_;
  envelope around_;
  std::string usage_;
  std::string item_; ///< Which item an event is about.
  choice_cursor choice_;
  random_source padding_;
  uint64_t number_ = 0; ///< Of the next event.
  bool obfuscation_;
};

reply answer_response(const exchange& x, const response_request& request) {
  auto answer = speech().new_reply(x);
  auto made = make_choice(request, 0, x.settings);
  answer.completion_tokens = answer.steps = made.tokens;
  answer.is_paced = true;
  answer.jitter_seed = request.seed;
  answer.prompt_tokens = request.prompt_tokens;
  if (request.is_stream) {
    answer.content_type = "text/event-stream; charset=utf-8";
    answer.headers += "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
    answer.stream = std::make_unique<response_stream>(x, request, std::move(made));
  } else {
    item_style style{unique_number(x), x.settings.seed, request.shows_summary, request.gives_encrypted};
    answer.body = envelope(x, request).finished(made, style, usage_text(request, made));
  }
  return answer;
}

} // namespace

reply responses(const exchange& x) {
  return judge(
    x, speech(), [&] { return read_response_request(x); },
    [&](const auto& request) { return answer_response(x, request); });
}

reply count_input(const exchange& x) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto request = read_response_request(x);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(speech(), x, *error);
  auto answer = speech().new_reply(x);
  answer.body = R"({"object":"response.input_tokens","input_tokens":)"
                + std::to_string(std::get<response_request>(request).prompt_tokens) + "}";
  return answer;
}

} // namespace modelforge::simulator::openai
