#include "cluster/etcd_json.hpp"

#include "base/ascii.hpp"

#include <algorithm>

namespace modelforge::cluster::etcd {

namespace {

constexpr std::size_t max_text = 200;

/// Codes of gRPC.
constexpr int64_t invalid_argument = 3, not_found = 5, permission_denied = 7, resource_exhausted = 8,
                  failed_precondition = 9, out_of_range = 11, unimplemented = 12, unauthenticated = 16;

bool is_final(int64_t code) {
  constexpr int64_t final_ones[] = {invalid_argument,    not_found,    permission_denied, resource_exhausted,
                                    failed_precondition, out_of_range, unimplemented,     unauthenticated};
  return std::find(std::begin(final_ones), std::end(final_ones), code) != std::end(final_ones);
}

/// What the server says, cut, and without what would break a line.
std::string clean(std::string_view text) {
  std::string result{text.substr(0, max_text)};
  std::replace_if(
    result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

/// The text and code of an error in any of its shapes: {"error": TEXT, "message": TEXT, "code": N}, newer servers
/// without "error"; in a stream {"error": {"grpc_code": N, "message": TEXT}}.
void read_error(const message& read, std::string& text, int64_t& code) {
  std::string scratch;
  json::raw inner_text, inner_code, newer_code;
  if (read.error.is_object()
      && json::read_fields(read.error, {{"message", &inner_text}, {"grpc_code", &inner_code}, {"code", &newer_code}})) {
    text = clean(json::string_in(inner_text, scratch));
    code = integer_in(inner_code.text.empty() ? newer_code : inner_code).value_or(0);
    return;
  }
  text = clean(json::string_in(read.text.text.empty() ? read.error : read.text, scratch));
  code = integer_in(read.code).value_or(0);
}

bool is_about_token(std::string_view text, int64_t code, uint16_t status) {
  return code == unauthenticated || status == 401 || ascii::icontains(text, "invalid auth token")
         || ascii::icontains(text, "user name is empty") || ascii::icontains(text, "auth: revision in header is old");
}

} // namespace

void put_prefix(json::writer& out, const std::string& prefix) {
  auto end = prefix;
  ++end.back(); // the first key behind all of them
  put_bytes(out, "key", prefix);
  put_bytes(out, "range_end", end);
}

std::optional<int64_t> integer_in(json::raw raw) {
  if (raw.text.empty())
    return 0;
  int64_t number = 0;
  if (!json::read_whole(raw.is_string() ? raw.between_quotes() : raw.text, number))
    return {};
  return number;
}

std::optional<message> read_message(std::string_view body) {
  message x;
  json::reader in{body};
  if (!in.fields({{"header", &x.header},
                  {"error", &x.error},
                  {"code", &x.code},
                  {"message", &x.text},
                  {"result", &x.result},
                  {"ID", &x.id},
                  {"TTL", &x.ttl},
                  {"succeeded", &x.succeeded},
                  {"responses", &x.responses},
                  {"kvs", &x.kvs},
                  {"more", &x.more},
                  {"token", &x.token},
                  {"created", &x.created},
                  {"canceled", &x.canceled},
                  {"cancel_reason", &x.cancel_reason},
                  {"events", &x.events}})
      || !in.finish())
    return {};
  json::raw at, cluster;
  if (json::read_fields(x.header, {{"revision", &at}, {"cluster_id", &cluster}})) {
    auto number = integer_in(at).value_or(0);
    x.at = number > 0 && number <= max_revision ? number : 0;
    json::read_whole(cluster.is_string() ? cluster.between_quotes() : cluster.text, x.cluster);
  }
  return x;
}

no_answer not_understood(std::string_view what) {
  return {no_answer::reason::refused, "the store's answer has " + std::string{what}};
}

std::optional<refusal> refusal_in(uint16_t status, const std::optional<message>& read) {
  std::string text;
  int64_t code = 0;
  if (read)
    read_error(*read, text, code);
  auto is_error = read && (!read->error.text.empty() || (code != 0 && !text.empty()));
  if (status == 200 && !is_error)
    return {};
  auto why = no_answer::reason::unavailable;
  if (code == not_found && ascii::icontains(text, "lease not found"))
    why = no_answer::reason::lease_gone;
  else if (is_error ? is_final(code) && !ascii::icontains(text, "too many requests") : status >= 300 && status < 500)
    why = no_answer::reason::refused;
  if (text.empty())
    text = "the store answers with status " + std::to_string(status) + ": is it etcd 3.4 or later?";
  auto about_token = is_about_token(text, code, status);
  return refusal{{why, std::move(text)}, about_token};
}

// A stream's messages are lines of their own; the one that is asked for is the first.
std::variant<message, refusal> read_good(uint16_t status, std::string_view body, bool is_stream) {
  if (body.size() > max_body)
    return refusal{not_understood("too many bytes")};
  body = ascii::trim(body);
  auto read = read_message(is_stream ? body.substr(0, body.find('\n')) : body);
  if (auto refused = refusal_in(status, read))
    return *std::move(refused);
  if (read && is_stream)
    read = read_message(read->result.text);
  if (!read)
    return refusal{{no_answer::reason::unavailable, "the store's answer is broken"}};
  return *std::move(read);
}

std::optional<record> read_record(json::raw raw) {
  json::raw key, value, created, changed, lease;
  if (!json::read_fields(raw, {{"key", &key},
                               {"value", &value},
                               {"create_revision", &created},
                               {"mod_revision", &changed},
                               {"lease", &lease}}))
    return {};
  auto name = base64::decode(key.between_quotes());
  auto content = base64::decode(value.between_quotes());
  auto first = integer_in(created), last = integer_in(changed), under = integer_in(lease);
  if (!name || name->empty() || !content || !first || !last || !under || *first < 0 || *first > *last || *last < 1
      || *last > max_revision)
    return {};
  return record{*std::move(name), *std::move(content), *first, *last, *under};
}

bool read_records(json::raw kvs, std::vector<record>& to) {
  if (kvs.text.empty())
    return true;
  auto good = true;
  json::reader in{kvs};
  return in.elements([&] {
    auto one = good && to.size() < max_records ? read_record(in.value()) : std::nullopt;
    good = one.has_value();
    if (one)
      to.push_back(*std::move(one));
  }) && good;
}

bool read_response(json::raw responses, std::size_t place, std::vector<record>& to) {
  json::raw range, kvs, more;
  std::size_t i = 0;
  json::reader in{responses};
  if (!in.elements([&] {
        if (i++ == place)
          json::read_fields(in.value(), {{"response_range", &range}});
      }))
    return false;
  return json::read_fields(range, {{"kvs", &kvs}, {"more", &more}}) && more.text != "true" && read_records(kvs, to);
}

} // namespace modelforge::cluster::etcd
