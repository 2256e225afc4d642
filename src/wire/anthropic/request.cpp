#include "wire/anthropic/anthropic.hpp"
#include "wire/anthropic/model_family.hpp"
#include "wire/anthropic/thinking.hpp"
#include "wire/request_writer.hpp"

#include <array>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_marks = 4; ///< For the cache.
constexpr auto short_cache = std::chrono::minutes{5};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == text.npos;
}

class anthropic_writer : request_writer {
public:
  anthropic_writer(const chat_request& x, bool stream)
    : request_writer("anthropic", x, stream), family_(family_of(x.model)), plan_(plan_thinking(x, family_)) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/v1/messages";
    start("text/event-stream", {"output_config"});
    write_model();
    check_thinking();
    plan_marks();
    write_max_tokens();
    write_tools();
    write_system();
    write_messages();
    write_sampling();
    write_stops();
    check_absent();
    write_thinking();
    merge("output_config", [this] { write_output(); });
    if (stream_ && begin("stream"))
      out_.boolean(true);
    return finish();
  }

private:
  static bool is_system(const chat_message& x) { return x.role == role::system || x.role == role::developer; }

  // -- thinking and length -----------------------------------------------------------

  void check_thinking() {
    for (auto& x : plan_.warnings)
      warn(x);
    if (auto& x = plan_.problem)
      fail(x->field, x->why, x->code, x->suggestion);
  }

  /// The one field that others leave to the provider. What was thought counts too.
  void write_max_tokens() {
    auto most = x_.sampling.max_tokens;
    if (most && plan_.budget && *most <= *plan_.budget)
      fail("sampling.max_tokens", "must be more than the " + std::to_string(*plan_.budget) + " tokens for thinking");
    if (most == 0u && stream_)
      fail("sampling.max_tokens", "is 0, which only fills the cache and cannot be streamed");
    if (!begin("max_tokens"))
      return;
    if (!most) {
      most = family_.usual_output + plan_.room;
      warn("sampling.max_tokens: anthropic needs one; " + std::to_string(*most) + " was sent");
    }
    out_.number(*most);
  }

  void write_thinking() {
    if ((!plan_.budget && !plan_.is_adaptive && !plan_.is_off) || !begin("thinking"))
      return;
    out_.open('{');
    out_.key("type");
    out_.raw(plan_.budget ? R"("enabled")" : plan_.is_adaptive ? R"("adaptive")" : R"("disabled")");
    if (plan_.budget) {
      out_.key("budget_tokens");
      out_.number(*plan_.budget);
    }
    if (plan_.is_adaptive && family_.thinks != thinking_kind::either) { // up to 4.6 they show it anyway
      out_.key("display");
      out_.raw(R"("summarized")");
    }
    out_.close('}');
  }

  void write_output() {
    if (plan_.is_adaptive && begin("effort"))
      text(x_.sampling.reasoning_effort, "sampling.reasoning_effort");
    auto& format = x_.response_format;
    if (format.kind == response_kind::json_object)
      unsupported("response_format.kind", "give a schema (json_schema), or ask for JSON in the prompt");
    if (format.kind != response_kind::json_schema || !begin("format"))
      return;
    out_.open('{');
    out_.key("type");
    out_.raw(R"("json_schema")");
    out_.key("schema");
    embed(format.schema, "response_format.schema");
    out_.close('}');
  }

  void write_sampling() {
    auto& s = x_.sampling;
    if (s.temperature && (*s.temperature < 0 || *s.temperature > 1))
      fail("sampling.temperature", "is not from 0 to 1, which is what anthropic takes");
    if (!family_.takes_sampling)
      return check_no_sampling();
    if (s.temperature && s.top_p && x_.model.find("claude-3") == x_.model.npos)
      fail("sampling.top_p", "cannot be given beside temperature to " + x_.model);
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    number("top_k", s.top_k, "sampling.top_k");
  }

  /// What says no more than the default is left out.
  void check_no_sampling() {
    auto& s = x_.sampling;
    auto refuse = [this](std::string_view field) {
      fail(field, "is nothing that " + x_.model + " takes", errc::unsupported, "leave it out, or use an older model");
    };
    if (s.temperature && *s.temperature != 1)
      refuse("sampling.temperature");
    if (s.top_p && *s.top_p != 1)
      refuse("sampling.top_p");
    if (s.top_k)
      refuse("sampling.top_k");
  }

  void write_stops() {
    auto& s = x_.sampling;
    if (std::any_of(s.stop.begin(), s.stop.end(), is_blank))
      fail("sampling.stop", "has a text of nothing but white space, which anthropic refuses");
    texts("stop_sequences", s.stop, "sampling.stop");
  }

  void check_absent() {
    auto& s = x_.sampling;
    if (s.seed)
      unsupported("sampling.seed", "leave it out: answers cannot be made to repeat");
    if (s.frequency_penalty)
      unsupported("sampling.frequency_penalty", "leave it out");
    if (s.presence_penalty)
      unsupported("sampling.presence_penalty", "leave it out");
  }

  // -- marks for the cache ---------------------------------------------------------------

  /// The provider takes the first marks it meets and refuses more than four: here the last ones count, since the
  /// longest prefix saves most.
  void plan_marks() {
    std::size_t marks = 0;
    for (auto& tool : x_.tools)
      marks += tool.cache;
    for (auto& message : x_.messages)
      for (auto& part : message.content)
        marks += is_marked(part);
    if (marks <= most_marks)
      return;
    skipped_marks_ = marks - most_marks;
    warn("messages: anthropic takes four marks for its cache; of " + std::to_string(marks)
         + " the last four were sent");
  }

  static bool is_marked(const content_part& part) {
    struct visitor {
      bool operator()(const text_part& x) const { return x.cache && !is_blank(x.text); }
      bool operator()(const image_part& x) const { return x.cache; }
      bool operator()(const tool_result& x) const { return x.cache; }
      bool operator()(const tool_call&) const { return false; }
      bool operator()(const reasoning_part&) const { return false; }
    };
    return std::visit(visitor{}, part);
  }

  /// Writes a mark, if it is one of those that count.
  void write_mark(bool wanted) {
    if (!wanted || (skipped_marks_ > 0 && skipped_marks_-- > 0))
      return;
    out_.key("cache_control");
    auto is_long = x_.cache_ttl && *x_.cache_ttl > short_cache;
    out_.raw(is_long ? R"({"type":"ephemeral","ttl":"1h"})" : R"({"type":"ephemeral"})");
  }

  // -- the conversation --------------------------------------------------------------

  void write_system() {
    auto is_given = [](auto& x) { return is_system(x); };
    if (std::none_of(x_.messages.begin(), x_.messages.end(), is_given) || !begin("system"))
      return;
    out_.open('[');
    list_ = "messages";
    auto in_front = true;
    for (item_ = 0; item_ < x_.messages.size(); ++item_) {
      auto& message = x_.messages[item_];
      in_front = in_front && is_system(message);
      if (!is_system(message))
        continue;
      if (!in_front)
        warn(place() + "role: anthropic has system prompts before the conversation; it was moved there");
      write_parts(message);
    }
    list_ = nullptr;
    out_.close(']');
  }

  void write_messages() {
    if (!begin("messages"))
      return;
    out_.open('[');
    auto written = result_.body.size();
    list_ = "messages";
    for (item_ = 0; item_ < x_.messages.size() && !failed(); ++item_)
      if (!is_system(x_.messages[item_]))
        write_message(x_.messages[item_]);
    list_ = nullptr;
    if (result_.body.size() == written)
      fail("messages", x_.messages.empty() ? "is empty" : "has nothing but system prompts");
    out_.close(']');
  }

  void write_message(const chat_message& x) {
    out_.open('{');
    out_.key("role");
    out_.raw(x.role == role::assistant ? R"("assistant")" : R"("user")");
    out_.key("content");
    out_.open('[');
    write_parts(x);
    if (x.role == role::tool) // the results of one turn belong together
      while (item_ + 1 < x_.messages.size() && x_.messages[item_ + 1].role == role::tool)
        write_parts(x_.messages[++item_]);
    out_.close(']');
    out_.close('}');
  }

  void write_parts(const chat_message& x) {
    if (x.content.empty())
      return fail("content", "is empty");
    if (!x.name.empty())
      warn(place() + "name: anthropic knows no names of participants; it was left out");
    auto before = result_.body.size();
    for (part_ = 0; part_ < x.content.size() && !failed(); ++part_)
      std::visit([&](auto& part) { write_part(x, part); }, x.content[part_]);
    part_ = none;
    if (result_.body.size() == before)
      fail("content", "has nothing that anthropic takes");
  }

  void begin_part(std::string_view type) {
    out_.open('{');
    out_.key("type");
    out_.raw(type);
  }

  void write_part(const chat_message& x, const text_part& part) {
    if (x.role == role::tool)
      return fail("", "is no tool's result, and the role tool has nothing else");
    if (is_blank(part.text))
      return; // the provider refuses them
    begin_part(R"("text")");
    member_text("text", part.text, "text");
    write_mark(part.cache);
    out_.close('}');
  }

  void write_part(const chat_message& x, const image_part& part) {
    if (x.role != role::user)
      return fail("", "is an image, which needs the role user", errc::unsupported);
    if (part.url.empty() == part.data.empty())
      return fail("", "is an image that needs either url or data");
    if (!part.data.empty() && part.media_type.empty())
      return fail("media_type", "is empty; data needs it");
    if (!part.detail.empty())
      warn(place() + "detail: anthropic has none; it was left out");
    begin_part(R"("image")");
    out_.key("source");
    begin_part(part.data.empty() ? R"("url")" : R"("base64")");
    if (part.data.empty()) {
      member_text("url", part.url, "url");
    } else {
      member_text("media_type", part.media_type, "media_type");
      member_text("data", part.data, "data");
    }
    out_.close('}');
    write_mark(part.cache);
    out_.close('}');
  }

  void write_part(const chat_message& x, const tool_call& part) {
    if (x.role != role::assistant)
      return fail("", "is a tool call, which needs the role assistant");
    if (part.id.empty())
      return fail("id", "is empty");
    if (part.name.empty())
      return fail("name", "is empty");
    begin_part(R"("tool_use")");
    member_id("id", part.id, "id");
    member_text("name", part.name, "name");
    out_.key("input");
    embed(part.arguments.empty() ? "{}" : part.arguments, "arguments");
    out_.close('}');
  }

  void write_part(const chat_message& x, const tool_result& part) {
    if (x.role != role::tool)
      return fail("", "is a tool's result, which needs the role tool");
    if (part.call_id.empty())
      return fail("call_id", "is empty");
    begin_part(R"("tool_result")");
    member_id("tool_use_id", part.call_id, "call_id");
    member_text("content", part.content, "content");
    if (part.is_error) {
      out_.key("is_error");
      out_.boolean(true);
    }
    write_mark(part.cache);
    out_.close('}');
  }

  /// Writes a call's id. Those of other providers may hold what this one refuses; a call and its result are changed
  /// alike.
  void member_id(std::string_view name, std::string_view id, std::string_view field) {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (id.find_first_not_of(plain) == id.npos || !utf8::is_valid(id))
      return member_text(name, id, field);
    std::string changed;
    for (unsigned char c : id)
      if (plain.find(static_cast<char>(c)) != plain.npos)
        changed += static_cast<char>(c);
      else
        changed += "_" + std::to_string(c);
    member_text(name, changed, field);
  }

  /// Thinking goes back as it came, or not at all: the signature covers the text.
  void write_part(const chat_message& x, const reasoning_part& part) {
    if (x.role != role::assistant)
      return fail("", "is reasoning, which needs the role assistant");
    auto seal = unsealed(part.signature, "anthropic");
    if (seal.empty())
      return warn(place() + "text: anthropic takes no reasoning back without a signature of its own; it was left out");
    if (seal.starts_with(anthropic_redacted)) {
      begin_part(R"("redacted_thinking")");
      member_text("data", seal.substr(anthropic_redacted.size()), "signature");
    } else {
      begin_part(R"("thinking")");
      member_text("thinking", part.text, "text");
      member_text("signature", seal, "signature");
    }
    out_.close('}');
  }

  // -- tools -------------------------------------------------------------------------

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
    if (choice.mode == tool_mode::automatic && choice.parallel != false)
      return;
    if (x_.tools.empty())
      refuse_choice(choice.mode);
    else if (begin("tool_choice"))
      write_choice(choice);
  }

  /// The provider takes none without tools.
  void refuse_choice(tool_mode mode) {
    if (mode == tool_mode::required || mode == tool_mode::named)
      return fail("tool_choice.mode", "asks for a call, but there are no tools", errc::invalid_request,
                  "give tools; with tools in extra, give tool_choice there, too");
    warn("tool_choice: left out, since there are no tools");
  }

  void write_tool(const tool_definition& x) {
    if (x.name.empty())
      return fail("name", "is empty");
    out_.open('{');
    member_text("name", x.name, "name");
    if (!x.description.empty())
      member_text("description", x.description, "description");
    out_.key("input_schema");
    embed(x.parameters.empty() ? R"({"type":"object"})" : x.parameters, "parameters");
    if (x.strict) {
      out_.key("strict");
      out_.boolean(true);
    }
    write_mark(x.cache);
    out_.close('}');
  }

  void write_choice(const tool_choice& x) {
    constexpr auto modes = std::to_array<std::string_view>({R"("auto")", R"("none")", R"("any")", R"("tool")"});
    begin_part(modes[static_cast<std::size_t>(x.mode)]);
    if (x.mode == tool_mode::named) {
      if (x.name.empty())
        fail("tool_choice.name", "is empty");
      member_text("name", x.name, "tool_choice.name");
    }
    if (x.parallel == false && x.mode != tool_mode::none) {
      out_.key("disable_parallel_tool_use");
      out_.boolean(true);
    }
    out_.close('}');
  }

  const model_family& family_;
  thinking_plan plan_;
  std::size_t skipped_marks_ = 0; ///< Still to be left out.
};

