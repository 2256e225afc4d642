#pragma once

#include "http/client.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::test {

/// An HTTP client whose server is the test: it keeps what was sent until the test answers it.
class fake_client : public http::client {
public:
  struct exchange {
    http::transfer_id id = 0;
    http::request request;
    std::function<void(http::response)> done;
  };

  http::transfer_id fetch(http::request x, std::function<void(http::response)> done) override {
    open_.push_back({++last_, std::move(x), std::move(done)});
    sent_bodies.push_back(open_.back().request.body);
    return last_;
  }

  http::transfer_id open(http::request, std::shared_ptr<http::receiver>) override {
    throw std::logic_error("nobody streams yet");
  }

  void grant(http::transfer_id, std::size_t) override { throw std::logic_error("nobody streams yet"); }

  void cancel(http::transfer_id id) override {
    cancelled.push_back(id);
    if (ignore_cancel)
      return;
    for (std::size_t i = 0; i < open_.size(); ++i)
      if (open_[i].id == id) {
        fail(i, errc::cancelled);
        return;
      }
  }

  std::size_t pending() const { return open_.size(); }

  const exchange& at(std::size_t i) const { return open_.at(i); }

  /// The i-th pending exchange's last byte goes out.
  void write(std::size_t i) {
    auto& x = open_.at(i).request;
    if (x.on_written)
      x.on_written();
  }

  /// Answers the i-th pending exchange.
  void answer(std::size_t i, uint16_t status, std::string body, const std::vector<http::header>& headers = {}) {
    http::response x;
    x.head.status = status;
    x.head.headers = {{"content-type", "application/json"}, {"x-request-id", "req_" + std::to_string(open_.at(i).id)}};
    x.head.headers.insert(x.head.headers.end(), headers.begin(), headers.end());
    x.body = std::move(body);
    finish(i, std::move(x));
  }

  /// Answers it with a completion that says `text`.
  void say(std::size_t i, const std::string& text) {
    answer(i, 200,
           R"({"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":")" + text
             + R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}})");
  }

  void fail(std::size_t i, errc code, bool written = false) {
    http::response x;
    x.end.error.emplace();
    x.end.error->code = code;
    x.end.error->request_written = written;
    x.end.error->message = "made up by the test";
    finish(i, std::move(x));
  }

  bool ignore_cancel = false; ///< As if the answer were on its way already.
  std::vector<http::transfer_id> cancelled;
  std::vector<std::string> sent_bodies;

private:
  void finish(std::size_t i, http::response x) {
    auto done = std::move(open_.at(i).done);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
    done(std::move(x));
  }

  std::vector<exchange> open_;
  http::transfer_id last_ = 0;
};

} // namespace modelforge::test
