#include "cluster/etcd.hpp"

#include "base/ascii.hpp"
#include "cluster/etcd_json.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace modelforge::cluster::etcd {

namespace {

constexpr std::size_t max_name = 128;

/// A condition of a transaction: the number of a key's record is so.
void put_condition(json::writer& out, std::string_view key, std::string_view target, std::string_view member,
                   revision number) {
  out.open('{');
  put_bytes(out, "key", key);
  out.key("target");
  out.word(target);
  out.key("result");
  out.word("EQUAL");
  put(out, member, number);
  out.close('}');
}

/// Of an owner's record: 0 where there is none.
void put_epoch(json::writer& out, const place& where, revision epoch) {
  put_condition(out, where.records() + "owner", "CREATE", "create_revision", epoch);
}

void put_write(json::writer& out, std::string_view key, std::string_view value, lease_id lease = 0) {
  out.open('{');
  out.key("request_put");
  out.open('{');
  put_bytes(out, "key", key);
  put_bytes(out, "value", value);
  if (lease != 0)
    put(out, "lease", lease);
  out.close('}');
  out.close('}');
}

void put_removal(json::writer& out, std::string_view key) {
  out.open('{');
  out.key("request_delete_range");
  out.open('{');
  put_bytes(out, "key", key);
  out.close('}');
  out.close('}');
}

void put_read_all(json::writer& out, const place& where) {
  put_prefix(out, where.records());
  put(out, "limit", max_records);
}

/// A transaction: if the conditions hold, the changes; else what there is is read.
template <class Conditions, class Changes, class Else>
call transaction(Conditions&& conditions, Changes&& changes, Else&& otherwise) {
  call result{"/v3/kv/txn", {}};
  json::writer out{result.body};
  out.open('{');
  for (auto& [name, write] : {std::pair<const char*, std::function<void(json::writer&)>>{"compare", conditions},
                              {"success", changes},
                              {"failure", otherwise}}) {
    out.key(name);
    out.open('[');
    write(out);
    out.close(']');
  }
  out.close('}');
  return result;
}

template <class Conditions, class Changes>
call transaction(const place& where, Conditions&& conditions, Changes&& changes) {
  return transaction(conditions, changes, [&](json::writer& out) {
    out.open('{');
    out.key("request_range");
    out.open('{');
    put_read_all(out, where);
    out.close('}');
    out.close('}');
  });
}

call about_lease(std::string_view path, std::string_view member, int64_t number) {
  call result{std::string{path}, {}};
  json::writer out{result.body};
  out.open('{');
  put(out, member, number);
  out.close('}');
  return result;
}

call write_call(const grant_lease& x, const place&) {
  return about_lease("/v3/lease/grant", "TTL", x.ttl.count());
}

call write_call(const renew_lease& x, const place&) {
  return about_lease("/v3/lease/keepalive", "ID", x.lease);
}

call write_call(const revoke_lease& x, const place&) {
  return about_lease("/v3/lease/revoke", "ID", x.lease);
}

call write_call(const look&, const place& where) {
  call result{"/v3/kv/range", {}};
  json::writer out{result.body};
  out.open('{');
  put_read_all(out, where);
  out.close('}');
  return result;
}

call write_call(const acquire& x, const place& where) {
  return transaction(
    where, [&](auto& out) { put_epoch(out, where, 0); },
    [&](auto& out) {
      put_write(out, where.records() + "owner", where.node, x.lease);
      put_removal(out, where.records() + "claims/" + where.node);
    });
}

call write_call(const claim& x, const place& where) {
  return transaction(
    where, [&](auto& out) { put_epoch(out, where, x.epoch); },
    [&](auto& out) { put_write(out, where.records() + "claims/" + where.node, std::to_string(x.epoch), x.lease); });
}

call write_call(const give_up& x, const place& where) {
  return transaction(
    where, [&](auto& out) { put_epoch(out, where, x.epoch); },
    [&](auto& out) {
      put_removal(out, where.records() + "owner");
      if (x.placed)
        put_write(out, where.records() + "placed", *x.placed);
    });
}

/// A node's name, if it can be one.
std::string name_in(std::string_view text) {
  auto is_good = text.size() <= max_name
                 && ascii::all(text, [](char c) { return ascii::is_alnum(c) || c == '-' || c == '_' || c == '.'; });
  return std::string{is_good ? text : std::string_view{}};
}

// An owner whose name cannot be is one nevertheless: the provider is not free.
store_view view_of(revision at, const std::vector<record>& records, const place& where) {
  store_view result;
  result.at = at;
  auto base = where.records();
  for (auto& x : records) {
    if (!x.key.starts_with(base))
      continue;
    auto key = std::string_view{x.key}.substr(base.size());
    constexpr std::string_view claims = "claims/";
    if (key == "owner") {
      result.owner = owner_record{name_in(x.value), x.lease, x.created};
    } else if (key == "placed") {
      result.placed = name_in(x.value);
    } else if (key.starts_with(claims)) {
      revision epoch = 0;
      auto node = name_in(key.substr(claims.size()));
      if (!node.empty() && json::read_whole(x.value, epoch) && epoch > 0)
        result.claims.push_back({std::move(node), epoch});
    }
  }
  return result;
}

answer view_in(const message& read, json::raw kvs, const place& where) {
  std::vector<record> records;
  if (read.at == 0 || read.more.text == "true" || !read_records(kvs, records))
    return not_understood("records that cannot be, or too many");
  return seen{view_of(read.at, records, where)};
}

answer understand(const grant_lease&, const message& read, const place&) {
  auto lease = integer_in(read.id), ttl = integer_in(read.ttl);
  if (read.at == 0 || !lease || *lease == 0 || !ttl || *ttl < 1 || *ttl > max_ttl.count())
    return not_understood("a lease that cannot be");
  return lease_granted{read.at, *lease, std::chrono::seconds{*ttl}};
}

// A lease that is no more has no ttl; one of another number is not what was asked for.
answer understand(const renew_lease& asked, const message& read, const place&) {
  auto lease = integer_in(read.id), ttl = integer_in(read.ttl);
  if (read.at == 0 || lease != asked.lease || !ttl || *ttl < 0 || *ttl > max_ttl.count())
    return not_understood("another lease than was asked for, or one that cannot be");
  return lease_renewed{std::chrono::seconds{*ttl}};
}

answer understand(const revoke_lease&, const message& read, const place&) {
  return read.at == 0 ? answer{not_understood("no revision")} : changed{read.at};
}

answer understand(const look&, const message& read, const place& where) {
  return view_in(read, read.kvs, where);
}

/// Of a transaction that was not carried out: what there is.
answer contrary(const message& read, const place& where) {
  std::vector<record> records;
  if (read.at == 0 || !read_response(read.responses, 0, records))
    return not_understood("records that cannot be, or too many");
  return seen{view_of(read.at, records, where)};
}

answer understand(const acquire&, const message& read, const place& where) {
  if (read.succeeded.text != "true")
    return contrary(read, where);
  return read.at == 0 ? answer{not_understood("no revision")} : acquired{read.at};
}

answer understand(const claim&, const message& read, const place& where) {
  if (read.succeeded.text != "true")
    return contrary(read, where);
  return read.at == 0 ? answer{not_understood("no revision")} : changed{read.at};
}

answer understand(const give_up&, const message& read, const place& where) {
  if (read.succeeded.text != "true")
    return contrary(read, where);
  return read.at == 0 ? answer{not_understood("no revision")} : changed{read.at};
}

} // namespace

