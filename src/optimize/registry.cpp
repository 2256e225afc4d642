#include "optimize/optimizers.hpp"

#include <map>
#include <mutex>
#include <utility>

/// The host's own optimizers, by name. The table is the process's; every access takes its lock.

namespace modelforge {

namespace {

struct registry {
  std::mutex mutex;
  std::map<std::string, optimizer_factory, std::less<>> factories;
};

registry& known() {
  static registry all;
  return all;
}

} // namespace

void register_optimizer(std::string name, optimizer_factory make) {
  std::lock_guard guard{known().mutex};
  known().factories.insert_or_assign(std::move(name), std::move(make));
}

namespace optimize {

// The factory runs without the lock, for it is the host's code and may register others.
std::variant<std::shared_ptr<const optimizer>, std::string> make_registered(std::string_view name) {
  optimizer_factory make;
  {
    std::lock_guard guard{known().mutex};
    if (auto i = known().factories.find(name); i != known().factories.end())
      make = i->second;
  }
  if (!make)
    return "no optimizer is registered as \"" + std::string{name} + '"';
  try {
    if (auto made = make())
      return made;
    return "the factory of the optimizer \"" + std::string{name} + "\" returned none";
  } catch (const std::exception& error) {
    return "the factory of the optimizer \"" + std::string{name} + "\" threw: " + error.what();
  } catch (...) {
    return "the factory of the optimizer \"" + std::string{name} + "\" threw";
  }
}

} // namespace optimize

} // namespace modelforge
