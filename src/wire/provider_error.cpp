#include "wire/provider_error.hpp"

#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/json.hpp"
#include "wire/times.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace modelforge::wire {

namespace {

/// Errors in errors are followed so far, and no more members, entries and bytes are looked at: what an honest error
/// has is far below.
constexpr std::size_t max_nesting = 6;
constexpr std::size_t max_members = 64;
constexpr std::size_t max_entries = 20;
constexpr std::size_t max_words = 4000;

constexpr auto filter_names =
  std::to_array<std::string_view>({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation",
                                   "bio_policy", "image_content_policy_violation", "ContentPolicyViolationError",
                                   "data_inspection_failed", "DataInspectionFailed"}); // the last two: DashScope

/// Whether a code is one of those by which providers, Azure above all, say that a filter stepped in.
bool names_filter(std::string_view text) {
  return std::find(filter_names.begin(), filter_names.end(), text) != filter_names.end()
         || text.ends_with("SensitiveContentDetected"); // Volcengine, with what it was found in before it
}

/// What the members are called that hold an error's words, the most telling ones first; as `members_of` writes names.
constexpr auto message_names =
  std::to_array<std::string_view>({"message", "msg", "errormessage", "errormsg", "errordescription", "description",
                                   "faultstring", "statusmsg", "statusmessage", "reason", "title", "text"});

/// Members that say more than the message does, or all of it.
constexpr auto further_names =
  std::to_array<std::string_view>({"detail", "error", "errors", "validationerrors", "cause", "innererror"});

/// Where the error itself stands.
constexpr auto wrapper_names = std::to_array<std::string_view>({"error", "err", "fault", "exception"});

/// By which a body without a wrapper is known to be an error, whatever its status.
constexpr auto telling_names =
  std::to_array<std::string_view>({"message", "msg", "errormessage", "errormsg", "errordescription", "faultstring"});

/// An object's members by name, without regard to what servers do not agree on: case, dashes and underscores.
class members_of {
public:
  explicit members_of(const json::value& object) {
    if (!object.is_object())
      return;
    for (auto& [name, value] : object.get_ref<const json::value::object_t&>()) {
      if (list_.size() == max_members)
        return;
      auto plain = ascii::lower(name);
      std::erase_if(plain, [](char c) { return c == '_' || c == '-'; });
      list_.emplace_back(std::move(plain), &value);
    }
  }

  /// The last one of that name, as everywhere; null where there is none.
  const json::value& operator[](std::string_view name) const {
    static const json::value nothing;
    auto found = std::find_if(list_.rbegin(), list_.rend(), [&](auto& x) { return x.first == name; });
    return found == list_.rend() ? nothing : *found->second;
  }

private:
  std::vector<std::pair<std::string, const json::value*>> list_;
};

/// Appends words to words, unless they have been said.
void add_words(std::string& text, std::string_view more, std::string_view between) {
  more = ascii::trim(more);
  if (more.empty() || text.find(more) != text.npos || text.size() > max_words)
    return;
  if (!text.empty())
    text += between;
  text += more;
}

/// An HTTP status that says failure, where a code is one: as a number or as digits.
uint16_t status_in(const json::value& value) {
  uint64_t number = 0;
  if (value.is_string()) {
    auto text = string_in(value);
    auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || end != text.data() + text.size())
      return 0;
  } else {
    number = count_in(value).value_or(0);
  }
  return number >= 400 && number < 600 ? static_cast<uint16_t>(number) : uint16_t{0};
}

/// Reads what Google puts beside an error: the exact reason, how long to wait, which quota was exceeded.
void read_details(const json::value& details, provider_error& error) {
  if (!details.is_array())
    return;
  for (auto& detail : details) {
    auto type = string_in(member(detail, "@type"));
    type = type.substr(type.rfind('/') + 1); // npos + 1 is 0
    if (type == "google.rpc.RetryInfo")
      error.wait = read_duration(string_in(member(detail, "retryDelay")));
    else if (auto& reason = member(detail, "reason"); type == "google.rpc.ErrorInfo" && !string_in(reason).empty())
      error.code = word_in(reason);
    else if (auto& all = member(detail, "violations"); type == "google.rpc.QuotaFailure" && all.is_array())
      for (auto& one : all)
        error.by_day = error.by_day || ascii::icontains(string_in(member(one, "quotaId")), "PerDay");
  }
}

