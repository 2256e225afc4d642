#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace modelforge::batch {

/// What answers depend on, by name: `batch_options::made_with`.
using run_terms = std::map<std::string, std::string>;

/// How many of a batch's results were made with what.
///
/// A result is of the run that had last begun before it in the ledger, so its place there tells which. Results from
/// before the first run that said something are of unknown terms, which are none. A plain class.
class run_shares {
public:
  struct share {
    run_terms made_with; ///< None: not known.
    uint64_t ok = 0;
    uint64_t failed = 0;
  };

  /// A run begins at this place; later ones begin behind it.
  void begin(uint64_t offset, const run_terms& made_with);

  /// A result at this place counts from now on, or does not any more.
  void add(uint64_t offset, bool ok) { ++count_at(offset, ok); }
  void remove(uint64_t offset, bool ok) { --count_at(offset, ok); }

  /// Returns those that have results, each set of terms once, in the order of their first runs.
  std::vector<share> shares() const;

private:
  struct run {
    uint64_t offset = 0;
    share results;
  };

  uint64_t& count_at(uint64_t offset, bool ok);

  std::vector<run> runs_ = {{}};
};

/// What differs between two of them, for people: "model: a, now b; simulated: yes, now no"; empty: nothing. Of what
/// only one of them names it cannot be said: it may be of another version.
std::string differences(const run_terms& before, const run_terms& now);

} // namespace modelforge::batch
