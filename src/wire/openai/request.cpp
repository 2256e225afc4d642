#include "wire/conversation_writer.hpp"
#include "wire/openai/parts.hpp"
#include "wire/openai/quirks.hpp"

namespace modelforge::wire::openai {

namespace {

/// Writes a request of Chat Completions, for OpenAI and whoever speaks its format. What the server's `quirks` say it
/// ignores is left out with a warning, what they say it refuses is refused here; all else is written as OpenAI
/// documents it.
class chat_writer : conversation_writer {
public:
  chat_writer(const quirks& server, const chat_request& request, bool stream)
    : conversation_writer(server.name, request, stream), quirks_(server) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/chat/completions";
    choices_field_ = "n";
    logprobs_field_ = "logprobs";
    if (quirks_.reasoning_object)
      start("text/event-stream", {"reasoning"});
    else
      start("text/event-stream");
    write_model();
    write_messages("messages", [this](auto& x) { write_message(x); });
    write_sampling();
    write_response_format();
    write_tools();
    if (quirks_.cache_key && !request_.cache_key.empty() && begin("prompt_cache_key"))
      text(request_.cache_key, "cache_key");
    write_stream();
    if (dropped_reasoning_ > 0)
      warn(std::string{quirks_.name} + " takes no reasoning back"
           + (quirks_.reasoning.empty() ? "" : " that another provider sealed") + ": "
           + std::to_string(dropped_reasoning_) + " parts were left out");
    return finish();
  }

private:
  // -- messages ----------------------------------------------------------------------

  void write_message(const chat_message& message) {
    if (!check_content(message))
      return;
    if (message.role == role::tool)
      return each_result(message, [this](auto& result) { write_result(result); });
    check_parts(message);
    auto calls = count_of<tool_call>(message);
    auto texts = count_of<text_part>(message);
    auto images = count_of<image_part>(message);
    if (calls + texts + images == 0)
      return fail("content", "has nothing but reasoning");
    object([&] {
      member_word("role", name_of(message.role == role::developer && !quirks_.developer ? role::system : message.role));
      out_.key("content");
      if (texts + images == 0)
        out_.raw("null");
      else if (texts == 1 && images == 0)
        each_of<text_part>(message, [this](auto& part) { text(part.text, "text"); });
      else
        list([&] { write_content(message); });
      if (quirks_.names && !message.name.empty())
        member_text("name", message.name, "name");
      else
        leave_out_name(message, quirks_.name);
      write_thoughts(message);
      if (calls > 0)
        member_list("tool_calls", [&] { each_of<tool_call>(message, [this](auto& call) { write_call(call); }); });
    });
  }

  /// Several texts, or images: a list of typed parts. A single text goes as a plain string, which all servers take.
  void write_content(const chat_message& message) {
    each_part(message, [this]<class T>(const T& part) {
      if constexpr (std::is_same_v<T, text_part>)
        write_text(part);
      else if constexpr (std::is_same_v<T, image_part>)
        write_image(part);
    });
  }

  /// Gives thoughts back that no other provider sealed, to who takes them.
  void write_thoughts(const chat_message& message) {
    std::string joined;
    for (auto& part : message.content)
      if (auto* thought = std::get_if<reasoning_part>(&part)) {
        auto goes_back = !quirks_.reasoning.empty() && message.role == role::assistant && thought->signature.empty();
        dropped_reasoning_ += !goes_back;
        if (goes_back)
          joined += (joined.empty() ? "" : "\n\n") + thought->text;
      }
    if (!joined.empty())
      member_text(quirks_.reasoning, joined, "content");
  }

  void write_text(const text_part& part) {
    object([&] {
      member_word("type", "text");
      member_text("text", part.text, "text");
    });
  }

  void write_image(const image_part& part) {
    object([&] {
      member_word("type", "image_url");
      member_object("image_url", [&] {
        out_.key("url");
        image_url(part);
        if (!part.detail.empty())
          member_text("detail", part.detail, "detail");
      });
    });
  }

  /// Writes an object of type "function" whose member of that name is written by `f`.
  template <class F>
  void write_function(F&& f) {
    member_word("type", "function");
    member_object("function", f);
  }

  void write_call(const tool_call& call) {
    require(call.id, "id");
    require(call.name, "name");
    object([&] {
      member_text("id", call.id, "id");
      write_function([&] {
        member_text("name", call.name, "name");
        member_text("arguments", call.arguments.empty() ? "{}" : call.arguments, "arguments");
      });
    });
  }

  /// Each result is a message of its own: the format knows no other way.
  void write_result(const tool_result& result) {
    require(result.call_id, "call_id");
    if (result.is_error)
      result_.warnings.push_back(place() + "is_error: there is no such field here; only the content tells it");
    object([&] {
      member_word("role", "tool");
      member_text("tool_call_id", result.call_id, "call_id");
      member_text("content", result.content, "content");
    });
  }

  // -- the rest ----------------------------------------------------------------------

