#include "provider/requests.hpp"

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

http::request requests::begin_attempt(request& which, const dispatcher::dispatch& how, const setup& by,
                                      time_point now) {
  auto& record = which.under_way.emplace();
  record.number = which.spent = how.number;
  record.lane = by.lane_name({how.group, how.key});
  record.waited = now - which.idle_since;
  record.waited_for = record.waited.count() > 0 ? how.waited_for : wait_reason::nothing;
  record.started = now - which.accepted;

  http::request out;
  out.url = by.base_url + which.encoded.path;
  out.headers = which.encoded.headers; // kept, because it may have to be sent again however often it was already
  out.shared_body = which.body;
  by.add_headers(how.key, out.headers);
  out.headers.push_back({"x-modelforge-request", to_string(which.id)});
  out.headers.push_back({"x-modelforge-attempt", std::to_string(how.number)});
  out.connect_timeout = by.settings.timeouts.connect;
  if (which.streamed) { // the session looks after the rest: bytes alone are no progress
    out.http2 = by.settings.stream.http2;
    out.compression = false;
  } else {
    out.idle_timeout = by.settings.timeouts.idle;
  }
  out.total_timeout = by.settings.timeouts.total;
  out.max_response_bytes = which.streamed ? UINT64_MAX : by.runtime.max_response_bytes;
  return out;
}

void requests::end_attempt(request& which, uint16_t status, errc result, time_point now) {
  auto record = std::move(*which.under_way);
  which.under_way.reset();
  record.duration = now - which.accepted - record.started;
  record.http_status = status;
  record.result = result;
  if (which.records.size() >= max_records)
    which.records.erase(which.records.begin() + 1);
  which.records.push_back(std::move(record));
}

// -- the end --------------------------------------------------------------------------

template <class Answer>
void requests::sign_good(Answer& answer, request& which, const http::transfer_times& times, const setup& by,
                         time_point now) {
  mask(*by.secrets, answer);
  answer.id = which.id;
  answer.provider = by.settings.name;
  if (answer.model.empty())
    answer.model = which.model;
  if (answer.usage)
    answer.cost = cost_of(by.settings, which.group, *answer.usage);
  answer.timings = {which.records.front().started, times.first_byte, now - which.accepted};
  answer.attempts = std::move(which.records);
  answer.warnings.insert(answer.warnings.begin(), which.encoded.warnings.begin(), which.encoded.warnings.end());
}

void requests::sign(completion& answer, request& which, const http::transfer_times& times, const setup& by,
                    time_point now) {
  sign_good(answer, which, times, by, now);
  answer.optimizations = std::move(which.optimizations);
}

void requests::sign(embedding& answer, request& which, const http::transfer_times& times, const setup& by,
                    time_point now) {
  sign_good(answer, which, times, by, now);
}

void requests::sign(failure& why, request& which, const setup& by) {
  why.provider = by.settings.name;
  why.model = which.model;
  mask(*by.secrets, why);
  if (!which.records.empty())
    why.lane = which.records.back().lane;
  why.attempts = std::move(which.records);
}

// -- across the loss of an asker ------------------------------------------------------

attempts_made requests::spent_on(const request& which, time_point now) const {
  return {which.spent, now - which.accepted, which.records, false};
}

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
