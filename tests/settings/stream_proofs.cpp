#include "actors/stream_session.hpp"
#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"

#include <variant>

namespace modelforge::settings_test {

namespace {

using stream::broadcast;

constexpr stream::time_point begin{1h};

/// An attempt with one reader that takes so many chunks; what came is `text`.
struct one_stream {
  explicit one_stream(const settings& all, uint32_t demand = 100, const std::string& text = "piece")
    : to(broadcast_settings_of({}, all.providers.front())) {
    reader = std::get<broadcast::reader_id>(to.join({.demand = demand}, begin));
    to.begin(begin);
    if (text.empty())
      return;
    to.text(text);
    to.received(text.size(), 1, 1, begin);
  }

  /// All that is to be done at that time after the beginning.
  std::string steps(std::chrono::nanoseconds at) {
    std::string result;
    while (auto step = to.next(begin + at))
      result += std::holds_alternative<broadcast::abandon>(*step)    ? "abandon "
                : std::holds_alternative<broadcast::give_up>(*step)  ? "give up "
                : std::holds_alternative<broadcast::conclude>(*step) ? "end of reader "
                : std::holds_alternative<broadcast::deliver>(*step)  ? "piece "
                                                                     : "";
    return result;
  }

  broadcast to;
  broadcast::reader_id reader = 0;
};

/// What is to be done after a silence.
look silence(std::chrono::nanoseconds time, std::string text, uint32_t demand = 100) {
  return [=](const settings& all) {
    one_stream one{all, demand, text};
    one.steps(0s);
    return one.steps(time) + '.';
  };
}

/// The same when the only reader has gone at the beginning.
look desertion(std::chrono::nanoseconds time) {
  return [=](const settings& all) {
    one_stream one{all};
    one.steps(0s);
    one.to.leave(one.reader, begin);
    return one.steps(time) + '.';
  };
}

std::string late_reader(const settings& all) {
  one_stream one{all};
  for (int i = 0; i < 50; ++i) {
    one.to.text(std::string(5'000, 'x'));
    one.to.received(5'000, 1, 2, begin);
    one.steps(0s);
  }
  return std::holds_alternative<failure>(one.to.join({.demand = 1}, begin)) ? "too late" : "welcome";
}

} // namespace

std::vector<proof> stream_proofs() {
  const std::string stream = "providers.main.stream.";
  const std::string timeouts = "providers.main.timeouts.";
  return {
    {timeouts + "first_token", "20", silence(30s, ""), "", "give up"},
    {timeouts + "idle", "20", silence(30s, "piece"), "", "give up"},
    {stream + "on_disconnect", "\"drain\"", desertion(1s), "abandon", ""},
    {stream + "drain_time", "2", desertion(5s), "", "abandon", stream + "on_disconnect = \"drain_for\""},
    {stream + "reader_idle", "20", silence(30s, "piece", 0), "", "end of reader"},
    {stream + "log_limit", "1000", late_reader, "welcome", "too late"},
    {stream + "min_bytes_per_second", "1000", silence(15s, "piece"), "", "give up"},
    {stream + "http2", "true", sends(question(1), true), "http1", "http2"},
  };
}

} // namespace modelforge::settings_test
