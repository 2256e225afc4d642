#include "wire/object_answer.hpp"

#include "wire/json.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_kept = 1 << 20; ///< Bytes of tool calls.
constexpr std::size_t most_warnings = 10;
constexpr std::string_view openai_address = "it usually ends in /v1";

std::string_view trimmed(std::string_view x) {
  return x.substr(std::min(x.find_first_not_of(" \t\r\n"), x.size()));
}

} // namespace

object_answer::object_answer(const http::response_head& head, words say) : say_(say) {
  head_.status = head.status;
  for (auto* name :
       {"x-request-id", "request-id", "apim-request-id", "retry-after-ms", "retry-after", "date", "location"})
    if (auto value = head.get(name); !value.empty())
      head_.headers.push_back({name, std::string{value}});
}

bool object_answer::take(std::string_view data, piece_sink& to) {
  if (ended_)
    return false;
  auto before = std::tuple{pieces_, signs_, is_done_, has_answer_, usage_.last()};
  json::reader in{data};
  auto is_list = in.elements([&] {
    if (auto x = in.value(); x.is_object() && !ended_)
      take_one(x.text, to);
  });
  if (!is_list)
    take_one(data, to);
  else if (!in.finish() && !ended_)
    fail(invalid_answer(head_, "broken JSON (" + clean_words(in.problem(), 200) + ")"));
  return ended_ || before != std::tuple{pieces_, signs_, is_done_, has_answer_, usage_.last()};
}

bool object_answer::take_one(std::string_view object, piece_sink& to) {
  std::string problem;
  if (read(object, to, problem))
    return true;
  if (!utf8::is_valid(object)) {
    std::string ignored;
    if (auto repaired = utf8::repair(object); read(repaired, to, ignored))
      return is_repaired_ = true;
  }
  fail(invalid_answer(head_, "broken JSON (" + clean_words(problem, 200) + ")"));
  return false;
}

void object_answer::take_late(std::string_view data) {
  json::reader in{data};
  piece_collector ignored;
  if (auto before = pieces_; in.finish() && take(data, ignored) && pieces_ > before) {
    pieces_ = before;
    is_done_ = false;
  }
}

void object_answer::fail(failure x) {
  if (problem_ != nullptr)
    return;
  problem_ = std::make_unique<failure>(std::move(x));
  ended_ = true;
}

void object_answer::fail_with(errc code, std::string message) {
  auto x = invalid_answer(head_, "");
  x.code = code;
  x.message = std::move(message);
  x.suggestion.clear();
  fail(std::move(x));
}

bool object_answer::read_error(json::raw error, std::string_view object) {
  if (!error.is_object() && (!error.is_string() || error.text == "\"\""))
    return false;
  auto parsed = json::parse(object);
  fail(error_answer(head_, std::get_if<json::value>(&parsed), object));
  return true;
}

void object_answer::say(said what, json::raw x, piece_sink& to) {
  auto text = string_in(x, scratch_);
  if (text.empty())
    return;
  ++pieces_;
  ++tokens_;
  (to.*what)(text);
}

std::string object_answer::sealed(std::string_view dialect, json::raw x) {
  auto seal = string_in(x, scratch_);
  return seal.empty() ? std::string{} : std::string{dialect}.append(":").append(seal);
}

void object_answer::say_seal(std::string_view dialect, json::raw x, piece_sink& to) {
  if (auto signature = sealed(dialect, x); !signature.empty())
    to.seal(signature);
}

void object_answer::say_call(json::raw id, json::raw name, json::raw arguments, std::string signature, piece_sink& to) {
  tool_call call;
  call.signature = std::move(signature);
  call.id = string_in(id, scratch_);
  call.name = string_in(name, scratch_);
  call.arguments = arguments.is_string() ? string_in(arguments, scratch_) : arguments.text;
  if (call.id.empty())
    call.id = made_up_id(call_names_.empty() ? id_ : call_names_, calls_.size());
  if (call.arguments.empty() || call.arguments == "null")
    call.arguments = "{}";
  if (auto parsed = json::parse(call.arguments); auto* x = std::get_if<json::value>(&parsed))
    call.arguments = to_text(*x); // on one line
  note_size(sizeof call + call.id.size() + call.name.size() + call.arguments.size() + call.signature.size());
  if (ended_)
    return;
  auto place = static_cast<uint32_t>(calls_.size());
  to.tool_call(place, call.id, call.name, call.signature);
  to.tool_arguments(place, call.arguments);
  pieces_ += 2;
  ++tokens_;
  calls_.push_back({std::move(call), false});
}

