#pragma once

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/text_stream.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// ModelForge for hosts that are no CAF programs: no actor, message or promise of CAF's to be seen.

namespace modelforge {

/// What a call came to: a value, or the failure that says why there is none.
template <class T>
class [[nodiscard]] expected {
public:
  expected(T value) : result_(std::move(value)) {}
  expected(failure failed) : result_(std::move(failed)) {}

  explicit operator bool() const noexcept { return result_.index() == 0; }

  /// The value, which must be there.
  T& operator*() { return std::get<0>(result_); }
  const T& operator*() const { return std::get<0>(result_); }
  T* operator->() { return &std::get<0>(result_); }
  const T* operator->() const { return &std::get<0>(result_); }

  /// Why there is no value; there must be none.
  const failure& error() const { return std::get<1>(result_); }

private:
  std::variant<T, failure> result_;
};

/// What a host says beside the settings.
struct host_options {
  log_options log{}; ///< E.g. a sink of its own: docs/logs.md.
};

/// Owns the actor system and an actor for each configured provider.
///
///   modelforge::runtime ai{*modelforge::load_file("modelforge.toml").value};
///   if (auto answer = ai.chat("Why is the sky blue?"))
///     std::cout << answer->text << "\n";
///   else
///     std::cerr << to_string(answer.error()) << "\n";
///
/// All members may be called from any thread, and from inside callbacks, where they may block; only the destructor must
/// not be. Nothing but the constructor throws. A provider is named as in the settings; an empty name is the first one.
/// What a thread says in order is done in order: a cancel, a reload or the end overtakes no call that the same thread
/// made before.
/// Every call ends: with an answer, or with a failure, at the latest when its deadline is over.
class runtime {
public:
  /// Throws std::invalid_argument, its text saying which settings are wrong and how to mend them.
  explicit runtime(settings settings, host_options options = {});

  /// Takes nothing new (`errc::draining`), waits up to `grace_period` for what is running, cancels the rest, and
  /// returns when every callback has been called.
  ~runtime();

  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// Asks and waits.
  expected<completion> chat(chat_request request, std::string_view provider = {});

  /// Likewise with a prompt alone, for the provider's default model.
  expected<completion> chat(std::string prompt, std::string_view provider = {});

  /// Asks; the future never throws, and may be waited for inside callbacks.
  std::future<expected<completion>> chat_async(chat_request request, std::string_view provider = {});

  /// Asks; `done` is called exactly once, on a thread that all such callbacks share (after `shutdown` on the
  /// caller's). What it throws is lost.
  void chat(chat_request request, std::function<void(expected<completion>)> done, std::string_view provider = {});

  /// Starts a stream: a range of texts, or callbacks, which run on a thread of the stream's own.
  text_stream stream(chat_request request, stream_options options = {}, std::string_view provider = {});

  /// Likewise with a prompt alone.
  text_stream stream(std::string prompt, stream_options options = {}, std::string_view provider = {});

  /// Makes vectors and waits for them.
  expected<embedding> embed(embedding_request request, std::string_view provider = {});

  /// Runs a batch from file to file and waits for its end. `on_progress` is called up to ten times a second, where the
  /// callbacks of `chat` are, and may be called once more after this has returned; what it returns says whether the
  /// batch is still wanted. `providers`: names with weights (all 0: who answers soonest gets most); none: the first
  /// one. A failure: it did not start. What stopped it later is in the report; run again, it goes on from there.
  expected<batch_report> batch(const batch_options& options,
                               std::function<bool(const batch_progress&)> on_progress = {},
                               const std::vector<std::pair<std::string, double>>& providers = {});

  /// Tells which models the provider offers.
  expected<model_list> models(std::string_view provider = {});

  /// Tells what the provider is doing.
  expected<provider_status> status(std::string_view provider = {});

  /// Takes over other settings while it runs, all of them or (with a failure that reports every error) none. Requests
  /// under way go on as they began; limits change without forgetting what they have used. The log and the status
  /// call their origin "settings". See docs/embedding.md.
  expected<reload_report> reload(const settings& settings);

  /// Opens the log's file again, by its name: for one that has been moved away.
  void reopen_log();

  /// Tells how this program stands among other nodes; without [node] in the settings its `name` is empty.
  node_status node();

  /// Withdraws a request by the id that the host gave it, wherever it stands; it ends as `errc::cancelled`.
  void cancel(request_id id, std::string_view provider = {});

  /// Takes nothing new from now on (`errc::draining`), waits up to `grace_period` for what is running and cancels the
  /// rest; so calls that wait on other threads come back. Later calls do nothing.
  void shutdown();

  /// The names of the providers, in the order of the settings.
  std::vector<std::string> providers() const;

private:
  class core;
  std::unique_ptr<core> core_;
};

} // namespace modelforge
