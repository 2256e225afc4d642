#include "node/call_history.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::node {

call_history::call_history(attempts_made earlier, time_point accepted)
  : earlier_(std::move(earlier)), accepted_(accepted) {
  unknown_ = earlier_.spent - std::min<uint32_t>(earlier_.spent, earlier_.records.size());
}

void call_history::on_lost(uint32_t spent, time_point lost) {
  auto& records = earlier_.records;
  while (records.size() + unknown_ < spent) {
    attempt_record record;
    record.number = static_cast<uint32_t>(records.size() + unknown_ + 1);
    record.started = earlier_.age + (sent_ - accepted_);
    record.duration = std::max(lost, sent_) - sent_;
    record.result = errc::node_lost;
    records.push_back(std::move(record));
  }
  earlier_.spent = spent;
}

void call_history::on_report(std::vector<attempt_record> records) {
  if (records.size() > earlier_.records.size())
    earlier_.records = std::move(records);
}

attempts_made call_history::as_of(time_point now) const {
  auto result = earlier_;
  result.age += now - accepted_;
  result.report = true;
  return result;
}

} // namespace modelforge::node
