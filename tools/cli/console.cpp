#include "tools/cli/console.hpp"

#include "tools/cli/output.hpp"

#include <cerrno>
#include <termios.h>
#include <unistd.h>
#include <utility>

namespace modelforge::cli {

namespace {

/// Lines as the terminal's own editing gives them.
class plain_console : public console {
public:
  explicit plain_console(waiter& waiter) : waiter_(waiter) {}

  typed read(const std::string& prompt, std::string& line) override {
    print(prompt);
    for (;;) {
      if (auto end = buffer_.find('\n'); end != buffer_.npos) {
        line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return typed::text;
      }
      switch (waiter_.wait_for_input(STDIN_FILENO)) {
        case waiter::event::interrupted:
          buffer_.clear();
          tcflush(STDIN_FILENO, TCIFLUSH);
          return typed::interrupted;
        case waiter::event::terminated:
          return typed::terminated;
        case waiter::event::continued:
          print(prompt);
          continue;
        default:
          break;
      }
      char bytes[4096];
      auto n = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) {
        line = std::exchange(buffer_, {});
        return line.empty() ? typed::end : typed::text;
      }
      buffer_.append(bytes, static_cast<std::size_t>(n));
    }
  }

  void remember(const std::string&) override {}

private:
  waiter& waiter_;
  std::string buffer_; ///< Typed, not read yet.
};

} // namespace

#ifndef MODELFORGE_LINE_EDITOR
std::unique_ptr<console> make_line_editor(waiter&, const std::vector<std::string>&, std::vector<std::string>) {
  return nullptr;
}
#endif

std::unique_ptr<console> make_console(waiter& waiter, const std::vector<std::string>& inputs,
                                      std::vector<std::string> words) {
  if (auto editor = make_line_editor(waiter, inputs, std::move(words)))
    return editor;
  return std::make_unique<plain_console>(waiter);
}

} // namespace modelforge::cli
