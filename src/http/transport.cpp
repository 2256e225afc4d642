#include "http/transport.hpp"

#include "http/loop.hpp"

namespace modelforge::http {

namespace {

/// Gathers an answer for `fetch`.
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

transport::transport(transport_options options) : loop_(std::make_unique<loop>(std::move(options))) {}

transport::~transport() {
  if (loop_->on_its_thread()) // the last owner was a callback: the thread cannot wait for itself
    loop_.release()->end_alone();
}

transfer_id transport::fetch(request x, std::function<void(response)> done) {
  return loop_->submit(std::move(x), std::make_shared<collector>(std::move(done)), UINT64_MAX);
}

transfer_id transport::open(request x, std::shared_ptr<receiver> to) {
  return loop_->submit(std::move(x), std::move(to), loop_->initial_credit());
}

void transport::grant(transfer_id id, std::size_t bytes) {
  if (bytes > 0)
    loop_->post(loop::grant{id, bytes});
}

void transport::cancel(transfer_id id) {
  loop_->post(loop::cancel{id});
}

void transport::cancel_after(transfer_id id, std::chrono::nanoseconds time) {
  loop_->post(loop::cancel{id, time});
}

void transport::shutdown(std::chrono::nanoseconds grace) {
  loop_->shutdown(grace);
}

transport_stats transport::stats() const {
  return loop_->stats();
}

} // namespace modelforge::http
