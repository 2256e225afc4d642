#pragma once

#include <modelforge/config/settings.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// Credentials: where they come from, how they are kept, and how they are kept out of everything people read.

namespace modelforge {

/// Looks up an environment variable; nullopt if it is not set. Passed in, so that tests need not touch the process's.
using environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The process's own environment. Not to be called while another thread runs setenv.
environment process_environment();

/// A credential. It cannot be printed, logged, serialized or converted; copies share one buffer, which is overwritten
/// with zeros when the last of them goes.
class secret {
public:
  secret() = default;
  explicit secret(std::string_view text);

  /// The credential itself, for the one place that writes it into a request. Valid as long as any copy lives.
  std::string_view reveal() const;

  bool empty() const { return reveal().empty(); }

  /// Takes the same time wherever the first difference lies (not for different lengths: a length is not a secret).
  friend bool operator==(const secret& a, const secret& b);

  template <class Stream>
  friend Stream& operator<<(Stream&, const secret&) = delete;

  template <class Inspector>
  friend bool inspect(Inspector&, secret&) = delete;

private:
  class buffer;

  std::shared_ptr<const buffer> text_;
};

std::string to_string(const secret&) = delete;

/// Overwrites what `text` holds, its unused capacity included, and makes it empty.
void wipe(std::string& text);

/// Fetches a credential. White space around it is trimmed; a key with line breaks, blanks or control characters inside
/// is refused, because it would break the header that carries it. A string is the reason for failure, written for
/// people: it names the variable or the file and never quotes the content.
std::variant<secret, std::string> resolve(const key_source& source, const environment& env = process_environment());

/// Masks whatever looks like a credential: known key prefixes (`sk-`, `gsk_`, `AIza`, ...), values of headers that
/// carry credentials or cookies, `key=` in a URL's query, and passwords in a URL. For texts of others, such as a
/// provider's error message. Masking twice changes nothing.
std::string redact(std::string text);

} // namespace modelforge
