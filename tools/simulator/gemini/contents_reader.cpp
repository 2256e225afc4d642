#include "tools/simulator/gemini/contents_reader.hpp"

#include "tools/simulator/seals.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace modelforge::simulator::gemini {

namespace {

constexpr std::string_view part_fields[] = {"thought",  "thoughtSignature", "partMetadata",  "mediaResolution",
                                            "text",     "inlineData",       "functionCall",  "functionResponse",
                                            "fileData", "executableCode",   "videoMetadata", "codeExecutionResult"};
constexpr std::string_view data_fields[] = {"text",     "inlineData",     "functionCall",       "functionResponse",
                                            "fileData", "executableCode", "codeExecutionResult"};
/// What Google lets clients send where they have no signature.
constexpr std::string_view free_passes[] = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"};

/// Returns whether it stands in for a signature.
bool is_free_pass(std::string_view signature) {
  return std::find(std::begin(free_passes), std::end(free_passes), signature) != std::end(free_passes);
}

/// Brings JSON that was read and written by others into one form: members sorted, all numbers alike.
nlohmann::json canonical(const json& source) {
  if (source.is_number())
    return source.get<double>();
  nlohmann::json result = nullptr;
  if (source.is_object())
    for (const auto& [name, value] : source.items())
      result[name] = canonical(value);
  else if (source.is_array())
    for (const auto& value : source)
      result.push_back(canonical(value));
  else
    result = source;
  return result;
}

/// Returns what a call's signature is made from: the same for the same call, however its JSON is written.
uint64_t hash_of_call(std::string_view name, const json& arguments, uint64_t seed) {
  return hash(canonical(arguments).dump(), hash(name, seed));
}

} // namespace

void contents_reader::read_system() {
  auto system = object_in(body_, "systemInstruction", "");
  auto parts = system ? array_in(*system, "parts", "system_instruction.") : nullptr;
  for (std::size_t i = 0; parts && i < parts->size() && !error_; ++i) {
    auto text = (*parts)[i].is_object() ? string_in((*parts)[i], "text", "system_instruction.parts.") : nullptr;
    if (text)
      absorb(*text);
  }
}

void contents_reader::read_contents() {
  auto contents = array_in(body_, "contents", "");
  if (!error_ && (!contents || contents->empty()))
    return fail("* GenerateContentRequest.contents: contents is not specified\n");
  for (std::size_t i = 0; contents && i < contents->size() && !error_; ++i)
    read_content((*contents)[i], index_path("contents", i), i);
  if (!error_ && open_calls_ > 0)
    return fail("Please ensure that function call turn is followed by a function response turn.");
  if (!error_ && contents->size() == 1 && last_role_ == "model")
    fail("Please ensure that single turn requests end with a user role or the role field is empty.");
}

void contents_reader::read_content(const json& content, const std::string& path, std::size_t index) {
  static constexpr std::string_view fields[] = {"role", "parts"};
  if (!content.is_object())
    return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Content", content));
  fail(unknown_field(content, path, fields));
  auto role = string_in(content, "role", path + ".", false);
  auto is_model = role && *role == "model";
  if (role && !is_model && !role->empty() && *role != "user" && *role != "function")
    return fail("Please use a valid role: user, model.");
  auto parts = array_in(content, "parts", path + ".");
  if (!error_ && (!parts || parts->empty()))
    return fail("* GenerateContentRequest." + path + ".parts: contents.parts must not be empty.\n");
  absorb_frame(is_model ? "model" : "user");
  tally held;
  for (std::size_t i = 0; parts && i < parts->size() && !error_; ++i)
    read_part((*parts)[i], path + "." + index_path("parts", i), is_model, held);
  if (!error_)
    check_turn(held, is_model, index);
  last_role_ = is_model ? "model" : "user";
}

