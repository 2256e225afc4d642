#include "tools/cli/chat_answer.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/open_conversation.hpp"
#include "tools/cli/output.hpp"

#include "base/utc_text.hpp"
#include "json/writer.hpp"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// `modelforge history`: the conversations that are kept.

namespace modelforge::cli {

namespace {

struct history_options {
  std::vector<std::string> names;
  std::string name;
  bool json = false;
  bool all = false;
};

chat::conversation_store store_of_user() {
  return chat::conversation_store{conversations_folder()};
}

using listed = std::pair<chat::conversation_file, chat::conversation>;

void write_string(json::writer& json, std::string_view key, std::string_view value) {
  json.key(key);
  json.repaired(value);
}

std::string json_line(const listed& x) {
  auto& [file, content] = x;
  std::string line;
  json::writer json{line};
  json.open('{');
  write_string(json, "name", file.name);
  write_string(json, "file", file.path);
  write_string(json, "title", chat::title_of(content));
  json.key("questions");
  json.number(content.turns.size());
  write_string(json, "changed", base::utc_for_people(std::chrono::system_clock::to_time_t(file.changed)));
  if (!content.turns.empty()) {
    write_string(json, "provider", content.turns.back().answer.provider);
    write_string(json, "model", content.turns.back().answer.model);
  }
  json.close('}');
  return line + "\n";
}

std::string table_line(const listed& x, std::size_t width) {
  auto& [file, content] = x;
  auto name = file.name;
  name.resize(std::max(width, name.size()), ' ');
  char count[32];
  std::snprintf(count, sizeof count, "%4zu", content.turns.size());
  return name + "  " + local_text(file.changed, "%Y-%m-%d %H:%M") + count + "  " + for_terminal(chat::title_of(content))
         + "\n";
}

/// Files that cannot be read are told on standard error, each with what is wrong with it. Files of somebody else are no
/// failure.
int list(const history_options& options) {
  auto store = store_of_user();
  std::vector<listed> all;
  auto all_good = true;
  std::size_t width = 0;
  std::vector<std::string> others;
  for (auto& file : store.list(&others)) {
    chat::kept_conversation ignored;
    auto loaded = store.load(file.name, ignored);
    if (auto* problem = std::get_if<std::string>(&loaded)) {
      complain(*problem);
      all_good = false;
      continue;
    }
    width = std::max(width, file.name.size());
    all.emplace_back(file, std::get<chat::conversation>(std::move(loaded)));
  }
  for (auto& path : others)
    std::fprintf(stderr, "modelforge: warning: %s is left out: it is not a conversation\n", path.c_str());
  if (all.empty() && !options.json && all_good)
    std::fprintf(stderr, "no conversations are kept in %s\n", store.folder().c_str());
  for (auto& one : all)
    if (!print(options.json ? json_line(one) : table_line(one, width)))
      return exit_failed;
  return all_good ? exit_ok : exit_failed;
}

/// In the form of OpenAI's messages; images by their addresses, or as data.
std::string messages_json(const std::string& name, const chat::conversation& content) {
  std::string line;
  json::writer json{line};
  json.open('{');
  write_string(json, "name", name);
  write_string(json, "title", chat::title_of(content));
  json.key("messages");
  json.open('[');
  for (auto& message : chat::messages_of(content)) {
    json.open('{');
    write_string(json, "role", name_of(message.role));
    json.key("content");
    if (message.content.size() == 1 && std::holds_alternative<text_part>(message.content.front())) {
      json.repaired(chat::text_of(message));
      json.close('}');
      continue;
    }
    json.open('[');
    for (auto& part : message.content) {
      json.open('{');
      if (auto* image = std::get_if<image_part>(&part)) {
        write_string(json, "type", "image_url");
        json.key("image_url");
        json.open('{');
        write_string(json, "url",
                     image->data.empty() ? image->url : "data:" + image->media_type + ";base64," + image->data);
        json.close('}');
      } else if (auto* text = std::get_if<text_part>(&part)) {
        write_string(json, "type", "text");
        write_string(json, "text", text->text);
      }
      json.close('}');
    }
    json.close(']');
    json.close('}');
  }
  json.close(']');
  json.close('}');
  return line + "\n";
}

int show(const history_options& options) {
  auto store = store_of_user();
  auto all = store.list();
  if (all.empty()) {
    complain("no conversations are kept in " + store.folder());
    return exit_usage;
  }
  auto found = options.name.empty() ? chat::name_search{all.front().name, ""} : chat::find_name(options.name, all);
  if (found.name.empty()) {
    complain(found.problem);
    return exit_usage;
  }
  chat::kept_conversation kept;
  auto loaded = store.load(found.name, kept);
  if (auto* problem = std::get_if<std::string>(&loaded)) {
    complain(*problem);
    return exit_failed;
  }
  auto& content = std::get<chat::conversation>(loaded);
  return print(options.json ? messages_json(found.name, content) : for_terminal(kept.text)) ? exit_ok : exit_failed;
}

/// All names are looked at before anything is deleted. Parts of names are not enough here.
int remove(const history_options& options) {
  auto store = store_of_user();
  auto all = store.list();
  if (options.names.empty() && !options.all) {
    complain("nothing to delete: name conversations, or say --all");
    return exit_usage;
  }
  auto names = options.names;
  for (auto& name : names)
    if (auto found = chat::find_name(name, all); found.name != name) {
      complain(found.name.empty() ? found.problem
                                  : "there is no conversation \"" + name + "\"; did you mean " + found.name + "?");
      return exit_usage;
    }
  if (options.all)
    for (auto& file : all)
      names.push_back(file.name);
  for (auto& name : names)
    if (auto problem = store.remove(name); !problem.empty()) {
      complain(problem);
      return exit_failed;
    }
  std::fprintf(stderr, "%zu deleted\n", names.size());
  return exit_ok;
}

} // namespace

void add_history(command_line& line) {
  auto options = std::make_shared<history_options>();
  auto history = line.add("history", "List, show and delete conversations");
  history.allow_command();
  history.flag("--json", options->json, "An object a line, for programs");
  history.footer("Examples:\n  modelforge history                            all, the last one first\n"
                 "  modelforge history show rivers                the one with rivers in its name\n"
                 "  modelforge history delete 2026-11-30-rivers\n"
                 "  modelforge chat --continue=rivers             go on with it\n\n"
                 "They are Markdown files in `conversations` in the user's state folder, for the user alone;\n"
                 "`keep = false` under [history] in the configuration keeps none.");
  history.run_by([options] { return list(*options); });
  auto shown = history.add("show", "Print one");
  shown.text("NAME", options->name, "Its name, or a part of it that no other one has; default: the last one");
  shown.flag("--json", options->json, "One object with OpenAI's messages");
  shown.footer("Examples:\n  modelforge history show\n  modelforge history show rivers --json");
  shown.run_by([options] { return show(*options); });
  auto removed = history.add("delete", "Delete some");
  removed.texts("NAME", options->names, "Their names, whole");
  removed.flag("--all", options->all, "All of them");
  removed.footer("Examples:\n  modelforge history delete 2026-11-30-rivers\n  modelforge history delete --all");
  removed.run_by([options] { return remove(*options); });
}

} // namespace modelforge::cli
