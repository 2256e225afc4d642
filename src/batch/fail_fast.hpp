#pragma once

#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <optional>

namespace modelforge::batch {

/// Notices that a batch comes to nothing: its items fail one after the other for one and the same reason, which lies
/// not with them, and nothing but a change of the settings ends it.
///
/// A key that is refused and money that is used up can be no item's fault, and count at any time. A right or a model
/// that is missing may be, and counts while nothing at all has been answered. Used by `live_window`.
class fail_fast {
public:
  /// So many in a row are enough.
  static constexpr uint32_t enough = 3;

  /// `keep_going`: every failure is the item's own.
  explicit fail_fast(bool keep_going) : keeps_going_(keep_going) {}

  /// Whether a failure may be that of all items. `names_model`: the item's request has a model.
  bool may_be_all(const failure& why, bool names_model) const {
    if (keeps_going_)
      return false;
    switch (why.code) {
      case errc::authentication:
      case errc::quota_exhausted:
        return true;
      case errc::permission:
      case errc::not_found:
      case errc::configuration:
        return !answered_;
      case errc::invalid_request: // it cannot be sent
        return !answered_ && !names_model && why.http_status == 0;
      default:
        return false;
    }
  }

  /// Whether it goes on with those before it.
  bool says_the_same(const failure& why) const { return first_ && is_same(*first_, why); }

  /// One that may be that of all. Returns whether it is: there are enough that say the same.
  bool on_doubt(const failure& why) {
    if (!says_the_same(why)) {
      first_ = why;
      count_ = 0;
    }
    return ++count_ >= enough;
  }

  /// An item failed by itself, as others before it did.
  void on_own_failure() { first_.reset(); }

  /// An item was answered: what failed before failed by itself.
  void on_answer() {
    answered_ = true;
    first_.reset();
  }

  /// Why the batch is to stop, once there are enough.
  failure reason() const {
    auto why = *first_;
    why.message = "stopped, since one item fails like the other: " + why.message;
    why.suggestion += why.suggestion.empty() ? "" : "; ";
    why.suggestion += "--keep-going asks for the rest all the same";
    return why;
  }

private:
  /// A key that is refused is refused, whatever words come with it: the next request is not even sent.
  static bool is_same(const failure& x, const failure& y) {
    if (x.code != y.code)
      return false;
    return x.code == errc::authentication || x.code == errc::quota_exhausted
           || (x.message == y.message && x.provider_message == y.provider_message && x.model == y.model);
  }

  bool keeps_going_;
  bool answered_ = false;
  std::optional<failure> first_; ///< Of those in a row.
  uint32_t count_ = 0;
};

} // namespace modelforge::batch
