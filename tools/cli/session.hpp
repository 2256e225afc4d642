#pragma once

#include "tools/cli/commands.hpp"
#include "tools/cli/host.hpp"
#include "tools/cli/wait_notice.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace modelforge::simulator {

class server;

} // namespace modelforge::simulator

namespace modelforge::cli {

/// Seconds as the command line gives them, as the messages want them.
inline std::optional<std::chrono::nanoseconds> to_deadline(std::optional<double> seconds) {
  if (!seconds)
    return {};
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(*seconds));
}

/// Waits in the main thread for what the actors do and for the user's Ctrl-C.
///
/// Make it before any other thread: they inherit its signal mask, and SIGINT and SIGTERM reach `wait` alone.
class waiter {
public:
  /// What SIGHUP does. Where the process was started to ignore it (nohup), it stays ignored, unless it is an order.
  enum class hangups : uint8_t {
    end_process,
    reach_wait,     ///< As `event::hangup`.
    order,          ///< The same, whether it was ignored or not; and SIGUSR1 is `event::status_wanted`.
    as_termination, ///< As SIGTERM, but a second one, which closed terminals send, too, ends nothing.
  };

  explicit waiter(hangups how = hangups::end_process);
  ~waiter();
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Wakes `wait` up, from any thread.
  void wake();

  enum class event : uint8_t { woken, interrupted, terminated, hangup, status_wanted, continued, timeout, input };

  /// Returns at the next `wake`, signal, or after this time. A second SIGINT or SIGTERM ends the process with exit code
  /// 130.
  event wait(std::chrono::milliseconds max_time);

  /// Waits for something to read there (`input`), SIGINT (`interrupted`) or SIGTERM (`terminated`), which interrupt
  /// nothing that `wait` waits for, or SIGCONT (`continued`): the process was stopped, and the terminal somebody
  /// else's.
  event wait_for_input(int descriptor);

  /// From now on another SIGINT is no more than the first one, for who asks one question after the other; call it
  /// before each.
  void begin_again();

  /// Whether a SIGTERM has come, or a SIGHUP that counts as one.
  bool is_terminated() const { return is_terminated_; }

private:
  int next_signal();

  int wake_ = -1;
  int signals_ = -1;
  bool interrupted_ = false;
  bool goes_on_ = false; ///< A second SIGINT ends nothing.
  bool is_terminated_ = false;
  hangups hangups_ = hangups::end_process;
};

/// One running provider or, for batches, several.
struct session_provider {
  provider_settings settings;
  double weight = 0; ///< As in `batch_provider`.
  provider_actor actor;
  std::string note{}; ///< Why it is asked in place of the first one; empty: it was named, or it is the first.
};

/// Finds the providers that `names` asks for: with `several` NAME[=WEIGHT],..., else one name; none means the first
/// one. On failure prints why and returns nothing.
std::optional<std::vector<session_provider>> choose_providers(const settings& all, const std::string& names,
                                                              bool several);

/// Running providers, for commands that ask them and end: their settings and actors, and with `--simulate` the
/// simulator as well.
class session {
public:
  /// Starts what `target` asks for. On failure prints why and returns null. `needs_model`: every request will be sent
  /// to the model that `target` or the settings name, so there must be one. `adapt` may change a provider's settings;
  /// with it, `target` may name several providers, parted by commas, each with =WEIGHT behind it.
  static std::unique_ptr<session> start(const target_options& target, bool needs_model,
                                        const std::function<void(provider_settings&)>& adapt = {});

  ~session();

  /// Starts the metrics port, where the settings name one. Where it cannot be had, another program may have it: then
  /// this one says that it is not watched, and goes on.
  void serve_metrics();

  /// Asks the provider for its state, which the notice gets; at most one question at a time.
  void ask_for_notice();

  caf::actor_system& system() { return host_->system(); }
  const log_handle& log() const { return host_->log(); }
  const std::vector<session_provider>& providers() const { return providers_; }
  const provider_actor& provider() const { return providers_.front().actor; }
  /// Says that the first provider was passed over, and why; empty: it was not.
  const std::string& choice_note() const { return providers_.front().note; }

  const runtime_settings& runtime() const { return runtime_; }
  const provider_settings& settings() const { return providers_.front().settings; }

  /// What the settings say of history: false where conversations are not to be kept.
  bool keeps_history() const { return keeps_history_; }

  /// What is said on a terminal while nothing is printed.
  wait_notice& notice() { return *notice_; }

private:
  session();

  bool choose(const target_options& target, modelforge::settings& all, bool several);
  bool simulate(const target_options& target);
  bool start_actors(const modelforge::settings& all, std::string origin);

  std::shared_ptr<wait_notice> notice_;       ///< Shared with actors that bring it news.
  std::shared_ptr<std::atomic<bool>> asking_; ///< The provider owes a state.
  metrics_settings metrics_settings_;
  runtime_settings runtime_;
  bool keeps_history_ = true;
  std::unique_ptr<simulator::server> simulator_;
  std::unique_ptr<host> host_;
  std::vector<session_provider> providers_; ///< Ends before the host, for its handles.
};

} // namespace modelforge::cli
