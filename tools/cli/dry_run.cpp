#include "tools/cli/batch.hpp"
#include "tools/cli/batch_terms.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/session.hpp"

#include "batch/item_defaults.hpp"
#include "batch/reader.hpp"
#include "batch/session.hpp"
#include "limits/token_estimator.hpp"
#include "provider/model_groups.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// `modelforge batch --dry-run`

namespace modelforge::cli {

namespace {

/// What items would ask for.
struct demand {
  uint64_t items = 0;
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0; ///< The most, of items that bound it.
  uint64_t unbounded = 0;     ///< Items that do not.
};

/// What a batch would ask for, beside what earlier runs have done.
struct plan {
  uint64_t items = 0;                     ///< In the input.
  uint64_t kept = 0;                      ///< Of these, with a result that counts.
  uint64_t in_jobs = 0;                   ///< Of these, in a job of an earlier run.
  uint64_t broken = 0;                    ///< Lines that no request can be made of.
  demand all;                             ///< But for these.
  std::map<std::string, demand> by_model; ///< The same; empty name: the provider's default.
};

void add(demand& to, const chat_request& request, const embedding_request* vectors) {
  ++to.items;
  to.input_tokens += limits::token_estimator::raw(request);
  if (vectors != nullptr) {
    to.input_tokens += limits::token_estimator::raw(*vectors);
    return; // they have no tokens of their own
  }
  if (request.sampling.max_tokens)
    to.output_tokens += *request.sampling.max_tokens;
  else
    ++to.unbounded;
}

/// What earlier runs left of an item.
class earlier_runs {
public:
  /// `book`: null: there were none.
  earlier_runs(const batch::ledger* book, bool retry_failed) : book_(book), retry_failed_(retry_failed) {
    if (book != nullptr)
      for (auto& [nonce, job] : book->summary().jobs)
        for (auto range : book->unanswered(job))
          in_jobs_.push_back(range);
  }

  bool is_kept(uint64_t item) const {
    using state = batch::ledger::state;
    auto is = book_ != nullptr ? book_->of(item) : state::missing;
    return is == state::ok || (is == state::failed && !retry_failed_);
  }

  bool is_in_job(uint64_t item) const {
    return std::any_of(in_jobs_.begin(), in_jobs_.end(), [&](auto& x) { return x.first <= item && item <= x.second; });
  }

private:
  const batch::ledger* book_;
  bool retry_failed_;
  std::vector<std::pair<uint64_t, uint64_t>> in_jobs_;
};

/// Names lines that no request can be made of, as they are found: there may be millions. Of those in a row that are bad
/// for one and the same reason, the first one is named in full.
class bad_lines {
public:
  explicit bad_lines(const std::string& path) : path_(path == "-" ? "standard input" : path) {}

  void add(const batch::item& item, const failure& why) {
    auto place = path_ + ":" + std::to_string(item.line) + ": ";
    auto reason = why.message.starts_with(place) ? why.message.substr(place.size()) : why.message;
    if (reason != reason_ || item.index != last_item_ + 1) {
      end();
      std::printf("%s\n", to_string(why).c_str());
      reason_ = std::move(reason);
    } else if (++repeated_ == 1) {
      first_line_ = item.line;
    }
    last_item_ = item.index;
    last_line_ = item.line;
    last_ = to_string(why);
  }

  /// To be called behind the last one.
  void end() {
    if (repeated_ == 1)
      std::printf("%s\n", last_.c_str());
    else if (repeated_ > 1)
      std::printf("%s:%s to %s: the same, %s lines\n", path_.c_str(), std::to_string(first_line_).c_str(),
                  std::to_string(last_line_).c_str(), std::to_string(repeated_).c_str());
    repeated_ = 0;
  }

private:
  std::string path_;
  std::string reason_;      ///< Of those in a row.
  uint64_t repeated_ = 0;   ///< How many say the same behind the one that was named in full.
  uint64_t first_line_ = 0; ///< Of these.
  uint64_t last_line_ = 0;
  uint64_t last_item_ = 0;
  std::string last_; ///< As it would be named.
};

/// Reads the whole input as a batch would, and adds up what it asks for. Estimates are those by which limits are kept.
std::variant<plan, failure> read_plan(const batch_options& options, const batch::ledger* book) {
  auto opened = batch::open_source(options.input, batch::form_of(options));
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  batch::item_defaults defaults{options.model, options.sampling, options.extra};
  earlier_runs before{book, options.retry_failed};
  plan result;
  bad_lines bad{options.input};
  for (;;) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      return std::move(*problem);
    auto& item = std::get<std::optional<batch::item>>(next);
    if (!item) {
      bad.end();
      return result;
    }
    ++result.items;
    auto is_kept = before.is_kept(item->index);
    result.kept += is_kept;
    if (auto* problem = std::get_if<failure>(&item->request)) {
      ++result.broken;
      bad.add(*item, *problem);
      continue;
    }
    auto& request = std::get<chat_request>(item->request);
    if (is_kept)
      continue;
    if (before.is_in_job(item->index)) {
      ++result.in_jobs;
      continue;
    }
    item->vectors ? defaults.name_model(request) : defaults.apply(request);
    add(result.all, request, item->vectors.get());
    add(result.by_model[request.model], request, item->vectors.get());
  }
}

/// The least time that a provider's limits allow; empty where it has none.
std::optional<std::chrono::nanoseconds> min_time(const demand& batch, const rate_limit_settings& limits) {
  std::optional<double> minutes;
  auto bound = [&](uint64_t amount, const std::optional<uint64_t>& limit) {
    if (limit && *limit > 0)
      minutes = std::max(minutes.value_or(0), static_cast<double>(amount) / static_cast<double>(*limit));
  };
  bound(batch.items, limits.requests_per_minute);
  bound(batch.input_tokens + batch.output_tokens, limits.tokens_per_minute);
  bound(batch.input_tokens, limits.input_tokens_per_minute);
  bound(batch.output_tokens, limits.output_tokens_per_minute);
  if (!minutes)
    return {};
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double, std::ratio<60>>(*minutes));
}

