#include "http/transport.hpp"

#include "http/loop.hpp"

namespace modelforge::http {

namespace {

/// Gathers a whole answer for `fetch`.
class collector : public receiver {
public:
  explicit collector(std::function<void(response)> done) : done_(std::move(done)) {}

  void on_head(response_head head) override { answer_.head = std::move(head); }

  void on_data(std::string_view bytes) override { answer_.body += bytes; }

  void on_end(transfer_end end) override {
    answer_.end = std::move(end);
    done_(std::move(answer_));
  }

private:
  std::function<void(response)> done_;
  response answer_;
};

} // namespace

transport::transport(transport_options options) : loop_(std::make_shared<loop>(std::move(options))) {}

transport::~transport() {
  if (loop_->in_callback()) // the last owner was a callback, which cannot wait for its own end
    loop_->end_alone(loop_);
  else
    loop_->shutdown({});
}

// Both calls keep the loop alive themselves: a callback within them may destroy this transport.
transfer_id transport::fetch(request request, std::function<void(response)> done) {
  auto keep = loop_;
  return keep->submit(std::move(request), std::make_shared<collector>(std::move(done)), UINT64_MAX, false);
}

transfer_id transport::open(request request, std::shared_ptr<receiver> receiver) {
  auto keep = loop_;
  return keep->submit(std::move(request), std::move(receiver), keep->initial_credit(), true);
}

void transport::grant(transfer_id id, std::size_t bytes) {
  if (bytes > 0)
    loop_->post(grant_command{id, bytes});
}

void transport::cancel(transfer_id id) {
  loop_->post(cancel_command{id});
}

void transport::cancel_after(transfer_id id, std::chrono::nanoseconds time) {
  loop_->post(cancel_command{id, time});
}

void transport::shutdown(std::chrono::nanoseconds grace) {
  loop_->shutdown(grace);
}

transport_stats transport::stats() const {
  return loop_->stats();
}

} // namespace modelforge::http
