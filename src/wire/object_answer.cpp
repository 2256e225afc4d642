#include "wire/object_answer.hpp"

#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/json.hpp"
#include "wire/object_gatherer.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace modelforge::wire {

namespace {

/// Enough to tell what happened; a stream of odd parts must not grow the answer without bound.
constexpr std::size_t max_warnings = 10;
constexpr std::size_t usual_text = 512; ///< Bytes of one piece.
/// The words of `error_answer` that `fitted` replaces for other vendors.
constexpr std::string_view openai_address = "it usually ends in /v1";

/// Whether an object may be an error: by a part of one of the names that errors have. Spares most from being parsed.
bool speaks_of_error(std::string_view object) {
  static constexpr auto parts =
    std::to_array<std::string_view>({"rror", "RROR", "essage", "msg", "detail", "ault", "base_resp", "statusCode"});
  return std::any_of(parts.begin(), parts.end(), [&](auto x) { return object.find(x) != object.npos; });
}

/// Whether events of that name are errors, in every dialect.
bool names_error(std::string_view event) {
  return event == "error" || event == "exception" || event.ends_with(".error") || event.ends_with("_error");
}

} // namespace

// A stream may live for minutes: only the headers that failures and waits are read from are kept.
object_answer::object_answer(const http::response_head& head, const wording& words) : words_(words) {
  head_.status = head.status;
  head_.route = head.route;
  static constexpr auto names = std::to_array<std::string_view>(
    {"x-request-id", "request-id", "apim-request-id", "retry-after-ms", "x-ms-retry-after-ms", "retry-after",
     "llm_provider-retry-after-ms", "llm_provider-retry-after", "date", "location"});
  for (auto name : names)
    if (auto value = head.get(name); !value.empty())
      head_.headers.push_back({std::string{name}, std::string{value}});
}

// News is whatever changed: a piece, a sign of life, an end mark, a reason, usage. Callers use it to tell a stream that
// works from one that only keeps its connection open. What brings none may be an error in a form that `read` does not
// look for.
bool object_answer::take(std::string_view data, piece_sink& sink) {
  if (ended())
    return take_behind(event_name(), data);
  auto state = [this] {
    return std::tuple{progress_.pieces, progress_.signs, seen_.end_mark,
                      seen_.answer,     reason_.empty(), notes_.usage.last()};
  };
  auto before = state();
  std::size_t count = 0, others = 0;
  auto numbers = data.starts_with('[') && !json::reader{data}.finish() ? json::without_odd_numbers(data) : std::nullopt;
  if (numbers) {
    warn(odd_numbers_warning);
    data = *numbers;
  }
  if (data.starts_with('['))
    watch_growth();
  json::reader in{data};
  auto is_list = in.elements([&] {
    auto element = in.value();
    if (element.is_object() && !seen_.end) {
      take_one(element.text, sink);
      ++count;
    } else if (!element.is_object() && element.text != "null" && !begins_done(element.text)) {
      miss(element);
      ++others;
    }
  });
  seen_.parts = seen_.parts || count > 1;
  if (!is_list)
    take_one(data, sink);
  else if (!in.finish() && !seen_.end)
    fail_broken(in.problem());
  if (count > 0 && others > 0 && !has_end())
    fail_with(errc::invalid_response, "the provider sent something among the objects of the answer that is none");
  if (!seen_.end && before == state() && may_be_error() && speaks_of_error(data))
    read_any_error(data);
  return seen_.end || before != state();
}

bool object_answer::take_open_event(std::string_view type, std::string_view data, piece_sink& sink) {
  if (names_error(type)) {
    if (json::reader{data}.finish())
      take(data, sink);
    if (!seen_.end)
      read_error_event(data);
    return true;
  }
  data = ascii::trim(data);
  if (data.empty() || begins_done(data) || (!knows(type) && !is_row(data)))
    return false;
  event_name_ = &type;
  auto is_news = take(data, sink);
  event_name_ = nullptr;
  return is_news;
}

