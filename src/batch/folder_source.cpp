#include "batch/folder_source.hpp"

#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "batch/file.hpp"
#include "batch/line_reader.hpp"
#include "batch/prompt_template.hpp"
#include "batch/source_parts.hpp"

#include <modelforge/messages/content.hpp>

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

namespace modelforge::batch {

namespace {

namespace fs = std::filesystem;

/// Reads a file whole, up to one byte more than is taken.
std::variant<std::string, failure> read_whole(const std::string& path) {
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.get() < 0)
    return io_failure("cannot open", path);
  std::string text;
  for (char buffer[1 << 16]; text.size() <= max_line;) {
    auto n = ::read(opened.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return io_failure("cannot read", path);
    if (n == 0)
      break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

class folder_source : public source {
public:
  folder_source(std::string path, std::vector<std::string> names, prompt_template prompt)
    : path_(std::move(path)), names_(std::move(names)), prompt_(std::move(prompt)) {}

  std::variant<std::optional<item>, failure> next() override {
    if (index_ == names_.size())
      return std::optional<item>{};
    item x;
    x.index = index_;
    x.custom_id = names_[index_++];
    x.line = index_;
    auto place = path_ + "/" + x.custom_id;
    x.request = read(place, x);
    complete(x, ids_, place);
    return std::optional<item>{std::move(x)};
  }

private:
  std::variant<chat_request, failure> read(const std::string& place, item& x) {
    auto content = read_whole(place);
    if (auto* problem = std::get_if<failure>(&content))
      return refuse(problem->message);
    auto& text = std::get<std::string>(content);
    x.sum = sum_of(text);
    if (text.size() > max_line)
      return refuse("the file is longer than 16 MiB");
    if (auto encoding = foreign_encoding(text); !encoding.empty())
      return refuse("the file is " + std::string{encoding} + "; save it as UTF-8");
    if (auto problem = text_problem(text, "file"); !problem.empty())
      return refuse(std::move(problem));
    chat_request request;
    request.messages.push_back(text_message(role::user, prompt_.fill({std::string{without_mark(text)}, x.custom_id})));
    return request;
  }

  std::string path_;
  std::vector<std::string> names_;
  prompt_template prompt_;
  uint64_t index_ = 0;
  id_set ids_;
};

} // namespace

std::variant<std::vector<std::string>, failure> files_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code problem;
  fs::recursive_directory_iterator entry{folder, problem}, end;
  while (!problem && entry != end) {
    auto is_hidden = entry->path().filename().string().starts_with('.');
    if (is_hidden && entry->is_directory())
      entry.disable_recursion_pending();
    std::error_code ignored;
    if (!is_hidden && entry->is_regular_file(ignored))
      names.push_back(entry->path().lexically_relative(folder).string());
    entry.increment(problem);
  }
  if (problem) {
    errno = problem.value();
    return io_failure("cannot read", folder);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::variant<std::unique_ptr<source>, failure> open_folder(const std::string& path, const input_form& form) {
  auto names = files_in(path);
  if (auto* problem = std::get_if<failure>(&names))
    return std::move(*problem);
  if (std::get<0>(names).empty())
    return make_failure(errc::io_failed, path + " holds no files");
  auto prompt = prompt_template::make(form.prompt.empty() ? "{{text}}" : form.prompt, {"text", "name"});
  if (auto* problem = std::get_if<failure>(&prompt))
    return std::move(*problem);
  return std::make_unique<folder_source>(path, std::move(std::get<0>(names)), std::move(std::get<0>(prompt)));
}

} // namespace modelforge::batch
