#pragma once

#include "batch/provider_pool.hpp"
#include "wire/json_demand.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::batch {

/// What is kept of an item while a job has it.
struct job_item {
  std::string custom_id;
  uint32_t estimated = 0;                          ///< Tokens of its prompt.
  std::shared_ptr<const wire::json_demand> json{}; ///< What its answer must be; null: nobody looks.
};

/// What will be a job: items for one model, at one provider.
struct job_draft {
  std::size_t provider = 0;
  std::size_t bytes = 0; ///< Of the requests' texts, about.
  std::vector<batch_job_item> requests;
  std::map<uint64_t, job_item> items; ///< The same, by index.
};

/// Puts jobs together, one for each model at a time.
///
/// A draft is full when it has as many items or bytes as a job may have. All drafts together hold no more items than
/// one job may have, whatever the number of models, since their requests are in memory: then the largest goes. A full
/// draft whose provider takes no job now waits, and nothing more is read meanwhile. Used by `schedule`.
class job_builder {
public:
  job_builder(std::size_t max_items, std::size_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  bool empty() const { return drafts_.empty(); }

  /// Items in all drafts.
  std::size_t items() const { return items_; }

  /// The draft for a model that is being put together; null: one is to be begun.
  job_draft* find(const std::string& model);
  job_draft& begin(const std::string& model, std::size_t provider);

  void add(job_draft& draft, uint64_t index, job_item item, chat_request request);

  /// Whether what was read for jobs waits for one to end.
  bool is_blocked(const provider_pool& pool, time_point now) const;

  /// Takes the draft that becomes a job now, if there is one: a full one, or the largest where all together are full.
  /// With `rest`, which is for the end of the input, any that its provider takes.
  std::optional<job_draft> take_next(const provider_pool& pool, time_point now, bool rest);

  /// Takes apart what was put together for a provider, and returns the items.
  std::vector<uint64_t> take_apart(std::size_t provider);

private:
  using iterator = std::map<std::string, job_draft>::iterator;

  bool is_full(const job_draft& draft, const provider_pool& pool) const;
  job_draft take(iterator at);

  std::map<std::string, job_draft> drafts_; ///< By model.
  std::size_t items_ = 0;
  std::size_t max_items_;
  std::size_t max_bytes_;
};

} // namespace modelforge::batch
