#pragma once

#include "wire/dialect.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// A provider's own batch jobs: what to send for one, and what the answers mean.

namespace modelforge::wire {

/// No job has more items, whatever a provider tells; today's have 100,000.
inline constexpr uint64_t max_job_items = 1'000'000;

/// The most that one job takes.
struct batch_limits {
  std::size_t items = 0;
  std::size_t bytes = 0; ///< Of all encoded items, each with one byte for what parts it from the next.
};

/// One HTTP exchange about a job. The caller adds the base URL, the credential and configured headers.
struct batch_call {
  std::string_view method = "GET";
  std::string path; ///< Appended to the provider's base URL.
  std::vector<http::header> headers;
  std::string body;
};

/// One request of a job, as it stands in the job's input.
struct batch_line {
  std::string text;
  std::vector<std::string> warnings; ///< As in `encoded_request`.
};

using batch_state = batch_job_state;

/// Nothing more comes; all but a `failed` job may have results.
constexpr bool is_over(batch_state state) {
  return state >= batch_state::completed;
}

/// What a provider tells of a job.
struct batch_status {
  std::string id;
  std::string nonce; ///< That of its creation; empty where the provider keeps none.
  batch_state state = batch_state::running;
  std::string raw_state;            ///< The provider's own word.
  std::optional<uint64_t> created;  ///< Seconds since 1970.
  uint64_t total = 0;               ///< Items; 0 while the provider does not know.
  uint64_t succeeded = 0;           ///< Of these. Some providers tell it only when the job is over.
  uint64_t failed = 0;              ///< Ended without an answer: errors, expired and cancelled ones.
  std::vector<std::string> outputs; ///< What to download, for `download`; known once the job is over.
  /// Why a job failed, or why its results are gone. `rate_limited`: the provider's queue is full, try again later.
  std::optional<failure> problem;
};

/// Some jobs of a provider, newest first.
struct batch_page {
  std::vector<batch_status> jobs;
  std::string next; ///< For `list`, to go on; empty: these were the last.
};

/// How one item of a job ended.
enum class batch_end : uint8_t {
  succeeded,
  errored,   ///< It was run, or could not be.
  expired,   ///< It was not run in time, and is not charged.
  cancelled, ///< It was not run, and is not charged.
};

struct batch_result {
  std::string id; ///< As given to `encode_item`.
  batch_end end = batch_end::succeeded;
  std::variant<completion, failure> answer; ///< As the dialect's `decode` has it; `expired` and `cancelled` are
                                            ///< failures: `deadline_exceeded` and `cancelled`.
};

/// One provider's batch API. Stateless; must not outlive its dialect, which lives as long as the program.
class batch_api {
public:
  virtual ~batch_api() = default;

  /// What one job of this provider takes at most.
  virtual batch_limits limits() const = 0;

  /// Whether the input is uploaded before the job is created: then `upload` and `create` make a job, else `create`
  /// alone does.
  virtual bool has_upload() const = 0;

  /// Whether `batch_status::nonce` comes back; else a job's results alone tell whose they are.
  virtual bool keeps_nonce() const = 0;

  /// Writes one request, as the dialect would send it now. `id`: see `batch_item_id`.
  virtual std::variant<batch_line, failure> encode_item(std::string_view id, const chat_request& request) const = 0;

  /// Uploads the lines, each the text of a `batch_line`.
  virtual batch_call upload(std::span<const std::string> lines, std::string_view nonce) const = 0;

  /// Reads the id of what was uploaded.
  virtual std::variant<std::string, failure> decode_upload(const http::response_head& head,
                                                           std::string_view body) const = 0;

  /// Creates a job of what was uploaded as `input`, or of the lines. Not to be repeated blindly: each call that arrives
  /// makes a job, whatever becomes of its answer.
  virtual batch_call create(std::string_view input, std::span<const std::string> lines,
                            std::string_view nonce) const = 0;

  /// Asks how a job stands.
  virtual batch_call poll(std::string_view id) const = 0;
  /// Asks for a job's end; what it has done is still to be had.
  virtual batch_call cancel(std::string_view id) const = 0;

  /// Asks for the jobs there are, newest first; `after`: a page's `next`.
  virtual batch_call list(std::string_view after) const = 0;

  /// Asks for results: lines for `decode_result`, in any order. `output`: of a job's `outputs`.
  virtual batch_call download(std::string_view output) const = 0;

  /// Reads the answer to `create`, `poll` and `cancel`, whatever its status.
  virtual std::variant<batch_status, failure> decode_job(const http::response_head& head,
                                                         std::string_view body) const = 0;

  /// Reads the answer to `list`, whatever its status.
  virtual std::variant<batch_page, failure> decode_list(const http::response_head& head,
                                                        std::string_view body) const = 0;

  /// Reads one line of results. A failure, where it names no item: the line is broken.
  virtual std::variant<batch_result, failure> decode_result(std::string_view line) const = 0;
};

/// Names an item so that every provider takes it (up to 64 letters, digits, '_' and '-') and its job's nonce can be
/// told from it. `nonce`: up to 32 letters and digits.
std::string batch_item_id(std::string_view nonce, uint64_t number);

/// Returns the number in an item's id; nothing where it is not of a job with that nonce.
std::optional<uint64_t> batch_item_number(std::string_view nonce, std::string_view id);

/// Makes the failure for an answer of a status that is none of success.
failure batch_refusal(const http::response_head& head, std::string_view body);

} // namespace modelforge::wire
