#include "tools/cli/reread.hpp"

#include "config/read_file.hpp"
#include "config/trust.hpp"

#include <cstddef>
#include <exception>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

namespace modelforge::cli {

namespace {

/// Bytes of a file of settings.
constexpr std::size_t max_settings = 1u << 20;

/// The text of the settings, or why it cannot be had.
std::variant<file_text, std::string> read(const std::string& path, bool is_found) {
  auto cannot = "cannot read " + path + " again: ";
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored))
    return cannot + "it is not a regular file"; // a pipe could keep us for ever
  auto content = read_file(path, max_settings);
  if (auto* problem = std::get_if<std::string>(&content))
    return cannot + *problem;
  auto& text = std::get<file_text>(content).text;
  if (text.empty())
    return cannot + "it is empty";
  if (auto refused = is_found ? refuse_found(path, text) : std::nullopt)
    return *refused;
  return std::get<file_text>(std::move(content));
}

} // namespace

bool reread_settings(const std::string& path, bool is_found, const std::function<void(const std::string& why)>& refuse,
                     const std::function<bool(const std::string& text)>& take_over) {
  try {
    auto text = read(path, is_found);
    if (auto* problem = std::get_if<std::string>(&text))
      refuse(*problem);
    else
      return take_over(std::get<file_text>(text).text);
  } catch (const std::exception& error) { // no memory, say; what runs goes on
    refuse(error.what());
  }
  return false;
}

} // namespace modelforge::cli
