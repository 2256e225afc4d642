#include "provider/explanations.hpp"

namespace modelforge::provider {

namespace {

/// What a person can do about a proxy that is in the way; empty where it is not.
std::string suggestion_for_proxy(const http::transfer_error& error) {
  if (error.proxy.empty())
    return {};
  if (error.code == errc::configuration)
    return "set http_proxy, https_proxy or all_proxy to a URL such as http://HOST:3128, or unset it";
  std::string text;
  if (error.code == errc::resolve_failed || (error.code == errc::connect_failed && error.phase <= http::phase::connect))
    text = "check the proxy that http_proxy, https_proxy or all_proxy names";
  else if (error.code == errc::permission)
    text = "write the name and password that the proxy wants in front of its host, or ask who runs it to let this host "
           "through";
  else
    return {};
  return text + "; NO_PROXY names the hosts to be asked without it, e.g. NO_PROXY=127.0.0.1,localhost";
}

/// What a person can do about a transfer that failed.
std::string suggestion_for(const http::transfer_error& error) {
  if (auto proxy = suggestion_for_proxy(error); !proxy.empty())
    return proxy;
  switch (error.code) {
    case errc::resolve_failed:
      return "is base_url right, and is the network up?";
    case errc::connect_failed:
      return "is the server running at base_url, and does a proxy stand between?";
    case errc::tls_failed:
      return "does base_url need http:// instead of https://, or a CA bundle (SSL_CERT_FILE, SSL_CERT_DIR)?";
    case errc::attempt_timeout:
      return error.phase <= http::phase::tls ? "raise timeouts.connect if the network is that slow"
                                             : "raise timeouts.total (or timeouts.idle), or ask for a shorter answer";
    case errc::response_too_large:
      return "raise runtime.max_response_bytes if such answers are meant";
    case errc::unsupported:
      return "have the server, or the proxy before it, send gzip in one part, or no encoding";
    default:
      return {};
  }
}

/// "tokens", "input tokens", ...
std::string dimension_name(limits::dimension which) {
  return std::string{limits::dimension_names[static_cast<std::size_t>(which)]};
}

/// Says where the time went: waiting for its turn, between attempts, or for the provider.
failure deadline_passed(limits::duration waited, bool in_flight, const failure* last) {
  auto where = in_flight         ? ", waiting for the provider"
               : last != nullptr ? ", between attempts"
                                 : ", waiting for its turn";
  auto why = make_failure(errc::deadline_exceeded,
                          "no answer within the request's deadline (" + duration_text(waited) + where + ")");
  if (last != nullptr)
    why.message += "; the attempt before: " + last->message;
  return why;
}

/// Keeps the code of the attempt before, which is what went wrong.
failure out_of_budget(const failure* last) {
  auto why = last != nullptr ? *last : failure{};
  why.message += "; not tried again, because too many requests are being tried again already";
  return why;
}

failure open_circuit(const dispatcher::refusal& refused, const failure* last) {
  auto why = make_failure(errc::circuit_open,
                          "the provider failed too often lately"
                            + (refused.wait ? ", the next request goes to it in " + duration_text(*refused.wait)
                                            : std::string{", and one request is trying it now"}),
                          "wait, or use another provider; circuit_breaker.when_open = \"wait\" lets requests wait");
  if (last != nullptr)
    why.message += "; the attempt before: " + last->message;
  why.retry_after = refused.wait;
  why.is_outage = true;
  return why;
}

failure over_limit(const dispatcher::refusal& refused) {
  return make_failure(errc::too_large,
                      "the request needs at least " + std::to_string(refused.wanted) + " "
                        + dimension_name(*refused.over) + ", and the configured limit allows "
                        + std::to_string(refused.limit) + " in a whole window",
                      "send less, lower max_tokens, or raise the limit in rate_limit if the provider grants more");
}

/// Told at once, instead of letting the request wait for a deadline that it cannot meet.
failure long_wait(const dispatcher::refusal& refused) {
  auto why = make_failure(errc::deadline_exceeded,
                          "it would wait " + duration_text(*refused.wait)
                            + " for the provider's limits, longer than its deadline allows",
                          "send fewer requests, or give them more time");
  why.retry_after = refused.wait;
  return why;
}

} // namespace

failure describe(const http::transfer_error& error) {
  return make_failure(error.code, error.message, suggestion_for(error));
}

failure describe(const dispatcher::refusal& refused, uint32_t max_queued, limits::duration waited, bool in_flight,
                 const failure* last) {
  using reason = dispatcher::reason;
  switch (refused.why) {
    case reason::duplicate:
      return make_failure(errc::duplicate_request, "a request with this id is being answered already");
    case reason::too_large:
      return make_failure(errc::too_large, "the request's bytes are more than runtime.max_queued_bytes allows");
    case reason::over_limit:
      return over_limit(refused);
    case reason::queue_full:
      return make_failure(errc::queue_full,
                          std::to_string(max_queued) + " requests are waiting already (runtime.max_queued)");
    case reason::queue_bytes_full:
      return make_failure(errc::queue_full, "the waiting requests fill their memory (runtime.max_queued_bytes)");
    case reason::predicted_wait:
      return long_wait(refused);
    case reason::circuit_open:
      return open_circuit(refused, last);
    case reason::deadline:
      return deadline_passed(waited, in_flight, last);
    case reason::empty_budget:
      return out_of_budget(last);
    case reason::draining:
      break;
  }
  return make_failure(errc::draining, "the provider is shutting down and takes nothing new");
}

void explain_end(failure& why, const dispatcher::settlement& end) {
  if (end.code == errc::outcome_unknown && why.code != errc::outcome_unknown) {
    why.code = errc::outcome_unknown;
    why.message += "; the request may have run, and retry.retry_uncertain = false forbids to send it again";
  }
  why.is_outage = end.circuit_open;
  if (end.circuit_open)
    why.message += "; not tried again, because the provider failed too often lately";
  if (!end.wait)
    return;
  why.retry_after = end.wait;
  why.message += "; it asks to wait " + duration_text(*end.wait) + ", longer than this request may";
}

} // namespace modelforge::provider
