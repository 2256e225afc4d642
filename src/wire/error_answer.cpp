#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "base/url.hpp"
#include "wire/error_body.hpp"
#include "wire/json.hpp"
#include "wire/provider_error.hpp"
#include "wire/retry_after.hpp"
#include "wire/times.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr auto ask_for_v1 = "is base_url right? it usually ends in /v1";
constexpr auto tell_damage =
  "it was cut or damaged on its way: does something in between bound the size of answers, or their time?";
constexpr std::string_view later_words = "HTTP 202, which means that the answer comes later, and elsewhere";
constexpr auto ask_for_https = "the server speaks TLS there: let base_url begin with https://";
constexpr auto ask_for_login =
  "a login page answers in the provider's place: does a proxy or the network ask for a login, or is base_url wrong?";
constexpr auto ask_for_passage = "a firewall in front of the provider takes this program for a robot: ask the provider "
                                 "to let it in, or come from another network";

constexpr auto ask_for_way_out =
  "does the proxy let this program reach that host? NO_PROXY names the hosts to be asked "
  "without it, e.g. NO_PROXY=127.0.0.1,localhost";

template <std::size_t N>
bool tells(std::string_view text, const std::array<std::string_view, N>& phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](auto phrase) { return ascii::icontains(text, phrase); });
}

/// Of nginx, Apache and Go, to plain HTTP where they speak TLS.
constexpr auto https_phrases = std::to_array<std::string_view>(
  {"sent to https port", "speaking plain http to an ssl", "http request to an https server"});

/// Of Cloudflare and its like, to what is no browser.
constexpr auto robot_phrases = std::to_array<std::string_view>(
  {"just a moment", "attention required", "to restrict access", "verify you are human", "ddos protection", "captcha"});

constexpr auto login_phrases = std::to_array<std::string_view>(
  {"sign in", "sign-in", "signin", "log in", "login", "log on", "single sign-on", "captive portal", "hotspot"});

/// Of squid, and of filters that companies and hotels have on their way out.
constexpr auto proxy_phrases = std::to_array<std::string_view>(
  {"requested url could not be retrieved", "web page blocked", "webpage blocked", "web gateway", "web filter",
   "zscaler", "fortiguard", "content categorization", "policy_denied"});

/// By which servers say that they do not know the path, rather than the model.
constexpr auto lost_phrases = std::to_array<std::string_view>(
  {"unexpected endpoint", "unknown endpoint", "no route", "cannot post", "cannot get", "page not found", "invalid url",
   "unknown request url", "not found on the server", "unknown path", "no such endpoint"});

/// By which a text in place of an answer says that it may be another one the next time.
constexpr auto passing_phrases =
  std::to_array<std::string_view>({"error", "overload", "try again", "timeout", "timed out", "unavailable", "busy",
                                   "too many", "upstream", "capacity", "rate limit"});

/// What limits a number of requests at a time, not in a minute.
constexpr auto concurrency_phrases =
  std::to_array<std::string_view>({"concurren", "parallel", "simultaneous", "at the same time", "at a time",
                                   "in flight", "in-flight", "too many connections", "connection limit"});

constexpr auto rate_phrases =
  std::to_array<std::string_view>({"per minute", "per second", "per day", "rpm", "tpm", "requests/min", "tokens/min"});

/// What is said of a code, and what can be done about it.
struct code_words {
  errc code;
  std::string_view meaning;
  std::string_view suggestion = {}; ///< Empty: look at the field that the provider names, if it names one.
};

constexpr auto all_words = std::to_array<code_words>({
  {errc::context_length, "the conversation does not fit the model's context",
   "shorten the conversation, or choose a model with a longer context"},
  {errc::content_filtered, "the provider's content filter blocked the request",
   "change the prompt; unchanged it will be blocked again"},
  {errc::authentication, "the provider did not accept the key", "check the key that api_key_env or api_key_file names"},
  {errc::permission, "the key may not do this", "may this key use this model, from this country and network?"},
  {errc::not_found, "the provider knows no such model or path",
   "does this provider have that model, and is base_url right? it usually ends in /v1"},
  {errc::quota_exhausted, "the account's credit or quota is used up",
   "add credit or raise the spend limit at the provider; waiting does not help"},
  {errc::rate_limited, "the provider's rate limit was reached",
   "set requests_per_minute and tokens_per_minute to what the provider grants"},
  {errc::overloaded, "the provider is overloaded", "try again later, or use another model or provider"},
  {errc::too_large, "the request is too large",
   "send less in one request: fewer messages, smaller images, a lower max_tokens"},
  {errc::unsupported, "the provider has no such feature"},
  {errc::invalid_request, "the provider refused the request"},
});

