#include "wire/batch_api.hpp"

#include "wire/batch_parts.hpp"
#include "wire/forms.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <charconv>

namespace modelforge::wire {

namespace {

/// Parts the nonce from the number; no nonce has it.
constexpr char separator = '-';

} // namespace

std::string batch_item_id(std::string_view nonce, uint64_t number) {
  return std::string{nonce} + separator + std::to_string(number);
}

// The number must be written as `batch_item_id` writes it: "007" and "+7" are not ours.
std::optional<uint64_t> batch_item_number(std::string_view nonce, std::string_view id) {
  if (!id.starts_with(nonce) || !id.substr(nonce.size()).starts_with(separator))
    return std::nullopt;
  id.remove_prefix(nonce.size() + 1);
  uint64_t number = 0;
  auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  auto is_whole = error == std::errc{} && end == id.data() + id.size() && std::to_string(number) == id;
  return is_whole ? std::optional{number} : std::nullopt;
}

failure batch_refusal(const http::response_head& head, std::string_view body) {
  auto parsed = json::parse(body);
  return error_answer(head, std::get_if<json::value>(&parsed), body);
}

std::variant<json::value, failure> read_batch_answer(const http::response_head& head, std::string_view body,
                                                     std::string_view needed, std::string_view subject) {
  auto parsed = json::parse(body);
  auto* root = std::get_if<json::value>(&parsed);
  if (head.status < 200 || head.status >= 300)
    return error_answer(head, root, body);
  if (root != nullptr && member(*root, needed).is_null() && find_error(*root))
    return error_answer(head, root, body);
  if (root == nullptr || member(*root, needed).is_null())
    return root == nullptr ? invalid_body(head, body) : invalid_answer(head, "JSON that is no " + std::string{subject});
  return std::move(*root);
}

// Pages go on only where the provider says that there are more and this one held a job, or a listing could run for
// ever.
std::variant<batch_status, failure> read_batch_job(const http::response_head& head, std::string_view body,
                                                   std::string_view needed,
                                                   batch_status (*read)(const json::value& job)) {
  auto answer = read_batch_answer(head, body, needed, "batch");
  if (auto* problem = std::get_if<failure>(&answer))
    return std::move(*problem);
  return read(std::get<json::value>(answer));
}

std::variant<batch_page, failure> read_batch_list(const http::response_head& head, std::string_view body,
                                                  batch_status (*read)(const json::value& job)) {
  auto answer = read_batch_answer(head, body, "data", "list of batches");
  if (auto* problem = std::get_if<failure>(&answer))
    return std::move(*problem);
  auto& root = std::get<json::value>(answer);
  batch_page page;
  for (auto& entry : member(root, "data"))
    if (auto job = read(entry); !job.id.empty())
      page.jobs.push_back(std::move(job));
  if (member(root, "has_more") == true && !page.jobs.empty())
    page.next = page.jobs.back().id;
  return page;
}

uint64_t items_in(const json::value& value) {
  return std::min(told_count(value).value_or(0), max_job_items);
}

batch_result unrun(std::string id, batch_end over) {
  auto why = over == batch_end::expired
               ? make_failure(errc::deadline_exceeded, "the batch expired before this item was run")
               : make_failure(errc::cancelled, "the batch was cancelled before this item was run");
  return {std::move(id), over, std::move(why)};
}

failure broken_line(const std::string& problem) {
  return make_failure(errc::invalid_response, "a line of the batch's results is broken: " + problem);
}

} // namespace modelforge::wire
