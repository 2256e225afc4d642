#include "tools/simulator/openai/chat_request.hpp"

#include "tools/simulator/openai/reader.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

namespace {

using form = generation::form;

/// Reads one request of Chat Completions, field by field; after the first fault nothing more is looked at. Calls must
/// be answered before anything else is said, so messages are read in their order. Used once for each request.
class request_reader final : openai_reader {
public:
  request_reader(const json& body, const options& settings) : openai_reader(body, settings, result_) {}

  std::variant<chat_request, api_error> read() {
    for (auto step : {&request_reader::read_head, &request_reader::read_tools, &request_reader::read_format,
                      &request_reader::read_messages, &request_reader::read_sampling, &request_reader::read_limits,
                      &request_reader::read_streaming, &request_reader::choose_tool, &request_reader::check_prompt}) {
      (this->*step)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- fields -------------------------------------------------------------------

  /// Reads what the seed begins with.
  void read_head() {
    read_cacheable();
    read_model();
    auto seed = error_ ? nullptr : member(body_, "seed");
    if (seed && !seed->is_number_integer())
      return fail_type("seed", "an integer", *seed);
    if (seed)
      mix_in(seed->dump());
  }

  /// Reads the messages; calls must be answered before anything else is said.
  void read_messages() {
    auto messages = member(body_, "messages");
    if (!messages)
      return fail_missing("messages");
    if (!messages->is_array())
      return fail_type("messages", "an array of objects", *messages);
    if (messages->empty())
      return fail("Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
                  "instead.",
                  "messages", "empty_array");
    result_.prompt_tokens += 3; // primes the reply
    for (std::size_t i = 0; i < messages->size() && !error_; ++i)
      read_message((*messages)[i], index_path("messages", i));
    if (!open_calls_.empty())
      fail_open_calls();
  }

  /// Calls were not answered.
  void fail_open_calls() {
    std::string ids;
    for (const auto& id : open_calls_)
      ids += (ids.empty() ? "" : ", ") + id;
    fail("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
         "The following tool_call_ids did not have response messages: "
           + ids,
         calls_path_, "");
  }

  /// Reads one message by its role.
  void read_message(const json& message, const std::string& path) {
    static constexpr std::string_view roles[] = {"system", "assistant", "user", "function", "tool", "developer"};
    if (!message.is_object())
      return fail_type(path, "an object", message);
    auto role = string_in(message, "role", path + ".");
    if (!role)
      return;
    if (std::find(std::begin(roles), std::end(roles), *role) == std::end(roles))
      return fail_value(path + ".role", *role, "'system', 'assistant', 'user', 'function', 'tool', and 'developer'");
    if (*role == "tool")
      answer_call(message, path);
    else if (!open_calls_.empty())
      return fail_open_calls();
    last_role_ = *role;
    absorb_frame(*role);
    auto calls = *role == "assistant" ? member(message, "tool_calls") : nullptr;
    if (calls)
      read_calls(*calls, path + ".tool_calls");
    read_content(message, path, *role, calls || (*role == "assistant" && member(message, "refusal")));
  }

  /// A message of a tool must answer one of the open calls.
  void answer_call(const json& message, const std::string& path) {
    auto id = string_in(message, "tool_call_id", path + ".");
    if (!id)
      return;
    auto open = std::find(open_calls_.begin(), open_calls_.end(), *id);
    if (open == open_calls_.end())
      return fail("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                  "'tool_calls'.",
                  path + ".role", "");
    open_calls_.erase(open);
  }

  /// Reads the calls that the assistant made; from now on their answers are awaited.
  void read_calls(const json& calls, const std::string& path) {
    if (!calls.is_array())
      return fail_type(path, "an array of objects", calls);
    calls_path_ = path;
    for (std::size_t i = 0; i < calls.size() && !error_; ++i) {
      auto prefix = index_path(path, i) + ".";
      if (!calls[i].is_object())
        return fail_type(index_path(path, i), "an object", calls[i]);
      if (auto id = string_in(calls[i], "id", prefix))
        open_calls_.push_back(*id);
      absorb(calls[i].dump());
    }
  }

  /// Reads the text or the parts of a message; `is_optional`: it has calls or a refusal in their place.
  void read_content(const json& message, const std::string& path, std::string_view role, bool is_optional) {
    auto content = member(message, "content");
    if (!content)
      return is_optional ? void() : fail_missing(path + ".content");
    std::string text;
    if (content->is_string())
      text = content->get_ref<const std::string&>();
    else if (content->is_array())
      for (std::size_t i = 0; i < content->size() && !error_; ++i)
        read_part((*content)[i], index_path(path + ".content", i), text);
    else
      return fail("Invalid type for " + in_quotes(path + ".content")
                    + ": expected one of a string or array of objects, but got " + type_of(*content) + " instead.",
                  path + ".content", "invalid_type");
    absorb(text);
    mentions_json_ = mentions_json_ || mentions_json(text);
    if (role == "user")
      result_.prompt = std::move(text);
  }

  /// Reads a part; texts are gathered in `text`.
  void read_part(const json& part, const std::string& path, std::string& text) {
    if (!part.is_object())
      return fail_type(path, "an object", part);
    auto type = string_in(part, "type", path + ".");
    if (!type)
      return;
    if (*type == "text" || *type == "refusal") {
      if (auto piece = string_in(part, *type, path + "."))
        text += (text.empty() ? "" : "\n") + *piece;
    } else if (*type == "image_url" || *type == "input_audio" || *type == "file") {
      if (!member(part, *type))
        return fail_missing(path + "." + *type);
      absorb_media(part);
    } else {
      fail_value(path + ".type", *type, "'text', 'image_url', 'input_audio', 'refusal', and 'file'");
    }
  }

  /// Sampling is checked but has no effect, except for the number of choices and the stop words.
  void read_sampling() {
    check_decimal("temperature", 0, 2);
    check_decimal("top_p", 0, 1);
    check_decimal("frequency_penalty", -2, 2);
    check_decimal("presence_penalty", -2, 2);
    result_.choices = read_integer("n", 1, 128).value_or(1);
    auto stop = member(body_, "stop");
    if (!stop)
      return;
    if (stop->is_string())
      result_.stop.push_back(stop->get<std::string>());
    else if (!stop->is_array())
      return fail_type("stop", "a string or an array of strings", *stop);
    else if (stop->size() > 4)
      return fail("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with "
                  "length "
                    + std::to_string(stop->size()) + " instead.",
                  "stop", "array_above_max_length");
    else
      for (const auto& word : *stop)
        word.is_string() ? result_.stop.push_back(word.get<std::string>()) : fail_type("stop", "strings", word);
    std::erase(result_.stop, "");
  }

  /// The limit has an old and a new name.
  void read_limits() {
    auto old_name = read_integer("max_tokens", 1, UINT32_MAX);
    auto new_name = read_integer("max_completion_tokens", 1, UINT32_MAX);
    if (old_name && new_name)
      return fail("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens",
                  "invalid_parameter_combination");
    result_.max_tokens = new_name ? new_name : old_name;
  }

  /// Reads whether and how the answer is streamed.
  void read_streaming() {
    result_.is_stream = bool_in(body_, "stream", "", false);
    auto details = member(body_, "stream_options");
    if (!details)
      return;
    if (!result_.is_stream)
      return fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options", "");
    if (!details->is_object())
      return fail_type("stream_options", "an object", *details);
    result_.include_usage = bool_in(*details, "include_usage", "stream_options.", false);
    result_.obfuscation = bool_in(*details, "include_obfuscation", "stream_options.", true);
  }

  /// Reads the functions that may be called.
  void read_tools() {
    auto tools = member(body_, "tools");
    auto choice = member(body_, "tool_choice");
    if (!tools && choice)
      return fail("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
                  "tool_choice", "");
    if (tools && !tools->is_array())
      return fail_type("tools", "an array of objects", *tools);
    for (std::size_t i = 0; tools && i < tools->size() && !error_; ++i)
      read_tool((*tools)[i], index_path("tools", i));
  }

  void read_tool(const json& tool, const std::string& path) {
    if (!tool.is_object())
      return fail_type(path, "an object", tool);
    auto type = string_in(tool, "type", path + ".");
    if (!type || *type != "function")
      return; // a custom tool: taken, never called
    auto function = member(tool, "function");
    if (!function)
      return fail_missing(path + ".function");
    read_function(*function, path + ".function");
  }

  /// Decides whether the answer calls functions; comes last, when the prompt and the seed are whole.
  void choose_tool() {
    if (offers().empty())
      return;
    auto choice = member(body_, "tool_choice");
    std::string_view word = "auto";
    if (choice && choice->is_string())
      word = choice->get_ref<const std::string&>();
    else if (choice && choice->is_object())
      return call_chosen(*choice);
    else if (choice)
      return fail_type("tool_choice", "a string or an object", *choice);
    if (word == "required")
      return call_any();
    if (word != "auto" && word != "none")
      return fail_value("tool_choice", word, "'none', 'auto', and 'required'");
    if (word == "auto" && last_role_ == "user")
      call_if_asked(bool_in(body_, "parallel_tool_calls", "", true));
  }

  /// The request names the function.
  void call_chosen(const json& choice) {
    auto function = member(choice, "function");
    if (!function || !function->is_object())
      return fail_missing("tool_choice.function");
    auto name = string_in(*function, "name", "tool_choice.function.");
    if (!name)
      return;
    result_.is_tool_named = call_named(*name);
    if (result_.is_tool_named)
      return;
    fail("Invalid value for 'tool_choice': no function named " + in_quotes(*name)
           + " was specified in the 'tools' "
             "parameter.",
         "tool_choice", "");
  }

  /// Reads the form of the answer.
  void read_format() {
    auto format = member(body_, "response_format");
    if (!format)
      return;
    if (!format->is_object())
      return fail_type("response_format", "an object", *format);
    auto type = string_in(*format, "type", "response_format.");
    if (!type)
      return;
    if (*type == "json_schema")
      return read_schema(*format);
    if (*type != "text" && *type != "json_object")
      return fail_value("response_format.type", *type, "'json_object', 'json_schema', and 'text'");
    if (*type == "json_object")
      result_.wanted = form::json_object;
  }

  void read_schema(const json& format) {
    auto details = member(format, "json_schema");
    if (!details)
      return fail_missing("response_format.json_schema");
    if (!details->is_object())
      return fail_type("response_format.json_schema", "an object", *details);
    if (!string_in(*details, "name", "response_format.json_schema."))
      return;
    auto schema = member(*details, "schema");
    if (!schema)
      return fail_missing("response_format.json_schema.schema");
    if (!schema->is_object())
      return fail_type("response_format.json_schema.schema", "an object", *schema);
    absorb_size(*schema);
    result_.wanted = form::json_schema;
    result_.schema = *schema;
  }

  /// Judges the prompt as a whole.
  void check_prompt() {
    if (result_.wanted == form::json_object && !mentions_json_)
      fail("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
           "messages", "");
    check_length("messages");
    finish_cacheable();
  }

  chat_request result_;
  std::vector<std::string> open_calls_; ///< Ids that still want their tool message.
  std::string calls_path_;
  std::string last_role_;
  bool mentions_json_ = false;
};

} // namespace

std::variant<chat_request, api_error> read_chat_request(const exchange& incoming) {
  auto body = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, *problem};
  return request_reader(std::get<json>(body), incoming.settings).read();
}

} // namespace modelforge::simulator::openai
