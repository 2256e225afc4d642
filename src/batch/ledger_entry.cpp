#include "batch/ledger_entry.hpp"

#include "base/hex.hpp"
#include "batch/file.hpp"
#include "batch/ledger_line.hpp"

#include <fcntl.h>

#include <filesystem>

namespace modelforge::batch {

namespace {

using ledger_line::number_in;
using ledger_line::text_in;
using ledger_line::writer;

constexpr std::size_t input_block = 256u << 10;

void write_input(writer& body, const ledger_input& input) {
  body.text("input", input.path).number("input_size", input.size).text("input_hash", hex::digits_of(input.hash));
}

std::string write(const ledger_job& job, uint64_t synced) {
  return writer{"intent", synced}
    .text("nonce", job.nonce)
    .text("provider", job.provider)
    .text("model", job.model)
    .number("at", job.at)
    .ranges("items", job.items)
    .take();
}

std::string write(const job_named& job, uint64_t synced) {
  return writer{"job", synced}.text("nonce", job.nonce).text("id", job.id).take();
}

std::string write(const job_ended& job, uint64_t synced) {
  return writer{"job_end", synced}.text("nonce", job.nonce).text("outcome", job.outcome).take();
}

std::string write(const input_total& total, uint64_t synced) {
  return writer{"total", synced}.number("items", total.items).take();
}

std::string write(const run_begun& run, uint64_t synced) {
  return writer{"run", synced}.texts("made_with", run.made_with).take();
}

std::string write(const input_change& change, uint64_t synced) {
  writer body{"input", synced};
  write_input(body, change.now);
  body.ranges("again", change.again);
  if (!change.moved.empty()) {
    std::vector<std::vector<uint64_t>> lists;
    for (auto& x : change.moved)
      lists.push_back({x.from, x.to, x.count});
    body.lists("moved", lists);
  }
  return body.take();
}

std::vector<moved_items> moves_in(const json::value& members) {
  std::vector<moved_items> moves;
  for (auto& x : ledger_line::lists_in(members, "moved", 3))
    moves.push_back({x[0], x[1], x[2]});
  return moves;
}

} // namespace

std::variant<ledger_input, failure> read_ledger_input(const std::string& path) {
  file opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.get() < 0)
    return io_failure("cannot open", path);
  std::error_code ignored;
  ledger_input content{0, 0xcbf29ce484222325, std::filesystem::absolute(path, ignored).string()};
  std::string buffer(input_block, '\0');
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

std::string body_of(const ledger_result& result, uint64_t synced) {
  writer body{"result", synced};
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
  return body.raw("line", result.line).take();
}

std::string body_of(const ledger_event& event, uint64_t synced) {
  return std::visit([synced](auto& x) { return write(x, synced); }, event);
}

ledger_input input_in(const json::value& members) {
  return {number_in(members, "input_size"), ledger_line::from_hex(text_in(members, "input_hash")),
          text_in(members, "input")};
}

ledger_result result_in(const json::value& members) {
  ledger_result result;
  result.item = number_in(members, "item");
  result.ok = text_in(members, "state") == "ok";
  from_string(text_in(members, "flaw"), result.flaw);
  result.attempts = number_in(members, "attempts");
  result.usage = {number_in(members, "input_tokens"), number_in(members, "output_tokens"),
                  number_in(members, "cached_tokens"), number_in(members, "cache_written_tokens"),
                  number_in(members, "reasoning_tokens")};
  if (auto& cost = json::member(members, "cost"); cost.is_number())
    result.cost = cost.get<double>();
  result.input_sum = static_cast<uint32_t>(ledger_line::from_hex(text_in(members, "input_sum")));
  return result;
}

std::optional<ledger_event> event_in(const json::value& members) {
  auto name = text_in(members, "event");
  auto nonce = text_in(members, "nonce");
  if (name == "intent")
    return ledger_job{nonce,
                      text_in(members, "provider"),
                      text_in(members, "model"),
                      number_in(members, "at"),
                      ledger_line::ranges_in(members, "items"),
                      {}};
  if (name == "job")
    return job_named{nonce, text_in(members, "id")};
  if (name == "job_end")
    return job_ended{nonce, text_in(members, "outcome")};
  if (name == "total")
    return input_total{number_in(members, "items")};
  if (name == "run")
    return run_begun{ledger_line::texts_in(members, "made_with")};
  if (name == "input")
    return input_change{input_in(members), ledger_line::ranges_in(members, "again"), moves_in(members)};
  return {};
}

void ledger_summary::take(const ledger_event& event, uint64_t offset) {
  if (auto* begun = std::get_if<ledger_job>(&event)) {
    auto& job = jobs[begun->nonce] = *begun;
    job.id.clear();
    job.offset = offset;
  } else if (auto* named = std::get_if<job_named>(&event)) {
    if (auto job = jobs.find(named->nonce); job != jobs.end())
      job->second.id = named->id;
  } else if (auto* ended = std::get_if<job_ended>(&event)) {
    if (auto job = jobs.extract(ended->nonce); job && !job.mapped().id.empty())
      ids_of_ended_jobs.push_back(job.mapped().id);
  } else if (auto* all = std::get_if<input_total>(&event)) {
    total = all->items;
  } else if (auto* run = std::get_if<run_begun>(&event)) {
    made_with = run->made_with;
    runs.begin(offset, made_with);
  } else if (auto* change = std::get_if<input_change>(&event)) {
    input = change->now;
    total.reset();
  }
}

} // namespace modelforge::batch
