#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// Where one item of a batch stands.
enum class item_state : uint8_t {
  missing,  ///< It has no result: the pass over the input takes it when it comes to it.
  held,     ///< It is in flight, in a job, or in one that is being put together.
  returned, ///< It came back without a result: the next pass takes it.
  done,     ///< It has a result, or one that is being recorded.
};

/// What is known of every item of a batch, in a byte each: an item is in one state, and so in one place.
///
/// The input is read in passes. A pass takes what is `missing`. What comes back while it runs waits for the next one,
/// since the pass may have read past it, and what comes back together stays together so. Three marks go with the
/// state: an item may be kept out of jobs, it may be one that an earlier run saw fail, and its answer may be wanted in
/// the form of the Responses API. Used by `schedule`.
class item_states {
public:
  /// An item that was never named is `missing`.
  item_state of(uint64_t item) const { return item < bytes_.size() ? state_in(bytes_[item]) : item_state::missing; }

  void set(uint64_t item, item_state state) {
    auto& byte = at(item);
    returned_ -= state_in(byte) == item_state::returned;
    returned_ += state == item_state::returned;
    byte = static_cast<uint8_t>((byte & ~state_bits) | static_cast<uint8_t>(state));
  }

  /// Keeps an item out of jobs from now on.
  void keep_live(uint64_t item) { at(item) |= live_bit; }
  bool is_kept_live(uint64_t item) const { return item < bytes_.size() && (bytes_[item] & live_bit) != 0; }

  /// Says that the item's failure of an earlier run is to be replaced. Returns false if that was said before.
  bool begin_retry(uint64_t item) {
    auto was = is_retried(item);
    at(item) |= retried_bit;
    return !was;
  }

  bool is_retried(uint64_t item) const { return item < bytes_.size() && (bytes_[item] & retried_bit) != 0; }

  /// Takes that mark off: its new result is there. Returns whether it was on.
  bool end_retry(uint64_t item) {
    auto was = is_retried(item);
    if (was)
      bytes_[item] &= static_cast<uint8_t>(~retried_bit);
    return was;
  }

  /// Says that its answer is to be written in the form of the Responses API.
  void mark_response(uint64_t item) { at(item) |= response_bit; }
  bool is_response(uint64_t item) const { return item < bytes_.size() && (bytes_[item] & response_bit) != 0; }

  /// Items that wait for another pass.
  uint64_t returned() const { return returned_; }

  /// Begins another pass: what was `returned` is `missing`.
  void begin_pass() {
    if (std::exchange(returned_, 0) == 0)
      return;
    for (auto& byte : bytes_)
      if (state_in(byte) == item_state::returned)
        byte &= static_cast<uint8_t>(~state_bits);
  }

private:
  static constexpr uint8_t state_bits = 3;
  static constexpr uint8_t live_bit = 4;
  static constexpr uint8_t retried_bit = 8;
  static constexpr uint8_t response_bit = 16;

  static item_state state_in(uint8_t byte) { return static_cast<item_state>(byte & state_bits); }

  uint8_t& at(uint64_t item) {
    if (item >= bytes_.size())
      bytes_.resize(item + 1);
    return bytes_[item];
  }

  std::vector<uint8_t> bytes_; ///< By item: its state and its marks.
  uint64_t returned_ = 0;
};

} // namespace modelforge::batch
