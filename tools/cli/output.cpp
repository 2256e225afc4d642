#include "tools/cli/output.hpp"

#include "base/file.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace modelforge::cli {

// Full disks and closed pipes are errors of the command, not of the terminal.
bool print(std::string_view text) {
  if (base::write_all(STDOUT_FILENO, text))
    return true;
  complain(std::string{"cannot write to standard output: "}
           + (errno == EPIPE ? "nobody reads it any more" : std::strerror(errno)));
  return false;
}

std::string grouped(uint64_t number) {
  auto text = std::to_string(number);
  for (auto i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

void complain(std::string_view text) {
  std::string line = "modelforge: error: ";
  line += text;
  line += '\n';
  base::write_all(STDERR_FILENO, line);
}

bool has_colors(int descriptor) {
  auto get = [](const char* name) {
    auto* value = std::getenv(name);
    return std::string_view{value != nullptr ? value : ""};
  };
  return isatty(descriptor) != 0 && get("NO_COLOR").empty() && !get("TERM").empty() && get("TERM") != "dumb";
}

void secure_standard_streams() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0) // closed: the lowest free number is this one, and writing to it will fail
      static_cast<void>(::open("/dev/null", O_RDONLY));
  std::signal(SIGPIPE, SIG_IGN);
}

} // namespace modelforge::cli
