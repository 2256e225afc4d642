#include "tools/simulator/multipart.hpp"
#include "tools/simulator/openai/batches.hpp"
#include "tools/simulator/openai/openai.hpp"

#include <algorithm>
#include <array>

namespace modelforge::simulator::openai {

namespace {

constexpr std::string_view file_path = "/v1/files/";
constexpr auto purposes =
  std::to_array<std::string_view>({"assistants", "batch", "fine-tune", "vision", "user_data", "evals"});

std::string file_text(std::string_view id, const stored_file& x) {
  json text = {{"id", id},           {"object", "file"},     {"bytes", x.content.size()}, {"created_at", x.created},
               {"filename", x.name}, {"purpose", x.purpose}, {"status", "processed"}};
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

reply no_file(const exchange& x, std::string_view id) {
  return error_reply(speech(), x, {404, "No such File object: " + std::string(id), "id"});
}

} // namespace

reply upload_file(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto parts = read_form(x.content_type, x.body);
  if (!parts)
    return error_reply(speech(), x, {400, "Could not parse multipart form."});
  stored_file file{{}, {}, x.created, {}};
  auto has_file = false;
  for (const auto& part : *parts) {
    if (part.name == "purpose")
      file.purpose = part.content;
    if (part.name != "file" || part.filename.empty())
      continue;
    has_file = true;
    file.name = part.filename;
    file.content = part.content;
  }
  if (!has_file)
    return error_reply(speech(), x, {400, "'file' is a required property"});
  if (std::find(purposes.begin(), purposes.end(), file.purpose) == purposes.end())
    return error_reply(speech(), x, {400, "'" + file.purpose + "' is not a known purpose", "purpose"});
  if (file.purpose == "batch" && !file.name.ends_with(".jsonl"))
    return error_reply(speech(), x, {400, "Invalid file format for Batch API. Must be .jsonl"});
  auto answer = speech().new_reply(x);
  auto id = shared.files.add(std::move(file));
  shared.book.file_stored();
  answer.body = file_text(id, *shared.files.find(id));
  return answer;
}

reply show_file(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto [id, verb] = name_in(x.path, file_path);
  auto* file = shared.files.find(id);
  if (file == nullptr || !(verb.empty() || verb == "content"))
    return no_file(x, id);
  auto answer = speech().new_reply(x);
  if (verb.empty()) {
    answer.body = file_text(id, *file);
  } else {
    answer.content_type = "application/octet-stream";
    answer.body = file->content;
  }
  return answer;
}

reply delete_file(const exchange& x, hub& shared) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto id = name_in(x.path, file_path).id;
  if (!shared.files.remove(id))
    return no_file(x, id);
  auto answer = speech().new_reply(x);
  answer.body = json{{"id", id}, {"object", "file"}, {"deleted", true}}.dump();
  return answer;
}

} // namespace modelforge::simulator::openai
