#include "batch/ledger.hpp"

#include "base/hex.hpp"
#include "batch/file.hpp"
#include "batch/ledger_line.hpp"
#include "batch/usage_sum.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace modelforge::batch {

namespace {

using ledger_line::number_in;
using ledger_line::text_in;

constexpr uint64_t version = 1;
constexpr std::size_t block = 256u << 10;
constexpr std::size_t max_buffered = 64u << 10;
failure refusal(std::string message, std::string suggestion) {
  return make_failure(errc::io_failed, std::move(message), std::move(suggestion));
}

ledger_input input_in(const json::value& members) {
  return {number_in(members, "input_size"), ledger_line::from_hex(text_in(members, "input_hash")),
          text_in(members, "input")};
}

std::string in_words(const ledger_input& input) {
  return input.path + " with " + std::to_string(input.size) + " bytes and the hash " + hex::digits_of(input.hash);
}

/// Calls `each(line, offset, ended)` for all lines; `ended` is false for a last one without its end.
template <class Each>
bool for_each_raw_line(ledger_file& file, Each each) {
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

} // namespace

std::variant<ledger_input, failure> read_ledger_input(const std::string& path) {
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.get() < 0)
    return io_failure("cannot open", path);
  std::error_code ignored;
  ledger_input content{0, 0xcbf29ce484222325, std::filesystem::absolute(path, ignored).string()};
  std::string buffer(block, '\0');
  for (;;) {
    auto n = ::read(opened.get(), buffer.data(), buffer.size());
    if (n < 0 && errno != EINTR)
      return io_failure("cannot read", path);
    if (n == 0)
      return content;
    for (auto c : std::string_view{buffer}.substr(0, n > 0 ? static_cast<std::size_t>(n) : 0))
      content.hash = (content.hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    content.size += n > 0 ? static_cast<uint64_t>(n) : 0;
  }
}

// -- opening ------------------------------------------------------------------------------

std::variant<std::unique_ptr<ledger>, failure> ledger::open(std::unique_ptr<ledger_file> file, std::string path,
                                                            ledger_input input, bool fresh, bool any_input) {
  std::unique_ptr<ledger> opened{new ledger{std::move(file), std::move(path)}};
  std::optional<uint64_t> torn_at;
  auto problem = fresh ? opened->drop() : opened->load(torn_at);
  if (!problem && opened->size_ > 0 && !any_input)
    problem = opened->check(input);
  if (problem)
    return std::move(*problem);
  if (torn_at && !opened->file_->truncate(*torn_at))
    return io_failure("cannot cut the torn end off the ledger", opened->path_);
  if (opened->size_ == 0) {
    opened->summary_.input = std::move(input);
    opened->problem_ = opened->begin();
  }
  if (auto failed = opened->sync()) // what is read may only be in the system's memory yet
    return std::move(*failed);
  return opened;
}

std::variant<ledger_summary, failure> ledger::look(const std::string& path) {
  class reading : public ledger_file {
  public:
    explicit reading(file opened) : file_(std::move(opened)) {}

    bool read(uint64_t offset, std::size_t size, std::string& out) override {
      out.resize(size);
      auto n = ::pread(file_.get(), out.data(), size, static_cast<off_t>(offset));
      out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      return n >= 0;
    }

    bool append(std::string_view) override { return false; }
    bool sync() override { return false; }
    bool truncate(uint64_t) override { return false; }

  private:
    file file_;
  };
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.get() < 0)
    return io_failure("cannot open the ledger", path);
  ledger seen{std::make_unique<reading>(std::move(opened)), path};
  std::optional<uint64_t> torn_at;
  if (auto problem = seen.load(torn_at))
    return std::move(*problem);
  return std::move(seen.summary_);
}

std::optional<failure> ledger::drop() {
  std::string head;
  if (!file_->read(0, block, head))
    return io_failure("cannot read the ledger", path_);
  if (!ledger_line::could_be_header(head.substr(0, ledger_line::sum_key.size()))
      && head.find("\n" + std::string{ledger_line::sum_key}) == head.npos)
    return refusal("--fresh would empty " + path_ + ", which is no ledger", "move it away, or write to another output");
  if (!file_->truncate(0))
    return io_failure("cannot empty the ledger", path_);
  return {};
}

