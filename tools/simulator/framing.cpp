#include "tools/simulator/framing.hpp"

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"
#include "tools/simulator/times.hpp"

#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <ctime>

namespace modelforge::simulator {

namespace {

using std::chrono::duration_cast;
using precise_seconds = std::chrono::duration<double>;

constexpr precise_seconds longest_wait = std::chrono::hours(1); ///< Before one token, or the first byte.

/// Returns the Date header's value, written anew once a second: thousands of answers share it.
const std::string& date_of_now(hub& shared) {
  auto second = static_cast<int64_t>(std::time(nullptr));
  if (shared.date_second != second) {
    shared.date = http_date(second);
    shared.date_second = second;
  }
  return shared.date;
}

} // namespace

pace pace_of(const reply& answer, const options& settings) {
  if (!answer.is_paced)
    return {};
  pace result;
  auto jitter = settings.latency_jitter * (2 * random_source(answer.jitter_seed).unit() - 1);
  precise_seconds latency = precise_seconds(settings.latency) * std::max(0.0, 1 + jitter);
  result.first_byte = duration_cast<clock::duration>(std::min(latency, longest_wait));
  if (settings.tokens_per_second > 0)
    result.interval =
      duration_cast<clock::duration>(std::min(precise_seconds(1 / settings.tokens_per_second), longest_wait));
  if (!answer.stream)
    result.first_byte += answer.steps * result.interval;
  if (answer.decided.effect == fault::slow) {
    result.first_byte = std::max(10 * result.first_byte, result.first_byte + std::chrono::seconds(1));
    result.interval *= 10;
  }
  return result;
}

void append_head(std::string& out, hub& shared, const reply& answer, const frame& form, clock::duration wait) {
  auto status = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(answer.status));
  out += "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(answer.status));
  out.append(" ").append(status.data(), status.size()).append("\r\ndate: ").append(date_of_now(shared));
  out.append("\r\ncontent-type: ").append(answer.content_type).append("\r\n").append(answer.headers);
  if (!answer.timing_header.empty()) {
    out.append(answer.timing_header).append(": ");
    append_number(out, static_cast<uint64_t>(duration_cast<std::chrono::milliseconds>(wait).count()));
    out += "\r\n";
  }
  if (answer.stream && !form.is_old) {
    out += "transfer-encoding: chunked\r\n";
  } else if (!answer.stream) {
    out += "content-length: ";
    append_number(out, answer.body.size());
    out += "\r\n";
  }
  if (!form.keep_alive)
    out += "connection: close\r\n";
  else if (form.is_old)
    out += "connection: keep-alive\r\n";
  out += "\r\n";
}

void append_event(std::string& out, const frame& form, std::string_view event) {
  if (form.is_old) {
    out += event;
    return;
  }
  auto size = hex(event.size(), 8);
  out.append(size, std::min(size.find_first_not_of('0'), size.size() - 1)).append("\r\n");
  out.append(event).append("\r\n");
}

} // namespace modelforge::simulator
