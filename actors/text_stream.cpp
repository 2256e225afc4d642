#include <modelforge/actors/text_stream.hpp>

#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace modelforge {

namespace {

using steady = std::chrono::steady_clock;

/// Chunks that may be on their way: enough to bridge the way of a grant, and little memory.
constexpr uint32_t first_demand = 8;

/// `on_progress` counts in steps of so many tokens.
constexpr uint64_t progress_step = 10;

} // namespace

/// What the host's thread and the reading actor share. Texts go one way, in order, and then one outcome; behind it
/// nothing comes, so whoever waits wakes up for the last time. Grants are owed with the text that they belong to, and
/// are given when the host has read it: so a slow host holds the stream back. `grant` and `cancel` run inside the actor
/// (by `run`); all else may be called from any thread, and holds `mutex_` while it touches what is shared, never while
/// it calls or sends.
class text_stream::core {
public:
  struct text {
    std::string words;
    uint32_t grants = 0; ///< Chunks that are wholly read with it.
  };

  // -- the actor's side ---------------------------------------------------------------

  void put(std::string text) {
    std::lock_guard guard{mutex_};
    texts_.push_back({std::move(text), 0});
    changed_.notify_all();
  }

  /// A chunk has been taken in. True: it may be replaced at once; else it is when the host has read what is there.
  bool owe() {
    std::lock_guard guard{mutex_};
    if (texts_.empty())
      return true;
    ++texts_.back().grants;
    return false;
  }

  /// The host's cancel does not wait for callbacks: it goes to the session itself.
  void set_session(const stream_session_actor& session) {
    std::lock_guard guard{mutex_};
    session_ = session;
  }

  void end(stream_outcome outcome) {
    std::lock_guard guard{mutex_};
    outcome_ = std::move(outcome);
    actor_ = nullptr;
    session_ = nullptr;
    changed_.notify_all();
  }

  void set_actor(const stream_subscriber_actor& subscriber) {
    std::lock_guard guard{mutex_};
    if (!outcome_)
      actor_ = subscriber;
  }

  /// The thread that runs the host's callbacks now.
  std::atomic<std::thread::id> in_callback{};

  /// No callback but `on_end` is called any more.
  std::atomic<bool> cancelled{false};

  // -- the host's side ----------------------------------------------------------------

  /// The next text; empty: there is none any more.
  std::optional<text> take() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return !texts_.empty() || outcome_; });
    if (texts_.empty())
      return {};
    auto result = std::move(texts_.front());
    texts_.pop_front();
    return result;
  }

  void wait_for_end() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return outcome_.has_value(); });
  }

  /// Null until the end; never changes afterwards.
  const stream_outcome* outcome() {
    std::lock_guard guard{mutex_};
    return outcome_ ? &*outcome_ : nullptr;
  }

  /// Runs `f` inside the actor, if it is still there.
  void run(std::function<void()> f) {
    stream_subscriber_actor subscriber;
    {
      std::lock_guard guard{mutex_};
      subscriber = actor_;
    }
    if (subscriber != nullptr)
      post(subscriber, std::move(f));
  }

  /// Tells the session right away, so that nothing more is paid for while a callback blocks the actor.
  void stop() {
    cancelled = true;
    stream_session_actor session;
    {
      std::lock_guard guard{mutex_};
      session = session_;
    }
    if (session != nullptr)
      tell_from_outside(session, cancel_atom_v);
  }

  std::function<void(uint32_t)> grant; ///< Inside the actor.
  std::function<void()> cancel;        ///< Inside the actor.

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<text> texts_;
  std::optional<stream_outcome> outcome_;
  stream_subscriber_actor actor_;
  stream_session_actor session_;
};

namespace {

/// Takes the stream for a host: joins texts, calls callbacks, grants what has been read.
///
/// It is the stream's subscriber. Each chunk is taken apart into pieces; a callback may end the stream at any of them,
/// by throwing or by a cancel, which is looked for before every call. The host hears of one end, the first one, whoever
/// brings it: the provider, the session's death, the host itself, or that of this actor (destructor). With `own_thread`
/// the actor is detached, since callbacks may block. Everything runs inside the actor, which its handlers keep alive.
template <class Core>
class reader : public std::enable_shared_from_this<reader<Core>> {
public:
  using pointer = stream_subscriber_actor::pointer;

  reader(pointer self, std::shared_ptr<Core> core, stream_options options, std::optional<uint32_t> max_tokens)
    : self_(self), core_(std::move(core)), options_(std::move(options)), max_tokens_(max_tokens),
      started_(self->clock().now()), session_watch_(self, [this](const caf::actor_addr&, const caf::error&) {
        end(failed(make_failure(errc::outcome_unknown, "the stream's session ended without a word",
                                "send the request again if that does no harm")));
      }) {
    options_.buffer_size = std::max(options_.buffer_size, 1u);
    core_->grant = [this](uint32_t chunks) { grant(chunks); };
    core_->cancel = [this] { end(failed(cancelled_by_host())); };
  }

