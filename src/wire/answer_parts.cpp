#include "wire/answer_parts.hpp"

#include "base/ascii.hpp"
#include "wire/finish.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

namespace {

/// Tool calls count by their presence, since servers disagree on the word; but calls that were cut stay cut.
finish_reason judge_reason(finish_reason reason, bool calls, bool refused) {
  switch (reason) {
    case finish_reason::unknown:
    case finish_reason::stop:
    case finish_reason::tool_calls:
      if (calls)
        return finish_reason::tool_calls;
      if (refused)
        return finish_reason::refusal;
      return reason == finish_reason::tool_calls ? finish_reason::unknown : reason; // nobody knows what is missing
    default:
      return reason;
  }
}

/// Says why a text is no JSON object; empty if it is one.
std::string why_no_object(std::string_view text) {
  json::reader in{text};
  auto value = in.value();
  if (!in.finish())
    return in.problem();
  return value.is_object() ? "" : "another kind of JSON";
}

/// Says what is wrong with a call; empty where nothing is.
std::string flaw_in(const called_tool& called) {
  auto& [call, takes_text, contradicts, other] = called;
  if (call.name.empty())
    return "a call that names no tool";
  auto tool = "a call of the tool " + clean_words(call.name, 100);
  if (call.arguments.empty() && !other.empty())
    return tool + " without arguments, but with something that is not known: " + clean_words(other, 100);
  if (contradicts)
    return tool + " whose arguments were told in two versions";
  if (auto why = takes_text ? "" : why_no_object(call.arguments); !why.empty())
    return tool + " whose arguments are no JSON object (" + why + ")";
  return "";
}

/// A call of which nothing came but, perhaps, an id.
bool is_blank(const called_tool& called) {
  return called.call.name.empty() && called.call.arguments.empty() && called.other.empty();
}

/// How many calls there are: the last ones that are blank are none where nothing else tells of them. Servers begin
/// calls that never come, and fill places that stay empty.
std::size_t count_calls(const std::vector<called_tool>& calls, finish_reason told) {
  auto count = calls.size();
  while (told != finish_reason::tool_calls && count > 0 && is_blank(calls[count - 1]))
    --count;
  return count;
}

} // namespace

std::string made_up_id(std::string_view answer_id, std::size_t place) {
  return "call_" + std::string{answer_id} + "_" + std::to_string(place);
}

std::optional<failure> add_calls(const http::response_head& head, std::vector<called_tool> calls,
                                 std::string_view answer_id, finish_reason told, bool refused, completion& answer) {
  auto count = count_calls(calls, told);
  if (std::any_of(calls.begin() + static_cast<std::ptrdiff_t>(count), calls.end(),
                  [](auto& blank) { return !blank.call.id.empty(); }))
    answer.warnings.emplace_back("the answer began a call of a tool, and did not go on with it; it is left out");
  calls.resize(count);
  answer.finish_reason = judge_reason(told, !calls.empty(), refused);
  if (told == finish_reason::tool_calls && calls.empty())
    answer.warnings.emplace_back("the finish reason tells of tool calls, and there is none");
  auto cut = judge_flaw(answer.finish_reason, true, false) != answer_flaw::none;
  for (auto& called : calls) {
    auto& call = called.call;
    if (call.id.empty())
      call.id = made_up_id(answer_id, answer.tool_calls.size());
    if (call.arguments.empty() && called.other.empty())
      call.arguments = "{}";
    if (auto flaw = flaw_in(called); !flaw.empty()) {
      if (!cut) {
        auto problem = invalid_answer(head, flaw);
        problem.suggestion = "ask again; a strict schema or a lower temperature may help";
        return problem;
      }
      answer.warnings.push_back("the answer was cut and holds " + flaw);
      call.arguments = call.arguments.empty() ? "{}" : std::move(call.arguments);
    }
    answer.tool_calls.push_back(std::move(call));
  }
  return {};
}

// A number out of range is remembered as told wrongly, so that a warning can say so, but its value is never used.
void told_tokens::take(std::optional<uint64_t> count) {
  is_too_large_ = count && *count > max_input_tokens;
  is_told_ = count && !is_too_large_;
  value_ = is_told_ ? *count : 0;
}

told_tokens& told_tokens::operator+=(const told_tokens& usage) {
  value_ += usage.value_; // a few summands of bounded size
  is_told_ = is_told_ || usage.is_told_;
  is_too_large_ = is_too_large_ || usage.is_too_large_;
  return *this;
}

told_tokens told_tokens::at_most(uint64_t most) const {
  auto result = *this;
  result.is_too_large_ = is_too_large_ || value_ > most;
  if (result.is_too_large_) {
    result.is_told_ = false;
    result.value_ = 0;
  }
  return result;
}

