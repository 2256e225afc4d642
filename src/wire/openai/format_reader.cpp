#include "wire/openai/format.hpp"

#include "wire/json.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire::openai {

namespace {

constexpr const char* type_names[] = {"null", "object", "array", "string", "boolean", "number", "number", "number"};

/// A value and the way to it; the way is written out only for a failure.
struct field {
  const json::value& value;
  const field* parent = nullptr;
  std::string_view name = {};
  std::size_t index = 0;

  bool missing() const { return value.is_null(); }

  field operator[](std::string_view child) const { return {member(value, child), this, child}; }

  std::string path() const {
    if (parent == nullptr)
      return {};
    auto before = parent->path();
    if (name.empty())
      return before + "[" + std::to_string(index) + "]";
    return before.empty() ? std::string{name} : before + "." + std::string{name};
  }
};

/// Reads one request of Chat Completions into the neutral form, for files and front ends. The first thing that is
/// wrong is kept, with its path ("messages[2].content"); lists are not read on then. Used once for each request.
class request_reader {
public:
  std::variant<chat_request, failure> read(std::string_view text) {
    auto parsed = json::parse(text);
    if (auto* why = std::get_if<std::string>(&parsed))
      refuse("the request is no JSON: " + *why);
    else if (auto& root = std::get<json::value>(parsed); !root.is_object())
      refuse("the request is no JSON object");
    else
      read_request({root});
    if (problem_)
      return std::move(*problem_);
    return std::move(request_);
  }

private:
  // -- typed access: each leaves its target alone where the field is missing or null --------

  void refuse(std::string message) {
    if (problem_)
      return;
    problem_.emplace();
    problem_->code = errc::invalid_request;
    problem_->message = std::move(message);
  }

  void wrong(const field& place, std::string_view why) { refuse(place.path() + " " + std::string{why}); }

  /// Refuses a field that is missing, or of another type; `subject` is what it should be.
  void expect(const field& place, std::string_view subject) {
    if (place.missing())
      wrong(place, "is missing");
    else
      wrong(place, "is no " + std::string{subject} + " but " + type_names[static_cast<int>(place.value.type())]);
  }

  void text(const field& place, std::string& target) {
    if (place.value.is_string())
      target = string_in(place.value);
    else if (!place.missing())
      expect(place, "string");
  }

  void required_text(const field& place, std::string& target) {
    text(place, target);
    if (place.missing())
      wrong(place, "is missing");
  }

  template <class T>
  void whole(const field& place, std::optional<T>& target) {
    if (place.missing())
      return;
    if (!place.value.is_number_integer())
      return expect(place, "whole number");
    auto in_range = place.value.is_number_unsigned() ? std::in_range<T>(place.value.get<uint64_t>())
                                                     : std::in_range<T>(place.value.get<int64_t>());
    if (!in_range)
      return wrong(place, "is out of range");
    target = place.value.get<T>();
  }

  void real(const field& place, std::optional<double>& target) {
    if (place.value.is_number())
      target = place.value.get<double>();
    else if (!place.missing())
      expect(place, "number");
  }

  template <class Flag>
  void flag(const field& place, Flag& target) {
    if (place.value.is_boolean())
      target = place.value.get<bool>();
    else if (!place.missing())
      expect(place, "boolean");
  }

  /// An object that stays JSON text.
  void object_text(const field& place, std::string& target) {
    if (place.value.is_object())
      target = to_text(place.value);
    else if (!place.missing())
      expect(place, "object");
  }

  /// Calls `read` for each element.
  template <class Function>
  void each(const field& place, Function read) {
    if (place.missing())
      return;
    if (!place.value.is_array())
      return expect(place, "array");
    for (std::size_t i = 0; i < place.value.size() && !problem_; ++i)
      read(field{place.value[i], &place, {}, i});
  }

  /// Refuses members that nothing reads: dropping them would change what is asked.
  void only(const field& place, std::initializer_list<std::string_view> known) {
    if (!place.value.is_object())
      return expect(place, "object");
    for (auto& [name, value] : place.value.get_ref<const json::value::object_t&>())
      if (!value.is_null() && std::find(known.begin(), known.end(), name) == known.end())
        wrong(field{value, &place, name}, "is not known here");
  }

