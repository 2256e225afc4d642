#include "config/state_folder.hpp"

namespace modelforge {

// What is no whole path would depend on the working folder: it counts as not set (XDG Base Directory Specification).
std::string default_state_folder(const environment& env) {
  auto get = [&](const char* name) {
    auto text = env(name).value_or("");
    return text.starts_with('/') ? text : std::string{};
  };
  if (auto folder = get("XDG_STATE_HOME"); !folder.empty())
    return folder + "/modelforge";
  auto home = get("HOME");
  return home.empty() ? home : home + "/.local/state/modelforge";
}

} // namespace modelforge
