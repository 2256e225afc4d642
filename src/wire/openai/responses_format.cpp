#include "wire/openai/format.hpp"
#include "wire/openai/request_fields.hpp"

#include <chrono>
#include <utility>

namespace modelforge::wire::openai {

namespace {

/// Reads one request of the Responses API into the neutral form. There a turn is several items; here all that the
/// assistant did in a row is one message.
class responses_reader : request_fields {
public:
  std::variant<chat_request, failure> read(std::string_view text) {
    if (!read_root(text, [this](const field& root) { read_request(root); }))
      return take_problem();
    return std::move(request_);
  }

private:
  void read_request(const field& root) {
    text(root["model"], request_.model);
    std::string instructions;
    text(root["instructions"], instructions);
    if (!instructions.empty())
      request_.messages.push_back(text_message(role::system, std::move(instructions)));
    read_input(root["input"]);
    auto& s = request_.sampling;
    whole(root["max_output_tokens"], s.max_tokens);
    real(root["temperature"], s.temperature);
    real(root["top_p"], s.top_p);
    each(root["tools"], [this](const field& x) { read_tool(x); });
    read_tool_choice(root["tool_choice"]);
    flag(root["parallel_tool_calls"], request_.tool_choice.parallel);
    no_stream(root["stream"]);
    if (!root["previous_response_id"].missing() || !root["conversation"].missing())
      wrong(root[root["conversation"].missing() ? "previous_response_id" : "conversation"],
            "stands for what a provider keeps; write the conversation into input");
    auto rest = json::value::object();
    read_part_of("reasoning", "effort", root, rest,
                 [this](const field& x) { text(x, request_.sampling.reasoning_effort); });
    read_part_of("text", "format", root, rest, [this](const field& x) { read_format(x); });
    request_.extra = rest_of(root, {"model", "instructions", "input", "max_output_tokens", "temperature", "top_p",
                                    "tools", "tool_choice", "parallel_tool_calls", "stream", "reasoning", "text",
                                    "previous_response_id", "conversation", "store", "background"});
    if (rest.empty())
      return;
    auto all = request_.extra.empty() ? json::value::object() : std::get<json::value>(json::parse(request_.extra));
    for (auto& [name, value] : rest.get_ref<json::value::object_t&>())
      all[name] = value;
    request_.extra = to_text(all);
  }

  /// Reads one member of an object, and leaves the others for `extra`.
  template <class Function>
  void read_part_of(std::string_view name, std::string_view member, const field& root, json::value& rest,
                    Function read) {
    auto place = root[name];
    if (place.missing())
      return;
    if (!place.value.is_object())
      return expect(place, "object");
    read(place[member]);
    auto others = place.value;
    others.erase(std::string{member});
    if (!others.empty())
      rest[std::string{name}] = std::move(others);
  }

  void read_input(const field& place) {
    if (place.value.is_string())
      request_.messages.push_back(text_message(role::user, std::string{string_in(place.value)}));
    else if (place.missing() || place.value.empty())
      wrong(place, place.missing() ? "is missing" : "is empty");
    else
      each(place, [this](const field& x) { read_item(x); });
  }

  void read_item(const field& place) {
    std::string type = "message";
    if (!place.value.is_object())
      return expect(place, "object");
    text(place["type"], type);
    if (type == "message")
      read_message(place);
    else if (type == "function_call")
      read_call(place);
    else if (type == "function_call_output")
      read_result(place);
    else if (type == "reasoning")
      read_thought(place);
    else
      wrong(place["type"], "is none of message, function_call, function_call_output, reasoning");
  }

  /// The assistant's message that is going on, or a new one.
  chat_message& turn() {
    auto& all = request_.messages;
    if (all.empty() || all.back().role != role::assistant)
      all.emplace_back().role = role::assistant;
    return all.back();
  }

  void read_message(const field& place) {
    only(place, {"type", "role", "content", "id", "status", "phase"});
    std::string name;
    required_text(place["role"], name);
    chat_message message;
    if (!from_string(name, message.role) || message.role == role::tool)
      return wrong(place["role"], "is none of system, developer, user, assistant");
    auto content = place["content"];
    if (content.value.is_string())
      message.content.push_back(text_part{std::string{string_in(content.value)}});
    else
      each(content, [&](const field& x) { read_part(x, message); });
    if (message.content.empty())
      wrong(content, "is missing");
    if (message.role != role::assistant)
      return request_.messages.push_back(std::move(message));
    auto& to = turn().content;
    to.insert(to.end(), message.content.begin(), message.content.end());
  }

  void read_part(const field& place, chat_message& message) {
    std::string type;
    required_text(place["type"], type);
    if (type == "input_text" || type == "output_text" || type == "refusal") {
      auto member = type == "refusal" ? "refusal" : "text";
      only(place, {"type", member, "annotations", "logprobs"});
      text_part part;
      required_text(place[member], part.text);
      message.content.push_back(std::move(part));
    } else if (type == "input_image") {
      only(place, {"type", "image_url", "detail"});
      image_part image;
      text(place["detail"], image.detail);
      take_image_url(place["image_url"], image);
      message.content.push_back(std::move(image));
    } else {
      wrong(place["type"], "is none of input_text, output_text, refusal, input_image");
    }
  }

  void read_call(const field& place) {
    only(place, {"type", "call_id", "name", "arguments", "id", "status"});
    tool_call call;
    required_text(place["call_id"], call.id);
    required_text(place["name"], call.name);
    required_text(place["arguments"], call.arguments);
    turn().content.push_back(std::move(call));
  }

