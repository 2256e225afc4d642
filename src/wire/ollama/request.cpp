#include "wire/ollama/ollama.hpp"
#include "wire/request_writer.hpp"

namespace modelforge::wire {

namespace {

constexpr auto efforts = std::to_array<std::string_view>({"low", "medium", "high", "max"});

class ollama_writer : request_writer {
public:
  ollama_writer(const chat_request& x, bool stream) : request_writer("ollama", x, stream) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/api/chat";
    start("application/x-ndjson", {"options"});
    write_model();
    write_messages();
    write_tools();
    write_format();
    write_think();
    out_.key("stream"); // it defaults to true
    out_.boolean(stream_);
    merge("options", [this] { write_options(); });
    return finish();
  }

private:
  // -- the conversation --------------------------------------------------------------

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
    if (!x.name.empty())
      warn(place() + "name: ollama knows no names of participants; it was left out");
    if (x.role == role::tool)
      return write_tool_results(x);
    check_parts(x);
    out_.open('{');
    out_.key("role");
    out_.raw('"' + to_string(x.role == role::developer ? role::system : x.role) + '"');
    out_.key("content");
    write_joined<text_part>(x, "text");
    if (count_of<reasoning_part>(x) > 0) {
      out_.key("thinking");
      write_joined<reasoning_part>(x, "text");
    }
    if (count_of<image_part>(x) > 0)
      write_list<image_part>(x, "images", [this](auto& image) { text(image.data, "data"); });
    if (count_of<tool_call>(x) > 0)
      write_list<tool_call>(x, "tool_calls", [this](auto& call) { write_call(call); });
    out_.close('}');
  }

  /// Refuses what a role cannot say, and images that are no data.
  void check_parts(const chat_message& x) {
    for (part_ = 0; part_ < x.content.size() && !failed(); ++part_) {
      auto& part = x.content[part_];
      if (std::holds_alternative<tool_result>(part))
        fail("", "is a tool's result, which needs the role tool");
      if (std::holds_alternative<tool_call>(part) && x.role != role::assistant)
        fail("", "is a tool call, which needs the role assistant");
      if (std::holds_alternative<reasoning_part>(part) && x.role != role::assistant)
        fail("", "is reasoning, which needs the role assistant");
      if (auto* image = std::get_if<image_part>(&part))
        check_image(*image, x.role);
    }
    part_ = none;
  }

  void check_image(const image_part& x, role who) {
    if (who != role::user)
      fail("", "is an image, which needs the role user", errc::unsupported);
    if (x.url.empty() == x.data.empty())
      fail("", "is an image that needs either url or data");
    if (!x.url.empty())
      unsupported("url", "give the image's bytes in data");
    if (!x.detail.empty())
      warn(place() + "detail: ollama has no such field; it was left out");
  }

  /// One string of all texts of that kind, a line break between them.
  template <class T>
  void write_joined(const chat_message& x, std::string_view field) {
    std::string joined;
    auto is_first = true;
    for (part_ = 0; part_ < x.content.size(); ++part_)
      if (auto* part = std::get_if<T>(&x.content[part_])) {
        if (!utf8::is_valid(part->text))
          fail(field, "is not UTF-8");
        joined += (is_first ? "" : "\n") + part->text;
        is_first = false;
      }
    part_ = none;
    text(joined, field);
  }

  template <class T, class F>
  void write_list(const chat_message& x, std::string_view name, F write) {
    out_.key(name);
    out_.open('[');
    for (part_ = 0; part_ < x.content.size(); ++part_)
      if (auto* part = std::get_if<T>(&x.content[part_]))
        write(*part);
    part_ = none;
    out_.close(']');
  }

  void write_call(const tool_call& x) {
    if (x.name.empty())
      fail("name", "is empty");
    out_.open('{');
    if (!x.id.empty())
      member_text("id", x.id, "id");
    out_.key("function");
    out_.open('{');
    member_text("name", x.name, "name");
    out_.key("arguments");
    embed(x.arguments.empty() ? "{}" : x.arguments, "arguments");
    out_.close('}');
    out_.close('}');
  }

