#pragma once

#include "batch/file.hpp"
#include "batch/reader.hpp"

#include <modelforge/messages/error.hpp>

#include <memory>
#include <string>
#include <variant>

namespace modelforge::batch {

/// Reads a table with a header (`batch_format::csv` or `tsv`), row by row; each row is put into `form.prompt`, or into
/// "{{prompt}}" where that is empty and there is such a column. A row's id is what it has in the column `custom_id` or
/// `id`, else "line-N", by the line where it begins. Semicolons separate fields where the header has them and no comma.
/// `name` is for people. Refused at once: a prompt that names what is no column, a header with no names, UTF-16 and
/// UTF-32.
std::variant<std::unique_ptr<source>, failure> open_table(file input, std::string name, const input_form& form);

} // namespace modelforge::batch
