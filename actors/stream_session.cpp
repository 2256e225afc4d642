#include "actors/stream_session.hpp"

#include "actors/provider_texts.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace modelforge {

namespace {

using stream::broadcast;
using stream::time_point;
using outcome = std::variant<completion, failure>;

/// A connection whose last bytes come later than this after the end mark is not used again.
constexpr auto linger_time = std::chrono::seconds{1};

/// A larger buffer is not kept for the next bytes.
constexpr std::size_t kept_buffer = 4u << 10;

/// More of an answer that is no stream is not read.
constexpr std::size_t most_error_body = 1u << 20;

/// Where the transport's thread leaves what a transfer brings. The session gets one message for all that comes before
/// it looks. The provider hears of every attempt: if the session does not report how it ended, its inbox tells at its
/// own end that it is lost, whoever has died meanwhile.
class inbox final : public http::receiver, public std::enable_shared_from_this<inbox> {
public:
  using lost = std::function<void(bool written)>;

  inbox(uint64_t attempt, time_point begun, caf::weak_actor_ptr session, std::function<void(inbox&)> look,
        lost tell_lost)
    : attempt(attempt), begun(begun), session_(std::move(session)), look_(std::move(look)),
      lost_(std::move(tell_lost)) {}

  ~inbox() override {
    if (lost_)
      lost_(written_);
  }

  const uint64_t attempt;
  const time_point begun;

  struct content {
    std::optional<http::response_head> head;
    std::string body;
    std::optional<http::transfer_end> end;
  };

  void on_open(http::transfer_id id) override { transfer_ = id; }

  void on_head(http::response_head head) override {
    put([&](content& to) { to.head = std::move(head); });
  }

  void on_data(std::string_view bytes) override {
    put([&](content& to) { to.body += bytes; });
  }

  void on_end(http::transfer_end end) override {
    written_ = !end.error || end.error->request_written;
    put([&](content& to) { to.end = std::move(end); });
  }

  void flush() override {
    {
      std::lock_guard guard{mutex_};
      if (!is_news_ || std::exchange(told_, true))
        return;
    }
    post_if_alive(session_, [me = shared_from_this()] { me->look_(*me); });
  }

  /// Swaps what has come against `x`, which must be empty: so its buffer is used again.
  void take(content& x) {
    std::lock_guard guard{mutex_};
    std::swap(arrived_, x);
    is_news_ = told_ = false;
  }

  /// What still comes is dropped.
  void close() {
    std::lock_guard guard{mutex_};
    closed_ = true;
    is_news_ = false;
    arrived_ = {};
  }

  /// Inside the session: it reports this attempt.
  void set_reported() { lost_ = nullptr; }

  /// 0 until the transfer is opened.
  http::transfer_id transfer() const { return transfer_; }

private:
  template <class F>
  void put(F f) {
    std::lock_guard guard{mutex_};
    if (closed_)
      return;
    f(arrived_);
    is_news_ = true;
  }

  caf::weak_actor_ptr session_;
  std::function<void(inbox&)> look_;
  lost lost_;
  std::atomic<http::transfer_id> transfer_ = 0;
  std::atomic<bool> written_ = false; ///< As long as nothing ended: it never went out.
  std::mutex mutex_;
  content arrived_;
  bool is_news_ = false; ///< Something has come that is not taken.
  bool told_ = false;    ///< The session has a message of it.
  bool closed_ = false;
};

/// Masks secrets in what a stream says, before anybody has it. (One that is spread over several pieces was cut by a
/// model, which was told it by a prompt.)
class masked_pieces final : public wire::piece_sink {
public:
  masked_pieces(wire::piece_sink& to, std::shared_ptr<const secret_mask> by) : to_(to), by_(std::move(by)) {}

  void text(std::string_view x) override { to_.text(masked(x, 0)); }
  void reasoning(std::string_view x) override { to_.reasoning(masked(x, 0)); }
  void seal(std::string_view signature) override { to_.seal(masked(signature, 0)); }
  void refusal(std::string_view x) override { to_.refusal(masked(x, 0)); }

  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    to_.tool_call(call, masked(id, 0), masked(name, 1), masked(signature, 2));
  }

  void tool_arguments(uint32_t call, std::string_view fragment) override {
    to_.tool_arguments(call, masked(fragment, 0));
  }

private:
  std::string_view masked(std::string_view x, std::size_t which) {
    if (x.size() < 8) // shorter ones are not masked in answers
      return x;
    auto& text = scratch_[which];
    text = x;
    by_->mask(text, secret_mask::extent::whole);
    return text;
  }

