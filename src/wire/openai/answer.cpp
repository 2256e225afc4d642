#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/object_gatherer.hpp"
#include "wire/openai/chunk.hpp"
#include "wire/openai/message_answer.hpp"
#include "wire/openai/parts.hpp"
#include "wire/openai/text_frame.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace modelforge::wire::openai {

namespace {

constexpr object_answer::wording words{.no_answer = "a stream that holds no answer",
                                       .usual_address = "it usually ends in /v1"};

/// Reads a `chat.completion` and the chunks of a streamed one, of which a `message` and a `delta` have the same
/// members. A whole answer is given by its choice of the lowest index, a stream by that of its first chunk with any. An
/// object that stands in a stream without an event around it may be a chunk, an error or, by its message, a whole
/// answer.
class chat_answer : public message_answer {
public:
  chat_answer(const http::response_head& head, bool is_strict) : message_answer(head, words), is_strict_(is_strict) {}

  bool take_open_event(std::string_view type, std::string_view data, piece_sink& sink) override {
    if (auto text = type.empty() && !is_growing() ? frame_.text_in(data) : std::nullopt) {
      source_ = source::event;
      seen_.past_reason = seen_.past_reason || !reason_.empty();
      say(&piece_sink::text, *text, sink);
      return true;
    }
    data = ascii::trim(data);
    if (type == "error") {
      read_error_event(data);
      return true;
    }
    if (begins_done(data)) {
      say_rest(sink);
      seen_.end_mark = seen_.closed = true;
      if (data.starts_with(done_mark) && is_row(data.substr(done_mark.size())))
        take_behind({}, data.substr(done_mark.size()));
      return true;
    }
    source_ = type.empty() || type == "message" ? source::event : source::foreign_event;
    if (data.empty() || (source_ == source::foreign_event && !is_row(data)))
      return false;
    return take(data, sink);
  }

  bool take_open_plain(std::string_view data, piece_sink& sink) override {
    source_ = source::plain;
    auto is_news = take(data, sink);
    if (source_ != source::plain || !seen_.answer)
      return is_news;
    return seen_.end_mark = seen_.complete = true;
  }

  std::unique_ptr<object_answer> begin_other() const override {
    return std::make_unique<chat_answer>(head(), is_strict_);
  }

  void take_cut(std::string_view object) override {
    object_answer::take_cut(object);
    piece_collector ignored;
    if (!object.empty() && !is_understood())
      take_plain(object, ignored);
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
  bool is_all() const override { return source_ <= source::plain; }

  /// What an answer has not got that should be whole.
  enum class gap : uint8_t { object, choices, message };
  static constexpr std::string_view names_of_gaps[] = {"JSON that is no object", "JSON without any choices",
                                                       "a choice that holds no message"};

  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    chunk chunk;
    if (!read_chunk(object, chunk, problem))
      return false;
    auto may_be_error = tells_error(chunk.error) || tells_failure(chunk.base_resp)
                        || (source_ != source::foreign_event && chunk.choices.text.empty());
    if (may_be_error && read_any_error(object))
      return true;
    if (read_inner_error(chunk.groq_error))
      return true;
    if (chunk.choices.text.size() > 2 && source_ != source::foreign_event && read_error_beside(chunk.marks, object))
      return true;
    note(id_, chunk.id);
    note(model_, chunk.model);
    seen_.sign = seen_.sign || !chunk.choices.text.empty(); // all APIs have usage
    if (source_ == source::plain && ((progress_.pieces > 0 && !seen_.complete) || !holds_message(chunk.choices)))
      source_ = source::event;
    chunk_ = &chunk;
    if (!chunk.choices.is_array() && !chunk.choices.is_object())
      miss(chunk.choices.text.empty() && source_ != source::foreign_event ? chunk.text : chunk.choices);
    gap_ = std::max(gap_, object.starts_with('{') ? gap::choices : gap::object);
    if (is_all()) {
      stop_watching();
      read_first_choice(chunk.choices, sink);
    } else {
      read_choices(object, chunk.choices, sink);
    }
    chunk_ = nullptr;
    note_reason(chunk.reason);
    note_bad_reason(chunk.marks.status);
    if (chunk.output_sensitive.text == "true")
      note_reason({R"("content_filter")"});
    for (auto usage : {chunk.groq_usage, chunk.choice_usage, chunk.usage}) // in order of trust
      if (usage.is_object())
        note_usage(read_usage(usage));
    return true;
  }

