#include "wire/openai_format.hpp"

#include "wire/json.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace modelforge::wire {

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

/// Reads one request; the first thing that is wrong is kept.
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
    return std::move(x_);
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

  void wrong(const field& at, std::string_view why) { refuse(at.path() + " " + std::string{why}); }

  void expect(const field& at, std::string_view what) {
    if (at.missing())
      wrong(at, "is missing");
    else
      wrong(at, "is no " + std::string{what} + " but " + type_names[static_cast<int>(at.value.type())]);
  }

  void text(const field& at, std::string& to) {
    if (at.value.is_string())
      to = string_in(at.value);
    else if (!at.missing())
      expect(at, "string");
  }

  void required_text(const field& at, std::string& to) {
    text(at, to);
    if (at.missing())
      wrong(at, "is missing");
  }

  template <class T>
  void whole(const field& at, std::optional<T>& to) {
    if (at.missing())
      return;
    if (!at.value.is_number_integer())
      return expect(at, "whole number");
    auto in_range = at.value.is_number_unsigned() ? std::in_range<T>(at.value.get<uint64_t>())
                                                  : std::in_range<T>(at.value.get<int64_t>());
    if (!in_range)
      return wrong(at, "is out of range");
    to = at.value.get<T>();
  }

  void real(const field& at, std::optional<double>& to) {
    if (at.value.is_number())
      to = at.value.get<double>();
    else if (!at.missing())
      expect(at, "number");
  }

  template <class Flag>
  void flag(const field& at, Flag& to) {
    if (at.value.is_boolean())
      to = at.value.get<bool>();
    else if (!at.missing())
      expect(at, "boolean");
  }

  /// An object that stays JSON text.
  void object_text(const field& at, std::string& to) {
    if (at.value.is_object())
      to = to_text(at.value);
    else if (!at.missing())
      expect(at, "object");
  }

  /// Calls `read` for each element.
  template <class Function>
  void each(const field& at, Function read) {
    if (at.missing())
      return;
    if (!at.value.is_array())
      return expect(at, "array");
    for (std::size_t i = 0; i < at.value.size() && !problem_; ++i)
      read(field{at.value[i], &at, {}, i});
  }

  /// Refuses members that nothing reads: dropping them would change what is asked.
  void only(const field& at, std::initializer_list<std::string_view> known) {
    if (!at.value.is_object())
      return expect(at, "object");
    for (auto& [name, value] : at.value.get_ref<const json::value::object_t&>())
      if (!value.is_null() && std::find(known.begin(), known.end(), name) == known.end())
        wrong(field{value, &at, name}, "is not known here");
  }

  // -- the request ------------------------------------------------------------------

  void read_request(const field& root) {
    text(root["model"], x_.model);
    auto messages = root["messages"];
    each(messages, [this](const field& x) { read_message(x); });
    if (messages.missing() || messages.value.empty())
      wrong(messages, messages.missing() ? "is missing" : "is empty");
    read_sampling(root);
    read_response_format(root["response_format"]);
    each(root["tools"], [this](const field& x) { read_tool(x); });
    read_tool_choice(root["tool_choice"]);
    flag(root["parallel_tool_calls"], x_.tool_choice.parallel);
    bool stream = false;
    flag(root["stream"], stream);
    if (stream)
      wrong(root["stream"], "is true, but only whole answers can be given here");
    read_extra(root);
  }

  void read_message(const field& at) {
    only(at, {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning", "reasoning_content",
              "annotations"});
    std::string name;
    required_text(at["role"], name);
    chat_message message;
    if (!from_string(name, message.role))
      wrong(at["role"], "is none of system, developer, user, assistant, tool");
    text(at["name"], message.name);
    if (message.role == role::tool)
      read_tool_result(at, message);
    else
      read_content(at, message);
    if (message.role != role::assistant && !at["tool_calls"].missing())
      wrong(at["tool_calls"], "needs the role assistant");
    if (message.role != role::tool && !at["tool_call_id"].missing())
      wrong(at["tool_call_id"], "needs the role tool");
    each(at["tool_calls"], [&](const field& x) { message.content.push_back(read_call(x)); });
    if (message.content.empty())
      wrong(at["content"], "is missing");
    x_.messages.push_back(std::move(message));
  }

  void read_content(const field& at, chat_message& message) {
    for (auto* name : {"reasoning_content", "reasoning"})
      if (auto thoughts = at[name]; !thoughts.missing()) {
        reasoning_part part;
        text(thoughts, part.text);
        message.content.push_back(std::move(part));
        break;
      }
    auto content = at["content"];
    if (content.value.is_string())
      message.content.push_back(text_part{std::string{string_in(content.value)}});
    else if (content.value.is_array())
      each(content, [&](const field& x) { read_part(x, message); });
    else if (!content.missing())
      expect(content, "string or array");
    if (auto refusal = at["refusal"]; !refusal.missing()) {
      text_part part;
      text(refusal, part.text);
      message.content.push_back(std::move(part));
    }
  }

  void read_part(const field& at, chat_message& message) {
    std::string type;
    required_text(at["type"], type);
    if (type == "text" || type == "refusal") {
      only(at, {"type", type});
      text_part part;
      required_text(at[type], part.text);
      message.content.push_back(std::move(part));
    } else if (type == "image_url") {
      only(at, {"type", "image_url"});
      message.content.push_back(read_image(at["image_url"]));
    } else {
      wrong(at["type"], "is neither text nor image_url");
    }
  }

  image_part read_image(const field& at) {
    image_part image;
    only(at, {"url", "detail"});
    required_text(at["url"], image.url);
    text(at["detail"], image.detail);
    if (!image.url.starts_with("data:"))
      return image;
    constexpr std::string_view mark = ";base64,";
    auto end = image.url.find(mark);
    if (end == image.url.npos || end == 5 || end + mark.size() == image.url.size())
      wrong(at["url"], "is a data: URL, but not of the form data:TYPE;base64,DATA");
    else {
      image.media_type = image.url.substr(5, end - 5);
      image.data = image.url.substr(end + mark.size());
      image.url.clear();
    }
    return image;
  }

  tool_call read_call(const field& at) {
    tool_call call;
    only(at, {"id", "type", "function", "index"});
    required_text(at["id"], call.id);
    expect_function(at["type"]);
    auto function = at["function"];
    only(function, {"name", "arguments"});
    required_text(function["name"], call.name);
    required_text(function["arguments"], call.arguments);
    return call;
  }

  void read_tool_result(const field& at, chat_message& message) {
    tool_result result;
    required_text(at["tool_call_id"], result.call_id);
    auto content = at["content"];
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
    auto& s = x_.sampling;
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

  void read_response_format(const field& at) {
    if (at.missing())
      return;
    only(at, {"type", "json_schema"});
    std::string type;
    required_text(at["type"], type);
    auto& format = x_.response_format;
    if (!from_string(type, format.kind))
      wrong(at["type"], "is none of text, json_object, json_schema");
    if (format.kind != response_kind::json_schema)
      return;
    auto schema = at["json_schema"];
    only(schema, {"name", "schema", "strict", "description"});
    required_text(schema["name"], format.name);
    object_text(schema["schema"], format.schema);
    if (format.schema.empty())
      wrong(schema["schema"], "is missing");
    format.strict = false; // the format's default
    flag(schema["strict"], format.strict);
  }

  void read_tool(const field& at) {
    only(at, {"type", "function"});
    expect_function(at["type"]);
    auto function = at["function"];
    only(function, {"name", "description", "parameters", "strict"});
    tool_definition tool;
    required_text(function["name"], tool.name);
    text(function["description"], tool.description);
    object_text(function["parameters"], tool.parameters);
    flag(function["strict"], tool.strict);
    x_.tools.push_back(std::move(tool));
  }

  void read_tool_choice(const field& at) {
    auto& choice = x_.tool_choice;
    if (at.value.is_object()) {
      only(at, {"type", "function"});
      expect_function(at["type"]);
      choice.mode = tool_mode::named;
      auto function = at["function"];
      only(function, {"name"});
      required_text(function["name"], choice.name);
      return;
    }
    std::string word = "auto";
    text(at, word);
    if (word == "auto")
      choice.mode = tool_mode::automatic;
    else if (word == "none" || word == "required")
      from_string(word, choice.mode);
    else
      wrong(at, "is none of auto, none, required");
  }

  void expect_function(const field& at) {
    if (string_in(at.value) != "function")
      wrong(at, "is not \"function\"");
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
      x_.extra = to_text(extra);
  }

  chat_request x_;
  std::optional<failure> problem_;
};

