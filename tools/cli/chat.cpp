#include "tools/cli/chat_session.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/question.hpp"
#include "tools/cli/standard_input.hpp"

#include "batch/output_check.hpp"
#include "json/value.hpp"

#include "base/text_encoding.hpp"
#include "base/utc_text.hpp"
#include "config/state_folder.hpp"

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <unistd.h>
#include <utility>

/// `modelforge chat`: one question, its answer streamed to the terminal, whole, or into a file; or many of them in a
/// session. Answers go to standard output and nothing else does, so that the program can stand in a pipe.

namespace modelforge::cli {

namespace {

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

/// Reads the schema, once: it may be a pipe. Empty, with a complaint, where it cannot be used.
std::optional<response_format> read_format(const chat_options& options) {
  if (options.schema.empty())
    return response_format{};
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
    complain(options.schema + " is not a JSON Schema: that is an object, e.g. {\"type\":\"object\"}");
    return {};
  }
  return response_format{response_kind::json_schema, schema_name(options.schema), std::move(*schema), true,
                         json_check::fail};
}

chat_request make_request(const chat_options& options, const response_format& format,
                          std::vector<chat_message> messages) {
  std::mt19937_64 random{std::random_device{}()};
  chat_request request;
  request.id = make_request_id(random);
  request.model = options.target.model;
  request.messages = std::move(messages);
  request.deadline = to_deadline(options.timeout);
  options.how.apply(request);
  request.response_format = format;
  return request;
}

/// Somebody at a terminal who has said nothing to ask: then they want to talk.
bool wants_session(const chat_options& options) {
  return options.prompt.empty() && options.files.empty() && options.images.empty() && !options.json
         && !options.writes_file() && standard_input_kind() == input_kind::terminal && isatty(STDOUT_FILENO) != 0;
}

/// Finds the conversation that is gone on with, or begun under a name. False: there is none, and why has been printed.
///
/// `--continue WORD` may be a name, or the prompt for the last conversation: what cannot be a name is the prompt.
bool find_conversation(chat_options& options, open_conversation& conversation) {
  if (!options.name.empty() && options.go_on) {
    complain("--name begins a conversation, and --continue goes on with one; say one of them");
    return false;
  }
  if (!options.name.empty() && options.no_history) {
    complain("--name has the conversation kept, and --no-history keeps nothing; say one of them");
    return false;
  }
  if (!options.name.empty())
    return conversation.begin(options.name);
  if (!options.go_on)
    return true;
  auto& word = *options.go_on;
  if (!word.empty() && options.prompt.empty() && !chat::name_problem(word).empty()) {
    options.prompt = std::move(word);
    word.clear();
  }
  if (conversation.resume(word))
    return true;
  if (!word.empty() && options.prompt.empty())
    std::fprintf(stderr, "A single word behind --continue is a name; to ask it: modelforge chat --continue= %s\n",
                 word.c_str());
  return false;
}

/// What a conversation that goes on was led with is the default.
void take_over(chat_options& options, const chat::conversation& earlier) {
  if (earlier.turns.empty())
    return;
  auto& last = earlier.turns.back().answer;
  if (!options.target.simulate)
    options.target.earlier_provider = last.provider;
  options.target.earlier_model = last.model;
}

/// Conversations are kept where somebody sees them, and where it was asked for.
keeping keeping_of(const chat_options& options, const session& session) {
  auto is_asked_for = options.go_on || !options.name.empty();
  auto is_seen = isatty(STDOUT_FILENO) != 0 && !options.json && !options.writes_file();
  if (options.no_history || (!is_asked_for && !is_seen))
    return keeping::off;
  if (!session.keeps_history() && is_asked_for)
    std::fputs("modelforge: warning: the conversation is not kept: the configuration says keep = false\n", stderr);
  return session.keeps_history() ? keeping::automatic : keeping::off;
}

/// Why the answer may not be written to the output: it is what the question is read from. Empty: it may.
std::optional<failure> refuse_output(const chat_options& options) {
  auto sources = options.files;
  sources.insert(sources.end(), options.images.begin(), options.images.end());
  sources.insert(sources.end(), {options.schema, "-"});
  for (auto& source : sources)
    if (auto problem = batch::refuse_read_file(source, options.output))
      return problem;
  return {};
}

/// Asks one question.
int ask_once(const chat_options& options, const response_format& format, session& session, waiter& waiter,
             open_conversation& conversation, chat_message question) {
  auto messages = chat::messages_of(conversation.content());
  messages.push_back(question);
  auto request = make_request(options, format, std::move(messages));
  session.serve_metrics();
  auto asked = base::utc_for_people(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
  chat::seen_answer seen;
  seen.provider = session.settings().name;
  seen.model = options.target.model.empty() ? session.settings().default_model : options.target.model;
  auto code = ask_question(options, session, waiter, std::move(request), seen);
  if (auto answer = chat::answer_to_keep(seen))
    conversation.add({std::move(question), asked, std::move(*answer)});
  return code;
}

/// What `modelforge chat` does. Whatever can be wrong with the arguments is found before anything is started.
int chat(chat_options options) {
  if (options.writes_file() && (options.json || !options.stream)) {
    complain("-o writes the text as it comes; it cannot be combined with --json or --no-stream");
    return exit_usage;
  }
  if (auto problem = options.writes_file() ? refuse_output(options) : std::nullopt) {
    complain(to_string(*problem));
    return exit_usage;
  }
  open_conversation conversation{conversations_folder()};
  if (!find_conversation(options, conversation))
    return exit_usage;
  take_over(options, conversation.content());
  if (!options.system.empty())
    conversation.set_system(options.system);
  auto is_session = wants_session(options);
  std::optional<chat_message> question;
  if (!is_session && !(question = read_question({options.prompt, options.files, options.images, options.timeout})))
    return exit_usage;
  auto format = read_format(options);
  if (!format)
    return exit_usage;
  waiter waiter{waiter::hangups::as_termination}; // whose terminal goes has what came of the answer kept
  auto session = session::start(options.target, true);
  if (!session)
    return exit_usage;
  conversation.keep(keeping_of(options, *session));
  if (!is_session)
    return ask_once(options, *format, *session, waiter, conversation, std::move(*question));
  session->serve_metrics();
  auto history = !options.no_history && session->keeps_history() ? default_state_folder() : "";
  auto make = [&format](const chat_options& asked, std::vector<chat_message> messages) {
    return make_request(asked, *format, std::move(messages));
  };
  return chat_session{options, *session, waiter, conversation, make, history.empty() ? "" : history + "/chat_inputs"}
    .run();
}

} // namespace

void add_chat(command_line& line) {
  auto options = std::make_shared<chat_options>();
  auto chat = line.add("chat", "Ask a question; on a terminal without one: a conversation");
  add_target(chat, options->target);
  chat.text("--system", options->system, "System prompt", "TEXT");
  chat.flag("!--no-stream", options->stream, "Print the answer when it is whole");
  chat.flag("--json", options->json,
            "Print JSON: an event a line, or with --no-stream one OpenAI chat.completion object");
  chat.text("-o,--output", options->output, "Write the text to a file as it comes; - is standard output", "FILE");
  chat.text("--schema", options->schema, "JSON Schema that the answer must follow", "FILE");
  chat.maybe_text("--continue", options->go_on, "Go on with the last conversation, or with the one of this name",
                  "[NAME]");
  chat.text("--name", options->name, "Begin a conversation of this name, and keep it", "NAME");
  chat.flag("--no-history", options->no_history, "Keep nothing of this conversation");
  chat.texts(
    "-f,--file", options->files,
    "File to ask about: text in UTF-8, a PNG, JPEG, GIF or WebP image, or - for standard input; may be repeated",
    "FILE");
  chat.texts("--image", options->images,
             "Image to ask about: a PNG, JPEG, GIF or WebP file, or an address; may be repeated", "FILE|URL");
  chat.flag("--stats", options->stats,
            "Report the time to the first token, the speed, the cost and what was optimized");
  chat.flag("--show-thinking", options->show_thinking, "Print on standard error what the model thinks");
  add_sampling(chat, options->how);
  add_timeout(chat, options->timeout);
  chat.text("PROMPT", options->prompt, "What to ask, followed by what is piped in; - or nothing: that alone");
  chat.footer(
    "Examples:\n  modelforge chat \"Name three rivers.\"\n"
    "  git diff | modelforge chat \"Review this change.\"\n"
    "  modelforge chat --file main.c --file main.h \"What does this program do?\"\n"
    "  modelforge chat --continue \"And five more.\"\n"
    "  modelforge chat \"Write a story.\" -o story.txt --stats --temperature 1.2 --max-tokens 2000\n\n"
    "Without a prompt, on a terminal, a conversation begins: /help in it lists its commands. Conversations are\n"
    "kept in the user's state folder (`modelforge history`).\n\n"
    "The answer is printed as it comes; Ctrl-C stops the provider and keeps what was printed.\n"
    "Exit code 3: the answer is cut, empty or may not be whole; 4: it is blocked or declined.");
  chat.run_by([options] { return cli::chat(*options); });
}

} // namespace modelforge::cli
