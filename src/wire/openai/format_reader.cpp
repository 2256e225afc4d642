#include "wire/openai/format.hpp"

#include "wire/openai/request_fields.hpp"

#include <utility>

namespace modelforge::wire::openai {

namespace {

/// Reads one request of Chat Completions into the neutral form, for files and front ends.
class request_reader : request_fields {
public:
  std::variant<chat_request, failure> read(std::string_view text) {
    if (!read_root(text, [this](const field& root) { read_request(root); }))
      return take_problem();
    return std::move(request_);
  }

private:
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
    no_stream(root["stream"]);
    request_.extra =
      rest_of(root, {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k",
                     "frequency_penalty", "presence_penalty", "seed", "stop", "reasoning_effort", "response_format",
                     "tools", "tool_choice", "parallel_tool_calls", "stream"});
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

  image_part read_image(const field& place) {
    image_part image;
    only(place, {"url", "detail"});
    text(place["detail"], image.detail);
    take_image_url(place["url"], image);
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

  void read_tool_result(const field& place, chat_message& message) {
    tool_result result;
    required_text(place["tool_call_id"], result.call_id);
    read_result_text(place["content"], result.content);
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
    if (!read_format_kind(place))
      return;
    auto schema = place["json_schema"];
    only(schema, {"name", "schema", "strict", "description"});
    read_schema(schema);
  }

  void read_tool(const field& place) {
    only(place, {"type", "function"});
    expect_function(place["type"]);
    auto function = place["function"];
    only(function, {"name", "description", "parameters", "strict"});
    read_tool_members(function);
  }

  void read_tool_choice(const field& place) {
    if (!place.value.is_object())
      return read_tool_mode(place);
    only(place, {"type", "function"});
    expect_function(place["type"]);
    auto& choice = request_.tool_choice;
    choice.mode = tool_mode::named;
    auto function = place["function"];
    only(function, {"name"});
    required_text(function["name"], choice.name);
  }

  void expect_function(const field& place) {
    if (string_in(place.value) != "function")
      wrong(place, "is not \"function\"");
  }
};

} // namespace

std::variant<chat_request, failure> read_request(std::string_view text) {
  return request_reader{}.read(text);
}

} // namespace modelforge::wire::openai
