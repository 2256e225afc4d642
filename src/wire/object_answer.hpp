#pragma once

#include "wire/answer_parts.hpp"
#include "wire/error_beside.hpp"
#include "wire/finish.hpp"
#include "wire/json.hpp"
#include "wire/piece_growth.hpp"
#include "wire/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::wire {

/// One answer, whole or streamed: it comes as JSON objects of one shape, one for a whole answer, several for a streamed
/// one. Dialects derive from it and read what such an object says (`read`); it keeps what they found, and judges the
/// end. So a provider's words are read by the same lines, however they come.
///
/// Called by `read_whole` for whole bodies and by the reader that `read_objects` makes for streams. What has `ended`
/// takes nothing more; `end` is called once.
class object_answer {
public:
  /// What is said of an answer that is none.
  struct wording {
    std::string_view no_answer;     ///< What an object without one is ("JSON without any ...").
    std::string_view usual_address; ///< What base_url looks like ("it usually ends in /v1beta").
  };

  /// Keeps of the head what answers and failures tell of it. `words` lives as long as the program.
  object_answer(const http::response_head& head, const wording& words);
  virtual ~object_answer() = default;

  /// Takes the next object, or an array of objects. Returns whether it brought something new.
  bool take(std::string_view data, piece_sink& sink);

  /// Takes an event of a stream. Returns as `take`.
  bool take_event(std::string_view type, std::string_view data, piece_sink& sink) {
    return ended() ? take_behind(type, data) : take_open_event(type, data, sink);
  }

  /// Takes an object, or an array, that stands in a stream without an event around it. Returns as `take`.
  bool take_plain(std::string_view data, piece_sink& sink) {
    return ended() ? take_behind({}, data) : take_open_plain(data, sink);
  }

  /// The body has ended in the middle of an event, an object or an array, so what was to follow is missing. `object`:
  /// the beginning of one that stands there without an event around it.
  virtual void take_cut(std::string_view /*object*/) { seen_.cut = true; }

  /// Whether an event with which the body ends is whole, although its lines may have been cut.
  bool is_whole(std::string_view type, std::string_view data) const;

  /// Whether something of the answer may be lost with such an event if it is not whole.
  bool counts(std::string_view type, std::string_view data) const;

  /// Ends the answer with a failure, unless it has ended.
  void fail(failure problem);
  void fail_with(errc code, std::string message);

  /// The same, because something of an answer came behind its end.
  void fail_behind_end();

  /// The end mark behind which nothing comes, or an error: nothing more is to be expected.
  bool ended() const { return seen_.end || seen_.closed; }

  /// Nothing more is looked at.
  bool is_over() const { return seen_.end; }

  /// It has ended, or has the end mark of an answer that may go on nevertheless.
  bool has_end() const { return ended() || seen_.complete; }

  /// Something came behind the end that is no part of the answer: a warning, and the answer is unclear.
  void note_behind(std::string_view data);

  /// What is known of its end, provided that nothing of the body is cut.
  stream_end end_so_far() const;

  /// Something of an answer, or an error, has come.
  bool is_understood() const { return seen_.answer || seen_.sign || progress_.pieces > 0 || problem_ != nullptr; }

  /// Something of an answer that says something, or an error, has come.
  bool has_begun() const { return seen_.answer || progress_.pieces > 0 || problem_ != nullptr; }

  /// A line of the body was neither a field of an event nor JSON, and was left out: a warning, and the answer is
  /// unclear.
  void note_foreign(std::string_view line);

  /// From here on the answer comes in pieces, of which each may be all so far.
  void watch_growth();

  /// The body has come to its end, and all of it is JSON, or events with data that is another API's.
  void note_whole_body() { seen_.whole_body = true; }

  /// How many bytes of one object are taken.
  virtual std::size_t max_bytes() const { return 1 << 20; }

  uint64_t tokens() const { return progress_.tokens; }

  const http::response_head& head() const { return head_; }

  /// Tells how the answer ended, once. `streamed`: it needs its end mark, or its finish reason; else being there is
  /// enough, if it came in one object. `beginning`: of a body in which nothing of an answer was found.
  std::variant<completion, failure> end(bool streamed, std::string_view beginning, piece_sink& sink);

  /// Makes a failure's suggestion fit this provider.
  failure fitted(failure problem) const;

  /// Gives room back that a large text took.
  void shrink();

protected:
  /// Takes an event of an answer that has not ended: `take`, where it has data. One named "error" is an error, whatever
  /// its data is; one with a name that is not the provider's may be anything, and counts only where it holds objects.
  virtual bool take_open_event(std::string_view type, std::string_view data, piece_sink& sink);

