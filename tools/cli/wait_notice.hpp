#pragma once

#include <modelforge/messages/status.hpp>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

namespace modelforge::cli {

/// Says on a terminal what a command waits for that has nothing to print yet: one line on standard error, which is
/// drawn again and goes before anything else is printed. Its functions may be called from any thread.
class wait_notice {
public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr auto first_after = std::chrono::seconds{2}; ///< A shorter wait needs no words.

  wait_notice(bool is_terminal, time_point begin) : is_terminal_(is_terminal), begin_(begin) {}

  /// Whether anybody would see it.
  bool is_wanted() const;

  /// The newest state of the provider that is waited for; empty: unknown.
  void take(std::optional<provider_status> newest);

  /// Draws it, where the time has come.
  void show(time_point now);

  /// Something else is waited for from now on.
  void begin(time_point now);

  /// Removes it until the next `begin`: something is printed now, or the wait is over.
  void end();

private:
  mutable std::mutex mutex_;
  const bool is_terminal_;
  time_point begin_;
  std::optional<provider_status> provider_;
  bool is_drawn_ = false;
  bool is_over_ = false;
};

/// Renders the line: "waiting 12 s for the rate limit", or what else the provider's state says; else for how long the
/// answer has been waited for.
std::string notice_text(const std::optional<provider_status>& provider, std::chrono::nanoseconds waited);

} // namespace modelforge::cli
