#include "tools/cli/chat_session.hpp"

#include "tools/cli/output.hpp"
#include "tools/cli/question.hpp"

#include "base/ascii.hpp"
#include "base/utc_text.hpp"
#include "base/utf8.hpp"
#include "batch/output_file.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <variant>

namespace modelforge::cli {

namespace {

/// What is said about a session goes to standard error, as everything that is no answer.
void tell(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
}

std::string counted(std::size_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::string without_tilde(const std::string& path) {
  auto* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? (std::filesystem::path{home} / path.substr(2)).string() : path;
}

/// Whether what follows /save is a file's name rather than a conversation's.
bool is_path(const std::string& text) {
  return text.find_first_of("/.") != text.npos;
}

/// Why no conversation may be written there: it may where there is nothing, or another one.
std::string hindrance_to_write(const std::string& path) {
  std::error_code unknown; // where it cannot be looked at, it cannot be opened, which tells why
  if (std::filesystem::is_directory(path, unknown))
    return path + " is a directory; name a file in it";
  if (!batch::is_written_as_part(path))
    return {};
  std::ifstream file{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  auto may_be = text.empty() || std::holds_alternative<chat::conversation>(chat::read(text));
  return may_be ? "" : path + " exists and is not a conversation; write to another file";
}

/// "on", "off", or else the other of the two.
void set(bool& target, const std::string& argument, const char* what) {
  target = argument.empty() ? !target : argument == "on";
  tell(std::string{what} + (target ? " is shown" : " is not shown"));
}

} // namespace

chat_session::chat_session(chat_options options, session& providers, waiter& waiter, open_conversation& conversation,
                           maker make, const std::string& history)
  : options_(std::move(options)), providers_(providers), waiter_(waiter), conversation_(conversation),
    make_(std::move(make)), history_(history), console_(make_console(waiter, history_.inputs(), chat::slash_words())) {
  options_.prompt.clear();
  options_.is_session = true;
}

int chat_session::run() {
  greet();
  for (;;) {
    auto input = read();
    if (!input || !take(*input))
      break;
    if (waiter_.is_terminated())
      break;
  }
  say_goodbye();
  return waiter_.is_terminated() ? exit_interrupted : exit_ok;
}

std::optional<std::string> chat_session::read() {
  for (;;) {
    std::string line;
    auto what = console_->read(composer_.is_open() ? "... " : model() + "> ", line);
    if (what == typed::end || what == typed::terminated) {
      tell("");
      return {};
    }
    if (what == typed::interrupted) {
      tell(composer_.is_open() ? "" : "\n(Ctrl-D or /exit ends the session)");
      composer_.reset();
      continue;
    }
    if (composer_.feed(line) == chat::line_composer::state::open)
      continue;
    auto input = composer_.take();
    if (ascii::trim(input).empty() && files_.empty())
      continue;
    if (!utf8::is_valid(input)) {
      complain("what was typed is not UTF-8; set the terminal's encoding to UTF-8");
      continue;
    }
    if (history_.add(input))
      console_->remember(input);
    return input;
  }
}

bool chat_session::take(const std::string& input) {
  auto what = chat::read_input(input);
  if (auto* problem = std::get_if<chat::input_problem>(&what)) {
    tell(problem->text);
    return true;
  }
  if (auto* command = std::get_if<chat::slash_command>(&what)) {
    try {
      return carry_out(*command);
    } catch (const std::exception& problem) { // whatever a command meets, the conversation is worth more
      complain(problem.what());
      return true;
    }
  }
  auto question = read_question({std::get<chat::question_text>(what).text, files_, {}, {}, true});
  if (!question)
    return true;
  files_.clear();
  ask(std::move(*question), false);
  return true;
}

bool chat_session::carry_out(const chat::slash_command& command) {
  using chat::slash_verb;
  switch (command.verb) {
    case slash_verb::help:
      print(chat::slash_help());
      break;
    case slash_verb::exit:
      return false;
    case slash_verb::clear:
      clear();
      break;
    case slash_verb::model:
      set_model(command.argument);
      break;
    case slash_verb::system:
      set_system(command.argument);
      break;
    case slash_verb::file:
      attach(command.argument);
      break;
    case slash_verb::retry:
      retry();
      break;
    case slash_verb::undo:
      undo();
      break;
    case slash_verb::show:
      show();
      break;
    case slash_verb::save:
      save(command.argument);
      break;
    case slash_verb::think:
      set(options_.show_thinking, command.argument, "what the model thinks");
      break;
    case slash_verb::stats:
      set(options_.stats, command.argument, "what each answer took");
      break;
  }
  return true;
}

// What is kept of the answer, and of the question with it, `answer_to_keep` decides. In a retry the old answer stays
// where there is no new one.
void chat_session::ask(chat_message question, bool is_retry) {
  auto before = conversation_.content();
  if (is_retry && !unanswered_)
    before.turns.pop_back();
  auto messages = chat::messages_of(before);
  messages.push_back(question);
  auto request = make_(options_, std::move(messages));
  if (!request)
    return;
  auto asked = base::utc_for_people(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
  waiter_.begin_again();
  providers_.notice().begin(std::chrono::steady_clock::now());
  chat::seen_answer seen;
  seen.provider = providers_.settings().name;
  seen.model = model();
  ask_question(options_, providers_, waiter_, std::move(*request), seen);
  providers_.notice().end();
  auto answer = chat::answer_to_keep(seen);
  if (!answer) {
    if (!is_retry || unanswered_)
      unanswered_ = std::move(question);
    tell(seen.failure == errc::context_length ? "(/clear begins a new conversation, /undo takes questions back)"
                                              : "(nothing is kept of this question; /retry asks it again)");
    return;
  }
  auto is_last_replaced = is_retry && !unanswered_;
  unanswered_.reset();
  chat::turn turn{std::move(question), asked, std::move(*answer)};
  if (!turn.answer.flaw.empty())
    tell("(" + turn.answer.flaw + "; what came is kept: /retry asks again, /undo takes it back)");
  if (is_last_replaced)
    conversation_.replace_last(std::move(turn));
  else
    conversation_.add(std::move(turn));
}

void chat_session::greet() {
  auto turns = conversation_.content().turns.size();
  if (turns > 0)
    tell("Going on with " + conversation_.name() + " (" + counted(turns, "question")
         + "): " + for_terminal(chat::title_of(conversation_.content())));
  tell(model() + " of " + providers_.settings().name + ". /help lists commands, Ctrl-D ends the session.");
}

void chat_session::say_goodbye() {
  if (!conversation_.name().empty())
    tell("Kept as " + conversation_.name() + "; `modelforge chat --continue` goes on with it.");
}

const std::string& chat_session::model() const {
  return options_.target.model.empty() ? providers_.settings().default_model : options_.target.model;
}

// -- commands --------------------------------------------------------------------------

/// The file is read twice: now, to say at once what is wrong with it, and with the question.
void chat_session::attach(const std::string& path) {
  auto whole = without_tilde(path);
  if (whole == "-")
    return tell("/file needs the path of a file");
  if (!read_question({"", {whole}, {}, {}, true}))
    return;
  files_.push_back(whole);
  tell(whole + " goes with the next question");
}

void chat_session::retry() {
  auto& turns = conversation_.content().turns;
  if (!unanswered_ && turns.empty())
    return tell("there is no question to ask again");
  ask(unanswered_ ? *unanswered_ : turns.back().question, true);
}

void chat_session::undo() {
  if (unanswered_) {
    unanswered_.reset();
    return tell("the question that was not answered is forgotten");
  }
  if (conversation_.content().turns.empty())
    return tell("there is nothing to take back");
  conversation_.undo();
  tell("taken back; " + counted(conversation_.content().turns.size(), "question") + " left");
}

void chat_session::clear() {
  auto name = conversation_.name();
  conversation_.clear();
  unanswered_.reset();
  files_.clear();
  tell(name.empty() ? "A new conversation." : "A new conversation; the old one stays kept as " + name + ".");
}

void chat_session::show() {
  auto& content = conversation_.content();
  if (content.turns.empty())
    return tell("nothing has been asked yet");
  for (auto& turn : content.turns)
    print("> " + for_terminal(chat::text_of(turn.question)) + "\n\n" + for_terminal(turn.answer.text)
          + (turn.answer.flaw.empty() ? "" : "\n(" + turn.answer.flaw + ")") + "\n\n");
}

/// Nothing: says where it is kept; a name: keeps it under that; a path: writes a copy there.
void chat_session::save(const std::string& where) {
  if (where.empty())
    return tell(conversation_.name().empty()
                  ? "it is not kept; /save NAME keeps it"
                  : "it is kept as " + conversation_.name() + ", in " + conversation_.path());
  if (!is_path(where)) {
    if (conversation_.rename(where))
      tell("kept as " + where + "; `modelforge chat --continue=" + where + "` goes on with it");
    return;
  }
  auto path = without_tilde(where);
  if (auto problem = hindrance_to_write(path); !problem.empty())
    return complain(problem);
  auto opened = batch::output_file::open(path, ".partial");
  auto* problem = std::get_if<failure>(&opened);
  std::optional<failure> failed;
  if (problem != nullptr)
    failed = *problem;
  else if (auto& file = std::get<batch::output_file>(opened);
           !(failed = file.write(chat::write(conversation_.content()))))
    failed = file.finish(true);
  if (failed)
    complain(to_string(*failed));
  else
    tell("written to " + path);
}

void chat_session::set_system(const std::string& text) {
  if (text.empty()) {
    auto& now = conversation_.content().system;
    return tell(now.empty() ? "there is no system prompt" : for_terminal(now));
  }
  conversation_.set_system(text == "-" ? "" : text);
  tell(text == "-" ? "the system prompt is removed" : "the system prompt is set");
}

void chat_session::set_model(const std::string& name) {
  if (!name.empty())
    options_.target.model = name;
  tell(model() + " of " + providers_.settings().name + (name.empty() ? "; `modelforge models` lists others" : ""));
}

} // namespace modelforge::cli
