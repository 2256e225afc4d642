#include "wire/finish.hpp"
#include "wire/object_answer.hpp"
#include "wire/provider_error.hpp"
#include "wire/words.hpp"

#include <algorithm>
#include <optional>
#include <utility>

/// What few answers have: what comes only because the request's `extra` asks for it (further answers, log
/// probabilities), errors that stand beside it, and pieces that repeat those before them.

namespace modelforge::wire {

namespace {

constexpr std::size_t max_sides = 128;         ///< Answers beside the first one; providers give up to 127.
constexpr std::size_t max_beside = 16 << 20;   ///< Bytes of text that these have in all.
constexpr std::size_t max_logprobs = 16 << 20; ///< Bytes; a streamed answer has no other bound.

/// Whether a text is one part of it, several times.
bool is_repetition(std::string_view text) {
  return (std::string{text} + std::string{text}).find(text, 1) < text.size();
}

} // namespace

void object_answer::add_logprobs(json::raw list) {
  json::reader in{list};
  in.elements([&] {
    auto element = in.value();
    auto& kept = extra().logprobs;
    if (kept.size() + element.text.size() > max_logprobs)
      return warn("the log probabilities exceed " + std::to_string(max_logprobs) + " bytes; the rest is left out");
    kept += kept.empty() ? "" : ",";
    kept += compacted(element.text);
  });
}

void object_answer::add_choice_logprobs(json::raw value, bool is_whole) {
  json::raw content, refusal;
  if (!read_fields(value, {{"content", &content}, {"refusal", &refusal}}))
    return;
  add_logprobs(content.is_array() ? content : refusal);
  if (!content.is_array() && !refusal.is_array() && is_whole)
    keep_logprobs(value);
  else if (!content.is_array() && !refusal.is_array() && content.text.empty())
    warn("the log probabilities came in a form that cannot be joined; they are left out");
}

void object_answer::add_part_logprobs(json::raw parts) {
  json::reader in{parts};
  in.elements([&] {
    json::raw list;
    in.fields({{"logprobs", &list}});
    add_logprobs(list);
  });
}

std::string object_answer::told_logprobs() {
  if (extra_ == nullptr)
    return {};
  if (extra_->logprobs.empty())
    return compacted(extra_->foreign_logprobs);
  return R"({"content":[)" + extra_->logprobs + "]}";
}

// Whole answers are bounded by their bytes, streamed ones by what is looked at here. Once too much has come, none of
// the sides takes more.
object_answer::side* object_answer::find_beside(int64_t index) {
  auto& sides = extra().sides;
  std::size_t bytes = 0;
  for (auto& each : sides)
    bytes += each.said.words.size();
  auto found = std::find_if(sides.begin(), sides.end(), [&](auto& x) { return x.index == index; });
  seen_.others = seen_.others || bytes > max_beside || (found == sides.end() && sides.size() == max_sides);
  return found != sides.end() && !seen_.others ? &*found : nullptr;
}

void object_answer::add_alternatives(completion& answer) {
  if (extra_ == nullptr)
    return;
  auto& sides = extra_->sides;
  std::stable_sort(sides.begin(), sides.end(), [](auto& x, auto& y) { return x.index < y.index; });
  for (auto& each : sides)
    add_alternative(each, answer);
}

// The calls are copied: those of an answer that cannot be judged are given as they came.
void object_answer::add_alternative(side& from, completion& answer) {
  auto& beside = *from.reading;
  auto& said = from.said;
  beside.say_rest(said);
  beside.conclude(false);
  completion judged;
  auto calls = beside.calls_.finish();
  auto how = ending_named(beside.reason_);
  auto problem = beside.problem_ != nullptr ? std::optional{*beside.problem_} : beside.told_failure(how);
  if (!problem)
    problem = add_calls(head_, calls, beside.id_, how.reason, beside.seen_.refusal, judged);
  auto& result = answer.alternatives.emplace_back();
  if (problem)
    for (auto& each : calls)
      result.tool_calls.push_back(std::move(each.call));
  else
    result.tool_calls = std::move(judged.tool_calls);
  result.text = std::move(said.words);
  result.reasoning = std::move(said.thoughts);
  result.refusal = std::move(said.declined);
  result.finish_reason = problem ? how.reason : judged.finish_reason;
  result.raw_finish_reason = clean_words(beside.reason_, 200);
  result.logprobs = beside.told_logprobs();
  auto name = "answer " + std::to_string(answer.alternatives.size() + 1) + ": ";
  judged.finish_reason = result.finish_reason;
  judged.raw_finish_reason = result.raw_finish_reason;
  auto is_empty = result.text.empty() && result.tool_calls.empty() && result.refusal.empty();
  judged.flaw = judge_flaw(
    result.finish_reason, beside.reason_.empty() || is_clear_end(how.reason, result.finish_reason, is_empty), is_empty);
  if (problem)
    warn(name + problem->message);
  else if (judged.flaw != answer_flaw::none)
    warn(name + flaw_text(judged));
  for (auto* list : {&judged.warnings, &beside.notes_.warnings})
    for (auto& text : *list)
      warn(name + text);
}

bool object_answer::read_error_beside(const error_marks& marks, std::string_view object) {
  auto has_failed = marks.say_failed();
  if (!has_failed && !marks.have_words())
    return false;
  auto parsed = json::parse(object);
  auto* root = std::get_if<json::value>(&parsed);
  if (root == nullptr)
    return false;
  auto made = error_beside(*root);
  if (has_failed)
    fail(error_answer(head_, &made, object));
  else if (auto found = find_error(made))
    warn(beside_warning(found->message));
  return has_failed;
}

std::string object_answer::text_of(json::raw value, unsigned depth) {
  constexpr unsigned max_depth = 4;
  std::string result, escaped;
  if (value.is_string())
    return std::string{string_in(value, escaped)};
  json::reader in{value};
  if (depth < max_depth && in.elements([&] { result += text_of(in.value(), depth + 1); }))
    return result;
  json::raw inner;
  read_fields(value, {{"content", &inner}, {"value", &inner}, {"text", &inner}});
  if (inner.text.empty() || depth == max_depth)
    miss(value);
  else
    result = text_of(inner, depth + 1);
  return result;
}

void object_answer::miss(json::raw value) {
  for (std::string_view nothing : {"", "null", "\"\"", "[]", "{}", "false"})
    if (value.text == nothing)
      return;
  warn("the answer held something that was left out, in the place of a text: " + clean_words(value.text, 100));
  seen_.doubt = true;
}

void object_answer::leave_out(std::string_view type) {
  if (!type.empty())
    warn("the answer held a part that was left out: " + clean_words(type, 100));
}

void object_answer::note_foreign(std::string_view line) {
  warn("a line of the stream was left out that is no field of an event: " + clean_words(line, 100));
  seen_.doubt = true;
}

// It is read as an answer of its own, of which nothing is handed on. Some tell usage so, or all of the answer again.
bool object_answer::take_behind(std::string_view type, std::string_view data) {
  auto other = is_over() ? nullptr : begin_other();
  if (other == nullptr)
    return false;
  piece_collector said;
  other->take_event(type, data, said);
  other->say_rest(said);
  if (!notes_.usage.last())
    notes_.usage = other->notes_.usage;
  if (other->problem_ != nullptr && !other->problem_->provider_message.empty())
    warn(beside_warning(other->problem_->provider_message));
  if (other->seen_.doubt || !is_repeated_by(*other, said))
    note_behind(data);
  return false;
}

// Of the text its size, its beginning and its end tell.
bool object_answer::is_repeated_by(const object_answer& other, const piece_collector& said) const {
  auto &here = progress_, &there = other.progress_;
  auto has_text = there.text_bytes > 0;
  auto is_same_text = here.text_bytes == there.text_bytes && here.ending == there.ending
                      && std::equal(std::begin(here.beginning), std::end(here.beginning), there.beginning);
  if ((has_text && !is_same_text) || (!said.declined.empty() && !seen_.refusal)
      || (!said.thoughts.empty() && !has_text))
    return false;
  for (std::size_t i = 0; i < other.calls_.size(); ++i) {
    auto is_it = [&, &call = other.calls_[i]](std::size_t place) {
      return calls_[place].call.name == call.call.name
             && is_same_json(calls_[place].arguments.text(), call.arguments.text());
    };
    std::size_t place = 0;
    while (place < calls_.size() && !is_it(place))
      ++place;
    if (place == calls_.size())
      return false;
  }
  return true;
}

void object_answer::note_behind(std::string_view data) {
  warn("more came behind the end of the answer, and was left out: " + clean_words(data, 100));
  seen_.doubt = seen_.end = true;
}

void object_answer::watch_growth() {
  if (growths_ == nullptr && progress_.pieces == 0 && may_grow(&piece_sink::text))
    growths_ = std::make_unique<growths>();
}

void object_answer::fail_if_doubtful(const piece_growth& growth, bool at_end) {
  if (!growth.is_doubtful())
    return;
  auto pieces = std::string{doubtful_pieces};
  fail_with(errc::invalid_response, at_end ? "nothing tells whether " + pieces + " are new, or each is all so far"
                                           : pieces + " repeat what came before them, and then do not");
}

// Once the pieces of the text are known to be new, so are those of the thoughts.
void object_answer::tell_growing(said kind, std::string_view text, piece_sink& sink) {
  if (text.empty() || !may_grow(kind))
    return tell(kind, text, sink);
  auto& growth = kind == &piece_sink::text ? growths_->text : growths_->thoughts;
  auto new_text = growth.take(text);
  progress_.signs += new_text.empty();
  tell(kind, new_text, sink);
  fail_if_doubtful(growth, false);
  if (!growths_->text.is_news())
    return;
  tell(&piece_sink::reasoning, growths_->thoughts.decide_news(), sink);
  growths_.reset();
}

// Its size and its beginning tell: that a new piece has both is as good as impossible once there were several, unless
// all of the text is the same over and over.
bool object_answer::repeats_all(json::raw raw) {
  auto beginning = std::string_view{progress_.beginning, sizeof progress_.beginning}.substr(0, progress_.text_bytes);
  if (is_growing() || progress_.texts < 2 || progress_.text_bytes < 4 || raw.text.size() < progress_.text_bytes)
    return false;
  auto text = string_in(raw, scratch_);
  if (text.size() != progress_.text_bytes || !text.starts_with(beginning) || is_repetition(text))
    return false;
  warn("the last piece of the stream repeated all before it; that is given once");
  return true;
}

// Its size, its first bytes and the last ones before the rest tell whether it goes on with what was said, of which
// nothing else is kept.
void object_answer::say_missing(std::string_view text, uint64_t from, piece_sink& sink) {
  if (growths_ != nullptr)
    tell(&piece_sink::text, growths_->text.decide_by(text), sink);
  auto said = progress_.text_bytes - from;
  auto size = static_cast<std::size_t>(std::min<uint64_t>(said, text.size()));
  uint64_t ending = 0;
  auto known = std::min(size, sizeof ending);
  for (auto c : text.substr(size - known, known))
    ending = ending << 8 | static_cast<unsigned char>(c);
  auto mask = known < sizeof ending ? (uint64_t{1} << (8 * known)) - 1 : ~uint64_t{0};
  auto goes_on = said <= text.size() && ending == (progress_.ending & mask)
                 && (from > 0 || text.starts_with({progress_.beginning, known}));
  if (!goes_on) {
    warn(versions_warning);
    seen_.doubt = true;
    return;
  }
  half_.unit = 0; // it is whole here
  tell(&piece_sink::text, text.substr(size), sink);
}

void object_answer::settle_growth(piece_sink& sink) {
  if (growths_ == nullptr || problem_ != nullptr)
    return;
  auto& [text, thoughts] = *growths_;
  tell(&piece_sink::text, text.settle(), sink);
  auto is_usual = text.expects_either();
  if (text.is_all())
    thoughts.assume_all();
  tell(&piece_sink::reasoning, thoughts.settle(), sink);
  auto is_whole = !seen_.cut && lack().empty(); // else it broke off
  if (is_whole) {
    fail_if_doubtful(text, true);
    fail_if_doubtful(thoughts, true);
  }
  if (problem_ == nullptr && !is_usual && (text.is_all() || thoughts.is_all()))
    warn(growth_warning);
}

} // namespace modelforge::wire