/// Prints what the whole batch would take at one provider.
void print_estimate(const plan& batch, const provider_settings& provider, bool by_jobs) {
  double input = 0, output = 0;
  uint64_t unpriced = 0;
  for (auto& [model, asked] : batch.by_model) {
    auto group = provider::group_of(provider, model.empty() ? provider.default_model : model);
    auto& price = provider::price_of(provider, group);
    auto share = by_jobs ? price.batch : 1;
    unpriced += price == price_settings{} ? asked.items : 0;
    input += static_cast<double>(asked.input_tokens) * price.input * share / 1e6;
    output += static_cast<double>(asked.output_tokens) * price.output * share / 1e6;
  }
  if (unpriced < batch.all.items)
    std::printf("cost at %s%s: about %s for the prompts, at most %s for those answers\n", provider.name.c_str(),
                by_jobs ? ", by its batch API" : "", money(input).c_str(), money(output).c_str());
  if (unpriced > 0)
    std::printf("cost at %s: unknown for %s items, whose models have no price\n", provider.name.c_str(),
                grouped(unpriced).c_str());
  if (by_jobs)
    std::printf("time: up to a day, as the batch API of %s has room\n", provider.name.c_str());
  else if (auto time = min_time(batch.all, provider.rate_limit))
    std::printf("time: at least %s by the limits of %s\n", duration_text(*time).c_str(), provider.name.c_str());
  else
    std::printf("time: not bounded by limits; %s has none\n", provider.name.c_str());
}

/// Whether the items would go through the provider's batch API, as far as the options say.
bool uses_jobs(const batch_command_options& options, const provider_settings& first,
               const provider_settings& provider) {
  auto automatic = options.mode == "auto" || (options.mode.empty() && first.optimizations.enable_batch_api);
  auto has_a_day = !options.deadline || *options.deadline >= 24 * 3600;
  return options.mode == "provider" || (automatic && has_a_day && provider.price.batch < 1);
}

} // namespace

// Needs neither keys nor a provider that can be reached: nothing is sent, and with --simulate not even settings are
// read.
int batch_dry_run(const batch_command_options& options) {
  std::vector<session_provider> providers;
  runtime_settings runtime;
  if (options.target.simulate) {
    tell_simulated();
  } else {
    auto all = load_settings(options.target.config);
    if (!all)
      return exit_usage;
    auto chosen = choose_providers(*all, options.target.provider, true);
    if (!chosen)
      return exit_usage;
    providers = std::move(*chosen);
    runtime = all->runtime;
  }
  auto asked = batch_options_of(options);
  asked.made_with = options.target.simulate ? std::map<std::string, std::string>{{"simulated", "yes"}}
                                            : batch_terms(providers, runtime, options);
  auto opened = batch::preview_session(asked);
  if (auto* problem = std::get_if<failure>(&opened)) {
    complain(to_string(*problem));
    return options.output.empty() && problem->code != errc::io_failed ? exit_failed : exit_usage;
  }
  auto& files = std::get<batch::session>(opened);
  for (auto& warning : files.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  auto made = read_plan(asked, files.ledger.get());
  if (auto* problem = std::get_if<failure>(&made)) {
    complain(to_string(*problem));
    return problem->code == errc::io_failed ? exit_usage : exit_failed; // what it holds is what this was to find out
  }
  auto& batch = std::get<plan>(made);
  auto count = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  auto& all = batch.all;
  std::printf("items: %llu", count(batch.items));
  if (batch.broken > 0)
    std::printf(", of which %llu cannot be read", count(batch.broken));
  if (files.ledger) {
    std::printf("\nearlier runs: %llu are done and kept in %s", count(batch.kept), ledger_path(options.output).c_str());
    if (batch.in_jobs > 0)
      std::printf(", %llu are in jobs", count(batch.in_jobs));
    std::printf("; to be sent: %llu", count(all.items));
  }
  std::printf("\ntokens: about %llu in; ", count(all.input_tokens));
  if (all.unbounded == 0)
    std::printf("at most %llu out\n", count(all.output_tokens));
  else
    std::printf("at most %llu out of %llu items, and what %llu items without max_tokens take\n",
                count(all.output_tokens), count(all.items - all.unbounded), count(all.unbounded));
  if (providers.size() > 1)
    std::puts("if all of it went to one of these:");
  for (auto& one : providers)
    print_estimate(batch, one.settings, uses_jobs(options, providers.front().settings, one.settings));
  return std::fflush(stdout) == 0 && batch.broken == 0 ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