// -- writing ---------------------------------------------------------------------------

/// The reason in OpenAI's words where it has one.
std::string_view reason_of(const completion& x) {
  switch (x.finish_reason) {
    case finish_reason::refusal:
      return "stop"; // the words are in `refusal`
    case finish_reason::unknown:
    case finish_reason::paused:
    case finish_reason::error:
      return x.raw_finish_reason.empty() ? name_of(x.finish_reason) : std::string_view{x.raw_finish_reason};
    default:
      return name_of(x.finish_reason);
  }
}

void write_text_or_null(json::writer& out, std::string_view key, std::string_view text) {
  out.key(key);
  if (text.empty())
    out.raw("null");
  else
    out.repaired(text);
}

void write_message(json::writer& out, const completion& x) {
  out.open('{');
  out.key("role");
  out.raw(R"("assistant")");
  auto silent = x.text.empty() && (!x.tool_calls.empty() || !x.refusal.empty());
  out.key("content");
  silent ? out.raw("null") : out.repaired(x.text);
  write_text_or_null(out, "refusal", x.refusal);
  if (auto thoughts = reasoning_of(x); !thoughts.empty()) {
    out.key("reasoning_content");
    out.repaired(thoughts);
  }
  if (!x.tool_calls.empty()) {
    out.key("tool_calls");
    out.open('[');
    for (auto& call : x.tool_calls) {
      out.open('{');
      out.key("id");
      out.repaired(call.id);
      out.key("type");
      out.raw(R"("function")");
      out.key("function");
      out.open('{');
      out.key("name");
      out.repaired(call.name);
      out.key("arguments");
      out.repaired(call.arguments);
      out.close('}');
      out.close('}');
    }
    out.close(']');
  }
  out.close('}');
}

