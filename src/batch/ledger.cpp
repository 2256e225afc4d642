#include "batch/ledger.hpp"

#include "batch/file.hpp"
#include "wire/json.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

namespace modelforge::batch {

namespace {

constexpr uint64_t version = 1;
constexpr std::size_t block = 256u << 10;
constexpr std::size_t most_buffered = 64u << 10;
constexpr std::string_view sum_key = "{\"sum\":\"";
constexpr std::size_t body_at = 18; ///< After `{"sum":"01234567",`.
constexpr std::string_view line_key = ",\"line\":";

/// Of "slicing by 8" (Kounavis and Berry, 2005): table k is for a byte with k more behind it.
constexpr auto crc_tables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    auto x = i;
    for (int bit = 0; bit < 8; ++bit)
      x = (x & 1) != 0 ? (x >> 1) ^ 0xEDB88320u : x >> 1;
    tables[0][i] = x;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t i = 0; i < 256; ++i)
      tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xFF];
  return tables;
}();

/// CRC-32 as in gzip (ISO 3309): it sees every change within 32 bits in a row.
std::string sum_of(std::string_view bytes) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  uint32_t x = ~uint32_t{0};
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint32_t next = 0;
    for (std::size_t i = 0; i < 4; ++i)
      next ^= crc_tables[7 - i][((x >> (8 * i)) ^ byte(i)) & 0xFF] ^ crc_tables[3 - i][byte(4 + i)];
    x = next;
  }
  for (; !bytes.empty(); bytes.remove_prefix(1))
    x = crc_tables[0][(x ^ byte(0)) & 0xFF] ^ (x >> 8);
  x = ~x;
  std::string text(8, '0');
  for (std::size_t i = 0; i < 8; ++i)
    text[i] = "0123456789abcdef"[(x >> (28 - 4 * i)) & 0xF];
  return text;
}

bool is_whole(std::string_view line) {
  return line.size() > body_at && line.starts_with(sum_key) && line.substr(16, 2) == "\","
         && line.substr(8, 8) == sum_of(line.substr(body_at));
}

/// Whether a crash can have left this of a header. Nothing follows one that was not synced.
bool could_be_header(std::string_view line) {
  return line.size() < 4096
         && (line.empty() || line.substr(0, sum_key.size()) == sum_key.substr(0, line.size()) || line[0] == '\0');
}

/// The members in front of the result's own line, which may be large and is not looked into.
wire::json members_of(std::string_view line) {
  auto head = std::string{line.substr(0, line.find(line_key))};
  if (head.size() < line.size())
    head += '}';
  auto parsed = wire::parse_json(head);
  auto* x = std::get_if<wire::json>(&parsed);
  return x != nullptr ? std::move(*x) : wire::json{};
}

uint64_t number_in(const wire::json& x, std::string_view name) {
  return wire::count_in(wire::member(x, name)).value_or(0);
}

std::string text_in(const wire::json& x, std::string_view name) {
  return std::string{wire::string_in(wire::member(x, name))};
}

std::string hex(uint64_t x) {
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i)
    text[i] = "0123456789abcdef"[(x >> (60 - 4 * i)) & 0xF];
  return text;
}

uint64_t from_hex(std::string_view text) {
  uint64_t x = 0;
  std::from_chars(text.data(), text.data() + text.size(), x, 16);
  return x;
}

failure refusal(std::string message, std::string suggestion) {
  return make_failure(errc::io_failed, std::move(message), std::move(suggestion));
}

std::string in_words(const ledger_input& x) {
  return x.path + " with " + std::to_string(x.size) + " bytes and the hash " + hex(x.hash);
}

/// Writes an event's members; what is not UTF-8 becomes U+FFFD.
class event {
public:
  event(std::string_view name, uint64_t synced) {
    out_.key("event");
    out_.raw('"' + std::string{name} + '"');
    number("synced", synced);
  }

  event& number(std::string_view name, auto x) {
    out_.key(name);
    out_.number(x);
    return *this;
  }

  event& text(std::string_view name, std::string_view x) {
    out_.key(name);
    out_.repaired(x);
    return *this;
  }

  event& raw(std::string_view name, std::string_view json) {
    out_.key(name);
    out_.raw(json);
    return *this;
  }

  std::string take() {
    text_ += '}';
    return std::move(text_);
  }

private:
  std::string text_;
  wire::json_writer out_{text_};
};

std::string ranges_text(const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  std::string text = "[";
  for (auto& [first, last] : ranges)
    text += (text.size() > 1 ? ",[" : "[") + std::to_string(first) + ',' + std::to_string(last) + ']';
  return text + ']';
}

