#pragma once

#include "batch/input.hpp"
#include "batch/ledger.hpp"
#include "batch/writer.hpp"

#include <modelforge/messages/batch_options.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// Where a batch's results are kept until it ends.
std::string ledger_path(const std::string& output);

/// The files of one run of a batch, open.
struct session {
  batch::input input;
  std::unique_ptr<batch::ledger> ledger; ///< Null where input or output is no file.
  std::unique_ptr<batch::sink> sink;
  std::vector<std::string> warnings;
};

/// Opens input, ledger and output, in this order. Refused, with nothing changed but a new ledger that is removed again:
/// a file that cannot be opened, the same one for both, a ledger that is in use, of another input (`go_on_with`), or
/// with results that were made with others (`batch_options::made_with`), and providers' batch APIs without a ledger.
std::variant<session, failure> open_session(const batch_options& options);

/// Finds out what a run would begin with, and leaves all files as they are: without a sink, and without a ledger where
/// there is none yet. Refused as `open_session` is.
std::variant<session, failure> preview_session(const batch_options& options);

} // namespace modelforge::batch