/// Null for codes that need the status in their words, or that no HTTP answer stands for.
const code_words* words_of(errc code) {
  auto found = std::find_if(all_words.begin(), all_words.end(), [&](auto& x) { return x.code == code; });
  return found == all_words.end() ? nullptr : &*found;
}

/// One clause for people, without a full stop: more may be appended to it.
std::string explain(errc code, const http::response_head& head) {
  auto status = head.status;
  auto number = std::to_string(status);
  if (status == 407)
    return (head.proxy().empty() ? "a proxy" : "the proxy " + std::string{head.proxy()})
           + " asks for a login (HTTP 407)";
  if (status == 511)
    return "the network asks for a login (HTTP 511)";
  if (code == errc::not_found && status == 410)
    return "what was asked for is gone";
  if (auto* words = words_of(code))
    return std::string{words->meaning};
  if (code == errc::invalid_response)
    return "the provider answered with HTTP " + number;
  return status < 400 ? "the provider failed while it answered" : "the provider failed with HTTP " + number;
}

/// The first name in quotes or backticks: "The model `demo` does not exist".
std::string_view quoted_name(std::string_view text) {
  auto start = text.find_first_of("`'\"");
  if (start == text.npos)
    return {};
  auto end = text.find(text[start], start + 1);
  return end == text.npos ? std::string_view{} : text.substr(start + 1, end - start - 1);
}

/// A 404 may mean the model or the path. The model is the likely one where the provider's message names it.
std::string suggest_for_missing(uint16_t status, const provider_error& error) {
  if (tells(error.message, lost_phrases) || status == 405)
    return ask_for_v1;
  if (auto name = clean_words(quoted_name(error.message), 100);
      ascii::icontains(error.message, "model") && !name.empty())
    return "does this provider have the model " + name + "?";
  return std::string{status == 410 ? "this service or model was retired: choose another one"
                                   : words_of(errc::not_found)->suggestion};
}

/// The settings that the limit is about.
std::string suggest_for_rate(const provider_error& error) {
  if (error.code == "slow_down")
    return "raise the load more slowly";
  if (!tells(error.message, concurrency_phrases) && !tells(error.code, concurrency_phrases))
    return std::string{words_of(errc::rate_limited)->suggestion};
  return tells(error.message, rate_phrases)
           ? "set max_concurrent to what the provider grants at a time, requests_per_minute and tokens_per_minute to "
             "what it grants in a minute"
           : "set max_concurrent to the number of requests that the provider grants at a time";
}

/// What a page in place of an answer asks for; empty where the status says it.
std::string_view suggest_for_page(errc code, uint16_t status, std::string_view words) {
  if (tells(words, robot_phrases) && status >= 400)
    return ask_for_passage;
  if (status >= 500)
    return {};
  if (tells(words, login_phrases))
    return ask_for_login;
  switch (code) {
    case errc::authentication:
      return "a web server in front of the provider asks for a password of its own: is base_url right? `headers` in "
             "the settings can carry it";
    case errc::permission:
      return "a web server or firewall in front of the provider refuses: is base_url right, and may this network use "
             "it?";
    case errc::too_large:
    case errc::rate_limited:
    case errc::quota_exhausted:
      return {};
    default:
      return ask_for_v1;
  }
}

/// What a person can do about it; empty where nothing better is known than the provider's own words.
std::string suggest(errc code, uint16_t status, const provider_error& error) {
  if (code == errc::not_found)
    return suggest_for_missing(status, error);
  if (code == errc::quota_exhausted && error.by_day)
    return "a day's quota is used up (Google renews it at midnight Pacific time): raise it, or use another model";
  if (code == errc::rate_limited)
    return suggest_for_rate(error);
  if (status == 407)
    return "write the name and password that the proxy wants in front of its host, in http_proxy or https_proxy";
  if (status == 511)
    return ask_for_login;
  if (tells(error.message, https_phrases))
    return ask_for_https;
  if (code == errc::permission && ascii::icontains(error.message, "missing authentication token")) // Amazon's gateway
    return ask_for_v1;
  if (code == errc::too_large && ascii::icontains(error.message, "entity too large"))
    return std::string{words_of(code)->suggestion} + "; the bound is that of a web server in front of the provider";
  if (code == errc::server_error) // 524 is Cloudflare's 504
    return status == 504 || status == 524
             ? "the answer may take too long for a server in between: stream it, or ask for a shorter one (max_tokens)"
             : "";
  if (auto* words = words_of(code); words != nullptr && !words->suggestion.empty())
    return std::string{words->suggestion};
  return error.param.empty() ? "" : "look at the field " + error.param;
}

