#pragma once

#include <cstddef>

namespace modelforge::test {

/// How often this program has called `operator new` so far. Link allocations.cpp.
std::size_t allocations();

/// Bytes that are allocated now, as the allocator rounds them.
std::size_t allocated_bytes();

} // namespace modelforge::test
