#include "tools/simulator/ollama/chat_request.hpp"

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/ollama/ollama.hpp"

#include <algorithm>

namespace modelforge::simulator::ollama {

namespace {

constexpr uint32_t some_thinking = 4096; ///< Tokens: Ollama has no budgets.

/// Returns whether `text` is a duration as Go reads them: "5m", "1h30m", "-1s".
bool is_duration(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+'))
    text.remove_prefix(1);
  if (text.empty())
    return false;
  while (!text.empty()) {
    auto number = std::min(text.find_first_not_of("0123456789."), text.size());
    text.remove_prefix(number);
    auto unit = std::min(text.find_first_of("0123456789."), text.size());
    static constexpr std::string_view units[] = {"h", "m", "s", "ms", "us", "µs", "ns"};
    if (number == 0 || std::find(std::begin(units), std::end(units), text.substr(0, unit)) == std::end(units))
      return false;
    text.remove_prefix(unit);
  }
  return true;
}

/// Names a JSON type as Go's decoder does.
std::string go_type(const json& value) {
  if (value.is_number())
    return "number";
  return value.is_boolean() ? "bool" : value.type_name();
}

/// Reads one request of /api/chat, field by field; after the first fault nothing more is looked at. Its errors are
/// Go's, as the real server's. Used once for each request.
class request_reader final : body_reader {
public:
  request_reader(const json& body, const options& settings) : body_reader(body, settings, result_) {}

