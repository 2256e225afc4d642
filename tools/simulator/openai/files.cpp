#include "tools/simulator/batch_jobs.hpp"
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

reply list_files(const exchange& incoming, hub& shared) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto limit = limit_in(incoming.query, 10'000);
  auto order = query_value(incoming.query, "order");
  if (!limit)
    return error_reply(speech(), incoming, {400, "Invalid 'limit': expected a whole number from 1 to 10000.", "limit"});
  if (!order.empty() && order != "asc" && order != "desc")
    return error_reply(speech(), incoming, {400, "Invalid 'order': expected one of 'asc' or 'desc'.", "order"});
  if (query_value(incoming.query, "limit").empty())
    limit = 10'000;
  auto ids = shared.files.ids();
  if (order != "asc")
    std::reverse(ids.begin(), ids.end());
  if (auto after = query_value(incoming.query, "after"); !after.empty()) {
    auto found = std::find(ids.begin(), ids.end(), after);
    ids.erase(ids.begin(), found == ids.end() ? found : found + 1);
  }
  auto purpose = query_value(incoming.query, "purpose");
  std::erase_if(ids, [&](auto& id) { return !purpose.empty() && shared.files.find(id)->purpose != purpose; });
  auto has_more = ids.size() > *limit;
  ids.resize(std::min(ids.size(), *limit));
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"object":"list","data":[)";
  for (auto& id : ids)
    answer.body.append(&id == &ids.front() ? "" : ",").append(file_text(id, *shared.files.find(id)));
  auto quoted = [](const std::string& id) { return '"' + id + '"'; };
  answer.body += R"(],"first_id":)" + (ids.empty() ? "null" : quoted(ids.front())) + R"(,"last_id":)"
                 + (ids.empty() ? "null" : quoted(ids.back())) + R"(,"has_more":)" + (has_more ? "true}" : "false}");
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
