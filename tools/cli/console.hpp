#pragma once

#include "tools/cli/session.hpp"

#include <memory>
#include <string>
#include <vector>

namespace modelforge::cli {

/// How reading from a terminal ended.
enum class typed : uint8_t {
  text,
  end,         ///< Ctrl-D, or the terminal is gone.
  interrupted, ///< Ctrl-C: what was typed is dropped.
  terminated,  ///< SIGTERM, or SIGHUP.
};

/// Somebody at a terminal who types lines. For the main thread.
class console {
public:
  virtual ~console() = default;

  /// Reads a line, without its line break; one that was pasted, or has line breaks of the editor's own, may have
  /// several.
  virtual typed read(const std::string& prompt, std::string& line) = 0;

  /// Lets the arrow keys bring it back.
  virtual void remember(const std::string& input) = 0;
};

/// Returns a line editor where the program was built with one and the terminal allows it, else one that reads lines as
/// the terminal gives them. `inputs`: for the arrow keys, the oldest first. `words`: Tab completes them.
std::unique_ptr<console> make_console(waiter& waiter, const std::vector<std::string>& inputs,
                                      std::vector<std::string> words);

/// The editor (libedit); null where the program was built without one, or the terminal is too simple for it.
std::unique_ptr<console> make_line_editor(waiter& waiter, const std::vector<std::string>& inputs,
                                          std::vector<std::string> words);

} // namespace modelforge::cli
