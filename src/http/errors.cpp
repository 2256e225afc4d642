#include "http/transfer.hpp"

#include <sys/resource.h>

#include <cctype>
#include <cstdio>
#include <string_view>
#include <system_error>

/// Why transfers fail, in our terms and in words.

namespace modelforge::http {

namespace {

/// Whether an answer is encoded in a way that libcurl does not know; otherwise it could not be decoded.
bool is_unknown_encoding(const transfer& transfer, CURLcode code) {
  return code == CURLE_BAD_CONTENT_ENCODING
         && std::string_view{transfer.error_text}.starts_with("Unrecognized content encoding");
}

/// Whether an answer is said to be encoded, and is not; zlib tells by its first bytes.
bool is_not_encoded(const transfer& transfer, CURLcode code) {
  return code == CURLE_BAD_CONTENT_ENCODING
         && std::string_view{transfer.error_text}.find("incorrect header check") != std::string_view::npos;
}

/// Our word for one of libcurl's failures. The same code may mean a failed connection or a lost one: what counts is how
/// far the transfer had come, since that decides whether it may be repeated.
errc classify(CURLcode code, phase reached) {
  auto sent = reached >= phase::send;
  switch (code) {
    case CURLE_URL_MALFORMAT:
      return errc::invalid_request;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return errc::resolve_failed;
    case CURLE_UNSUPPORTED_PROTOCOL: // once sent: what came back is not HTTP/1 or later
      return sent ? errc::invalid_response : errc::invalid_request;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
      return errc::invalid_response;
    case CURLE_OUT_OF_MEMORY: // libcurl's answer to a header line of more than 100 KB, too
      return sent ? errc::invalid_response : errc::internal;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
      return sent ? errc::connection_lost : errc::tls_failed;
    default:
      if (sent)
        return errc::connection_lost;
      return reached == phase::tls ? errc::tls_failed : errc::connect_failed;
  }
}

/// What libcurl or the system adds, in brackets; empty if nothing.
std::string detail(const transfer& transfer, CURLcode code) {
  long number = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_OS_ERRNO, &number);
  std::string text;
  if (code == CURLE_COULDNT_CONNECT && number != 0)
    text = std::generic_category().message(static_cast<int>(number));
  else
    text = transfer.error_text[0] != '\0' ? transfer.error_text : curl_easy_strerror(code);
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return " (" + text + ")";
}

/// Names the limit of open files when it is reached: no more can be opened, whatever libcurl made of that.
std::string files_hint(const transfer& transfer) {
  auto* probe = transfer.state.out_of_files ? nullptr : std::fopen("/dev/null", "re");
  if (probe != nullptr) {
    std::fclose(probe);
    return {};
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return ": the process has reached its limit of " + std::to_string(limit.rlim_cur) + " open files";
}

/// Who is asked, and by way of whom.
std::string whom(const transfer& transfer) {
  auto& origin = *transfer.state.origin;
  return origin.proxy.empty() ? origin.name : origin.name + " (by way of the proxy " + origin.proxy_name + ")";
}

/// Who is connected to first: the proxy, where there is one.
std::string first_peer(const transfer& transfer) {
  auto& origin = *transfer.state.origin;
  return origin.proxy.empty() ? origin.name : "the proxy " + origin.proxy_name;
}

/// The status by which a proxy refused to open a tunnel; 0: none did.
long refusal_of_proxy(const transfer& transfer) {
  long status = 0;
  if (!transfer.state.origin->proxy.empty() && transfer.state.origin->secure && !transfer.state.begun)
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_HTTP_CONNECTCODE, &status);
  return status >= 300 ? status : 0;
}

/// The error for a tunnel that the proxy refused. That it does not reach the server (5xx) or has too much to do (429)
/// may pass; that it asks for a login, or forbids, does not.
transfer_error proxy_error(const transfer& transfer, long status) {
  auto& origin = *transfer.state.origin;
  auto may_pass = status >= 500 || status == 408 || status == 425 || status == 429;
  auto text = "the proxy " + origin.proxy_name
              + (status == 407   ? " asks for a login"
                 : status >= 500 ? " could not connect to " + origin.name
                                 : " refused to connect to " + origin.name)
              + " (HTTP " + std::to_string(status) + ")";
  auto result = error_of(transfer, may_pass ? errc::connect_failed : errc::permission, std::move(text));
  result.phase = phase::connect;
  return result;
}

/// The message of an error, for people: what failed, with whom, and what libcurl or the system says about it.
std::string describe(const transfer& transfer, CURLcode code, errc kind, phase reached) {
  auto name = whom(transfer);
  switch (kind) {
    case errc::invalid_request:
      return "the URL is not valid";
    case errc::resolve_failed:
      return "could not resolve " + first_peer(transfer) + files_hint(transfer);
    case errc::connect_failed: {
      auto hint = files_hint(transfer);
      return "could not connect to " + first_peer(transfer) + (hint.empty() ? detail(transfer, code) : hint);
    }
    case errc::tls_failed: {
      auto why = detail(transfer, code);
      if (why.find("wrong version number") != std::string::npos)
        why += "; the server may speak plain HTTP";
      return "no secure connection to " + name + why;
    }
    case errc::invalid_response:
      if (code == CURLE_BAD_CONTENT_ENCODING)
        return "the answer of " + name + " cannot be decompressed" + detail(transfer, code);
      if (code == CURLE_OUT_OF_MEMORY)
        return "the headers of the answer of " + name + " are too large";
      return "the answer of " + name + " is not valid HTTP" + detail(transfer, code);
    case errc::connection_lost:
      if (reached == phase::send)
        return "connection to " + name + " lost while the request was sent" + detail(transfer, code);
      if (reached == phase::wait)
        return "connection to " + name + " lost before the first byte" + detail(transfer, code);
      return "connection to " + name + " lost in the middle of the answer" + detail(transfer, code);
    default:
      return "the HTTP library failed" + detail(transfer, code);
  }
}

std::string seconds(std::chrono::nanoseconds duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g s", std::chrono::duration<double>(duration).count());
  return text;
}

} // namespace

