#include "batch/reader.hpp"

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "batch/file.hpp"
#include "batch/folder_source.hpp"
#include "batch/line_reader.hpp"
#include "batch/source_parts.hpp"
#include "batch/table_source.hpp"
#include "wire/openai/format.hpp"
#include "json/value.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

namespace modelforge::batch {

namespace {

failure line_failure(errc code, std::string message) {
  failure x;
  x.code = code;
  x.message = std::move(message);
  return x;
}

/// A line's id: a text or a whole number. Empty: there is none.
std::optional<std::string> read_id(const json::value& x) {
  if (x.is_string())
    return std::string{json::string_in(x)};
  if (x.is_number_integer())
    return json::to_text(x);
  return {};
}

using request_or_failure = std::variant<chat_request, failure>;

/// A path as a shell takes it for one word.
std::string shell_word(const std::string& path) {
  auto plain = [](unsigned char c) { return std::isalnum(c) || c >= 0x80 || std::strchr("_./+,:@%=-", c) != nullptr; };
  if (!path.empty() && std::all_of(path.begin(), path.end(), plain))
    return path;
  std::string word = "'";
  for (char c : path)
    word += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return word + '\'';
}

/// Whether a line of plain text is one of JSON lines that went astray. Only what begins like one is parsed.
bool looks_like_request(std::string_view line) {
  auto start = line.find_first_not_of(" \t\r");
  if (start == line.npos || line[start] != '{')
    return false;
  auto parsed = json::parse(line);
  auto* root = std::get_if<json::value>(&parsed);
  return root != nullptr && root->is_object()
         && (root->contains("prompt") || root->contains("body") || root->contains("custom_id"));
}

/// By OpenAI's path, or Azure's, which has no version in it.
std::optional<item_endpoint> endpoint_of(std::string_view url) {
  if (url.starts_with("/v1/"))
    url.remove_prefix(3);
  if (url.empty() || url == "/chat/completions")
    return item_endpoint::chat;
  if (url == "/responses")
    return item_endpoint::responses;
  return url == "/embeddings" ? std::optional{item_endpoint::embeddings} : std::nullopt;
}

request_or_failure read_embeddings(const std::string& body, item& to) {
  auto read = wire::openai::read_embedding_request(body);
  if (auto* problem = std::get_if<failure>(&read))
    return std::move(*problem);
  auto& asked = std::get<embedding_request>(read);
  chat_request stand_in;
  stand_in.model = asked.model;
  to.vectors = std::make_shared<const embedding_request>(std::move(asked));
  return stand_in;
}

request_or_failure read_batch_line(const json::value& x, item& to) {
  if (auto& method = json::member(x, "method"); !method.is_null() && json::string_in(method) != "POST")
    return refuse("method is not POST");
  auto& url = json::member(x, "url");
  auto endpoint = url.is_null() || url.is_string() ? endpoint_of(json::string_in(url)) : std::nullopt;
  if (!endpoint)
    return refuse("url is none of /v1/chat/completions, /v1/responses, /v1/embeddings");
  to.endpoint = *endpoint;
  auto body = json::to_text(json::member(x, "body"));
  if (*endpoint == item_endpoint::embeddings)
    return read_embeddings(body, to);
  return *endpoint == item_endpoint::chat ? wire::openai::read_request(body)
                                          : wire::openai::read_response_request(body);
}

request_or_failure read_short_line(const json::value& x) {
  constexpr auto known =
    std::to_array<std::string_view>({"id", "custom_id", "prompt", "system", "model", "max_tokens", "temperature"});
  for (auto& [name, value] : x.get_ref<const json::value::object_t&>())
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse("the field " + name + " is not known; with `body` in place of `prompt` all of OpenAI's are");
  for (auto* name : {"prompt", "system", "model"})
    if (auto& text = json::member(x, name); !text.is_null() && !text.is_string())
      return refuse(std::string{name} + " is not a string");
  if (json::member(x, "prompt").is_null())
    return refuse("prompt is null");
  if (ascii::trim(json::string_in(json::member(x, "prompt"))).empty())
    return refuse("the prompt is empty: write what to ask, or take the line out");
  chat_request request;
  request.model = json::string_in(json::member(x, "model"));
  if (auto& system = json::member(x, "system"); system.is_string())
    request.messages.push_back(text_message(role::system, std::string{json::string_in(system)}));
  request.messages.push_back(text_message(role::user, std::string{json::string_in(json::member(x, "prompt"))}));
  if (auto& limit = json::member(x, "max_tokens"); !limit.is_null()) {
    auto count = json::count_in(limit);
    if (!count || !std::in_range<uint32_t>(*count))
      return refuse("max_tokens is not a whole number from 0 to 4294967295");
    request.sampling.max_tokens = static_cast<uint32_t>(*count);
  }
  if (auto& temperature = json::member(x, "temperature"); !temperature.is_null()) {
    if (!temperature.is_number())
      return refuse("temperature is not a number");
    request.sampling.temperature = temperature.get<double>();
  }
  return request;
}

/// Items from a text of lines: plain prompts, or JSON objects, as the first line says. A line that cannot be read is an
/// item with a failure, and the others go on; only what makes all of them senseless (an empty file, another encoding, a
/// JSON array) is refused, before the first one. One line is in memory, of 16 MiB at most. Items are numbered from 0 in
/// their order, blank lines not counted, lines as editors count them. Used by one thread at a time.
class line_source : public source {
public:
  /// `path` is empty for standard input.
  line_source(file input, const std::string& path)
    : lines_(std::move(input)), path_(path.empty() ? "standard input" : path), is_file_(!path.empty()) {}

