#include "tests/settings/virtual_provider.hpp"

#include <algorithm>
#include <cstdio>
#include <variant>

namespace modelforge::settings_test {

namespace {

std::string seconds(std::chrono::nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(time).count());
  return text;
}

std::string text_of(const http::request& sent) {
  auto text = sent.url + '\n';
  for (auto& header : sent.headers)
    if (!header.name.starts_with("x-modelforge"))
      text += header.name + ": " + header.value + '\n';
  return text + '\n' + std::string{sent.content()} + "\nconnect " + seconds(sent.connect_timeout) + " total "
         + seconds(sent.total_timeout) + " size " + std::to_string(sent.max_response_bytes)
         + (sent.http2 ? " http2" : " http1");
}

std::string text_of(const provider::outcome& how) {
  if (auto* good = std::get_if<completion>(&how)) {
    auto text = good->text;
    if (good->cost)
      text += "$" + std::to_string(*good->cost);
    return good->warnings.empty() ? text : text + "!";
  }
  auto* bad = std::get_if<failure>(&how);
  return bad != nullptr ? to_string(bad->code) : "vectors";
}

} // namespace

virtual_provider::virtual_provider(const settings& all) {
  auto made = provider::prepare(all.providers.front(), all.runtime);
  if (auto* why = std::get_if<failure>(&made)) {
    problem = why->message;
    return;
  }
  auto& setup = std::get<provider::setup>(made);
  provider::kept_limits limits;
  if (auto why = limits.open(setup))
    problem = why->message;
  engine_.emplace(std::move(setup), std::move(limits), std::string{}, 7, now_, wall_begin);
}

void virtual_provider::ask(chat_request request, bool streamed) {
  if (!engine_)
    return;
  auto number = request.id.low;
  if (auto no = engine_->admit(request, {.streamed = streamed}, now_).refused)
    refused.emplace(number, std::move(*no));
  drive();
}

void virtual_provider::ask(embedding_request request) {
  if (!engine_)
    return;
  auto number = request.id.low;
  if (auto no = engine_->admit(request, {}, now_).refused)
    refused.emplace(number, std::move(*no));
  drive();
}

void virtual_provider::note(std::optional<provider::step> step) {
  if (!step)
    return;
  if (auto* send = std::get_if<provider::send>(&*step)) {
    engine_->on_written(send->attempt, now_);
    under_way_[sent.size()] = false;
    sent_at_.emplace_back(send->id.low, now_);
    sent.push_back(std::move(*send));
    max_in_flight = std::max(max_in_flight, under_way_.size());
  } else if (auto* end = std::get_if<provider::conclude>(&*step)) {
    ended.insert_or_assign(end->id.low, std::move(*end));
  } else if (std::holds_alternative<provider::save>(*step)) {
    engine_->save(false, now_, wall_begin + (now_ - begin));
  }
}

void virtual_provider::drive() {
  while (auto step = engine_->next(now_))
    note(std::move(step));
}

void virtual_provider::run(std::chrono::nanoseconds until, const server& by) {
  if (engine_)
    advance(begin + until, by);
}

void virtual_provider::wait(std::chrono::nanoseconds until) {
  run(until, nullptr);
}

void virtual_provider::advance(time_point limit, const server& by) {
  for (;;) {
    for (auto& [number, planned] : under_way_)
      if (by && !std::exchange(planned, true)) {
        auto reply = by(number, under_way_.size());
        coming_.emplace(now_ + reply.after, std::pair{number, std::move(reply.answer)});
      }
    auto next = engine_->empty() ? std::nullopt : engine_->wake_at(now_);
    if (!coming_.empty())
      next = next ? std::min(*next, coming_.begin()->first) : coming_.begin()->first;
    if (!next || *next > limit) {
      now_ = limit;
      return;
    }
    now_ = std::max(now_, *next);
    if (!coming_.empty() && coming_.begin()->first <= now_) {
      auto [number, reply] = std::move(coming_.extract(coming_.begin()).mapped());
      under_way_.erase(number);
      note(engine_->on_end(sent[number].attempt, reply, nullptr, now_));
    }
    drive();
  }
}

std::string virtual_provider::times() const {
  std::string text;
  for (auto& [number, at] : sent_at_)
    text += seconds(at - begin) + ' ';
  return text;
}

std::string virtual_provider::ends() const {
  auto text = problem;
  for (auto& [number, why] : refused)
    text += std::to_string(number) + ':' + to_string(why.code) + ' ';
  for (auto& [number, end] : ended)
    text += std::to_string(number) + ':' + text_of(end.how) + ' ';
  return text;
}

chat_request question(uint64_t number, std::string text) {
  chat_request result;
  result.id = {1, number};
  result.messages.push_back(text_message(role::user, std::move(text)));
  return result;
}

chat_request batch_question(uint64_t number) {
  auto result = question(number);
  result.priority = priority::batch;
  return result;
}

http::response answer(std::string text) {
  http::response result;
  result.head.status = 200;
  result.body = R"({"id":"c1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":")" + text
                + R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,)"
                + R"("prompt_tokens_details":{"cached_tokens":40}}})";
  return result;
}

http::response refusal(uint16_t status, std::string retry_after) {
  http::response result;
  result.head.status = status;
  if (!retry_after.empty())
    result.head.headers.push_back({"retry-after", retry_after});
  result.body = R"({"error":{"message":"no","type":"some_error"}})";
  return result;
}

virtual_provider::server always(http::response with, std::chrono::nanoseconds after) {
  return [=](std::size_t, std::size_t) { return virtual_provider::reply{with, after}; };
}

look sends(chat_request asked, bool streamed) {
  return [=](const settings& all) {
    virtual_provider one{all};
    one.ask(asked, streamed);
    return one.sent.empty() ? "nothing: " + one.ends() : text_of(one.sent.front().http);
  };
}

look attempts(chat_request asked, virtual_provider::server by, std::chrono::nanoseconds until) {
  return [=](const settings& all) {
    virtual_provider one{all};
    one.ask(asked);
    one.run(until, by);
    return std::to_string(one.sent.size()) + " attempts " + one.times() + one.ends();
  };
}

look paced(std::size_t count, chat_request like, std::chrono::nanoseconds until) {
  return [=](const settings& all) {
    virtual_provider one{all};
    for (uint64_t number = 1; number <= count; ++number) {
      auto asked = like;
      asked.id = {1, number};
      one.ask(asked);
    }
    auto at_once = one.sent.size();
    one.run(until, always(answer(), 1ms));
    return std::to_string(at_once) + " at once, " + std::to_string(one.sent.size()) + " in time: " + one.times();
  };
}

} // namespace modelforge::settings_test