// Repairing costs a copy, and looking for several objects in place of one costs time, so both are tried only after a
// plain read has failed; what was said by then is nothing, as `read` promises. What is no object says nothing, but may
// be a text.
void object_answer::take_one(std::string_view object, piece_sink& sink) {
  if (seen_.closed) {
    take_behind(event_name(), object);
    return;
  }
  if (!object.starts_with('{')) {
    json::reader in{object};
    if (auto value = in.value(); in.finish() && !value.is_object())
      return miss(value);
  }
  auto pieces = progress_.pieces;
  auto calls = calls_.size();
  auto had_reason = !reason_.empty();
  auto was_complete = seen_.complete;
  each_growth([](auto& growth) { growth.begin_object(); });
  calls_.begin_object();
  std::string problem;
  if (!read(object, sink, problem) && !take_repaired(object, sink) && !take_row(object, sink))
    fail_broken(problem);
  auto has_more = progress_.pieces > pieces || calls_.size() > calls;
  seen_.past_reason = seen_.past_reason || (had_reason && has_more);
  if (was_complete && has_more && !may_go_on())
    fail_behind_end();
}

bool object_answer::take_repaired(std::string_view object, piece_sink& sink) {
  std::string repaired, ignored;
  if (!utf8::is_valid(object)) {
    object = repaired = utf8::repair(object);
    if (read(object, sink, ignored))
      return seen_.repairs = true;
  }
  std::string escaped;
  if (auto found = json::with_escaped_controls(object)) {
    object = escaped = std::move(*found);
    if (read(object, sink, ignored))
      return true;
  }
  auto numbers = json::without_odd_numbers(object);
  if (!numbers || !read(*numbers, sink, ignored))
    return false;
  warn(odd_numbers_warning);
  return true;
}

/// Takes objects that stand one behind the other where one is usual, up to OpenAI's end mark.
bool object_answer::take_row(std::string_view objects, piece_sink& sink) {
  auto size = objects.size();
  auto first = take_from_row(objects);
  if (first.empty() || first.size() == size)
    return false;
  seen_.parts = true;
  watch_growth();
  for (auto object = first; !object.empty() && !seen_.end; object = take_from_row(objects)) {
    if (begins_done(object))
      take_event({}, object, sink); // with all behind it
    else
      take_one(object, sink);
    if (objects.empty())
      return true;
  }
  return seen_.end; // else the rest is none
}

bool object_answer::is_whole(std::string_view type, std::string_view data) const {
  return type == "error" || is_row(data);
}

bool object_answer::counts(std::string_view type, std::string_view data) const {
  data = ascii::trim(data);
  if (data.empty() || ascii::istarts_with(done_mark, data))
    return false;
  return knows(type) || data.starts_with('{') || data.starts_with('[');
}

void object_answer::fail(failure problem) {
  if (problem_ != nullptr)
    return;
  problem_ = std::make_unique<failure>(std::move(problem));
  seen_.end = true;
}

// Behind what was understood it is no question of the address.
void object_answer::fail_broken(std::string_view problem) {
  if (progress_.pieces > 0)
    fail_with(errc::invalid_response, "the stream holds broken JSON (" + clean_words(problem, 200) + ")");
  else
    fail(broken_json(head_, problem));
}

void object_answer::fail_with(errc code, std::string message) {
  auto failed = invalid_answer(head_, "");
  failed.code = code;
  failed.message = std::move(message);
  failed.suggestion.clear();
  fail(std::move(failed));
}

void object_answer::fail_behind_end() {
  fail_with(errc::invalid_response, "the provider sent more behind the whole answer");
}

stream_end object_answer::end_so_far() const {
  if (ended() || (seen_.complete && (seen_.sure_end || !may_go_on())))
    return stream_end::sure;
  return seen_.answer && lack().empty() ? stream_end::likely : stream_end::open;
}

bool object_answer::read_error(json::raw error, std::string_view object) {
  if (!tells_error(error))
    return false;
  auto parsed = json::parse(object);
  fail(error_answer(head_, std::get_if<json::value>(&parsed), object));
  return true;
}

bool object_answer::read_any_error(std::string_view object) {
  auto parsed = json::parse(object);
  auto* root = std::get_if<json::value>(&parsed);
  if (root == nullptr || !find_error(*root))
    return false;
  fail(error_answer(head_, root, object));
  return true;
}

