#pragma once

#include "base/utf8.hpp"
#include "json/reader.hpp"
#include "json/value.hpp"
#include "json/writer.hpp"

/// JSON as all of wire reads it.

namespace modelforge::wire {

using json::count_in;
using json::member;
using json::read_fields;
using json::string_in;
using json::to_text;

} // namespace modelforge::wire
