#include "tools/cli/open_conversation.hpp"

#include "tools/cli/output.hpp"

#include "config/state_folder.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::cli {

namespace {

void warn_unkept(const std::string& why) {
  std::fprintf(stderr, "modelforge: warning: the conversation is not kept: %s\n", why.c_str());
}

} // namespace

bool open_conversation::resume(const std::string& wanted) {
  auto all = store_.list();
  if (all.empty()) {
    complain("there is no conversation to go on with in " + store_.folder()
             + ": sessions are kept there, questions whose answers are shown on a terminal, and those with --name");
    return false;
  }
  auto name = all.front().name;
  if (!wanted.empty()) {
    auto found = chat::find_name(wanted, all);
    if (found.name.empty()) {
      complain(found.problem);
      return false;
    }
    name = found.name;
  }
  auto loaded = store_.load(name, kept_);
  if (auto* problem = std::get_if<std::string>(&loaded)) {
    complain(*problem);
    return false;
  }
  content_ = std::get<chat::conversation>(std::move(loaded));
  return true;
}

bool open_conversation::begin(const std::string& name) {
  if (auto problem = chat::name_problem(name); !problem.empty()) {
    complain(problem);
    return false;
  }
  std::vector<std::string> others;
  for (auto& file : store_.list(&others))
    if (file.name == name) {
      complain("there is a conversation \"" + name + "\" already; --continue=" + name + " goes on with it");
      return false;
    }
  if (std::find(others.begin(), others.end(), store_.path_of(name)) != others.end()) {
    complain(store_.path_of(name) + " exists and is not a conversation; choose another name");
    return false;
  }
  wanted_ = name;
  return true;
}

void open_conversation::add(chat::turn turn) {
  content_.turns.push_back(std::move(turn));
  write(wanted_);
}

void open_conversation::replace_last(chat::turn turn) {
  content_.turns.back() = std::move(turn);
  write(wanted_);
}

chat::turn open_conversation::undo() {
  auto result = std::move(content_.turns.back());
  content_.turns.pop_back();
  if (!kept_.name.empty())
    write();
  return result;
}

void open_conversation::clear() {
  content_ = {"", content_.system, {}};
  kept_ = {};
  is_deleted_ = false;
  wanted_.clear();
}

bool open_conversation::rename(const std::string& name) {
  how_ = keeping::automatic;
  is_deleted_ = false;
  if (!kept_.name.empty()) {
    auto problem = store_.rename(kept_, name);
    if (!problem.empty())
      complain(problem);
    return problem.empty();
  }
  return begin(name) && (content_.turns.empty() || write(name));
}

/// Writes the file anew. Returns whether the conversation is kept; where it is not, says why. A file that
/// somebody changed meanwhile is left alone, and this conversation goes on under another name; one that somebody
/// deleted is not made again unasked.
bool open_conversation::write(const std::string& wanted) {
  if (how_ == keeping::off || is_deleted_)
    return false;
  auto result = store_.save(content_, kept_, local_text(std::chrono::system_clock::now(), "%Y-%m-%d"), wanted);
  if (auto* problem = std::get_if<std::string>(&result)) {
    warn_unkept(*problem);
    return false;
  }
  switch (std::get<chat::save_result>(result)) {
    case chat::save_result::saved:
      return true;
    case chat::save_result::saved_beside:
      std::fprintf(stderr,
                   "modelforge: warning: the conversation was changed by somebody else; this one is kept as %s\n",
                   kept_.name.c_str());
      return true;
    default:
      is_deleted_ = true;
      warn_unkept("its file was deleted; /save NAME keeps it again");
      kept_ = {};
      return false;
  }
}

std::string conversations_folder() {
  auto folder = default_state_folder();
  return folder.empty() ? folder : folder + "/conversations";
}

std::string local_text(std::chrono::system_clock::time_point time, const char* format) {
  auto seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  char text[64];
  return {text, std::strftime(text, sizeof text, format, localtime_r(&seconds, &parts))};
}

} // namespace modelforge::cli
