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
      warn(std::string{is_.name} + " takes no reasoning back: " + std::to_string(dropped_reasoning_)
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
    dropped_reasoning_ += count_of<reasoning_part>(x);
    auto calls = count_of<tool_call>(x);
    auto texts = count_of<text_part>(x);
    auto images = count_of<image_part>(x);
    if (calls + texts + images == 0)
      return fail("content", "has nothing but reasoning");
    out_.open('{');
    out_.key("role");
    out_.raw('"' + to_string(x.role) + '"');
    out_.key("content");
    if (texts + images == 0)
      out_.raw("null");
    else
      write_content(x, texts == 1 && images == 0);
    if (!x.name.empty()) {
      out_.key("name");
      text(x.name, "name");
    }
    if (calls > 0)
      write_calls(x);
    out_.close('}');
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
    if (s.top_k && !is_.top_k)
      unsupported("sampling.top_k", "use top_p");
    number("top_k", s.top_k, "sampling.top_k");
    number("frequency_penalty", s.frequency_penalty, "sampling.frequency_penalty");
    number("presence_penalty", s.presence_penalty, "sampling.presence_penalty");
    number("seed", s.seed, "sampling.seed");
    if (s.reasoning_budget)
      unsupported("sampling.reasoning_budget", "use reasoning_effort, or give the server's own field in extra");
    texts("stop", s.stop, "sampling.stop");
    if (!s.reasoning_effort.empty() && begin("reasoning_effort"))
      text(s.reasoning_effort, "sampling.reasoning_effort");
  }

  void write_response_format() {
    auto& format = x_.response_format;
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
    if (!x_.tools.empty() && begin("tools")) {
      out_.open('[');
      list_ = "tools";
      for (item_ = 0; item_ < x_.tools.size(); ++item_)
        write_tool(x_.tools[item_]);
      list_ = nullptr;
      out_.close(']');
    }
    auto& choice = x_.tool_choice;
    if (choice.mode != tool_mode::automatic && begin("tool_choice")) {
      if (choice.mode == tool_mode::named)
        write_named_choice();
      else
        out_.raw('"' + to_string(choice.mode) + '"');
    }
    if (choice.parallel && begin("parallel_tool_calls"))
      out_.boolean(*choice.parallel);
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
    if (!begin("stream_options"))
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