std::optional<failure> ledger::load(std::optional<uint64_t>& torn_at) {
  uint64_t number = 0;
  uint64_t broken = 0; // the first broken line's number
  uint64_t synced = 0;
  bool ours = true; // whether a broken first line can be what a crash left of a header
  std::optional<failure> problem;
  auto each = [&](std::string_view line, uint64_t offset, bool ended) {
    ours = ++number == 1 && ledger_line::could_be_header(line);
    auto whole = ended && ledger_line::is_whole(line);
    if (whole && broken != 0)
      synced = std::max(synced, number_in(ledger_line::members_of(line), "synced"));
    if (problem || broken != 0)
      return;
    if (whole) {
      problem = offset == 0 ? take_header(line) : take(line, offset);
      size_ = offset + line.size() + 1;
    } else {
      broken = number;
      torn_at = offset;
    }
  };
  if (!for_each_raw_line(*file_, each))
    return io_failure("cannot read the ledger", path_);
  if (problem)
    return problem;
  synced = std::max(synced, synced_);
  if (broken != 0 && *torn_at < synced)
    return refusal(path_ + ":" + std::to_string(broken) + ": the line is damaged, and it had been synced",
                   "restore the file from a copy, or start over with --fresh");
  if (broken == 1 && !ours)
    return refusal(path_ + ":1: this is no whole ledger: its header is missing or damaged",
                   "move the file away, or start over with --fresh");
  return {};
}

std::optional<failure> ledger::take_header(std::string_view line) {
  auto members = ledger_line::members_of(line);
  if (text_in(members, "event") != "header")
    return refusal(path_ + " is no ledger: its first line is no header", "write to another output");
  if (auto theirs = number_in(members, "version"); theirs != version)
    return refusal("the ledger " + path_ + " has version " + std::to_string(theirs) + ", this program writes version "
                     + std::to_string(version),
                   "finish it with the program that began it, or start over with --fresh");
  summary_.input = input_in(members);
  return {};
}

std::optional<failure> ledger::check(const ledger_input& wanted) const {
  auto& mine = summary_.input;
  if (wanted.size == mine.size && wanted.hash == mine.hash)
    return {};
  return refusal("the ledger " + path_ + " belongs to another input: " + in_words(mine) + "; this one is "
                   + in_words(wanted),
                 "run it with the input it was begun with, or start over with --fresh");
}

std::optional<failure> ledger::begin() {
  return append(ledger_line::writer{"header", 0}
                  .number("version", version)
                  .text("input", summary_.input.path)
                  .number("input_size", summary_.input.size)
                  .text("input_hash", hex::digits_of(summary_.input.hash))
                  .take());
}

std::optional<failure> ledger::seal() {
  if (auto problem = sync(); problem || sealed_at_ == size_)
    return problem;
  if (auto problem = append_event(ledger_line::writer{"sealed", synced_}.take()))
    return problem;
  auto problem = sync();
  sealed_at_ = size_;
  return problem;
}

std::optional<failure> ledger::take(std::string_view line, uint64_t offset) {
  auto members = ledger_line::members_of(line);
  synced_ = std::max(synced_, number_in(members, "synced"));
  if (text_in(members, "event") != "result") {
    count_event(line, offset);
    return {};
  }
  ledger_result result;
  result.item = number_in(members, "item");
  if (result.item >= summary_.input.size)
    return refusal("the ledger " + path_ + " has a result of item " + std::to_string(result.item)
                     + ", which its input cannot have",
                   "start over with --fresh");
  result.ok = text_in(members, "state") == "ok";
  from_string(text_in(members, "flaw"), result.flaw);
  result.attempts = number_in(members, "attempts");
  result.usage = {number_in(members, "input_tokens"), number_in(members, "output_tokens"),
                  number_in(members, "cached_tokens"), number_in(members, "cache_written_tokens"),
                  number_in(members, "reasoning_tokens")};
  if (auto& cost = json::member(members, "cost"); cost.is_number())
    result.cost = cost.get<double>();
  count(result, offset);
  return {};
}

// -- writing ------------------------------------------------------------------------------

std::optional<failure> ledger::append(std::string_view body) {
  auto before = buffer_.size();
  ledger_line::append(buffer_, body);
  size_ += buffer_.size() - before;
  return buffer_.size() >= max_buffered ? write() : std::nullopt;
}

std::optional<failure> ledger::write() {
  auto written = file_->append(buffer_);
  buffer_.clear();
  return written ? std::nullopt : std::optional{io_failure("cannot write to the ledger", path_)};
}

std::optional<failure> ledger::append_event(const std::string& body) {
  if (problem_)
    return problem_;
  auto offset = size_;
  problem_ = append(body);
  if (!problem_)
    unsynced_.push_back({offset, body, {}});
  return problem_;
}