  /// Some servers send all so far: in messages it is usual, in deltas a known mistake.
  bool may_grow(said kind) const override { return kind == &piece_sink::text || kind == &piece_sink::reasoning; }

  bool may_be_error() const override { return source_ != source::foreign_event; }

  void fail_broken(std::string_view problem) override {
    if (is_all())
      return object_answer::fail_broken(problem);
    fail_with(errc::invalid_response, "the stream holds broken JSON (" + clean_words(problem, 200) + ")");
  }

  // -- choices -----------------------------------------------------------------------

  /// Servers may send choices in any order, and need not count them. One that says why it ended may have nothing else.
  void read_first_choice(json::raw choices, piece_sink& sink) {
    std::vector<chunk_choice> all;
    std::size_t count = 0;
    for_each_in(choices, [&](json::reader& in) {
      ++count;
      if (chunk_choice choice; take_choice(in, choice))
        all.push_back(choice);
    });
    std::stable_sort(all.begin(), all.end(), [](auto& x, auto& y) { return place_of(x) < place_of(y); });
    join_split_choice(all);
    if (!all.empty() && read_choice_error(all.front()))
      return;
    if (all.empty() || (message_in(all.front()).text.empty() && !tells_reason(all.front()))) {
      gap_ = count == 0 ? gap::choices : gap::message;
      return;
    }
    read_choice(all.front(), sink);
    for (std::size_t i = 1; i < all.size(); ++i)
      read_beside(all[i], static_cast<int64_t>(i));
  }

  static bool tells_reason(const chunk_choice& choice) {
    auto is_told = [](json::raw x) { return !x.text.empty() && x.text != "null"; };
    return is_told(choice.finish_reason) || is_told(choice.other_reason);
  }

  /// Reads a choice beside the first one, or what a chunk adds to it: they came because the request asked for them.
  void read_beside(const chunk_choice& choice, int64_t place) {
    auto* side = beside(place, [&] {
      auto made = std::make_unique<chat_answer>(head(), is_strict_);
      made->id_ = id_ + "_" + std::to_string(place);
      return made;
    });
    if (side == nullptr)
      return;
    auto& reading = static_cast<chat_answer&>(*side->reading);
    reading.source_ = source_;
    reading.read_choice(choice, side->said);
  }

  /// Reads a choice, or what a chunk adds to one. Returns its text, with its quotes, where a chunk has nothing else.
  std::string_view read_choice(const chunk_choice& choice, piece_sink& sink) {
    if (seen_.end || read_choice_error(choice))
      return {};
    miss(choice.odd);
    if (choice.usage.is_object() && chunk_ != nullptr)
      chunk_->choice_usage = choice.usage;
    add_choice_logprobs(choice.logprobs, is_all());
    auto has_delta = choice.delta.is_object() || choice.delta.is_string();
    if (is_all()) {
      read_message(read_delta(message_in(choice), choice), choice, sink);
      return {};
    }
    if (!has_delta && message_in(choice).text.size() > 0) {
      read_streamed_message(choice, sink);
      return {};
    }
    auto before = progress_.pieces;
    auto delta = read_delta(choice.delta, choice);
    read_message(delta, choice, sink);
    has_deltas_ = has_deltas_ || progress_.pieces > before;
    if (choice.message.is_object())
      read_message_beside(choice.message, delta.content, sink);
    auto has_more = !choice.message.text.empty() || choice.logprobs.is_object();
    return delta.is_only_text() && !has_more ? delta.content.text : std::string_view{};
  }

  /// Reads the choices of a chunk. A chunk that brought nothing but one text is remembered by its frame: the next one
  /// like it is read without parsing (see `text_frame`).
  void read_choices(std::string_view object, json::raw choices, piece_sink& sink) {
    auto before = progress_.pieces;
    std::string_view only_text;
    auto has_others = false;
    chunk_choice first;
    int64_t position = 0;
    if (!choice_)
      choose(choices);
    for_each_in(choices, [&](json::reader& in) {
      chunk_choice choice;
      if (!take_choice(in, choice) || seen_.end)
        return;
      if (position == 0)
        first.index = choice.index, first.delta = message_in(choice);
      auto place = position == 0 ? place_of(choice) : place_behind(first, choice, position);
      ++position;
      auto is_other = place != choice_;
      has_others = has_others || is_other;
      if (is_other)
        read_beside(choice, place);
      else
        only_text = read_choice(choice, sink);
    });
    if (source_ == source::event && !seen_.end && !has_others && progress_.pieces == before + 1)
      frame_.keep(object, only_text);
  }

