#include "tools/simulator/openai/response_request.hpp"

#include "tools/simulator/openai/reader.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

namespace {

using form = generation::form;

constexpr uint32_t some_thinking = 4096; ///< Tokens: there are no budgets.

/// A field that every response repeats.
struct echoed {
  std::string_view name;
  std::string_view fallback; ///< What it says if the request has none.
};

/// In the order of the response.
constexpr echoed repeated[] = {{"background", "false"},
                               {"instructions", "null"},
                               {"max_output_tokens", "null"},
                               {"max_tool_calls", "null"},
                               {"metadata", "{}"},
                               {"parallel_tool_calls", "true"},
                               {"previous_response_id", "null"},
                               {"prompt_cache_key", "null"},
                               {"reasoning", R"({"effort":null,"summary":null})"},
                               {"safety_identifier", "null"},
                               {"store", "true"},
                               {"temperature", "1.0"},
                               {"text", R"({"format":{"type":"text"},"verbosity":"medium"})"},
                               {"tool_choice", "\"auto\""},
                               {"tools", "[]"},
                               {"top_logprobs", "0"},
                               {"top_p", "1.0"},
                               {"truncation", "\"disabled\""},
                               {"user", "null"}};
/// The fields that are known but not repeated.
constexpr std::string_view others[] = {"model",
                                       "input",
                                       "stream",
                                       "stream_options",
                                       "include",
                                       "prompt",
                                       "conversation",
                                       "context_management",
                                       "service_tier",
                                       "moderation",
                                       "image",
                                       "access_programs",
                                       "prompt_cache_options",
                                       "prompt_cache_retention"};

/// Returns whether `list` has that element.
template <class List>
bool contains(const List& list, std::string_view value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

/// Reads one request of the Responses API, field by field; after the first fault nothing more is looked at. Items are
/// read in their order, since a call and its output belong together over several of them. Used once for each request.
class request_reader final : openai_reader {
public:
  explicit request_reader(const json& body, const options& settings) : openai_reader(body, settings, result_) {}

  std::variant<response_request, api_error> read() {
    for (auto step : {&request_reader::check_fields, &request_reader::read_head, &request_reader::read_tools,
                      &request_reader::read_format, &request_reader::read_input, &request_reader::read_sampling,
                      &request_reader::read_reasoning, &request_reader::read_streaming, &request_reader::choose_tool,
                      &request_reader::check_prompt, &request_reader::write_echo}) {
      (this->*step)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- fields -------------------------------------------------------------------

  /// Refuses unknown fields, and known ones that need a memory of earlier responses.
  void check_fields() {
    for (const auto& each : body_.items()) {
      const auto& name = each.key();
      auto is_echoed =
        std::any_of(std::begin(repeated), std::end(repeated), [&](auto& field) { return field.name == name; });
      if (!is_echoed && !contains(others, name))
        return fail("Unknown parameter: " + in_quotes(name) + ".", name, "unknown_parameter");
    }
    if (auto previous = member(body_, "previous_response_id"))
      return fail("Previous response with id " + in_quotes(previous->is_string() ? previous->get<std::string>() : "")
                    + " not found.",
                  "previous_response_id", "previous_response_not_found");
    if (member(body_, "conversation"))
      return fail("Conversation not found: this server keeps none.", "conversation", "conversation_not_found", 404);
    if (member(body_, "prompt"))
      return fail("Prompt not found: this server keeps none.", "prompt", "prompt_not_found", 404);
    if (bool_in(body_, "background", "", false))
      fail("Background responses are not available here.", "background", "unsupported_value");
  }

  // -- input ----------------------------------------------------------------------

  /// Reads what the seed begins with.
  void read_head() {
    read_cacheable();
    read_model();
  }

  /// Reads the instructions, then the input: a text or a list of items.
  void read_input() {
    if (auto instructions = string_in(body_, "instructions", "", false))
      absorb_text(*instructions);
    auto input = member(body_, "input");
    if (!input)
      return fail_missing("input");
    result_.prompt_tokens += 3; // primes the reply
    if (input->is_string())
      return read_prompt(input->get_ref<const std::string&>());
    if (!input->is_array())
      return fail_type("input", "a string or an array of items", *input);
    for (std::size_t i = 0; i < input->size() && !error_; ++i)
      read_item((*input)[i], index_path("input", i));
    if (!error_ && !open_calls_.empty())
      fail("No tool output found for function call " + open_calls_.front() + ".", "input", "");
  }

  /// Takes a text that may mention JSON, which one of the forms demands.
  void absorb_text(std::string_view text) {
    absorb(text);
    mentions_json_ = mentions_json_ || mentions_json(text);
  }

  /// Reads an input that is only a text: a user's message.
  void read_prompt(const std::string& text) {
    absorb_frame("user");
    absorb_text(text);
    result_.prompt = text;
    is_asked_ = true;
  }

  /// Reads one item by its type; without one it is a message.
  void read_item(const json& item, const std::string& path) {
    if (!item.is_object())
      return fail_type(path, "an object", item);
    auto type = string_in(item, "type", path + ".", false);
    if (error_)
      return;
    if (!type || *type == "message")
      return read_message(item, path);
    is_asked_ = false;
    if (*type == "function_call")
      return read_call(item, path);
    if (*type == "function_call_output")
      return read_output(item, path);
    if (*type == "reasoning")
      return read_thought(item, path);
    if (*type == "item_reference")
      return fail("Item not found: items are not persisted here.", path, "", 404);
    if (!type->ends_with("_call") && !type->ends_with("_output"))
      return fail_value(
        path + ".type", *type,
        "'message', 'reasoning', 'function_call', 'function_call_output', and the items of other tools");
    absorb(item.dump()); // the provider's own tools
  }

  /// Reads a message of any role.
  void read_message(const json& message, const std::string& path) {
    static constexpr std::string_view roles[] = {"system", "developer", "user", "assistant"};
    auto role = string_in(message, "role", path + ".");
    if (!role)
      return;
    if (!contains(roles, *role))
      return fail_value(path + ".role", *role, "'assistant', 'system', 'developer', and 'user'");
    absorb_frame(*role);
    auto content = member(message, "content");
    if (!content)
      return fail_missing(path + ".content");
    if (!content->is_string() && !content->is_array())
      return fail_type(path + ".content", "a string or an array of objects", *content);
    std::string text;
    if (content->is_string())
      text = content->get_ref<const std::string&>();
    for (std::size_t i = 0; content->is_array() && i < content->size() && !error_; ++i)
      read_part((*content)[i], index_path(path + ".content", i), *role == "assistant", text);
    absorb_text(text);
    is_asked_ = *role == "user";
    if (is_asked_)
      result_.prompt = std::move(text);
  }

  /// Reads a part; which types it may have depends on who speaks. Texts are gathered in `text`.
  void read_part(const json& part, const std::string& path, bool is_assistant, std::string& text) {
    if (!part.is_object())
      return fail_type(path, "an object", part);
    auto type = string_in(part, "type", path + ".");
    if (!type)
      return;
    auto is_text = *type == (is_assistant ? "output_text" : "input_text");
    if (is_text || (is_assistant && *type == "refusal")) {
      if (auto piece = string_in(part, is_text ? "text" : "refusal", path + "."))
        text += (text.empty() ? "" : "\n") + *piece;
    } else if (!is_assistant && (*type == "input_image" || *type == "input_file")) {
      if (*type == "input_image" && !member(part, "image_url") && !member(part, "file_id"))
        return fail_missing(path + ".image_url");
      absorb_media(part);
    } else {
      fail_value(path + ".type", *type,
                 is_assistant ? "'output_text' and 'refusal'" : "'input_text', 'input_image', and 'input_file'");
    }
  }

  /// Reads a call that the model made; from now on its output is awaited.
  void read_call(const json& item, const std::string& path) {
    auto id = string_in(item, "call_id", path + ".");
    auto name = string_in(item, "name", path + ".");
    auto arguments = string_in(item, "arguments", path + ".");
    if (!id || !name || !arguments)
      return;
    open_calls_.push_back(*id);
    absorb(*name);
    absorb(*arguments);
  }

  /// Reads the output of a call.
  void read_output(const json& item, const std::string& path) {
    auto id = string_in(item, "call_id", path + ".");
    auto output = member(item, "output");
    if (!id)
      return;
    if (!output)
      return fail_missing(path + ".output");
    if (!output->is_string() && !output->is_array())
      return fail_type(path + ".output", "a string or an array of objects", *output);
    auto open = std::find(open_calls_.begin(), open_calls_.end(), *id);
    if (open == open_calls_.end())
      return fail("No tool call found for function call output with call_id " + *id + ".", "input", "");
    open_calls_.erase(open);
    absorb(output->is_string() ? output->get<std::string>() : output->dump());
  }

  /// Reads thinking that the client sends back; encrypted content must be the one that it came with.
  void read_thought(const json& item, const std::string& path) {
    auto id = string_in(item, "id", path + ".", false);
    auto encrypted = string_in(item, "encrypted_content", path + ".", false);
    auto summary = member(item, "summary");
    if (!summary)
      return fail_missing(path + ".summary");
    if (encrypted && unsealed(*encrypted, settings_.seed).value_or(0) != hash(id ? *id : "", settings_.seed))
      return fail("The encrypted content " + encrypted->substr(0, 8)
                    + "... could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
                  "", "invalid_encrypted_content");
    absorb(summary->dump());
  }

  // -- how to answer --------------------------------------------------------------

  /// Sampling is checked but has no effect, except for the length.
  void read_sampling() {
    check_decimal("temperature", 0, 2);
    check_decimal("top_p", 0, 1);
    result_.max_tokens = read_integer("max_output_tokens", 16, UINT32_MAX);
  }

  /// Reads whether the model thinks and what the client sees of it.
  void read_reasoning() {
    auto reasoning = member(body_, "reasoning");
    auto include = member(body_, "include");
    for (std::size_t i = 0; include && include->is_array() && i < include->size(); ++i)
      result_.gives_encrypted = result_.gives_encrypted || (*include)[i] == "reasoning.encrypted_content";
    if (!reasoning)
      return;
    if (!reasoning->is_object())
      return fail_type("reasoning", "an object", *reasoning);
    static constexpr std::string_view efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    static constexpr std::string_view summaries[] = {"auto", "concise", "detailed"};
    auto effort = string_in(*reasoning, "effort", "reasoning.", false);
    auto summary = string_in(*reasoning, "summary", "reasoning.", false);
    if (effort && !contains(efforts, *effort))
      return fail_value("reasoning.effort", *effort, "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'");
    if (summary && !contains(summaries, *summary))
      return fail_value("reasoning.summary", *summary, "'concise', 'detailed', and 'auto'");
    result_.shows_summary = summary != nullptr;
    if ((effort && *effort != "none") || (!effort && summary))
      result_.max_thinking = some_thinking;
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
    result_.obfuscation = bool_in(*details, "include_obfuscation", "stream_options.", true);
  }

  /// Reads the functions; the other kinds of tools are taken and never called.
  void read_tools() {
    auto tools = member(body_, "tools");
    if (tools && !tools->is_array())
      return fail_type("tools", "an array of objects", *tools);
    for (std::size_t i = 0; tools && i < tools->size() && !error_; ++i) {
      auto path = index_path("tools", i);
      if (!(*tools)[i].is_object())
        return fail_type(path, "an object", (*tools)[i]);
      auto type = string_in((*tools)[i], "type", path + ".");
      if (type && *type == "function")
        read_function((*tools)[i], path);
    }
  }

  /// Decides whether the answer calls functions; comes when the prompt and the seed are whole.
  void choose_tool() {
    auto choice = member(body_, "tool_choice");
    if (choice && !choice->is_string() && !choice->is_object())
      return fail_type("tool_choice", "a string or an object", *choice);
    if (choice && choice->is_object()) {
      auto type = string_in(*choice, "type", "tool_choice.");
      auto name = type ? string_in(*choice, "name", "tool_choice.", *type == "function") : nullptr;
      if (name && !call_named(*name))
        fail("Tool choice 'function' not found in 'tools' parameter.", "tool_choice", "");
      return;
    }
    auto word = choice ? choice->get<std::string>() : "auto";
    if (word == "required")
      return offers().empty()
               ? fail("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice", "")
               : call_any();
    if (word != "auto" && word != "none")
      return fail_value("tool_choice", word, "'none', 'auto', and 'required'");
    if (word == "auto" && is_asked_)
      call_if_asked(bool_in(body_, "parallel_tool_calls", "", true));
  }

  /// Reads the form of the answer.
  void read_format() {
    auto text = member(body_, "text");
    if (text && !text->is_object())
      return fail_type("text", "an object", *text);
    auto format = text ? member(*text, "format") : nullptr;
    if (!format)
      return;
    if (!format->is_object())
      return fail_type("text.format", "an object", *format);
    auto type = string_in(*format, "type", "text.format.");
    if (!type || *type == "text")
      return;
    if (*type != "json_object" && *type != "json_schema")
      return fail_value("text.format.type", *type, "'json_object', 'json_schema', and 'text'");
    result_.wanted = *type == "json_object" ? form::json_object : form::json_schema;
    if (*type == "json_schema")
      read_schema(*format);
  }

  /// The schema stands beside the type, without an object of its own around it.
  void read_schema(const json& format) {
    if (!string_in(format, "name", "text.format."))
      return;
    auto schema = member(format, "schema");
    if (!schema)
      return fail_missing("text.format.schema");
    if (!schema->is_object())
      return fail_type("text.format.schema", "an object", *schema);
    absorb_size(*schema);
    result_.schema = *schema;
  }

  /// Judges the prompt as a whole.
  void check_prompt() {
    if (result_.wanted == form::json_object && !mentions_json_)
      fail("Response input messages must contain the word 'json' in some form to use 'text.format' of type "
           "'json_object'.",
           "input", "");
    check_length("input");
    finish_cacheable();
  }

  /// Writes what the response repeats, once all of it is known to be right.
  void write_echo() {
    for (const auto& field : repeated) {
      auto value = member(body_, field.name);
      result_.echo.append(",\"")
        .append(field.name)
        .append("\":")
        .append(value ? value->dump() : std::string(field.fallback));
    }
  }

  response_request result_;
  std::vector<std::string> open_calls_; ///< Ids of calls that still want their output.
  bool is_asked_ = false;               ///< The last item is a user's message.
  bool mentions_json_ = false;
};

} // namespace

std::variant<response_request, api_error> read_response_request(const exchange& incoming) {
  auto body = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, *problem};
  return request_reader(std::get<json>(body), incoming.settings).read();
}

} // namespace modelforge::simulator::openai
