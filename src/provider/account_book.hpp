#pragma once

#include "log/request_record.hpp"
#include "provider/requests.hpp"
#include "trace/tracer.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::provider {

/// What the access log and the trace are to have of a provider's requests: a record is opened when a request arrives,
/// goes with it, and is closed, once, when the request has its answer, its error or its refusal. Where nobody wants
/// that, there are no records, and nothing is kept.
///
/// A plain class.
class account_book {
public:
  using record = log::request_record;

  explicit account_book(uint64_t seed) : tracer_(seed) {}

  /// Whether each request has a record, from now on.
  void keep(bool on) { keeps_ = on; }

  /// Of requests that come without a trace, this share is traced from now on; empty: none is, nor are others.
  void sample(std::optional<double> share) { tracer_.set_share(share); }

  /// Those that were closed since the last call, in order.
  std::vector<record> collect() { return std::exchange(closed_, {}); }

  /// What is known of a request's arrival beside what it says itself.
  struct arrival {
    std::string node{}; ///< That asks, or its share of the queue; empty: this one.
    request_id part_of{};
    bool streamed = false;
  };

  /// Null: nobody wants one. Call it before the request is taken apart.
  template <class Request>
  std::unique_ptr<record> open(const Request& asked, const arrival& from) {
    auto trace = tracer_.place(asked.trace, asked.trace_state);
    if (!keeps_ && !trace)
      return nullptr;
    auto result = open(asked, kind_of(asked, from.streamed), from);
    result->trace = std::move(trace);
    return result;
  }

  // -- the end: each takes the record away ------------------------------------------

  void refused(request_id id, const failure& why, std::unique_ptr<record> account);

  void answered(request& which, const completion& answer, std::chrono::nanoseconds age);
  void answered(request& which, const embedding& answer, std::chrono::nanoseconds age);
  void failed(request& which, const failure& why, std::chrono::nanoseconds age, log::request_outcome how);

  // -- before that --------------------------------------------------------------------

  /// The first piece of a stream came now.
  void begun(request& which, time_point now) const;

  /// A request is sent again: what came before is not of its answer.
  void again(request& which) const;

  /// An attempt of a stream has ended. `first_token`: from its dispatch to the first piece; 0: there was none.
  void streamed(request& which, std::chrono::nanoseconds first_token) const;

  /// A request goes no further that has waited for this since its last attempt.
  void waited(request& which, wait_reason why, time_point now) const;

private:
  static log::request_kind kind_of(const chat_request& asked, bool streamed);
  static log::request_kind kind_of(const embedding_request&, bool) { return log::request_kind::embedding; }

  template <class Request>
  static std::unique_ptr<record> open(const Request& asked, log::request_kind kind, const arrival& from);
  template <class Answer>
  void close(request& which, const Answer& answer, std::chrono::nanoseconds age);
  void close(std::unique_ptr<record> account, std::chrono::nanoseconds age);

  bool keeps_ = false;
  trace::tracer tracer_;
  std::vector<record> closed_;
};

} // namespace modelforge::provider
