#include "wire/anthropic/anthropic.hpp"
#include "wire/request_writer.hpp"

#include <array>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_marks = 4; ///< For the cache.
constexpr uint32_t usual_output = 8192;
constexpr uint32_t old_output = 4096; ///< All that the first models of the third generation write.
constexpr uint32_t least_budget = 1024;
constexpr auto short_cache = std::chrono::minutes{5};

/// Tokens for thinking, for models that know no efforts.
struct effort_budget {
  std::string_view effort;
  uint32_t tokens;
};

constexpr auto budgets = std::to_array<effort_budget>({{"low", 1024}, {"medium", 8192}, {"high", 24576}});
constexpr auto efforts = std::to_array<std::string_view>({"low", "medium", "high", "xhigh", "max"});

class anthropic_writer : request_writer {
public:
  anthropic_writer(const chat_request& x, bool stream) : request_writer("anthropic", x, stream) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/v1/messages";
    start("text/event-stream", {"output_config"});
    write_model();
    plan_thinking();
    plan_marks();
    write_max_tokens();
    write_tools();
    write_system();
    write_messages();
    write_sampling();
    write_thinking();
    merge("output_config", [this] { write_output(); });
    if (stream_ && begin("stream"))
      out_.boolean(true);
    return finish();
  }

private:
  static bool is_system(const chat_message& x) { return x.role == role::system || x.role == role::developer; }

  bool is(std::string_view part) const { return x_.model.find(part) != x_.model.npos; }

  // -- thinking and length -----------------------------------------------------------

  /// Models up to 4.6 take a budget; those from 4.6 on choose for themselves, led by an effort.
  bool takes_budget() const {
    constexpr auto parts = std::to_array<std::string_view>({"claude-3", "-4-0", "-4-1", "-4-5", "-4-6", "-4-2025"});
    return std::any_of(parts.begin(), parts.end(), [this](auto part) { return is(part); });
  }

  bool takes_effort() const { return !takes_budget() || is("-4-6"); }

  void plan_thinking() {
    auto& s = x_.sampling;
    auto& effort = s.reasoning_effort;
    if (s.reasoning_budget) {
      if (!effort.empty())
        warn("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
      if (*s.reasoning_budget == 0)
        return;
      if (!takes_budget())
        return fail("sampling.reasoning_budget", "is nothing that " + x_.model + " takes", errc::unsupported,
                    "use reasoning_effort");
      if (*s.reasoning_budget < least_budget)
        return fail("sampling.reasoning_budget", "is less than the 1024 tokens that anthropic takes");
      budget_ = *s.reasoning_budget;
    } else if (effort.empty() || effort == "none") {
      return;
    } else if (takes_effort()) {
      if (std::find(efforts.begin(), efforts.end(), effort) == efforts.end())
        return unsupported("sampling.reasoning_effort", R"(use "none", "low", "medium", "high", "xhigh" or "max")");
      is_adaptive_ = true;
    } else {
      for (auto& x : budgets)
        if (x.effort == effort)
          budget_ = x.tokens;
      if (!budget_)
        return fail("sampling.reasoning_effort", "is nothing that " + x_.model + " takes", errc::unsupported,
                    R"(use "none", "low", "medium" or "high", or give reasoning_budget)");
    }
    check_beside_thinking();
  }

  void check_beside_thinking() {
    auto& s = x_.sampling;
    if (s.temperature && *s.temperature != 1)
      fail("sampling.temperature", "must be left out while the model thinks");
    if (s.top_k)
      fail("sampling.top_k", "must be left out while the model thinks");
    auto mode = x_.tool_choice.mode;
    if (budget_ && (mode == tool_mode::required || mode == tool_mode::named))
      fail("tool_choice.mode", "must leave the choice to the model while it thinks");
  }

  /// The one field that others leave to the provider. What was thought counts too.
  void write_max_tokens() {
    auto most = x_.sampling.max_tokens;
    if (most && budget_ && *most <= *budget_)
      fail("sampling.max_tokens", "must be more than the " + std::to_string(*budget_) + " tokens for thinking");
    if (!begin("max_tokens"))
      return;
    if (!most) {
      auto is_old = is("claude-3-opus") || is("claude-3-sonnet") || is("claude-3-haiku");
      most = (is_old ? old_output : usual_output) + budget_.value_or(0);
      warn("sampling.max_tokens: anthropic needs one; " + std::to_string(*most) + " was sent");
    }
    out_.number(*most);
  }

  void write_thinking() {
    auto is_off = x_.sampling.reasoning_effort == "none" || x_.sampling.reasoning_budget == 0u;
    if ((!budget_ && !is_adaptive_ && !is_off) || !begin("thinking"))
      return;
    out_.open('{');
    out_.key("type");
    out_.raw(budget_ ? R"("enabled")" : is_adaptive_ ? R"("adaptive")" : R"("disabled")");
    if (budget_) {
      out_.key("budget_tokens");
      out_.number(*budget_);
    }
    out_.close('}');
  }

  void write_output() {
    if (is_adaptive_ && begin("effort"))
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
    if (s.temperature && s.top_p && !is("claude-3"))
      fail("sampling.top_p", "cannot be given beside temperature to " + x_.model);
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    number("top_k", s.top_k, "sampling.top_k");
    texts("stop_sequences", s.stop, "sampling.stop");
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
      bool operator()(const text_part& x) const { return x.cache && !x.text.empty(); }
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
    if (part.text.empty())
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
    member_text("id", part.id, "id");
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
    member_text("tool_use_id", part.call_id, "call_id");
    member_text("content", part.content, "content");
    if (part.is_error) {
      out_.key("is_error");
      out_.boolean(true);
    }
    write_mark(part.cache);
    out_.close('}');
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
    if ((choice.mode != tool_mode::automatic || choice.parallel == false) && begin("tool_choice"))
      write_choice(choice);
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

  std::optional<uint32_t> budget_; ///< For thinking.
  bool is_adaptive_ = false;       ///< The model thinks as it sees fit.
  std::size_t skipped_marks_ = 0;  ///< Still to be left out.
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
