#pragma once

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/request_id.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

namespace modelforge::node {

/// What an asker reports of attempts made before, cut to what is possible: an age between zero and `max_told_age`, at
/// most `max_told_records` records, the latest ones, and a count that leaves room for those to come.
attempts_made bounded(attempts_made made);

inline constexpr auto max_told_age = std::chrono::hours{24 * 7};
inline constexpr std::size_t max_told_records = 100;
inline constexpr uint32_t max_told_spent = 1'000'000;

/// What two accounts of one request's attempts come to: the greater figures, the more records.
attempts_made merged(attempts_made a, attempts_made b);

/// What an owner has spent on requests whose answers its askers may never get, since the link was lost. They are asked
/// again, by a node that heard of some of these attempts only, and then spend what is left.
///
/// A plain class: `now` comes as an argument and never goes back. It holds at most `max_size` requests, each for
/// `keep_time`.
class spent_attempts {
public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr std::size_t max_size = 10'000;
  static constexpr auto keep_time = std::chrono::minutes{10};

  /// Keeps what a request had spent that ends now. Of an attempt under way it has a record already.
  void keep(request_id id, attempts_made spent, time_point now);

  /// A request comes: returns all that is known to be spent on it, with what its asker reports. One of which it says
  /// that nothing was spent is another one, whatever its id.
  attempts_made all_of(request_id id, attempts_made claimed, time_point now);

  /// The request is taken in.
  void forget(request_id id) { kept_.erase(id); }

  std::size_t size() const { return kept_.size(); }

private:
  struct entry {
    attempts_made spent;
    time_point since;
    uint64_t number = 0;
  };

  struct place {
    time_point since;
    request_id id;
    uint64_t number = 0; ///< Of the entry; one that has another has come later.
  };

  void drop_oldest();

  void tidy(time_point now);

  std::unordered_map<request_id, entry> kept_;
  std::deque<place> order_; ///< Oldest first; some are there no more.
  uint64_t last_ = 0;
};

} // namespace modelforge::node
