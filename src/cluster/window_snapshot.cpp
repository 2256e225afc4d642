#include "cluster/window_snapshot.hpp"

#include <algorithm>
#include <cstdint>

namespace modelforge::cluster {

namespace {

using limits::amounts;
using limits::duration;
using charge = limits::rate_limiter::saved_charge;

constexpr std::string_view mark = "mfw1";
constexpr int64_t most_parts = 120;
constexpr uint64_t max_name = 200, max_lanes = 1000, max_charges = 1000;
constexpr uint64_t max_sum = uint64_t{1} << 50; ///< Of one entry: a thousand of them do not overflow.
constexpr uint64_t max_left = 24ull * 3600 * 1000;

void put(std::string& out, uint64_t number) {
  for (; number >= 128; number >>= 7)
    out += static_cast<char>(number | 128);
  out += static_cast<char>(number);
}

/// Takes numbers and texts from the front; fails for good at the first one that is not there.
class source {
public:
  explicit source(std::string_view bytes) : bytes_(bytes) {}

  uint64_t number(uint64_t most) {
    uint64_t result = 0;
    for (uint32_t shift = 0; shift < 63; shift += 7) {
      auto byte = static_cast<uint8_t>(text(1).empty() ? 128 : last_);
      result |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128)
        return result <= most ? result : fail();
    }
    return fail();
  }

  std::string_view text(std::size_t size) {
    if (size > bytes_.size()) {
      fail();
      return {};
    }
    auto result = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    last_ = size > 0 ? result.back() : '\0';
    return result;
  }

  bool is_good() const { return is_good_; }
  bool is_at_end() const { return is_good_ && bytes_.empty(); }

private:
  uint64_t fail() {
    is_good_ = false;
    bytes_ = {};
    return 0;
  }

  std::string_view bytes_;
  char last_ = '\0';
  bool is_good_ = true;
};

/// Which dimensions are used at all.
uint8_t mask_of(const window_lane& lane) {
  auto sum = lane.open;
  for (auto& each : lane.live)
    for (std::size_t d = 0; d < sum.size(); ++d)
      sum[d] |= each.amount[d];
  uint8_t mask = 0;
  for (std::size_t d = 0; d < sum.size(); ++d)
    mask |= static_cast<uint8_t>((sum[d] != 0) << d);
  return mask;
}

void put(std::string& out, const amounts& amount, uint8_t mask) {
  for (std::size_t d = 0; d < amount.size(); ++d)
    if (mask >> d & 1)
      put(out, std::min(amount[d], max_sum));
}

amounts take_amounts(source& from, uint8_t mask) {
  amounts result{};
  for (std::size_t d = 0; d < result.size(); ++d)
    if (mask >> d & 1)
      result[d] = from.number(max_sum);
  return result;
}

/// In whole milliseconds, joined to about so many: what is joined ends with the last of it.
std::vector<charge> joined(const std::vector<charge>& live, int64_t parts) {
  constexpr auto ms = std::chrono::milliseconds{1};
  std::vector<charge> result;
  if (live.empty())
    return result;
  auto longest = std::chrono::ceil<std::chrono::milliseconds>(live.back().left);
  auto step = std::max<duration>(ms, (longest + (parts - 1) * ms) / parts);
  step = std::chrono::ceil<std::chrono::milliseconds>(step);
  for (auto& each : live) {
    auto left = std::max<duration>(each.left, duration{1});
    left = (left + step - duration{1}) / step * step;
    if (result.empty() || result.back().left != left)
      result.push_back({left, {}});
    limits::add(result.back().amount, each.amount);
  }
  return result;
}

std::string write(const std::vector<window_lane>& lanes, int64_t parts) {
  std::string out{mark};
  put(out, lanes.size());
  for (auto& lane : lanes) {
    auto mask = mask_of(lane);
    auto live = joined(lane.live, parts);
    put(out, lane.name.size());
    out += lane.name;
    put(out, mask);
    put(out, lane.open, mask);
    put(out, live.size());
    duration before{0};
    for (auto& each : live) {
      put(out, static_cast<uint64_t>((each.left - before) / std::chrono::milliseconds{1}));
      put(out, each.amount, mask);
      before = each.left;
    }
  }
  return out;
}

window_lane take_lane(source& from) {
  window_lane lane;
  lane.name = from.text(from.number(max_name));
  auto mask = static_cast<uint8_t>(from.number(15));
  lane.open = take_amounts(from, mask);
  auto count = from.number(max_charges);
  uint64_t left = 0;
  for (uint64_t i = 0; i < count && from.is_good(); ++i) {
    left += from.number(max_left);
    lane.live.push_back({std::chrono::milliseconds{std::min(left, max_left)}, take_amounts(from, mask)});
  }
  return lane;
}

} // namespace

std::optional<std::string> write_snapshot(const std::vector<window_lane>& lanes) {
  auto fits = lanes.size() <= max_lanes
              && std::all_of(lanes.begin(), lanes.end(), [](auto& x) { return x.name.size() <= max_name; });
  for (auto parts = most_parts; fits && parts > 0; parts /= 2)
    if (auto bytes = write(lanes, parts); bytes.size() <= max_snapshot)
      return bytes;
  return {};
}

std::optional<std::vector<window_lane>> read_snapshot(std::string_view bytes) {
  if (bytes.size() > max_snapshot || !bytes.starts_with(mark))
    return {};
  source from{bytes.substr(mark.size())};
  std::vector<window_lane> result;
  auto count = from.number(max_lanes);
  for (uint64_t i = 0; i < count && from.is_good(); ++i)
    result.push_back(take_lane(from));
  if (!from.is_at_end())
    return {};
  return result;
}

} // namespace modelforge::cluster
