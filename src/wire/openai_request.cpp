#include "wire/openai_parts.hpp"
#include "wire/openai_quirks.hpp"
#include "wire/request_writer.hpp"

namespace modelforge::wire {

namespace {

class encoder : request_writer {
public:
  encoder(const quirks& is, const chat_request& x, bool stream) : request_writer(is.name, x, stream), is_(is) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/chat/completions";
    if (is_.reasoning_object)
      start("text/event-stream", {"reasoning"});
    else
      start("text/event-stream");
    write_model();
    write_messages();
    write_sampling();
    write_response_format();
    write_tools();
    if (is_.cache_key && !x_.cache_key.empty() && begin("prompt_cache_key"))
      text(x_.cache_key, "cache_key");
    write_stream();
    if (dropped_reasoning_ > 0)
      warn(std::string{is_.name} + " takes no reasoning back"
           + (is_.reasoning.empty() ? "" : " that another provider sealed") + ": " + std::to_string(dropped_reasoning_)
           + " parts were left out");
    return finish();
  }

private:
  // -- parts of the request ----------------------------------------------------------

  void write_messages() {
    if (!begin("messages"))
      return;
    if (x_.messages.empty())
      return fail("messages", "is empty");
    out_.open('[');
    list_ = "messages";
    for (item_ = 0; item_ < x_.messages.size() && !failed(); ++item_)
      write_message(x_.messages[item_]);
    list_ = nullptr;
    out_.close(']');
  }

  void write_message(const chat_message& x) {
    if (x.content.empty())
      return fail("content", "is empty");
    if (x.role == role::tool)
      return write_tool_results(x);
    check_parts(x);
    auto calls = count_of<tool_call>(x);
    auto texts = count_of<text_part>(x);
    auto images = count_of<image_part>(x);
    if (calls + texts + images == 0)
      return fail("content", "has nothing but reasoning");
    out_.open('{');
    out_.key("role");
    out_.raw('"' + to_string(x.role == role::developer && !is_.developer ? role::system : x.role) + '"');
    out_.key("content");
    if (texts + images == 0)
      out_.raw("null");
    else
      write_content(x, texts == 1 && images == 0);
    if (!x.name.empty() && is_.names)
      member_text("name", x.name, "name");
    else if (!x.name.empty())
      warn(place() + "name: " + std::string{is_.name} + " knows no names of participants; it was left out");
    write_thoughts(x);
    if (calls > 0)
      write_calls(x);
    out_.close('}');
  }

  /// Gives thoughts back that no other provider sealed, to who takes them.
  void write_thoughts(const chat_message& x) {
    std::string joined;
    for (auto& part : x.content)
      if (auto* thought = std::get_if<reasoning_part>(&part)) {
        auto goes_back = !is_.reasoning.empty() && x.role == role::assistant && thought->signature.empty();
        dropped_reasoning_ += !goes_back;
        if (goes_back)
          joined += (joined.empty() ? "" : "\n\n") + thought->text;
      }
    if (!joined.empty())
      member_text(is_.reasoning, joined, "content");
  }

  void write_content(const chat_message& x, bool single) {
    if (!single)
      out_.open('[');
    for (part_ = 0; part_ < x.content.size(); ++part_)
      if (auto* piece = std::get_if<text_part>(&x.content[part_]))
        single ? text(piece->text, "text") : write_text(*piece);
      else if (auto* image = std::get_if<image_part>(&x.content[part_]))
        write_image(*image);
    part_ = none;
    if (!single)
      out_.close(']');
  }

  void write_text(const text_part& x) {
    out_.open('{');
    out_.key("type");
    out_.raw(R"("text")");
    out_.key("text");
    text(x.text, "text");
    out_.close('}');
  }

  void write_image(const image_part& x) {
    out_.open('{');
    out_.key("type");
    out_.raw(R"("image_url")");
    out_.key("image_url");
    out_.open('{');
    out_.key("url");
    image_url(x);
    if (!x.detail.empty()) {
      out_.key("detail");
      text(x.detail, "detail");
    }
    out_.close('}');
    out_.close('}');
  }

  void write_calls(const chat_message& x) {
    out_.key("tool_calls");
    out_.open('[');
    for (part_ = 0; part_ < x.content.size(); ++part_)
      if (auto* call = std::get_if<tool_call>(&x.content[part_]))
        write_call(*call);
    part_ = none;
    out_.close(']');
  }

  void write_call(const tool_call& x) {
    if (x.id.empty())
      fail("id", "is empty");
    if (x.name.empty())
      fail("name", "is empty");
    out_.open('{');
    out_.key("id");
    text(x.id, "id");
    out_.key("type");
    out_.raw(R"("function")");
    out_.key("function");
    out_.open('{');
    out_.key("name");
    text(x.name, "name");
    out_.key("arguments");
    text(x.arguments.empty() ? "{}" : x.arguments, "arguments");
    out_.close('}');
    out_.close('}');
  }

  /// One message for each result: the format knows no other way.
  void write_tool_results(const chat_message& x) {
    for (part_ = 0; part_ < x.content.size(); ++part_) {
      auto* result = std::get_if<tool_result>(&x.content[part_]);
      if (result == nullptr)
        return fail("", "is no tool's result, and the role tool has nothing else");
      if (result->call_id.empty())
        return fail("call_id", "is empty");
      if (result->is_error)
        result_.warnings.push_back(place() + "is_error: there is no such field here; only the content tells it");
      out_.open('{');
      out_.key("role");
      out_.raw(R"("tool")");
      out_.key("tool_call_id");
      text(result->call_id, "call_id");
      out_.key("content");
      text(result->content, "content");
      out_.close('}');
    }
    part_ = none;
  }