  /// One message for each result.
  void write_tool_results(const chat_message& x) {
    for (part_ = 0; part_ < x.content.size() && !failed(); ++part_) {
      auto* result = std::get_if<tool_result>(&x.content[part_]);
      if (result == nullptr)
        return fail("", "is no tool's result, and the role tool has nothing else");
      if (result->is_error)
        warn(place() + "is_error: there is no such field here; only the content tells it");
      out_.open('{');
      out_.key("role");
      out_.raw(R"("tool")");
      member_text("content", result->content, "content");
      if (auto* call = call_of(result->call_id))
        member_text("tool_name", call->name, "call_id");
      if (!result->call_id.empty())
        member_text("tool_call_id", result->call_id, "call_id");
      out_.close('}');
    }
    part_ = none;
  }

  // -- the rest ----------------------------------------------------------------------

  void write_tools() {
    auto& choice = x_.tool_choice;
    if (choice.mode == tool_mode::required || choice.mode == tool_mode::named)
      unsupported("tool_choice", "ollama lets the model choose: offer only the tool that it shall call");
    if (choice.parallel == false)
      unsupported("tool_choice.parallel", "say in the prompt that only one tool may be called at a time");
    if (x_.tools.empty() || choice.mode == tool_mode::none || !begin("tools"))
      return;
    out_.open('[');
    list_ = "tools";
    for (item_ = 0; item_ < x_.tools.size(); ++item_)
      write_tool(x_.tools[item_]);
    list_ = nullptr;
    out_.close(']');
  }

  void write_tool(const tool_definition& x) {
    if (x.name.empty())
      fail("name", "is empty");
    if (x.strict)
      warn(place() + "strict: ollama has no such field; it was left out");
    out_.open('{');
    out_.key("type");
    out_.raw(R"("function")");
    out_.key("function");
    out_.open('{');
    member_text("name", x.name, "name");
    if (!x.description.empty())
      member_text("description", x.description, "description");
    if (!x.parameters.empty()) {
      out_.key("parameters");
      embed(x.parameters, "parameters");
    }
    out_.close('}');
    out_.close('}');
  }

  void write_format() {
    auto& format = x_.response_format;
    if (format.kind == response_kind::text || !begin("format"))
      return;
    if (format.kind == response_kind::json_object)
      out_.raw(R"("json")");
    else
      embed(format.schema, "response_format.schema");
  }

  void write_think() {
    auto& s = x_.sampling;
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
    auto& s = x_.sampling;
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

class ollama_dialect : public dialect {
public:
  std::string_view name() const override { return "ollama"; }

  std::string_view default_base_url() const override { return "http://127.0.0.1:11434"; }

  /// Only its cloud asks for one.
  http::header authorize(std::string_view key) const override {
    return {"authorization", "Bearer " + std::string{key}};
  }

  std::variant<encoded_request, failure> encode(const chat_request& x, bool stream) const override {
    return write_ollama_request(x, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    auto result = read_whole(*ollama_answer(head), body);
    if (auto* bad = std::get_if<failure>(&result))
      return with_pull_hint(std::move(*bad));
    return result;
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(ollama_answer(head), framing::lines);
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::none; }

  optimizable optimizations() const override { return {.keep_alive = true}; }

  std::size_t most_inputs() const override { return 256; } // it has no limit; one request must end in its time

  std::variant<encoded_request, failure> encode_embedding(const embedding_request& x) const override {
    return write_ollama_embedding(x);
  }

  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override {
    return read_ollama_embedding(head, body, inputs);
  }

  std::string_view models_path() const override { return "/api/tags"; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = read_names(head, body, "models", "name");
    if (auto* bad = std::get_if<failure>(&result))
      return ollama_answer(head)->fitted(std::move(*bad));
    return result;
  }
};

} // namespace

std::variant<encoded_request, failure> write_ollama_request(const chat_request& x, bool stream) {
  return ollama_writer{x, stream}.run();
}

failure with_pull_hint(failure x) {
  if (x.code == errc::not_found)
    x.suggestion += "; `ollama pull` fetches models";
  return x;
}

const dialect& ollama() {
  static const ollama_dialect x;
  return x;
}

} // namespace modelforge::wire
