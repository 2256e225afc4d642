#pragma once

#include "batch/reader.hpp"

#include <modelforge/messages/error.hpp>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// The files in a folder and the folders below, by their paths in it, in order; none that is hidden or in a hidden one.
std::variant<std::vector<std::string>, failure> files_in(const std::string& folder);

/// Makes an item of each of a folder's texts, with its path in the folder as its id: its content is put into
/// `form.prompt` as {{text}}, its path as {{name}}; without a prompt it is the prompt. One that cannot be read, is
/// longer than 16 MiB or no UTF-8 is an item with a failure. A folder without files is refused (`io_failed`).
std::variant<std::unique_ptr<source>, failure> open_folder(const std::string& path, const input_form& form);

} // namespace modelforge::batch
