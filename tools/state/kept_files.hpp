#pragma once

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/enums.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What ModelForge keeps in files: what it is, how large it grows, and when it may go.

namespace modelforge::state {

enum class kind : uint8_t { limits, lock, draft, trusted, conversation, inputs, ledger, log };

/// What is to be known of a kind of files. docs/reference.md is written from it.
struct kind_rule {
  state::kind kind;
  std::string_view place; ///< STATE is the folder of state.
  std::string_view mode;  ///< Of files that are made.
  std::string_view holds;
  std::string_view growth;
  std::string_view cleaned; ///< By whom, and when.
};

/// All kinds, in their order.
const std::vector<kind_rule>& kind_rules();

/// Where and of what a file is.
struct kept_file {
  state::kind kind = kind::limits;
  std::string path{};
  uint32_t owner = 0; ///< User id.
  uint32_t mode = 0;  ///< Permission bits alone.
  uint64_t bytes = 0;
  std::chrono::system_clock::time_point changed{};
  bool is_in_use = false;     ///< Some process has locked it.
  std::string kept_because{}; ///< Why it must stay whatever its age; empty: it may go.
};

/// Where to look. Empty ones are left out.
struct folders {
  std::string state{};                ///< The user's own.
  std::string limits{};               ///< Of the configuration, where it is another one.
  std::vector<std::string> ledgers{}; ///< Those that may have outputs of batches; what lies deeper is not seen.
  std::vector<std::string> logs{};    ///< The files of the log and the access log.
};

/// Finds all there is, by kind and then by name.
std::vector<kept_file> find_files(const folders& where);

/// What is to be cleaned.
struct clean_order {
  std::vector<state::kind> kinds{};
  std::chrono::seconds older_than{};
};

/// Whether the file is to go; `now` is the time of day.
bool is_to_go(const kept_file& file, const clean_order& order, std::chrono::system_clock::time_point now);

/// Why a file stays that was to go, without anything being wrong.
inline constexpr std::string_view used_words = "a program uses it";
inline constexpr std::string_view changed_words = "it has changed meanwhile";

/// Removes it, unless a process holds it: its lock is taken for that, where it has one. Returns why it is still there,
/// or "": these words, else what the system says.
std::string remove(const kept_file& file);

} // namespace modelforge::state

template <>
inline constexpr auto modelforge::enum_names<modelforge::state::kind> =
  std::to_array<std::string_view>({"limits", "lock", "draft", "trusted", "conversation", "inputs", "ledger", "log"});