  wire::piece_sink& to_;
  std::shared_ptr<const secret_mask> by_;
  std::array<std::string, 3> scratch_;
};

/// Carries out what its broadcast decides for one stream. Everything but the calls of `stream_session` runs inside the
/// session's actor.
class session final : public stream_session, public std::enable_shared_from_this<session> {
public:
  using actor_pointer = stream_session_actor::pointer;

  explicit session(stream_parts parts)
    : parts_(std::move(parts)), to_readers_(parts_.settings),
      has_secrets_(parts_.secrets != nullptr && !parts_.secrets->empty()), masked_(to_readers_, parts_.secrets) {}

  /// Nobody is left to take what still comes.
  ~session() override { drop_transfer(); }

  stream_session_actor::behavior_type make_behavior(actor_pointer self) {
    self_ = self;
    callers_.emplace(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); });
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self); // an actor that nobody holds would end without a word
    self->set_exit_handler([this](caf::exit_msg& x) { on_exit(x.reason); });
    provider_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(parts_.provider));
    static_cast<void>(subscribe(std::exchange(parts_.subscriber, nullptr), parts_.as));
    serve();
    // the handlers keep this object
    return {
      [me = shared_from_this()](grant_atom, uint32_t chunks) { me->grant(chunks); },
      [this](subscribe_atom, const stream_subscriber_actor& who, const subscription& how) -> caf::result<void> {
        if (auto error = subscribe(who, how); !error.empty())
          return error;
        serve();
        return caf::unit;
      },
      [this](cancel_atom) { withdraw(make_failure(errc::cancelled, "cancelled by the caller")); },
      [this](status_atom) { return to_readers_.status(); },
    };
  }

  // -- what the provider calls --------------------------------------------------------

  http::transfer_id begin(uint64_t attempt, time_point at, http::request request) override {
    auto lost = [to = parts_.provider, owner = parts_.owner, attempt](bool written) {
      post(to, [=] { owner->on_stream_lost(attempt, written); });
    };
    auto to = std::make_shared<inbox>(
      attempt, at, weak_self_, [this](inbox& x) { take_in(x); }, std::move(lost));
    auto id = parts_.transport->open(std::move(request), to);
    handover soon; // afterwards: the provider is to be asked first
    run([this, to = std::move(to)] { start(to); });
    return id;
  }

  void conclude(outcome how) override {
    run([this, how = std::move(how)]() mutable { end(std::move(how)); });
  }

  void cut(failure why) override {
    run([this, why = std::move(why)] { end_all(why); });
  }

  void wake() override {
    run([this] {
      alarm_.reset();
      serve();
    });
  }

  void bury() override {
    for (auto& [reader, who] : subscribers_)
      tell_from_outside(who, stream_failed{parts_.settings.id,
                                           make_failure(errc::cancelled, "the stream's session was killed"),
                                           to_readers_.pieces().end().piece, to_readers_.pieces().tokens()});
    subscribers_.clear();
  }

  /// Before anything else.
  void set_actor(const stream_session_actor& x) { weak_self_ = caf::actor_cast<caf::weak_actor_ptr>(x); }

