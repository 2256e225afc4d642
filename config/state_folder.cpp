#include "config/state_folder.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace modelforge {

std::string folder_of_variable(const environment& env, const char* name) {
  auto text = env(name).value_or("");
  return text.starts_with('/') ? text : std::string{};
}

// A service's own folder comes first: whoever has it made, with StateDirectory= of systemd, wants it used, and HOME is
// often that of another service then, or none.
std::string default_state_folder(const environment& env) {
  auto get = [&](const char* name) { return folder_of_variable(env, name); };
  if (auto folders = get("STATE_DIRECTORY"); !folders.empty()) {
    auto first = folders.substr(0, folders.find(':'));
    return first.ends_with("/modelforge") ? first : first + "/modelforge";
  }
  if (auto folder = get("XDG_STATE_HOME"); !folder.empty())
    return folder + "/modelforge";
  auto home = get("HOME");
  return home.empty() ? home : home + "/.local/state/modelforge";
}

// Nothing is created: the nearest folder above that exists has to allow it.
std::string state_folder_problem(const std::string& folder) {
  if (folder.empty())
    return "none of STATE_DIRECTORY, XDG_STATE_HOME and HOME names a folder";
  std::error_code ignored;
  std::filesystem::path place{folder};
  while (place.has_relative_path() && !std::filesystem::exists(place, ignored))
    place = place.parent_path();
  if (!std::filesystem::is_directory(place, ignored))
    return place.string() + " is not a folder";
  if (::access(place.c_str(), W_OK | X_OK) != 0)
    return place.string() + " cannot be written: " + std::strerror(errno);
  return {};
}

} // namespace modelforge
