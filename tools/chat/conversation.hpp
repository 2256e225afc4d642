#pragma once

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/content.hpp>
#include <modelforge/messages/errc.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Conversations at a terminal: what they hold, what becomes of an answer, and how they stand in files.

namespace modelforge::chat {

/// What an answer has left in a conversation.
struct kept_answer {
  std::string text;
  std::string provider; ///< The configured name; empty: unknown.
  std::string model;
  std::string flaw; ///< Why it may not be all: "interrupted", "cut", "blocked", "unclear", "broken off"; empty: it is.

  friend bool operator==(const kept_answer&, const kept_answer&) = default;
};

/// What was seen of an answer until it ended.
struct seen_answer {
  std::string text;                        ///< As it was shown.
  std::optional<answer_flaw> flaw;         ///< Of an answer that came to an end of its own.
  std::optional<modelforge::errc> failure; ///< What ended it otherwise; `cancelled`: the user.
  std::string provider, model;
};

/// Decides what a conversation keeps of an answer: the text that was shown, with a word for why it may not be all.
/// Nothing where no text came: then the question is not kept either, so that a conversation never has a question
/// without an answer, which some providers refuse.
std::optional<kept_answer> answer_to_keep(const seen_answer& seen);

/// A question with its answer.
struct turn {
  chat_message question; ///< Text and images.
  std::string asked;     ///< When, for people: "2026-11-30 22:46:12 UTC".
  kept_answer answer;

  friend bool operator==(const turn&, const turn&) = default;
};

struct conversation {
  std::string title;  ///< One line; empty: the beginning of the first question.
  std::string system; ///< System prompt; empty: none.
  std::vector<turn> turns;

  friend bool operator==(const conversation&, const conversation&) = default;
};

/// Returns the texts of a message.
std::string text_of(const chat_message& message);

/// Returns what a provider gets to go on with the conversation, but for the next question.
std::vector<chat_message> messages_of(const conversation& x);

/// Returns the title, or what stands for it: never empty, one line, at most 60 characters.
std::string title_of(const conversation& x);

/// Returns the conversation as Markdown that `read` takes back as it was. Texts stand in it as they are, except that a
/// line that would pass for one of ours gets a backslash in front.
std::string write(const conversation& x);

/// Whether a text, or the beginning of one, is marked as a conversation, be it damaged or not.
bool is_marked(std::string_view text);

/// Reads what `write` wrote, also if people have edited it. A string says what is wrong and where, as the end of a
/// sentence that begins with the file's name.
std::variant<conversation, std::string> read(std::string_view text);

} // namespace modelforge::chat
