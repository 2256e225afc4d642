#include "tools/chat/conversation.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace modelforge::chat {

namespace {

constexpr std::string_view mark = "<!-- modelforge conversation, version ";
constexpr int format_version = 1;
constexpr std::string_view system_heading = "## System";
constexpr std::string_view question_heading = "## Question";
constexpr std::string_view answer_heading = "## Answer";
constexpr std::string_view image_beginning = "![image](";
constexpr auto flaws = std::to_array<std::string_view>({"interrupted", "cut", "blocked", "unclear", "broken off"});

constexpr std::size_t longest_title = 60; // characters

/// Whether a line is one of the format's own, as far as its beginning tells.
bool is_ours(std::string_view line) {
  return line.starts_with(system_heading) || line.starts_with(question_heading) || line.starts_with(answer_heading)
         || line.starts_with(image_beginning);
}

std::string_view without_backslashes(std::string_view line) {
  return line.substr(std::min(line.find_first_not_of('\\'), line.size()));
}

/// Calls `take` for each line, without its newline; the text behind the last newline is one, too.
template <class F>
void for_each_line(std::string_view text, F take) {
  for (;;) {
    auto end = text.find('\n');
    take(text.substr(0, end));
    if (end == text.npos)
      return;
    text.remove_prefix(end + 1);
  }
}

bool is_control(char c) {
  return (c >= 0 && c < ' ') || c == 0x7f;
}

/// One line that shows in any terminal, of whole characters.
std::string one_line(std::string_view text) {
  auto line = ascii::trim(text);
  std::string result{ascii::trim(line.substr(0, line.find_first_of("\r\n")))};
  result = utf8::repair(result);
  std::erase_if(result, is_control);
  std::size_t characters = 0;
  for (std::size_t i = 0; i < result.size(); ++i)
    if (!utf8::is_continuation(result[i]) && ++characters > longest_title)
      return result.substr(0, i) + "...";
  return result;
}

// -- writing ---------------------------------------------------------------------------

void write_text(std::string& out, std::string_view text) {
  auto is_first = true;
  for_each_line(text, [&](std::string_view line) {
    if (!std::exchange(is_first, false))
      out += '\n';
    if (is_ours(without_backslashes(line)))
      out += '\\';
    out += line;
  });
}

void write_heading(std::string& out, std::string_view heading, const std::string& about) {
  out.append("\n\n").append(heading);
  if (!about.empty())
    out.append(" (").append(about).append(")");
  out += "\n\n";
}

std::string about(const kept_answer& x) {
  std::string result;
  for (auto* part : {&x.provider, &x.model, &x.flaw})
    if (!part->empty())
      result += (result.empty() ? "" : part == &x.model ? ": " : ", ") + *part;
  std::erase_if(result, is_control); // a name of several lines would be more than a heading
  return result;
}

void write_images(std::string& out, const chat_message& message) {
  auto any = false;
  for (auto& part : message.content)
    if (auto* image = std::get_if<image_part>(&part)) {
      any = true;
      out += image_beginning;
      out += image->data.empty() ? image->url : "data:" + image->media_type + ";base64," + image->data;
      out += ")\n";
    }
  if (any)
    out += '\n';
}

// -- reading ---------------------------------------------------------------------------

/// What stands in brackets at the end of a heading.
std::string_view about_of(std::string_view heading) {
  auto open = heading.find(" (");
  if (open == heading.npos || !heading.ends_with(')'))
    return {};
  return heading.substr(open + 2, heading.size() - open - 3);
}

kept_answer answer_of(std::string_view about) {
  kept_answer result;
  for (auto flaw : flaws)
    if (about == flaw || (about.ends_with(flaw) && about.substr(0, about.size() - flaw.size()).ends_with(", "))) {
      result.flaw = flaw;
      about.remove_suffix(std::min(flaw.size() + 2, about.size()));
      break;
    }
  if (auto colon = about.find(": "); colon != about.npos) {
    result.provider = about.substr(0, colon);
    about.remove_prefix(colon + 2);
  }
  result.model = about;
  return result;
}

std::optional<image_part> image_of(std::string_view line) {
  if (!line.starts_with(image_beginning) || !line.ends_with(')'))
    return {};
  auto address = line.substr(image_beginning.size(), line.size() - image_beginning.size() - 1);
  if (!address.starts_with("data:"))
    return image_part{std::string{address}, "", "", ""};
  auto comma = address.find(";base64,");
  if (comma == address.npos)
    return {};
  return image_part{"", std::string{address.substr(5, comma - 5)}, std::string{address.substr(comma + 8)}, ""};
}

/// Takes a file line by line: its head with the mark, perhaps a system prompt, then questions and answers in turn, each
/// from its heading to the next one. People may edit these files, so the first thing that does not fit is told with its
/// line, and nothing is guessed. Reads what `write` writes to the same conversation again. Used once for each file.
class file_reader {
public:
  std::variant<conversation, std::string> read(std::string_view text) {
    if (text.ends_with('\n')) // the last line's own
      text.remove_suffix(1);
    for_each_line(text, [this](std::string_view line) {
      ++number_;
      if (problem_.empty())
        take(line);
    });
    if (problem_.empty())
      close_part(false);
    if (problem_.empty() && !has_mark_)
      return "is not a conversation: its first lines lack \"" + std::string{mark} + "...\"";
    if (problem_.empty() && expects_answer_)
      complain("a question without an answer; remove it", question_line_);
    if (!problem_.empty())
      return std::move(problem_);
    return std::move(result_);
  }

private:
  enum class place : uint8_t { head, system, question, answer };

