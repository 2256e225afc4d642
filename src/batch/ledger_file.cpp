#include "batch/ledger_file.hpp"

#include "batch/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace modelforge::batch {

namespace {

class disk_file : public ledger_file {
public:
  explicit disk_file(file x) : file_(std::move(x)) {}

  bool read(uint64_t offset, std::size_t size, std::string& out) override {
    out.resize(size);
    std::size_t got = 0;
    while (got < size) {
      auto n = ::pread(file_.get(), out.data() + got, size - got, static_cast<off_t>(offset + got));
      if (n < 0 && errno != EINTR)
        return false;
      if (n == 0)
        break;
      got += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    out.resize(got);
    return true;
  }

  bool append(std::string_view bytes) override { return base::write_all(file_.get(), bytes); }

  bool sync() override {
    struct stat is {};
    if (::fdatasync(file_.get()) != 0 || ::fstat(file_.get(), &is) != 0)
      return false;
    errno = ENOENT;
    return is.st_nlink > 0;
  }

  bool truncate(uint64_t size) override { return ::ftruncate(file_.get(), static_cast<off_t>(size)) == 0; }

private:
  file file_;
};

/// A file as it would be, without being changed.
class previewed_file : public ledger_file {
public:
  previewed_file(disk_file x, uint64_t size) : below_(std::move(x)), size_(size) {}

  bool read(uint64_t offset, std::size_t size, std::string& out) override {
    auto inside = size_ - std::min(offset, size_);
    if (!below_.read(offset, static_cast<std::size_t>(std::min<uint64_t>(size, inside)), out))
      return false;
    if (auto from = offset + out.size(); from >= size_ && from - size_ < added_.size())
      out += std::string_view{added_}.substr(from - size_, size - out.size());
    return true;
  }

  bool append(std::string_view bytes) override {
    added_ += bytes;
    return true;
  }

  bool sync() override { return true; }

  bool truncate(uint64_t size) override {
    added_.resize(size > size_ ? size - size_ : 0);
    size_ = std::min(size_, size);
    return true;
  }

private:
  disk_file below_;
  uint64_t size_; ///< Of what is read of it.
  std::string added_;
};

/// Makes a new file's name outlive a crash.
bool sync_folder_of(const std::string& path) {
  auto folder = std::filesystem::path{path}.parent_path().string();
  file opened{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  return opened.get() >= 0 && ::fsync(opened.get()) == 0;
}

} // namespace

bool for_each_line_in(ledger_file& file, const std::function<void(std::string_view, uint64_t, bool)>& each) {
  constexpr std::size_t block = 256u << 10;
  std::string held;
  std::string read;
  uint64_t start = 0; // of `held` in the file
  do {
    if (!file.read(start + held.size(), block, read))
      return false;
    auto searched = held.size();
    held += read;
    std::size_t begin = 0;
    for (auto end = held.find('\n', searched); end != held.npos; end = held.find('\n', begin)) {
      each(std::string_view{held}.substr(begin, end - begin), start + begin, true);
      begin = end + 1;
    }
    held.erase(0, begin);
    start += begin;
  } while (!read.empty());
  if (!held.empty())
    each(held, start, false);
  return true;
}

std::variant<std::unique_ptr<ledger_file>, failure> look_at_ledger_file(const std::string& path) {
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}; // so that all that would change it fails
  if (opened.get() < 0)
    return io_failure("cannot open the ledger", path);
  return std::make_unique<disk_file>(std::move(opened));
}

std::variant<std::unique_ptr<ledger_file>, failure> open_ledger_file(const std::string& path) {
  file opened{::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600)}; // it holds prompts' answers
  if (opened.get() < 0)
    return io_failure("cannot open the ledger", path);
  if (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return make_failure(errc::io_failed, "another run is using the ledger " + path,
                        "wait for it, or write to another output");
  if (!sync_folder_of(path))
    return io_failure("cannot sync the folder of the ledger", path);
  return std::make_unique<disk_file>(std::move(opened));
}

std::variant<std::unique_ptr<ledger_file>, failure> preview_ledger_file(const std::string& path) {
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat is {};
  if (opened.get() < 0 || ::fstat(opened.get(), &is) != 0)
    return io_failure("cannot open the ledger", path);
  return std::make_unique<previewed_file>(disk_file{std::move(opened)}, static_cast<uint64_t>(is.st_size));
}

} // namespace modelforge::batch
