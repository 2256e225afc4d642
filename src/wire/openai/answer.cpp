#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/object_answer.hpp"
#include "wire/object_gatherer.hpp"
#include "wire/openai/calls.hpp"
#include "wire/openai/chunk.hpp"
#include "wire/openai/parts.hpp"
#include "wire/openai/text_frame.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace modelforge::wire::openai {

namespace {

constexpr auto reasons = std::to_array<named_reason>({
  {"stop", finish_reason::stop},
  {"length", finish_reason::length},
  {"tool_calls", finish_reason::tool_calls},
  {"content_filter", finish_reason::content_filter},
  {"function_call", finish_reason::tool_calls},           // OpenAI's old form
  {"model_length", finish_reason::length},                // Mistral
  {"error", finish_reason::error},                        // Mistral, OpenRouter
  {"insufficient_system_resource", finish_reason::error}, // DeepSeek
  {"eos_token", finish_reason::stop},                     // servers built on text-generation-inference
  {"stop_sequence", finish_reason::stop},
  {"abort", finish_reason::error}, // vLLM
});

constexpr object_answer::wording words{
  .no_answer = "a stream that holds no answer", .usual_address = "it usually ends in /v1", .whole_needs_reason = false};

/// Reads a `chat.completion` and the chunks of a streamed one, of which a `message` and a `delta` have the same
/// members. A whole answer is given by its choice of the lowest index, a stream by its choice 0. An object that stands
/// in a stream without an event around it may be a chunk, an error or, by its message, a whole answer.
class chat_answer : public object_answer {
public:
  chat_answer(const http::response_head& head, bool is_strict) : object_answer(head, words), is_strict_(is_strict) {}

  bool take_event(std::string_view type, std::string_view data, piece_sink& sink) override {
    data = ascii::trim(data);
    if (type == "error") {
      read_error_event(data);
      return true;
    }
    if (data.starts_with(done_mark)) {
      say_rest(sink);
      return seen_.end_mark = seen_.end = true;
    }
    source_ = type.empty() || type == "message" ? source::event : source::foreign_event;
    if (data.empty() || (source_ == source::foreign_event && !is_row(data)))
      return false;
    if (auto text = source_ == source::event ? frame_.text_in(data) : std::nullopt) {
      seen_.past_reason = seen_.past_reason || !reason_.empty();
      say(&piece_sink::text, *text, sink);
      return true;
    }
    return take(data, sink);
  }

  bool take_plain(std::string_view data, piece_sink& sink) override {
    source_ = source::plain;
    auto is_news = take(data, sink);
    if (source_ != source::plain || !seen_.answer)
      return is_news;
    return seen_.end_mark = seen_.end = true;
  }

  void take_cut(std::string_view data) override {
    piece_collector ignored;
    if (!is_understood())
      take_plain(data, ignored);
  }

private:
  /// Where an object comes from.
  enum class source : uint8_t {
    whole,         ///< It is all of the answer,
    plain,         ///< although a stream was asked for.
    event,         ///< It is the data of an event, or a chunk that stands where one would.
    foreign_event, ///< The event has a name of its own: it may be anything, and only a chunk or an error counts.
  };

  /// Whether the object is all of the answer.
  bool is_all() const { return source_ <= source::plain; }

  /// What an answer has not got that should be whole.
  enum class gap : uint8_t { object, choices, message };
  static constexpr std::string_view names_of_gaps[] = {"JSON that is no object", "JSON without any choices",
                                                       "a choice that holds no message"};

  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    chunk chunk;
    if (!read_chunk(object, chunk, problem))
      return false;
    auto may_be_error = tells_error(chunk.error) || (source_ != source::foreign_event && chunk.choices.text.empty());
    if (may_be_error && read_any_error(object))
      return true;
    if (tells_error(chunk.groq_error)) {
      read_error(chunk.groq_error, R"({"error":)" + std::string{chunk.groq_error.text} + "}");
      return true;
    }
    note(id_, chunk.id);
    note(model_, chunk.model);
    seen_.sign = seen_.sign || chunk.choices.is_array() || chunk.usage.is_object();
    if (source_ == source::plain && !holds_message(chunk.choices))
      source_ = source::event;
    gap_ = std::max(gap_, object.starts_with('{') ? gap::choices : gap::object);
    if (is_all())
      read_first_choice(chunk.choices, sink);
    else
      read_choices(object, chunk.choices, sink);
    if (chunk.usage.is_object())
      note_usage(read_usage(chunk.usage));
    return true;
  }