class anthropic_dialect : public dialect {
public:
  std::string_view name() const override { return "anthropic"; }

  std::string_view default_base_url() const override { return "https://api.anthropic.com"; }

  http::header authorize(std::string_view key) const override { return {"x-api-key", std::string{key}}; }

  std::vector<http::header> headers() const override { return {{"anthropic-version", "2023-06-01"}}; }

  std::variant<encoded_request, failure> encode(const chat_request& x, bool stream) const override {
    return write_anthropic_request(x, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    return read_whole(*anthropic_answer(head), body);
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(anthropic_answer(head), framing::events);
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::produced; }

  optimizable optimizations() const override { return {.cache_marks = true}; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = dialect::decode_models(head, body);
    if (auto* bad = std::get_if<failure>(&result))
      return anthropic_answer(head)->fitted(std::move(*bad));
    return result;
  }

  std::unique_ptr<batch_api> batches() const override { return anthropic_batches(*this); }

  std::string_view models_path() const override { return "/v1/models?limit=1000"; }
};

} // namespace

std::variant<encoded_request, failure> write_anthropic_request(const chat_request& x, bool stream) {
  return anthropic_writer{x, stream}.run();
}

const dialect& anthropic() {
  static const anthropic_dialect x;
  return x;
}

} // namespace modelforge::wire
