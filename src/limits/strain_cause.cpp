#include "limits/strain_cause.hpp"

#include <algorithm>

namespace modelforge::limits {

void strain_cause::begin(uint32_t in_flight) {
  before_ = last_ = in_flight;
  answers_ = gap_ = gaps_ = unexplained_ = 0;
  explained_ = 1;
}

void strain_cause::count(bool is_refusal) {
  share_ += weight * ((is_refusal ? 1 : 0) - share_);
  if (--left_ == 0)
    before_ = 0;
}

void strain_cause::answered() {
  if (is_random())
    count(false);
  else if (before_ > 0)
    ++answers_, ++gap_;
}

bool strain_cause::refused(uint32_t in_flight) {
  if (is_random()) {
    count(true);
    return share_ > 1.5 * believed_ + slack;
  }
  if (before_ == 0) {
    begin(in_flight);
    return true;
  }
  auto is_explained = in_flight >= last_ && in_flight > 1; // it had been raised
  last_ = in_flight;
  ++(is_explained ? explained_ : unexplained_);
  gaps_ += is_explained ? 0 : gap_;
  gap_ = 0;
  if (unexplained_ < enough && explained_ <= 2 * enough)
    return true;
  if (gaps_ < min_gap * unexplained_ || explained_ > 2 * unexplained_) { // the number may well be the cause
    begin(in_flight);
    return true;
  }
  if (in_flight > std::max(1u, before_ / 2))
    return true;
  auto refusals = explained_ + unexplained_;
  believed_ = share_ = static_cast<double>(refusals) / static_cast<double>(answers_ + refusals);
  left_ = validity * (answers_ + refusals);
  return false;
}

} // namespace modelforge::limits