/// Where in the request the error is: `{"loc": ["body", "messages", 0]}`, as FastAPI has it.
std::string place_in(const members_of& error) {
  std::string place;
  for (auto* name : {"loc", "path"})
    if (auto& steps = error[name]; steps.is_array() && place.empty())
      for (auto& step : steps)
        if (auto word = word_in(step); word != "body" && !word.empty())
          place += (place.empty() ? "" : ".") + word;
  return place.empty() ? word_in(error["field"]) : place;
}

provider_error read_any(const json::value& value, std::size_t nesting);

/// What an error in an error knows that the outer one does not.
void absorb(provider_error& outer, const provider_error& inner) {
  for (auto part : {&provider_error::code, &provider_error::type, &provider_error::param})
    if ((outer.*part).empty())
      outer.*part = inner.*part;
  if (outer.status == 0)
    outer.status = inner.status;
  if (!outer.wait)
    outer.wait = inner.wait;
  outer.moderated = outer.moderated || inner.moderated;
  outer.by_day = outer.by_day || inner.by_day;
}

/// Words by the names of fields: `{"model": ["is required"]}`.
std::string read_fields_of(const json::value& object, std::size_t nesting) {
  std::string text;
  for (auto& [name, value] : object.get_ref<const json::value::object_t&>()) {
    if (text.size() > max_words)
      break;
    if (auto words = read_any(value, nesting + 1).message; !words.empty())
      add_words(text, name + ": " + words, "; ");
  }
  return text;
}

/// Adds what a member says to an error: its words, and what else it knows.
void read_further(const json::value& value, std::size_t nesting, provider_error& error) {
  auto inner = read_any(value, nesting + 1);
  if (value.is_object() && nesting < max_nesting && inner.message.empty() && inner.code.empty() && inner.type.empty())
    inner.message = read_fields_of(value, nesting + 1);
  add_words(error.message, inner.message, ": ");
  absorb(error, inner);
}

/// Reads the names in an error object: its code, its type, the field that is wrong.
void read_names_of(const members_of& all, provider_error& result) {
  for (auto* name : {"code", "errorcode", "errcode"})
    if (auto& code = all[name]; result.code.empty()) {
      result.code = word_in(code);
      result.status = status_in(code);
    }
  for (auto* name : {"type", "errortype"}) // beside a place it is the kind of the rule that was broken
    if (auto word = word_in(all[name]); result.type.empty() && word != "error" && !all["loc"].is_array())
      result.type = std::move(word);
  result.param = word_in(all["param"]);
  if (result.param.empty())
    result.param = place_in(all);
  auto& status = all["status"];
  if (result.type.empty() && status_in(status) == 0)
    result.type = clean_words(string_in(status), 200); // Google
  for (auto* name : {"status", "statuscode", "httpstatus", "httpstatuscode"})
    if (result.status == 0)
      result.status = status_in(all[name]);
}

/// How long to wait, where an error says it beside its words: in seconds or as a duration, or in milliseconds.
std::optional<std::chrono::nanoseconds> wait_in(const members_of& all) {
  auto read = [](const json::value& value, double seconds) -> std::optional<std::chrono::nanoseconds> {
    auto text = value.is_number() ? to_text(value) : std::string{string_in(value)};
    if (auto number = read_decimal(text))
      return wait_of(*number * seconds);
    return read_spoken_duration(text);
  };
  if (auto wait = read(all["retryafterms"], 1e-3))
    return wait;
  if (auto wait = read(all["retryafter"], 1))
    return wait;
  if (auto wait = read(all["retryafterseconds"], 1))
    return wait;
  return read(all["estimatedtime"], 1); // Hugging Face, while it loads a model
}