  /// Reads up to the first line that is not blank, which tells the form.
  std::optional<failure> start() {
    if (auto problem = advance())
      return problem;
    if (state_ == line_reader::result::end)
      return refuse(path_ + " is empty, or has only blank lines");
    if (auto encoding = foreign_encoding(line_); !encoding.empty()) // else each line would fail, or be sent as it is
      return refuse(path_ + " is " + std::string{encoding} + "; save it as UTF-8");
    if (auto form = packed_form(line_); !form.empty())
      return refuse(path_ + " is " + std::string{form} + ", no text; unpack it, or export it as lines of text");
    auto start = line_.find_first_not_of(" \t\r"); // none: more than 16 MiB of blanks
    auto first = start != line_.npos ? line_[start] : '\0';
    auto next = start != line_.npos ? line_.find_first_not_of(" \t\r", start + 1) : line_.npos;
    if (first == '[' && (next == line_.npos || std::string_view{"{[\"]"}.find(line_[next]) != std::string_view::npos)) {
      auto problem = refuse(path_ + " is a JSON array; a batch needs one JSON object a line");
      problem.suggestion = "turn it into lines with: jq -c '.[]'" + (is_file_ ? ' ' + shell_word(path_) : "");
      return problem;
    }
    json_lines_ = first == '{';
    return {};
  }

  std::variant<std::optional<item>, failure> next() override {
    if (!waiting_)
      if (auto problem = advance())
        return std::move(*problem);
    if (state_ == line_reader::result::end)
      return std::optional<item>{};
    waiting_ = false;
    item x;
    x.index = index_++;
    x.line = number_;
    x.sum = state_ == result::too_long ? 0 : sum_of(line_);
    x.request = read(x);
    if (x.custom_id.empty())
      x.custom_id = "line-" + std::to_string(number_);
    complete(x, ids_, path_ + ":" + std::to_string(number_));
    return std::optional<item>{std::move(x)};
  }

private:
  using result = line_reader::result;

  /// Reads the next line that is not blank.
  std::optional<failure> advance() {
    do {
      state_ = lines_.next(line_);
      if (state_ == result::failed)
        return io_failure("cannot read", path_);
      if (number_++ == 0)
        line_.erase(0, line_.size() - without_mark(line_).size());
    } while (state_ == result::line && line_.find_first_not_of(" \t\r") == line_.npos);
    waiting_ = true;
    return {};
  }

  /// Reads the line's request, and its id into `x`.
  request_or_failure read(item& x) {
    if (state_ == result::too_long)
      return line_failure(errc::too_large, "the line is longer than 16 MiB");
    if (auto problem = text_problem(line_, "line"); !problem.empty())
      return refuse(std::move(problem));
    if (json_lines_)
      return read_json(x);
    if (looks_like_request(line_))
      return refuse("this looks like JSON, but the file began as plain text");
    chat_request request;
    request.messages.push_back(text_message(role::user, std::move(line_)));
    return request;
  }