  /// Which choice it is that comes at `position` in a chunk, behind the first one. Two texts are of two answers, even
  /// where nobody counts them; a text and calls may be of one (see `join_split_choice`).
  int64_t place_behind(const chunk_choice& first, const chunk_choice& choice, int64_t position) {
    auto place = place_of(choice);
    if (place != place_of(first))
      return place;
    if (!is_uncounted_)
      is_uncounted_ =
        !text_in(read_delta(first.delta).content).empty() && !text_in(read_delta(message_in(choice)).content).empty();
    return is_uncounted_ ? place + position : place;
  }

  /// Of several choices the one is read that has the lowest number when they begin.
  void choose(json::raw choices) {
    for_each_in(choices, [&](json::reader& in) {
      if (chunk_choice choice; take_choice(in, choice) && (!choice_ || place_of(choice) < *choice_))
        choice_ = place_of(choice);
    });
  }

  /// Reads a choice that has a message where deltas are usual: the whole answer as the only event, or each time what is
  /// new, or each time all so far.
  void read_streamed_message(const chunk_choice& choice, piece_sink& sink) {
    auto delta = read_delta(message_in(choice), choice);
    if (has_deltas_) { // it repeats them
      read_message_beside(message_in(choice), {}, sink);
      chunk_delta rest;
      rest.reason = delta.reason;
      return read_message(rest, choice, sink);
    }
    if (tells_reason(choice) && has_reason() && chunk_ != nullptr && chunk_->id.has_text() && !is_same_id(chunk_->id))
      return fail_behind_end();
    each_growth([](auto& growth) { growth.expect_either(); });
    read_message(delta, choice, sink);
  }

  bool is_same_id(json::raw id) { return string_in(id, scratch_) == id_; }

  /// OpenRouter's, when it fails after the model has begun.
  bool read_choice_error(const chunk_choice& choice) { return read_inner_error(choice.error); }

  bool read_inner_error(json::raw error) {
    return tells_error(error) && read_error(error, R"({"error":)" + std::string{error.text} + "}");
  }

  // -- the message -------------------------------------------------------------------

  /// Reads a message or a delta: thoughts, then texts, refusals and calls.
  void read_message(const chunk_delta& delta, const chunk_choice& choice, piece_sink& sink) {
    seen_.answer = true;
    if (read_inner_error(delta.error))
      return;
    if (delta.usage.is_object() && chunk_ != nullptr)
      chunk_->choice_usage = delta.usage;
    auto is_plain = delta.content.is_string();
    std::vector<call_part> calls;
    auto has_thoughts = !is_plain && say_content(delta.content, calls, sink);
    if (!has_thoughts) // some repeat them beside the parts
      say_first_thought({delta.reasoning, delta.reasoning_content, delta.reasoning_details, delta.other_thought}, sink);
    auto is_again = is_plain && !is_all() && tells_reason(choice) && repeats_all(delta.content);
    if (is_plain && !is_again)
      say_content(delta.content, calls, sink);
    if (delta.other_text.text != delta.content.text)
      miss(delta.other_text);
    leave_out(delta.left_out);
    say_refusal(delta.refusal, sink);
    say_message_calls(delta, calls, sink);
    if (note_reasons(choice, delta) || is_all())
      say_rest(sink);
  }

  /// The usual place counts, if it has one: beside it vLLM tells which text made the model stop. What OpenRouter's
  /// provider told counts where it says that the answer is no good one.
  bool note_reasons(const chunk_choice& choice, const chunk_delta& delta) {
    auto is_told = note_first_reason({choice.finish_reason, choice.other_reason, delta.reason});
    if (is_told && chunk_ != nullptr)
      chunk_->reason = {};
    if (is_told && (delta.content.has_text() || delta.reasoning.has_text()))
      each_growth([](auto& growth) { growth.note_end(); });
    note_bad_reason(choice.native_reason);
    return is_told;
  }

  // -- the end -----------------------------------------------------------------------

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

  bool is_strict_; ///< A stream has a finish reason.
  source source_ = source::whole;
  gap gap_ = gap::object;
  text_frame frame_;
  std::optional<int64_t> choice_; ///< The one that is read, of a stream.
  chunk* chunk_ = nullptr;        ///< That is being read.
  bool is_uncounted_ = false;     ///< Choices have no numbers, and count by their position.
  bool has_deltas_ = false;       ///< Something came in them.
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head, bool is_strict) {
  return std::make_unique<chat_answer>(head, is_strict);
}

} // namespace modelforge::wire::openai
