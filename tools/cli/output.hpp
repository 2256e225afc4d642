#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::cli {

/// Writes to standard output, whole. Returns false, with a line on standard error, if it cannot be written.
bool print(std::string_view text);

/// "1,234,567"
std::string grouped(uint64_t number);

/// Prints "modelforge: error: ..." to standard error.
void complain(std::string_view text);

/// Whether what is written there may have colours: it is a terminal that knows them, and NO_COLOR is not set.
bool has_colors(int descriptor);

/// Makes sure that descriptors 0, 1 and 2 are taken, so that no socket can land where results are written, and that a
/// closed pipe is an error of `write` instead of a signal.
void secure_standard_streams();

} // namespace modelforge::cli
