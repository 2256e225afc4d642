#pragma once

#include "cluster/boot_clock.hpp"
#include "cluster/store.hpp"

#include <algorithm>
#include <optional>

namespace modelforge::cluster {

/// What one node knows of a provider's records: the newest view that the store has told, whatever order views come in.
/// What an honest store cannot tell is refused. A plain class: holds no clock.
class sight {
public:
  enum class value : uint8_t {
    news,  ///< It is what is known from now on.
    old,   ///< Something newer is known.
    wrong, ///< It cannot be: the store has lost what it knew before, or it is no such store.
  };

  /// Notes a revision that came with an answer; `then` is what `newest` said when it was asked for. False: wrong.
  bool note(revision at, revision then) {
    if (at < 1 || at > max_revision || at < then)
      return false;
    newest_ = std::max(newest_, at);
    return true;
  }

  value learn(store_view told, revision then, time_point now) {
    auto& owner = told.owner;
    auto is_old = told.at < view_.at;
    if (owner && (owner->created < 1 || owner->created > told.at || (!is_old && owner->created < highest_epoch_)))
      return value::wrong;
    if (!note(told.at, then))
      return value::wrong;
    if (is_old)
      return value::old;
    if (owner)
      highest_epoch_ = owner->created;
    if (owner)
      free_since_.reset();
    else if (!free_since_)
      free_since_ = now;
    view_ = std::move(told);
    return value::news;
  }

  /// The newest revision of any answer.
  revision newest() const { return newest_; }

  /// Empty with the revision 0: nothing is known yet.
  const store_view& view() const { return view_; }

  /// Since when the provider has had no owner, as far as is known; empty: it has one, or nothing is known.
  std::optional<time_point> free_since() const { return free_since_; }

  /// Whether the node asks for the provider of the owner that it has.
  bool has_claim(const std::string& node) const {
    return view_.owner && std::any_of(view_.claims.begin(), view_.claims.end(), [&](auto& x) {
             return x.node == node && x.epoch == view_.owner->created;
           });
  }

private:
  store_view view_;
  revision newest_ = 0;
  revision highest_epoch_ = 0;
  std::optional<time_point> free_since_;
};

} // namespace modelforge::cluster