  bool may_be_error() const override { return source_ != source::foreign_event; }

  void fail_broken(std::string_view problem) override {
    if (is_all())
      return object_answer::fail_broken(problem);
    fail_with(errc::invalid_response, "the stream holds broken JSON (" + clean_words(problem, 200) + ")");
  }

  // -- choices -----------------------------------------------------------------------

  /// Whether these are choices of a whole answer: those of chunks hold what they add to it.
  static bool holds_message(json::raw choices) {
    auto found = false;
    json::reader in{choices};
    in.elements([&] {
      chunk_choice choice;
      found = (take_choice(in, choice) && choice.message.is_object() && choice.delta.text.empty()) || found;
    });
    return found;
  }

  /// Servers may send choices in any order, and need not count them.
  void read_first_choice(json::raw choices, piece_sink& sink) {
    std::optional<chunk_choice> first;
    std::size_t count = 0;
    json::reader in{choices};
    in.elements([&] {
      ++count;
      auto index = [](const chunk_choice& x) { return count_in(x.index).value_or(0); };
      if (chunk_choice choice; take_choice(in, choice) && (!first || index(choice) < index(*first)))
        first = choice;
    });
    if (first && read_choice_error(*first))
      return;
    if (!first || !first->message.is_object()) {
      gap_ = count == 0 ? gap::choices : gap::message;
      return;
    }
    read_message(read_delta(first->message), first->finish_reason, sink);
    if (count > 1)
      warn(choices_warning(std::to_string(count)));
  }

  /// Reads the choices of a chunk. A chunk that brought nothing but one text is remembered by its frame: the next one
  /// like it is read without parsing (see `text_frame`).
  void read_choices(std::string_view object, json::raw choices, piece_sink& sink) {
    auto before = progress_.pieces;
    std::string_view only_text;
    json::reader in{choices};
    in.elements([&] {
      chunk_choice choice;
      if (!take_choice(in, choice) || seen_.end)
        return;
      auto is_other = count_in(choice.index).value_or(0) != 0;
      seen_.others = seen_.others || is_other;
      if (is_other || read_choice_error(choice))
        return;
      auto is_whole_message = choice.delta.text.empty() && progress_.pieces == 0; // it comes as the only event
      auto delta = read_delta(is_whole_message ? choice.message : choice.delta);
      if (!is_whole_message && delta.is_only_text())
        only_text = delta.content.text;
      read_message(delta, choice.finish_reason, sink);
    });
    if (source_ == source::event && !seen_.end && progress_.pieces == before + 1)
      frame_.keep(object, only_text);
  }

  /// OpenRouter's, when it fails after the model has begun.
  bool read_choice_error(const chunk_choice& choice) {
    return choice.error.is_object() && read_error(choice.error, R"({"error":)" + std::string{choice.error.text} + "}");
  }

  // -- the message -------------------------------------------------------------------

  /// Reads a message or a delta: thoughts, then texts, refusals and calls.
  void read_message(const chunk_delta& delta, json::raw reason, piece_sink& sink) {
    seen_.answer = true;
    auto has_thoughts = delta.content.is_array() && say_parts(delta.content, sink);
    if (!has_thoughts) // some repeat them beside the parts
      say(&piece_sink::reasoning, delta.reasoning.has_text() ? delta.reasoning : delta.reasoning_content, sink);
    if (!delta.content.is_array())
      say(&piece_sink::text, delta.content, sink);
    say_refusal(delta.refusal, sink);
    say_calls(delta, sink);
    auto word = string_in(reason, scratch_);
    if (!word.empty())
      reason_ = clean_words(word, 200);
    if (!word.empty() || is_all())
      say_rest(sink);
  }