void write_usage(json::writer& out, const token_usage& x) {
  auto count = [&](std::string_view name, uint64_t value) {
    out.key(name);
    out.number(value);
  };
  out.open('{');
  count("prompt_tokens", x.input);
  count("completion_tokens", x.output);
  count("total_tokens", x.input + x.output);
  out.key("prompt_tokens_details");
  out.open('{');
  count("cached_tokens", x.cached_read);
  count("cache_write_tokens", x.cache_written);
  out.close('}');
  out.key("completion_tokens_details");
  out.open('{');
  count("reasoning_tokens", x.reasoning);
  out.close('}');
  out.close('}');
}

std::string code_of(const failure& x) {
  return x.provider_code.empty() ? to_string(x.code) : x.provider_code;
}

std::string message_of(const failure& x) {
  auto text = x.message.empty() ? to_string(x.code) : x.message;
  return x.provider_message.empty() ? text : text + ": " + x.provider_message;
}

} // namespace

std::variant<chat_request, failure> read_openai_request(std::string_view text) {
  return request_reader{}.read(text);
}

std::string write_openai_completion(const completion& x) {
  std::string text;
  text.reserve(512 + x.text.size() + x.text.size() / 16);
  json::writer out{text};
  out.open('{');
  out.key("id");
  out.repaired("chatcmpl-" + to_string(x.id));
  out.key("object");
  out.raw(R"("chat.completion")");
  out.key("created");
  auto now = std::chrono::system_clock::now().time_since_epoch();
  out.number(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  out.key("model");
  out.repaired(x.model);
  out.key("choices");
  out.open('[');
  out.open('{');
  out.key("index");
  out.number(0);
  out.key("message");
  write_message(out, x);
  out.key("logprobs");
  out.raw("null");
  out.key("finish_reason");
  out.repaired(reason_of(x));
  out.close('}');
  out.close(']');
  if (x.usage) {
    out.key("usage");
    write_usage(out, *x.usage);
  }
  out.close('}');
  return text;
}

std::string write_openai_error(const failure& x) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("code");
  out.repaired(code_of(x));
  out.key("message");
  out.repaired(message_of(x));
  out.close('}');
  return text;
}

std::string write_openai_error_body(const failure& x) {
  std::string text;
  json::writer out{text};
  out.open('{');
  out.key("error");
  out.open('{');
  out.key("message");
  out.repaired(message_of(x));
  out.key("type");
  out.raw('"' + to_string(x.code) + '"');
  out.key("param");
  out.raw("null");
  out.key("code");
  out.repaired(code_of(x));
  out.close('}');
  out.close('}');
  return text;
}

} // namespace modelforge::wire
