#pragma once

#include "log/request_record.hpp"
#include "json/writer.hpp"

#include <cstddef>

/// The spans of a request, in OTLP's JSON. Attributes are named by OpenTelemetry's conventions for generative AI and
/// for HTTP where these have one, else `modelforge.*`. Prompts and answers are not among them.

namespace modelforge::trace {

/// How many spans a request has: its own, one for each attempt that was made here, and one for the part of a stream
/// from its first piece to its end.
std::size_t count_spans(const log::request_record& of);

/// Appends them, the request's own first, to an array that is open. `ended`, which has a `trace`, is all that they
/// depend on.
void write_spans(json::writer& out, const log::timed_record& ended);

} // namespace modelforge::trace
