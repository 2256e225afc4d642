#include "tools/cli/reference_pages.hpp"
#include "tools/cli/commands.hpp"
#include "tools/state/kept_files.hpp"

#include "config/known_providers.hpp"

#include <modelforge/messages/errc.hpp>

#include <array>
#include <initializer_list>

/// What docs/reference.md says of error codes, exit codes, variables, signals and files. tests/docs/reference.py holds
/// it against the code.

namespace modelforge::cli {

namespace {

struct error_row {
  errc code;
  const char* meaning;
  const char* remedy;
};

/// In the order of `errc`.
constexpr auto errors = std::to_array<error_row>({
  {errc::none, "No error.", "Nothing."},
  {errc::invalid_request, "The request cannot be sent, or the provider refused it as malformed.",
   "Change the request: the message names the field. The same request fails again."},
  {errc::unsupported, "The provider or its API has no such feature.",
   "Leave out the field that the message names, or ask another provider."},
  {errc::too_large, "It needs more than a limit can ever grant, or is larger than a bound.",
   "Send less, lower `max_tokens`, or raise the limit that the message names, if the provider grants more."},
  {errc::context_length, "The prompt does not fit the model.",
   "Shorten the prompt or the conversation, or ask a model with a longer context."},
  {errc::content_filtered, "The provider's filter blocked the request or its answer.", "Ask in other words."},
  {errc::authentication, "The key is missing, wrong, or has expired (HTTP 401).",
   "Check the variable or the file that the key is from; `modelforge doctor --ask` tries each key."},
  {errc::permission, "The key may not do this (HTTP 403), or a proxy does not let it through.",
   "Ask whoever gives out the key for access to the model, or whoever runs the proxy."},
  {errc::not_found, "There is no such model, path or object (HTTP 404).",
   "Check the model (`modelforge models` lists them) and `base_url`."},
  {errc::quota_exhausted, "Money or a long-term quota is used up.",
   "Buy more, or raise the account's limit; waiting minutes does not help."},
  {errc::rate_limited, "The provider refused it for its rate (HTTP 429), and went on until no retry was left.",
   "Wait as long as `retry_after` says; set the provider's real limits in `rate_limit`, so that requests wait "
   "instead."},
  {errc::overloaded, "The provider has too much to do (HTTP 503 or 529).", "Try later, or ask another provider."},
  {errc::server_error, "The provider failed (another HTTP 5xx).",
   "Try later; its support may want `provider_request_id`."},
  {errc::resolve_failed, "The host's name has no address.", "Is `base_url` right, and is the network up?"},
  {errc::connect_failed, "There was no connection: refused, unreachable, or not within `timeouts.connect`.",
   "Does the server run at `base_url`, and does a proxy or firewall stand between?"},
  {errc::tls_failed, "TLS failed: its handshake, or the server's certificate.",
   "The message says what is wrong with the certificate; `modelforge doctor --ask` says what to do about it."},
  {errc::connection_lost, "The connection broke before the answer was whole.",
   "Try later. If it always breaks at the same time, a proxy on the way has a shorter timeout."},
  {errc::attempt_timeout, "One attempt took longer than `first_token`, `idle` or `total` in `timeouts` allows.",
   "Raise that one, ask for a shorter answer, or stream."},
  {errc::deadline_exceeded, "The request's deadline has passed, or would pass before it can be sent.",
   "Give it more time (`deadline`, `--timeout`), or send fewer requests."},
  {errc::invalid_response, "The answer is none: empty, a web page, broken JSON, parts missing.",
   "Is `base_url` that of the API? Whatever stands between may answer in its place."},
  {errc::response_too_large, "The answer is larger than `runtime.max_response_bytes`.",
   "Raise that if such answers are meant."},
  {errc::outcome_unknown, "It was sent, no answer came, and `retry.retry_uncertain` forbids to send it again.",
   "Find out at the provider whether it ran before you send it again: it may be paid for twice."},
  {errc::queue_full, "Too many requests wait already (`runtime.max_queued`, `runtime.max_queued_bytes`).",
   "Send fewer at a time, or wait for answers first."},
  {errc::draining, "The program or the provider shuts down, and takes nothing new.", "Send it to another, or later."},
  {errc::circuit_open, "The provider failed too often: its circuit breaker lets nothing through for a time.",
   "Wait as long as `retry_after` says, ask another provider, or set `circuit_breaker.when_open` to `wait`."},
  {errc::cancelled, "The caller no longer wants it.", "Nothing."},
  {errc::duplicate_request, "A request with this id is being answered already.", "Give each request an id of its own."},
  {errc::slow_reader, "A subscriber of a stream took nothing for `stream.reader_idle`.",
   "Grant demand as you read, or raise `stream.reader_idle`."},
  {errc::stream_interrupted, "A stream broke off behind a part that its readers have.",
   "Use what came, or ask again: it is not tried again by itself, since readers would get it twice."},
  {errc::callback_failed, "A function of the host program has thrown.", "Mend that function."},
  {errc::node_lost, "The node that had the request is gone, and whether it ran is not known.",
   "Look at that node; `retry.retry_uncertain` has such requests sent again."},
  {errc::configuration, "A setting is wrong or missing.",
   "The message names it; `modelforge config check` and `modelforge doctor` say more."},
  {errc::io_failed, "A file could not be read or written.",
   "The message names the file and the reason: a full disk, no permission, another run that uses it."},
  {errc::internal, "A mistake of ModelForge's own.", "Please report it, with the message."},
  {errc::wrong_format, "The answer is whole, and not the JSON that was asked for.",
   "`failure::text` has it. Ask more plainly, raise `max_tokens`, or loosen the schema."},
});

static_assert(errors.size() == enum_names<errc>.size());

struct exit_row {
  int code;
  const char* of_commands;
};

constexpr auto exit_codes = std::to_array<exit_row>({
  {exit_ok, "all answered; `doctor`: nothing stops it; a server: it was ended in order"},
  {exit_failed, "a request failed, or the result could not be written; `doctor`: there is a problem"},
  {exit_usage, "wrong arguments, files or configuration: nothing was sent"},
  {exit_cut, "`chat`: an answer that is cut, empty or may not be whole"},
  {exit_blocked, "`chat`: an answer that is blocked or declined"},
  {exit_interrupted, "interrupted (Ctrl-C, SIGTERM), or ended at once by a second signal"},
});

struct variable_row {
  const char* names;
  const char* meaning;
};

/// But those of providers, which `known_providers` has.
constexpr auto variables = std::to_array<variable_row>({
  {"`MODELFORGE_CONFIG`", "the configuration file, where no option names one"},
  {"`XDG_CONFIG_HOME`", "where `modelforge/modelforge.toml` is looked for; default `~/.config`"},
  {"`STATE_DIRECTORY`, `XDG_STATE_HOME`", "where state is kept (below); the first that is set counts, else "
                                          "`~/.local/state`"},
  {"`HOME`", "the home folder, for these defaults and for `~/.editrc`"},
  {"`TMPDIR`", "where `modelforge providers` puts a copy of the use of limits while it runs"},
  {"`OLLAMA_HOST`", "without a configuration file: where Ollama runs, which makes it a provider"},
  {"`http_proxy`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY`",
   "proxies to providers. `HTTP_PROXY` is not read: servers set it by a request's header"},
  {"`no_proxy`, `NO_PROXY`", "hosts that are asked without one"},
  {"`CURL_CA_BUNDLE`, `SSL_CERT_FILE`, `SSL_CERT_DIR`",
   "authorities that providers' certificates have to be of, in place of the system's"},
  {"`NO_COLOR`, `TERM`", "whether what is written to a terminal has colours, and lines can be edited"},
  {"`NOTIFY_SOCKET`, `WATCHDOG_PID`, `WATCHDOG_USEC`", "what systemd sets for a node ([service.md](service.md))"},
  {"`JOURNAL_STREAM`",
   "set by systemd: whether standard error leads to the journal, whose lines begin with a priority"},
  {"`SOURCE_DATE_EPOCH`", "the date in manual pages, for builds that are to be the same on any day"},
});

struct signal_row {
  const char* name;
  const char* of_node;
  const char* of_others;
};

constexpr auto signals = std::to_array<signal_row>({
  {"SIGTERM",
   "takes nothing new, lets what runs end within `runtime.grace_period`, and ends with 0; a second one: at "
   "once, with 130",
   "stops what runs, keeps what came, and ends with 130; `simulate` ends with 0"},
  {"SIGINT", "as SIGTERM", "as SIGTERM; at the prompt of `chat` it drops what is typed"},
  {"SIGHUP", "opens the logs' files again, and reads settings and certificates again: all take effect, or none",
   "`chat` and `batch`: as SIGTERM, unless it was ignored at the start (nohup); others end"},
  {"SIGUSR1", "prints `modelforge: status {...}` on standard error", "ends it"},
  {"SIGCONT", "nothing", "the prompt of `chat` is shown again"},
  {"SIGPIPE", "is ignored: a closed connection or pipe costs itself alone", "the same"},
});

std::string row(std::initializer_list<std::string> cells) {
  std::string line = "|";
  for (auto& cell : cells)
    line += ' ' + cell + " |";
  return line + '\n';
}

/// A heading of a table.
std::string head(std::initializer_list<std::string> cells) {
  std::string line = "|";
  for (std::size_t i = 0; i < cells.size(); ++i)
    line += "---|";
  return row(cells) + line + '\n';
}

std::string in_code(std::string_view text) {
  return '`' + std::string{text} + '`';
}

std::string errors_page() {
  auto text = head({"code", "number", "what happened", "what to do"});
  for (auto& [code, meaning, remedy] : errors)
    text += row({in_code(name_of(code)), std::to_string(static_cast<int>(code)), meaning, remedy});
  return text;
}

std::string exit_codes_page() {
  auto text = head({"code", "means"});
  for (auto& [code, meaning] : exit_codes)
    text += row({std::to_string(code), meaning});
  return text;
}

std::string variables_page() {
  auto text = head({"variable", "means"});
  for (auto& [names, meaning] : environment_variables())
    text += row({names, meaning});
  return text;
}

std::string signals_page() {
  auto text = head({"signal", "`modelforge node`", "other commands"});
  for (auto& [name, of_node, of_others] : signals)
    text += row({name, of_node, of_others});
  return text;
}

std::string files_page() {
  auto text = head({"kind", "file", "mode", "holds", "size", "cleaned"});
  for (auto& rule : state::kind_rules())
    text += row({in_code(name_of(rule.kind)), std::string{rule.place}, std::string{rule.mode}, std::string{rule.holds},
                 std::string{rule.growth}, std::string{rule.cleaned}});
  return text;
}

} // namespace

std::vector<variable_description> environment_variables() {
  std::vector<variable_description> result;
  for (auto& [names, meaning] : variables)
    result.push_back({names, meaning});
  for (auto& provider : known_providers) {
    std::string names;
    for (auto* key : provider.keys)
      if (key != nullptr)
        names += (names.empty() ? "" : ", ") + in_code(key);
    result.push_back({names, "without a configuration file: the key of " + std::string{provider.name}
                               + ", which makes it a provider"});
    if (provider.url_variable != nullptr)
      result.push_back({in_code(provider.url_variable), "its address, in place of the public one"});
  }
  return result;
}

std::optional<std::string> reference_page(std::string_view name) {
  if (name == "errors")
    return errors_page();
  if (name == "exit-codes")
    return exit_codes_page();
  if (name == "variables")
    return variables_page();
  if (name == "signals")
    return signals_page();
  if (name == "files")
    return files_page();
  return {};
}

} // namespace modelforge::cli