  /// Whoever ended the actor from outside: the host must not wait for ever.
  ~reader() {
    if (!ended_)
      tell_host(failed(make_failure(errc::cancelled, "the actor that read the stream was ended")));
  }

  stream_subscriber_actor::behavior_type make_behavior() {
    return {
      [me = this->shared_from_this()](stream_chunk& x) { me->take(x); },
      [this](stream_done& done) {
        session_ = nullptr; // it has ended
        if (done.result.usage && !progress(done.result.usage->output))
          return;
        flush();
        end(std::move(done));
      },
      [this](stream_failed& failed) {
        session_ = nullptr;
        flush();
        if (failed.why.code == errc::deadline_exceeded && options_.timeout.count() > 0)
          explain_timeout(failed);
        end(std::move(failed));
      },
    };
  }

  void start(const provider_actor& provider, stream_request request) {
    id_ = request.chat.id;
    ask(self_, provider, std::move(request), stream_subscriber_actor{self_})
      .then(
        [this](const stream_session_actor& session) {
          session_ = session;
          core_->set_session(session);
          session_watch_.add(caf::actor_cast<caf::strong_actor_ptr>(session));
          if (auto owed = std::exchange(owed_, 0); owed > 0)
            grant(owed);
        },
        [this](const caf::error& error) { end(failed(failure_of(error))); });
  }

private:
  /// Calls a callback of the host. False: it threw, and the stream is over.
  template <class F, class... Args>
  bool call(const F& f, const Args&... args) {
    if (ended_)
      return false;
    if (core_->cancelled) {
      end(failed(cancelled_by_host()));
      return false;
    }
    if (!f)
      return true;
    core_->in_callback = std::this_thread::get_id();
    std::optional<std::string> problem;
    try {
      f(args...);
    } catch (const std::exception& error) {
      problem = error.what();
    } catch (...) {
      problem = "an exception that is not a std::exception";
    }
    core_->in_callback = std::thread::id{};
    if (!problem)
      return true;
    end(failed(make_failure(errc::callback_failed, "a callback of the host threw: " + *problem,
                            "catch what a callback may throw inside it")));
    return false;
  }

  /// Goes through a chunk piece by piece; a callback may end the stream at any of them.
  void take(stream_chunk& chunk) {
    auto before = tokens_;
    for (auto& piece : chunk.pieces) {
      ++seen_;
      if (!call(options_.on_chunk, piece))
        return;
      if (piece.kind == piece_kind::text) {
        joined_ += piece.text;
        if (++pieces_ >= options_.buffer_size)
          flush();
      }
      if (!progress(++before))
        return;
    }
    if (!progress(std::max(chunk.tokens, tokens_)) || ended_)
      return;
    if (core_->owe())
      grant(1);
  }

  /// Hands on what is joined so far.
  void flush() {
    if (pieces_ == 0)
      return;
    pieces_ = 0;
    auto text = std::exchange(joined_, {});
    if (options_.on_text)
      call(options_.on_text, text);
    else
      core_->put(std::move(text));
  }

  /// Tells of every step up to `tokens`, which others count, also on other nodes: believed only as far as it can be.
  bool progress(uint64_t tokens) {
    tokens = std::min(tokens, max_output_tokens);
    if (!options_.on_progress) {
      tokens_ = std::max(tokens_, tokens);
      return true;
    }
    while (tokens_ / progress_step < tokens / progress_step) {
      tokens_ = (tokens_ / progress_step + 1) * progress_step;
      if (!call(options_.on_progress, tokens_))
        return false;
    }
    tokens_ = std::max(tokens_, tokens);
    return true;
  }

  /// Grants that come before the session is known are kept: its first chunks can overtake the answer that names it.
  void grant(uint32_t chunks) {
    if (session_ != nullptr)
      tell(self_, session_, grant_atom_v, chunks);
    else
      owed_ += chunks;
  }

  static failure cancelled_by_host() { return make_failure(errc::cancelled, "cancelled by the host"); }

  stream_failed failed(failure why) const { return {id_, std::move(why), seen_, tokens_}; }