private:
  template <class F>
  void run(F f) {
    post_if_alive(weak_self_, std::move(f));
  }

  time_point now() const { return self_->clock().now(); }

  /// For the provider, at the end of this turn.
  stream_news& news() {
    if (!news_)
      news_ = std::make_unique<stream_news>();
    return *news_;
  }

  void tell_news() {
    if (news_)
      post(parts_.provider, [owner = parts_.owner, id = parts_.settings.id, x = std::shared_ptr{std::move(news_)}] {
        owner->on_stream_news(id, *x);
      });
  }

  // -- subscribers --------------------------------------------------------------------

  caf::error subscribe(const stream_subscriber_actor& who, const subscription& how) {
    auto address = caf::actor_cast<caf::actor_addr>(who);
    if (who == nullptr || readers_.count(address) > 0)
      return refuse(who == nullptr ? make_failure(errc::invalid_request, "there is no subscriber")
                                   : make_failure(errc::duplicate_request, "this actor takes the stream already"));
    auto joined = to_readers_.join(how, now());
    if (auto* problem = std::get_if<failure>(&joined))
      return refuse(std::move(*problem));
    auto reader = std::get<broadcast::reader_id>(joined);
    readers_.emplace(address, reader);
    subscribers_.emplace(reader, who);
    callers_->add(caf::actor_cast<caf::strong_actor_ptr>(who));
    return {};
  }

  static caf::error refuse(failure why) { return caf::make_error(why.code, why); }

  void grant(uint32_t chunks) {
    auto who = caf::actor_cast<caf::actor_addr>(self_->current_sender());
    auto i = who ? readers_.find(who) : readers_.end(); // whoever has the session may speak without a sender
    if (i == readers_.end())
      return;
    to_readers_.grant(i->second, chunks, now());
    serve();
  }

  void on_death(const caf::actor_addr& who) {
    if (who == provider_) {
      end_all(make_failure(errc::cancelled, "its provider has ended"));
      return;
    }
    if (auto i = readers_.find(who); i != readers_.end()) {
      to_readers_.leave(i->second, now());
      subscribers_.erase(i->second);
      readers_.erase(i);
      serve();
    }
  }

  void on_exit(const caf::error& why) {
    withdraw(make_failure(errc::cancelled, "the stream was ended: " + to_string(why)));
    keep_ = nullptr;
    self_->quit(why);
  }

  // -- the transfer -------------------------------------------------------------------

  void start(std::shared_ptr<inbox> from) {
    if (from->attempt <= attempt_)
      return; // its first bytes were here before
    drop_transfer();
    from_ = std::move(from);
    attempt_ = from_->attempt;
    head_ = {};
    error_body_.clear();
    reader_.reset();
    if (to_readers_.pieces().end().piece > 0)
      to_readers_.rewind();
    to_readers_.begin(from_->begun);
    serve();
  }

  void take_in(inbox& from) {
    start(from.shared_from_this());
    if (&from != from_.get())
      return; // of an attempt that was given up
    inbox::content x;
    x.body = std::move(buffer_);
    x.body.clear();
    from.take(x);
    if (x.head)
      take_head(std::move(*x.head));
    if (!x.body.empty())
      take_body(x.body);
    if (x.body.capacity() <= kept_buffer)
      buffer_ = std::move(x.body);
    if (x.end || (reader_ && reader_->ended()))
      end_attempt(std::move(x.end));
    serve();
  }

  void take_head(http::response_head head) {
    head_ = std::move(head);
    if (head_.status != 200)
      return;
    reader_ = parts_.dialect->read_stream(head_);
    news().begun = attempt_;
  }

  void take_body(const std::string& bytes) {
    std::size_t events = 0;
    if (reader_)
      events = reader_->take(bytes, has_secrets_ ? static_cast<wire::piece_sink&>(masked_) : to_readers_);
    else if (error_body_.size() < most_error_body)
      error_body_ += bytes;
    to_readers_.received(bytes.size(), events, reader_ ? reader_->tokens() : 0, now());
  }

  void end_attempt(std::optional<http::transfer_end> how) {
    auto ended = how.has_value();
    from_->set_reported();
    stream_report report;
    report.answer.head = head_;
    report.answer.end = std::move(how).value_or(http::transfer_end{});
    report.first_token = to_readers_.first_token().value_or(std::chrono::nanoseconds{0});
    auto& error = report.answer.end.error;
    if (reader_ && (!error || reader_->ended()))
      report.outcome = reader_->end();
    else if (error)
      report.outcome = describe(*error);
    else
      report.answer.body = std::move(error_body_);
    if (reader_ && reader_->ended())
      error.reset(); // what happens to the connection behind the end mark is of no interest
    release_transfer(ended, !report.outcome || std::holds_alternative<completion>(*report.outcome));
    this->report(std::move(report));
  }

  void report(stream_report x) {
    x.attempt = attempt_;
    x.repeatable = !to_readers_.handed_over();
    if (x.outcome && std::holds_alternative<completion>(*x.outcome))
      to_readers_.settle(); // what came with the end need not wait for the provider's word
    if (auto* bad = x.outcome ? std::get_if<failure>(&*x.outcome) : nullptr)
      adjust(*bad, x.repeatable);
    to_readers_.attempt_ended();
    reader_.reset();
    news().ended = std::move(x);
  }

  /// An answer of which nobody has anything was a connection that broke; of another one the rest is missing.
  void adjust(failure& x, bool repeatable) const {
    if (repeatable && x.code == errc::stream_interrupted)
      x.code = errc::connection_lost;
    if (!repeatable && x.code == errc::connection_lost) {
      x.code = errc::stream_interrupted;
      x.message =
        "the stream broke after " + std::to_string(to_readers_.pieces().end().piece) + " pieces: " + x.message;
    }
  }

  void release_transfer(bool ended, bool well) {
    if (ended) {
      from_.reset();
    } else if (!well) {
      drop_transfer();
    } else if (from_) {
      from_->close();
      parts_.transport->cancel_after(from_->transfer(), linger_time);
      from_.reset();
    }
  }

  void drop_transfer() {
    if (!from_)
      return;
    from_->close();
    parts_.transport->cancel(from_->transfer());
    from_.reset();
  }

  // -- the end ------------------------------------------------------------------------

  /// The provider has judged: this is how the stream ended.
  void end(outcome how) {
    drop_transfer();
    to_readers_.finish(std::move(how));
    serve();
  }

  void end_all(const failure& why) {
    drop_transfer();
    to_readers_.cut(why);
    serve();
  }

  /// The stream is not wanted any more.
  void withdraw(const failure& why) {
    drop_transfer();
    news().withdrawn = why.message;
    end_all(why);
  }

  // -- what the broadcast decides -------------------------------------------------------

  void serve() {
    handover soon;
    for (auto at = now(); auto step = to_readers_.next(at);)
      std::visit([this](auto& x) { carry_out(x); }, *step);
    if (to_readers_.over() || abandoned_) {
      leave();
      return;
    }
    arm();
    tell_news(); // subscribers first
  }

  void carry_out(broadcast::deliver& x) {
    if (auto i = subscribers_.find(x.to); i != subscribers_.end())
      tell(self_, i->second, std::move(x.chunk));
  }

  void carry_out(broadcast::conclude& x) {
    auto i = subscribers_.find(x.to);
    if (i == subscribers_.end())
      return;
    auto address = caf::actor_cast<caf::actor_addr>(i->second);
    std::visit([&](auto& message) { tell(self_, i->second, std::move(message)); }, x.how);
    callers_->remove(address);
    readers_.erase(address);
    subscribers_.erase(i);
  }

  void carry_out(broadcast::credit& x) {
    if (from_)
      parts_.transport->grant(from_->transfer(), x.bytes);
  }

  void carry_out(broadcast::give_up& x) {
    stream_report report;
    report.answer.head = head_;
    report.outcome = std::move(x.why);
    if (from_)
      from_->set_reported();
    drop_transfer();
    this->report(std::move(report));
  }

  void carry_out(broadcast::abandon&) {
    drop_transfer();
    abandoned_ = true;
    news().withdrawn = "its last subscriber has ended";
  }

  void leave() {
    if (std::exchange(left_, true))
      return;
    news().gone = true;
    tell_news();
    keep_ = nullptr;
    self_->quit();
  }

  /// Timers are the provider's: CAF's would cost too much by the thousand. Never asks for a later time than the idle
  /// timeout's, because that one follows soon.
  void arm() {
    auto due = to_readers_.wake_at();
    if (!due)
      return;
    if (parts_.settings.idle.count() > 0)
      due = std::min(*due, now() + parts_.settings.idle);
    if (alarm_ && *alarm_ <= *due)
      return;
    alarm_ = due;
    news().alarm = due;
  }

  stream_parts parts_;
  actor_pointer self_ = nullptr;
  caf::weak_actor_ptr weak_self_;
  caf::strong_actor_ptr keep_; ///< Itself, until the end.
  broadcast to_readers_;
  bool has_secrets_;
  masked_pieces masked_; ///< In front of the readers, where there are secrets.
  std::optional<callers<std::remove_pointer_t<actor_pointer>>> callers_;
  std::unordered_map<caf::actor_addr, broadcast::reader_id> readers_;
  std::map<broadcast::reader_id, stream_subscriber_actor> subscribers_;
  caf::actor_addr provider_;

  // of the attempt under way
  std::shared_ptr<inbox> from_;
  uint64_t attempt_ = 0;
  http::response_head head_;
  std::string error_body_; ///< Of an answer that is no stream.
  std::unique_ptr<wire::stream_reader> reader_;
  std::string buffer_;

  std::optional<time_point> alarm_; ///< The provider wakes us then.
  std::unique_ptr<stream_news> news_;
  bool abandoned_ = false;
  bool left_ = false;
};

} // namespace

spawned_stream spawn_stream_session(caf::actor_system& system, stream_parts parts) {
  auto core = std::make_shared<session>(std::move(parts));
  spawned_stream result;
  result.actor =
    system.spawn<caf::lazy_init>([core](stream_session_actor::pointer self) { return core->make_behavior(self); });
  core->set_actor(result.actor);
  result.session = std::move(core);
  return result;
}

} // namespace modelforge
