#pragma once

#include <string>
#include <vector>

namespace modelforge {

/// What is to be known of a key of the configuration. Texts are Markdown: `code`, and links to other tables.
struct reference_key {
  std::string name;
  std::string type; ///< As TOML calls it, in words: "integer", "array of strings".
  std::string unit;
  std::string allowed;
  std::string default_value;
  std::string doc;
};

/// A table of the configuration, with capitals for names that the user gives: "providers.NAME.retry".
struct reference_table {
  std::string path; ///< Empty: the top of the file.
  std::string doc;
  std::vector<reference_key> keys;
};

/// All tables, those inside of one behind it.
std::vector<reference_table> reference_tables();

} // namespace modelforge
