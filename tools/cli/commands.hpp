#pragma once

#include <modelforge/config/settings.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What `modelforge` can do. Each function is one command; what it returns is the exit code.

namespace modelforge::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1; ///< A request failed.
inline constexpr int exit_usage = 2;  ///< Wrong arguments, files or configuration: nothing was sent.
inline constexpr int exit_interrupted = 130;

/// Which provider to ask.
struct target_options {
  std::string config;   ///< Path; empty: look for one.
  std::string provider; ///< Name; empty: the first one.
  std::string model;    ///< Empty: the provider's default.
  bool simulate = false;
};

struct chat_options {
  target_options target;
  std::string prompt; ///< "-" or empty: standard input.
  std::string system;
  std::string output;              ///< File for the text; empty: standard output.
  std::string schema;              ///< File of a JSON Schema that the answer must follow; empty: none.
  std::vector<std::string> images; ///< Files or http(s) addresses.
  bool json = false;
  bool stream = true;            ///< Print the answer as it comes.
  bool stats = false;            ///< Tell at the end how fast it was.
  std::optional<double> timeout; ///< Seconds.
};

struct embed_options {
  target_options target;
  std::vector<std::string> inputs; ///< None, or "-": the lines of standard input.
  std::string purpose;             ///< As `embedding_purpose` is written; empty: none.
  std::optional<uint32_t> dimensions;
  std::optional<double> timeout; ///< Seconds.
  bool stats = false;
};

struct models_options {
  target_options target;
};

struct batch_command_options {
  target_options target;
  std::string input;
  std::string output;
  std::optional<uint32_t> max_concurrent; ///< 0: as many as the providers send at a time.
  std::optional<double> timeout;          ///< Seconds, of each item.
  std::string order = "input";
  std::string mode; ///< Empty: `auto` where the first provider has `enable_batch_api`, else `live`.
  std::string after_expiry = "live";
  std::optional<double> deadline; ///< Seconds, of the whole batch.
  std::size_t job_items = 10'000;
  bool fresh = false;
  bool retry_failed = false;
  bool dry_run = false;
  bool quiet = false;
};

struct ledger_command_options {
  target_options target;
  std::string ledger;
};

struct providers_options {
  std::string config;
  bool json = false;
};

struct node_options {
  std::string config;
};

int chat(const chat_options& x);
int embed(const embed_options& x);
int models(const models_options& x);
int batch(const batch_command_options& x);
int batch_status(const ledger_command_options& x);
int batch_cancel(const ledger_command_options& x);
int batch_dry_run(const batch_command_options& x);
int node(const node_options& x);
int providers(const providers_options& x);
int config_check(const std::string& path);
int config_show(const std::string& path);
int config_example();
int config_reference();

/// Finds the settings, or prints what is wrong with them (or that there are none) and returns nothing.
std::optional<settings> load_settings(const std::string& path);

} // namespace modelforge::cli
