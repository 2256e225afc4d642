#include "wire/json_demand.hpp"

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "wire/words.hpp"

#include <utility>
#include <variant>

namespace modelforge::wire {

namespace {

constexpr std::string_view fence = "```";

/// A filtered answer, a cut one or a call of a tool is told by its finish reason.
template <class Answer>
bool is_finished(const Answer& answer) {
  return (answer.finish_reason == finish_reason::stop || answer.finish_reason == finish_reason::unknown)
         && answer.refusal.empty() && answer.tool_calls.empty();
}

failure failure_of(const completion& answer, std::string message) {
  auto result = make_failure(errc::wrong_format, std::move(message),
                             "it was paid for: its text is in this error; ask again, with a model or a server that "
                             "enforces schemas, or take it as it is (check_json = \"warn\")");
  result.provider_request_id = answer.provider_request_id;
  result.text = answer.text;
  result.usage = answer.usage;
  result.cost = answer.cost;
  return result;
}

} // namespace

// The word behind the opening fence names a language. A closing fence may be missing where the model stopped there.
std::optional<std::string> unfenced(std::string_view text) {
  auto begin = text.find(fence);
  if (begin == text.npos)
    return {};
  auto inner = text.substr(begin + fence.size());
  while (!inner.empty() && ascii::is_alnum(inner.front()))
    inner.remove_prefix(1);
  auto end = inner.find(fence);
  if (end != inner.npos && inner.find(fence, end + fence.size()) != inner.npos)
    return {}; // several: which one is meant cannot be told
  return std::string{ascii::trim(inner.substr(0, end))};
}

std::shared_ptr<const json_demand> json_demand::of(const response_format& format, json_check usual) {
  auto check = format.check.value_or(usual);
  if (format.kind == response_kind::text || check == json_check::off)
    return {};
  std::optional<json::schema> schema;
  if (format.kind == response_kind::json_schema) {
    auto parsed = json::schema::parse(format.schema);
    if (std::holds_alternative<std::string>(parsed))
      return {};
    schema = std::move(std::get<json::schema>(parsed));
  }
  return std::shared_ptr<const json_demand>{new json_demand{std::move(schema), check}};
}

std::string json_demand::flaw_in(const json::value& found) const {
  if (!schema_)
    return found.is_object() ? "" : "is JSON, but not an object";
  auto mismatch = schema_->mismatch(found);
  return mismatch ? "does not match the schema: " + *mismatch : "";
}

// JSON in a fence is taken out only where it is JSON; else the text stays as it came.
std::string json_demand::flaw_of(std::string& text, bool& is_unwrapped) const {
  if (text.starts_with(byte_order_mark)) // says nothing, and would go where the JSON goes
    text.erase(0, byte_order_mark.size());
  auto parsed = json::parse(text);
  if (auto* found = std::get_if<json::value>(&parsed))
    return flaw_in(*found);
  if (auto inner = unfenced(text)) {
    auto again = json::parse(*inner);
    if (auto* found = std::get_if<json::value>(&again)) {
      auto flaw = flaw_in(*found);
      is_unwrapped = flaw.empty();
      if (is_unwrapped)
        text = std::move(*inner);
      return flaw;
    }
  }
  return ascii::trim(text).empty() ? "is empty" : "is not JSON: " + std::get<std::string>(parsed);
}

std::optional<failure> json_demand::judge(completion& answer) const {
  std::string first;
  auto all_wrong = true;
  auto look_at = [&](auto& one, std::size_t place) {
    if (!is_finished(one)) {
      all_wrong = false;
      return;
    }
    auto is_unwrapped = false;
    auto flaw = flaw_of(one.text, is_unwrapped);
    auto name = place == 0 ? std::string{"the answer"} : "answer " + std::to_string(place + 1);
    all_wrong = all_wrong && !flaw.empty();
    if (is_unwrapped)
      answer.warnings.push_back(name + " had its JSON in a code fence; it was taken out");
    if (flaw.empty())
      return;
    auto message = "JSON was asked for, but " + name + " " + clean_words(flaw, 300);
    if (first.empty())
      first = message;
    answer.warnings.push_back(std::move(message));
  };
  look_at(answer, 0);
  for (std::size_t i = 0; i < answer.alternatives.size(); ++i)
    look_at(answer.alternatives[i], i + 1);
  if (all_wrong && check_ == json_check::fail)
    return failure_of(answer, std::move(first));
  return {};
}

} // namespace modelforge::wire
