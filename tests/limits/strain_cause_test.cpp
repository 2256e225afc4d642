#include "limits/strain_cause.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <random>

namespace modelforge::limits {

namespace {

/// What becomes of one request after the other while `level` are in flight.
struct server {
  uint32_t places = UINT32_MAX; ///< The share above them is refused.
  double share = 0;             ///< Is refused at random.

  bool refuses(uint32_t level, std::mt19937& random) const {
    std::uniform_real_distribution<> draw;
    return draw(random) < share || (level > places && draw(random) < 1 - static_cast<double>(places) / level);
  }
};

struct course {
  double level = 0;     ///< On average, in the second half.
  double refused = 0;   ///< Share, in the second half.
  double is_random = 0; ///< Share of the second half in which that is believed.
};

/// Lowers and raises a level as `parallel_limit` does: by one with a refusal, and with 16 answers.
course run(const server& by, uint32_t first, uint32_t outcomes, uint32_t seed) {
  std::mt19937 random{seed};
  strain_cause cause;
  course result;
  uint32_t level = first, credit = 0;
  for (uint32_t i = 0; i < outcomes; ++i) {
    auto is_refused = by.refuses(level, random);
    if (i >= outcomes / 2) {
      result.level += 2. * level / outcomes;
      result.refused += 2. * is_refused / outcomes;
      result.is_random += 2. * cause.is_random() / outcomes;
    }
    if (is_refused) {
      if (cause.refused(level)) {
        level = std::max(1u, level - 1);
        credit = 0;
      } else {
        level = first;
      }
    } else {
      cause.answered();
      if (++credit == 16 && level < first) {
        ++level;
        credit = 0;
      }
    }
  }
  return result;
}

} // namespace

TEST_CASE("strain_cause finds out that refusals strike at random", "[limits][parallel]") {
  for (uint32_t seed = 1; seed <= 200; ++seed)
    for (auto first : {4u, 16u, 64u})
      for (auto share : {0.07, 0.1, 0.15, 0.2}) {
        auto got = run({.share = share}, first, 20'000, seed);
        INFO("seed " << seed << ", " << first << " in flight, share " << share << ": level " << got.level);
        CHECK(got.is_random >= 0.8);
        CHECK(got.level >= 0.7 * first);
      }
}

TEST_CASE("strain_cause leaves a level to the server that bounds it", "[limits][parallel]") {
  for (uint32_t seed = 1; seed <= 200; ++seed)
    for (auto first : {4u, 16u, 64u})
      for (auto places : {1u, 2u, 3u, 7u, 12u, 40u}) {
        auto got = run({.places = places}, first, 20'000, seed);
        INFO("seed " << seed << ", " << first << " in flight, " << places << " places: level " << got.level << ", "
                     << got.refused << " refused");
        CHECK(got.level <= 1.1 * places + 1);
        CHECK(got.refused < 0.1);
      }
}

TEST_CASE("strain_cause notices where what struck at random comes of the level", "[limits][parallel]") {
  strain_cause x;
  auto level = 16u;
  for (std::mt19937 random{5}; !x.is_random();) {
    if (random() % 8 != 0)
      x.answered();
    else if (x.refused(level))
      --level;
  }
  CHECK_FALSE(x.refused(16)); // an eighth: as before
  auto refused = 1;
  while (!x.refused(16))
    REQUIRE(++refused < 20); // many in a row: that is no chance
}

TEST_CASE("strain_cause believes nothing for ever", "[limits][parallel]") {
  strain_cause x;
  auto level = 4u;
  uint32_t outcomes = 0;
  for (; !x.is_random(); ++outcomes) {
    if (outcomes % 10 < 9)
      x.answered();
    else if (x.refused(level))
      level = std::max(1u, level - 1);
  }
  uint32_t held = 0;
  for (; x.is_random(); ++held) {
    REQUIRE(held < 100 * outcomes);
    x.answered();
  }
  CHECK(held > 75 * outcomes);
  CHECK(x.refused(4));
}

} // namespace modelforge::limits
