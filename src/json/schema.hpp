#pragma once

#include "json/value.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge::json {

/// A JSON Schema, by which values are checked: as much of it as providers take, in the forms of the drafts 7 and
/// 2020-12, of OpenAPI (`nullable`) and of Gemini (types in capitals).
///
/// Checked are `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `propertyNames`,
/// `minProperties`, `maxProperties`, `dependentRequired`, `items`, `prefixItems`, `additionalItems`, `minItems`,
/// `maxItems`, `uniqueItems`, `contains`, `minLength`, `maxLength`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, `multipleOf`, `anyOf`, `oneOf`, `allOf`, `not`, `if`, and `$ref` into the schema itself. What
/// hangs on another keyword (`pattern`, `patternProperties`, `unevaluatedProperties`, ...) cannot be decided, and then
/// counts as right: a mismatch is told only where there is one. `format` is an annotation, as the standard has it.
///
/// Immutable: one object serves all threads.
class schema {
public:
  /// Reads a schema, or says why it is none.
  static std::variant<schema, std::string> parse(std::string_view text);

  /// Returns what is wrong with a value, and where ("/rivers/0/length is a string, not a number"); nothing where it
  /// matches, or where it cannot be decided within bounded time.
  std::optional<std::string> mismatch(const value& instance) const;

private:
  explicit schema(value root) : root_(std::move(root)) {}

  value root_;
};

} // namespace modelforge::json