transfer_error error_of(const transfer& transfer, errc code, std::string message) {
  return {.code = code,
          .phase = transfer.phase(),
          .request_written = transfer.request_written(),
          .response_begun = transfer.state.any_byte,
          .refused = transfer.state.refused && !transfer.state.any_byte,
          .message = std::move(message),
          .proxy = transfer.state.origin != nullptr ? transfer.state.origin->proxy_name : std::string{}};
}

// Our own reasons come first: where a callback of ours stopped a transfer, libcurl reports a failed callback, which
// says nothing.
transfer_error error_of(const transfer& transfer, CURLcode code) {
  if (transfer.state.stop == errc::response_too_large)
    return error_of(transfer, transfer.state.stop,
                    "the answer exceeds " + std::to_string(transfer.request.max_response_bytes) + " bytes");
  if (transfer.state.stop != errc::none)
    return error_of(transfer, transfer.state.stop,
                    "the " + std::string{transfer.state.head_given ? "trailers" : "headers"} + " of the answer of "
                      + transfer.state.origin->name + " are too large");
  if (transfer.state.compressed.has_more_members()) // nor will it know more of it next time
    return error_of(
      transfer, errc::unsupported,
      "the answer of " + transfer.state.origin->name
        + " is compressed in several parts (members of gzip), of which libcurl reads the first one alone");
  if (code == CURLE_OK && transfer.state.head_given) { // see `loop::complete`
    auto cut = error_of(transfer, errc::connection_lost,
                        "the answer of " + transfer.state.origin->name + " was compressed, and its end is missing");
    cut.decoded = true;
    return cut;
  }
  if (transfer.state.refused && !transfer.state.any_byte)
    return refused_error(transfer);
  if (transfer.state.repeated)
    return error_of(transfer, errc::connection_lost,
                    "connection to " + transfer.state.origin->name + " lost before the first byte");
  if (auto status = refusal_of_proxy(transfer); status != 0)
    return proxy_error(transfer, status);
  auto reached = transfer.phase();
  if (is_unknown_encoding(transfer, code)) // nor will it know it next time
    return error_of(transfer, errc::unsupported,
                    "the answer of " + transfer.state.origin->name + " is compressed in an unknown way"
                      + detail(transfer, code));
  if (is_not_encoded(transfer, code)) // the server says so each time
    return error_of(transfer, errc::unsupported,
                    "the answer of " + transfer.state.origin->name + " is not compressed as its content-encoding says");
  auto kind = classify(code, reached);
  auto result = error_of(transfer, kind, describe(transfer, code, kind, reached));
  if (kind == errc::tls_failed)
    result.phase = phase::tls; // the socket, by which `phase` knows, is closed already
  return result;
}

transfer_error refused_error(const transfer& transfer) {
  return error_of(transfer, errc::connection_lost,
                  transfer.state.origin->name
                    + " has not processed the request: it ends the connection, or "
                      "refused the stream (HTTP/2)");
}

// Of several timeouts that have passed, the one that covers most is named; raising it is what helps.
transfer_error timeout_error(const transfer& transfer, steady::time_point now) {
  auto name = whom(transfer);
  auto& request = transfer.request;
  if (request.total_timeout.count() > 0 && now - transfer.state.started >= request.total_timeout)
    return error_of(transfer, errc::attempt_timeout,
                    "the request to " + name + " took longer than " + seconds(request.total_timeout));
  if (transfer.phase() == phase::tls)
    return error_of(transfer, errc::tls_failed,
                    name + " accepted the connection but made no TLS handshake within "
                      + seconds(request.connect_timeout));
  if (!transfer.state.begun)
    return error_of(transfer, errc::connect_failed,
                    "no connection to " + name + " within " + seconds(request.connect_timeout));
  if (transfer.state.first_byte == steady::time_point{})
    return error_of(transfer, errc::attempt_timeout,
                    "no answer from " + name + " within " + seconds(request.first_byte_timeout));
  return error_of(transfer, errc::attempt_timeout,
                  "nothing more from " + name + " for " + seconds(request.idle_timeout));
}

} // namespace modelforge::http
