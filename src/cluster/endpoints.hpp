#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::cluster {

/// Which of a store's servers is asked: the first that works, until it fails; then the next in turn. All of them have
/// to be of one store: a server of another one would give a provider to a second owner.
class endpoints {
public:
  /// At least one, as they are configured.
  explicit endpoints(std::vector<std::string> urls) : urls_(std::move(urls)) {}

  const std::string& current() const { return urls_[at_]; }

  /// One did not answer, or not to the point. News of one that is not asked any more change nothing.
  void failed(const std::string& url) {
    if (url == current())
      at_ = (at_ + 1) % urls_.size();
  }

  /// Whether an answer may be believed that came from that cluster: the first one that says its name is ours. 0: it did
  /// not say.
  bool is_ours(uint64_t cluster) {
    if (cluster_ == 0)
      cluster_ = cluster;
    return cluster != 0 && cluster == cluster_;
  }

private:
  std::vector<std::string> urls_;
  std::size_t at_ = 0;
  uint64_t cluster_ = 0;
};

} // namespace modelforge::cluster