http::request to_request(call what, std::string_view endpoint, std::string_view token,
                         std::chrono::nanoseconds timeout) {
  http::request result;
  while (endpoint.ends_with('/'))
    endpoint.remove_suffix(1);
  result.url = std::string{endpoint} + what.path;
  result.headers.push_back({"content-type", "application/json"});
  if (!token.empty())
    result.headers.push_back({"authorization", std::string{token}});
  result.body = std::move(what.body);
  result.connect_timeout = timeout;
  result.total_timeout = timeout;
  result.max_response_bytes = max_body;
  result.compression = false;
  return result;
}

call to_call(const question& asked, const place& where) {
  return std::visit([&](auto& x) { return write_call(x, where); }, asked);
}

told read_answer(const question& asked, const place& where, uint16_t status, std::string_view body) {
  auto read = read_good(status, body, std::holds_alternative<renew_lease>(asked));
  if (auto* refused = std::get_if<refusal>(&read))
    return {std::move(refused->is), 0, refused->needs_token};
  auto& good = std::get<message>(read);
  return {std::visit([&](auto& x) { return understand(x, good, where); }, asked), good.cluster};
}

// -- the window -----------------------------------------------------------------------

call to_call(const save_window& x, const place& where) {
  auto read = [](json::writer& out, const std::string& key) {
    out.open('{');
    out.key("request_range");
    out.open('{');
    put_bytes(out, "key", key);
    out.close('}');
    out.close('}');
  };
  return transaction(
    [&](auto& out) {
      put_epoch(out, where, x.epoch);
      put_condition(out, where.window(), "MOD", "mod_revision", x.base);
    },
    [&](auto& out) { put_write(out, where.window(), x.bytes); },
    [&](auto& out) {
      read(out, where.records() + "owner");
      read(out, where.window());
    });
}