  void read_result(const field& place) {
    only(place, {"type", "call_id", "output", "id", "status"});
    tool_result result;
    required_text(place["call_id"], result.call_id);
    read_result_text(place["output"], result.content);
    chat_message message;
    message.role = role::tool;
    message.content.push_back(std::move(result));
    request_.messages.push_back(std::move(message));
  }

  /// What was sealed for one provider says nothing to others: the words of it go on.
  void read_thought(const field& place) {
    only(place, {"type", "summary", "content", "encrypted_content", "id", "status"});
    reasoning_part part;
    each(place["summary"], [&](const field& x) {
      std::string piece;
      required_text(x["text"], piece);
      part.text += piece;
    });
    if (!part.text.empty())
      turn().content.push_back(std::move(part));
  }

  void read_format(const field& place) {
    if (place.missing())
      return;
    only(place, {"type", "name", "schema", "strict", "description"});
    if (read_format_kind(place))
      read_schema(place);
  }

  void read_tool(const field& place) {
    only(place, {"type", "name", "description", "parameters", "strict"});
    if (string_in(place["type"].value) != "function")
      wrong(place["type"], "is not \"function\": a provider's own tools cannot be used here");
    read_tool_members(place);
  }

  void read_tool_choice(const field& place) {
    if (!place.value.is_object())
      return read_tool_mode(place);
    only(place, {"type", "name"});
    request_.tool_choice.mode = tool_mode::named;
    required_text(place["name"], request_.tool_choice.name);
  }
};

/// Writes an answer as a `response` object.
class response_writer {
public:
  explicit response_writer(const completion& answer) : answer_(answer) {}

  std::string run() {
    auto reason = reason_of();
    out_.open('{');
    member("id", "resp_" + to_string(answer_.id));
    member("object", "response");
    out_.key("created_at");
    auto now = std::chrono::system_clock::now().time_since_epoch();
    out_.number(std::chrono::duration_cast<std::chrono::seconds>(now).count());
    member("status", reason.empty() ? "completed" : "incomplete");
    out_.key("error");
    out_.raw("null");
    out_.key("incomplete_details");
    if (reason.empty()) {
      out_.raw("null");
    } else {
      out_.open('{');
      member("reason", reason);
      out_.close('}');
    }
    member("model", answer_.model);
    out_.key("output");
    out_.open('[');
    write_items(reason.empty() ? "completed" : "incomplete");
    out_.close(']');
    write_usage();
    if (answer_.cost) { // not OpenAI's: absent, never 0, where it is not known
      out_.key("cost");
      out_.number(*answer_.cost);
    }
    out_.close('}');
    return std::move(text_);
  }

private:
  void member(std::string_view name, std::string_view value) {
    out_.key(name);
    out_.repaired(value);
  }

  /// Why it is not whole; empty: it is, as far as anybody knows.
  std::string reason_of() const {
    if (answer_.flaw == answer_flaw::cut)
      return "max_output_tokens";
    return answer_.flaw == answer_flaw::blocked && answer_.refusal.empty() ? "content_filter" : "";
  }

  std::string id_of(std::string_view kind) {
    return std::string{kind} + to_string(answer_.id) + "_" + std::to_string(items_++);
  }

  void write_items(std::string_view status) {
    if (auto thoughts = reasoning_of(answer_); !thoughts.empty()) {
      out_.open('{');
      member("id", id_of("rs_"));
      member("type", "reasoning");
      out_.key("summary");
      out_.open('[');
      write_text("summary_text", "text", thoughts);
      out_.close(']');
      out_.close('}');
    }
    if (!answer_.text.empty() || !answer_.refusal.empty() || answer_.tool_calls.empty())
      write_message(status);
    for (auto& call : answer_.tool_calls) {
      out_.open('{');
      member("id", id_of("fc_"));
      member("type", "function_call");
      member("status", status);
      member("call_id", call.id);
      member("name", call.name);
      member("arguments", call.arguments);
      out_.close('}');
    }
  }

  void write_message(std::string_view status) {
    out_.open('{');
    member("id", id_of("msg_"));
    member("type", "message");
    member("status", status);
    member("role", "assistant");
    out_.key("content");
    out_.open('[');
    if (!answer_.text.empty() || answer_.refusal.empty())
      write_text("output_text", "text", answer_.text);
    if (!answer_.refusal.empty())
      write_text("refusal", "refusal", answer_.refusal);
    out_.close(']');
    out_.close('}');
  }

  void write_text(std::string_view type, std::string_view name, std::string_view text) {
    out_.open('{');
    member("type", type);
    member(name, text);
    if (type == "output_text") {
      out_.key("annotations");
      out_.raw("[]");
    }
    out_.close('}');
  }

  void write_usage() {
    if (!answer_.usage)
      return;
    auto& usage = *answer_.usage;
    auto count = [&](std::string_view name, uint64_t value) {
      out_.key(name);
      out_.number(value);
    };
    out_.key("usage");
    out_.open('{');
    count("input_tokens", usage.input);
    out_.key("input_tokens_details");
    out_.open('{');
    count("cached_tokens", usage.cached_read);
    out_.close('}');
    count("output_tokens", usage.output);
    out_.key("output_tokens_details");
    out_.open('{');
    count("reasoning_tokens", usage.reasoning);
    out_.close('}');
    count("total_tokens", usage.input + usage.output);
    out_.close('}');
  }

  const completion& answer_;
  std::string text_;
  json::writer out_{text_};
  int items_ = 0;
};

} // namespace

std::variant<chat_request, failure> read_response_request(std::string_view text) {
  return responses_reader{}.read(text);
}

std::string write_response(const completion& answer) {
  return response_writer{answer}.run();
}

} // namespace modelforge::wire::openai
