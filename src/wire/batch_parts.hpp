#pragma once

#include "wire/batch_api.hpp"
#include "wire/json.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

/// What the batch APIs have in common.

namespace modelforge::wire {

/// Reads the JSON of a good answer, an object whose member `needed` is not null; `subject` it should be, for messages.
/// All else is a failure.
std::variant<json::value, failure> read_batch_answer(const http::response_head& head, std::string_view body,
                                                     std::string_view needed, std::string_view subject);

/// Reads a job, which has a member `needed`, by `read`.
std::variant<batch_status, failure> read_batch_job(const http::response_head& head, std::string_view body,
                                                   std::string_view needed,
                                                   batch_status (*read)(const json::value& job));

/// Reads a list of jobs, each by `read`.
std::variant<batch_page, failure> read_batch_list(const http::response_head& head, std::string_view body,
                                                  batch_status (*read)(const json::value& job));

/// Reads a number of a job's items: at most `max_job_items`; 0 where there is none.
uint64_t items_in(const json::value& value);

/// Makes the result of an item that was not run because its job is `over`: expired or cancelled.
batch_result unrun(std::string id, batch_end over);

/// Makes the failure for a line of results that cannot be read.
failure broken_line(const std::string& problem);

} // namespace modelforge::wire
