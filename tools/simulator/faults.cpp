#include "tools/simulator/faults.hpp"

#include "tools/simulator/random.hpp"

#include <iterator>

namespace modelforge::simulator {

namespace {

/// In the order of the enumeration.
constexpr std::string_view names[] = {
  "",          "429",  "429_retry_after", "429_quota", "500",       "503", "529",         "timeout", "reset",
  "reset_mid", "slow", "garbage",         "html",      "truncated", "cut", "error_event", "stall"};

} // namespace

std::string_view name_of(fault kind) {
  return names[static_cast<std::size_t>(kind)];
}

std::span<const std::string_view> fault_names() {
  return std::span(names).subspan(1);
}

std::optional<fault> fault_named(std::string_view name) {
  for (std::size_t i = 1; i < std::size(names); ++i)
    if (names[i] == name)
      return static_cast<fault>(i);
  return std::nullopt;
}

fault_plan::fault_plan(const options& settings, clock::time_point start) : start_(start) {
  configure(settings);
}

void fault_plan::configure(const options& settings) {
  seed_ = settings.seed;
  window_begin_ = start_ + settings.fault_from;
  window_end_ = std::nullopt;
  if (settings.fault_until)
    window_end_ = start_ + *settings.fault_until;
  shares_.clear();
  for (const auto& [name, share] : settings.faults)
    shares_.emplace_back(fault_named(name).value_or(fault::none), share);
}

// One number in [0, 1) is drawn for each attempt; the shares divide that interval, in the order of their names, and
// what lies beyond their sum is no fault.
injection fault_plan::draw(clock::time_point now, std::string_view request_id, std::string_view attempt) {
  ++drawn_;
  if (shares_.empty() || now < window_begin_ || (window_end_ && now >= *window_end_))
    return {};
  auto basis = request_id.empty() ? mix(seed_ + drawn_) : hash(request_id, seed_);
  random_source source(hash(attempt, basis));
  auto drawn = source.unit();
  for (const auto& [kind, share] : shares_) {
    if (drawn < share)
      return {kind, source.next()};
    drawn -= share;
  }
  return {};
}

} // namespace modelforge::simulator
