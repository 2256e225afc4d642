#pragma once

#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/stream.hpp>

#include <caf/fwd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <variant>

/// Streams for hosts that are no actors: a range of texts, callbacks, or a file.

namespace modelforge {

/// How a stream ended, for one reader.
using stream_outcome = std::variant<stream_done, stream_failed>;

/// How a host reads a stream. The callbacks run in an actor, one at a time; a slow one slows the stream down. One that
/// throws ends the stream as `errc::callback_failed`.
struct stream_options {
  std::chrono::nanoseconds timeout =
    std::chrono::seconds{300}; ///< Of the whole stream; a shorter deadline holds. 0: none but that.
  uint32_t buffer_size = 10;   ///< Pieces of text that are joined into one; 1: each comes as it is.
  bool whole_text = false;     ///< `stream_done` repeats the text.
  /// The callbacks run on a thread of their own, and may block; else on one of the actor system's, which they must
  /// leave soon.
  bool own_thread = false;

  std::function<void(const std::string&)> on_text{};   ///< Gets the texts; then the range has none.
  std::function<void(const stream_piece&)> on_chunk{}; ///< Sees every piece, tool calls and reasoning too.
  std::function<void(uint64_t)> on_progress{};         ///< Called with 10, 20, 30, ... tokens; skips none.
  std::function<void(const stream_outcome&)> on_end{}; ///< Called exactly once, after everything else.
};

/// A stream being read: a range of texts, each up to `buffer_size` pieces.
///
///   for (auto& text : stream_text(system, provider, "Tell me a story."))
///     std::cout << text << std::flush;
///
/// Its members but `cancel` are for one thread. Memory is bounded: what is not read holds the provider back.
class text_stream {
public:
  /// Ends the stream, if it has not ended, and returns when the last callback has: `on_end` has been called then. In a
  /// callback of its own it does not wait.
  ~text_stream();

  /// One that was moved from may only be assigned to or destroyed.
  text_stream(text_stream&&) noexcept;
  text_stream& operator=(text_stream&&) noexcept;

  /// Waits for the next text; nothing: the stream has ended, and `wait` tells how.
  std::optional<std::string> next();

  /// Reads the stream to its end, and tells how that was. Texts that were not read are dropped.
  const stream_outcome& wait();

  /// Ends the stream as `errc::cancelled`, and the provider's work with it. From any thread; later calls do nothing.
  void cancel();

  /// Reads the stream by `next`; incrementing it blocks until the next text is there.
  class iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string*;
    using reference = const std::string&;

    iterator() = default;
    explicit iterator(text_stream& stream) : stream_(&stream), text_(stream.next()) {}

    reference operator*() const { return *text_; }
    pointer operator->() const { return &*text_; }
    iterator& operator++() {
      text_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& x, std::default_sentinel_t) { return !x.text_; }

  private:
    text_stream* stream_ = nullptr;
    std::optional<std::string> text_;
  };

  /// May be called once: what was read is gone.
  iterator begin() { return iterator{*this}; }
  std::default_sentinel_t end() const { return {}; }

private:
  friend class runtime;
  friend text_stream stream_text(caf::actor_system&, const provider_actor&, chat_request, stream_options);

  class core;
  explicit text_stream(std::shared_ptr<core> shared);

  /// `asked` is called when the provider has the request in its mailbox.
  static text_stream start(caf::actor_system& system, const provider_actor& provider, chat_request request,
                           stream_options options, std::function<void()> asked);

  std::shared_ptr<core> core_;
};

/// Starts a stream. What is wrong with the request comes as its end.
text_stream stream_text(caf::actor_system& system, const provider_actor& provider, chat_request request,
                        stream_options options = {});

/// Likewise for a prompt alone; the model is the provider's default.
text_stream stream_text(caf::actor_system& system, const provider_actor& provider, std::string prompt,
                        stream_options options = {});

/// Writes a stream's text to a file as it comes, and returns when it has ended: to PATH.partial (with a number behind
/// it where that is there), which is renamed to PATH at a good end. Otherwise PATH is left alone, what came stays where
/// it is, and the failure says so (`errc::io_failed` where the file is the matter). An answer that is no good one
/// (`flaw`) takes no earlier file's place either: then its last warning says where the text is. A file that is replaced
/// keeps its mode, a link stays one, and what is no regular file (a pipe, a device, /dev/stdout) is written in place.
/// Calls the callbacks as well, except `on_text`; `on_end` only if the file could be opened, since nothing is asked
/// before.
std::variant<completion, failure> stream_to_file(caf::actor_system& system, const provider_actor& provider,
                                                 chat_request request, const std::string& path,
                                                 stream_options options = {});

} // namespace modelforge
