#include "tools/cli/ask.hpp"
#include "tools/cli/disconnect_rule.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/question.hpp"
#include "tools/cli/sampling_options.hpp"

#include "wire/openai/format.hpp"
#include "json/value.hpp"
#include "json/writer.hpp"

#include "base/text_encoding.hpp"
#include "config/read_file.hpp"

#include <modelforge/actors/text_stream.hpp>

#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <unistd.h>

/// `modelforge chat`: one question, its answer streamed to the terminal, whole, or into a file. Answers go to standard
/// output and nothing else does, so that the program can stand in a pipe; warnings, figures and errors go to standard
/// error. What the model says is kept from steering the terminal.

namespace modelforge::cli {

namespace {

struct chat_options {
  target_options target;
  std::string prompt; ///< As in `question_sources`.
  std::string system;
  std::string output; ///< File for the text; empty or "-": standard output.
  std::string
    schema; ///< File of a JSON Schema that the answer must follow; one that does not is an error; empty: none.
  std::vector<std::string> files;  ///< To ask about; "-": standard input.
  std::vector<std::string> images; ///< Files or http(s) addresses.
  sampling_options how;
  bool json = false;
  bool stream = true;            ///< Print the answer as it comes.
  bool stats = false;            ///< Say at the end how fast it was.
  std::optional<double> timeout; ///< Seconds.
};

constexpr std::size_t max_schema = 1u << 20;

/// A name for a schema, from its file's: what providers take.
std::string schema_name(const std::string& path) {
  auto name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, std::min(name.find('.'), std::size_t{64}));
  for (auto& c : name)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-')
      c = '_';
  return name.empty() ? "answer" : name;
}

/// Empty, with a complaint, where a file that it needs cannot be used.
std::optional<chat_request> make_request(const chat_options& options, chat_message question) {
  std::mt19937_64 random{std::random_device{}()};
  chat_request request;
  request.id = make_request_id(random);
  request.model = options.target.model;
  if (!options.system.empty())
    request.messages.push_back(text_message(role::system, options.system));
  request.messages.push_back(std::move(question));
  request.deadline = to_deadline(options.timeout);
  options.how.apply(request);
  if (options.schema.empty())
    return request;
  auto schema = content_of(options.schema, max_schema);
  if (!schema)
    return {};
  if (auto encoding = foreign_encoding(*schema); !encoding.empty()) {
    complain(options.schema + " is " + std::string{encoding} + "; save it as UTF-8");
    return {};
  }
  schema->erase(0, schema->size() - without_mark(*schema).size());
  auto parsed = json::parse(*schema);
  if (auto* problem = std::get_if<std::string>(&parsed)) {
    complain(options.schema + " is not JSON: " + *problem);
    return {};
  }
  if (!std::get<json::value>(parsed).is_object()) {
    complain(options.schema + " is no JSON Schema: that is an object, e.g. {\"type\":\"object\"}");
    return {};
  }
  request.response_format = {response_kind::json_schema, schema_name(options.schema), std::move(*schema), true,
                             json_check::fail};
  return request;
}

/// Removes what a terminal would take as commands.
std::string for_terminal(std::string text) {
  std::erase_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return text;
}

/// Text for standard output.
std::string shown(std::string text) {
  static const bool terminal = isatty(STDOUT_FILENO) != 0;
  return terminal ? for_terminal(std::move(text)) : text;
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
  auto text = answer.text.empty() ? answer.refusal : answer.text;
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
int chat_whole(const chat_options& options, session& session, waiter& waiter, chat_request request) {
  auto result = ask_and_wait<completion>(
    session, waiter, [&session, id = request.id] { tell_from_outside(session.provider(), cancel_atom_v, id); },
    std::move(request));
  if (!result) {
    complain("interrupted");
    return exit_interrupted;
  }
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

/// Prints pieces as they come.
class printer {
public:
  /// `reads_on`, called when standard output takes nothing any more, says whether the answer is read all the same.
  printer(const chat_options& options, std::function<bool()> reads_on)
    : options_(options), reads_on_(std::move(reads_on)) {}

  /// Whether a piece is shown as it comes: not what the model thinks, nor what must be known first to be as asked for.
  bool prints(const stream_piece& piece) const {
    return options_.json || (!is_judged() && (piece.kind == piece_kind::text || piece.kind == piece_kind::refusal));
  }

  void take(const stream_piece& piece) {
    if (options_.json)
      print_or_end(event_of(piece));
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
    print_or_end(text);
    open_line_ = text.back() != '\n';
  }

  bool is_judged() const { return !options_.schema.empty(); }

  bool close_line() { return !std::exchange(open_line_, false) || print("\n"); }

  int end(const stream_done& done) {
    auto good = true;
    if (options_.json) {
      auto flaw = done.result.flaw == answer_flaw::none ? "" : "\"flaw\":\"" + to_string(done.result.flaw) + "\",";
      good =
        print("{\"type\":\"done\"," + flaw + "\"completion\":" + wire::openai::write_completion(done.result) + "}\n");
    } else {
      auto calls = calls_of(done.result);
      auto judged = is_judged() ? shown(done.result.text.empty() ? done.result.refusal : done.result.text) : "";
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
    if (failed.why.code == errc::callback_failed)
      return exit_failed;
    close_line();
    if (failed.why.code == errc::cancelled) {
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
  std::function<bool()> reads_on_;
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
int chat_stream(const chat_options& given, session& session, waiter& waiter, chat_request request) {
  disconnect_rule rule{session, request.id};
  printer printer{given, [&] { return rule.reads_on(); }};
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
int chat_to_file(const chat_options& given, session& session, waiter& waiter, chat_request request) {
  std::optional<std::chrono::nanoseconds> first_token;
  auto asked = false; // the file could be opened
  auto options = options_of(given);
  options.on_chunk = [&](const stream_piece&) { session.notice().end(); };
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

/// What `modelforge chat` does. Whatever can be wrong with the arguments is found before anything is started.
int chat(const chat_options& options) {
  auto to_file = !options.output.empty() && options.output != "-";
  if (to_file && (options.json || !options.stream)) {
    complain("-o writes the text as it comes; it goes neither with --json nor with --no-stream");
    return exit_usage;
  }
  auto question = read_question({options.prompt, options.files, options.images, options.timeout});
  if (!question)
    return exit_usage;
  auto request = make_request(options, std::move(*question));
  if (!request)
    return exit_usage;
  waiter waiter;
  auto session = session::start(options.target, true);
  if (!session)
    return exit_usage;
  session->serve_metrics();
  auto ask = to_file ? chat_to_file : options.stream ? chat_stream : chat_whole;
  return ask(options, *session, waiter, std::move(*request));
}

} // namespace

void add_chat(command_line& line) {
  auto options = std::make_shared<chat_options>();
  auto chat = line.add("chat", "Ask one question");
  add_target(chat, options->target);
  chat.text("--system", options->system, "System prompt", "TEXT");
  chat.flag("!--no-stream", options->stream, "Print the answer when it is whole");
  chat.flag("--json", options->json,
            "Print JSON: an event a line, or with --no-stream one OpenAI chat.completion object");
  chat.text("-o,--output", options->output, "Write the text to a file as it comes; - is standard output", "FILE");
  chat.text("--schema", options->schema, "JSON Schema that the answer must follow", "FILE");
  chat.texts(
    "-f,--file", options->files,
    "File to ask about: text in UTF-8, a PNG, JPEG, GIF or WebP image, or - for standard input; may be repeated",
    "FILE");
  chat.texts("--image", options->images,
             "Image to ask about: a PNG, JPEG, GIF or WebP file, or an address; may be repeated", "FILE|URL");
  chat.flag("--stats", options->stats,
            "Report the time to the first token, the speed, the cost and what was optimized");
  add_sampling(chat, options->how);
  add_timeout(chat, options->timeout);
  chat.text("PROMPT", options->prompt, "What to ask, followed by what is piped in; - or nothing: that alone");
  chat.footer("Examples:\n  modelforge chat \"Name three rivers.\"\n"
              "  git diff | modelforge chat \"Review this change.\"\n"
              "  modelforge chat --file main.c --file main.h \"What does this program do?\"\n"
              "  modelforge chat \"Write a story.\" -o story.txt --stats --temperature 1.2 --max-tokens 2000\n\n"
              "The answer is printed as it comes; Ctrl-C stops the provider and keeps what was printed.\n"
              "Exit code 3: the answer is cut, empty or may not be whole; 4: it is blocked or declined.");
  chat.run_by([options] { return cli::chat(*options); });
}

} // namespace modelforge::cli
