#include "tools/cli/ask.hpp"
#include "tools/cli/output.hpp"

#include "json/writer.hpp"

#include <cstdio>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>

/// `modelforge embed` and `modelforge models`: one question to a provider, a line for each part of the answer.

namespace modelforge::cli {

namespace {

struct embed_options {
  target_options target;
  std::vector<std::string> inputs; ///< None, or "-": the lines of standard input.
  std::string purpose;             ///< As `embedding_purpose` is written; empty: none.
  std::optional<uint32_t> dimensions;
  std::optional<double> timeout; ///< Seconds.
  bool stats = false;
  bool json = false; ///< What `stats` reports as JSON.
};

/// The arguments, or the lines of standard input that hold something.
std::vector<std::string> read_inputs(const embed_options& options) {
  if (!options.inputs.empty() && options.inputs != std::vector<std::string>{"-"})
    return options.inputs;
  if (options.inputs.empty() && isatty(STDIN_FILENO)) {
    complain("no text: give some, as in `modelforge embed \"a river\" \"a bank\"`, or pipe in a text a line");
    return {};
  }
  std::vector<std::string> result;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.ends_with('\r'))
      line.pop_back();
    if (!line.empty())
      result.push_back(std::move(line));
  }
  if (result.empty())
    complain("standard input holds no text");
  return result;
}

/// {"index":0,"embedding":[...]}
std::string line_of(std::size_t index, const std::vector<float>& vector) {
  std::string line;
  json::writer json{line};
  json.open('{');
  json.key("index");
  json.number(index);
  json.key("embedding");
  json.open('[');
  for (auto number : vector)
    json.number(static_cast<double>(number));
  json.close(']');
  json.close('}');
  return line + "\n";
}

/// {"stats":{...}}; what is not known is left out.
std::string stats_of(const embedding& answer) {
  std::string line;
  json::writer json{line};
  json.open('{');
  json.key("stats");
  json.open('{');
  json.key("model");
  json.repaired(answer.model);
  json.key("vectors");
  json.number(answer.vectors.size());
  json.key("dimensions");
  json.number(answer.vectors.front().size());
  json.key("seconds");
  json.number(std::chrono::duration<double>(answer.timings.total).count());
  if (answer.usage) {
    json.key("tokens");
    json.number(answer.usage->input);
  }
  if (answer.cost) {
    json.key("cost");
    json.number(*answer.cost);
  }
  json.close('}');
  json.close('}');
  return line + "\n";
}

