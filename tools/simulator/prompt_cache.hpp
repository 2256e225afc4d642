#pragma once

#include "tools/simulator/limits.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/simulator.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Prompt caching as the providers do it: exact prefixes, from a least length on, for some time.
namespace modelforge::simulator {

/// The beginning of a prompt: two are the same if their keys are.
struct prefix {
  uint64_t key;
  uint32_t tokens;
};

/// What of a prompt may be cached.
struct cache_plan {
  enum class rule : uint8_t {
    none,
    automatic,   ///< The longest known of `prefixes` is read, all are kept: OpenAI and Gemini.
    breakpoints, ///< Those at `breakpoints` are kept; one up to 20 blocks before a breakpoint is read: Anthropic.
  };

  /// The end of a block of which the request says that it is worth keeping.
  struct breakpoint {
    std::size_t block;
    bool is_long; ///< For an hour, not for five minutes.
  };

  rule how = rule::none;
  std::vector<prefix> prefixes; ///< In order: the prompt's steps, or the ends of its blocks.
  std::vector<breakpoint> breakpoints;
  uint32_t least = 0;      ///< Tokens; shorter prefixes are not kept.
  uint32_t lifetime = 1;   ///< How many times `options::cache_ttl` automatic ones are kept.
  std::string routing_key; ///< OpenAI's `prompt_cache_key`.
  uint64_t head = 0;       ///< Of the first tokens: decides the machine, with the key.
};

/// Tokens of a prompt, by what the cache had of it.
struct cache_use {
  uint32_t read = 0;
  uint32_t written = 0;      ///< For the shorter time, or the only one.
  uint32_t written_long = 0; ///< For an hour.
};

/// What becomes readable once its answer begins.
struct kept_prefix {
  uint64_t key;
  uint32_t lifetime; ///< In `options::cache_ttl`.
};

/// Follows a prompt from its beginning, and notes its prefixes. A prefix's key is a hash over all tokens before it: two
/// prompts have equal keys up to the first token at which they differ, and none after it.
class prompt_chain {
public:
  /// Notes a prefix after `first` tokens and each `step` further ones; `first` 0: none but the blocks.
  void note_steps(uint32_t first, uint32_t step) {
    next_ = first;
    step_ = step;
  }

  /// Adds text token by token, and returns how many there were.
  uint32_t add(std::string_view text);

  /// Adds something that is the same as a whole or not at all.
  void add_unit(uint64_t key, uint32_t tokens);

  /// Notes a prefix here: a block ends.
  void end_block() { prefixes_.push_back({key_, tokens_}); }

  /// How many prefixes were noted.
  std::size_t blocks() const { return prefixes_.size(); }

  /// Hands over the prefixes noted so far, in the order of the prompt.
  std::vector<prefix> take_prefixes() { return std::move(prefixes_); }

  /// Of the first 256 tokens, or of all if they are fewer.
  uint64_t head() const { return tokens_ < head_tokens ? key_ : head_; }

private:
  static constexpr uint32_t head_tokens = 256;

  std::vector<prefix> prefixes_;
  uint64_t key_ = 0;
  uint64_t head_ = 0;
  uint32_t tokens_ = 0;
  uint32_t next_ = 0; ///< Where the next prefix is noted; 0: nowhere.
  uint32_t step_ = 0;
};

/// The prefixes that are known. The oldest are forgotten beyond a million.
///
/// `look_up` is called when a request was read, `store` when the first byte of its answer goes out: until then other
/// requests with the same prompt pay in full.
class prompt_cache {
public:
  explicit prompt_cache(const options& settings) { configure(settings); }

  /// A `cache_ttl` of 0 forgets all.
  void configure(const options& settings);

  /// What a look-up found, and what is to be kept for later ones.
  struct finding {
    cache_use use;
    std::vector<kept_prefix> keep; ///< To be stored once the answer begins.
  };

  /// Looks a prompt up; what is read lives on.
  finding look_up(const cache_plan& plan, clock::time_point now);

  /// Makes prefixes readable, from `now` for their lifetime.
  void store(const std::vector<kept_prefix>& kept, clock::time_point now);

private:
  /// A known prefix: until when, and for how much longer each time it is read.
  struct entry {
    clock::time_point expiry;
    clock::duration lifetime;
  };

  static constexpr std::size_t max_entries = 1'000'000;
  static constexpr std::size_t max_routes = 10'000;
  static constexpr std::size_t look_back = 20;         ///< Blocks, that of the breakpoint included.
  static constexpr uint32_t requests_per_machine = 15; ///< A minute, for one key and head: more go to another machine.

  /// Looks up an automatic plan: reads the longest known prefix and keeps all that are new.
  finding look_up_steps(const cache_plan& plan, clock::time_point now);

  /// Looks up a plan with breakpoints; searches up to `look_back` blocks before each.
  finding look_up_blocks(const cache_plan& plan, clock::time_point now);

  /// Returns the machine that a request comes to: the one of its key and head, unless that is busy; else each in turn.
  uint64_t machine_for(const cache_plan& plan, clock::time_point now);

  /// Returns whether the prefix is known, and renews it if so.
  bool touch(uint64_t key, clock::time_point now);

  clock::duration ttl_{};
  uint32_t machines_ = 1;
  uint64_t arrivals_ = 0; ///< Of requests without a key: they go round.
  std::unordered_map<uint64_t, entry> entries_;
  std::deque<uint64_t> order_; ///< Of keys, the oldest first.
  std::unordered_map<uint64_t, sliding_sum> routes_;
};

} // namespace modelforge::simulator