  // -- the request ------------------------------------------------------------------

  /// Unknown members of the root are kept as `extra`, so that a host may use any field of its provider; inside messages
  /// and tools nothing unknown is let through, since it would be lost.
  void read_request(const field& root) {
    text(root["model"], request_.model);
    auto messages = root["messages"];
    each(messages, [this](const field& x) { read_message(x); });
    if (messages.missing() || messages.value.empty())
      wrong(messages, messages.missing() ? "is missing" : "is empty");
    read_sampling(root);
    read_response_format(root["response_format"]);
    each(root["tools"], [this](const field& x) { read_tool(x); });
    read_tool_choice(root["tool_choice"]);
    flag(root["parallel_tool_calls"], request_.tool_choice.parallel);
    bool stream = false;
    flag(root["stream"], stream);
    if (stream)
      wrong(root["stream"], "is true, but only whole answers can be given here");
    read_extra(root);
  }

  void read_message(const field& place) {
    only(place, {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning", "reasoning_content",
                 "annotations"});
    std::string name;
    required_text(place["role"], name);
    chat_message message;
    if (!from_string(name, message.role))
      wrong(place["role"], "is none of system, developer, user, assistant, tool");
    text(place["name"], message.name);
    if (message.role == role::tool)
      read_tool_result(place, message);
    else
      read_content(place, message);
    if (message.role != role::assistant && !place["tool_calls"].missing())
      wrong(place["tool_calls"], "needs the role assistant");
    if (message.role != role::tool && !place["tool_call_id"].missing())
      wrong(place["tool_call_id"], "needs the role tool");
    each(place["tool_calls"], [&](const field& x) { message.content.push_back(read_call(x)); });
    if (message.content.empty())
      wrong(place["content"], "is missing");
    request_.messages.push_back(std::move(message));
  }

  /// Thoughts first, as the neutral form has them; a refusal of an earlier turn goes back as text.
  void read_content(const field& place, chat_message& message) {
    for (auto* name : {"reasoning_content", "reasoning"})
      if (auto thoughts = place[name]; !thoughts.missing()) {
        reasoning_part part;
        text(thoughts, part.text);
        message.content.push_back(std::move(part));
        break;
      }
    auto content = place["content"];
    if (content.value.is_string())
      message.content.push_back(text_part{std::string{string_in(content.value)}});
    else if (content.value.is_array())
      each(content, [&](const field& x) { read_part(x, message); });
    else if (!content.missing())
      expect(content, "string or array");
    if (auto refusal = place["refusal"]; !refusal.missing()) {
      text_part part;
      text(refusal, part.text);
      message.content.push_back(std::move(part));
    }
  }

  void read_part(const field& place, chat_message& message) {
    std::string type;
    required_text(place["type"], type);
    if (type == "text" || type == "refusal") {
      only(place, {"type", type});
      text_part part;
      required_text(place[type], part.text);
      message.content.push_back(std::move(part));
    } else if (type == "image_url") {
      only(place, {"type", "image_url"});
      message.content.push_back(read_image(place["image_url"]));
    } else {
      wrong(place["type"], "is neither text nor image_url");
    }
  }

  /// Takes `data:` URLs apart: other providers want the type and the bytes separately.
  image_part read_image(const field& place) {
    image_part image;
    only(place, {"url", "detail"});
    required_text(place["url"], image.url);
    text(place["detail"], image.detail);
    if (!image.url.starts_with("data:"))
      return image;
    constexpr std::string_view mark = ";base64,";
    auto end = image.url.find(mark);
    if (end == image.url.npos || end == 5 || end + mark.size() == image.url.size())
      wrong(place["url"], "is a data: URL, but not of the form data:TYPE;base64,DATA");
    else {
      image.media_type = image.url.substr(5, end - 5);
      image.data = image.url.substr(end + mark.size());
      image.url.clear();
    }
    return image;
  }

  tool_call read_call(const field& place) {
    tool_call call;
    only(place, {"id", "type", "function", "index"});
    required_text(place["id"], call.id);
    expect_function(place["type"]);
    auto function = place["function"];
    only(function, {"name", "arguments"});
    required_text(function["name"], call.name);
    required_text(function["arguments"], call.arguments);
    return call;
  }

