#include "tools/simulator/faults.hpp"

#include "tools/simulator/random.hpp"

#include <iterator>

namespace modelforge::simulator {

namespace {

constexpr std::string_view names[] = {
  "",          "429",  "429_retry_after", "429_quota", "500",       "503", "529",         "timeout", "reset",
  "reset_mid", "slow", "garbage",         "html",      "truncated", "cut", "error_event", "stall"};

} // namespace

std::string_view name_of(fault x) {
  return names[static_cast<std::size_t>(x)];
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
  from_ = start_ + settings.fault_from;
  until_ = std::nullopt;
  if (settings.fault_until)
    until_ = start_ + *settings.fault_until;
  shares_.clear();
  for (const auto& [name, share] : settings.faults)
    shares_.emplace_back(fault_named(name).value_or(fault::none), share);
}

injection fault_plan::draw(clock::time_point now, std::string_view request_id, std::string_view attempt) {
  ++drawn_;
  if (shares_.empty() || now < from_ || (until_ && now >= *until_))
    return {};
  auto basis = request_id.empty() ? mix(seed_ + drawn_) : hash(request_id, seed_);
  random_source source(hash(attempt, basis));
  auto drawn = source.unit();
  for (const auto& [what, share] : shares_) {
    if (drawn < share)
      return {what, source.next()};
    drawn -= share;
  }
  return {};
}

} // namespace modelforge::simulator