void object_answer::read_error_event(std::string_view data) {
  if (read_any_error(data))
    return;
  auto parsed = json::parse(data);
  auto* root = std::get_if<json::value>(&parsed);
  json::value made = {{"error", root != nullptr && root->is_string() ? string_in(*root) : data}};
  fail(error_answer(head_, &made, data));
}

void object_answer::say(said kind, std::string_view text, piece_sink& sink) {
  if (half_.unit != 0 && !text.empty()) [[unlikely]]
    say_half(sink);
  hand_on(kind, text, sink);
}

std::string_view object_answer::say(said kind, json::raw raw, piece_sink& sink) {
  if (!raw.has_text())
    return {};
  if (half_.unit != 0 && half_.kind != kind)
    say_half(sink);
  half_.kind = kind;
  auto text = string_in(raw, scratch_, half_.unit);
  hand_on(kind, text, sink);
  return text;
}

void object_answer::say_texts(said kind, json::raw value, piece_sink& sink) {
  if (value.is_string())
    say(kind, value, sink);
  else if (!value.is_array() && !value.is_object())
    miss(value);
  for_each_in(value, [&](json::reader& in) {
    auto element = in.value(), text = element;
    read_fields(element, {{"text", &text}});
    if (text.is_string())
      say(kind, text, sink);
    else if (!element.is_object() || text.text != element.text) // else it may be a call
      say(kind, std::string_view{text_of(text)}, sink);
  });
}

void object_answer::hand_on(said kind, std::string_view text, piece_sink& sink) {
  if (growths_ != nullptr) [[unlikely]]
    tell_growing(kind, text, sink);
  else
    tell(kind, text, sink);
}

void object_answer::tell(said kind, std::string_view text, piece_sink& sink) {
  if (text.empty())
    return;
  ++progress_.pieces;
  ++progress_.tokens;
  if (kind != &piece_sink::text) {
    progress_.thoughts += kind == &piece_sink::reasoning;
  } else {
    if (progress_.text_bytes < sizeof progress_.beginning)
      text.copy(progress_.beginning + progress_.text_bytes, sizeof progress_.beginning - progress_.text_bytes);
    for (auto c : text.substr(text.size() - std::min(text.size(), sizeof progress_.ending)))
      progress_.ending = progress_.ending << 8 | static_cast<unsigned char>(c);
    ++progress_.texts;
    progress_.text_bytes += text.size();
  }
  (sink.*kind)(text);
}

void object_answer::say_half(piece_sink& sink) {
  half_.unit = 0;
  hand_on(half_.kind, utf8::replacement, sink);
}

void object_answer::say_rest(piece_sink& sink) {
  if (half_.unit != 0)
    say_half(sink);
  if (calls_.size() > 0)
    progress_.pieces += calls_.settle_all(id_, sink);
}

// The dialect's name goes before the seal, so that no provider is ever sent a seal of another's.
std::string object_answer::sealed(std::string_view dialect, json::raw raw) {
  auto seal = string_in(raw, scratch_);
  return seal.empty() ? std::string{} : std::string{dialect}.append(":").append(seal);
}

void object_answer::say_seal(std::string_view dialect, json::raw raw, piece_sink& sink) {
  if (auto signature = sealed(dialect, raw); !signature.empty())
    sink.seal(signature);
}

// A failure, a cut or a block is not undone by a milder word behind it, as gateways add one of their own.
bool object_answer::note_reason(json::raw raw) {
  if (raw.text.empty() || raw.text == "null")
    return false;
  auto word = reason_word_in(raw, scratch_);
  if (is_no_reason(word))
    return false;
  if (reason_.empty() || !is_bad(ending_named(reason_)) || is_bad(ending_named(word)))
    reason_ = clean_words(word, 200);
  return true;
}

bool object_answer::note_first_reason(std::initializer_list<json::raw> places) {
  return std::any_of(places.begin(), places.end(), [this](auto place) { return note_reason(place); });
}

void object_answer::note_bad_reason(json::raw raw) {
  if (!raw.has_text())
    return;
  auto word = string_in(raw, scratch_);
  if (is_bad(ending_named(word)) || ascii::iequals(word, "incomplete"))
    note_reason(raw);
}

void object_answer::note_explanation(json::raw raw) {
  if (auto words = string_in(raw, scratch_); !words.empty())
    notes_.explanation = std::make_unique<std::string>(clean_words(words, 500));
}