  request_or_failure read_json(item& x) {
    auto parsed = json::parse(line_);
    if (auto* why = std::get_if<std::string>(&parsed))
      return refuse("the line is not JSON: " + *why);
    auto& root = std::get<json::value>(parsed);
    if (!root.is_object())
      return refuse("the line is not a JSON object");
    auto whole = root.contains("body");
    auto& custom_id = json::member(root, "custom_id");
    auto& id = custom_id.is_null() && !whole ? json::member(root, "id") : custom_id;
    if (auto text = read_id(id))
      x.custom_id = std::move(*text);
    else if (!id.is_null())
      return refuse("the id is neither a string nor a whole number");
    if (whole)
      return read_batch_line(root, x);
    if (root.contains("prompt"))
      return read_short_line(root);
    return refuse("the line has neither body nor prompt");
  }

  line_reader lines_;
  std::string path_; ///< As people are told it.
  bool is_file_;
  std::string line_;
  result state_ = result::end;
  bool waiting_ = false; ///< Whether `line_` has been read ahead.
  bool json_lines_ = false;
  uint64_t number_ = 0;
  uint64_t index_ = 0;
  id_set ids_;
};

bool has_ending(const std::string& path, std::string_view ending) {
  auto is_same = [](char x, char y) { return ascii::lower(x) == y; };
  return path.size() > ending.size()
         && std::equal(path.end() - static_cast<std::ptrdiff_t>(ending.size()), path.end(), ending.begin(), is_same);
}

bool is_folder(const std::string& path) {
  struct stat is {};
  return path != "-" && ::stat(path.c_str(), &is) == 0 && S_ISDIR(is.st_mode);
}

} // namespace

std::variant<batch_format, failure> find_format(const std::string& path, const input_form& form) {
  if (form.format != batch_format::automatic)
    return form.format;
  auto by_name = is_folder(path)            ? batch_format::folder
                 : has_ending(path, ".csv") ? batch_format::csv
                 : has_ending(path, ".tsv") ? batch_format::tsv
                                            : batch_format::lines;
  if (by_name == batch_format::lines || !form.prompt.empty())
    return by_name;
  auto word = std::string{name_of(by_name)};
  if (by_name == batch_format::folder)
    return make_failure(
      errc::io_failed, "cannot read " + path + ": Is a directory",
      "--format folder makes an item of each of its files; --prompt 'Summarise {{text}}' says what to ask of them");
  return make_failure(errc::invalid_request, path + " looks like a table, by its name",
                      "say --format " + word
                        + " --prompt 'Summarise {{NAME}}', with the name of a column; or --format lines, "
                          "to have each line sent as it is");
}

std::variant<std::unique_ptr<source>, failure> open_source(const std::string& path, const input_form& form) {
  auto format = find_format(path, form);
  if (auto* problem = std::get_if<failure>(&format))
    return std::move(*problem);
  auto is_of = std::get<batch_format>(format);
  if (is_of == batch_format::lines && !form.prompt.empty())
    return make_failure(errc::invalid_request, "a prompt is for tables and folders, and " + path + " is read as lines",
                        "say --format csv, tsv or folder, or leave the prompt out");
  if (is_of == batch_format::folder)
    return open_folder(path, form);
  auto standard = path == "-";
  auto name = standard ? std::string{"standard input"} : path;
  file input{standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (input.get() < 0)
    return io_failure("cannot open", name);
  struct stat is {};
  if (::fstat(input.get(), &is) == 0 && S_ISDIR(is.st_mode)) {
    errno = EISDIR;
    return io_failure("cannot read", name);
  }
  if (is_of != batch_format::lines)
    return open_table(std::move(input), name, {is_of, form.prompt});
  auto lines = std::make_unique<line_source>(std::move(input), standard ? std::string{} : path);
  if (auto problem = lines->start())
    return std::move(*problem);
  return lines;
}

} // namespace modelforge::batch
