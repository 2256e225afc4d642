#include "sse/parser.hpp"
#include "wire/openai.hpp"
#include "wire/openai_calls.hpp"
#include "wire/openai_chunk.hpp"
#include "wire/openai_parts.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_frame = 1 << 10; ///< Bytes around a chunk's text that are kept.
constexpr std::size_t most_kept = 1 << 20;  ///< Bytes of tool calls, or of a body that is no stream.
constexpr std::size_t shown_bytes = 512;    ///< Of a body that is nothing we know.
constexpr auto space = " \t\r\n";

class openai_stream : public stream_reader {
public:
  openai_stream(const http::response_head& head, bool is_strict) : is_strict_(is_strict) {
    head_.status = head.status;
    for (auto* name : {"x-request-id", "request-id", "apim-request-id", "retry-after-ms", "retry-after"})
      if (auto value = head.get(name); !value.empty())
        head_.headers.push_back({name, std::string{value}});
  }

  std::size_t take(std::string_view bytes, piece_sink& to) override {
    news_ = 0;
    if (form_ == form::unknown)
      bytes = guess_form(bytes);
    if (ended_ || bytes.empty())
      return 0;
    if (form_ == form::events)
      take_events(bytes, to);
    else if (form_ == form::json)
      take_json(bytes, to);
    else
      take_text(bytes);
    return news_;
  }

  bool ended() const override { return ended_; }

  uint64_t tokens() const override { return tokens_; }

  std::variant<completion, failure> end() override {
    if (form_ == form::events && !ended_)
      read_last();
    if (verdict_)
      return std::move(*verdict_);
    if (form_ == form::json)
      return read_openai_answer(head_, body_); // it breaks off: a failure
    if (form_ != form::events)
      return invalid_answer(head_, describe_body(body_));
    if (is_done_ && !has_answer_)
      return invalid_answer(head_, "a stream that holds no answer");
    if (!is_whole())
      return broken_off(head_, pieces_,
                        reason_.empty() ? ", before a finish reason came"
                                        : " and a finish reason, before its end mark");
    return answer();
  }

private:
  /// What the body is. Sniffed, since servers and proxies name the wrong type.
  enum class form : uint8_t { unknown, events, json, text };

  // -- the body ----------------------------------------------------------------------

  /// Returns the bytes from the first one on that says something.
  std::string_view guess_form(std::string_view bytes) {
    bytes.remove_prefix(std::min(bytes.find_first_not_of(space), bytes.size()));
    if (!bytes.empty()) {
      constexpr std::string_view events = ":deir\xEF"; // comments, data, event, id, retry; a byte order mark
      auto c = bytes.front();
      form_ = c == '{' || c == '[' ? form::json : events.find(c) != events.npos ? form::events : form::text;
    }
    return bytes;
  }

  void take_events(std::string_view bytes, piece_sink& to) {
    auto state = events_.feed(bytes, [&](const sse::event& x) { return read_event(x, to); });
    if (state == sse::parser::state::too_large)
      fail_with(errc::response_too_large, "the provider sent " + events_.problem());
    if (scratch_.capacity() > shown_bytes)
      scratch_ = {};
  }

  /// A whole answer, or an error, although a stream was asked for.
  void take_json(std::string_view bytes, piece_sink& to) {
    auto end = std::find_if(bytes.begin(), bytes.end(), [this](char c) { return closes_json(c); });
    auto is_whole = end != bytes.end();
    body_.append(bytes.begin(), is_whole ? end + 1 : end);
    if (body_.size() > most_kept)
      return fail_with(errc::response_too_large,
                       "the answer is no stream and exceeds " + std::to_string(most_kept) + " bytes");
    if (!is_whole)
      return;
    verdict_ = std::make_unique<verdict>(read_openai_answer(head_, body_));
    if (auto* x = std::get_if<completion>(verdict_.get()))
      hand_on(*x, to);
    body_ = {};
    ended_ = true;
    ++news_;
  }

  /// Follows a JSON text without checking it. Returns whether it ends with this byte.
  bool closes_json(char c) {
    if (is_escaped_ || (in_string_ && c == '\\'))
      is_escaped_ = !is_escaped_;
    else if (c == '"')
      in_string_ = !in_string_;
    else if (!in_string_ && (c == '{' || c == '['))
      ++nesting_;
    else if (!in_string_ && (c == '}' || c == ']'))
      return --nesting_ == 0;
    return false;
  }

