#include "wire/object_answer.hpp"

#include "base/ascii.hpp"
#include "wire/json.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t max_kept = 1 << 20; ///< Bytes of tool calls.
/// Enough to tell what happened; a stream of odd parts must not grow the answer without bound.
constexpr std::size_t max_warnings = 10;
constexpr std::size_t usual_text = 512; ///< Bytes of one piece.
/// The words of `error_answer` that `fitted` replaces for other vendors.
constexpr std::string_view openai_address = "it usually ends in /v1";

} // namespace

// A stream may live for minutes: only the headers that failures and waits are read from are kept.
object_answer::object_answer(const http::response_head& head, const wording& words) : words_(words) {
  head_.status = head.status;
  for (auto* name :
       {"x-request-id", "request-id", "apim-request-id", "retry-after-ms", "retry-after", "date", "location"})
    if (auto value = head.get(name); !value.empty())
      head_.headers.push_back({name, std::string{value}});
}

// News is whatever changed: a piece, a sign of life, an end mark, a reason, usage. Callers use it to tell a stream that
// works from one that only keeps its connection open.
bool object_answer::take(std::string_view data, piece_sink& sink) {
  if (seen_.end)
    return false;
  auto state = [this] {
    return std::tuple{progress_.pieces, progress_.signs, seen_.end_mark, seen_.answer, reason_.empty(), usage_.last()};
  };
  auto before = state();
  json::reader in{data};
  auto is_list = in.elements([&] {
    if (auto element = in.value(); element.is_object() && !seen_.end)
      take_one(element.text, sink);
  });
  if (!is_list)
    take_one(data, sink);
  else if (!in.finish() && !seen_.end)
    fail_broken(in.problem());
  return seen_.end || before != state();
}

bool object_answer::take_event(std::string_view type, std::string_view data, piece_sink& sink) {
  auto is_ours = knows(type) && !ascii::trim_front(data).empty() && !data.starts_with("[DONE]");
  return is_ours && take(data, sink);
}

// Repairing costs a copy, so it is tried only after a plain read has failed; what was said by then is nothing, as
// `read` promises.
bool object_answer::take_one(std::string_view object, piece_sink& sink) {
  std::string problem;
  if (read(object, sink, problem))
    return true;
  if (!utf8::is_valid(object)) {
    std::string ignored;
    if (auto repaired = utf8::repair(object); read(repaired, sink, ignored))
      return seen_.repairs = true;
  }
  fail_broken(problem);
  return false;
}

bool object_answer::is_whole(std::string_view, std::string_view data) const {
  return json::reader{data}.finish();
}

// An event without its empty line may have been cut anywhere, but if its data is whole JSON it counts, except that text
// can no longer be handed on: then the end it announces is not trusted either.
void object_answer::take_late(std::string_view type, std::string_view data) {
  piece_collector ignored;
  if (auto before = progress_.pieces;
      is_whole(type, data) && take_event(type, data, ignored) && progress_.pieces > before) {
    progress_.pieces = before;
    forget_end();
  }
}

void object_answer::fail(failure problem) {
  if (problem_ != nullptr)
    return;
  problem_ = std::make_unique<failure>(std::move(problem));
  seen_.end = true;
}

void object_answer::fail_broken(std::string_view problem) {
  fail(invalid_answer(head_, "broken JSON (" + clean_words(problem, 200) + ")"));
}

void object_answer::fail_with(errc code, std::string message) {
  auto failed = invalid_answer(head_, "");
  failed.code = code;
  failed.message = std::move(message);
  failed.suggestion.clear();
  fail(std::move(failed));
}

bool object_answer::read_error(json::raw error, std::string_view object) {
  if (!error.is_object() && (!error.is_string() || error.text == "\"\""))
    return false;
  auto parsed = json::parse(object);
  fail(error_answer(head_, std::get_if<json::value>(&parsed), object));
  return true;
}

void object_answer::say(said kind, std::string_view text, piece_sink& sink) {
  if (half_ != 0 && !text.empty()) [[unlikely]]
    say_half(sink);
  hand_on(kind, text, sink);
}

std::string_view object_answer::say(said kind, json::raw raw, piece_sink& sink) {
  if (!raw.has_text())
    return {};
  if (half_ != 0 && half_kind_ != kind)
    say_half(sink);
  half_kind_ = kind;
  auto text = string_in(raw, scratch_, half_);
  hand_on(kind, text, sink);
  return text;
}

void object_answer::hand_on(said kind, std::string_view text, piece_sink& sink) {
  if (text.empty())
    return;
  ++progress_.pieces;
  ++progress_.tokens;
  (sink.*kind)(text);
}