  void write_sampling() {
    auto& s = x_.sampling;
    number(is_.max_tokens, s.max_tokens, "sampling.max_tokens");
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    if (may_send(is_.top_k, s.top_k.has_value(), "sampling.top_k", "use top_p"))
      number("top_k", s.top_k, "sampling.top_k");
    number("frequency_penalty", s.frequency_penalty, "sampling.frequency_penalty");
    number("presence_penalty", s.presence_penalty, "sampling.presence_penalty");
    if (may_send(is_.seeds, s.seed.has_value(), "sampling.seed", "leave it out"))
      number(is_.seed, s.seed, "sampling.seed");
    texts("stop", s.stop, "sampling.stop");
    if (is_.reasoning_object)
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
      warn(std::string{field} + ": " + std::string{is_.name} + " would ignore it; it was left out");
    return false;
  }

  /// Only one of the two may be given.
  void write_reasoning() {
    auto& s = x_.sampling;
    if (s.reasoning_budget && !s.reasoning_effort.empty())
      warn("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
    number("max_tokens", s.reasoning_budget, "sampling.reasoning_budget");
    if (!s.reasoning_budget && !s.reasoning_effort.empty() && begin("effort"))
      text(s.reasoning_effort, "sampling.reasoning_effort");
  }

  void write_response_format() {
    auto& format = x_.response_format;
    if (format.kind == response_kind::json_schema && !is_.json_schema)
      unsupported("response_format.schema", "use json_object, and describe the schema in the prompt");
    if (format.kind == response_kind::text || !begin("response_format"))
      return;
    out_.open('{');
    out_.key("type");
    out_.raw('"' + to_string(format.kind) + '"');
    if (format.kind == response_kind::json_schema) {
      out_.key("json_schema");
      out_.open('{');
      out_.key("name");
      text(format.name.empty() ? "answer" : format.name, "response_format.name"); // the format demands one
      out_.key("schema");
      embed(format.schema, "response_format.schema");
      out_.key("strict");
      out_.boolean(format.strict);
      out_.close('}');
    }
    out_.close('}');
  }

  void write_tools() {
    auto& choice = x_.tool_choice;
    auto is_forced = choice.mode == tool_mode::required || choice.mode == tool_mode::named;
    if (is_forced && is_.required.empty())
      unsupported("tool_choice",
                  std::string{is_.name} + " lets the model choose: offer only the tool that it shall call");
    if (choice.mode == tool_mode::named && !is_.named_tool)
      unsupported("tool_choice.name", "offer only the tool that it shall call, and use \"required\"");
    if (choice.mode == tool_mode::none && is_.required.empty())
      return; // without tools none is called
    if (!x_.tools.empty() && begin("tools")) {
      out_.open('[');
      list_ = "tools";
      for (item_ = 0; item_ < x_.tools.size(); ++item_)
        write_tool(x_.tools[item_]);
      list_ = nullptr;
      out_.close(']');
    }
    if (choice.mode != tool_mode::automatic && begin("tool_choice"))
      write_choice();
    auto is_told = choice.parallel && (is_.parallel == support::yes || !*choice.parallel); // to allow it is the default
    if (may_send(is_.parallel, is_told, "tool_choice.parallel", "leave it out") && begin("parallel_tool_calls"))
      out_.boolean(*choice.parallel);
  }

  void write_choice() {
    switch (x_.tool_choice.mode) {
      case tool_mode::named:
        return write_named_choice();
      case tool_mode::required:
        return text(is_.required, "tool_choice");
      default:
        return text(to_string(x_.tool_choice.mode), "tool_choice");
    }
  }

  void write_tool(const tool_definition& x) {
    if (x.name.empty())
      fail("name", "is empty");
    out_.open('{');
    out_.key("type");
    out_.raw(R"("function")");
    out_.key("function");
    out_.open('{');
    out_.key("name");
    text(x.name, "name");
    if (!x.description.empty()) {
      out_.key("description");
      text(x.description, "description");
    }
    if (!x.parameters.empty()) {
      out_.key("parameters");
      embed(x.parameters, "parameters");
    }
    if (x.strict) {
      out_.key("strict");
      out_.boolean(true);
    }
    out_.close('}');
    out_.close('}');
  }

  void write_named_choice() {
    if (x_.tool_choice.name.empty())
      fail("tool_choice.name", "is empty");
    out_.open('{');
    out_.key("type");
    out_.raw(R"("function")");
    out_.key("function");
    out_.open('{');
    out_.key("name");
    text(x_.tool_choice.name, "tool_choice.name");
    out_.close('}');
    out_.close('}');
  }

  void write_stream() {
    if (!stream_)
      return;
    out_.key("stream"); // nothing that `extra` can replace
    out_.boolean(true);
    if (!is_.stream_options || !begin("stream_options"))
      return;
    out_.open('{');
    out_.key("include_usage");
    out_.boolean(true);
    if (is_.obfuscation) {
      out_.key("include_obfuscation"); // padding of no use to us
      out_.boolean(false);
    }
    out_.close('}');
  }

  const quirks& is_;
  std::size_t dropped_reasoning_ = 0;
};

} // namespace

std::variant<encoded_request, failure> write_openai_request(const quirks& is, const chat_request& x, bool stream) {
  return encoder{is, x, stream}.run();
}

} // namespace modelforge::wire