/// What two URLs begin with before the same end of their paths begins; both whole where there is no such end.
std::pair<std::string_view, std::string_view> different_parts(std::string_view asked, std::string_view target) {
  auto [x, y] = std::mismatch(asked.rbegin(), asked.rend(), target.rbegin(), target.rend());
  auto same = static_cast<std::size_t>(x - asked.rbegin());
  auto path = std::min(asked.find('/', std::min(asked.find("://"), asked.size()) + 3), asked.size());
  auto end = asked.find('/', std::max(path, asked.size() - same));
  if (end == asked.npos)
    return {asked, target};
  return {asked.substr(0, end), target.substr(0, target.size() - (asked.size() - end))};
}

/// The name of a URL's host alone.
std::string_view host_name(std::string_view url) {
  auto host = host_of(url);
  return host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
}

/// What is to be set for a redirect: `base_url`, as far as the target differs from what was asked.
std::string suggest_for_redirect(std::string_view asked, std::string_view target) {
  if (target.empty())
    return ask_for_v1;
  if (asked.empty()) // then a part of a URL is all that there is
    return host_of(target).empty()
             ? std::string{ask_for_v1}
             : "the server points to " + clean_words(host_of(target), 200) + ": should base_url name that host?";
  asked = asked.substr(0, asked.find_first_of("?#"));
  auto leaves = !ascii::iequals(host_name(asked), host_name(target));
  std::string warning = leaves ? "; the key would go to " + clean_words(host_of(target), 200)
                                   + ": do so only if that host is the provider's"
                               : "";
  auto plain = target.substr(0, target.find_first_of("?#"));
  if (plain.size() == asked.size() + 1 && plain.starts_with(asked) && plain.ends_with('/'))
    return "the server wants a slash behind the path, which base_url cannot add: is base_url right? else the server's "
           "own setting for such redirects is to be changed";
  if (plain == asked)
    return "the server wants the same address with something behind it, as login pages and checks for robots do: does "
           "a proxy or the network ask for a login?";
  auto [old_part, new_part] = different_parts(asked, plain);
  if (old_part == asked)
    return "is base_url right? a login page or another service may answer in the provider's place" + warning;
  return "let base_url begin with " + clean_words(new_part, 500) + " in place of " + clean_words(old_part, 500)
         + warning;
}

/// Redirects are not followed, since the key would go to a place that nobody configured.
void explain_redirect(const http::response_head& head, failure& result) {
  auto location = head.get("location");
  auto target = location.empty() ? std::string{} : without_login(resolved(head.asked_url(), location));
  if (target.empty())
    target = location;
  result.message = "the provider answered with HTTP " + std::to_string(head.status)
                   + (target.empty() ? "" : " and points to " + clean_words(target)) + "; redirects are not followed";
  result.suggestion = suggest_for_redirect(without_login(head.asked_url()), target);
}

/// Where what stands between may speak in the server's place: names it, and what can be done, as far as it is to blame.
void explain_way(const http::response_head& head, const error_body& body, failure& result) {
  auto is_named = !head.proxy().empty();
  auto name = "the proxy " + std::string{head.proxy()};
  if (head.status == 407 || head.status == 511) // said already
    return;
  auto is_proxys = head.status >= 400 && body.form == body_form::page && tells(body.error.message, proxy_phrases);
  if (is_proxys) {
    result.message = (is_named ? name : "a proxy or filter in between")
                     + (head.status >= 500 ? " did not get an answer" : " refused the request") + " (HTTP "
                     + std::to_string(head.status) + ")";
    result.suggestion = head.status >= 500 ? "is base_url right, and the provider up? or " : "";
    result.suggestion += ask_for_way_out;
  } else if (is_named && body.form != body_form::known) {
    if (auto accused = words_of(errc::permission)->meaning; result.message.starts_with(accused)) { // it may be innocent
      result.message.replace(0, accused.size(), "the request was refused (HTTP 403)");
      result.suggestion = name + " may speak: " + ask_for_way_out;
    }
    result.message += ", by way of " + name;
  }
}