  virtual bool take_open_plain(std::string_view data, piece_sink& sink) { return take(data, sink); }

  /// Reads one object. False, and nothing was said, where it is not JSON; `problem` says why.
  virtual bool read(std::string_view object, piece_sink& sink, std::string& problem) = 0;

  /// Ends the answer because a text in it is not JSON.
  virtual void fail_broken(std::string_view problem);

  /// Whether events of that name are the provider's.
  virtual bool knows(std::string_view event) const { return event.empty() || event == "message" || event == "error"; }

  /// What a stream that ends now lacks, to be said behind "after 3 pieces"; empty where it is whole. A finish reason is
  /// the end of all that can be lost, so it is enough where the body ends without an error of the transfer.
  virtual std::string_view lack() const {
    return seen_.end_mark || has_reason() ? std::string_view{} : ", before its end mark";
  }

  /// The provider has said why the model stopped, and nothing of the answer came behind it.
  bool has_reason() const { return !reason_.empty() && !seen_.past_reason; }

  /// Whether an answer that is `complete` may go on: its end mark was none. Else more behind it is an error.
  virtual bool may_go_on() const { return false; }

  /// Makes the reader for what comes behind an end mark that is the end. Null: nobody looks at it.
  virtual std::unique_ptr<object_answer> begin_other() const { return nullptr; }

  /// Looks at what comes there. It is no part of the answer, but for usage, and brings nothing new.
  bool take_behind(std::string_view type, std::string_view data);

  /// What the answer is where it holds none.
  virtual std::string_view no_answer() const { return words_.no_answer; }

  /// Puts the last pieces together, before the completion is made.
  virtual void conclude(bool /*streamed*/) {}

  /// Whether an `error` member tells of one; then the answer has ended.
  bool read_error(json::raw error, std::string_view object);

  /// Whether these members of an object that holds something of an answer say that it failed; then the answer has
  /// ended. Words beside it that do not are a warning.
  bool read_error_beside(const error_marks& marks, std::string_view object);

  /// Whether the object is an error, in any form; then the answer has ended.
  bool read_any_error(std::string_view object);

  /// Whether what is read now is the provider's, so that words in it may be an error.
  virtual bool may_be_error() const { return true; }

  /// Ends the answer with what an event says that is named so, whatever its form.
  void read_error_event(std::string_view data);

  using said = void (piece_sink::*)(std::string_view);

  /// Whether texts of that kind may come so that each piece is all so far: none, unless servers of the dialect are
  /// known to do so.
  virtual bool may_grow(said /*kind*/) const { return false; }

  /// Whether it is still to be found out, or known, that they do.
  bool is_growing() const { return growths_ != nullptr; }

  /// This answer comes whole.
  void stop_watching() { growths_.reset(); }

  /// Calls `f(growth)` for each text that is watched.
  template <class F>
  void each_growth(F&& f) {
    if (growths_ != nullptr)
      for (auto* each : {&growths_->text, &growths_->thoughts})
        f(*each);
  }

  void say(said kind, std::string_view text, piece_sink& sink);

  /// Says a string; nothing where there is none. Half a character at its end waits for its other half. Returns what was
  /// handed on, valid until the next text is read.
  std::string_view say(said kind, json::raw raw, piece_sink& sink);

  /// Returns a text in any form: a string, an object with one (`text`, `value` or `content`), a list of these. What is
  /// none is told by `miss`.
  std::string text_of(json::raw value, unsigned depth = 0);

  /// Warns of what stands in the place of a text or of a part and is not understood: something may be missing then.
  /// What is null or empty says nothing.
  void miss(json::raw value);

  /// Warns of a part of the answer, of that type, that is left out; of none without a type.
  void leave_out(std::string_view type);

  /// Says a text where some have a list of texts, or of objects with one, or one such object.
  void say_texts(said kind, json::raw value, piece_sink& sink);

  /// Ends the answer where it cannot be told what pieces are: new, or each all so far. `at_end`: no more come.
  void fail_if_doubtful(const piece_growth& growth, bool at_end);

  /// Hands on what was held back. Dialects call it where the answer seems to end; more may follow.
  void say_rest(piece_sink& sink);

  /// Hands on a seal; nothing where there is none. `dialect`: what is put before it, as `reasoning_part` has it.
  void say_seal(std::string_view dialect, json::raw value, piece_sink& sink);

  /// Says a call that comes whole; no arguments and null stand for an empty object. `signature`: as the neutral form
  /// has it. `id_source`: to make up an id from.
  void say_call(const call_part& part, std::string signature, std::string_view id_source, piece_sink& sink);

