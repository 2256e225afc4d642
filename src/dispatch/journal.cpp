#include "dispatch/journal.hpp"

#include "base/file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace modelforge {

namespace {

constexpr std::string_view first_line = "modelforge limits 1";

std::string file_name(const std::string& provider) {
  auto result = provider;
  for (auto& c : result)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      c = '_';
  return result.empty() ? "_" : result;
}

std::string problem(const std::string& what, const std::string& path, int error) {
  return "cannot " + what + " " + path + ": " + std::strerror(error);
}

void put(std::string& out, const limits::amounts& x) {
  for (auto amount : x)
    out += " " + std::to_string(amount);
}

bool get(std::istream& in, limits::amounts& x) {
  for (auto& amount : x)
    in >> amount;
  return !in.fail();
}

/// One line: "lane GROUP KEY OPEN*4 NAME" or "live LEFT AMOUNT*4", times in nanoseconds.
bool read_line(const std::string& text, journal::content& to) {
  std::istringstream in{text};
  std::string what;
  in >> what;
  if (what == "lane") {
    journal::lane x;
    if (!(in >> x.is.group >> x.is.key) || !get(in, x.is.open))
      return false;
    in.get();
    std::getline(in, x.name);
    to.lanes.push_back(std::move(x));
    return true;
  }
  int64_t left = 0;
  limits::rate_limiter::saved_charge x{};
  if (what != "live" || to.lanes.empty() || !(in >> left) || left < 0 || !get(in, x.amount))
    return false;
  x.left = limits::duration{left};
  to.lanes.back().is.live.push_back(x);
  return true;
}

/// The whole file; empty where it is not ours, or its end is missing. `base_url`: what it must be of; null: anything.
std::optional<journal::content> read_content(std::istream& in, const std::string* base_url) {
  constexpr std::string_view of = "of ";
  std::string line, word;
  if (!std::getline(in, line) || line != first_line || !std::getline(in, line) || !line.starts_with(of)
      || (base_url != nullptr && line.substr(of.size()) != *base_url))
    return {};
  int64_t written = 0;
  if (!(in >> word >> written) || word != "written")
    return {};
  in.ignore();
  journal::content result{journal::wall_clock::time_point{std::chrono::nanoseconds{written}}, {}};
  while (std::getline(in, line)) {
    if (line == "end")
      return result;
    if (!read_line(line, result))
      return {};
  }
  return {};
}

} // namespace

journal::look journal::look_at(const std::string& folder, const std::string& provider) {
  auto base = folder + "/" + file_name(provider);
  look result{base + ".limits", base + ".lock"};
  std::ifstream in{result.path};
  result.is_readable = in.good();
  result.is_whole = read_content(in, nullptr).has_value();
  return result;
}

std::variant<journal, std::string> journal::open(const std::string& folder, const std::string& provider) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return problem("make the folder", folder, error.value());
  journal x;
  auto base = folder + "/" + file_name(provider);
  x.path_ = base + ".limits";
  auto lock_path = base + ".lock";
  x.lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (x.lock_ < 0)
    return problem("open", lock_path, errno);
  x.take_lock();
  return x;
}

bool journal::take_lock() {
  is_locked_ = is_locked_ || flock(lock_, LOCK_EX | LOCK_NB) == 0;
  return is_locked_;
}

journal::journal(journal&& x) noexcept
  : path_(std::move(x.path_)), lock_(std::exchange(x.lock_, -1)), is_locked_(std::exchange(x.is_locked_, false)) {}

journal& journal::operator=(journal&& x) noexcept {
  std::swap(path_, x.path_);
  std::swap(lock_, x.lock_);
  std::swap(is_locked_, x.is_locked_);
  return *this;
}

journal::~journal() {
  if (lock_ >= 0)
    ::close(lock_);
}

std::optional<journal::content> journal::read(const std::string& base_url) const {
  std::ifstream in{path_};
  return read_content(in, &base_url);
}

std::optional<std::string> journal::write(const std::string& base_url, const content& x) {
  if (!take_lock())
    return {};
  std::string text{first_line};
  text += "\nof " + base_url + "\nwritten "
          + std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(x.written.time_since_epoch()).count());
  for (auto& lane : x.lanes) {
    text += "\nlane " + std::to_string(lane.is.group) + " " + std::to_string(lane.is.key);
    put(text, lane.is.open);
    text += " " + lane.name;
    for (auto& live : lane.is.live) {
      text += "\nlive " + std::to_string(live.left.count());
      put(text, live.amount);
    }
  }
  text += "\nend\n";
  auto draft = path_ + ".new";
  auto fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return problem("write", draft, errno);
  auto good = base::write_all(fd, text);
  auto error = errno;
  ::close(fd);
  if (!good)
    return problem("write", draft, error);
  if (std::rename(draft.c_str(), path_.c_str()) != 0)
    return problem("write", path_, errno);
  return {};
}

} // namespace modelforge
