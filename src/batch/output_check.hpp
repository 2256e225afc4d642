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

/// Refuses (`io_failed`) to write results over the very file that is read: `output`, or its PATH.part or PATH.ledger,
/// is `input`, be it under another name. "-" and what is no regular file never count.
std::optional<failure> refuse_same_file(const std::string& input, const std::string& output);

/// Refuses (`io_failed`) an output that would take the place of what cannot be had again: a ledger, or a configuration
/// (told by what is in it). For whatever writes answers.
std::optional<failure> refuse_irreplaceable(const std::string& output);

/// The same for a batch's output, which may not take the place of prompts either (lines of JSON that ask and do not
/// answer, or what a ledger in the same folder names as its input), nor of the part of another batch.
std::optional<failure> refuse_foreign_file(const std::string& output);

} // namespace modelforge::batch
