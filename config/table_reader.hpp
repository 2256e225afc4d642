#pragma once

#include "config/load_report.hpp"
#include "config/schema.hpp"
#include "config/toml_tree.hpp"

#include <string>

namespace modelforge {

/// Reads a tree of TOML into settings by the rules of `schema`.
///
/// What cannot be taken is reported and keeps its default, and the rest is read on. Credentials that stand in the file
/// are refused wherever they are, also below keys that nobody knows, and hidden from the lines that the report shows.
class table_reader {
public:
  table_reader(const source_text& source, load_report& report) : source_{source}, report_{report} {}

  /// Reads all keys of a table into the struct that `rule` describes. `path` ends in a dot, or is empty at the top.
  void read(const toml_value& table, const schema::table_rule& rule, void* object, const std::string& path);

private:
  struct value_reader;

  void report_unknown(const std::string& name, const toml_value& value, const schema::table_rule& rule,
                      const std::string& path);

  /// Refuses a text that is, or carries, a credential.
  bool refuse_credential(const std::string& text, const std::string& path, place where);

  /// The same for all that is below a key that is not read.
  void refuse_credentials(const toml_value& value, const std::string& path);

  /// Without a kind a provider is OpenAI's. Where its name says otherwise, another provider's key would go there.
  void check_kind(const provider_settings& provider, const toml_value& table, const std::string& path);

  const source_text& source_;
  load_report& report_;
};

} // namespace modelforge