std::size_t object_answer::begin_call(json::raw id, json::raw name, piece_sink& to) {
  tool_call call;
  call.id = string_in(id, scratch_);
  call.name = string_in(name, scratch_);
  auto place = calls_.size();
  if (call.id.empty())
    call.id = made_up_id(id_, place);
  note_size(sizeof call + call.id.size() + call.name.size());
  to.tool_call(static_cast<uint32_t>(place), call.id, call.name, {});
  ++pieces_;
  ++tokens_;
  calls_.push_back({std::move(call), false});
  return place;
}

void object_answer::say_arguments(std::size_t call, std::string_view fragment, piece_sink& to) {
  note_size(fragment.size());
  if (fragment.empty() || ended_)
    return;
  calls_[call].call.arguments += fragment;
  to.tool_arguments(static_cast<uint32_t>(call), fragment);
  ++pieces_;
  ++tokens_;
}

void object_answer::note_size(std::size_t more) {
  size_ += more;
  check_calls(size_);
}

void object_answer::check_calls(std::size_t bytes) {
  if (bytes > most_kept)
    fail_with(errc::response_too_large, "the answer's tool calls exceed " + std::to_string(most_kept) + " bytes");
}

void object_answer::note(std::string& kept, json::raw x) {
  if (kept.empty())
    kept = string_in(x, scratch_);
}

void object_answer::warn(std::string text) {
  if (warnings_.size() < most_warnings && std::find(warnings_.begin(), warnings_.end(), text) == warnings_.end())
    warnings_.push_back(std::move(text));
}

failure object_answer::fitted(failure x) const {
  if (auto at = x.suggestion.find(openai_address); at != x.suggestion.npos)
    x.suggestion.replace(at, openai_address.size(), say_.usual_address);
  return x;
}

std::variant<completion, failure> object_answer::end(bool streamed) {
  if (problem_ != nullptr)
    return fitted(std::move(*problem_));
  if (streamed && !is_done_)
    return fitted(broken_off(head_, pieces_, ", before its end mark"));
  if (!has_answer_)
    return fitted(invalid_answer(head_, std::string{say_.no_answer}));
  completion x;
  x.raw_finish_reason = clean_words(reason_, 200);
  if (auto problem = add_calls(head_, std::move(calls_), id_, meaning(), is_refused_, x))
    return fitted(std::move(*problem));
  x.usage = usage_.last();
  x.model = std::move(model_);
  x.provider_request_id = request_id_in(head_);
  if (x.provider_request_id.empty())
    x.provider_request_id = clean_words(id_, 200);
  if (x.raw_finish_reason.empty())
    warn("the provider named no finish reason");
  if (has_others_)
    warn(choices_warning("several"));
  if (is_repaired_)
    warn(repaired_warning);
  if (usage_.is_odd())
    warn(usage_warning);
  x.warnings.insert(x.warnings.end(), std::make_move_iterator(warnings_.begin()),
                    std::make_move_iterator(warnings_.end()));
  return x;
}

std::variant<completion, failure> read_whole(object_answer& x, std::string_view body) {
  auto text = trimmed(body);
  auto& head = x.head();
  if (head.status < 200 || head.status >= 300) {
    auto parsed = json::parse(utf8::is_valid(text) ? std::string{text} : utf8::repair(text));
    return x.fitted(error_answer(head, std::get_if<json::value>(&parsed), text));
  }
  if (!text.starts_with('{') && !text.starts_with('['))
    return x.fitted(invalid_answer(head, describe_body(text)));
  piece_collector to;
  x.take(text, to);
  auto result = x.end(false);
  if (auto* good = std::get_if<completion>(&result)) {
    good->text = std::move(to.words);
    good->reasoning = std::move(to.thoughts);
    good->refusal = std::move(to.declined);
  }
  return result;
}

} // namespace modelforge::wire