save_answer read_saved(const save_window& asked, const place& where, uint16_t status, std::string_view body) {
  auto read = read_good(status, body);
  if (auto* refused = std::get_if<refusal>(&read))
    return std::move(refused->is);
  auto& good = std::get<message>(read);
  if (good.at == 0)
    return not_understood("no revision");
  if (good.succeeded.text == "true")
    return window_saved{good.at};
  std::vector<record> owner, window;
  if (!read_response(good.responses, 0, owner) || !read_response(good.responses, 1, window))
    return not_understood("records that cannot be");
  window_not_saved result;
  result.is_owner = !owner.empty() && owner[0].created == asked.epoch && owner[0].key == where.records() + "owner";
  if (!window.empty())
    result.has = {window[0].changed, std::move(window[0].value)};
  return result;
}

call read_window(const place& where) {
  call result{"/v3/kv/range", {}};
  json::writer out{result.body};
  out.open('{');
  put_bytes(out, "key", where.window());
  out.close('}');
  return result;
}

window_answer read_window(const place& where, uint16_t status, std::string_view body) {
  auto read = read_good(status, body);
  if (auto* refused = std::get_if<refusal>(&read))
    return std::move(refused->is);
  auto& good = std::get<message>(read);
  std::vector<record> records;
  if (good.at == 0 || !read_records(good.kvs, records) || records.size() > 1)
    return not_understood("a record that cannot be");
  if (records.empty())
    return window_view{};
  if (records[0].key != where.window())
    return not_understood("another record than was asked for");
  return window_view{records[0].changed, std::move(records[0].value)};
}

// -- access ---------------------------------------------------------------------------

call authenticate(std::string_view user, std::string_view password) {
  call result{"/v3/auth/authenticate", {}};
  json::writer out{result.body};
  out.open('{');
  out.key("name");
  out.repaired(user);
  out.key("password");
  out.repaired(password);
  out.close('}');
  return result;
}

std::variant<std::string, no_answer> read_token(uint16_t status, std::string_view body) {
  constexpr std::size_t max_token = 8192; // the longest are signed (JWT)
  auto read = read_good(status, body);
  if (auto* refused = std::get_if<refusal>(&read))
    return std::move(refused->is);
  std::string scratch;
  auto token = json::string_in(std::get<message>(read).token, scratch);
  if (token.empty() || token.size() > max_token || !ascii::all(token, [](char c) { return c > ' ' && c <= '~'; }))
    return not_understood("a token that cannot be");
  return std::string{token};
}

} // namespace modelforge::cluster::etcd