std::vector<std::pair<uint64_t, uint64_t>> ranges_in(const wire::json& x) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (auto& range : x)
    if (range.is_array() && range.size() == 2)
      ranges.emplace_back(wire::count_in(range[0]).value_or(0), wire::count_in(range[1]).value_or(0));
  return ranges;
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
  ledger_input x{0, 0xcbf29ce484222325, std::filesystem::absolute(path, ignored).string()};
  std::string buffer(block, '\0');
  for (;;) {
    auto n = ::read(opened.get(), buffer.data(), buffer.size());
    if (n < 0 && errno != EINTR)
      return io_failure("cannot read", path);
    if (n == 0)
      return x;
    for (auto c : std::string_view{buffer}.substr(0, n > 0 ? static_cast<std::size_t>(n) : 0))
      x.hash = (x.hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    x.size += n > 0 ? static_cast<uint64_t>(n) : 0;
  }
}

// -- opening ------------------------------------------------------------------------------

std::variant<std::unique_ptr<ledger>, failure> ledger::open(std::unique_ptr<ledger_file> file, std::string path,
                                                            ledger_input input, bool fresh) {
  std::unique_ptr<ledger> x{new ledger{std::move(file), std::move(path)}};
  std::optional<uint64_t> torn_at;
  auto problem = fresh ? x->drop() : x->load(torn_at);
  if (!problem && x->size_ > 0)
    problem = x->check(input);
  if (problem)
    return std::move(*problem);
  if (torn_at && !x->file_->truncate(*torn_at))
    return io_failure("cannot cut the torn end off the ledger", x->path_);
  if (x->size_ == 0) {
    x->summary_.input = std::move(input);
    x->problem_ = x->begin();
  }
  if (auto failed = x->sync()) // what is read may only be in the system's memory yet
    return std::move(*failed);
  return x;
}

