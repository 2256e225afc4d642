#include "provider/account_book.hpp"

#include "base/utf8.hpp"

#include <string_view>

namespace modelforge::provider {

namespace {

using record = log::request_record;

std::string cut(std::string_view text) {
  return std::string{utf8::cut(text, record::max_text)};
}

/// The share of a node's requests in the queue is called "node NAME".
std::string_view node_of(std::string_view share) {
  constexpr std::string_view prefix = "node ";
  return share.starts_with(prefix) ? share.substr(prefix.size()) : share;
}

void add_attempts(record& account, const std::vector<attempt_record>& made) {
  account.attempts = made;
  for (auto& each : made)
    account.add_wait(each.waited_for, each.waited);
}

} // namespace

log::request_kind account_book::kind_of(const chat_request& asked, bool streamed) {
  if (streamed)
    return log::request_kind::stream;
  return asked.priority == priority::batch ? log::request_kind::batch_item : log::request_kind::chat;
}

template <class Request>
std::unique_ptr<record> account_book::open(const Request& asked, log::request_kind kind, const arrival& from) {
  auto result = std::make_unique<record>();
  result->part_of = from.part_of;
  result->kind = kind;
  result->rank = asked.priority;
  result->tenant = cut(asked.tenant);
  result->node = cut(node_of(from.node));
  for (auto& [name, value] : asked.labels)
    if (result->labels.size() < record::max_labels)
      result->labels.emplace_back(cut(name), cut(value));
  result->more_labels = asked.labels.size() - result->labels.size();
  return result;
}

template std::unique_ptr<record> account_book::open(const chat_request&, log::request_kind, const arrival&);
template std::unique_ptr<record> account_book::open(const embedding_request&, log::request_kind, const arrival&);

void account_book::close(std::unique_ptr<record> account, std::chrono::nanoseconds age) {
  account->duration = age;
  closed_.push_back(std::move(*account));
}

void account_book::refused(request_id id, const failure& why, std::unique_ptr<record> account) {
  if (account == nullptr)
    return;
  account->id = id;
  account->provider = why.provider;
  account->model = cut(why.model);
  account->outcome = log::request_outcome::refused;
  account->code = why.code;
  add_attempts(*account, why.attempts);
  close(std::move(account), {});
}

/// What all good answers have.
template <class Answer>
void account_book::close(request& which, const Answer& answer, std::chrono::nanoseconds age) {
  auto account = std::move(which.account);
  account->id = answer.id;
  account->provider = answer.provider;
  account->model = cut(which.model);
  account->answered_by = cut(answer.model);
  account->usage = answer.usage;
  account->cost = answer.cost;
  add_attempts(*account, answer.attempts);
  close(std::move(account), age);
}

void account_book::answered(request& which, const completion& answer, std::chrono::nanoseconds age) {
  if (which.account == nullptr)
    return;
  which.account->finish = answer.finish_reason;
  which.account->flaw = answer.flaw;
  close(which, answer, age);
}

void account_book::answered(request& which, const embedding& answer, std::chrono::nanoseconds age) {
  if (which.account != nullptr)
    close(which, answer, age);
}

void account_book::failed(request& which, const failure& why, std::chrono::nanoseconds age, log::request_outcome how) {
  if (which.account == nullptr)
    return;
  auto account = std::move(which.account);
  account->id = which.id;
  account->provider = why.provider;
  account->model = cut(which.model);
  account->code = why.code;
  account->usage = why.usage;
  account->cost = why.cost;
  account->outcome = how;
  if (how == log::request_outcome::failed && why.code == errc::deadline_exceeded)
    account->outcome = log::request_outcome::expired;
  if (how == log::request_outcome::failed && why.code == errc::cancelled)
    account->outcome = log::request_outcome::cancelled;
  add_attempts(*account, why.attempts);
  close(std::move(account), age);
}

void account_book::begun(request& which, time_point now) const {
  if (which.account != nullptr)
    which.account->first_token = now - which.accepted;
}

void account_book::again(request& which) const {
  if (which.account != nullptr)
    which.account->first_token.reset();
}

void account_book::streamed(request& which, std::chrono::nanoseconds first_token) const {
  if (which.account == nullptr)
    return;
  which.account->first_token.reset();
  if (first_token.count() > 0 && !which.records.empty())
    which.account->first_token = which.records.back().started + first_token;
}

void account_book::waited(request& which, wait_reason why, time_point now) const {
  if (which.account != nullptr)
    which.account->add_wait(why, now - which.idle_since);
}

} // namespace modelforge::provider
