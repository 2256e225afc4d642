#pragma once

#include "dispatch/lane_table.hpp"
#include "log/entry.hpp"
#include "provider/account_book.hpp"
#include "provider/requests.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::provider {

/// What a provider's engine has to tell the log, in order, until its actor collects it. Requests are followed only
/// where somebody wants that, since it is more than all else; what the access log and the trace are to have of them is
/// kept in `accounts`. Texts of others are masked.
///
/// A plain class. Of news that nobody collects the first 1,000 are kept.
class chronicle {
public:
  explicit chronicle(uint64_t seed) : accounts_(seed) {}

  /// Whether each request is told of, from now on.
  void follow_requests(bool on) { follows_ = on; }
  bool follows_requests() const { return follows_; }

  std::vector<log::entry> collect() { return std::exchange(news_, {}); }

  // -- of the provider ------------------------------------------------------------

  /// `reason`: how the attempt failed that it is from; empty: it is from none that failed.
  void add(const std::vector<lane_event>& happened, const setup& setup, const std::string& reason);

  void limits_restored(const setup& setup, std::chrono::nanoseconds age);

  /// Told once, until `limits_kept`.
  void limits_not_kept(const setup& setup, const std::string& why);
  void limits_kept(const setup& setup);

  void optimizer_failed(const setup& setup, const std::string& why);

  // -- of requests ----------------------------------------------------------------

  template <class Request>
  void admitted(const Request& asked, const std::string& tenant, const setup& setup) {
    if (follows_)
      admitted(asked.id, setup, asked.model, asked.priority, tenant);
  }

  void refused(request_id id, const failure& why, std::unique_ptr<log::request_record> account);
  void sent(const request& which, const setup& setup);
  void again(const request& which, const failure& why, const setup& setup);

  /// A stream's attempt has failed when its readers had a part of the answer.
  void cut(const request& which, const failure& why, const setup& setup);

  template <class Answer>
  void answered(request& which, const Answer& answer, std::chrono::nanoseconds age) {
    if (follows_)
      answered(which, answer.provider, answer.model, answer.attempts.size() + which.more_records, answer.usage, age);
    accounts_.answered(which, answer, age);
  }

  void failed(request& which, const failure& why, std::chrono::nanoseconds age, log::request_outcome how);

  account_book& accounts() { return accounts_; }

private:
  static constexpr std::size_t max_news = 1000;

  log::entry begin(log::event what, const setup& setup) const;
  void add(log::entry happened);
  void admitted(request_id id, const setup& setup, const std::string& model, priority rank, const std::string& tenant);
  void answered(const request& which, const std::string& provider, const std::string& model, std::size_t attempts,
                const std::optional<token_usage>& usage, std::chrono::nanoseconds age);

  bool follows_ = false;
  bool is_kept_ = true; ///< The limits' use, as far as was told.
  std::vector<log::entry> news_;
  account_book accounts_;
};

/// The texts of a prompt, as the log has them where it is to have them.
std::string prompt_text(const chat_request& asked);
std::string prompt_text(const embedding_request& asked);

} // namespace modelforge::provider
