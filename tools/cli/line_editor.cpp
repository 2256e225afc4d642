#include "tools/cli/console.hpp"
#include "tools/cli/output.hpp"

#include "base/utf8.hpp"

#include <histedit.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string_view>
#include <unistd.h>
#include <utility>

/// The line editor of `modelforge chat`, on libedit: editing, history, and inputs of several lines. The one file that
/// knows libedit, compiled only where that was found.

namespace modelforge::cli {

namespace {

constexpr std::string_view paste_begins = "\x1b[?2004h"; // bracketed paste: pasted text comes between two marks
constexpr std::string_view paste_ends = "\x1b[?2004l";
constexpr std::string_view pasted_end = "\x1b[201~";
constexpr char prompt_mark = '\1'; // around what takes no place on the screen

/// Reads inputs by libedit, which owns the terminal while one is typed. Keys come by way of the `waiter`
/// (`read_character`), so that a signal ends an input at once, as `ended_` says. Line breaks in pasted text send
/// nothing. libedit calls back with its own handle, from which `of` finds this object. Used by the
/// session's thread alone.
class line_editor : public console {
public:
  line_editor(waiter& waiter, EditLine* editor, std::vector<std::string> words)
    : waiter_(waiter), editor_(editor), history_(history_init()), words_(std::move(words)) {}

  ~line_editor() override {
    el_end(editor_);
    history_end(history_);
  }

  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  void set_up(const std::vector<std::string>& inputs) {
    HistEvent ignored;
    history(history_, &ignored, H_SETSIZE, 1000);
    for (auto& input : inputs)
      remember(input);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_SIGNAL, 1); // Ctrl-Z and a new size of the window; Ctrl-C is blocked and goes to the waiter
    el_set(editor_, EL_GETCFN, &line_editor::on_read);
    el_set(editor_, EL_PROMPT_ESC, &line_editor::on_prompt, prompt_mark);
    bind_keys();
    el_source(editor_, nullptr); // the user's own keys, from ~/.editrc
  }

  typed read(const std::string& prompt, std::string& line) override {
    auto is_bold = has_colors(STDOUT_FILENO);
    auto mark = std::string(1, prompt_mark);
    // The editor prints what moves no cursor with the character behind it, and not at all where there is none: so the
    // end of the prompt stays plain.
    auto bold = is_bold && prompt.size() > 2 ? prompt.size() - 2 : 0;
    prompt_ = bold == 0
                ? prompt
                : mark + "\x1b[1m" + mark + prompt.substr(0, bold) + mark + "\x1b[0m" + mark + prompt.substr(bold);
    ended_ = typed::text;
    el_set(editor_, EL_PREP_TERM, 1); // before the prompt: who answers it at once has each key taken as the editor's
    print(paste_begins);
    int length = 0;
    auto* text = el_gets(editor_, &length);
    print(paste_ends);
    if (ended_ != typed::text)
      return ended_;
    if (text == nullptr || length <= 0)
      return typed::end;
    line.assign(text, static_cast<std::size_t>(length));
    if (line.ends_with('\n'))
      line.pop_back();
    return typed::text;
  }

  void remember(const std::string& input) override {
    HistEvent ignored;
    history(history_, &ignored, H_ENTER, input.c_str());
  }

private:
  static line_editor& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<line_editor*>(self);
  }

  void bind_keys() {
    // Wide texts are kept as they are; of narrow ones the editor makes copies, which it never frees.
    auto add = [&](const wchar_t* name, const wchar_t* help, unsigned char (*function)(EditLine*, int)) {
      el_wset(editor_, EL_ADDFN, name, help, function);
    };
    add(L"modelforge-newline", L"Begin a new line of the input", &line_editor::on_newline);
    add(L"modelforge-paste", L"Take pasted text", &line_editor::on_paste);
    add(L"modelforge-complete", L"Complete a command", &line_editor::on_complete);
    for (auto& [keys, command] : {std::pair{"\\e^M", "modelforge-newline"}, std::pair{"\\e^J", "modelforge-newline"},
                                  std::pair{"\\e[200~", "modelforge-paste"}, std::pair{"^I", "modelforge-complete"},
                                  std::pair{"^R", "em-inc-search-prev"}, std::pair{"\\e[3~", "ed-delete-next-char"},
                                  std::pair{"\\e[H", "ed-move-to-beg"}, std::pair{"\\e[F", "ed-move-to-end"},
                                  std::pair{"\\e[1~", "ed-move-to-beg"}, std::pair{"\\e[4~", "ed-move-to-end"},
                                  std::pair{"\\e[1;5C", "em-next-word"}, std::pair{"\\e[1;5D", "ed-prev-word"}})
      el_set(editor_, EL_BIND, keys, command, nullptr);
  }