/// Prints the vectors, a line of JSON each, and with --stats what they took.
int show(const embed_options& options, const embedding& answer) {
  for (auto& warning : answer.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  for (std::size_t i = 0; i < answer.vectors.size(); ++i)
    if (!print(line_of(i, answer.vectors[i])))
      return exit_failed;
  if (options.json)
    return print(stats_of(answer)) ? exit_ok : exit_failed;
  if (!options.stats)
    return exit_ok;
  auto text = std::to_string(answer.vectors.size()) + " vectors of " + std::to_string(answer.vectors.front().size())
              + " numbers in " + duration_text(answer.timings.total);
  if (answer.usage)
    text += ", " + std::to_string(answer.usage->input) + " tokens";
  if (answer.cost)
    text += ", cost " + std::to_string(*answer.cost);
  std::fprintf(stderr, "modelforge: %s\n", text.c_str());
  return exit_ok;
}

int show(const failure& problem) {
  complain(to_string(problem));
  return exit_code_of(problem);
}

/// What `modelforge embed` does.
int embed(const embed_options& options) {
  embedding_request request;
  if (!options.purpose.empty() && !from_string(options.purpose, request.purpose)) {
    complain("--purpose is none of: query, document, similarity, classification, clustering");
    return exit_usage;
  }
  request.inputs = read_inputs(options);
  if (request.inputs.empty())
    return exit_usage;
  waiter waiter;
  auto session = session::start(options.target, false);
  if (!session)
    return exit_usage;
  if (options.target.model.empty() && session->settings().default_embedding_model.empty()) {
    complain("no model: add -m NAME, or set default_embedding_model for provider " + session->settings().name);
    return exit_usage;
  }
  std::mt19937_64 random{std::random_device{}()};
  auto id = request.id = make_request_id(random);
  request.model = options.target.model;
  request.dimensions = options.dimensions;
  request.deadline = to_deadline(options.timeout);
  auto result = ask_and_wait<embedding>(
    *session, waiter, [&] { tell_from_outside(session->provider(), cancel_atom_v, id); }, std::move(request));
  if (!result) {
    complain("interrupted");
    return exit_interrupted;
  }
  if (auto* good = std::get_if<embedding>(&*result))
    return show(options, *good);
  return show(std::get<failure>(*result));
}

/// The names a line, or as one JSON object.
std::string text_of(const model_list& list, bool as_json) {
  std::string text;
  if (!as_json) {
    for (auto& name : list.models)
      text += name + "\n";
    return text;
  }
  json::writer json{text};
  json.open('{');
  json.key("provider");
  json.repaired(list.provider);
  json.key("models");
  json.open('[');
  for (auto& name : list.models)
    json.repaired(name);
  json.close(']');
  json.close('}');
  return text + "\n";
}

/// What `modelforge models` does.
int models(const target_options& target, bool as_json) {
  waiter waiter;
  auto session = session::start(target, false);
  if (!session)
    return exit_usage;
  auto result = ask_and_wait<model_list>(
    *session, waiter, [&] { caf::anon_send_exit(session->provider(), caf::exit_reason::user_shutdown); },
    models_atom_v);
  if (!result) {
    complain("interrupted");
    return exit_interrupted;
  }
  if (auto* problem = std::get_if<failure>(&*result))
    return show(*problem);
  auto& list = std::get<model_list>(*result);
  if (list.models.empty())
    std::fprintf(stderr, "modelforge: warning: the provider %s lists no models\n", list.provider.c_str());
  return print(text_of(list, as_json)) ? exit_ok : exit_failed;
}

} // namespace

void add_embed(command_line& line) {
  auto options = std::make_shared<embed_options>();
  auto embed = line.add("embed", "Turn texts into vectors");
  add_target(embed, options->target, "default_embedding_model");
  embed.number("--dimensions", options->dimensions, "Length of the vectors; default: the model's", "N", 1u, 1'000'000u);
  embed.text("--purpose", options->purpose, "query, document, similarity, classification or clustering", "NAME");
  embed.flag("--stats", options->stats, "Report the number of vectors, the time and the tokens");
  embed.flag("--json", options->json, "Print that report as a last line of JSON: {\"stats\":{...}}; implies --stats");
  add_timeout(embed, options->timeout);
  embed.texts("TEXT", options->inputs, "Texts; - or nothing: a text a line of standard input");
  embed.footer("Examples:\n  modelforge embed -m text-embedding-3-small \"a river\" \"a bank\"\n"
               "  modelforge embed --json < texts.txt > vectors.jsonl\n\n"
               "Prints a line of JSON for each text, in order: {\"index\":0,\"embedding\":[...]}");
  embed.run_by([options] { return cli::embed(*options); });

  struct models_options {
    target_options target;
    bool json = false;
  };
  auto given = std::make_shared<models_options>();
  auto models = line.add("models", "List the models that a provider offers");
  add_target(models, given->target, nullptr);
  models.flag("--json", given->json, "Print JSON: {\"provider\":NAME,\"models\":[NAME, ...]}");
  models.footer("Examples:\n  modelforge models -p openai\n  modelforge models --json | jq -r '.models[]'\n\n"
                "Prints a name a line, in the provider's order.");
  models.run_by([given] { return cli::models(given->target, given->json); });
}

} // namespace modelforge::cli
