#include "tools/cli/chat_answer.hpp"

#include "tools/cli/ask.hpp"
#include "tools/cli/disconnect_rule.hpp"
#include "tools/cli/output.hpp"

#include "wire/openai/format.hpp"
#include "json/writer.hpp"

#include <modelforge/actors/text_stream.hpp>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <utility>

namespace modelforge::cli {

std::string for_terminal(std::string text) {
  std::erase_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return text;
}

namespace {

/// Text for standard output.
std::string shown(std::string text) {
  static const bool terminal = isatty(STDOUT_FILENO) != 0;
  return terminal ? for_terminal(std::move(text)) : text;
}

/// What is said in an answer: a refusal is one, too.
const std::string& words_of(const completion& answer) {
  return answer.text.empty() ? answer.refusal : answer.text;
}

void note(chat::seen_answer& seen, const completion& answer) {
  seen.flaw = answer.flaw;
}

void note(chat::seen_answer& seen, const failure& problem) {
  seen.failure = problem.code;
}

/// Calls of tools in a form to be read: nobody is there to run them.
std::string calls_of(const completion& answer) {
  std::string result;
  for (auto& call : answer.tool_calls)
    result += (result.empty() ? "" : "\n") + call.name + "(" + call.arguments + ")";
  return result;
}

/// What is about the answer goes to standard error.
void print_notes(const chat_options& options, const completion& answer) {
  for (auto& warning : answer.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", options.how.in_words_of_user(warning).c_str());
  if (!answer.alternatives.empty())
    std::fprintf(stderr, "modelforge: warning: %zu more answers came; --json shows them\n", answer.alternatives.size());
  if (auto flaw = flaw_text(answer); !flaw.empty())
    std::fprintf(stderr, "modelforge: warning: %s\n", flaw.c_str());
}

/// An answer that cannot be relied on is told apart from a good one by its exit code, and a cut one from a blocked one:
/// the first wants more room, the second another prompt.
int exit_code_for(const completion& answer) {
  switch (answer.flaw) {
    case answer_flaw::none:
      return exit_ok;
    case answer_flaw::blocked:
      return exit_blocked;
    default:
      return exit_cut;
  }
}

/// With --stats: one line about time, tokens and cost, and one for each change that optimizers made.
void print_speed(const completion& answer, std::optional<std::chrono::nanoseconds> first_token) {
  auto text = "answered in " + duration_text(answer.timings.total);
  if (first_token)
    text = "first token after " + duration_text(*first_token) + ", " + text;
  if (answer.usage) {
    auto generating = std::chrono::duration<double>(answer.timings.total - answer.timings.queued
                                                    - first_token.value_or(std::chrono::nanoseconds{0}));
    text += ", " + std::to_string(answer.usage->input) + " tokens in";
    if (answer.usage->cached_read > 0)
      text += " (" + std::to_string(answer.usage->cached_read) + " from the cache)";
    text += ", " + std::to_string(answer.usage->output) + " out";
    char rate[32];
    std::snprintf(rate, sizeof rate, " (%.0f/s)", static_cast<double>(answer.usage->output) / generating.count());
    if (generating.count() > 0)
      text += rate;
  }
  if (answer.cost)
    text += ", cost " + std::to_string(*answer.cost);
  for (auto& change : answer.optimizations)
    std::fprintf(stderr, "modelforge: optimized: %s\n", change.c_str());
  std::fprintf(stderr, "modelforge: %s\n", text.c_str());
}

// -- whole answers ------------------------------------------------------------------

/// A refusal is an answer, too. With --json the whole object is printed, whatever is in it.
int show_whole(const chat_options& options, const completion& answer) {
  auto text = words_of(answer);
  if (auto calls = calls_of(answer); !calls.empty())
    text += (text.empty() ? "" : "\n") + calls;
  auto printed = print((options.json ? wire::openai::write_completion(answer) : shown(std::move(text))) + "\n");
  print_notes(options, answer);
  if (options.stats)
    print_speed(answer, {});
  return printed ? exit_code_for(answer) : exit_failed;
}

/// An answer that is not as asked for was paid for: it is shown, but never where a good one is expected.
void complain_of(const failure& problem) {
  complain(to_string(problem));
  if (!problem.text.empty())
    std::fprintf(stderr, "the answer was:\n%s\n", for_terminal(problem.text).c_str());
}

int show_whole(const chat_options& options, const failure& given) {
  auto problem = options.how.in_words_of_user(given);
  complain_of(problem);
  if (options.json)
    print("{\"error\":" + wire::openai::write_error(problem) + "}\n");
  return exit_code_of(problem);
}

/// Waits for the whole answer. Ctrl-C withdraws the request, which ends it at the provider as well.
int chat_whole(const chat_options& options, session& session, waiter& waiter, chat_request request,
               chat::seen_answer& seen) {
  auto result = ask_and_wait<completion>(
    session, waiter, [&session, id = request.id] { tell_from_outside(session.provider(), cancel_atom_v, id); },
    std::move(request));
  if (!result) {
    seen.failure = errc::cancelled;
    if (!options.is_session)
      complain("interrupted");
    return exit_interrupted;
  }
  std::visit([&](auto& outcome) { note(seen, outcome); }, *result);
  if (auto* answer = std::get_if<completion>(&*result))
    seen.text = words_of(*answer);
  return std::visit([&](auto& outcome) { return show_whole(options, outcome); }, *result);
}

// -- streams ------------------------------------------------------------------------

/// Thrown out of a callback to end the stream; what is wrong has been said.
struct no_output : std::runtime_error {
  no_output() : std::runtime_error{"cannot write to standard output"} {}
};

/// One event as a line of JSON.
std::string event_of(const stream_piece& piece) {
  std::string line;
  json::writer json{line};
  json.open('{');
  json.key("type");
  json.repaired(name_of(piece.kind));
  if (piece.kind == piece_kind::tool_call) {
    json.key("call");
    json.number(piece.call);
    for (auto [key, value] : {std::pair{"id", &piece.call_id}, std::pair{"name", &piece.call_name}})
      if (!value->empty()) {
        json.key(key);
        json.repaired(*value);
      }
  }
  json.key("text");
  json.repaired(piece.text);
  json.close('}');
  return line + "\n";
}

/// Whether a piece is a part of what the model says.
bool is_said(const stream_piece& piece) {
  return piece.kind == piece_kind::text || piece.kind == piece_kind::refusal;
}

/// Prints what the model thinks, apart from what it says: on standard error, dim where there are colours.
class thought_printer {
public:
  explicit thought_printer(bool is_wanted) : is_wanted_(is_wanted) {}

  bool prints(const stream_piece& piece) const {
    return is_wanted_ && piece.kind == piece_kind::reasoning && !piece.text.empty();
  }

  void take(const stream_piece& piece) {
    if (!std::exchange(is_open_, true) && has_colors_)
      std::fputs("\x1b[2m", stderr);
    std::fputs((is_terminal_ ? for_terminal(piece.text) : piece.text).c_str(), stderr);
    std::fflush(stderr);
    ends_line_ = piece.text.back() == '\n';
  }

  /// Something else is printed now.
  void close() {
    if (!std::exchange(is_open_, false))
      return;
    std::fputs(has_colors_ ? "\x1b[0m" : "", stderr);
    std::fputs(ends_line_ ? "\n" : "\n\n", stderr);
    std::fflush(stderr);
  }

private:
  const bool is_wanted_;
  const bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  const bool has_colors_ = has_colors(STDERR_FILENO);
  bool is_open_ = false;
  bool ends_line_ = false;
};

/// Prints pieces as they come: the answer on standard output, thoughts and remarks on standard error, or an event a
/// line for programs. What must be whole to be judged (a schema) is printed at the end. All that was shown is in
/// `seen_` too, from where conversations and `-o` take it. Its functions are called one after the other, as the
/// stream's callbacks; where standard output is lost it throws, which ends the stream.
class printer {
public:
  /// `reads_on`, called when standard output takes nothing any more, says whether the answer is read all the same.
  printer(const chat_options& options, chat::seen_answer& seen, std::function<bool()> reads_on)
    : options_(options), seen_(seen), reads_on_(std::move(reads_on)),
      thoughts_(options.show_thinking && !options.json) {}

  /// Whether a piece is shown as it comes: not what the model thinks, unless that is wanted, nor what must be known
  /// first to be as asked for.
  bool prints(const stream_piece& piece) const {
    return options_.json || thoughts_.prints(piece) || (!is_judged() && is_said(piece));
  }

  void take(const stream_piece& piece) {
    if (is_said(piece) && !is_judged())
      seen_.text += piece.text;
    if (options_.json)
      print_or_end(event_of(piece));
    else if (thoughts_.prints(piece))
      thoughts_.take(piece);
    else if (prints(piece))
      put(shown(piece.text));
  }

  /// Prints what is left to say, and returns the exit code.
  int end(const stream_outcome& outcome) {
    if (is_lost_)
      return end_unread(std::get_if<stream_done>(&outcome));
    return std::visit([this](auto& x) { return end(x); }, outcome);
  }

private:
  void print_or_end(const std::string& text) {
    if (is_lost_ || print(text))
      return;
    is_lost_ = true;
    if (!reads_on_())
      throw no_output{};
  }

  /// It was read for what it took.
  int end_unread(const stream_done* done) {
    if (done != nullptr && options_.stats)
      print_speed(done->result, done->first_token);
    return exit_failed;
  }

  void put(const std::string& text) {
    if (text.empty())
      return;
    thoughts_.close();
    print_or_end(text);
    open_line_ = text.back() != '\n';
  }

  bool is_judged() const { return !options_.schema.empty(); }

  bool close_line() { return !std::exchange(open_line_, false) || print("\n"); }

  int end(const stream_done& done) {
    note(seen_, done.result);
    if (is_judged())
      seen_.text = words_of(done.result);
    thoughts_.close();
    auto good = true;
    if (options_.json) {
      auto flaw = done.result.flaw == answer_flaw::none ? "" : "\"flaw\":\"" + to_string(done.result.flaw) + "\",";
      good =
        print("{\"type\":\"done\"," + flaw + "\"completion\":" + wire::openai::write_completion(done.result) + "}\n");
    } else {
      auto calls = calls_of(done.result);
      auto judged = is_judged() ? shown(words_of(done.result)) : "";
      if (!judged.empty())
        good = print(judged + (judged.back() == '\n' ? "" : "\n"));
      good = good && close_line() && (calls.empty() || print(shown(calls + "\n")));
    }
    print_notes(options_, done.result);
    if (options_.stats)
      print_speed(done.result, done.first_token);
    return good ? exit_code_for(done.result) : exit_failed;
  }

  int end(const stream_failed& failed) {
    note(seen_, failed.why);
    thoughts_.close();
    if (failed.why.code == errc::callback_failed)
      return exit_failed;
    close_line();
    if (failed.why.code == errc::cancelled) {
      if (!options_.is_session)
        complain("interrupted");
      return exit_interrupted;
    }
    auto why = options_.how.in_words_of_user(failed.why);
    complain_of(why);
    if (options_.json)
      print("{\"type\":\"error\",\"error\":" + wire::openai::write_error(why)
            + ",\"pieces\":" + std::to_string(failed.pieces) + "}\n");
    return exit_code_of(failed.why);
  }

  const chat_options& options_;
  chat::seen_answer& seen_;
  std::function<bool()> reads_on_;
  thought_printer thoughts_;
  bool open_line_ = false;
  bool is_lost_ = false; ///< Standard output takes nothing any more.
};

stream_options options_of(const chat_options& given) {
  stream_options result;
  result.timeout = to_deadline(given.timeout).value_or(std::chrono::nanoseconds{0});
  result.buffer_size = 1;
  return result;
}

/// Prints pieces as they come, on a thread of the stream's own: one that cannot write any more ends the stream by
/// throwing, while this thread waits for the end or Ctrl-C.
int chat_stream(const chat_options& given, session& session, waiter& waiter, chat_request request,
                chat::seen_answer& seen) {
  disconnect_rule rule{session, request.id};
  printer printer{given, seen, [&] { return rule.reads_on(); }};
  auto options = options_of(given);
  options.whole_text = given.json || !given.schema.empty();
  options.on_chunk = [&](const stream_piece& piece) {
    if (printer.prints(piece))
      session.notice().end();
    printer.take(piece);
  };
  options.on_text = [](const std::string&) {};
  options.on_end = [&](const stream_outcome&) { waiter.wake(); };
  auto stream = stream_text(session.system(), session.provider(), std::move(request), std::move(options));
  auto ended = wait_for_end(session, waiter, [&] { stream.cancel(); });
  auto code = printer.end(stream.wait());
  return ended ? code : exit_interrupted;
}

/// Writes the text to a file as it comes. The writing waits for the stream, so it has a thread of its own.
int chat_to_file(const chat_options& given, session& session, waiter& waiter, chat_request request,
                 chat::seen_answer& seen) {
  std::optional<std::chrono::nanoseconds> first_token;
  auto asked = false; // the file could be opened
  auto options = options_of(given);
  options.on_chunk = [&](const stream_piece& piece) {
    session.notice().end();
    if (is_said(piece))
      seen.text += piece.text;
  };
  options.on_end = [&](const stream_outcome& outcome) {
    asked = true;
    if (auto* done = std::get_if<stream_done>(&outcome))
      first_token = done->first_token;
  };
  auto id = request.id;
  std::variant<completion, failure> result;
  std::thread writer{[&] {
    result = stream_to_file(session.system(), session.provider(), std::move(request), given.output, std::move(options));
    waiter.wake();
  }};
  auto ended = wait_for_end(session, waiter, [&] { tell_from_outside(session.provider(), cancel_atom_v, id); });
  writer.join();
  std::visit([&](auto& outcome) { note(seen, outcome); }, result);
  if (auto* problem = std::get_if<failure>(&result)) {
    complain(to_string(given.how.in_words_of_user(*problem))); // the file has the text
    return !ended ? exit_interrupted : asked ? exit_code_of(*problem) : exit_usage;
  }
  auto& answer = std::get<completion>(result);
  if (auto calls = calls_of(answer); !calls.empty() && !print(shown(calls + "\n")))
    return exit_failed;
  print_notes(given, answer);
  if (given.stats)
    print_speed(answer, first_token);
  return exit_code_for(answer);
}

} // namespace

int ask_question(const chat_options& options, session& session, waiter& waiter, chat_request request,
                 chat::seen_answer& seen) {
  auto ask = options.writes_file() ? chat_to_file : options.stream ? chat_stream : chat_whole;
  return ask(options, session, waiter, std::move(request), seen);
}

} // namespace modelforge::cli
