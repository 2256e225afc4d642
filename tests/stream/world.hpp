#pragma once

#include "tests/stream/oracle.hpp"
#include "tests/stream/prose.hpp"

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::test {

/// A broadcast in a world of virtual time: a server that says something, stalls and breaks, a transport with credit and
/// delay, readers that come, take, dawdle and leave, and an owner that repeats attempts. An oracle watches.
class world {
public:
  world(const prose& words, uint64_t seed);

  /// Lets it come to its end. Returns what was wrong; empty: nothing.
  std::string run();

  const oracle& watched() const { return oracle_; }

private:
  enum class ending : uint8_t { well, badly, cut, hangs };

  /// What the server sends at a time: an event of the stream, or a comment.
  struct event {
    duration pause{}; ///< Before it.
    std::size_t bytes = 0;
    bool counts = true; ///< It is no comment.
    std::vector<said> says;
  };

  struct attempt {
    std::vector<event> events;
    ending how = ending::well;
    duration end_pause{};
    bool tells_tokens = false;
    std::size_t next = 0;    ///< Event to send.
    std::size_t sent = 0;    ///< Bytes of it.
    bool paused_for = false; ///< Its pause is over.
    std::size_t credit = 0;
    bool blocked = false;
    uint64_t tokens = 0; ///< Of what has been taken in.
  };

  struct listener {
    subscription as;
    uint32_t batch = 1; ///< Chunks until it grants again.
    duration think{};
    uint64_t withholds_after = UINT64_MAX; ///< Chunks.
    uint64_t leaves_after = UINT64_MAX;
    uint32_t id = 0; ///< 0: not there.
    uint64_t taken = 0;
    uint64_t demand = 0;
    uint32_t ungranted = 0;
    bool busy = false;
  };

  // -- drawing ------------------------------------------------------------------------

  static stream::broadcast_settings draw_settings(std::mt19937_64& random);
  void draw_listeners();
  attempt draw_attempt();
  event draw_event();
  void draw_pieces(event& to);
  duration draw_time(double min_seconds, double max_seconds);
  bool chance(double p) { return test::chance(random_, p); }

  // -- what happens -------------------------------------------------------------------

  void at(duration from_now, std::function<void()> what) { events_.emplace(now_ + from_now, std::move(what)); }

  /// Does something with the broadcast, and then all that this tells to do.
  void act(const std::function<void()>& what);
  void obey(stream::broadcast::step x);
  void set_alarm();
  void begin();
  void send();
  void go_on();
  void end_of_body();
  void arrive(uint64_t number, std::size_t bytes, std::size_t from, std::size_t to, bool last);
  void end_attempt();
  void decide(bool well, bool repeatable);
  void finish(std::variant<completion, failure> how);
  void give_up();
  void cut(const char* why);
  void come(listener& x);
  void take(std::size_t who);
  void grant(std::size_t who);
  bool may_stand_still() const;

  static constexpr time_point start{std::chrono::hours{1}};

  const prose& words_;
  std::mt19937_64 random_;
  stream::broadcast_settings settings_;
  stream::broadcast tested_;
  oracle oracle_;
  time_point now_ = start;
  std::multimap<time_point, std::function<void()>> events_;
  std::optional<time_point> alarm_;
  std::vector<listener> listeners_;
  std::map<uint32_t, std::size_t> who_;
  attempt attempt_;
  uint64_t number_ = 0; ///< Of the attempt; others' bytes are late.
  bool transfer_ = false;
  uint32_t attempts_left_ = 1;
  uint32_t next_call_ = 0;
  std::size_t piece_size_ = 10;
  duration network_{}; ///< One way.
  duration usual_pause_{};
  duration alarm_delay_{};
};

} // namespace modelforge::test