  /// Says whole calls, from a list in any form.
  void say_calls(json::raw list, std::string_view id_source, piece_sink& sink);

  /// Says the calls that stand among the parts of a content, as other dialects have it.
  void say_calls_among(json::raw parts, std::string_view id_source, piece_sink& sink);

  /// Hands out the calls of a list in any form. What is none ends the answer.
  void read_calls(json::raw list, const std::function<void(const call_part&)>& take);

  /// Hands out the calls in those members of a message that other dialects have for calls; see `each_call_elsewhere`.
  void read_calls_elsewhere(json::raw message, std::initializer_list<std::string_view> own,
                            const std::function<void(const call_part&)>& take);

  /// Says these calls. `has_own`: there were some where they are usual; then these must be the same.
  void say_calls_elsewhere(json::raw message, std::initializer_list<std::string_view> own, bool has_own,
                           std::string_view id_source, piece_sink& sink);

  /// Ends the answer unless the call is one that is known.
  void expect_call(const call_part& part);

  /// Ends the answer because it cannot be told what is called, and with which arguments. `what` came.
  void fail_calls(std::string what);

  /// The same, because several calls may be meant, or one of several versions. `what`: the whole message.
  void fail_undecided(std::string what);

  /// Begins a call whose arguments come otherwise; returns its place.
  std::size_t begin_call(const call_part& part, piece_sink& sink);

  /// More of the arguments of the call at that place: JSON, cut anywhere.
  void say_arguments(std::size_t call, json::raw fragment, piece_sink& sink);
  void say_arguments(std::size_t call, const call_part& part, piece_sink& sink);

  /// Ends a stream that has no finish reason, but a call of whose arguments nothing came: nobody knows whether it has
  /// any.
  void fail_if_untold(std::size_t call);

  /// Nothing more of the call at that place comes; one without arguments gets an empty object.
  void end_call(std::size_t call, piece_sink& sink);

  /// The signature for a provider's seal, as `reasoning_part` has it; empty where there is none.
  std::string sealed(std::string_view dialect, json::raw value);

  /// The last one counts.
  void note_usage(const told_usage& usage) { notes_.usage.note(usage, progress_.tokens); }

  /// Keeps the provider's word for why the model stopped, in whatever form; the last one counts. False where there is
  /// none.
  bool note_reason(json::raw word);

  /// The same for the first of several places that has one.
  bool note_first_reason(std::initializer_list<json::raw> places);

  /// Keeps a reason that is told beside the usual one, if it says that the answer is no good one.
  void note_bad_reason(json::raw word);

  /// The name of the event that is being read; empty: it has none, or there is none.
  std::string_view event_name() const { return event_name_ != nullptr ? *event_name_ : std::string_view{}; }

  /// Keeps what the provider says about the end.
  void note_explanation(json::raw words);

  /// Keeps the first text that there is.
  void note(std::string& kept, json::raw value);

  void warn(std::string text);

  /// Adds what a choice of OpenAI's chat has of how likely its tokens are. Some servers have a form of their own (lists
  /// of tokens and of numbers): kept where the answer `is_whole`.
  void add_choice_logprobs(json::raw value, bool is_whole);

  /// Adds to how likely the tokens are: a list as OpenAI's chat has it.
  void add_logprobs(json::raw list);

  /// The same for the lists in the parts of a message.
  void add_part_logprobs(json::raw parts);

  /// Keeps how likely the tokens are, in the words of a server that has its own; not to be joined with lists.
  void keep_logprobs(json::raw object) { extra().foreign_logprobs = object.text; }

  /// Another answer to the same question, read as one of its own. What is wrong with it alone is a warning.
  struct side {
    int64_t index;
    std::unique_ptr<object_answer> reading;
    piece_collector said{};
  };

  /// Finds the answer of that index beside the first one, or begins it by `make`. Null where there are too many, or
  /// too much was said in them; then there is a warning.
  template <class Make>
  side* beside(int64_t index, Make&& make) {
    if (auto* found = find_beside(index))
      return found;
    return seen_.others ? nullptr : &extra().sides.emplace_back(side{index, make()});
  }

  /// Whether a text that comes with the finish reason is all that was said before, once more; then there is a warning.
  bool repeats_all(json::raw text);

  /// Takes a text that says once more what was said from that byte of the answer's text on, and says what it has more.
  /// One that differs is a warning, and then nobody can tell whether the answer is whole.
  void say_missing(std::string_view text, uint64_t from, piece_sink& sink);

  /// Counts what the calls handed on, and ends the answer if they are too large.
  void count_call_pieces(uint64_t pieces);

