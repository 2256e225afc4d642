#include "provider/requests.hpp"

#include "base/url.hpp"
#include "provider/masking.hpp"
#include "provider/model_groups.hpp"

#include <utility>

namespace modelforge::provider {

request& requests::add(request fresh) {
  auto id = fresh.id;
  return alive_.emplace(id, std::move(fresh)).first->second;
}

request* requests::find(request_id id) {
  auto i = alive_.find(id);
  return i != alive_.end() ? &i->second : nullptr;
}

void requests::remove(request& which, time_point now) {
  if (which.reports && which.spent > 1) // its answer may be lost on its way
    spent_.keep(which.id, {which.spent, now - which.accepted, {}, false}, now);
  alive_.erase(request_id{which.id});
}

std::vector<request_id> requests::ids() const {
  std::vector<request_id> result;
  for (auto& [id, which] : alive_)
    result.push_back(id);
  return result;
}

// -- attempts -----------------------------------------------------------------------

// What a caller's trace goes on to is the attempt: what the provider tells of it, where it does, stands below that.
static void trace_attempt(log::trace_part& trace, uint32_t number, http::request& out) {
  trace.url = without_login(std::string_view{out.url}.substr(0, out.url.find_first_of("?#")));
  auto context = trace.context;
  context.span = child_span(context.span, number);
  for (auto& header : out.headers)
    if (header.name == "traceparent")
      header.value = to_traceparent(context);
}

// A stream gets no idle timeout from the transport: its session has one, counted in progress instead of bytes.
// Compression would make its pieces arrive in lumps.
http::request requests::begin_attempt(request& which, const dispatcher::dispatch& dispatch, const setup& setup,
                                      time_point now) {
  auto& record = which.under_way.emplace();
  record.number = which.spent = dispatch.number;
  record.lane = setup.lane_name({dispatch.group, dispatch.key});
  record.waited = now - which.idle_since;
  record.waited_for = record.waited.count() > 0 ? dispatch.waited_for : wait_reason::nothing;
  record.started = now - which.accepted;

  http::request out;
  out.url = setup.base_url + which.encoded.path;
  out.headers = which.encoded.headers; // kept, because it may have to be sent again however often it was already
  out.shared_body = which.body;
  setup.add_headers(dispatch.key, out.headers);
  out.headers.push_back({"x-modelforge-request", to_string(which.id)});
  out.headers.push_back({"x-modelforge-attempt", std::to_string(dispatch.number)});
  if (which.account != nullptr && which.account->trace)
    trace_attempt(*which.account->trace, dispatch.number, out);
  out.connect_timeout = setup.settings.timeouts.connect;
  if (which.streamed) { // the session looks after the rest: bytes alone are no progress
    out.http2 = setup.settings.stream.http2;
    out.compression = false;
  } else {
    out.idle_timeout = setup.settings.timeouts.idle;
  }
  out.total_timeout = setup.settings.timeouts.total;
  out.max_response_bytes = setup.runtime.max_response_bytes;
  return out;
}

// Of too many attempts the first and the latest are kept: how it began, and how it stands.
void requests::end_attempt(request& which, uint16_t status, errc result, time_point now) {
  auto record = std::move(*which.under_way);
  which.under_way.reset();
  record.duration = now - which.accepted - record.started;
  record.http_status = status;
  record.result = result;
  if (which.records.size() >= max_records) {
    auto second = which.records.begin() + 1;
    if (which.account != nullptr)
      which.account->leave_out(*second);
    which.records.erase(second);
    ++which.more_records;
  }
  which.records.push_back(std::move(record));
}

// -- the end --------------------------------------------------------------------------

/// What all good answers get: masked texts, ids, cost, times and the attempts they took. Times are in nanoseconds since
/// the acceptance, which may have been at another node.
template <class Answer>
void requests::sign_good(Answer& answer, request& which, const http::transfer_times& times, const setup& setup,
                         time_point now) {
  mask(*setup.secrets, answer);
  answer.id = which.id;
  answer.provider = setup.settings.name;
  if (answer.model.empty())
    answer.model = which.model;
  if (answer.usage)
    answer.cost = cost_of(setup.settings, which.group, *answer.usage);
  answer.timings = {which.records.front().started, times.first_byte, now - which.accepted};
  answer.attempts = std::move(which.records);
  answer.warnings.insert(answer.warnings.begin(), which.encoded.warnings.begin(), which.encoded.warnings.end());
}

void requests::sign(completion& answer, request& which, const http::transfer_times& times, const setup& setup,
                    time_point now) {
  sign_good(answer, which, times, setup, now);
  answer.optimizations = std::move(which.optimizations);
}

void requests::sign(embedding& answer, request& which, const http::transfer_times& times, const setup& setup,
                    time_point now) {
  sign_good(answer, which, times, setup, now);
}

void requests::sign(failure& why, request& which, const setup& setup) {
  why.provider = setup.settings.name;
  why.model = which.model;
  mask(*setup.secrets, why);
  if (!which.records.empty())
    why.lane = which.records.back().lane;
  why.attempts = std::move(which.records);
}

// -- across the loss of an asker ------------------------------------------------------

attempts_made requests::spent_on(const request& which, time_point now) const {
  return {which.spent, now - which.accepted, which.records, false};
}

// The attempt under way counts as spent: nobody will ever tell what came of it.
void requests::keep_spent(const request& which, time_point now) {
  if (!which.reports || which.spent == 0)
    return;
  auto all = spent_on(which, now);
  if (which.under_way) {
    auto record = *which.under_way;
    record.duration = now - which.accepted - record.started;
    record.result = errc::node_lost;
    all.records.push_back(std::move(record));
  }
  spent_.keep(which.id, std::move(all), now);
}

} // namespace modelforge::provider
