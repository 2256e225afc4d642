#include "wire/conversation_writer.hpp"
#include "wire/ollama/ollama.hpp"

namespace modelforge::wire::ollama {

namespace {

constexpr auto efforts = std::to_array<std::string_view>({"low", "medium", "high", "max"});

/// Writes a request of Ollama's /api/chat. A message has one text and one thought, so parts are joined; images go
/// beside them as plain base64. Sampling stands in `options`, where `extra` may add to it.
class chat_writer : conversation_writer {
public:
  chat_writer(const chat_request& request, bool stream) : conversation_writer("ollama", request, stream) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/api/chat";
    logprobs_field_ = "logprobs";
    start("application/x-ndjson", {"options"});
    write_model();
    write_messages("messages", [this](auto& x) { write_message(x); });
    write_tools();
    write_format();
    write_think();
    member_flag("stream", stream_); // it defaults to true
    merge("options", [this] { write_options(); });
    return finish();
  }

private:
  // -- the conversation --------------------------------------------------------------

  void write_message(const chat_message& message) {
    if (!check_content(message))
      return;
    leave_out_name(message, "ollama");
    if (message.role == role::tool)
      return each_result(message, [this](auto& result) { write_result(result); });
    each_part(message, [&](auto& part) { check(message.role, part); });
    object([&] {
      member_word("role", name_of(message.role == role::developer ? role::system : message.role));
      member_joined<text_part>("content", message);
      if (count_of<reasoning_part>(message) > 0)
        member_joined<reasoning_part>("thinking", message);
      if (count_of<image_part>(message) > 0)
        member_list("images", [&] { each_of<image_part>(message, [this](auto& image) { text(image.data, "data"); }); });
      if (count_of<tool_call>(message) > 0)
        member_list("tool_calls", [&] { each_of<tool_call>(message, [this](auto& call) { write_call(call); }); });
    });
  }

  void check(role who, const auto& part) { may_say(who, part); }

  /// Takes images that are data.
  void check(role who, const image_part& part) {
    if (!may_say(who, part))
      return;
    if (part.url.empty() == part.data.empty())
      fail("", "is an image that needs either url or data");
    if (!part.url.empty())
      unsupported("url", "give the image's bytes in data");
    if (!part.detail.empty())
      warn(place() + "detail: ollama has no such field; it was left out");
  }

  /// Writes all texts of that kind as one, a line break between them.
  template <class T>
  void member_joined(std::string_view name, const chat_message& message) {
    std::string joined;
    auto is_first = true;
    each_of<T>(message, [&](auto& part) {
      if (!utf8::is_valid(part.text))
        fail("text", "is not UTF-8");
      joined += (is_first ? "" : "\n") + part.text;
      is_first = false;
    });
    member_text(name, joined, "text");
  }

  void write_call(const tool_call& call) {
    require(call.name, "name");
    object([&] {
      if (!call.id.empty())
        member_text("id", call.id, "id");
      member_object("function", [&] {
        member_text("name", call.name, "name");
        out_.key("arguments");
        embed(call.arguments.empty() ? "{}" : call.arguments, "arguments");
      });
    });
  }

  /// Each result is a message of its own.
  void write_result(const tool_result& result) {
    if (result.is_error)
      warn(place() + "is_error: there is no such field here; only the content tells it");
    object([&] {
      member_word("role", "tool");
      member_text("content", result.content, "content");
      if (auto* call = call_of(result.call_id))
        member_text("tool_name", call->name, "call_id");
      if (!result.call_id.empty())
        member_text("tool_call_id", result.call_id, "call_id");
    });
  }

  // -- the rest ----------------------------------------------------------------------

  /// The model always chooses for itself; without tools it calls none.
  void write_tools() {
    auto& choice = request_.tool_choice;
    if (choice.mode == tool_mode::required || choice.mode == tool_mode::named)
      unsupported("tool_choice", "ollama lets the model choose: offer only the tool that it shall call");
    if (choice.parallel == false)
      unsupported("tool_choice.parallel", "say in the prompt that only one tool may be called at a time");
    if (!request_.tools.empty() && choice.mode != tool_mode::none && begin("tools"))
      write_tool_list([this](auto& tool) { write_tool(tool); });
  }

  void write_tool(const tool_definition& tool) {
    require(tool.name, "name");
    if (tool.strict)
      warn(place() + "strict: ollama has no such field; it was left out");
    object([&] {
      member_word("type", "function");
      member_object("function", [&] {
        member_text("name", tool.name, "name");
        if (!tool.description.empty())
          member_text("description", tool.description, "description");
        if (!tool.parameters.empty()) {
          out_.key("parameters");
          embed(tool.parameters, "parameters");
        }
      });
    });
  }

  /// The word "json", or the schema itself.
  void write_format() {
    auto& format = request_.response_format;
    if (format.kind == response_kind::text || !begin("format"))
      return;
    if (format.kind == response_kind::json_object)
      out_.word("json");
    else
      embed(format.schema, "response_format.schema");
  }

  /// A budget of 0, like the effort "none", switches thinking off; other budgets cannot be expressed.
  void write_think() {
    auto& s = request_.sampling;
    if (s.reasoning_budget && *s.reasoning_budget > 0)
      unsupported("sampling.reasoning_budget", "use reasoning_effort; a budget of 0 switches thinking off");
    auto is_off = s.reasoning_budget || s.reasoning_effort == "none";
    if ((!is_off && s.reasoning_effort.empty()) || !begin("think"))
      return;
    if (is_off)
      return out_.boolean(false);
    if (std::find(efforts.begin(), efforts.end(), s.reasoning_effort) == efforts.end())
      unsupported("sampling.reasoning_effort", R"(use "none", "low", "medium", "high" or "max")");
    text(s.reasoning_effort, "sampling.reasoning_effort");
  }

  void write_options() {
    auto& s = request_.sampling;
    number("num_predict", s.max_tokens, "sampling.max_tokens");
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    number("top_k", s.top_k, "sampling.top_k");
    number("frequency_penalty", s.frequency_penalty, "sampling.frequency_penalty");
    number("presence_penalty", s.presence_penalty, "sampling.presence_penalty");
    number("seed", s.seed, "sampling.seed");
    texts("stop", s.stop, "sampling.stop");
  }
};

} // namespace

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream) {
  return chat_writer{request, stream}.run();
}

} // namespace modelforge::wire::ollama
