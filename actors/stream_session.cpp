#include "actors/stream_session.hpp"

#include "actors/stream_inbox.hpp"
#include "actors/stream_subscribers.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "provider/explanations.hpp"
#include "provider/masked_pieces.hpp"
#include "wire/text_keeper.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>

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
constexpr std::size_t max_error_body = 1u << 20;

/// An answer of which nobody has anything was a connection that broke; of another one the rest is missing.
void adjust(failure& why, bool repeatable, uint64_t pieces) {
  if (repeatable && why.code == errc::stream_interrupted)
    why.code = errc::connection_lost;
  if (!repeatable && why.code == errc::connection_lost) {
    why.code = errc::stream_interrupted;
    why.message = "the stream broke after " + std::to_string(pieces) + " pieces: " + why.message;
  }
}

/// Carries out what its broadcast decides for one stream.
///
/// Bytes come from the transport's inbox (`on_arrival`), go through the dialect's reader and the mask into the
/// broadcast, and leave as chunks to those subscribers that have granted them. Each turn ends with `serve`: first the
/// broadcast's steps, then one `stream_update` for the provider, which judges every attempt, keeps the time, and says
/// with `conclude` how the stream has ended. Invariants: one attempt at a time, and a later one only while nothing has
/// been handed over; what a given-up attempt still brings is not looked at; each subscriber gets exactly one end.
///
/// The provider's actor calls the methods of `stream_session`; everything else runs inside the session's own. The
/// provider holds it, beside the actor: so it can still tell the subscribers when the actor has been killed.
class session final : public stream_session, public stream_inbox_reader, public std::enable_shared_from_this<session> {
public:
  using actor_pointer = stream_session_actor::pointer;

  explicit session(stream_setup setup)
    : setup_(std::move(setup)), to_readers_(setup_.settings), masked_(to_readers_, setup_.secrets) {}

  /// Nobody is left to take what still comes.
  ~session() override { drop_transfer(); }

  stream_session_actor::behavior_type make_behavior(actor_pointer self) {
    self_ = self;
    callers_.emplace(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); });
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self); // an actor that nobody holds would end without a word
    self->set_exit_handler([this](caf::exit_msg& x) { on_exit(x.reason); });
    provider_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(setup_.provider));
    static_cast<void>(subscribe(std::exchange(setup_.subscriber, nullptr), setup_.as));
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

  http::transfer_id begin(uint64_t attempt, time_point time, http::request request) override {
    auto inbox = std::make_shared<stream_inbox>(attempt, time, here_, setup_.owner);
    auto id = setup_.transport->open(std::move(request), inbox);
    handover soon; // afterwards: the provider is to be asked first
    here_.run([inbox = std::move(inbox)](session& me) { me.start(inbox); });
    return id;
  }

  void conclude(outcome ended) override {
    here_.run([ended = std::move(ended)](session& me) mutable { me.end(std::move(ended)); });
  }

  void cut(failure why) override {
    here_.run([why = std::move(why)](session& me) { me.end_all(why); });
  }

  void wake() override {
    here_.run([](session& me) {
      me.alarm_.reset();
      me.serve();
    });
  }

  void bury() override {
    for (auto& [reader, who] : subscribers_.take_all())
      tell_from_outside(who, stream_failed{setup_.settings.id,
                                           make_failure(errc::cancelled, "the stream's session was killed"),
                                           to_readers_.pieces().end().piece, to_readers_.pieces().tokens()});
  }

  /// Before anything else.
  void set_actor(const stream_session_actor& actor) { here_ = {caf::actor_cast<caf::weak_actor_ptr>(actor), this}; }

  // -- what inboxes call ----------------------------------------------------------------

  /// Takes all that has come since the last look. The body is swapped, not copied: the inbox goes on with the buffer of
  /// the time before. An answer ends with its transfer, with an error in it, or some time behind its end mark (see
  /// `broadcast::enough`), whichever comes first.
  void on_arrival(stream_inbox& from) override {
    start(from.shared_from_this());
    if (&from != attempt_.inbox.get())
      return; // of an attempt that was given up
    stream_inbox::content arrived;
    arrived.body = std::move(buffer_);
    arrived.body.clear();
    from.swap_content(arrived);
    if (arrived.head)
      read_head(std::move(*arrived.head));
    if (!arrived.body.empty())
      read_body(arrived.body);
    if (arrived.body.capacity() <= kept_buffer)
      buffer_ = std::move(arrived.body);
    if (arrived.end || (attempt_.reader && attempt_.reader->ended()))
      end_attempt(std::move(arrived.end));
    serve();
  }