  static char* on_prompt(EditLine* editor) { return of(editor).prompt_.data(); }

  static int on_read(EditLine* editor, wchar_t* character) { return of(editor).read_character(*character); }

  static unsigned char on_newline(EditLine* editor, int) { return insert(editor, "\n"); }

  /// Takes what was pasted, up to its closing mark, as it is: its line breaks send nothing.
  static unsigned char on_paste(EditLine* editor, int) {
    std::string text;
    for (char byte; !text.ends_with(pasted_end);) {
      if (of(editor).read_byte(byte) != 1)
        return CC_EOF;
      text += byte;
    }
    text.resize(text.size() - pasted_end.size());
    for (std::size_t at; (at = text.find("\r\n")) != text.npos;)
      text.erase(at, 1);
    std::replace(text.begin(), text.end(), '\r', '\n');
    std::erase_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
    while (text.ends_with('\n')) // a line that was copied whole
      text.pop_back();
    return text.empty() ? CC_REFRESH : insert(editor, utf8::repair(text));
  }

  /// Completes a command as far as it is clear.
  static unsigned char on_complete(EditLine* editor, int) {
    auto* line = el_line(editor);
    std::string_view begun{line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)};
    std::vector<std::string_view> fitting;
    for (auto& word : of(editor).words_)
      if (!begun.empty() && word.starts_with(begun))
        fitting.push_back(word);
    if (fitting.empty())
      return CC_REFRESH_BEEP;
    auto common = fitting.front();
    for (auto word : fitting)
      common = common.substr(
        0, static_cast<std::size_t>(std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first
                                    - common.begin()));
    auto rest = std::string{common.substr(begun.size())} + (fitting.size() == 1 ? " " : "");
    return rest.empty() ? CC_REFRESH_BEEP : insert(editor, rest);
  }

  static unsigned char insert(EditLine* editor, const std::string& text) {
    return el_insertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
  }

  /// 1: there is one; 0: there will be none.
  int read_byte(char& byte) {
    for (;;) {
      switch (waiter_.wait_for_input(STDIN_FILENO)) {
        case waiter::event::interrupted:
          ended_ = typed::interrupted;
          return 0;
        case waiter::event::terminated:
          ended_ = typed::terminated;
          return 0;
        case waiter::event::continued:
          draw_again();
          continue;
        default:
          break;
      }
      auto n = ::read(STDIN_FILENO, &byte, 1);
      if (n >= 0 || errno != EINTR)
        return n == 1 ? 1 : 0;
    }
  }

  /// The shell has had the terminal, and has set it as it likes.
  void draw_again() {
    el_set(editor_, EL_PREP_TERM, 0);
    el_set(editor_, EL_PREP_TERM, 1);
    print("\r");
    print(paste_begins);
    el_set(editor_, EL_REFRESH);
  }

  int read_character(wchar_t& character) {
    std::mbstate_t state{};
    for (int i = 0; i < 8; ++i) {
      char byte = 0;
      if (read_byte(byte) != 1)
        return 0;
      auto length = std::mbrtowc(&character, &byte, 1, &state);
      if (length == static_cast<std::size_t>(-1)) { // no UTF-8: what follows may be
        state = {};
        i = 0;
      } else if (length != static_cast<std::size_t>(-2)) {
        return 1;
      }
    }
    return 0;
  }

  waiter& waiter_;
  EditLine* editor_;
  History* history_;
  std::vector<std::string> words_;
  std::string prompt_;
  typed ended_ = typed::text; ///< What ended the reading, if it was no line.
};

bool knows_terminal() {
  auto* name = std::getenv("TERM");
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && name != nullptr && *name != '\0'
         && std::string_view{name} != "dumb";
}

} // namespace

// What is typed is UTF-8 also where the environment names no locale, as in containers.
std::unique_ptr<console> make_line_editor(waiter& waiter, const std::vector<std::string>& inputs,
                                          std::vector<std::string> words) {
  if (!knows_terminal())
    return nullptr;
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  auto* editor = el_init("modelforge", stdin, stdout, stderr);
  if (editor == nullptr)
    return nullptr;
  auto result = std::make_unique<line_editor>(waiter, editor, std::move(words));
  result->set_up(inputs);
  return result;
}

} // namespace modelforge::cli
