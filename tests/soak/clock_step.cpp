#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

/// Preloaded by the soak test: the wall clock is ahead by the seconds that stand, as eight bytes, in the file that
/// MODELFORGE_CLOCK_STEP names. They may change at any time. Clocks that know no steps are left alone.

namespace {

/// The seconds, mapped once; null: nobody has named them.
const volatile int64_t* mapped_step() {
  auto* path = std::getenv("MODELFORGE_CLOCK_STEP");
  auto fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0)
    return nullptr;
  auto* memory = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<const volatile int64_t*>(memory);
}

time_t step() {
  static const auto* seconds = mapped_step();
  return seconds != nullptr ? static_cast<time_t>(*seconds) : 0;
}

} // namespace

extern "C" int clock_gettime(clockid_t which, timespec* now) noexcept {
  using function = int (*)(clockid_t, timespec*);
  static auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "clock_gettime"));
  auto result = real(which, now);
  if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
    now->tv_sec += step();
  return result;
}

extern "C" int gettimeofday(timeval* now, void*) noexcept {
  timespec exact{};
  auto result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1'000;
  return result;
}

extern "C" time_t time(time_t* into) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (into != nullptr)
    *into = exact.tv_sec;
  return exact.tv_sec;
}
