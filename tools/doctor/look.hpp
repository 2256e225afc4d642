#pragma once

#include "tools/doctor/facts.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Looking at this machine: files, names, ports, limits. Nothing is changed, and nothing is sent to a provider.

namespace modelforge::doctor {

place look_at(const std::string& path);

/// What is free to this user where the folder is or would be; empty: not known.
std::optional<uint64_t> free_bytes_at(const std::string& folder);

/// Whether some process holds a lock of the file, as far as /proc tells: without taking it, which a program that starts
/// just then would find taken.
bool is_locked(const std::string& path);

/// The limit of open files that a process may raise its own to.
uint64_t descriptor_limit();

/// Asks the resolver for all hosts at a time, and fills in what it says. Who has not been answered after `patience` has
/// that as its problem.
void resolve(std::vector<host_facts>& hosts, std::chrono::milliseconds patience);

/// Connects, and closes again without a word. Returns why that does not work; empty: it does.
std::string connect_problem(const std::string& host, const std::string& port, std::chrono::milliseconds patience);

/// Listens there for a moment. Returns the error as errno has it; 0: the port is free. Port 0 is always free.
int listen_error(const std::string& host, const std::string& port);

/// Who listens at a port of this machine.
struct port_holder {
  std::string name;           ///< "nginx, pid 812"; empty: not known, as where it is another user's.
  bool is_modelforge = false; ///< It is one of our programs, other than the simulator.
};

port_holder holder_of(uint16_t port);

} // namespace modelforge::doctor
