#pragma once

#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

struct ssl_ctx_st; // OpenSSL's

namespace modelforge::node {

/// PEM files.
struct credential_files {
  std::string certificate;
  std::string key;
  std::string ca;
};

/// A node's certificate, its key, and the authority that its peers' certificates must be of: read once, and again when
/// the files have changed, so that a renewed certificate is taken up without a restart. Files that are missing or do
/// not fit together, as happens while they are being replaced, change nothing: what was read before stays in use, and
/// they are looked at again. May be used from any thread.
class credentials {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// How often the files are looked at, if they are needed that often.
  static constexpr auto look_interval = std::chrono::seconds{1};

  /// Reads the files. The text says which one cannot be used, and why: it is missing or no PEM, the key is not the
  /// certificate's, the certificate is not of the authority or out of its time, it has none of `names` (empty: any will
  /// do).
  static std::variant<std::shared_ptr<credentials>, std::string> load(const credential_files& files,
                                                                      std::vector<std::string> names);

  /// What a connection that begins `now` is to use; for both sides.
  std::shared_ptr<ssl_ctx_st> context(time_point now);

  /// Reads the files now, changed or not. The text says why they cannot be used; nothing has changed then.
  std::optional<std::string> reload();

  /// How long the certificate in use is still valid; at least 0.
  std::chrono::seconds valid_for() const;

  /// What tells the certificate in use from any other.
  std::string fingerprint() const;

  /// Why the files, which have changed, are not in use; empty: they are.
  std::string problem() const;

private:
  /// What distinguishes one state of the files from another.
  using signature = std::vector<long long>;

  credentials(credential_files files, std::vector<std::string> names)
    : files_(std::move(files)), names_(std::move(names)) {}

  signature look() const;
  std::optional<std::string> read(signature now);

  const credential_files files_;
  const std::vector<std::string> names_;
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
  signature read_; ///< What `context_` was read from.
  time_point looked_{};
  std::string problem_;
};

} // namespace modelforge::node
