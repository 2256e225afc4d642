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

/// Returns a file as the API describes it.
std::string file_text(std::string_view id, const stored_file& file) {
  json text = {{"id", id},
               {"object", "file"},
               {"bytes", file.content.size()},
               {"created_at", file.created},
               {"filename", file.name},
               {"purpose", file.purpose},
               {"status", "processed"}};
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Answers that there is no file with that id.
reply no_file(const exchange& incoming, std::string_view id) {
  return error_reply(speech(), incoming, {404, "No such File object: " + std::string(id), "id"});
}

} // namespace

reply upload_file(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto parts = read_form(incoming.content_type, incoming.body);
  if (!parts)
    return error_reply(speech(), incoming, {400, "Could not parse multipart form."});
  stored_file file{{}, {}, incoming.created, {}};
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
    return error_reply(speech(), incoming, {400, "'file' is a required property"});
  if (std::find(purposes.begin(), purposes.end(), file.purpose) == purposes.end())
    return error_reply(speech(), incoming, {400, "'" + file.purpose + "' is not a known purpose", "purpose"});
  if (file.purpose == "batch" && !file.name.ends_with(".jsonl"))
    return error_reply(speech(), incoming, {400, "Invalid file format for Batch API. Must be .jsonl"});
  auto answer = speech().new_reply(incoming);
  auto id = shared.files.add(std::move(file));
  shared.book.file_stored();
  answer.body = file_text(id, *shared.files.find(id));
  return answer;
}

reply show_file(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto [id, verb] = name_in(incoming.path, file_path);
  auto* file = shared.files.find(id);
  if (file == nullptr || !(verb.empty() || verb == "content"))
    return no_file(incoming, id);
  auto answer = speech().new_reply(incoming);
  if (verb.empty()) {
    answer.body = file_text(id, *file);
  } else {
    answer.content_type = "application/octet-stream";
    answer.body = file->content;
  }
  return answer;
}

reply delete_file(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto id = name_in(incoming.path, file_path).id;
  if (!shared.files.remove(id))
    return no_file(incoming, id);
  auto answer = speech().new_reply(incoming);
  answer.body = json{{"id", id}, {"object", "file"}, {"deleted", true}}.dump();
  return answer;
}

} // namespace modelforge::simulator::openai