  std::variant<chat_request, api_error> read() {
    for (auto step : {&request_reader::read_head, &request_reader::read_options, &request_reader::read_messages,
                      &request_reader::read_tools, &request_reader::read_format, &request_reader::check_length}) {
      (this->*step)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- faults -------------------------------------------------------------------

  using body_reader::fail;

  void fail(std::string message) { fail(api_error{400, std::move(message)}); }

  void fail_missing(const std::string& path) override { fail(path + " is required"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override {
    auto type = expected == "a string" ? "string" : expected == "a boolean" ? "bool" : std::string(expected);
    fail("json: cannot unmarshal " + go_type(found) + " into Go struct field ChatRequest." + path + " of type " + type);
  }

  // -- fields -------------------------------------------------------------------

  /// Reads what is not about the messages; `model` was checked by `read_body`.
  void read_head() {
    begin_with(body_.at("model").get<std::string>());
    result_.is_stream = bool_in(body_, "stream", "", true);
    truncates_ = bool_in(body_, "truncate", "", true);
    if (auto problem = problem_with_keep_alive(body_))
      return fail(std::move(*problem));
    auto think = member(body_, "think");
    static constexpr std::string_view levels[] = {"low", "medium", "high", "max"};
    auto is_level =
      think && think->is_string()
      && std::find(std::begin(levels), std::end(levels), think->get_ref<const std::string&>()) != std::end(levels);
    if (think && !think->is_boolean() && !is_level)
      return fail("invalid think value: " + think->dump()
                  + " (must be \"max\", \"high\", \"medium\", \"low\", true, or "
                    "false)");
    if (think && *think != false)
      result_.max_thinking = some_thinking;
  }

  /// Returns the number of that option, cut to an integer as Ollama does.
  std::optional<int64_t> option_in(const json& object, const char* name) {
    auto value = member(object, name);
    if (!value)
      return std::nullopt;
    if (value->is_number())
      return static_cast<int64_t>(std::clamp(value->get<double>(), -1e15, 1e15));
    fail(std::string("option \"") + name + "\" must be of type integer");
    return std::nullopt;
  }

  /// Reads the model's options; those for sampling are checked but have no effect.
  void read_options() {
    auto given = member(body_, "options");
    if (!given)
      return;
    if (!given->is_object())
      return fail_type("options", "map[string]interface {}", *given);
    if (auto seed = option_in(*given, "seed"))
      mix_in(std::to_string(*seed));
    if (auto max_tokens = option_in(*given, "num_predict"); max_tokens && *max_tokens >= 0)
      result_.max_tokens = static_cast<uint32_t>(std::min<int64_t>(std::max<int64_t>(*max_tokens, 1), UINT32_MAX));
    if (auto context = option_in(*given, "num_ctx"); context && *context > 0)
      context_ = static_cast<uint32_t>(std::min<int64_t>(*context, settings_.context_tokens));
    for (auto name : {"temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"})
      if (auto value = member(*given, name); value && !value->is_number())
        return fail(std::string("option \"") + name + "\" must be of type float32");
    auto stops = member(*given, "stop");
    if (stops && !stops->is_array())
      return fail("option \"stop\" must be of type array");
    for (std::size_t i = 0; stops && i < stops->size(); ++i) {
      if (!(*stops)[i].is_string())
        return fail("option \"stop\" must be of an array of strings");
      result_.stop.push_back((*stops)[i].get<std::string>());
    }
    std::erase(result_.stop, "");
  }

  // -- messages -----------------------------------------------------------------

  /// Reads the messages; without any the model is only loaded.
  void read_messages() {
    auto messages = member(body_, "messages");
    if (messages && !messages->is_array())
      return fail_type("messages", "[]api.Message", *messages);
    if (!messages || messages->empty()) {
      auto keep = member(body_, "keep_alive");
      result_.load_reason = keep && (*keep == 0 || *keep == "0" || *keep == "0s") ? "unload" : "load";
      result_.is_stream = false; // that answer is one object
      return;
    }
    for (const auto& message : *messages) {
      if (error_)
        return;
      message.is_object() ? read_message(message) : fail_type("messages", "api.Message", message);
    }
  }

  /// Reads one message; which roles follow each other is not checked.
  void read_message(const json& message) {
    static constexpr std::string_view roles[] = {"system", "user", "assistant", "tool"};
    auto role = string_in(message, "role", "messages.", false);
    auto content = string_in(message, "content", "messages.", false);
    auto thinking = string_in(message, "thinking", "messages.", false);
    string_in(message, "tool_name", "messages.", false);
    if (error_)
      return;
    if (!role || std::find(std::begin(roles), std::end(roles), *role) == std::end(roles))
      return fail("invalid role: \"" + (role ? *role : "") + "\", must be one of [system user assistant tool]");
    last_role_ = *role;
    absorb_frame(*role);
    absorb(content ? *content : "");
    absorb(thinking ? *thinking : "");
    read_images(message);
    read_calls(message);
    if (*role == "user" && content)
      result_.prompt = *content;
  }

  /// Reads the images, which are base64 without a header.
  void read_images(const json& message) {
    auto images = member(message, "images");
    if (images && !images->is_array())
      return fail_type("messages.images", "[]api.ImageData", *images);
    for (std::size_t i = 0; images && i < images->size(); ++i) {
      const auto& each = (*images)[i];
      if (!each.is_string())
        return fail_type("messages.images", "[]uint8", each);
      auto bad = each.get_ref<const std::string&>().find_first_not_of(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
      if (bad != std::string::npos)
        return fail("illegal base64 data at input byte " + std::to_string(bad));
      absorb_media(each);
    }
  }

  /// Reads the calls that the assistant made; they have no ids that must be answered.
  void read_calls(const json& message) {
    auto calls = member(message, "tool_calls");
    if (calls && !calls->is_array())
      return fail_type("messages.tool_calls", "[]api.ToolCall", *calls);
    for (std::size_t i = 0; calls && i < calls->size() && !error_; ++i) {
      const auto& call = (*calls)[i];
      auto function = call.is_object() ? member(call, "function") : nullptr;
      if (!function || !function->is_object())
        return fail_type("messages.tool_calls.function", "api.ToolCallFunction", call);
      string_in(*function, "name", "messages.tool_calls.function.", false);
      auto arguments = member(*function, "arguments");
      if (arguments && !arguments->is_object())
        return fail_type("messages.tool_calls.function.arguments", "api.ToolCallFunctionArguments", *arguments);
      absorb(function->dump());
    }
  }

  // -- how to answer --------------------------------------------------------------

  /// Reads the functions, and decides whether the answer calls any.
  void read_tools() {
    auto tools = member(body_, "tools");
    if (tools && !tools->is_array())
      return fail_type("tools", "api.Tools", *tools);
    for (std::size_t i = 0; tools && i < tools->size() && !error_; ++i) {
      auto function = (*tools)[i].is_object() ? member((*tools)[i], "function") : nullptr;
      if (!function || !function->is_object())
        return fail_type("tools.function", "api.ToolFunction", (*tools)[i]);
      auto name = string_in(*function, "name", "tools.function.", false);
      auto parameters = member(*function, "parameters");
      if (parameters && !parameters->is_object())
        return fail_type("tools.function.parameters", "api.ToolFunctionParameters", *parameters);
      absorb_size(*function);
      if (name)
        offer(*name, parameters);
    }
    if (last_role_ == "user")
      call_if_asked(true);
  }

  /// Reads the form of the answer: "json" or a schema.
  void read_format() {
    auto format = member(body_, "format");
    if (!format || *format == "")
      return;
    if (*format != "json" && !format->is_object())
      return fail("invalid format: " + format->dump() + "; expected \"json\" or a valid JSON Schema object");
    result_.wanted = format->is_object() ? generation::form::json_schema : generation::form::json_object;
    result_.schema = *format;
  }

  /// The oldest messages are dropped unless the request forbids it.
  void check_length() {
    auto max_tokens = std::min(context_, settings_.context_tokens);
    if (result_.prompt_tokens > max_tokens && !truncates_)
      return fail("the input length exceeds the context length");
    result_.prompt_tokens = std::min(result_.prompt_tokens, max_tokens);
  }

  chat_request result_;
  std::string last_role_;
  uint32_t context_ = UINT32_MAX; ///< Tokens of the context, `num_ctx`.
  bool truncates_ = true;         ///< Too long a prompt loses its beginning.
};

} // namespace

std::optional<api_error> problem_with_keep_alive(const json& body) {
  auto value = member(body, "keep_alive");
  if (!value || value->is_number())
    return std::nullopt;
  if (value->is_string() && is_duration(value->get_ref<const std::string&>()))
    return std::nullopt;
  return api_error{400, "time: invalid duration " + value->dump()};
}

std::variant<json, api_error> read_body(const exchange& incoming) {
  if (incoming.body.empty())
    return api_error{400, "missing request body"};
  auto body = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, *problem};
  auto model = member(std::get<json>(body), "model");
  if (!model || *model == "")
    return api_error{400, "model is required"};
  if (!model->is_string())
    return api_error{400, "json: cannot unmarshal " + go_type(*model)
                            + " into Go struct field ChatRequest.model of type string"};
  if (model->get_ref<const std::string&>().starts_with("missing"))
    return missing_model(model->get_ref<const std::string&>());
  return std::get<json>(std::move(body));
}

std::variant<chat_request, api_error> read_chat_request(const exchange& incoming) {
  auto body = read_body(incoming);
  if (auto error = std::get_if<api_error>(&body))
    return *error;
  return request_reader(std::get<json>(body), incoming.settings).read();
}

} // namespace modelforge::simulator::ollama