std::optional<failure> ledger::add(const ledger_result& result) {
  if (problem_)
    return problem_;
  ledger_line::writer body{"result", synced_};
  body.number("item", result.item)
    .raw("state", result.ok ? "\"ok\"" : "\"failed\"")
    .number("attempts", result.attempts);
  if (result.flaw != answer_flaw::none)
    body.text("flaw", name_of(result.flaw));
  body.number("input_tokens", result.usage.input).number("output_tokens", result.usage.output);
  if (result.usage.cached_read > 0)
    body.number("cached_tokens", result.usage.cached_read);
  if (result.usage.cache_written > 0)
    body.number("cache_written_tokens", result.usage.cache_written);
  if (result.usage.reasoning > 0)
    body.number("reasoning_tokens", result.usage.reasoning);
  if (result.cost)
    body.number("cost", *result.cost);
  if (!result.provider.empty())
    body.text("provider", result.provider);
  if (result.input_sum != 0)
    body.text("input_sum", hex::digits_of(result.input_sum));
  auto offset = size_;
  problem_ = append(body.raw("line", result.line).take());
  if (!problem_)
    unsynced_.push_back(
      {offset, {}, {result.item, result.ok, result.attempts, result.usage, result.cost, {}, {}, 0, result.flaw}});
  return problem_;
}

std::optional<failure> ledger::intend(const ledger_job& job) {
  return append_event(ledger_line::writer{"intent", synced_}
                        .text("nonce", job.nonce)
                        .text("provider", job.provider)
                        .text("model", job.model)
                        .number("at", job.at)
                        .ranges("items", job.items)
                        .take());
}

std::optional<failure> ledger::name_job(const std::string& nonce, const std::string& id) {
  return append_event(ledger_line::writer{"job", synced_}.text("nonce", nonce).text("id", id).take());
}

std::optional<failure> ledger::end_job(const std::string& nonce, std::string_view outcome) {
  return append_event(ledger_line::writer{"job_end", synced_}.text("nonce", nonce).text("outcome", outcome).take());
}

std::optional<failure> ledger::note_total(uint64_t items) {
  return append_event(ledger_line::writer{"total", synced_}.number("items", items).take());
}

std::optional<failure> ledger::note_run(const std::map<std::string, std::string>& made_with) {
  return append_event(ledger_line::writer{"run", synced_}.texts("made_with", made_with).take());
}

std::optional<failure> ledger::change_input(const ledger_input& now,
                                            const std::vector<std::pair<uint64_t, uint64_t>>& again) {
  return append_event(ledger_line::writer{"input", synced_}
                        .text("input", now.path)
                        .number("input_size", now.size)
                        .text("input_hash", hex::digits_of(now.hash))
                        .ranges("again", again)
                        .take());
}

std::optional<failure> ledger::note(const ledger_event& event) {
  if (auto* job = std::get_if<ledger_job>(&event))
    return intend(*job);
  if (auto* named = std::get_if<job_named>(&event))
    return name_job(named->nonce, named->id);
  if (auto* ended = std::get_if<job_ended>(&event))
    return end_job(ended->nonce, ended->outcome);
  return note_total(std::get<input_total>(event).items);
}

std::optional<failure> ledger::sync() {
  if (!problem_ && !buffer_.empty())
    problem_ = write();
  if (problem_)
    return problem_;
  if (!file_->sync()) { // the system may have dropped what it could not write: trying again would prove nothing
    problem_ = io_failure("cannot sync the ledger", path_);
    return problem_;
  }
  synced_ = size_;
  for (auto& change : unsynced_)
    change.event.empty() ? count(change.result, change.offset) : count_event('{' + change.event, change.offset);
  unsynced_.clear();
  return {};
}

// -- counting -----------------------------------------------------------------------------

void ledger::count(const ledger_result& result, uint64_t offset) {
  if (result.item >= places_.size())
    places_.resize(result.item + 1);
  forget(result.item);
  ++(result.ok ? summary_.ok : summary_.failed);
  summary_.flawed.add(result.flaw);
  places_[result.item] = offset << offset_shift | static_cast<uint64_t>(result.flaw) << flaw_shift
                         | static_cast<uint64_t>(result.ok ? state::ok : state::failed);
  summary_.attempts += result.attempts;
  add_to(summary_.usage, result.usage);
  add_to(summary_.cost, result.cost);
}

void ledger::forget(uint64_t item) {
  summary_.ok -= of(item) == state::ok;
  summary_.failed -= of(item) == state::failed;
  if (auto* count = summary_.flawed.of(flaw_of(item)))
    --*count;
  places_[item] = 0;
}

