#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace modelforge::node {

/// Decides how long those who have connected and not yet proved to be nodes may stay. Each has `patience`; where there
/// are more than `max_guests`, one has to go: of the address that has the most of them (of several: the one longest
/// there), the one that came first. So whoever opens many connections crowds out his own, and a node behind another
/// address is not touched.
///
/// A plain class: `now` comes as an argument and never goes back.
class waiting_room {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using guest_id = uint64_t;

  struct settings {
    std::chrono::nanoseconds patience = std::chrono::seconds{4};
    std::size_t max_guests = 256; ///< At least 1.
  };

  explicit waiting_room(const settings& settings) : settings_(settings) {}

  /// `who`, an id not in use, has come from `address`. Returns who has to go for it; that one has left.
  std::optional<guest_id> enter(guest_id who, const std::string& address, time_point now);

  /// It has proved what it is, or has gone. An unknown one is not an error.
  void leave(guest_id who);

  /// Somebody whose time is up; that one has left. Call it until it is empty.
  std::optional<guest_id> overdue(time_point now);

  /// Who would have to go next; that one has left. Empty: nobody is there.
  std::optional<guest_id> evict();

  /// When `overdue` has somebody to tell.
  std::optional<time_point> wake_at() const;

  std::size_t size() const { return guests_.size(); }

private:
  struct guest {
    std::string address;
    time_point until;
  };

  settings settings_;
  std::map<guest_id, guest> guests_;
  std::set<std::pair<time_point, guest_id>> by_time_;
  std::map<std::string, std::set<std::pair<time_point, guest_id>>> by_address_;
  /// For each address: how many it has, and since when the oldest one of them is there.
  std::set<std::tuple<std::size_t, time_point, std::string>> by_number_;
};

} // namespace modelforge::node