/// A failure with what every answer tells, whatever its body is.
failure bare_failure(const http::response_head& head, errc code, std::string message) {
  failure result;
  result.code = code;
  result.http_status = head.status;
  result.message = std::move(message);
  result.provider_request_id = request_id_in(head);
  return result;
}

} // namespace

failure error_answer(const http::response_head& head, const json::value* body, std::string_view text) {
  auto said = read_error_body(body, text);
  auto& [form, error] = said;
  if (is_page(error.message)) // what a gateway was answered itself
    error.message = page_words(error.message);
  auto code = classify(head.status, error);
  auto result = bare_failure(head, code, explain(code, head));
  // Google puts the HTTP status where others put a code: its type says more then.
  auto is_status = error.code == std::to_string(error.status);
  result.provider_code = (error.code.empty() || is_status) && !error.type.empty() ? error.type : error.code;
  result.provider_message = clean_words(error.message);
  if (result.provider_request_id.empty() && body != nullptr)
    result.provider_request_id = word_in(member(*body, "request_id"));
  if (!error.by_day) // a wait beside it is for another quota
    result.retry_after = error.wait ? error.wait : retry_after(head, std::chrono::system_clock::now());
  if (!result.retry_after && !error.by_day && (code == errc::rate_limited || code == errc::overloaded))
    result.retry_after = find_wait(error.message);
  result.suggestion = suggest(code, head.status, error);
  if (form == body_form::nothing)
    result.message += ", with an empty body";
  if (form == body_form::page) {
    result.message += ", with " + std::string{page_name};
    auto is_said = head.status == 407 || result.suggestion == ask_for_https;
    if (auto better = suggest_for_page(code, head.status, error.message); !better.empty() && !is_said)
      result.suggestion = better;
  }
  explain_way(head, said, result);
  if (head.status / 100 == 3)
    explain_redirect(head, result);
  return result;
}

failure invalid_answer(const http::response_head& head, std::string description) {
  auto result = bare_failure(head, errc::invalid_response, "the provider answered with " + std::move(description));
  result.suggestion = ask_for_v1;
  return result;
}

failure broken_json(const http::response_head& head, std::string_view problem) {
  auto result = invalid_answer(head, "broken JSON (" + clean_words(problem, 200) + ")");
  auto is_whole = problem.starts_with("nested") || problem.starts_with("more than"); // but too much of it
  result.suggestion = is_whole ? "" : tell_damage;
  return result;
}

failure invalid_body(const http::response_head& head, std::string_view text) {
  if (head.status == 204 || head.status == 205)
    return invalid_answer(head, "HTTP " + std::to_string(head.status) + ", which means that there is no content");
  if (head.status == 202 && ascii::trim(text).empty()) {
    auto result = invalid_answer(head, std::string{later_words});
    result.suggestion = "nobody asks for it there: have the server answer in the same request";
    return result;
  }
  if (text.starts_with('{') || text.starts_with('['))
    return broken_json(head, "it begins " + clean_words(text, 80));
  auto result = invalid_answer(head, describe_body(text));
  if (!packed_form(text).empty())
    result.suggestion = "have the server, or the proxy before it, name the content-encoding, or use none";
  if (tells(text.substr(0, 200), lost_phrases) && !is_page(text))
    result.code = errc::not_found;
  if (!is_page(text))
    return result;
  auto words = page_words(text);
  result.provider_message = clean_words(words);
  result.suggestion = suggest_for_page(result.code, head.status, words);
  return result;
}

bool will_come_again(const failure& problem) {
  static constexpr auto signs = std::to_array(
    {page_name, text_name, stream_name, packed_words, unknown_words, unfit_words, doubtful_pieces, later_words});
  auto is_success = problem.http_status / 100 == 2;
  auto is_nothing = problem.http_status == 204 || problem.http_status == 205;
  auto is_told = std::any_of(signs.begin(), signs.end(),
                             [&](auto sign) { return problem.message.find(sign) != problem.message.npos; });
  auto beginning =
    std::string_view{problem.message}.substr(std::min(problem.message.find("begins "), problem.message.size()));
  return problem.code == errc::invalid_response && is_success
         && (is_nothing || (is_told && !tells(beginning, passing_phrases)));
}

} // namespace modelforge::wire
