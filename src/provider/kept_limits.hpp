#pragma once

#include "dispatch/dispatcher.hpp"
#include "dispatch/journal.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/error.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::provider {

/// What a provider's actor has used of its limits when it ends, for the one that takes its place. Of any thread.
class limits_legacy {
public:
  struct content {
    limits::time_point left; ///< When.
    std::vector<journal::lane> lanes;
  };

  void leave(content used) {
    std::lock_guard lock{mutex_};
    content_ = std::move(used);
  }

  /// Only once; empty: none has ended since.
  std::optional<content> collect() {
    std::lock_guard lock{mutex_};
    return std::exchange(content_, {});
  }

private:
  std::mutex mutex_;
  std::optional<content> content_;
};

/// What was kept, by lanes' names, as the lanes of `setup` have it. A lane's use goes to the lane of its name. Where
/// the settings have other groups of models now, nobody knows which of a key's lanes its models belong to: it counts
/// for each that may have them.
std::vector<dispatcher::journal_lane> find_lanes(const std::vector<journal::lane>& kept, const setup& setup);

/// Keeps what a provider has used of its limits beyond its actor: in a file, for the next process (`journal`), and in
/// memory, for an actor of this process that takes the place of this one (`limits_legacy`). A provider that begins
/// takes over what is newest. Called by the provider's engine; holds no clock.
class kept_limits {
public:
  using time_point = limits::time_point;
  using wall_time = journal::wall_clock::time_point;

  /// Opens the file, where the settings want one and it is not open already. A failure: it was named, and cannot be
  /// had.
  std::optional<failure> open(const setup& setup);

  /// Whoever takes this one's place later shares `legacy`, as the one before did. Null: nobody will.
  void share(std::shared_ptr<limits_legacy> legacy) { legacy_ = std::move(legacy); }

  bool has_file() const { return file_.has_value(); }

  /// Whether it is this process that writes the file.
  bool is_writing() const { return file_ && !file_->is_taken(); }

  /// What has not worked since the last call, though requests do; empty: nothing.
  std::string collect_problem() { return std::exchange(problem_, {}); }

  /// Lets a dispatcher that begins count what was used before, as `rate_limit.on_start` says. Returns how old that is,
  /// where it is an earlier process's.
  std::optional<limits::duration> load(const setup& setup, dispatcher& dispatcher, time_point now, wall_time wall_now);

  /// Writes down what is used, where there is a file, and lets the dispatcher go on until the next time. `last`:
  /// nothing is dispatched afterwards.
  void save(const setup& setup, dispatcher& from, bool last, time_point now, wall_time wall_now);

  /// The provider has drained and will end: whoever takes its place from now on goes on with what it has used.
  void hand_on(const setup& setup, dispatcher& from, time_point now);

  /// It goes on after all.
  void take_back();

  /// The provider's actor ends, drained or not.
  void leave(const setup& setup, dispatcher& from, time_point now, wall_time wall_now);

private:
  std::optional<journal> file_;
  std::shared_ptr<limits_legacy> legacy_;
  bool is_handed_on_ = false;
  std::string problem_;
};

} // namespace modelforge::provider
