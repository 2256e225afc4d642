#include "tools/cli/ask.hpp"
#include "tools/cli/output.hpp"

#include "wire/json.hpp"

#include <cstdio>
#include <iostream>
#include <random>
#include <string>
#include <unistd.h>

namespace modelforge::cli {

namespace {

/// The arguments, or the lines of standard input that hold something.
std::vector<std::string> read_inputs(const embed_options& x) {
  if (!x.inputs.empty() && x.inputs != std::vector<std::string>{"-"})
    return x.inputs;
  if (x.inputs.empty() && isatty(STDIN_FILENO)) {
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

std::string line_of(std::size_t index, const std::vector<float>& vector) {
  std::string line;
  wire::json_writer to{line};
  to.open('{');
  to.key("index");
  to.number(index);
  to.key("embedding");
  to.open('[');
  for (auto x : vector)
    to.number(static_cast<double>(x));
  to.close(']');
  to.close('}');
  return line + "\n";
}

int show(const embed_options& x, const embedding& answer) {
  for (auto& warning : answer.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  for (std::size_t i = 0; i < answer.vectors.size(); ++i)
    if (!print(line_of(i, answer.vectors[i])))
      return exit_failed;
  if (!x.stats)
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

int show(const failure& why) {
  complain(to_string(why));
  return exit_code_of(why);
}

} // namespace

int embed(const embed_options& x) {
  embedding_request request;
  if (!x.purpose.empty() && !from_string(x.purpose, request.purpose)) {
    complain("--purpose is none of: query, document, similarity, classification, clustering");
    return exit_usage;
  }
  request.inputs = read_inputs(x);
  if (request.inputs.empty())
    return exit_usage;
  waiter waiter;
  auto session = session::start(x.target, false);
  if (!session)
    return exit_usage;
  if (x.target.model.empty() && session->settings().default_embedding_model.empty()) {
    complain("no model: add -m NAME, or set default_embedding_model for provider " + session->settings().name);
    return exit_usage;
  }
  std::mt19937_64 random{std::random_device{}()};
  auto id = request.id = make_request_id(random);
  request.model = x.target.model;
  request.dimensions = x.dimensions;
  request.deadline = to_deadline(x.timeout);
  auto result = ask_and_wait<embedding>(
    *session, waiter, [&] { tell_from_outside(session->provider(), cancel_atom_v, id); }, std::move(request));
  if (!result) {
    complain("interrupted");
    return exit_interrupted;
  }
  if (auto* good = std::get_if<embedding>(&*result))
    return show(x, *good);
  return show(std::get<failure>(*result));
}

int models(const models_options& x) {
  waiter waiter;
  auto session = session::start(x.target, false);
  if (!session)
    return exit_usage;
  auto result = ask_and_wait<model_list>(
    *session, waiter, [&] { caf::anon_send_exit(session->provider(), caf::exit_reason::user_shutdown); },
    models_atom_v);
  if (!result) {
    complain("interrupted");
    return exit_interrupted;
  }
  if (auto* why = std::get_if<failure>(&*result))
    return show(*why);
  std::string text;
  for (auto& name : std::get<model_list>(*result).models)
    text += name + "\n";
  return print(text) ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
