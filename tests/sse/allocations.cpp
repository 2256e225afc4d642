#include "tests/sse/allocations.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count{0};
std::atomic<std::size_t> bytes{0};

} // namespace

std::size_t modelforge::test::allocations() {
  return count;
}

std::size_t modelforge::test::allocated_bytes() {
  return bytes;
}

void* operator new(std::size_t size) {
  ++count;
  auto* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr)
    throw std::bad_alloc{};
  bytes += malloc_usable_size(p);
  return p;
}

// Of the library's own, as std::stable_sort's; a sanitizer's would not fit the deletion below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void operator delete(void* p) noexcept {
  bytes -= malloc_usable_size(p);
  std::free(p);
}

void operator delete(void* p, std::size_t) noexcept {
  operator delete(p);
}

void operator delete(void* p, const std::nothrow_t&) noexcept {
  operator delete(p);
}
