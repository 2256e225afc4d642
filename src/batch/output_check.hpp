#pragma once

#include <modelforge/messages/error.hpp>

#include <optional>
#include <string>
#include <string_view>

/// What an output may not be written over.

namespace modelforge::batch {

/// Behind a batch's output: the file in which its results gather until it is whole.
inline constexpr std::string_view part_ending = ".part";

/// Behind a batch's output: its ledger.
inline constexpr std::string_view ledger_ending = ".ledger";

/// Refuses (`io_failed`) to write answers over the very file that is read: `output` is `input`, be it under another
/// name. "-" is standard input or output; what is no regular file never counts.
std::optional<failure> refuse_read_file(const std::string& input, const std::string& output);

/// The same for a batch, whose PATH.part and PATH.ledger are written, too.
std::optional<failure> refuse_same_file(const std::string& input, const std::string& output);

/// Refuses (`io_failed`) an output that would take the place of what cannot be had again. Told by what is in it: a
/// ledger, a configuration, a conversation, or prompts (lines of JSON that ask and do not answer); by a ledger in the
/// same folder: its input, and the part in which its results gather. For whatever writes answers.
std::optional<failure> refuse_foreign_file(const std::string& output);

} // namespace modelforge::batch