std::variant<ledger_summary, failure> ledger::look(const std::string& path) {
  class reading : public ledger_file {
  public:
    explicit reading(file x) : file_(std::move(x)) {}

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
  ledger x{std::make_unique<reading>(std::move(opened)), path};
  std::optional<uint64_t> torn_at;
  if (auto problem = x.load(torn_at))
    return std::move(*problem);
  return std::move(x.summary_);
}

std::optional<failure> ledger::drop() {
  std::string head;
  if (!file_->read(0, block, head))
    return io_failure("cannot read the ledger", path_);
  if (!could_be_header(head.substr(0, sum_key.size())) && head.find("\n" + std::string{sum_key}) == head.npos)
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
    ours = ++number == 1 && could_be_header(line);
    auto whole = ended && is_whole(line);
    if (whole && broken != 0)
      synced = std::max(synced, number_in(members_of(line), "synced"));
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
  auto x = members_of(line);
  if (text_in(x, "event") != "header")
    return refusal(path_ + " is no ledger: its first line is no header", "write to another output");
  if (auto theirs = number_in(x, "version"); theirs != version)
    return refusal("the ledger " + path_ + " has version " + std::to_string(theirs) + ", this program writes version "
                     + std::to_string(version),
                   "finish it with the program that began it, or start over with --fresh");
  summary_.input = {number_in(x, "input_size"), from_hex(text_in(x, "input_hash")), text_in(x, "input")};
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
  return append(event{"header", 0}
                  .number("version", version)
                  .text("input", summary_.input.path)
                  .number("input_size", summary_.input.size)
                  .text("input_hash", hex(summary_.input.hash))
                  .take());
}

std::optional<failure> ledger::seal() {
  if (auto problem = sync(); problem || sealed_at_ == size_)
    return problem;
  if (auto problem = append_event(event{"sealed", synced_}.take()))
    return problem;
  auto problem = sync();
  sealed_at_ = size_;
  return problem;
}

std::optional<failure> ledger::take(std::string_view line, uint64_t offset) {
  auto x = members_of(line);
  synced_ = std::max(synced_, number_in(x, "synced"));
  if (text_in(x, "event") != "result") {
    count_event(line);
    return {};
  }
  ledger_result result;
  result.item = number_in(x, "item");
  if (result.item >= summary_.input.size)
    return refusal("the ledger " + path_ + " has a result of item " + std::to_string(result.item)
                     + ", which its input cannot have",
                   "start over with --fresh");
  result.ok = text_in(x, "state") == "ok";
  result.attempts = number_in(x, "attempts");
  result.usage = {number_in(x, "input_tokens"), number_in(x, "output_tokens"), number_in(x, "cached_tokens"),
                  number_in(x, "cache_written_tokens"), number_in(x, "reasoning_tokens")};
  if (auto& cost = wire::member(x, "cost"); cost.is_number())
    result.cost = cost.get<double>();
  count(result, offset);
  return {};
}

// -- writing ------------------------------------------------------------------------------

std::optional<failure> ledger::append(std::string_view body) {
  auto before = buffer_.size();
  ((((buffer_ += sum_key) += sum_of(body)) += "\",") += body) += '\n';
  size_ += buffer_.size() - before;
  return buffer_.size() >= most_buffered ? write() : std::nullopt;
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

std::optional<failure> ledger::add(const ledger_result& x) {
  if (problem_)
    return problem_;
  event body{"result", synced_};
  body.number("item", x.item).raw("state", x.ok ? "\"ok\"" : "\"failed\"").number("attempts", x.attempts);
  body.number("input_tokens", x.usage.input).number("output_tokens", x.usage.output);
  if (x.usage.cached_read > 0)
    body.number("cached_tokens", x.usage.cached_read);
  if (x.usage.cache_written > 0)
    body.number("cache_written_tokens", x.usage.cache_written);
  if (x.usage.reasoning > 0)
    body.number("reasoning_tokens", x.usage.reasoning);
  if (x.cost)
    body.number("cost", *x.cost);
  if (!x.provider.empty())
    body.text("provider", x.provider);
  auto offset = size_;
  problem_ = append(body.raw("line", x.line).take());
  if (!problem_)
    unsynced_.push_back({offset, {}, {x.item, x.ok, x.attempts, x.usage, x.cost, {}, {}}});
  return problem_;
}

std::optional<failure> ledger::intend(const ledger_job& x) {
  return append_event(event{"intent", synced_}
                        .text("nonce", x.nonce)
                        .text("provider", x.provider)
                        .text("model", x.model)
                        .number("at", x.at)
                        .raw("items", ranges_text(x.items))
                        .take());
}

std::optional<failure> ledger::name_job(const std::string& nonce, const std::string& id) {
  return append_event(event{"job", synced_}.text("nonce", nonce).text("id", id).take());
}

std::optional<failure> ledger::end_job(const std::string& nonce, std::string_view outcome) {
  return append_event(event{"job_end", synced_}.text("nonce", nonce).text("outcome", outcome).take());
}

std::optional<failure> ledger::note_total(uint64_t items) {
  return append_event(event{"total", synced_}.number("items", items).take());
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
  for (auto& x : unsynced_)
    x.event.empty() ? count(x.result, x.offset) : count_event('{' + x.event);
  unsynced_.clear();
  return {};
}

// -- counting -----------------------------------------------------------------------------

void ledger::count(const ledger_result& x, uint64_t offset) {
  if (x.item >= places_.size())
    places_.resize(x.item + 1);
  auto before = of(x.item);
  summary_.ok -= before == state::ok;
  summary_.failed -= before == state::failed;
  ++(x.ok ? summary_.ok : summary_.failed);
  places_[x.item] = offset * 4 + static_cast<uint64_t>(x.ok ? state::ok : state::failed);
  summary_.attempts += x.attempts;
  summary_.usage.input += x.usage.input;
  summary_.usage.output += x.usage.output;
  summary_.usage.cached_read += x.usage.cached_read;
  summary_.usage.cache_written += x.usage.cache_written;
  summary_.usage.reasoning += x.usage.reasoning;
  if (x.cost)
    summary_.cost = summary_.cost.value_or(0) + *x.cost;
}

/// Events that this version does not know change nothing.
void ledger::count_event(std::string_view line) {
  auto x = members_of(line);
  auto name = text_in(x, "event");
  auto nonce = text_in(x, "nonce");
  auto job = summary_.jobs.find(nonce);
  if (name == "intent") {
    summary_.jobs[nonce] = {
      nonce, text_in(x, "provider"), text_in(x, "model"), number_in(x, "at"), ranges_in(wire::member(x, "items")), {}};
  } else if (name == "total") {
    summary_.total = number_in(x, "items");
  } else if (job == summary_.jobs.end()) {
    return;
  } else if (name == "job") {
    job->second.id = text_in(x, "id");
  } else if (name == "job_end") {
    if (!job->second.id.empty())
      summary_.ids_of_ended_jobs.push_back(job->second.id);
    summary_.jobs.erase(job);
  }
}

// -- reading ------------------------------------------------------------------------------

std::variant<std::string, failure> ledger::line(uint64_t item) {
  auto offset = places_[item] / 4;
  for (auto size = block;; size *= 4) {
    auto text = offset >= read_at_ ? std::string_view{read_}.substr(std::min(offset - read_at_, read_.size()))
                                   : std::string_view{};
    if (auto end = text.find('\n'); end != text.npos) {
      text = text.substr(0, end);
      auto begin = text.find(line_key);
      if (!is_whole(text) || begin == text.npos)
        break;
      begin += line_key.size();
      return std::string{text.substr(begin, text.size() - begin - 1)};
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
    auto begin = text.find(line_key);
    if (problem || !ended || begin == text.npos)
      return;
    auto item = number_in(members_of(text), "item");
    if (of(item) == state::missing || places_[item] / 4 != offset) // a later result took its place
      return;
    begin += line_key.size();
    problem = each(text.substr(begin, text.size() - begin - 1));
  };
  if (!for_each_raw_line(*file_, take) && !problem)
    problem = io_failure("cannot read the ledger", path_);
  return problem;
}

} // namespace modelforge::batch
