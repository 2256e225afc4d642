#pragma once

#include "base/file.hpp"

#include <modelforge/messages/error.hpp>

#include <cerrno>
#include <string>
#include <system_error>

namespace modelforge::batch {

using base::file;
using base::try_again;

/// Says that `what` failed for `path`, with the reason in errno.
inline failure io_failure(const std::string& what, const std::string& path) {
  auto reason = errno;
  failure x;
  x.code = errc::io_failed;
  x.message =
    what + " " + path + ": " + (reason == EPIPE ? "nobody reads it any more" : std::generic_category().message(reason));
  if (reason == ENOSPC || reason == EDQUOT)
    x.suggestion = "make room, then run it again";
  if (reason == EPIPE)
    x.suggestion = "write to a file to keep all of it";
  return x;
}

} // namespace modelforge::batch
