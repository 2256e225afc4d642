#pragma once

#include "http/client.hpp"

#include <map>
#include <string>
#include <string_view>
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
    std::shared_ptr<http::receiver> to; ///< Of a stream, instead of `done`.
  };

  http::transfer_id fetch(http::request x, std::function<void(http::response)> done) override {
    x.body = x.content();
    open_.push_back({++last_, std::move(x), std::move(done), nullptr});
    sent_bodies.push_back(open_.back().request.body);
    return last_;
  }

  http::transfer_id open(http::request x, std::shared_ptr<http::receiver> to) override {
    to->on_open(++last_);
    x.body = x.content();
    open_.push_back({last_, std::move(x), {}, std::move(to)});
    sent_bodies.push_back(open_.back().request.body);
    return last_;
  }

  void grant(http::transfer_id id, std::size_t bytes) override { granted[id] += bytes; }

  void cancel_after(http::transfer_id id, std::chrono::nanoseconds) override { let_go.push_back(id); }

  void cancel(http::transfer_id id) override {
    for (std::size_t i = 0; i < open_.size(); ++i)
      if (open_[i].id == id) {
        cancelled.push_back(id);
        if (!ignore_cancel)
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

  /// The i-th pending exchange is answered by a stream, which begins with these bytes.
  void stream(std::size_t i, std::string_view bytes = {}) {
    http::response_head head;
    head.status = 200;
    head.headers = {{"content-type", "text/event-stream"}, {"x-request-id", "req_" + std::to_string(open_.at(i).id)}};
    open_.at(i).to->on_head(std::move(head));
    if (bytes.empty())
      open_.at(i).to->flush();
    send(i, bytes);
  }

  /// More bytes of a stream.
  void send(std::size_t i, std::string_view bytes) {
    if (bytes.empty())
      return;
    open_.at(i).to->on_data(bytes);
    open_.at(i).to->flush();
  }

  /// Ends a stream.
  void end(std::size_t i) { finish(i, {}); }

  /// Answers the i-th pending exchange.
  void answer(std::size_t i, uint16_t status, std::string body, const std::vector<http::header>& headers = {}) {
    http::response x;
    x.head.status = status;
    x.head.headers = headers; // of one name the first counts
    x.head.headers.push_back({"content-type", "application/json"});
    x.head.headers.push_back({"x-request-id", "req_" + std::to_string(open_.at(i).id)});
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

  /// The server says that it has not processed it.
  void refuse(std::size_t i) {
    http::response x;
    x.end.error.emplace();
    x.end.error->code = errc::connection_lost;
    x.end.error->refused = true;
    x.end.error->message = "made up by the test";
    finish(i, std::move(x));
  }

  bool ignore_cancel = false; ///< As if the answer were on its way already.
  std::vector<http::transfer_id> cancelled;
  std::vector<http::transfer_id> let_go; ///< To be cancelled if they do not end soon.
  std::map<http::transfer_id, std::size_t> granted;
  std::vector<std::string> sent_bodies;

private:
  void finish(std::size_t i, http::response x) {
    auto ended = std::move(open_.at(i));
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
    if (ended.done) {
      ended.done(std::move(x));
      return;
    }
    if (x.head.status != 0)
      ended.to->on_head(std::move(x.head));
    if (!x.body.empty())
      ended.to->on_data(x.body);
    ended.to->on_end(std::move(x.end));
    ended.to->flush();
  }

  std::vector<exchange> open_;
  http::transfer_id last_ = 0;
};

} // namespace modelforge::test
