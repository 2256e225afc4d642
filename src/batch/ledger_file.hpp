#pragma once

#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge::batch {

/// What a ledger asks of its file; a test puts one in its place that loses what was not synced. A call that fails
/// leaves the reason in errno. Used by one thread.
class ledger_file {
public:
  virtual ~ledger_file() = default;

  /// Reads up to `size` bytes at `offset` into `out`, fewer only at the end of the file.
  virtual bool read(uint64_t offset, std::size_t size, std::string& out) = 0;

  virtual bool append(std::string_view bytes) = 0;

  /// Returns true when all that was appended or cut off outlives a crash of the machine, and can be found by the file's
  /// name (ENOENT: it was removed).
  virtual bool sync() = 0;

  virtual bool truncate(uint64_t size) = 0;
};

/// Calls `each(line, offset, ended)` for all lines, without their ends; `ended` is false for a last one that has none.
/// False: it cannot be read.
bool for_each_line_in(ledger_file& file, const std::function<void(std::string_view, uint64_t, bool)>& each);

/// Opens a ledger's file to look at; it takes nothing.
std::variant<std::unique_ptr<ledger_file>, failure> look_at_ledger_file(const std::string& path);

/// Opens a ledger's file for this process alone: while it lives, others are refused (`io_failed`). Made if need be.
/// Where the file system has no locks, two runs are not told apart.
std::variant<std::unique_ptr<ledger_file>, failure> open_ledger_file(const std::string& path);

/// Opens one to find out what a run would make of it: the file stays as it is, and what is appended or cut off is so in
/// memory alone. It may be in use.
std::variant<std::unique_ptr<ledger_file>, failure> preview_ledger_file(const std::string& path);

} // namespace modelforge::batch
