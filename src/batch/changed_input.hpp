#pragma once

#include "batch/ledger.hpp"

#include <modelforge/messages/batch_options.hpp>
#include <modelforge/messages/error.hpp>

#include <optional>
#include <string>
#include <vector>

namespace modelforge::batch {

/// Has a ledger belong to an input that is not, or not any more, what it was begun with. Does nothing where it is.
///
/// Lines are known by their custom_ids ("line-N" where they name none), so they may stand elsewhere now. Lines may have
/// been added, and lines that had failed may be others now: these are sent. Answered lines that are others now, or
/// gone, are asked about: with `accept_changes` they are sent again, or left out. Refused, with the ledger left as it
/// was: changes of answered lines that were not accepted, another input altogether, and any change while jobs are under
/// way, or of a ledger of an earlier version, which does not know its lines. What is changed counts from the ledger's
/// next sync. Reads the whole input and the whole ledger, and holds 18 bytes for each line that has a result meanwhile.
std::optional<failure> go_on_with(ledger& book, const ledger_input& now, const batch_options& options,
                                  std::vector<std::string>& warnings);

} // namespace modelforge::batch