void object_answer::say_half(piece_sink& sink) {
  half_ = 0;
  hand_on(half_kind_, utf8::replacement, sink);
}

void object_answer::say_rest(piece_sink& sink) {
  if (half_ != 0)
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

void object_answer::say_call(json::raw id, json::raw name, json::raw arguments, std::string signature,
                             std::string_view id_source, piece_sink& sink) {
  auto place = calls_.begin();
  calls_.set_id(place, string_in(id, scratch_));
  calls_.set_name(place, std::string{string_in(name, scratch_)});
  calls_.set_signature(place, std::move(signature));
  auto pieces = calls_.tell(place, id_source, sink);
  pieces += calls_.add(place, arguments, id_source, scratch_, sink);
  pieces += calls_.settle(place, id_source, sink);
  pieces += calls_.say_none(place, id_source, sink);
  count_call_pieces(pieces);
}

std::size_t object_answer::begin_call(json::raw id, json::raw name, piece_sink& sink) {
  auto place = calls_.begin();
  calls_.set_id(place, string_in(id, scratch_));
  calls_.set_name(place, std::string{string_in(name, scratch_)});
  count_call_pieces(calls_.tell(place, id_, sink));
  return place;
}

void object_answer::say_arguments(std::size_t call, json::raw fragment, piece_sink& sink) {
  if (!seen_.end)
    count_call_pieces(calls_.add(call, fragment, id_, scratch_, sink));
}

void object_answer::end_call(std::size_t call, piece_sink& sink) {
  if (seen_.end)
    return;
  auto pieces = calls_.settle(call, id_, sink);
  count_call_pieces(pieces + calls_.say_none(call, id_, sink));
}

void object_answer::count_call_pieces(uint64_t pieces) {
  progress_.pieces += pieces;
  progress_.tokens += pieces > 0;
  if (calls_.bytes() > max_kept)
    fail_with(errc::response_too_large, "the answer's tool calls exceed " + std::to_string(max_kept) + " bytes");
}

void object_answer::note(std::string& kept, json::raw raw) {
  if (kept.empty())
    kept = string_in(raw, scratch_);
}

void object_answer::warn(std::string text) {
  if (warnings_.size() < max_warnings && std::find(warnings_.begin(), warnings_.end(), text) == warnings_.end())
    warnings_.push_back(std::move(text));
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

// In order of certainty: an error that was told, a stream that broke off, an answer that holds none; only then is there
// a completion to put together.
std::variant<completion, failure> object_answer::end(bool streamed) {
  if (problem_ != nullptr)
    return fitted(std::move(*problem_));
  if (auto lacks = streamed ? lack() : std::string_view{}; !lacks.empty())
    return fitted(broken_off(head_, progress_.pieces, lacks));
  if (!seen_.answer)
    return fitted(invalid_answer(head_, std::string{no_answer()}));
  conclude(streamed);
  if (problem_ != nullptr)
    return fitted(std::move(*problem_));
  completion result;
  result.raw_finish_reason = clean_words(reason_, 200);
  if (auto problem = add_calls(head_, calls_.finish(), id_, meaning(), seen_.refusal, result))
    return fitted(std::move(*problem));
  result.usage = usage_.last();
  result.model = std::move(model_);
  result.provider_request_id = request_id_in(head_, id_);
  if (result.raw_finish_reason.empty() && (streamed || words_.whole_needs_reason))
    warn("the provider named no finish reason");
  if (seen_.others)
    warn(choices_warning("several"));
  if (seen_.repairs)
    warn(repaired_warning);
  if (usage_.is_odd())
    warn(usage_warning);
  result.warnings.insert(result.warnings.end(), std::make_move_iterator(warnings_.begin()),
                         std::make_move_iterator(warnings_.end()));
  return result;
}

// An error status is never read as an answer, whatever its body looks like; and a body that begins with neither bracket
// is described, not parsed.
std::variant<completion, failure> read_whole(object_answer& answer, std::string_view body) {
  auto text = ascii::trim_front(body);
  auto& head = answer.head();
  if (head.status < 200 || head.status >= 300) {
    auto parsed = json::parse(utf8::is_valid(text) ? std::string{text} : utf8::repair(text));
    return answer.fitted(error_answer(head, std::get_if<json::value>(&parsed), text));
  }
  if (!text.starts_with('{') && !text.starts_with('['))
    return answer.fitted(invalid_answer(head, describe_body(text)));
  piece_collector sink;
  answer.take(text, sink);
  auto result = answer.end(false);
  if (auto* good = std::get_if<completion>(&result)) {
    good->text = std::move(sink.words);
    good->reasoning = std::move(sink.thoughts);
    good->refusal = std::move(sink.declined);
  }
  return result;
}

} // namespace modelforge::wire