  /// Names of fields differ by server (`quirks`); values never do.
  void write_sampling() {
    auto& s = request_.sampling;
    number(quirks_.max_tokens, s.max_tokens, "sampling.max_tokens");
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    if (may_send(quirks_.top_k, s.top_k.has_value(), "sampling.top_k", "use top_p"))
      number("top_k", s.top_k, "sampling.top_k");
    number("frequency_penalty", s.frequency_penalty, "sampling.frequency_penalty");
    number("presence_penalty", s.presence_penalty, "sampling.presence_penalty");
    if (may_send(quirks_.seeds, s.seed.has_value(), "sampling.seed", "leave it out"))
      number(quirks_.seed, s.seed, "sampling.seed");
    texts("stop", s.stop, "sampling.stop");
    if (quirks_.reasoning_object)
      return merge("reasoning", [this] { write_reasoning(); });
    if (s.reasoning_budget)
      unsupported("sampling.reasoning_budget", "use reasoning_effort, or give the server's own field in extra");
    if (!s.reasoning_effort.empty() && begin("reasoning_effort"))
      text(s.reasoning_effort, "sampling.reasoning_effort");
  }

  /// Whether to send a field that is set.
  bool may_send(support known, bool is_set, std::string_view field, std::string suggestion) {
    if (!is_set || known == support::yes)
      return is_set;
    if (known == support::no)
      unsupported(field, std::move(suggestion));
    else
      warn(std::string{field} + ": " + std::string{quirks_.name} + " would ignore it; it was left out");
    return false;
  }

  /// Only one of the two may be given.
  void write_reasoning() {
    auto& s = request_.sampling;
    if (s.reasoning_budget && !s.reasoning_effort.empty())
      warn("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
    number("max_tokens", s.reasoning_budget, "sampling.reasoning_budget");
    if (!s.reasoning_budget && !s.reasoning_effort.empty() && begin("effort"))
      text(s.reasoning_effort, "sampling.reasoning_effort");
  }

  /// JSON in general, or by a schema where the server enforces one.
  void write_response_format() {
    auto& format = request_.response_format;
    if (format.kind == response_kind::json_schema && !quirks_.json_schema)
      unsupported("response_format.schema", "use json_object, and describe the schema in the prompt");
    if (format.kind == response_kind::text || !begin("response_format"))
      return;
    object([&] {
      member_word("type", name_of(format.kind));
      if (format.kind == response_kind::json_schema)
        member_object("json_schema", [&] {
          auto name = format.name.empty() ? "answer" : std::string_view{format.name}; // the format demands one
          member_text("name", name, "response_format.name");
          out_.key("schema");
          embed(format.schema, "response_format.schema");
          member_flag("strict", format.strict);
        });
    });
  }

  /// Tools, which of them may be called, and whether several at once.
  void write_tools() {
    auto& choice = request_.tool_choice;
    auto is_forced = choice.mode == tool_mode::required || choice.mode == tool_mode::named;
    if (is_forced && quirks_.required.empty())
      unsupported("tool_choice",
                  std::string{quirks_.name} + " lets the model choose: offer only the tool that it shall call");
    if (choice.mode == tool_mode::named && !quirks_.named_tool)
      unsupported("tool_choice.name", "offer only the tool that it shall call, and use \"required\"");
    if (choice.mode == tool_mode::none && quirks_.required.empty())
      return; // without tools none is called
    if (!request_.tools.empty() && begin("tools"))
      write_tool_list([this](auto& tool) { write_tool(tool); });
    if (choice.mode != tool_mode::automatic && begin("tool_choice"))
      write_choice();
    auto is_told =
      choice.parallel && (quirks_.parallel == support::yes || !*choice.parallel); // to allow it is the default
    if (may_send(quirks_.parallel, is_told, "tool_choice.parallel", "leave it out") && begin("parallel_tool_calls"))
      out_.boolean(*choice.parallel);
  }

  void write_tool(const tool_definition& tool) {
    require(tool.name, "name");
    object([&] {
      write_function([&] {
        member_text("name", tool.name, "name");
        if (!tool.description.empty())
          member_text("description", tool.description, "description");
        if (!tool.parameters.empty()) {
          out_.key("parameters");
          embed(tool.parameters, "parameters");
        }
        if (tool.strict)
          member_flag("strict", true);
      });
    });
  }

  /// `required` is a word of the server's own; a named tool is an object.
  void write_choice() {
    auto& choice = request_.tool_choice;
    if (choice.mode == tool_mode::required)
      return text(quirks_.required, "tool_choice");
    if (choice.mode != tool_mode::named)
      return text(to_string(choice.mode), "tool_choice");
    require(choice.name, "tool_choice.name");
    object([&] { write_function([&] { member_text("name", choice.name, "tool_choice.name"); }); });
  }

  /// Some gateways stream unless told not to. Usage must be asked for in a stream; some servers send it unasked and
  /// refuse the question.
  void write_stream() {
    if (stream_ || !quirks_.is_strict)
      member_flag("stream", stream_); // nothing that `extra` can replace
    if (!stream_)
      return;
    if (!quirks_.stream_options || !begin("stream_options"))
      return;
    object([&] {
      member_flag("include_usage", true);
      if (quirks_.obfuscation)
        member_flag("include_obfuscation", false); // padding of no use to us
    });
  }

  const quirks& quirks_;
  std::size_t dropped_reasoning_ = 0;
};

} // namespace

std::variant<encoded_request, failure> write_request(const quirks& server, const chat_request& request, bool stream) {
  return chat_writer{server, request, stream}.run();
}

} // namespace modelforge::wire::openai