  void take_text(std::string_view bytes) {
    body_ += bytes.substr(0, shown_bytes - body_.size());
    if (body_.size() == shown_bytes)
      fail(invalid_answer(head_, describe_body(body_)));
  }

  void hand_on(completion& x, piece_sink& to) {
    say(&piece_sink::reasoning, reasoning_of(x), to);
    x.reasoning.clear();
    say(&piece_sink::text, std::exchange(x.text, {}), to);
    say(&piece_sink::refusal, std::exchange(x.refusal, {}), to);
    for (std::size_t i = 0; i < x.tool_calls.size(); ++i) {
      auto& call = x.tool_calls[i];
      to.tool_call(static_cast<uint32_t>(i), call.id, call.name, {});
      to.tool_arguments(static_cast<uint32_t>(i), call.arguments);
    }
    if (x.usage)
      tokens_ = std::max(tokens_, x.usage->output);
  }

  // -- events ------------------------------------------------------------------------

  /// Returns whether more is to be expected.
  bool read_event(const sse::event& x, piece_sink& to) {
    auto data = x.data;
    data.remove_prefix(std::min(data.find_first_not_of(space), data.size()));
    data = data.substr(0, data.find_last_not_of(space) + 1);
    if (x.type == "error") {
      read_error(data, true);
    } else if (data.starts_with("[DONE]")) {
      is_done_ = ended_ = true;
      ++news_;
    } else if (!data.empty()) {
      read_data(data, x.type, to);
    }
    return !ended_;
  }

  void read_data(std::string_view data, std::string_view type, piece_sink& to) {
    auto is_ours = type.empty() || type == "message"; // else it may be anything, and only a chunk or an error counts
    if (is_ours && say_framed(data, to))
      return;
    std::string problem;
    if (chunk x; read_chunk(data, x, problem))
      return read_parts(x, data, is_ours, to);
    if (!utf8::is_valid(data)) {
      auto repaired = utf8::repair(data);
      if (chunk x; read_chunk(repaired, x, problem)) {
        is_repaired_ = true;
        return read_parts(x, repaired, is_ours, to);
      }
    }
    if (is_ours)
      fail_with(errc::invalid_response, "the stream holds broken JSON (" + clean_words(problem, 200) + ")");
  }

  void read_parts(const chunk& x, std::string_view data, bool is_ours, piece_sink& to) {
    if (tells_error(x.error) || (is_ours && x.choices.text.empty()))
      read_error(data, false);
    if (!ended_ && tells_error(x.groq_error))
      read_error("{\"error\":" + std::string{x.groq_error.text} + "}", true);
    if (ended_)
      return;
    auto before = std::tuple{pieces_, has_answer_, reason_.empty(), usage_.last()};
    note(x);
    only_text_ = {};
    json::reader in{x.choices};
    in.elements([&] { read_choice(in, to); });
    if (x.usage.is_object())
      usage_.note(wire::read_usage(x.usage), tokens_);
    if (!ended_ && before != std::tuple{pieces_, has_answer_, reason_.empty(), usage_.last()})
      ++news_;
    if (is_ours && !ended_ && pieces_ == std::get<0>(before) + 1)
      keep_frame(data);
  }

  /// Most chunks of a stream differ in nothing but their text, and what repeats says nothing new: where a chunk is the
  /// last one with another text, which holds no escapes, there is nothing to read but that.
  bool say_framed(std::string_view data, piece_sink& to) {
    auto front = std::string_view{frame_}.substr(0, frame_front_);
    auto back = std::string_view{frame_}.substr(frame_front_);
    if (frame_.empty() || data.size() <= frame_.size() || !data.starts_with(front) || !data.ends_with(back))
      return false;
    auto text = data.substr(front.size(), data.size() - frame_.size());
    if (!is_plain(text))
      return false;
    say(&piece_sink::text, text, to);
    ++news_;
    return true;
  }

