#pragma once

#include "batch/ledger.hpp"
#include "batch/recorder.hpp"

#include <modelforge/messages/batch_job.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/request_id.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>

/// What `schedule` has its owner do, in this order.

namespace modelforge::batch {

/// Ask every provider how it is. Answer with `on_status` or `on_no_status` for each.
struct ask_statuses {};

/// Read the next item. Answer at once: with `on_item`, `on_input_end`, `on_input_wait` or `on_input_failure`.
struct read_item {};

/// Read the input again from its beginning. Answer at once with `on_input_failure` where that cannot be.
struct rewind_input {};

/// Send a request to a provider. Answer with `on_answer` or `on_failure`.
struct send_item {
  std::size_t provider = 0;
  chat_request request;
  /// What is asked for in place of a chat, with the request's id, model and treatment (`as_embedding`); null: a chat.
  std::shared_ptr<const embedding_request> vectors{};
};

/// The request for vectors that an item stands for.
inline embedding_request as_embedding(const send_item& x) {
  auto asked = *x.vectors;
  asked.id = x.request.id;
  asked.model = x.request.model;
  asked.priority = x.request.priority;
  asked.deadline = x.request.deadline;
  asked.fail_when_open = x.request.fail_when_open;
  return asked;
}

/// Withdraw one; its answer comes all the same.
struct cancel_item {
  std::size_t provider = 0;
  request_id id;
};

/// Ask a provider for a job. Answer with what comes of it, and if nothing did, with `on_no_job`.
struct ask_for_job {
  std::size_t provider = 0;
  batch_job_request request;
};

/// Results of a job that were given with this receipt are safe: the job may give more.
struct confirm_results {
  uint64_t receipt = 0;
};

/// Finish the output: under its final name if the batch is `complete`. Answer with `on_kept`.
struct finish_output {
  bool complete = false;
};

/// `record` and `ledger_event`: give it to the recorder, in this order. Answer with `on_kept` as they get safe.
using step = std::variant<ask_statuses, read_item, rewind_input, send_item, cancel_item, record, ledger_event,
                          ask_for_job, confirm_results, finish_output>;

} // namespace modelforge::batch