  void complain(const std::string& what, std::size_t line) {
    if (problem_.empty())
      problem_ = "is damaged in line " + std::to_string(line) + ": " + what;
  }

  void take(std::string_view line) {
    if (line.starts_with(system_heading))
      open_system();
    else if (line.starts_with(question_heading))
      open_question(line);
    else if (line.starts_with(answer_heading))
      open_answer(line);
    else if (place_ == place::head)
      take_head(line);
    else
      take_content(line);
  }

  void take_head(std::string_view line) {
    if (line.starts_with("# "))
      result_.title = ascii::trim(line.substr(2));
    if (!line.starts_with(mark))
      return;
    has_mark_ = true;
    auto version = line.substr(mark.size());
    if (version.substr(0, version.find_first_not_of("0123456789")) != std::to_string(format_version))
      problem_ = "was written by a newer version of modelforge, which is needed to read it";
  }

  void open_system() {
    close_part();
    if (place_ != place::head)
      complain("the system prompt must come first, and only once", number_);
    place_ = place::system;
  }

  void open_question(std::string_view line) {
    close_part();
    if (expects_answer_)
      complain("a question without an answer; remove it", question_line_);
    expects_answer_ = true;
    question_line_ = number_;
    place_ = place::question;
    result_.turns.emplace_back().asked = about_of(line);
  }

  void open_answer(std::string_view line) {
    close_part();
    if (!expects_answer_)
      return complain("an answer without a question; remove it", number_);
    expects_answer_ = false;
    place_ = place::answer;
    result_.turns.back().answer = answer_of(about_of(line));
  }

  void take_content(std::string_view line) {
    if (line.starts_with(image_beginning)) {
      auto image = image_of(line);
      if (!image || place_ != place::question)
        return complain("an image that cannot be read or is in the wrong place; write \\ before it if it is text",
                        number_);
      images_.push_back(std::move(*image));
      return;
    }
    if (std::exchange(lines_, lines_ + 1) > 0)
      text_ += '\n';
    if (line.starts_with('\\') && is_ours(without_backslashes(line)))
      line.remove_prefix(1);
    text_ += line;
  }

  /// Takes away the blank lines that `write` puts around a text: the one behind it only where something follows.
  void close_part(bool is_followed = true) {
    auto text = std::move(text_);
    text_.clear();
    lines_ = 0;
    if (text.starts_with('\n'))
      text.erase(0, 1);
    if (!images_.empty() && text.starts_with('\n'))
      text.erase(0, 1);
    if (is_followed && text.ends_with('\n'))
      text.pop_back();
    if (place_ == place::system)
      result_.system = std::move(text);
    else if (place_ == place::answer)
      result_.turns.back().answer.text = std::move(text);
    else if (place_ == place::question)
      close_question(std::move(text));
    images_.clear();
  }

  void close_question(std::string text) {
    auto& content = result_.turns.back().question.content;
    if (!text.empty())
      content.push_back(text_part{std::move(text)});
    for (auto& image : images_)
      content.push_back(std::move(image));
    if (content.empty())
      complain("an empty question", question_line_);
  }

  conversation result_;
  std::string problem_;
  std::size_t number_ = 0; ///< Of the line.
  place place_ = place::head;
  bool has_mark_ = false;
  bool expects_answer_ = false;
  std::size_t question_line_ = 0;
  std::string text_; ///< Of the open part.
  std::size_t lines_ = 0;
  std::vector<image_part> images_;
};

} // namespace

std::optional<kept_answer> answer_to_keep(const seen_answer& seen) {
  if (ascii::trim(seen.text).empty())
    return {};
  kept_answer result{seen.text, seen.provider, seen.model, ""};
  if (seen.failure)
    result.flaw = *seen.failure == errc::cancelled ? "interrupted" : "broken off";
  else if (seen.flaw && *seen.flaw != answer_flaw::none)
    result.flaw = name_of(*seen.flaw);
  return result;
}

std::string text_of(const chat_message& message) {
  std::string result;
  for (auto& part : message.content)
    if (auto* text = std::get_if<text_part>(&part))
      result += text->text;
  return result;
}

std::vector<chat_message> messages_of(const conversation& x) {
  std::vector<chat_message> result;
  if (!x.system.empty())
    result.push_back(text_message(role::system, x.system));
  for (auto& turn : x.turns) {
    result.push_back(turn.question);
    result.push_back(text_message(role::assistant, turn.answer.text));
  }
  return result;
}

std::string title_of(const conversation& x) {
  auto title = one_line(x.title);
  if (title.empty() && !x.turns.empty())
    title = one_line(text_of(x.turns.front().question));
  return title.empty() ? "Conversation" : title;
}

std::string write(const conversation& x) {
  auto out = "# " + title_of(x) + "\n\n" + std::string{mark} + std::to_string(format_version) + " -->";
  if (!x.system.empty()) {
    write_heading(out, system_heading, "");
    write_text(out, x.system);
  }
  for (auto& turn : x.turns) {
    write_heading(out, question_heading, turn.asked);
    write_images(out, turn.question);
    write_text(out, text_of(turn.question));
    write_heading(out, answer_heading, about(turn.answer));
    write_text(out, turn.answer.text);
  }
  return out + "\n";
}

bool is_marked(std::string_view text) {
  auto is_head = true;
  auto result = false;
  for_each_line(text, [&](std::string_view line) {
    is_head = is_head && !is_ours(line);
    result = result || (is_head && line.starts_with(mark));
  });
  return result;
}

std::variant<conversation, std::string> read(std::string_view text) {
  return file_reader{}.read(text);
}

} // namespace modelforge::chat
