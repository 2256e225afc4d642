#pragma once

#include "dispatch/dispatcher.hpp"
#include "http/client.hpp"
#include "limits/accounting.hpp"
#include "log/request_record.hpp"
#include "node/spent_attempts.hpp"
#include "provider/setup.hpp"
#include "wire/dialect.hpp"
#include "wire/json_demand.hpp"

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/request_id.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace modelforge::provider {

using time_point = dispatcher::time_point;
using attempt_id = dispatcher::attempt_id;

/// How a request ends.
using outcome = std::variant<completion, embedding, failure>;

/// One that has been taken in and has no answer yet.
struct request {
  request_id id;
  std::string model;                               ///< As it was asked for, or the default.
  uint32_t group = 0;                              ///< Of models.
  bool streamed = false;                           ///< Its answer is read piece by piece, elsewhere.
  std::size_t inputs = 0;                          ///< Of a request for embeddings; 0: it is for a completion.
  std::optional<uint32_t> dimensions{};            ///< Of its vectors, where it names a number.
  std::shared_ptr<const wire::json_demand> json{}; ///< What its answer must be; null: nobody looks.
  bool reports = false;                 ///< Its asker is another provider actor, which may come again with it.
  time_point accepted;                  ///< By whoever accepted it first.
  time_point idle_since{};              ///< Its acceptance here, or the end of the attempt before.
  std::optional<time_point> deadline{}; ///< Of the whole request; empty: none.

  const wire::dialect* dialect = nullptr;  ///< That encoded it.
  wire::encoded_request encoded;           ///< Without its body.
  std::shared_ptr<const std::string> body; ///< Every attempt sends the same.
  std::vector<std::string> optimizations;  ///< What the optimizers changed.

  /// Answers that it asks for, within reason.
  uint64_t choices() const { return std::min<uint64_t>(encoded.choices, 1000); }

  uint64_t raw_tokens = 0;       ///< Of the prompt, before the estimate was corrected.
  limits::charge reserved;       ///< By estimate.
  limits::accounting accounting; ///< That it was reserved by.

  uint32_t spent = 0;                  ///< Attempts, by others and here; the one under way, too.
  std::vector<attempt_record> records; ///< Of attempts that have ended.
  std::size_t more_records = 0;        ///< That are left out; see `requests::max_records`.
  std::optional<attempt_record> under_way{};
  std::optional<failure> last{};                  ///< How the latest attempt failed.
  std::unique_ptr<log::request_record> account{}; ///< For the access log; null: it is not to have it.
};

/// The requests of a provider that are alive, from acceptance to the answer: their attempts, the HTTP request of each
/// attempt, and the signature under the answer. Also what was spent on those whose answers may be lost on their way to
/// another node, for when they come again.
///
/// A plain class, called by the provider's engine. References to requests hold until `remove`.
class requests {
public:
  /// Of a request's attempts. More are refusals that cost nothing; the first one tells when it all began.
  static constexpr std::size_t max_records = 64;

  /// Adds one whose id is new here.
  request& add(request fresh);

  request* find(request_id id);

  /// Forgets it. What was spent on it is kept, if it may come again.
  void remove(request& which, time_point now);

  std::vector<request_id> ids() const;
  bool empty() const { return alive_.empty(); }

  template <class F>
  void for_each(F f) {
    for (auto& [id, which] : alive_)
      f(which);
  }

  // -- attempts -------------------------------------------------------------------

  /// Begins an attempt, and returns what is to be sent.
  http::request begin_attempt(request& which, const dispatcher::dispatch& dispatch, const setup& setup, time_point now);

  /// The attempt under way has ended. `status`: 0 where no answer came.
  void end_attempt(request& which, uint16_t status, errc result, time_point now);

  // -- the end --------------------------------------------------------------------

  /// Adds to a good answer what is known here, and masks secrets in it. Its attempts go into the answer.
  void sign(completion& answer, request& which, const http::transfer_times& times, const setup& setup, time_point now);
  void sign(embedding& answer, request& which, const http::transfer_times& times, const setup& setup, time_point now);

  /// The same for a failure.
  void sign(failure& why, request& which, const setup& setup);

  // -- across the loss of an asker --------------------------------------------------

  /// All attempts so far, for an asker that may come again.
  attempts_made spent_on(const request& which, time_point now) const;

  /// The asker is lost; its node may be back, and ask again.
  void keep_spent(const request& which, time_point now);

  /// What was spent before on requests that come; see `node::spent_attempts`.
  node::spent_attempts& spent_before() { return spent_; }

private:
  template <class Answer>
  void sign_good(Answer& answer, request& which, const http::transfer_times& times, const setup& setup, time_point now);

  std::unordered_map<request_id, request> alive_;
  node::spent_attempts spent_;
};

} // namespace modelforge::provider