  /// How far the answer has come.
  struct progress {
    uint64_t pieces = 0;
    uint64_t thoughts = 0; ///< Of these pieces.
    uint64_t signs = 0;    ///< Of life, that say nothing by themselves.
    uint64_t tokens = 0;
    uint64_t texts = 0;      ///< Of these pieces,
    uint64_t text_bytes = 0; ///< with so many bytes in all,
    char beginning[8]{};     ///< and the first of these,
    uint64_t ending = 0;     ///< and the last ones, the very last in the lowest byte.
  };

  /// What has been met so far.
  struct marks {
    bool answer = false;      ///< An object with an answer.
    bool sign = false;        ///< Something that belongs to one, be it empty.
    bool parts = false;       ///< Several objects where one is usual.
    bool others = false;      ///< More answers beside the first one than are kept.
    bool refusal = false;     ///< The model declined.
    bool blocked = false;     ///< The provider's filter did not take the prompt, and `reason_` says why.
    bool repairs = false;     ///< Bytes that are not UTF-8; they were replaced.
    bool end_mark = false;    ///< The provider's word that the answer is whole.
    bool complete = false;    ///< That mark, as far as it is one where nothing of the answer follows.
    bool closed = false;      ///< That mark, whatever follows: see `take_behind`.
    bool sure_end = false;    ///< That mark, in a form that comes last.
    bool whole_body = false;  ///< The body has come to its end, whatever is in it.
    bool cut = false;         ///< The body ended in the middle of something.
    bool doubt = false;       ///< Something may be missing, and a warning tells of it.
    bool past_reason = false; ///< A piece behind a finish reason, which thus was no end.
    bool end = false;         ///< That mark, or an error: nothing more is looked at.
  };

  std::string id_, model_, reason_;
  std::string scratch_;
  call_list calls_;
  progress progress_;
  marks seen_;

private:
  bool holds_nothing() const { return progress_.pieces <= progress_.thoughts && calls_.known() == 0; }
  ending told_end() const;
  std::optional<failure> told_failure(const ending& how) const;
  void hand_on(said kind, std::string_view text, piece_sink& sink);
  void tell_growing(said kind, std::string_view text, piece_sink& sink);
  void settle_growth(piece_sink& sink);
  void tell(said kind, std::string_view text, piece_sink& sink);
  void say_half(piece_sink& sink);
  void take_one(std::string_view object, piece_sink& sink);
  bool take_repaired(std::string_view object, piece_sink& sink);
  bool take_row(std::string_view objects, piece_sink& sink);
  failure no_answer_in(std::string_view beginning, bool is_all) const;
  bool is_repeated_by(const object_answer& other, const piece_collector& said) const;

  struct growths {
    piece_growth text, thoughts;
  };

  /// What the latest text was, and of which character it has but one half; see `json::string_in`.
  struct half_character {
    said kind = nullptr;
    uint32_t unit = 0;
  };

  /// What is told beside the answer itself.
  struct notes {
    noted_usage usage;
    std::vector<std::string> warnings;
    std::unique_ptr<std::string> explanation; ///< The provider's, of the end; null: none.
  };

  /// What comes only if the request asks for it.
  struct asked_extra {
    std::string logprobs;         ///< The list's elements, with commas between.
    std::string foreign_logprobs; ///< An object of another form.
    std::vector<side> sides;
  };

  asked_extra& extra() { return extra_ != nullptr ? *extra_ : *(extra_ = std::make_unique<asked_extra>()); }
  side* find_beside(int64_t index);
  std::string told_logprobs();
  void add_alternatives(completion& answer);
  void add_alternative(side& from, completion& answer);

  http::response_head head_;
  const wording& words_;
  const std::string_view* event_name_ = nullptr; ///< While an event is being read.
  std::unique_ptr<failure> problem_;
  notes notes_;
  half_character half_;
  std::unique_ptr<asked_extra> extra_; ///< Null for nearly all answers: streams are many.
  std::unique_ptr<growths> growths_;   ///< Null once it is known that pieces are new.
};

using answer_maker = std::function<std::unique_ptr<object_answer>()>;

/// Reads a whole answer, whatever its status. One that comes as a stream, although it was asked for whole, is read as
/// one.
std::variant<completion, failure> read_whole(const answer_maker& make, std::string_view body);

/// Makes the reader of a streamed answer. `limit`: bytes of one object, if more than the answer's `max_bytes`.
std::unique_ptr<stream_reader> read_objects(std::unique_ptr<object_answer> answer, std::size_t limit = 0);

} // namespace modelforge::wire