  static bool is_plain(std::string_view text) {
    auto is_ascii = true;
    for (auto c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\')
        return false;
      is_ascii = is_ascii && static_cast<unsigned char>(c) < 0x80;
    }
    return is_ascii || utf8::is_valid(text);
  }

  void keep_frame(std::string_view data) {
    auto at = only_text_.data() - data.data();
    if (only_text_.size() < 2 || data.size() - only_text_.size() > most_frame)
      return;
    frame_front_ = static_cast<std::size_t>(at) + 1; // the text's quotes belong to the frame
    frame_.assign(data, 0, frame_front_);
    frame_ += data.substr(static_cast<std::size_t>(at) + only_text_.size() - 1);
  }

  /// The first chunk may name neither, the later ones repeat both.
  void note(const chunk& x) {
    if (id_.empty())
      id_ = string_in(x.id, scratch_);
    if (model_.empty())
      model_ = string_in(x.model, scratch_);
  }

  /// Looks for an error in an event; `is_one`: the event is named so, whatever its form.
  void read_error(std::string_view data, bool is_one) {
    auto parsed = json::parse(data);
    auto* root = std::get_if<json::value>(&parsed);
    auto found = root != nullptr && find_error(*root);
    if (!found && !is_one)
      return;
    json::value made = {{"error", root != nullptr && root->is_string() ? string_in(*root) : data}};
    fail(error_answer(head_, found ? root : &made, data));
    ++news_;
  }

  void read_choice(json::reader& in, piece_sink& to) {
    chunk_choice x;
    if (!take_choice(in, x) || ended_)
      return;
    if (count_in(x.index).value_or(0) != 0) {
      has_others_ = true;
      return;
    }
    if (x.error.is_object()) // OpenRouter, when it fails after the model has begun
      return read_error("{\"error\":" + std::string{x.error.text} + "}", true);
    has_answer_ = true;
    auto is_whole_message = x.delta.text.empty() && pieces_ == 0; // it comes as the only event
    auto delta = read_delta(is_whole_message ? x.message : x.delta);
    if (!is_whole_message && is_only_text(delta))
      only_text_ = delta.content.text;
    say_delta(delta, to);
    if (auto word = string_in(x.finish_reason, scratch_); !word.empty())
      reason_ = clean_words(word, 200);
  }

  // -- pieces ------------------------------------------------------------------------

  using said = void (piece_sink::*)(std::string_view);

  void say(said what, std::string_view text, piece_sink& to) {
    if (text.empty())
      return;
    ++pieces_;
    ++tokens_;
    (to.*what)(text);
  }

  void say(said what, json::raw x, piece_sink& to) { say(what, string_in(x, scratch_), to); }

  void say_delta(const chunk_delta& x, piece_sink& to) {
    say(&piece_sink::reasoning, says_something(x.reasoning) ? x.reasoning : x.reasoning_content, to);
    if (x.content.is_array())
      say_parts(x.content, to);
    else
      say(&piece_sink::text, x.content, to);
    say_refusal(x.refusal, to);
    json::reader in{x.tool_calls};
    auto has_calls = in.elements([&] {
      if (call_fragment part; !ended_ && take_fragment(in, part))
        say_call(part, to);
    });
    if (!has_calls && x.function_call.is_object())
      say_call(read_function_call(x.function_call), to);
  }

  static bool is_only_text(const chunk_delta& x) {
    auto is_none = [](json::raw y) { return y.text.empty() || y.text == "null" || y.text == "[]" || y.text == "\"\""; };
    return x.content.is_string() && is_none(x.refusal) && is_none(x.reasoning) && is_none(x.reasoning_content)
           && is_none(x.tool_calls) && is_none(x.function_call);
  }

  void say_refusal(json::raw x, piece_sink& to) {
    is_refused_ = is_refused_ || says_something(x);
    say(&piece_sink::refusal, x, to);
  }

  void say_call(const call_fragment& part, piece_sink& to) {
    pieces_ += calls_.add(part, id_, to);
    tokens_ += says_something(part.arguments) || part.arguments.is_object();
    if (calls_.size() > most_kept)
      fail_with(errc::response_too_large, "the answer's tool calls exceed " + std::to_string(most_kept) + " bytes");
  }

