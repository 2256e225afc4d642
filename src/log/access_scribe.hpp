#pragma once

#include "log/line_output.hpp"
#include "log/request_record.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge {

class secret_mask;

} // namespace modelforge

namespace modelforge::log {

/// Masks secrets in all that a host or a server has put there.
void mask_texts(request_record& of, const secret_mask& secrets);

/// Writes the access log: a line for each request, and one where lines are missing (see `line_output`).
///
/// Of one thread; the count may be read by any.
class access_scribe {
public:
  using time_point = line_output::time_point;

  explicit access_scribe(target to) : output_(std::move(to), "the access log") {}

  void mask(std::shared_ptr<const secret_mask> secrets) { secrets_ = std::move(secrets); }
  void move_to(target to) { output_.move_to(std::move(to)); }
  void reopen() { output_.reopen(); }

  void write(timed_record& ended);
  void note_missing(uint64_t count, std::string_view reason) { output_.note_missing(count, reason); }
  void flush(time_point now);
  std::optional<time_point> wake_at() const { return output_.wake_at(); }
  uint64_t lost() const { return output_.lost(); }

private:
  line_output output_;
  std::shared_ptr<const secret_mask> secrets_; ///< Null: there are none.
};

} // namespace modelforge::log