// Parts are cut to their whole, since servers may round them apart; sums over requests rely on it.
std::optional<token_usage> usage_of(const told_usage& told) {
  auto input = told.input.at_most(max_input_tokens);
  auto output = told.output.at_most(max_output_tokens);
  if (!input.is_told() && !output.is_told())
    return {};
  token_usage result;
  result.input = input.value();
  result.output = output.value();
  result.cached_read = std::min(told.cached.value(), result.input);
  result.cache_written = std::min(told.cache_written.value(), result.input);
  result.reasoning = std::min(told.reasoning.value(), result.output);
  return result;
}

bool is_odd(const told_usage& usage) {
  return usage.input.at_most(max_input_tokens).is_too_large() || usage.output.at_most(max_output_tokens).is_too_large();
}

void noted_usage::note(const told_usage& usage, uint64_t& tokens) {
  auto told = usage_of(usage);
  auto odd = wire::is_odd(usage);
  if (!told && !odd)
    return;
  if (told && last_ && told->input == 0 && told->output == 0 && !odd) // a last chunk with nothing but zeros
    return;
  last_ = told;
  is_odd_ = odd;
  if (told)
    tokens = std::max(tokens, told->output);
}

failure broken_off(const http::response_head& head, uint64_t pieces, std::string_view ending,
                   std::string_view beginning) {
  auto result = invalid_answer(head, "");
  result.message = "the stream broke off ";
  result.suggestion.clear();
  if (pieces == 0) {
    result.message += "before its first piece";
    if (!beginning.empty())
      result.message += "; it begins " + clean_words(beginning, 100);
    return result;
  }
  result.code = errc::stream_interrupted;
  result.message += "after " + std::to_string(pieces) + (pieces == 1 ? " piece" : " pieces") + std::string{ending};
  return result;
}

namespace {

/// The member that holds a list of models: of the name that is usual there, or that is usual elsewhere; the first that
/// is not empty. One that is null is an empty list, as Go writes it. Null: there is none.
const json::value* list_in(const json::value& root, std::string_view usual) {
  if (root.is_array())
    return &root;
  const json::value* found = nullptr;
  for (auto name : {usual, std::string_view{"data"}, std::string_view{"models"}, std::string_view{"result"}}) {
    auto& list = member(root, name);
    auto is_none = list.is_null() && root.is_object() && root.contains(name);
    auto* here = list.is_array() || is_none ? &list : list.is_object() ? list_in(list, usual) : nullptr;
    if (here != nullptr && !here->empty())
      return here;
    if (found == nullptr)
      found = here;
  }
  return found;
}

/// A model's name: the entry itself, or the member that says it.
std::string_view model_name(const json::value& entry, std::string_view usual) {
  auto text = string_in(entry);
  for (auto name : {usual, std::string_view{"id"}, std::string_view{"name"}, std::string_view{"model"}})
    if (text.empty())
      text = string_in(member(entry, name));
  return text;
}

/// Whether what stands beside a list says that it is none, or not all of it.
bool tells_failure_beside(const json::value& root, bool is_empty) {
  auto& success = member(root, "success");
  auto has_failed = is_empty || success == false || ascii::iequals(string_in(success), "false");
  return tells_error(member(root, "error")) || (has_failed && tells_error(member(root, "errors")));
}

} // namespace

// What holds a list is one, unless an error stands beside it; remarks (`errors`) count where there is no more than
// that.
std::variant<model_list, failure> read_names(const http::response_head& head, std::string_view body,
                                             std::string_view list, std::string_view name) {
  auto parsed = json::parse(utf8::is_valid(body) ? std::string{body} : utf8::repair(body));
  auto* root = std::get_if<json::value>(&parsed);
  if (head.status < 200 || head.status >= 300)
    return error_answer(head, root, body);
  if (root == nullptr)
    return invalid_body(head, body);
  auto* entries = list_in(*root, list);
  if (entries != nullptr && tells_failure_beside(*root, entries->empty()))
    return error_answer(head, root, body);
  if (entries == nullptr)
    return find_error(*root) ? error_answer(head, root, body) : invalid_answer(head, "JSON without a list of models");
  model_list result;
  for (auto& entry : *entries)
    if (auto text = model_name(entry, name); !text.empty())
      result.models.emplace_back(text);
  if (result.models.empty() && !entries->empty())
    return invalid_answer(head, "a list of models without names");
  return result;
}

std::string compacted(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = text[i];
    auto is_word = c == 'N' || c == 'I' || (c == '-' && text.substr(i + 1, 1) == "I");
    if (c == '"') {
      auto end = i + 1;
      while (end < text.size() && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
      result += text.substr(i, end - i + 1);
      i = end;
    } else if (is_word) {
      result += "null";
      while (i + 1 < text.size() && ascii::is_alnum(text[i + 1]))
        ++i;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      result += c;
    }
  }
  return result;
}

} // namespace modelforge::wire
