#include "batch/reader.hpp"

#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "batch/file.hpp"
#include "wire/openai/format.hpp"
#include "json/value.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <functional>
#include <vector>

namespace modelforge::batch {

namespace {

constexpr std::size_t max_line = 16u << 20;
constexpr std::size_t block = 64u << 10;

/// A set of 64-bit hashes, 11 to 22 bytes each. Two different ids meet by chance once in 2^64 pairs.
class hash_set {
public:
  /// Returns false if it was there.
  bool insert(uint64_t x) {
    x += x == 0; // 0 marks a free place
    if (4 * (size_ + 1) > 3 * places_.size())
      grow();
    auto& place = find(x);
    if (place == x)
      return false;
    place = x;
    ++size_;
    return true;
  }

private:
  uint64_t& find(uint64_t x) {
    auto mask = places_.size() - 1;
    auto i = x & mask;
    while (places_[i] != 0 && places_[i] != x)
      i = (i + 1) & mask;
    return places_[i];
  }

  void grow() {
    auto old = std::exchange(places_, std::vector<uint64_t>(std::max<std::size_t>(64, 2 * places_.size())));
    for (auto x : old)
      if (x != 0)
        find(x) = x;
  }

  std::vector<uint64_t> places_;
  std::size_t size_ = 0;
};

/// The same in parts, which grow one at a time: so a large one is never in memory twice.
class large_hash_set {
public:
  bool insert(uint64_t x) { return parts_[x >> 58].insert(x); }

private:
  std::array<hash_set, 64> parts_;
};

/// Cuts a file into lines, a block at a time.
class line_reader {
public:
  explicit line_reader(file input) : input_(std::move(input)), buffer_(block, '\0') {}

  enum class result : uint8_t { line, too_long, end, failed };

  /// Reads the next line into `line`, without its end (LF or CRLF). Of one that is too long only the beginning is
  /// held; the rest is skipped. `failed` leaves the reason in errno.
  result next(std::string& line) {
    line.clear();
    bool too_long = false;
    for (;;) {
      if (begin_ == end_ && !fill())
        return failed_ ? result::failed : begun_ ? finish(line, too_long) : result::end;
      begun_ = true;
      auto* start = buffer_.data() + begin_;
      auto* stop = static_cast<const char*>(std::memchr(start, '\n', end_ - begin_));
      auto length = stop != nullptr ? static_cast<std::size_t>(stop - start) : end_ - begin_;
      too_long = too_long || line.size() + length > max_line;
      if (!too_long)
        line.append(start, length);
      begin_ += length + (stop != nullptr);
      if (stop != nullptr)
        return finish(line, too_long);
    }
  }

private:
  result finish(std::string& line, bool too_long) {
    begun_ = false;
    if (line.ends_with('\r'))
      line.pop_back();
    return too_long ? result::too_long : result::line;
  }

  bool fill() {
    for (;;) {
      auto n = ::read(input_.get(), buffer_.data(), buffer_.size());
      if (n >= 0) {
        begin_ = 0;
        end_ = static_cast<std::size_t>(n);
        return n > 0;
      }
      if (!try_again(input_.get(), POLLIN)) {
        failed_ = true;
        return false;
      }
    }
  }

  file input_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool begun_ = false; ///< Whether some of the line has been read.
  bool failed_ = false;
};

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

/// FNV-1a, folded; never 0.
uint32_t sum_of(std::string_view line) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : line)
    hash = (hash ^ c) * 0x100000001b3;
  return std::max<uint32_t>(1, static_cast<uint32_t>(hash ^ (hash >> 32)));
}

using request_or_failure = std::variant<chat_request, failure>;

failure refuse(std::string message) {
  return line_failure(errc::invalid_request, std::move(message));
}

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

/// OpenAI's path, or Azure's, which has no version in it.
bool is_chat_url(std::string_view url) {
  return url == "/v1/chat/completions" || url == "/chat/completions";
}

request_or_failure read_batch_line(const json::value& x) {
  if (auto& method = json::member(x, "method"); !method.is_null() && json::string_in(method) != "POST")
    return refuse("method is not POST");
  if (auto& url = json::member(x, "url"); !url.is_null() && !is_chat_url(json::string_in(url)))
    return refuse("url is not /v1/chat/completions");
  return wire::openai::read_request(json::to_text(json::member(x, "body")));
}

request_or_failure read_short_line(const json::value& x) {
  constexpr auto known =
    std::to_array<std::string_view>({"id", "custom_id", "prompt", "system", "model", "max_tokens", "temperature"});
  for (auto& [name, value] : x.get_ref<const json::value::object_t&>())
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse("the field " + name + " is not known; with `body` in place of `prompt` all of OpenAI's are");
  for (auto* name : {"prompt", "system", "model"})
    if (auto& text = json::member(x, name); !text.is_null() && !text.is_string())
      return refuse(std::string{name} + " is no string");
  if (json::member(x, "prompt").is_null())
    return refuse("prompt is null");
  chat_request request;
  request.model = json::string_in(json::member(x, "model"));
  if (auto& system = json::member(x, "system"); system.is_string())
    request.messages.push_back(text_message(role::system, std::string{json::string_in(system)}));
  request.messages.push_back(text_message(role::user, std::string{json::string_in(json::member(x, "prompt"))}));
  if (auto& limit = json::member(x, "max_tokens"); !limit.is_null()) {
    auto count = json::count_in(limit);
    if (!count || !std::in_range<uint32_t>(*count))
      return refuse("max_tokens is no whole number from 0 to 4294967295");
    request.sampling.max_tokens = static_cast<uint32_t>(*count);
  }
  if (auto& temperature = json::member(x, "temperature"); !temperature.is_null()) {
    if (!temperature.is_number())
      return refuse("temperature is no number");
    request.sampling.temperature = temperature.get<double>();
  }
  return request;
}

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
      return line_failure(errc::io_failed, path_ + " is empty: it holds no line that is not blank");
    if (auto encoding = foreign_encoding(line_); !encoding.empty()) // else each line would fail, or be sent as it is
      return refuse(path_ + " is " + std::string{encoding} + "; save it as UTF-8");
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
    if (!ids_.insert(std::hash<std::string>{}(x.custom_id)) && x.request.index() == 0)
      x.request = refuse("the custom_id " + x.custom_id + " has been used by an earlier line");
    if (auto* problem = std::get_if<failure>(&x.request))
      problem->message = path_ + ":" + std::to_string(number_) + ": " + problem->message;
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
    if (!utf8::is_valid(line_))
      return refuse("the line is not UTF-8");
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
      return refuse("the line is no JSON: " + *why);
    auto& root = std::get<json::value>(parsed);
    if (!root.is_object())
      return refuse("the line is no JSON object");
    auto whole = root.contains("body");
    auto& custom_id = json::member(root, "custom_id");
    auto& id = custom_id.is_null() && !whole ? json::member(root, "id") : custom_id;
    if (auto text = read_id(id))
      x.custom_id = std::move(*text);
    else if (!id.is_null())
      return refuse("the id is neither a string nor a whole number");
    if (whole)
      return read_batch_line(root);
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
  large_hash_set ids_;
};

} // namespace

std::variant<std::unique_ptr<source>, failure> open_source(const std::string& path) {
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
  auto lines = std::make_unique<line_source>(std::move(input), standard ? std::string{} : path);
  if (auto problem = lines->start())
    return std::move(*problem);
  return lines;
}

} // namespace modelforge::batch