/// Events that this version does not know change nothing.
void ledger::count_event(std::string_view line, uint64_t offset) {
  auto members = ledger_line::members_of(line);
  auto name = text_in(members, "event");
  auto nonce = text_in(members, "nonce");
  auto job = summary_.jobs.find(nonce);
  if (name == "intent") {
    summary_.jobs[nonce] = {nonce,
                            text_in(members, "provider"),
                            text_in(members, "model"),
                            number_in(members, "at"),
                            ledger_line::ranges_in(members, "items"),
                            {},
                            offset};
  } else if (name == "total") {
    summary_.total = number_in(members, "items");
  } else if (name == "input") {
    summary_.input = input_in(members);
    summary_.total.reset();
    for (auto [first, last] : ledger_line::ranges_in(members, "again"))
      for (auto item = first; item <= last && item < places_.size(); ++item)
        forget(item);
  } else if (name == "run") {
    summary_.made_with = ledger_line::texts_in(members, "made_with");
  } else if (job == summary_.jobs.end()) {
    return;
  } else if (name == "job") {
    job->second.id = text_in(members, "id");
  } else if (name == "job_end") {
    if (!job->second.id.empty())
      summary_.ids_of_ended_jobs.push_back(job->second.id);
    summary_.jobs.erase(job);
  }
}

std::vector<std::pair<uint64_t, uint64_t>> ledger::unanswered(const ledger_job& job) const {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (auto [first, last] : job.items)
    for (auto item = first; item <= last; ++item) {
      if (of(item) == state::ok || (of(item) == state::failed && offset_of(item) > job.offset))
        continue;
      if (!ranges.empty() && ranges.back().second + 1 == item)
        ++ranges.back().second;
      else
        ranges.emplace_back(item, item);
    }
  return ranges;
}

// -- reading ------------------------------------------------------------------------------

std::variant<std::vector<uint32_t>, failure> ledger::input_sums() {
  std::vector<uint32_t> sums(places_.size());
  auto take = [&](std::string_view text, uint64_t offset, bool) {
    if (ledger_line::result_in(text).empty())
      return;
    auto members = ledger_line::members_of(text);
    auto item = number_in(members, "item");
    if (item < places_.size() && of(item) != state::missing && offset_of(item) == offset)
      sums[item] = static_cast<uint32_t>(ledger_line::from_hex(text_in(members, "input_sum")));
  };
  if (!for_each_raw_line(*file_, take))
    return io_failure("cannot read the ledger", path_);
  return sums;
}

std::variant<std::string, failure> ledger::line(uint64_t item) {
  auto offset = offset_of(item);
  for (auto size = block;; size *= 4) {
    auto text = offset >= read_at_ ? std::string_view{read_}.substr(std::min(offset - read_at_, read_.size()))
                                   : std::string_view{};
    if (auto end = text.find('\n'); end != text.npos) {
      text = text.substr(0, end);
      auto result = ledger_line::result_in(text);
      if (!ledger_line::is_whole(text) || result.empty())
        break;
      return std::string{result};
    }
    read_at_ = offset - std::min<uint64_t>(offset, size / 4); // results of items nearby are mostly nearby
    if (!file_->read(read_at_, size, read_))
      return io_failure("cannot read the ledger", path_);
    if (read_.size() < size && read_.find('\n', offset - read_at_) == read_.npos)
      break;
  }
  return refusal("the ledger " + path_ + " was changed while it was in use", "start over with --fresh");
}

std::optional<failure> ledger::for_each_line(bool by_arrival,
                                             const std::function<std::optional<failure>(std::string_view)>& each) {
  std::optional<failure> problem;
  if (!by_arrival) {
    for (uint64_t item = 0; item < places_.size() && !problem; ++item) {
      if (of(item) == state::missing)
        continue;
      auto text = line(item);
      auto* unread = std::get_if<failure>(&text);
      problem = unread != nullptr ? std::move(*unread) : each(std::get<std::string>(text));
    }
    return problem;
  }
  auto take = [&](std::string_view text, uint64_t offset, bool ended) {
    auto result = ledger_line::result_in(text);
    if (problem || !ended || result.empty())
      return;
    auto item = number_in(ledger_line::members_of(text), "item");
    if (of(item) == state::missing || offset_of(item) != offset) // a later result took its place
      return;
    problem = each(result);
  };
  if (!for_each_raw_line(*file_, take) && !problem)
    problem = io_failure("cannot read the ledger", path_);
  return problem;
}

} // namespace modelforge::batch