  /// Parts of a result are joined: no provider tells them apart.
  void read_tool_result(const field& place, chat_message& message) {
    tool_result result;
    required_text(place["tool_call_id"], result.call_id);
    auto content = place["content"];
    if (content.value.is_array())
      each(content, [&](const field& part) {
        std::string piece;
        only(part, {"type", "text"});
        required_text(part["text"], piece);
        result.content += piece;
      });
    else
      required_text(content, result.content);
    message.content.push_back(std::move(result));
  }

  void read_sampling(const field& root) {
    auto& s = request_.sampling;
    whole(root["max_tokens"], s.max_tokens);
    whole(root["max_completion_tokens"], s.max_tokens); // the newer name wins
    real(root["temperature"], s.temperature);
    real(root["top_p"], s.top_p);
    whole(root["top_k"], s.top_k);
    real(root["frequency_penalty"], s.frequency_penalty);
    real(root["presence_penalty"], s.presence_penalty);
    whole(root["seed"], s.seed);
    text(root["reasoning_effort"], s.reasoning_effort);
    auto stop = root["stop"];
    if (stop.value.is_string())
      s.stop.emplace_back(string_in(stop.value));
    else
      each(stop, [&](const field& x) { required_text(x, s.stop.emplace_back()); });
  }

  void read_response_format(const field& place) {
    if (place.missing())
      return;
    only(place, {"type", "json_schema"});
    std::string type;
    required_text(place["type"], type);
    auto& format = request_.response_format;
    if (!from_string(type, format.kind))
      wrong(place["type"], "is none of text, json_object, json_schema");
    if (format.kind != response_kind::json_schema)
      return;
    auto schema = place["json_schema"];
    only(schema, {"name", "schema", "strict", "description"});
    required_text(schema["name"], format.name);
    object_text(schema["schema"], format.schema);
    if (format.schema.empty())
      wrong(schema["schema"], "is missing");
    format.strict = false; // the format's default
    flag(schema["strict"], format.strict);
  }

  void read_tool(const field& place) {
    only(place, {"type", "function"});
    expect_function(place["type"]);
    auto function = place["function"];
    only(function, {"name", "description", "parameters", "strict"});
    tool_definition tool;
    required_text(function["name"], tool.name);
    text(function["description"], tool.description);
    object_text(function["parameters"], tool.parameters);
    flag(function["strict"], tool.strict);
    request_.tools.push_back(std::move(tool));
  }

  void read_tool_choice(const field& place) {
    auto& choice = request_.tool_choice;
    if (place.value.is_object()) {
      only(place, {"type", "function"});
      expect_function(place["type"]);
      choice.mode = tool_mode::named;
      auto function = place["function"];
      only(function, {"name"});
      required_text(function["name"], choice.name);
      return;
    }
    std::string word = "auto";
    text(place, word);
    if (word == "auto")
      choice.mode = tool_mode::automatic;
    else if (word == "none" || word == "required")
      from_string(word, choice.mode);
    else
      wrong(place, "is none of auto, none, required");
  }

  void expect_function(const field& place) {
    if (string_in(place.value) != "function")
      wrong(place, "is not \"function\"");
  }

  void read_extra(const field& root) {
    constexpr auto read = std::to_array<std::string_view>(
      {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "frequency_penalty",
       "presence_penalty", "seed", "stop", "reasoning_effort", "response_format", "tools", "tool_choice",
       "parallel_tool_calls", "stream"});
    auto extra = json::value::object();
    auto& members = extra.get_ref<json::value::object_t&>();
    for (auto& [name, value] : root.value.get_ref<const json::value::object_t&>())
      if (std::find(read.begin(), read.end(), name) == read.end())
        members.emplace_back(name, value);
    if (!members.empty())
      request_.extra = to_text(extra);
  }

  chat_request request_;
  std::optional<failure> problem_;
};

} // namespace

std::variant<chat_request, failure> read_request(std::string_view text) {
  return request_reader{}.read(text);
}

} // namespace modelforge::wire::openai
