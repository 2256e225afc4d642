#pragma once

#include <memory>
#include <string>

namespace modelforge::test {

/// A private authority that makes certificates for nodes.
class authority {
public:
  authority();
  ~authority();
  authority(const authority&) = delete;
  authority& operator=(const authority&) = delete;

  struct pair {
    std::string certificate; ///< PEM, as the key is.
    std::string key;
  };

  /// A certificate for `name`, from `begins` to `ends` hours from now; `dns`: another name in it.
  pair certify(const std::string& name, int begins = -1, int ends = 24, const std::string& dns = {});

  /// Its own certificate, PEM.
  std::string certificate() const;

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace modelforge::test