  /// Reads Mistral's form of content: an array of typed parts. Returns whether a thought is among them.
  bool say_parts(json::raw parts, piece_sink& sink) {
    auto has_thoughts = false;
    json::reader in{parts};
    in.elements([&] {
      auto piece = take_content_piece(in);
      if (piece.type.between_quotes() == "thinking") {
        has_thoughts = true;
        say_thinking(piece.thinking, sink);
      } else if (piece.type.between_quotes() == "refusal") {
        say_refusal(piece.refusal, sink);
      } else {
        say(&piece_sink::text, piece.text, sink);
      }
    });
    return has_thoughts;
  }

  void say_thinking(json::raw value, piece_sink& sink) {
    say(&piece_sink::reasoning, value, sink);
    json::reader in{value};
    in.elements([&] { say(&piece_sink::reasoning, take_content_piece(in).text, sink); });
  }

  void say_refusal(json::raw raw, piece_sink& sink) {
    seen_.refusal = seen_.refusal || raw.has_text();
    say(&piece_sink::refusal, raw, sink);
  }

  void say_calls(const chunk_delta& delta, piece_sink& sink) {
    auto count = calls_.size();
    joiner_.begin_chunk();
    for_each_in(delta.tool_calls, [&](json::reader& in) {
      if (call_fragment part; !seen_.end && take_fragment(in, part))
        say_call_part(part, sink);
    });
    if (calls_.size() == count && delta.function_call.is_object())
      say_call_part(read_function_call(delta.function_call), sink);
  }

  void say_call_part(const call_fragment& part, piece_sink& sink) {
    uint64_t pieces = 0;
    if (is_all())
      progress_.pieces += joiner_.add_whole(part, id_, scratch_, sink);
    else if (joiner_.add(part, id_, scratch_, sink, pieces))
      count_call_pieces(pieces);
    else
      fail_undecided("the stream holds a part of a tool call that may belong to several calls");
  }

  void fail_undecided(std::string_view what) {
    auto problem = invalid_answer(head(), "");
    problem.message = what;
    problem.suggestion = "ask for one call at a time, or without streaming";
    fail(std::move(problem));
  }

  // -- the end -----------------------------------------------------------------------

  finish_reason meaning() const override { return reason_of(reason_); }

  /// Names the deepest gap that was met, since "no answer" alone helps nobody to find a wrong base URL.
  std::string_view no_answer() const override {
    return seen_.end_mark && source_ != source::plain ? words.no_answer : names_of_gaps[static_cast<std::size_t>(gap_)];
  }

  /// Behind a proxy `[DONE]` may follow anything, so OpenAI's own must say why the model stopped.
  std::string_view lack() const override {
    if (source_ == source::plain || (seen_.end_mark && !seen_.answer)) // then `no_answer` says it
      return {};
    if (seen_.end_mark ? !is_strict_ || !reason_.empty() : has_reason())
      return {};
    return reason_.empty() ? ", before a finish reason came"
                           : " and a finish reason with more behind it, before its end mark";
  }

  void conclude(bool) override {
    if (joiner_.is_doubtful())
      fail_undecided("the stream holds a tool call twice, and nothing tells whether it is meant twice");
  }

  bool is_strict_; ///< A stream has a finish reason.
  source source_ = source::whole;
  gap gap_ = gap::object;
  text_frame frame_;
  call_joiner joiner_{calls_};
};

} // namespace

finish_reason reason_of(std::string_view word) {
  return reason_named(word, reasons);
}

std::unique_ptr<object_answer> make_answer(const http::response_head& head, bool is_strict) {
  return std::make_unique<chat_answer>(head, is_strict);
}

} // namespace modelforge::wire::openai