  /// Reads Mistral's form of content: an array of typed parts.
  void say_parts(json::raw parts, piece_sink& to) {
    json::reader in{parts};
    in.elements([&] {
      auto x = take_content_piece(in);
      if (x.type.text == "\"thinking\"")
        say_thinking(x.thinking, to);
      else if (x.type.text == "\"refusal\"")
        say_refusal(x.refusal, to);
      else
        say(&piece_sink::text, x.text, to);
    });
  }

  void say_thinking(json::raw x, piece_sink& to) {
    say(&piece_sink::reasoning, x, to);
    json::reader in{x};
    in.elements([&] { say(&piece_sink::reasoning, take_content_piece(in).text, to); });
  }

  // -- the end -----------------------------------------------------------------------

  /// Reads what no blank line followed: an end mark or an error may be in it, but for text it is too late.
  void read_last() {
    piece_collector ignored;
    auto before = pieces_;
    events_.finish([&](const sse::event& x) {
      chunk whole;
      std::string problem;
      auto is_whole_event = x.data.starts_with("[DONE]") || x.type == "error" || read_chunk(x.data, whole, problem);
      return is_whole_event && read_event(x, ignored);
    });
    if (pieces_ > before) {
      pieces_ = before;
      reason_.clear();
    }
  }

  /// Behind a proxy `[DONE]` may follow anything, so OpenAI's own must say why the model stopped.
  bool is_whole() const { return is_strict_ ? is_done_ && !reason_.empty() : is_done_ || !reason_.empty(); }

  std::variant<completion, failure> answer() {
    completion x;
    x.raw_finish_reason = std::move(reason_);
    if (auto problem = add_calls(head_, calls_.finish(), id_, openai_reason(x.raw_finish_reason), is_refused_, x))
      return std::move(*problem);
    x.usage = usage_.last();
    x.model = std::move(model_);
    x.provider_request_id = request_id_in(head_);
    if (x.provider_request_id.empty())
      x.provider_request_id = clean_words(id_, 200);
    if (!is_done_)
      x.warnings.emplace_back("the stream ended without its end mark, but with a finish reason");
    if (x.raw_finish_reason.empty())
      x.warnings.emplace_back("the provider named no finish reason");
    if (has_others_)
      x.warnings.push_back(choices_warning("several"));
    if (is_repaired_)
      x.warnings.emplace_back(repaired_warning);
    if (usage_.is_odd())
      x.warnings.emplace_back(usage_warning);
    return x;
  }

  void fail(failure x) {
    verdict_ = std::make_unique<verdict>(std::move(x));
    ended_ = true;
  }

  void fail_with(errc code, std::string message) {
    auto x = invalid_answer(head_, "");
    x.code = code;
    x.message = std::move(message);
    x.suggestion.clear();
    fail(std::move(x));
  }

  using verdict = std::variant<completion, failure>;

  http::response_head head_; ///< Only what answers and failures tell of it.
  sse::parser events_;
  std::unique_ptr<verdict> verdict_; ///< Set where the end is known before it has come.
  call_joiner calls_;
  std::string body_; ///< Of a body that is no stream.
  std::string scratch_;
  std::string frame_; ///< Of the last chunk that brought a text and nothing else: what stood before and behind,
  std::size_t frame_front_ = 0;  ///< so many bytes of it before.
  std::string_view only_text_{}; ///< The text, with its quotes, of the chunk that is being read, if it is such a one.
  std::string id_, model_, reason_;
  noted_usage usage_;
  uint64_t pieces_ = 0;
  uint64_t tokens_ = 0;
  std::size_t news_ = 0;
  std::size_t nesting_ = 0; ///< Of a body that is JSON.
  form form_ = form::unknown;
  bool is_strict_;
  bool in_string_ = false, is_escaped_ = false; ///< Where `closes_json` is.
  bool is_done_ = false;
  bool ended_ = false;
  bool has_answer_ = false; ///< The first choice was seen.
  bool has_others_ = false;
  bool is_refused_ = false;
  bool is_repaired_ = false;
};

} // namespace

std::unique_ptr<stream_reader> read_openai_stream(const http::response_head& head, bool is_strict) {
  return std::make_unique<openai_stream>(head, is_strict);
}

} // namespace modelforge::wire
