#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/enums.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

/// What a batch is to do. Not sent between nodes.

namespace modelforge {

/// The order of a batch's output.
enum class batch_order : uint8_t {
  input,   ///< As the items come in the input.
  arrival, ///< As their results came.
};

template <>
inline constexpr auto enum_names<batch_order> = std::to_array<std::string_view>({"input", "arrival"});

/// How a batch's items reach a provider.
enum class batch_mode : uint8_t {
  live,      ///< As single requests, under the provider's limits.
  provider,  ///< As jobs of the provider's own batch API: cheaper, within a day.
  automatic, ///< `provider`, unless `batch_options::finish_within` is shorter than a provider's day.
};

template <>
inline constexpr auto enum_names<batch_mode> = std::to_array<std::string_view>({"live", "provider", "auto"});

/// What a batch's input is.
enum class batch_format : uint8_t {
  automatic, ///< `lines`, but a name that ends in .csv or .tsv is refused: who means that says so.
  lines,     ///< A line for each item: plain text, or JSON.
  csv,       ///< A table as in RFC 4180, with a header; quoted fields may hold line breaks.
  tsv,       ///< A table with tabs between its fields, with a header; no quotes.
  folder,    ///< Every file of a folder whose name does not begin with a dot is a text, in the order of their names.
};

template <>
inline constexpr auto enum_names<batch_format> = std::to_array<std::string_view>({"auto", "lines", "csv", "tsv",
                                                                                  "folder"});

/// One batch: where its prompts come from, where its results go, and how they are sent.
struct batch_options {
  /// Read once, front to back, as fast as items are sent: it may be larger than the memory.
  std::string input;           ///< Path of a JSON lines or text file; "-" is standard input.
  std::string output;          ///< Path; "-" is standard output. Lines are OpenAI batch results.
  std::string model;           ///< For items that name none; empty: the provider's `default_model`.
  uint32_t max_concurrent = 5; ///< Items in flight; 0: as many as the providers send at a time.
  std::optional<std::chrono::nanoseconds> deadline; ///< Of each live item, from its start; empty: none.
  batch_order order = batch_order::input;
  bool fresh = false; ///< Starts over where an earlier run left a ledger; else goes on with what is missing.
  /// Without effect where there is no ledger of an earlier run.
  bool retry_failed = false; ///< Sends items again that an earlier run saw fail.
  /// Goes on though one item after the other fails for a reason that is not theirs, e.g. a key that is refused: then
  /// they are recorded as failed. Else the batch stops, and leaves them for a later run.
  bool keep_going = false;
  batch_mode mode = batch_mode::live;
  /// From the start of the run: live items that have no answer by then fail; by it `automatic` chooses. Jobs of a
  /// provider's batch API have a day of their own. Empty: no bound.
  std::optional<std::chrono::nanoseconds> finish_within{};
  batch_mode after_expiry = batch_mode::live; ///< For what a provider's job did not come to; not `automatic`.
  std::size_t job_items = 10'000;             ///< The most in one job of a provider; their requests are held in memory.
  /// How long a provider whose queue of jobs is full is left alone; doubled each time, up to 10 min.
  std::chrono::nanoseconds busy_pause = std::chrono::seconds{30};
  /// What the answers depend on beside the input, by name, for people, e.g. "model" and "gpt-5.2". Names are plain
  /// words. The ledger keeps it, and an earlier run's results that were made with others are gone on with only if that
  /// is said
  /// (`accept_changes`). What only one of the two runs names is not compared; empty: nothing is.
  std::map<std::string, std::string> made_with{};
  /// Goes on with an earlier run's results, whatever they were made with; sends answered lines that changed again.
  bool accept_changes = false;
  batch_format format = batch_format::automatic; ///< Of the input.
  /// What is asked of each row or file: a text in which {{NAME}} stands for what the row has in that column, and
  /// {{text}} for the whole file. For tables and folders, which need it, and for them alone.
  std::string prompt{};
  modelforge::sampling sampling{}; ///< For chat items, as far as they say nothing themselves.
  std::string extra{};             ///< A JSON object, as text: likewise.
  bool cancel_jobs = false; ///< Sends nothing: cancels the jobs that an earlier run began, and keeps what they did.
};

} // namespace modelforge
