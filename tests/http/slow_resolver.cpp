#include <dlfcn.h>
#include <netdb.h>
#include <time.h>

#include <cstring>

/// Preloaded by the resolver tests: names that end in ".slow.test" take five seconds, and then are 127.0.0.1.

namespace {

bool is_slow(const char* name) {
  constexpr const char* suffix = ".slow.test";
  auto length = name != nullptr ? std::strlen(name) : 0;
  return length > std::strlen(suffix) && std::strcmp(name + length - std::strlen(suffix), suffix) == 0;
}

} // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) {
  using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (!is_slow(name))
    return real(name, service, hints, result);
  timespec pause{5, 0};
  nanosleep(&pause, nullptr);
  return real("127.0.0.1", service, hints, result);
}