/// Reads the fields of an error object, but for the member `skipped`. The usual ones are OpenAI's; where a vendor has
/// its own, a comment names it. What is missing stays empty: `classify` copes with any subset.
provider_error read_object(const json::value& object, std::size_t nesting, const json::value* skipped = nullptr) {
  members_of all{object};
  provider_error result;
  read_names_of(all, result);
  auto& details = all["details"];
  result.wait = wait_in(all);
  read_details(details, result);
  if (result.code.empty())
    result.code = word_in(member(details, "error_code")); // Anthropic
  auto& metadata = all["metadata"];                       // OpenRouter
  result.moderated = names_filter(result.code) || names_filter(string_in(member(all["innererror"], "code")))
                     || member(metadata, "reasons").is_array() || member(metadata, "flagged_input").is_string();
  for (auto name : message_names)
    if (auto& words = all[name]; result.message.empty() && &words != skipped)
      read_further(words, nesting, result);
  for (auto name : further_names)
    if (auto& more = all[name]; &more != skipped)
      read_further(more, nesting, result);
  add_words(result.message, read_any(details, nesting + 1).message, ": ");
  read_further(member(metadata, "raw"), nesting, result);
  return result;
}

/// Reads a list of errors, each with the place that it is about.
provider_error read_list(const json::value& list, std::size_t nesting) {
  provider_error result;
  std::size_t count = 0;
  for (auto& entry : list) {
    if (++count > max_entries || result.message.size() > max_words)
      break;
    if (entry.is_object() && entry.contains("@type")) // Google's, see `read_details`
      continue;
    auto one = read_any(entry, nesting + 1);
    auto has_place = !one.param.empty() && !one.message.empty() && !one.message.starts_with(one.param);
    add_words(result.message, (has_place ? one.param + ": " : "") + one.message, "; ");
    absorb(result, one);
  }
  return result;
}

/// Reads a text; one that is JSON in its turn, as gateways pass it on, by what it says.
provider_error read_text(std::string_view text, std::size_t nesting) {
  provider_error result;
  text = ascii::trim(text);
  if (text.starts_with('{') || text.starts_with('[')) {
    auto parsed = json::parse(text);
    if (auto* value = std::get_if<json::value>(&parsed))
      result = read_any(*value, nesting + 1);
  }
  if (result.message.empty())
    result.message = text;
  return result;
}

/// Reads an error in whatever form: its object, its words, a list of either.
provider_error read_any(const json::value& value, std::size_t nesting) {
  if (nesting > max_nesting)
    return {};
  if (value.is_string())
    return read_text(string_in(value), nesting);
  if (value.is_array())
    return read_list(value, nesting);
  if (value.is_object())
    return read_object(value, nesting);
  return {};
}

/// Whether a text says no more than that there is no error, as servers write it that fill every member.
bool says_nothing(std::string_view text) {
  static constexpr auto words = std::to_array<std::string_view>({"", "none", "null", "0", "200", "ok", "success"});
  text = ascii::trim(text);
  return std::any_of(words.begin(), words.end(), [&](auto word) { return ascii::iequals(word, text); });
}

/// Whether there is more in a part of an error than nothing.
bool says_anything(const json::value& value, std::size_t nesting) {
  if (nesting > max_nesting)
    return true;
  if (value.is_string())
    return !says_nothing(string_in(value));
  if (value.is_number())
    return count_in(value) != 0u && count_in(value) != 200u;
  if (!value.is_structured())
    return value == true;
  return std::any_of(value.begin(), value.end(), [&](auto& part) { return says_anything(part, nesting + 1); });
}

/// Reads the error in a wrapper, and what stands beside it.
provider_error read_wrapped(const json::value& error, const json::value& body) {
  provider_error result;
  read_further(error, 0, result);
  auto beside = read_object(body, 0, &error);
  if (error.is_string() && !beside.message.empty()) { // its name, then: {"error": "not_found", "message": "..."}
    auto name = std::exchange(result.message, {});
    if (name.find(' ') != name.npos)
      add_words(result.message, name, "");
    else if (result.code.empty())
      result.code = clean_words(name, 200);
  }
  add_words(result.message, beside.message, ": ");
  absorb(result, beside);
  return result;
}

