#include "tools/doctor/look.hpp"

#include "base/file.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

namespace modelforge::doctor {

namespace {

namespace fs = std::filesystem;

using addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

/// Asks the resolver, which may take long. `problem` gets its words.
addresses addresses_of(const std::string& host, const std::string& port, int flags, std::string& problem) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (auto error = getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &found); error != 0)
    problem = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
  return {found, freeaddrinfo};
}

/// Runs a function that may block for long on a thread of its own, which is left behind where nobody waits any more.
template <class Function>
auto on_a_thread(Function function) {
  std::packaged_task<decltype(function())()> task{std::move(function)};
  auto result = task.get_future();
  std::thread{std::move(task)}.detach();
  return result;
}

std::string late_text(std::chrono::milliseconds patience) {
  return "no answer within " + duration_text(patience);
}

/// What became of a connection that was begun.
std::string connected(int fd, std::chrono::milliseconds patience) {
  pollfd waiting{fd, POLLOUT, 0};
  int ready;
  do
    ready = ::poll(&waiting, 1, static_cast<int>(patience.count()));
  while (ready < 0 && errno == EINTR);
  if (ready == 0)
    return late_text(patience);
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? "" : std::strerror(error);
}

std::string connect_to(const std::string& host, const std::string& port, std::chrono::milliseconds patience) {
  std::string problem;
  auto all = addresses_of(host, port, 0, problem);
  for (auto* each = all.get(); each != nullptr; each = each->ai_next) {
    base::file socket{::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (socket.get() < 0 || (::connect(socket.get(), each->ai_addr, each->ai_addrlen) != 0 && errno != EINPROGRESS))
      problem = std::strerror(errno);
    else if (problem = connected(socket.get(), patience); problem.empty())
      return {};
  }
  return problem;
}

/// The inodes of the sockets that listen at a port, from a table such as /proc/net/tcp.
void add_listeners(const char* table, uint16_t port, std::set<std::string>& inodes) {
  constexpr auto listening = "0A";
  std::ifstream in{table};
  std::string line;
  for (std::getline(in, line); std::getline(in, line);) {
    std::istringstream fields{line};
    std::string number, local, remote, state, skipped, inode;
    fields >> number >> local >> remote >> state;
    for (int i = 0; i < 5; ++i) // queues, timer, retransmits, user, timeout
      fields >> skipped;
    fields >> inode;
    auto colon = local.rfind(':');
    if (state == listening && colon != local.npos && std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port)
      inodes.insert("socket:[" + inode + "]");
  }
}

bool has_one_of(const fs::path& descriptors, const std::set<std::string>& inodes) {
  std::error_code error;
  for (fs::directory_iterator each{descriptors, error}, end; !error && each != end; each.increment(error)) {
    std::error_code gone;
    if (inodes.count(fs::read_symlink(each->path(), gone).string()) != 0)
      return true;
  }
  return false;
}

/// A process as people call it: "nginx, pid 812", "modelforge node, pid 4711".
port_holder holder_at(const fs::path& process, const std::string& pid) {
  std::string name, word;
  std::ifstream names{process / "comm"}, words{process / "cmdline"};
  std::getline(names, name);
  auto is_ours = name == "modelforge" && std::getline(words, word, '\0') && std::getline(words, word, '\0');
  return {name + (is_ours ? " " + word : "") + ", pid " + pid, is_ours && word != "simulate"};
}

} // namespace

place look_at(const std::string& path) {
  place result;
  result.path = path;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    result.is_there = true;
    result.owner = info.st_uid;
    result.mode = info.st_mode & 07777;
  }
  return result;
}

std::optional<uint64_t> free_bytes_at(const std::string& folder) {
  fs::path place{folder};
  std::error_code ignored;
  while (place.has_relative_path() && !fs::exists(place, ignored))
    place = place.parent_path();
  struct statvfs info {};
  if (::statvfs(place.c_str(), &info) != 0 || info.f_blocks == 0) // which has no room of its own, as /proc
    return {};
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

// The inode alone: the device in /proc/locks is another one than stat's on some file systems. That another file has the
// same number, and is locked, is rare, and costs a word.
bool is_locked(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return false;
  auto wanted = ':' + std::to_string(info.st_ino) + ' ';
  std::ifstream locks{"/proc/locks"};
  for (std::string line; std::getline(locks, line);)
    if (line.find(wanted) != line.npos)
      return true;
  return false;
}

uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 0;
}

void resolve(std::vector<host_facts>& hosts, std::chrono::milliseconds patience) {
  struct answer {
    std::size_t addresses = 0;
    std::string problem;
  };
  std::vector<std::future<answer>> answers;
  for (auto& each : hosts)
    answers.push_back(on_a_thread([host = each.host] {
      answer result;
      auto found = addresses_of(host, "", 0, result.problem);
      for (auto* address = found.get(); address != nullptr; address = address->ai_next)
        ++result.addresses;
      return result;
    }));
  auto end = std::chrono::steady_clock::now() + patience;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (answers[i].wait_until(end) != std::future_status::ready) {
      hosts[i].problem = late_text(patience);
      continue;
    }
    auto got = answers[i].get();
    hosts[i].addresses = got.addresses;
    hosts[i].problem = std::move(got.problem);
  }
}

std::string connect_problem(const std::string& host, const std::string& port, std::chrono::milliseconds patience) {
  auto result = on_a_thread([=] { return connect_to(host, port, patience); });
  return result.wait_for(patience) == std::future_status::ready ? result.get() : late_text(patience);
}

int listen_error(const std::string& host, const std::string& port) {
  std::string problem;
  auto all = addresses_of(host, port, AI_PASSIVE, problem);
  auto error = all == nullptr ? EADDRNOTAVAIL : 0;
  for (auto* each = all.get(); each != nullptr; each = each->ai_next) {
    base::file socket{::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int on = 1; // what the programs set, too: a port in TIME_WAIT is free to them
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), each->ai_addr, each->ai_addrlen) == 0 && ::listen(socket.get(), 1) == 0)
      return 0;
    error = errno;
  }
  return error;
}

port_holder holder_of(uint16_t port) {
  std::set<std::string> inodes;
  for (auto* table : {"/proc/net/tcp", "/proc/net/tcp6"})
    add_listeners(table, port, inodes);
  std::error_code error;
  for (fs::directory_iterator each{"/proc", error}, end; !inodes.empty() && !error && each != end;
       each.increment(error)) {
    auto pid = each->path().filename().string();
    if (!std::isdigit(static_cast<unsigned char>(pid.front())) || !has_one_of(each->path() / "fd", inodes))
      continue;
    return holder_at(each->path(), pid);
  }
  return {};
}

} // namespace modelforge::doctor