private:
  /// The attempt under way, or the last one.
  struct attempt_state {
    uint64_t number = 0;
    std::shared_ptr<stream_inbox> inbox; ///< Null: it has ended, or was given up.
    http::response_head head;
    std::string error_body; ///< Of an answer that is no stream.
    std::unique_ptr<wire::stream_reader> reader;
    bool has_begun = false; ///< Its first piece has come.
  };

  time_point now() const { return self_->clock().now(); }

  /// For the provider, at the end of this turn.
  stream_update& update() {
    if (!update_)
      update_ = std::make_unique<stream_update>();
    return *update_;
  }

  void send_update() {
    if (update_)
      setup_.owner.run([id = setup_.settings.id, update = std::shared_ptr{std::move(update_)}](stream_owner& provider) {
        provider.on_stream_update(id, *update);
      });
  }

  // -- subscribers --------------------------------------------------------------------

  /// Lets a subscriber in, and watches it; an error says why not.
  caf::error subscribe(const stream_subscriber_actor& who, const subscription& subscription) {
    auto address = caf::actor_cast<caf::actor_addr>(who);
    if (who == nullptr || subscribers_.find(address))
      return error_of(who == nullptr ? make_failure(errc::invalid_request, "there is no subscriber")
                                     : make_failure(errc::duplicate_request, "this actor takes the stream already"));
    auto joined = to_readers_.join(subscription, now());
    if (auto* problem = std::get_if<failure>(&joined))
      return error_of(std::move(*problem));
    subscribers_.add(std::get<broadcast::reader_id>(joined), who);
    callers_->add(caf::actor_cast<caf::strong_actor_ptr>(who));
    return {};
  }

  /// Only subscribers have demand; grants of others mean nothing.
  void grant(uint32_t chunks) {
    auto reader = subscribers_.find(caf::actor_cast<caf::actor_addr>(self_->current_sender()));
    if (!reader) // whoever has the session may speak to it, without a sender too
      return;
    to_readers_.grant(*reader, chunks, now());
    serve();
  }

  void on_death(const caf::actor_addr& who) {
    if (who == provider_) {
      end_all(make_failure(errc::cancelled, "its provider has ended"));
      return;
    }
    if (auto reader = subscribers_.find(who)) {
      to_readers_.leave(*reader, now());
      subscribers_.remove(*reader);
      serve();
    }
  }

  void on_exit(const caf::error& why) {
    withdraw(make_failure(errc::cancelled, "the stream was ended: " + to_string(why)));
    keep_ = nullptr;
    self_->quit(why);
  }

  // -- the transfer -------------------------------------------------------------------

  void start(std::shared_ptr<stream_inbox> inbox) {
    if (inbox->attempt <= attempt_.number)
      return; // its first bytes were here before
    drop_transfer();
    attempt_ = {};
    attempt_.number = inbox->attempt;
    attempt_.inbox = std::move(inbox);
    if (to_readers_.pieces().end().piece > 0)
      to_readers_.rewind();
    to_readers_.begin(attempt_.inbox->begun);
    serve();
  }

  /// Only a success with a body is read as a stream: whatever else came is kept for the provider to judge. (Servers
  /// made with NestJS answer 201.)
  void read_head(http::response_head head) {
    attempt_.head = std::move(head);
    auto status = attempt_.head.status;
    if (status / 100 != 2 || status == 204 || status == 205)
      return;
    attempt_.reader = setup_.dialect->read_stream(attempt_.head);
    if (setup_.keeps_text)
      attempt_.reader = std::make_unique<wire::text_keeper>(std::move(attempt_.reader));
  }

  /// The first piece shows that the provider answers. Its status does not: it is good before garbage and silence, too.
  void note_begin() {
    if (attempt_.has_begun || !to_readers_.first_token())
      return;
    attempt_.has_begun = true;
    update().begun = attempt_.number;
  }

  /// What is read goes through the mask into the broadcast. Bytes count as well as events: both are signs of life, but
  /// only events are progress.
  void read_body(const std::string& bytes) {
    std::size_t events = 0;
    auto* reader = attempt_.reader.get();
    if (reader != nullptr)
      events = reader->take(bytes, masked_.entrance());
    else if (attempt_.error_body.size() < max_error_body)
      attempt_.error_body += bytes;
    to_readers_.received(bytes.size(), events, reader != nullptr ? reader->tokens() : 0, now());
    note_begin();
    if (reader != nullptr)
      to_readers_.note_end(reader->end_so_far(), now());
  }

  /// The last bytes may hold pieces that only their end shows to be whole.
  outcome read_end(wire::stream_reader& reader) {
    auto before = to_readers_.pieces().end().piece;
    auto result = reader.end(masked_.entrance());
    if (to_readers_.pieces().end().piece > before)
      to_readers_.received(0, 1, reader.tokens(), now());
    return result;
  }

  /// Reports the attempt. `end` is missing where the answer was whole before its transfer was, or seems so.
  void end_attempt(std::optional<http::transfer_end> end, bool is_sure = true) {
    auto* reader = attempt_.reader.get();
    auto ended = end.has_value();
    attempt_.inbox->set_reported();
    stream_report report;
    report.answer.head = attempt_.head;
    report.answer.end = std::move(end).value_or(http::transfer_end{});
    report.end.first_token = to_readers_.first_token().value_or(std::chrono::nanoseconds{0});
    auto& error = report.answer.end.error;
    auto& outcome = report.end.outcome;
    auto has_end = reader != nullptr && reader->has_end();
    if (reader != nullptr && (!error || has_end))
      outcome = read_end(*reader);
    else if (error)
      outcome = provider::describe(*error);
    else
      report.answer.body = std::move(attempt_.error_body);
    if (auto* good = outcome ? std::get_if<completion>(&*outcome) : nullptr; good != nullptr && !is_sure)
      good->warnings.push_back("the provider said why the model stopped, and then kept the connection open in silence; "
                               "it was not waited for");
    if (has_end)
      error.reset(); // what happens to the connection behind the end mark is of no interest
    release_transfer(ended, !outcome || std::holds_alternative<completion>(*outcome));
    this->report(std::move(report));
  }

  /// Leaves the report for the provider, which decides whether the stream goes on.
  void report(stream_report report) {
    auto& outcome = report.end.outcome;
    report.attempt = attempt_.number;
    report.end.repeatable = !to_readers_.handed_over();
    if (outcome && std::holds_alternative<completion>(*outcome))
      to_readers_.settle(); // what came with the end need not wait for the provider's word
    if (auto* bad = outcome ? std::get_if<failure>(&*outcome) : nullptr)
      adjust(*bad, report.end.repeatable, to_readers_.pieces().end().piece);
    to_readers_.attempt_ended();
    attempt_.reader.reset();
    update().ended = std::move(report);
  }

  /// Lets go of a transfer: nothing is left of one that ended; one that failed is cut off; of a good one the last bytes
  /// may still come, so that its connection can be used again.
  void release_transfer(bool ended, bool well) {
    auto& inbox = attempt_.inbox;
    if (ended) {
      inbox.reset();
    } else if (!well) {
      drop_transfer();
    } else if (inbox) {
      inbox->close();
      setup_.transport->cancel_after(inbox->transfer(), linger_time);
      inbox.reset();
    }
  }

  void drop_transfer() {
    auto& inbox = attempt_.inbox;
    if (!inbox)
      return;
    inbox->close();
    setup_.transport->cancel(inbox->transfer());
    inbox.reset();
  }

  // -- the end ------------------------------------------------------------------------

  /// The provider has judged: this is how the stream ended.
  void end(outcome ended) {
    drop_transfer();
    to_readers_.finish(std::move(ended));
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
    update().withdrawn = why.message;
    end_all(why);
  }

  // -- what the broadcast decides -------------------------------------------------------

  /// Carries out what is due, then tells the provider. Called at the end of every turn in which something has happened.
  void serve() {
    handover soon;
    for (auto time = now(); auto step = to_readers_.next(time);)
      std::visit([this](auto& x) { carry_out(x); }, *step);
    if (to_readers_.over() || abandoned_) {
      leave();
      return;
    }
    arm();
    send_update(); // subscribers first
  }

  void carry_out(broadcast::deliver& step) {
    if (auto* who = subscribers_.find(step.to))
      tell(self_, *who, std::move(step.chunk));
  }

  void carry_out(broadcast::conclude& step) {
    auto* who = subscribers_.find(step.to);
    if (who == nullptr)
      return;
    std::visit([&](auto& message) { tell(self_, *who, std::move(message)); }, step.how);
    callers_->remove(caf::actor_cast<caf::actor_addr>(*who));
    subscribers_.remove(step.to);
  }

  void carry_out(broadcast::credit& step) {
    if (attempt_.inbox)
      setup_.transport->grant(attempt_.inbox->transfer(), step.bytes);
  }

  void carry_out(broadcast::give_up& step) {
    stream_report report;
    report.answer.head = attempt_.head;
    report.end.outcome = std::move(step.why);
    if (attempt_.inbox)
      attempt_.inbox->set_reported();
    drop_transfer();
    this->report(std::move(report));
  }

  void carry_out(broadcast::enough& step) { end_attempt({}, step.is_sure); }

  void carry_out(broadcast::abandon&) {
    drop_transfer();
    abandoned_ = true;
    update().withdrawn = "its last subscriber has ended";
  }

  void leave() {
    if (std::exchange(left_, true))
      return;
    update().gone = true;
    send_update();
    keep_ = nullptr;
    self_->quit();
  }

  /// Timers are the provider's: CAF's would cost too much by the thousand. Never asks for a later time than the idle
  /// timeout's, because that one follows soon.
  void arm() {
    auto due = to_readers_.wake_at();
    if (!due)
      return;
    if (setup_.settings.idle.count() > 0)
      due = std::min(*due, now() + setup_.settings.idle);
    if (alarm_ && *alarm_ <= *due)
      return;
    alarm_ = due;
    update().alarm = due;
  }

  stream_setup setup_;
  actor_pointer self_ = nullptr;
  state_handle<session> here_;
  caf::strong_actor_ptr keep_; ///< Itself, until the end.
  broadcast to_readers_;
  provider::masked_pieces masked_; ///< In front of the readers, where there are secrets.
  std::optional<callers<std::remove_pointer_t<actor_pointer>>> callers_;
  stream_subscribers subscribers_;
  caf::actor_addr provider_;
  attempt_state attempt_;
  std::string buffer_;              ///< For what arrives next.
  std::optional<time_point> alarm_; ///< The provider wakes us then.
  std::unique_ptr<stream_update> update_;
  bool abandoned_ = false;
  bool left_ = false;
};

} // namespace

stream::broadcast_settings broadcast_settings_of(const stream_request& wanted, const provider_settings& settings) {
  auto& [on_disconnect, drain_time, reader_idle, log_limit, min_bytes_per_second, http2] = settings.stream;
  static_cast<void>(http2); // of the request to the provider
  stream::broadcast_settings result;
  result.id = wanted.chat.id;
  result.log_limit = wanted.log_limit.value_or(log_limit);
  result.first_token = settings.timeouts.first_token;
  result.idle = settings.timeouts.idle;
  result.min_bytes_per_second = min_bytes_per_second;
  result.reader_idle = wanted.reader_idle.value_or(reader_idle);
  result.on_disconnect = wanted.on_disconnect.value_or(on_disconnect);
  result.drain_time = wanted.drain_time.value_or(drain_time);
  result.whole_text = wanted.whole_text;
  return result;
}

spawned_stream spawn_stream_session(caf::actor_system& system, stream_setup setup) {
  auto core = std::make_shared<session>(std::move(setup));
  spawned_stream result;
  result.actor =
    system.spawn<caf::lazy_init>([core](stream_session_actor::pointer self) { return core->make_behavior(self); });
  core->set_actor(result.actor);
  result.session = std::move(core);
  return result;
}

} // namespace modelforge