/// MiniMax's numbers of what no other words tell, as HTTP statuses.
uint16_t status_of_minimax(uint64_t code) {
  switch (code) {
    case 1002: // requests
    case 1039: // tokens
    case 1041: // at a time
      return 429;
    case 1004:
    case 2049:
      return 401;
    case 1008:
      return 402;
    case 1026:
    case 1027:
    case 2013:
      return 400;
    default:
      return 0;
  }
}

/// Reads the error that stands beside a MiniMax answer.
provider_error read_base_resp(const json::value& answer) {
  auto result = read_object(answer, 0);
  auto& code = member(answer, "status_code");
  result.code = word_in(code);
  result.status = status_of_minimax(told_count(code).value_or(0));
  result.moderated = result.moderated || result.code == "1026" || result.code == "1027";
  return result;
}

/// What Ollama says under a name that is a phrase: `{"error parsing tool call": "invalid character"}`.
std::string words_under_phrase(const json::value& body) {
  if (!body.is_object() || body.size() != 1)
    return {};
  auto member = body.items().begin();
  auto& name = member.key();
  auto is_phrase = ascii::istarts_with(name, "error ") && member.value().is_string();
  return is_phrase ? name + ": " + std::string{string_in(member.value())} : std::string{};
}

/// Whether a body without a wrapper is an error: by its words (vLLM, Mistral, gateways), or by lists of validation
/// errors (`detail`, of servers built on FastAPI).
bool is_flat_error(const json::value& body, const members_of& all) {
  if (string_in(member(body, "object")) == "error" || all["message"].is_string())
    return true;
  auto has_words = [&](auto name) { return tells_error(all[name]) && !all[name].is_object(); };
  return std::any_of(telling_names.begin(), telling_names.end(), has_words) || tells_error(all["detail"])
         || tells_error(all["errors"]);
}

} // namespace

std::string word_in(const json::value& value) {
  if (value.is_number_integer())
    return to_text(value);
  return clean_words(string_in(value), 200);
}

bool tells_error(const json::value& value) {
  return !value.is_number() && !value.is_boolean() && says_anything(value, 0);
}

// Nearly all are null, or not there: only what holds something is parsed.
bool tells_error(json::raw value) {
  if (!value.is_object() && !value.is_array() && !value.has_text())
    return false;
  auto parsed = json::parse(value.text);
  auto* tree = std::get_if<json::value>(&parsed);
  return tree == nullptr || tells_error(*tree);
}

bool tells_failure(const json::value& base_resp) {
  return says_anything(member(base_resp, "status_code"), 0);
}

bool tells_failure(json::raw base_resp) {
  if (!base_resp.is_object())
    return false;
  auto parsed = json::parse(base_resp.text);
  auto* tree = std::get_if<json::value>(&parsed);
  return tree != nullptr && tells_failure(*tree);
}

// The order matters: an `error` member is certain, so it comes first, and so is MiniMax's. A body with `choices` is an
// answer even if it has a `message`, so it ends the search. The looser forms follow.
std::optional<provider_error> find_error(const json::value& body) {
  if (body.is_array()) {
    for (std::size_t i = 0; i < std::min(body.size(), max_entries); ++i)
      if (auto& entry = body[i]; entry.is_object())
        if (auto found = find_error(entry))
          return found;
    return {};
  }
  members_of all{body};
  for (auto name : wrapper_names)
    if (auto& error = all[name]; tells_error(error))
      return read_wrapped(error, body);
  if (auto& error = all["error"]; error.is_object() && body.size() == 1) // without words, but what else is it?
    return read_wrapped(error, body);
  if (auto& answer = all["baseresp"]; tells_failure(answer))
    return read_base_resp(answer);
  if (auto& choices = member(body, "choices"); choices.is_structured() && !choices.empty())
    return {};
  if (auto words = words_under_phrase(body); !words.empty())
    return provider_error{.message = std::move(words)};
  auto is_forwarded = status_in(all["statuscode"]) != 0 && tells_error(all["body"]); // by Amazon's functions
  if (!is_forwarded && !is_flat_error(body, all))
    return {};
  auto result = read_object(body, 0);
  if (is_forwarded)
    read_further(all["body"], 0, result);
  return result;
}

} // namespace modelforge::wire