  /// Says which timeout would have been enough.
  void explain_timeout(stream_failed& failed) const {
    auto elapsed = self_->clock().now() - started_;
    auto needed = 2 * std::chrono::duration<double>(elapsed);
    std::string text = "raise timeout from " + duration_text(options_.timeout);
    if (max_tokens_ && failed.tokens > 0 && *max_tokens_ > failed.tokens) {
      needed = std::chrono::duration<double>(elapsed) * (1.1 * *max_tokens_ / static_cast<double>(failed.tokens));
      text += " to at least " + duration_text(std::chrono::ceil<std::chrono::seconds>(needed))
              + ": that is what max_tokens (" + std::to_string(*max_tokens_) + ") take at the pace so far";
    } else {
      text += ", e.g. to " + duration_text(std::chrono::ceil<std::chrono::seconds>(needed));
    }
    failed.why.message = "the stream was not complete within its timeout of " + duration_text(options_.timeout) + "; "
                         + std::to_string(failed.tokens) + " tokens had arrived";
    failed.why.suggestion = std::move(text);
  }

  /// Ends the stream for the host, and the session's work with it. The first end counts.
  void end(stream_outcome outcome) {
    if (ended_)
      return;
    tell_host(std::move(outcome));
    if (session_ != nullptr) // whatever `on_disconnect` says: the host wants no more
      tell(self_, session_, cancel_atom_v);
    self_->quit();
  }

  /// `on_end` first: when the host's thread is let go, all callbacks have been called.
  void tell_host(stream_outcome outcome) {
    ended_ = true;
    if (options_.on_end) {
      core_->in_callback = std::this_thread::get_id();
      try {
        options_.on_end(outcome);
      } catch (...) { // there is nothing left to end
      }
      core_->in_callback = std::thread::id{};
    }
    options_ = {};
    core_->grant = nullptr;
    core_->cancel = nullptr;
    core_->end(std::move(outcome));
  }

  pointer self_;
  std::shared_ptr<Core> core_;
  stream_options options_;
  std::optional<uint32_t> max_tokens_;
  steady::time_point started_;
  callers<std::remove_pointer_t<pointer>> session_watch_;
  stream_session_actor session_;
  request_id id_;
  uint32_t owed_ = 0; ///< Grants from before the session was known.
  std::string joined_;
  uint32_t pieces_ = 0; ///< In `joined_`.
  uint64_t seen_ = 0;   ///< Pieces.
  uint64_t tokens_ = 0;
  bool ended_ = false;
};

} // namespace

// -- the host's side --------------------------------------------------------------------

text_stream::text_stream(std::shared_ptr<core> shared) : core_(std::move(shared)) {}

text_stream::text_stream(text_stream&&) noexcept = default;

text_stream& text_stream::operator=(text_stream&& other) noexcept {
  text_stream old{std::move(*this)};
  core_ = std::move(other.core_);
  return *this;
}

text_stream::~text_stream() {
  if (!core_)
    return;
  cancel();
  if (core_->in_callback.load() != std::this_thread::get_id())
    core_->wait_for_end();
}

void text_stream::cancel() {
  if (!core_)
    return;
  core_->stop();
  core_->run([core = core_] {
    if (core->cancel)
      std::function{core->cancel}();
  });
}

std::optional<std::string> text_stream::next() {
  auto text = core_->take();
  if (!text)
    return {};
  if (text->grants > 0)
    core_->run([core = core_, chunks = text->grants] {
      if (core->grant)
        core->grant(chunks);
    });
  return std::move(text->words);
}

const stream_outcome& text_stream::wait() {
  while (next())
    ;
  core_->wait_for_end();
  return *core_->outcome();
}

text_stream text_stream::start(caf::actor_system& system, const provider_actor& provider, chat_request request,
                               stream_options options, std::function<void()> asked) {
  auto shared = std::make_shared<core>();
  stream_request full;
  full.whole_text = options.whole_text;
  full.as.demand = first_demand;
  if (options.timeout.count() > 0 && (!request.deadline || options.timeout < *request.deadline))
    request.deadline = options.timeout;
  options.timeout = request.deadline.value_or(std::chrono::nanoseconds{0});
  auto max_tokens = request.sampling.max_tokens;
  full.chat = std::move(request);
  auto read = [=, to = shared](stream_subscriber_actor::pointer self) {
    auto state = std::make_shared<reader<core>>(self, to, options, max_tokens);
    state->start(provider, full);
    if (asked)
      asked();
    return state->make_behavior();
  };
  shared->set_actor(options.own_thread ? system.spawn<caf::detached>(read) : system.spawn(read));
  return text_stream{std::move(shared)};
}

text_stream stream_text(caf::actor_system& system, const provider_actor& provider, chat_request request,
                        stream_options options) {
  return text_stream::start(system, provider, std::move(request), std::move(options), {});
}

text_stream stream_text(caf::actor_system& system, const provider_actor& provider, std::string prompt,
                        stream_options options) {
  chat_request request;
  request.messages.push_back(text_message(role::user, std::move(prompt)));
  return stream_text(system, provider, std::move(request), std::move(options));
}

} // namespace modelforge
