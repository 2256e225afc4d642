#pragma once

#include "dispatch/lane_table.hpp"
#include "dispatch/settings.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace modelforge {

/// What other settings have of those before.
struct lane_heritage {
  std::vector<std::optional<uint32_t>> groups; ///< By group: its number before; empty: it is new.
  /// By key: a number that stands for its credential for good. Those that the dispatcher was made with are 0, 1, ...
  std::vector<uint32_t> keys;
  std::function<uint32_t(const std::string& model)> group_of; ///< Where a model belongs now.
  bool same_server = true; ///< Else breakers, pauses, and what answers told are forgotten.
};

/// How a dispatcher's lanes become those of other settings, with other groups and keys. What a credential has used
/// stays used, by the models that used it, wherever they belong now, also while the credential is away:
///
/// - a lane whose group, key and server are still there stays as it is;
/// - what the others have charged goes, model by model, to where the models belong now, with attempts under way;
/// - what nobody knows the models of counts in each lane where it may belong;
/// - a lane whose credential is no more departs. It is kept until nothing of it is live or under way, and gives all of
///   that to the new lanes should the credential come back before.
///
/// Called by the dispatcher, which owns the lanes and the attempts under way. Holds no clock.
class lane_succession {
public:
  using time_point = limits::time_point;
  using flight_list = std::vector<lane_flight*>; ///< All attempts under way.

  /// `keys`: how many credentials there are to begin with.
  explicit lane_succession(uint32_t keys);

  /// Makes `lanes` those of the settings.
  void succeed(lane_table& lanes, const dispatcher_settings& settings, const lane_heritage& of,
               const flight_list& flights, time_point now);

  /// Drops departed lanes of which nothing is left.
  void forget_departed(const flight_list& flights, time_point now);

private:
  struct departed_lane {
    std::unique_ptr<limits::lane> lane;
    uint32_t credential = 0;
  };

  struct predecessor {
    limits::lane* lane;
    uint32_t credential;
    limits::rate_limiter unknown; ///< What nobody knows the models of, before any of it is copied.
  };

  std::optional<uint32_t> key_of(uint32_t credential) const;
  std::vector<predecessor> predecessors(const lane_table::list& before, const std::vector<uint32_t>& credentials) const;
  lane_table::list make_lanes(lane_table::list& before, const std::vector<uint32_t>& credentials_before,
                              const dispatcher_settings& settings, const lane_heritage& of) const;
  static void share_unknown(lane_table& lanes, const predecessor& from, uint32_t key, const lane_heritage& of);
  static void move_charges(lane_table& lanes, limits::lane& from, uint32_t key, const lane_heritage& of,
                           const flight_list& flights, time_point now);

  std::vector<uint32_t> credentials_; ///< By key: see `lane_heritage`.
  std::vector<departed_lane> departed_;
};

} // namespace modelforge
