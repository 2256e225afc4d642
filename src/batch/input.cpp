#include "batch/input.hpp"

#include "batch/folder_source.hpp"

#include <sys/stat.h>

#include <utility>

namespace modelforge::batch {

bool is_regular_file(const std::string& path) {
  struct stat info;
  return path != "-" && (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

namespace {

/// Has a folder's facts say what is in its files, too: their sizes, and the last time that one was changed.
void add_content(const std::string& folder, struct stat& info) {
  auto names = files_in(folder);
  if (!std::holds_alternative<std::vector<std::string>>(names))
    return;
  for (auto& name : std::get<std::vector<std::string>>(names)) {
    struct stat one {};
    if (stat((folder + '/' + name).c_str(), &one) != 0)
      continue;
    info.st_size += one.st_size;
    if (one.st_mtim.tv_sec > info.st_mtim.tv_sec
        || (one.st_mtim.tv_sec == info.st_mtim.tv_sec && one.st_mtim.tv_nsec > info.st_mtim.tv_nsec))
      info.st_mtim = one.st_mtim;
  }
}

} // namespace

input::fingerprint input::fingerprint_of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    return {};
  if (S_ISDIR(info.st_mode))
    add_content(path, info);
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

std::variant<input, failure> input::open(const std::string& path, input_form form) {
  input x{path, std::move(form)};
  if (!is_regular_file(path)) // one that is missing counts as a file: it is refused at once
    return x;
  x.opened_ = fingerprint_of(path);
  auto source = open_source(path, x.form_);
  if (auto* problem = std::get_if<failure>(&source))
    return std::move(*problem);
  x.source_ = std::move(std::get<0>(source));
  return x;
}

void input::start(std::function<void()> on_ready) {
  if (!source_)
    feed_ = std::make_unique<feed>(path_, form_, std::move(on_ready));
}

std::optional<feed::entry> input::next() {
  if (feed_)
    return feed_->try_next();
  return source_->next();
}

std::optional<failure> input::rewind() {
  if (fingerprint_of(path_) != opened_)
    return make_failure(errc::io_failed, "the input " + path_ + " changed while the batch ran",
                        "run it with the input as it was, or start over with --fresh");
  auto source = open_source(path_, form_);
  if (auto* problem = std::get_if<failure>(&source))
    return std::move(*problem);
  source_ = std::move(std::get<0>(source));
  return {};
}

} // namespace modelforge::batch
