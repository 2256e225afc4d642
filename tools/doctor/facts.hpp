#pragma once

#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What was seen of this machine and of the providers, before anybody has judged it.

namespace modelforge::doctor {

/// A file or a folder.
struct place {
  std::string path{};
  bool is_there = false;
  uint32_t owner = 0; ///< User id.
  uint32_t mode = 0;  ///< Permission bits alone: 0600.
};

/// Where a key or a header's value is to come from.
struct key_facts {
  std::string provider{};
  std::string source{};  ///< The variable's name, or the file's path.
  std::string problem{}; ///< Why it cannot be had; empty: it can.
  std::string remedy{};  ///< What to do about that.
  std::optional<place> file{};
};

/// What the resolver says of a name.
struct host_facts {
  std::string subject{}; ///< Whose host it is: a provider, "the proxy", "peer".
  std::string host{};
  std::size_t addresses = 0;
  std::string problem{}; ///< The resolver's words; empty: there are addresses.
};

/// The way to a provider.
struct proxy_facts {
  std::string provider{};
  std::string host{}; ///< HOST:PORT of the provider, as settings spell it.
  bool is_loopback = false;
  bool has_any = false;    ///< The environment names a proxy for somebody.
  std::string name{};      ///< HOST:PORT of the proxy; empty: the provider is asked directly.
  std::string flaw{};      ///< Why its URL is none; empty: it is one.
  std::string trouble{};   ///< Why it cannot be connected to; empty: it can, or nobody has tried.
  bool is_capital = false; ///< HTTP_PROXY is set, which is not read, and would be the way to this provider.
};

/// A file of authorities that a variable names in place of the system's.
struct trust_facts {
  std::string variable{};
  std::string path{};
  std::string problem{}; ///< Why it cannot be used; empty: it can.
};

/// What a provider said when it was asked for its models with one of its keys.
struct answer_facts {
  std::string provider{};
  std::string key{};                 ///< The variable or file that the key is from; empty: there is none.
  std::vector<std::string> models{}; ///< That the settings name, and that its list should have; may be empty.
  std::variant<model_list, failure> got{};
};

/// A server's time, from the `Date` header of an answer.
struct server_time {
  std::string host{};
  std::chrono::system_clock::time_point there{};
  std::chrono::system_clock::time_point here{}; ///< When the answer had come.
};

/// Both clocks at the beginning and at the end of a run.
struct clock_facts {
  std::chrono::system_clock::time_point begun{};
  std::chrono::system_clock::time_point ended{};
  std::chrono::nanoseconds passed{}; ///< By the monotonic clock.
  std::vector<server_time> servers{};
};

/// A folder that files are kept in.
struct folder_facts {
  doctor::place place{};
  std::string use{};     ///< What for: "the use of limits".
  std::string problem{}; ///< Why files cannot be kept there; empty: they can.
  bool is_needed = true; ///< False: what uses it does without.
  std::optional<uint64_t> free_bytes{};
};

/// The file that keeps the use of a provider's limits.
struct limits_file_facts {
  std::string provider{};
  doctor::place place{};
  bool is_readable = true;
  bool is_whole = true;   ///< False: it can be read, and is none of ours, or damaged.
  bool is_in_use = false; ///< Another process has locked it.
};

/// A batch's ledger.
struct ledger_facts {
  doctor::place place{};
  std::optional<failure> problem{}; ///< Why it cannot be read.
  uint64_t done = 0;
  std::optional<uint64_t> total{}; ///< Empty: not known yet.
  bool is_in_use = false;
};

struct descriptor_facts {
  uint64_t limit = 0;       ///< That the process may raise its own to: the hard one.
  uint64_t connections = 0; ///< That the configuration allows at a time.
};

/// An address that the configuration has this machine listen at.
struct port_facts {
  std::string setting{}; ///< "node.listen"
  std::string address{}; ///< HOST:PORT
  int error = 0;         ///< Of listening there: errno; 0: the port is free.
  std::string holder{};  ///< Who has it: "modelforge, pid 4711"; empty: not known.
  bool is_modelforge = false;
};

/// The files of [node.tls].
struct certificate_facts {
  std::string certificate{};
  std::variant<std::chrono::seconds, failure> valid{}; ///< For how long, or why it cannot be used.
  doctor::place key{};
};

} // namespace modelforge::doctor
