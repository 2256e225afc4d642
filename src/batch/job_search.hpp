#pragma once

#include "batch/clock.hpp"
#include "wire/batch_api.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// Looks through a provider's list of jobs for one that was meant to be created, and may be there or not.
///
/// Where the provider keeps a job's nonce, that decides. Else each job that is not known to be another, and was there
/// soon after the creation, may be it: one that is over tells by its results (`probe`), one that runs may yet be. A
/// creation may still be under way, so that two looks some time apart have to find nothing. Used by `job`.
class job_search {
public:
  /// `others`: ids of jobs that are known not to be it. `not_before`: it was created later, in seconds since 1970.
  /// `settle`: how long a creation may be under way.
  job_search(std::string nonce, std::vector<std::string> others, uint64_t not_before, std::chrono::nanoseconds settle)
    : nonce_(std::move(nonce)), others_(std::move(others)), not_before_(not_before), settle_(settle) {}

  enum class finding : uint8_t {
    found,     ///< `take_found` has it.
    next_page, ///< Ask for `page`.
    too_many,  ///< The list is longer than anybody would read.
    probe,     ///< Download `probed_output`, until `has_probed`.
    may_run,   ///< One that runs may be it: look again.
    not_yet,   ///< It was not there: look again once more.
    not_there,
  };

  /// Looks for it anew, after another creation.
  void begin();

  /// Which page of the list is next.
  const std::string& page() const { return page_; }

  /// Begins with the first page: jobs may have come meanwhile.
  void begin_list();

  /// Takes a page of the list. `keeps_nonce`: whether the provider does.
  finding take_page(time_point now, wire::batch_page page, bool keeps_nonce);

  const std::string& probed_output() const { return candidates_.back().outputs.front(); }
  void begin_probe() { is_probed_ = is_ours_ = false; }

  /// Takes one line of the results: whether it is one, and whether it is ours.
  void take_line(bool is_result, bool is_ours);
  bool has_probed() const { return is_probed_; }
  finding end_probe();

  wire::batch_status take_found() { return std::move(found_); }

private:
  finding judge();

  std::string nonce_;
  std::vector<std::string> others_;
  uint64_t not_before_;
  std::chrono::nanoseconds settle_;
  std::string page_;
  uint32_t pages_ = 0;
  uint32_t looks_without_ = 0;
  std::optional<time_point> first_look_;
  bool knows_all_ = false;                     ///< What is listed from now on was created later than ours.
  std::unordered_set<std::string> may_be_it_;  ///< Ids of jobs that were there by then.
  std::vector<wire::batch_status> candidates_; ///< Jobs without a nonce that may be ours.
  bool is_probed_ = false;
  bool is_ours_ = false; ///< The one that is probed.
  wire::batch_status found_;
};

} // namespace modelforge::batch