void object_answer::note(std::string& kept, json::raw raw) {
  if (kept.empty())
    kept = string_in(raw, scratch_);
}

void object_answer::warn(std::string text) {
  if (notes_.warnings.size() < max_warnings
      && std::find(notes_.warnings.begin(), notes_.warnings.end(), text) == notes_.warnings.end())
    notes_.warnings.push_back(std::move(text));
}

void object_answer::shrink() {
  if (scratch_.capacity() > usual_text)
    scratch_ = {};
}

failure object_answer::fitted(failure problem) const {
  if (auto found = problem.suggestion.find(openai_address); found != problem.suggestion.npos)
    problem.suggestion.replace(found, openai_address.size(), words_.usual_address);
  return problem;
}

/// A blocked prompt's word says why, not how it ended.
ending object_answer::told_end() const {
  return seen_.blocked ? ending{finish_reason::content_filter} : ending_named(reason_);
}

/// The failure that the end tells of, if it does.
std::optional<failure> object_answer::told_failure(const ending& how) const {
  if (how.failed == errc::none || (how.if_empty && !holds_nothing()))
    return {};
  return broken_by_provider(head_, how, reason_, notes_.explanation ? std::string_view{*notes_.explanation} : "");
}

// What is all unknown and has come to its end is the answer of another API.
failure object_answer::no_answer_in(std::string_view beginning, bool is_all) const {
  auto description = std::string{no_answer()};
  if (!beginning.empty())
    description +=
      (is_all && !is_understood() ? "; " + std::string{unknown_words} + ", and it begins " : "; it begins ")
      + clean_words(beginning, 100);
  auto result = invalid_answer(head_, std::move(description));
  if (will_come_again(result))
    result.suggestion += "; or does it take another `kind` of provider?";
  return fitted(std::move(result));
}

// In order of certainty: an error that was told, in words or by a finish reason; a body of something else, a stream
// that broke off, an answer that holds none; only then is there a completion to put together.
std::variant<completion, failure> object_answer::end(bool streamed, std::string_view beginning, piece_sink& sink) {
  settle_growth(sink);
  if (problem_ != nullptr)
    return fitted(std::move(*problem_));
  auto how = told_end();
  if (auto told = told_failure(how))
    return fitted(std::move(*told));
  if (!beginning.empty() && !is_understood())
    return no_answer_in(beginning, !streamed || seen_.whole_body);
  streamed = streamed || seen_.parts;
  auto lacks = !streamed ? std::string_view{} : seen_.cut && !has_end() ? ", in the middle of an event" : lack();
  if (!lacks.empty())
    return fitted(broken_off(head_, progress_.pieces, lacks, beginning));
  if (!seen_.answer)
    return no_answer_in(beginning, false);
  say_rest(sink);
  conclude(streamed);
  if (problem_ != nullptr)
    return fitted(std::move(*problem_));
  completion result;
  if (auto problem = add_calls(head_, calls_.finish(), id_, how.reason, seen_.refusal, result))
    return fitted(std::move(*problem));
  auto is_empty = holds_nothing() && result.tool_calls.empty();
  result.flaw =
    judge_flaw(result.finish_reason,
               !seen_.doubt && (reason_.empty() || is_clear_end(how.reason, result.finish_reason, is_empty)), is_empty);
  result.usage = notes_.usage.last();
  result.logprobs = told_logprobs();
  add_alternatives(result);
  result.model = std::move(model_);
  result.provider_request_id = request_id_in(head_, id_);
  if (reason_.empty())
    warn("the provider named no finish reason");
  result.raw_finish_reason = std::move(reason_);
  if (streamed && !seen_.end_mark)
    warn("the stream ended without its end mark, but with a finish reason");
  if (notes_.explanation)
    warn("the provider says: " + *notes_.explanation);
  if (seen_.others)
    warn(choices_warning);
  if (seen_.repairs)
    warn(repaired_warning);
  if (notes_.usage.is_odd())
    warn(usage_warning);
  result.warnings.insert(result.warnings.end(), std::make_move_iterator(notes_.warnings.begin()),
                         std::make_move_iterator(notes_.warnings.end()));
  return result;
}

} // namespace modelforge::wire
