#pragma once

#include "wire/batch_api.hpp"

#include <modelforge/messages/batch_job.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

namespace modelforge::batch {

/// What has come of a job's results: of each item a good one counts, else the first one; what is broken or missing is
/// counted, too. The outputs are read one after the other; one that was cut is read again from its beginning. Used by
/// `job`.
///
/// A failure is kept back until all outputs are read, since a good result may stand behind it. What is kept so has
/// bounds (`max_kept_bytes`); beyond them failures are handed on as they come, and then the first result counts.
class job_results {
public:
  void begin_output() { broken_ = broken_before_; } // one that was cut had told of the same
  void end_output() {
    broken_before_ = broken_;
    ++outputs_;
  }

  /// Outputs that have been read to their end.
  std::size_t outputs() const { return outputs_; }

  static constexpr std::size_t max_kept_bytes = 16 << 20;

  /// Takes one line, and what it was read as. Returns its result, if that is news, of this job, and not kept back.
  std::optional<batch_job_result> take(std::string_view nonce, std::string_view line,
                                       std::variant<wire::batch_result, failure> read);

  /// Returns one of the results that were kept back; nothing where none is left. To be called when all outputs are
  /// read.
  std::optional<batch_job_result> take_kept();

  /// Lines that are broken, or of no item of ours.
  uint64_t broken() const { return broken_; }

  /// Of the good results that the provider tells of, those that have come.
  uint64_t succeeded() const { return succeeded_; }

  /// Items of which a second line says something else than the first one.
  uint64_t contradicted() const { return contradicted_; }

private:
  /// The line that was taken for an item.
  struct taken_line {
    std::size_t hash;
    bool is_contradicted = false;
    bool is_good_to_provider = false;
  };

  struct kept_result {
    batch_job_result result;
    std::size_t bytes;
  };

  /// Takes one out of what is kept back; nothing at its end.
  std::optional<batch_job_result> release(std::map<uint64_t, kept_result>::iterator kept);

  std::unordered_map<uint64_t, taken_line> seen_;
  std::map<uint64_t, kept_result> kept_; ///< Failures, by their items' numbers.
  std::size_t kept_bytes_ = 0;           ///< Of all of `kept_`.
  uint64_t contradicted_ = 0;
  uint64_t succeeded_ = 0;
  uint64_t broken_ = 0;
  uint64_t broken_before_ = 0; ///< In the outputs that have been read to their end.
  std::size_t outputs_ = 0;
};

} // namespace modelforge::batch