void contents_reader::check_turn(tally& held, bool is_model, std::size_t index) {
  if (held.calls > 0 && (index == 0 || last_role_ == "model"))
    return fail("Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn.");
  if (held.responses > 0 && open_calls_ == 0)
    return fail("Please ensure that function response turn comes immediately after a function call turn.");
  if (held.responses != open_calls_)
    return fail("Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.");
  open_calls_ = held.calls;
  is_asked_ = !is_model && held.responses == 0;
  if (is_asked_)
    unsigned_call_.clear(); // another turn: what lies before it is not looked at
  if (is_asked_ && !held.text.empty())
    result_.prompt = std::move(held.text);
  if (held.calls == 0 && held.responses == 0 && held.others == 0)
    fail("* GenerateContentRequest." + index_path("contents", index) + ".parts: contents.parts must not be empty.\n");
}

void contents_reader::read_part(const json& part, const std::string& path, bool is_model, tally& held) {
  if (!part.is_object())
    return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Part", part));
  if (auto error = unknown_field(part, path, part_fields))
    return fail(std::move(error));
  auto kinds =
    std::count_if(std::begin(data_fields), std::end(data_fields), [&](auto name) { return field(part, name); });
  if (kinds == 0)
    return fail("* GenerateContentRequest." + path
                + ".data: required oneof field 'data' must have one initialized "
                  "field\n");
  if (kinds > 1)
    return fail({400, "Invalid value at '" + path + "' (oneof), oneof field 'data' is already set.", path});
  auto signature = string_in_either(part, "thoughtSignature", path + ".");
  if (auto call = object_in(part, "functionCall", path + "."))
    return read_call(*call, path + ".function_call.", signature, is_model, held);
  if (signature && !is_free_pass(*signature) && !unsealed(*signature, settings_.seed))
    return fail("Corrupted thought signature.");
  if (auto response = object_in(part, "functionResponse", path + "."))
    return read_response(*response, path + ".function_response.", held);
  if (field(part, "text"))
    return read_text(part, path, held);
  read_media(part, path, held);
}

void contents_reader::read_text(const json& part, const std::string& path, tally& held) {
  ++held.others;
  auto text = string_in(part, "text", path + ".");
  if (!text || bool_in(part, "thought", path + ".", false))
    return;
  absorb(*text);
  held.text += (held.text.empty() ? "" : "\n") + *text;
}

void contents_reader::read_media(const json& part, const std::string& path, tally& held) {
  ++held.others;
  auto data = object_in(part, "inlineData", path + ".");
  auto file = object_in(part, "fileData", path + ".");
  if (data && (!field(*data, "mimeType") || !field(*data, "data")))
    return fail("* GenerateContentRequest." + path + ".inline_data: mime_type and data must be set.\n");
  if (file && !field(*file, "fileUri"))
    return fail("* GenerateContentRequest." + path + ".file_data.file_uri: must be set.\n");
  absorb_media(part);
}

void contents_reader::read_call(const json& call, const std::string& path, const std::string* signature, bool is_model,
                                tally& held) {
  auto name = string_in(call, "name", path);
  auto arguments = object_in(call, "args", path);
  if (!name || error_)
    return;
  if (!is_model)
    return fail("Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn.");
  auto given = arguments ? *arguments : json::object();
  if (signature && !is_free_pass(*signature)
      && unsealed(*signature, settings_.seed) != hash_of_call(*name, given, settings_.seed))
    return fail("Corrupted thought signature.");
  if (!signature && held.calls == 0 && wants_signatures_ && unsigned_call_.empty())
    unsigned_call_ = *name;
  ++held.calls;
  absorb(*name);
  absorb(given.dump());
}

void contents_reader::read_response(const json& response, const std::string& path, tally& held) {
  ++held.responses;
  auto name = string_in(response, "name", path);
  auto value = field(response, "response");
  if (!name)
    return;
  if (!value || !value->is_object())
    return value ? fail(wrong_type(path + "response", "type.googleapis.com/google.protobuf.Struct", *value))
                 : fail_missing(path + "response");
  absorb(*name);
  absorb(value->dump());
}

std::string signature_of(std::string_view name, const json& arguments, uint64_t seed) {
  return sealed(hash_of_call(name, arguments, seed), seed);
}

} // namespace modelforge::simulator::gemini
