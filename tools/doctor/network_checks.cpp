#include "tools/doctor/checks.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace modelforge::doctor {

namespace {

/// What OpenSSL says of a certificate, and what that means to the person who reads it.
struct tls_cause {
  std::string_view words;
  std::string_view remedy;
};

constexpr auto tls_causes = std::to_array<tls_cause>({
  {"certificate has expired",
   "the server's certificate is out of date, or this machine's clock is ahead: compare `date -u` with another clock; "
   "else whoever runs the server has to renew it"},
  {"certificate is not yet valid", "this machine's clock is behind, most likely: compare `date -u` with another clock"},
  {"self-signed certificate",
   "the server, or a proxy that opens TLS on the way, has a certificate of its own making: have SSL_CERT_FILE name a "
   "PEM file with the authority that has signed it"},
  {"self signed certificate",
   "the server, or a proxy that opens TLS on the way, has a certificate of its own making: have SSL_CERT_FILE name a "
   "PEM file with the authority that has signed it"},
  {"unable to get local issuer certificate",
   "this machine does not know the authority that has signed the certificate: install ca-certificates, or have "
   "SSL_CERT_FILE name a PEM file with that authority"},
  {"no alternative certificate subject name matches",
   "the certificate is for another host: is base_url right, and does no proxy or portal stand between?"},
  {"does not match target host name",
   "the certificate is for another host: is base_url right, and does no proxy or portal stand between?"},
  {"wrong version number", "the server speaks plain HTTP there: write http:// in base_url, or its TLS port"},
  {"error setting certificate",
   "the file that SSL_CERT_FILE or CURL_CA_BUNDLE names is not a PEM file with certificates"},
  {"made no TLS handshake", "something else than a TLS server listens there: is the port in base_url right?"},
});

std::string tls_remedy(const failure& why) {
  for (auto& cause : tls_causes)
    if (why.message.find(cause.words) != std::string::npos)
      return std::string{cause.remedy};
  return why.suggestion;
}

/// Whether it may be over by itself, so that the configuration is not to blame.
bool may_pass(errc code) {
  return code == errc::rate_limited || code == errc::overloaded || code == errc::server_error
         || code == errc::attempt_timeout || code == errc::connection_lost;
}

finding judge_failure(const answer_facts& answer, const failure& why) {
  auto message = why.message;
  if (!why.provider_message.empty() && message.find(why.provider_message) == std::string::npos)
    message += ": " + why.provider_message;
  auto remedy = why.suggestion;
  auto level = may_pass(why.code) ? verdict::warning : verdict::problem;
  if (why.code == errc::tls_failed)
    remedy = tls_remedy(why);
  else if (why.code == errc::authentication)
    remedy = answer.key.empty() ? "name a key: api_key_env in [providers." + answer.provider + "]"
                                : "is the key in " + answer.key + " this provider's, whole, and not revoked?";
  else if (why.code == errc::not_found) {
    level = verdict::warning; // there are servers without a list
    message += "; whether it takes the key is not known";
    remedy = "is base_url right? A server that has no list of models may work nevertheless";
  } else if (may_pass(why.code) && remedy.empty())
    remedy = "try again later";
  return {level, "answer", answer.provider, std::move(message), std::move(remedy)};
}

/// Servers list "llama3:latest" where "llama3" is asked for.
bool has_model(const std::vector<std::string>& listed, const std::string& wanted) {
  return std::any_of(listed.begin(), listed.end(),
                     [&](auto& name) { return name == wanted || name == wanted + ":latest"; });
}

} // namespace

finding judge_host(const host_facts& host) {
  if (host.problem.empty())
    return {verdict::ok, "host", host.subject,
            host.host + " has " + std::to_string(host.addresses) + (host.addresses == 1 ? " address" : " addresses"),
            ""};
  return {verdict::problem, "host", host.subject, host.host + " cannot be resolved: " + host.problem,
          "is the name right, is the network up, and does /etc/resolv.conf name a server that answers?"};
}

std::vector<finding> judge_proxy(const proxy_facts& proxy) {
  std::vector<finding> result;
  auto add = [&](verdict level, std::string message, std::string remedy) {
    result.push_back({level, "proxy", proxy.provider, std::move(message), std::move(remedy)});
  };
  if (proxy.is_capital)
    add(verdict::warning, "HTTP_PROXY is set and not heeded: servers set it by a request's header",
        "set http_proxy in small letters if " + proxy.host + " is to be asked through it");
  if (proxy.name.empty() && proxy.flaw.empty()) {
    if (proxy.has_any)
      add(verdict::ok, proxy.host + " is asked directly, past the proxy", "");
    return result;
  }
  if (!proxy.flaw.empty())
    add(verdict::problem, "the proxy cannot be used: " + proxy.flaw,
        "set http_proxy, https_proxy or all_proxy to a URL such as http://HOST:3128, or unset it");
  else if (!proxy.trouble.empty())
    add(verdict::problem, "the proxy " + proxy.name + " cannot be reached: " + proxy.trouble,
        "check the proxy that http_proxy, https_proxy or all_proxy names, or name " + proxy.host
          + " in no_proxy to ask it directly");
  else
    add(verdict::ok, proxy.host + " is asked through the proxy " + proxy.name, "");
  if (proxy.is_loopback)
    add(verdict::warning, proxy.host + " is this machine, and is asked through a proxy",
        "set no_proxy=127.0.0.1,localhost");
  return result;
}

finding judge_trust(const trust_facts& trust) {
  if (trust.problem.empty())
    return {verdict::ok, "tls", trust.variable, trust.path + " holds the authorities that servers have to be of", ""};
  return {verdict::problem, "tls", trust.variable, trust.path + " cannot be used: " + trust.problem,
          "name a PEM file of authorities, or unset " + trust.variable + ": then the system's count"};
}

std::vector<finding> judge_answer(const answer_facts& answer) {
  if (auto* why = std::get_if<failure>(&answer.got))
    return {judge_failure(answer, *why)};
  auto& listed = std::get<model_list>(answer.got).models;
  auto accepted = answer.key.empty() ? std::string{"answers"} : "takes the key in " + answer.key;
  std::vector<finding> result{
    {verdict::ok, "answer", answer.provider,
     accepted + ", and lists " + std::to_string(listed.size()) + (listed.size() == 1 ? " model" : " models"), ""}};
  for (auto& wanted : answer.models)
    if (!listed.empty() && !has_model(listed, wanted))
      result.push_back({verdict::warning, "answer", answer.provider,
                        "the model " + wanted + ", which the settings name, is not in its list",
                        "`modelforge models -p " + answer.provider + "` prints the list"});
  return result;
}

} // namespace modelforge::doctor
