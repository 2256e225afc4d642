#include "cluster/etcd.hpp"

#include "base/base64.hpp"
#include "cluster/endpoints.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <string>
#include <variant>
#include <vector>

namespace modelforge::etcd_test {

using namespace modelforge::cluster;
using namespace std::chrono_literals;

namespace {

const etcd::place here{"mf/", "p", "a"};

/// What etcd 3.4.23 of Debian 12 sent, as it came.
const std::string header =
  R"("header":{"cluster_id":"13472185844244205923","member_id":"14096028209645811161","revision":"5","raft_term":"2"})";
constexpr uint64_t cluster_id = 13472185844244205923u;

std::string with_header(const std::string& rest) {
  return "{" + header + (rest.empty() ? "" : "," + rest) + "}";
}

const std::string lease_not_found =
  R"({"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5})";

std::string kv(const std::string& key, const std::string& value, const std::string& rest) {
  return R"({"key":")" + base64::encode(key) + R"(",)" + rest + R"("value":")" + base64::encode(value) + R"("})";
}

std::string kv_of(const std::string& key, const std::string& value, int64_t created, int64_t lease = 0) {
  auto revisions = R"("create_revision":")" + std::to_string(created) + R"(","mod_revision":")"
                   + std::to_string(created) + R"(","version":"1",)";
  return kv(key, value, revisions + (lease != 0 ? R"("lease":")" + std::to_string(lease) + R"(",)" : ""));
}

template <class T>
T answer_to(const question& asked, const std::string& body, uint16_t status = 200) {
  auto told = etcd::read_answer(asked, here, status, body);
  CAPTURE(body, told.is.index());
  REQUIRE(std::holds_alternative<T>(told.is));
  return std::get<T>(told.is);
}

no_answer::reason failure_of(const question& asked, const std::string& body, uint16_t status = 200) {
  return answer_to<no_answer>(asked, body, status).why;
}

std::string decoded(const nlohmann::json& text) {
  return base64::decode(text.get<std::string>()).value();
}

constexpr auto unavailable = no_answer::reason::unavailable;
constexpr auto refused = no_answer::reason::refused;
constexpr auto lease_gone = no_answer::reason::lease_gone;

} // namespace

TEST_CASE("base64 is written and read, and nothing but base64 is read", "[etcd]") {
  for (auto& [plain, text] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                              {"f", "Zg=="},
                                                                              {"fo", "Zm8="},
                                                                              {"foo", "Zm9v"},
                                                                              {"foob", "Zm9vYg=="},
                                                                              {std::string("\0\xff\x10", 3), "AP8Q"}}) {
    CHECK(base64::encode(plain) == text);
    CHECK(base64::decode(text) == plain);
  }
  for (auto* text : {"Z", "Zg", "Zg=", "Zg===", "====", "Zh==", "Zm9=", "Zm 8", "Zm8\n", "Zm8_", "=Zg="})
    CHECK_FALSE(base64::decode(text));
}

TEST_CASE("questions are written as etcd's gateway reads them", "[etcd]") {
  CHECK(etcd::to_call(grant_lease{4s}, here).path == "/v3/lease/grant");
  CHECK(etcd::to_call(grant_lease{4s}, here).body == R"({"TTL":"4"})");
  CHECK(etcd::to_call(renew_lease{8491996907081212677}, here).body == R"({"ID":"8491996907081212677"})");
  CHECK(etcd::to_call(renew_lease{-7}, here).path == "/v3/lease/keepalive");
  CHECK(etcd::to_call(revoke_lease{-7}, here).body == R"({"ID":"-7"})");
  CHECK(etcd::to_call(revoke_lease{7}, here).path == "/v3/lease/revoke");
  CHECK(etcd::to_call(look{}, here).path == "/v3/kv/range");
  CHECK(etcd::to_call(look{}, here).body
        == R"({"key":"bWYvcHJvdmlkZXJzL3Av","range_end":"bWYvcHJvdmlkZXJzL3Aw","limit":"200"})");
  auto wish = etcd::to_call(acquire{77}, here);
  CHECK(wish.path == "/v3/kv/txn");
  auto json = nlohmann::json::parse(wish.body);
  CHECK(decoded(json["compare"][0]["key"]) == "mf/providers/p/owner");
  CHECK(json["compare"][0]["target"] == "CREATE");
  CHECK(json["compare"][0]["result"] == "EQUAL");
  CHECK(json["compare"][0]["create_revision"] == "0");
  CHECK(decoded(json["success"][0]["request_put"]["key"]) == "mf/providers/p/owner");
  CHECK(decoded(json["success"][0]["request_put"]["value"]) == "a");
  CHECK(json["success"][0]["request_put"]["lease"] == "77");
  CHECK(decoded(json["success"][1]["request_delete_range"]["key"]) == "mf/providers/p/claims/a");
  CHECK(decoded(json["failure"][0]["request_range"]["range_end"]) == "mf/providers/p0");
  json = nlohmann::json::parse(etcd::to_call(claim{77, 12}, here).body);
  CHECK(json["compare"][0]["create_revision"] == "12");
  CHECK(decoded(json["success"][0]["request_put"]["value"]) == "12");
  json = nlohmann::json::parse(etcd::to_call(give_up{12, "b"}, here).body);
  CHECK(json["compare"][0]["create_revision"] == "12");
  CHECK(decoded(json["success"][0]["request_delete_range"]["key"]) == "mf/providers/p/owner");
  CHECK(decoded(json["success"][1]["request_put"]["value"]) == "b");
  CHECK(nlohmann::json::parse(etcd::to_call(give_up{12, {}}, here).body)["success"].size() == 1);
  json = nlohmann::json::parse(etcd::to_call(etcd::save_window{12, 9, "bytes"}, here).body);
  CHECK(json["compare"].size() == 2);
  CHECK(decoded(json["compare"][1]["key"]) == "mf/windows/p");
  CHECK(json["compare"][1]["mod_revision"] == "9");
  CHECK(decoded(json["success"][0]["request_put"]["value"]) == "bytes");
  CHECK(json["failure"].size() == 2);
  CHECK(etcd::watch("mf/").body == R"({"create_request":{"key":"bWYv","range_end":"bWYw"}})");
  CHECK(etcd::authenticate("u\"", "p\\").body == R"({"name":"u\"","password":"p\\"})");
}

TEST_CASE("a call becomes a request with its token", "[etcd]") {
  auto x = etcd::to_request(etcd::to_call(look{}, here), "https://store:2379/", "tHx.30", 600ms);
  CHECK(x.url == "https://store:2379/v3/kv/range");
  CHECK(x.method == "POST");
  CHECK(x.headers == std::vector<http::header>{{"content-type", "application/json"}, {"authorization", "tHx.30"}});
  CHECK(x.total_timeout == 600ms);
  CHECK(x.max_response_bytes == etcd::max_body);
  CHECK(etcd::to_request(etcd::to_call(look{}, here), "http://s", "", 1s).headers.size() == 1);
}

TEST_CASE("answers of a real etcd about leases are read", "[etcd]") {
  auto granted = answer_to<lease_granted>(grant_lease{4s}, with_header(R"("ID":"8491996907081212677","TTL":"4")"));
  CHECK(granted.at == 5);
  CHECK(granted.lease == 8491996907081212677);
  CHECK(granted.ttl == 4s);
  auto asked = renew_lease{8491996907081212677};
  auto line = R"({"result":{)" + header + R"(,"ID":"8491996907081212677","TTL":"4"}})" + "\n";
  CHECK(answer_to<lease_renewed>(asked, line).ttl == 4s);
  CHECK(answer_to<lease_renewed>(asked, line + line).ttl == 4s); // a stream may hold more
  CHECK(answer_to<lease_renewed>(asked, R"({"result":{)" + header + R"(,"ID":"8491996907081212677"}})").ttl == 0s);
  CHECK(answer_to<changed>(revoke_lease{7}, with_header("")).at == 5);
  CHECK(failure_of(revoke_lease{7}, lease_not_found, 404) == lease_gone);
  CHECK(failure_of(acquire{7}, lease_not_found, 404) == lease_gone);
  CHECK(etcd::read_answer(grant_lease{4s}, here, 200, with_header(R"("ID":"7","TTL":"4")")).cluster == cluster_id);
}

TEST_CASE("leases that cannot be are none", "[etcd]") {
  for (auto* rest :
       {"", R"("ID":"0","TTL":"4")", R"("ID":"7")", R"("ID":"7","TTL":"0")", R"("ID":"7","TTL":"-4")",
        R"("ID":"7","TTL":"3601")", R"("ID":"7","TTL":"4 ")", R"("ID":"7","TTL":"99999999999999999999")",
        R"("ID":"7","TTL":"4.5")", R"("ID":"x","TTL":"4")", R"("ID":[7],"TTL":"4")", R"("ID":"7","TTL":null)"})
    CHECK(failure_of(grant_lease{4s}, with_header(rest)) == refused);
  CHECK(answer_to<lease_granted>(grant_lease{4s}, with_header(R"("ID":7,"TTL":4)")).ttl == 4s); // numbers are fine
  CHECK(failure_of(grant_lease{4s}, R"({"ID":"7","TTL":"4"})") == refused);
  for (auto* revision : {"0", "-1", "4611686018427387905", "9223372036854775808", "x", ""})
    CHECK(
      failure_of(grant_lease{4s}, R"({"header":{"revision":")" + std::string{revision} + R"("},"ID":"7","TTL":"4"})")
      == refused);
  auto renewed = [](const std::string& rest) { return R"({"result":{)" + header + "," + rest + "}}"; };
  for (auto* rest : {R"("ID":"8","TTL":"4")", R"("TTL":"4")", R"("ID":"7","TTL":"-1")", R"("ID":"7","TTL":"3601")"})
    CHECK(failure_of(renew_lease{7}, renewed(rest)) == refused);
  CHECK(failure_of(renew_lease{7}, with_header(R"("ID":"7","TTL":"4")")) == unavailable); // not in `result`
}

TEST_CASE("answers of a real etcd about records are read", "[etcd]") {
  auto all = R"("kvs":[)" + kv_of("mf/providers/p/claims/c", "4", 5, 9) + "," + kv_of("mf/providers/p/owner", "b", 4, 8)
             + "," + kv_of("mf/providers/p/placed", "b", 3) + R"(],"count":"3")";
  store_view wanted{5, owner_record{"b", 8, 4}, {{"c", 4}}, "b"};
  CHECK(answer_to<seen>(look{}, with_header(all)).view == wanted);
  CHECK(answer_to<seen>(look{}, with_header("")).view == store_view{5, {}, {}, {}});
  auto contrary = R"("responses":[{"response_range":{"header":{"revision":"5"},)" + all + "}}]";
  for (const question& asked : {question{acquire{7}}, question{claim{7, 3}}, question{give_up{3, {}}}})
    CHECK(answer_to<seen>(asked, with_header(contrary)).view == wanted);
  auto done = with_header(R"("succeeded":true,"responses":[{"response_put":{"header":{"revision":"5"}}},)"
                          R"({"response_delete_range":{"header":{"revision":"5"}}}])");
  CHECK(answer_to<acquired>(acquire{7}, done).epoch == 5);
  CHECK(answer_to<changed>(claim{7, 3}, done).at == 5);
  CHECK(answer_to<changed>(give_up{3, {}}, done).at == 5);
}

TEST_CASE("records that cannot be make no view, and an odd owner is one nevertheless", "[etcd]") {
  auto view = [](const std::string& kvs) { return with_header(R"("kvs":[)" + kvs + "]"); };
  auto owner = std::string{"mf/providers/p/owner"};
  for (auto& bad : {std::string{"7"}, std::string{"{}"}, kv_of("", "b", 4),
                    kv(owner, "b", R"("create_revision":"9","mod_revision":"4",)"),
                    kv(owner, "b", R"("create_revision":"-9","mod_revision":"4",)"), kv(owner, "b", ""),
                    kv(owner, "b", R"("create_revision":"4","mod_revision":"4","lease":"x",)"),
                    std::string{R"({"key":"bWY","create_revision":"4","mod_revision":"4"})"}})
    CHECK(failure_of(look{}, view(bad)) == refused);
  CHECK(failure_of(look{}, with_header(R"("kvs":{})")) == refused);
  CHECK(failure_of(look{}, with_header(R"("kvs":[],"more":true)")) == refused);
  std::string many;
  for (int i = 0; i <= 200; ++i)
    many += (i > 0 ? "," : "") + kv_of("mf/providers/p/claims/n" + std::to_string(i), "4", 5);
  CHECK(failure_of(look{}, view(many)) == refused);
  CHECK(failure_of(acquire{7}, with_header("")) == refused); // neither succeeded, nor what there is
  CHECK(failure_of(acquire{7}, with_header(R"("succeeded":"true")")) == refused);
  auto odd = answer_to<seen>(
    look{}, view(kv_of(owner, std::string(1000, 'b'), 4, 8) + "," + kv_of("mf/providers/p/claims/c d", "4", 5) + ","
                 + kv_of("mf/providers/p/claims/c", "-4", 5) + "," + kv_of("mf/providers/p/claims/d", "4x", 5) + ","
                 + kv_of("mf/providers/p/placed", "\r\n", 5) + "," + kv_of("mf/providers/p/unknown", "x", 5) + ","
                 + kv_of("other", "x", 5)));
  CHECK(odd.view == store_view{5, owner_record{"", 8, 4}, {}, ""});
}

TEST_CASE("what is no answer is told apart by whether it may help to ask again", "[etcd]") {
  auto error = [](const std::string& text, int code) {
    return R"({"error":")" + text + R"(","message":")" + text + R"(","code":)" + std::to_string(code) + "}";
  };
  struct row {
    std::string body;
    uint16_t status;
    no_answer::reason why;
    bool needs_token = false;
  };
  for (auto& [body, status, why, needs_token] : std::vector<row>{
         {error("etcdserver: permission denied", 7), 403, refused},
         {error("etcdserver: invalid auth token", 16), 401, refused, true},
         {error("etcdserver: user name is empty", 3), 400, refused, true},
         {error("etcdserver: too large lease TTL", 11), 400, refused},
         {error("etcdserver: mvcc: database space exceeded", 8), 429, refused},
         {error("etcdserver: too many requests", 8), 429, unavailable},
         {error("etcdserver: no leader", 14), 503, unavailable},
         {error("etcdserver: request timed out", 14), 503, unavailable},
         {error("context deadline exceeded", 4), 504, unavailable},
         {error("unknown", 2), 500, unavailable},
         {R"({"code":5,"message":"etcdserver: requested lease not found","details":[]})", 404, lease_gone}, // etcd 3.6
         {R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})", 200, unavailable},
         {R"({"error":{"grpc_code":16,"message":"etcdserver: invalid auth token"}})", 200, refused, true},
         {"Not Found\n", 404, refused},
         {"<html>", 502, unavailable},
         {"", 200, unavailable},
         {"{", 200, unavailable},
         {R"({"header":{"revision":"5"})", 200, unavailable},
         {"[]", 200, unavailable},
         {"", 302, refused},
         {"", 503, unavailable}}) {
    CAPTURE(body, status);
    auto told = etcd::read_answer(look{}, here, status, body);
    REQUIRE(std::holds_alternative<no_answer>(told.is));
    CHECK(std::get<no_answer>(told.is).why == why);
    CHECK_FALSE(std::get<no_answer>(told.is).text.empty());
    CHECK(told.needs_token == needs_token);
  }
  CHECK(failure_of(look{}, std::string(etcd::max_body + 1, ' ')) == refused);
  auto text = answer_to<no_answer>(look{}, error(std::string(5000, 'x') + "\\n", 7), 403).text;
  CHECK(text.size() == 200);
}

TEST_CASE("any part of an answer is no answer, and breaks nothing", "[etcd]") {
  auto all = with_header(R"("kvs":[)" + kv_of("mf/providers/p/owner", "b", 4, 8) + R"(],"count":"1")");
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto told = etcd::read_answer(look{}, here, 200, all.substr(0, i));
    CHECK(std::holds_alternative<no_answer>(told.is));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    for (char c : {'"', '{', '0', '\\', '\0'}) {
      auto changed = all;
      changed[i] = c;
      (void)etcd::read_answer(look{}, here, 200, changed);
      (void)etcd::read_answer(acquire{1}, here, 200, changed);
    }
}

TEST_CASE("a window is saved over what it was, or what it is now is told", "[etcd]") {
  etcd::save_window asked{4, 3, "new"};
  auto saved = etcd::read_saved(asked, here, 200, with_header(R"("succeeded":true,"responses":[{"response_put":{}}])"));
  REQUIRE(std::holds_alternative<etcd::window_saved>(saved));
  CHECK(std::get<etcd::window_saved>(saved).at == 5);
  auto other = [&](const std::string& owner, const std::string& window) {
    auto range = [](const std::string& kvs) {
      return R"({"response_range":{"header":{"revision":"5"})" + (kvs.empty() ? "" : R"(,"kvs":[)" + kvs + "]") + "}}";
    };
    auto x =
      etcd::read_saved(asked, here, 200, with_header(R"("responses":[)" + range(owner) + "," + range(window) + "]"));
    REQUIRE(std::holds_alternative<etcd::window_not_saved>(x));
    return std::get<etcd::window_not_saved>(x);
  };
  auto x = other(kv_of("mf/providers/p/owner", "a", 4, 8), kv_of("mf/windows/p", "old", 5));
  CHECK(x.is_owner);
  CHECK(x.has.at == 5);
  CHECK(x.has.bytes == "old");
  x = other(kv_of("mf/providers/p/owner", "b", 5, 8), "");
  CHECK_FALSE(x.is_owner);
  CHECK(x.has.at == 0);
  CHECK_FALSE(other("", "").is_owner);
  CHECK(std::holds_alternative<no_answer>(etcd::read_saved(asked, here, 200, with_header(""))));
  CHECK(std::holds_alternative<no_answer>(etcd::read_saved(asked, here, 503, "")));

  CHECK(etcd::read_window(here).body == R"({"key":"bWYvd2luZG93cy9w"})");
  auto view = etcd::read_window(here, 200, with_header(R"("kvs":[)" + kv_of("mf/windows/p", "old", 5) + "]"));
  REQUIRE(std::holds_alternative<etcd::window_view>(view));
  CHECK(std::get<etcd::window_view>(view).bytes == "old");
  view = etcd::read_window(here, 200, with_header(""));
  REQUIRE(std::holds_alternative<etcd::window_view>(view));
  CHECK(std::get<etcd::window_view>(view).at == 0);
  CHECK(std::holds_alternative<no_answer>(
    etcd::read_window(here, 200, with_header(R"("kvs":[)" + kv_of("mf/windows/q", "old", 5) + "]"))));
}

TEST_CASE("tokens are read, and those that would break a header are not", "[etcd]") {
  auto token = etcd::read_token(200, with_header(R"("token":"tHxMnsjfxFlTjmaK.30")"));
  REQUIRE(std::holds_alternative<std::string>(token));
  CHECK(std::get<std::string>(token) == "tHxMnsjfxFlTjmaK.30");
  for (auto& bad : {with_header(""), with_header(R"("token":"")"), with_header(R"("token":"a\r\nb")"),
                    with_header(R"("token":"a b")"), with_header(R"("token":")" + std::string(9000, 'a') + R"(")")})
    CHECK(std::holds_alternative<no_answer>(etcd::read_token(200, bad)));
  auto wrong = etcd::read_token(
    400, R"({"error":"etcdserver: authentication failed, invalid user ID or password","message":"x","code":3})");
  REQUIRE(std::holds_alternative<no_answer>(wrong));
  CHECK(std::get<no_answer>(wrong).why == refused);
}

TEST_CASE("a real etcd's watch is read however it is cut", "[etcd]") {
  auto stream = R"({"result":{)" + header + R"(,"created":true}})" + "\n" + R"({"result":{)" + header
                + R"(,"events":[{"kv":)" + kv_of("mf/p/placed", "b", 4) + "}]}}\n" + R"({"result":{)" + header
                + R"(,"events":[{"type":"DELETE","kv":{"key":"bWYvcC9vd25lcg==","mod_revision":"5"}}]}})" + "\n";
  for (std::size_t piece : {1u, 2u, 7u, 100u, 10000u}) {
    etcd::watch_reader reader;
    std::vector<etcd::watch_event> events;
    for (std::size_t i = 0; i < stream.size(); i += piece)
      for (auto& event : reader.feed(std::string_view{stream}.substr(i, piece)))
        events.push_back(std::move(event));
    REQUIRE(events.size() == 3);
    CHECK(std::holds_alternative<etcd::watch_began>(events[0]));
    auto& put = std::get<etcd::watch_change>(events[1]);
    CHECK(put.key == "mf/p/placed");
    CHECK(put.value == "b");
    CHECK(put.at == 4);
    CHECK_FALSE(put.is_gone);
    auto& gone = std::get<etcd::watch_change>(events[2]);
    CHECK(gone.key == "mf/p/owner");
    CHECK(gone.is_gone);
    CHECK(gone.at == 5);
  }
}

TEST_CASE("a watch ends by what etcd says, and by what cannot be", "[etcd]") {
  auto over = [](const std::string& stream) {
    etcd::watch_reader reader;
    auto events = reader.feed(stream);
    REQUIRE_FALSE(events.empty());
    REQUIRE(std::holds_alternative<etcd::watch_over>(events.back()));
    CHECK(reader.feed(stream).empty());
    return std::get<etcd::watch_over>(events.back());
  };
  CHECK(over(R"({"result":{)" + header + R"(,"canceled":true,"compact_revision":"5"}})" + "\n").why.text
        == "the watch was ended");
  auto no_user = over(R"({"result":{)" + header
                      + R"(,"watch_id":"-1","created":true,"canceled":true,"cancel_reason":)"
                        R"("rpc error: code = InvalidArgument desc = etcdserver: user name is empty"}})"
                      + "\n");
  CHECK(no_user.needs_token);
  CHECK(over(R"({"error":{"grpc_code":14,"message":"etcdserver: no leader"}})"
             "\n")
          .why.text
        == "etcdserver: no leader");
  CHECK(over("garbage\n").why.why == unavailable);
  CHECK(over(std::string(etcd::max_body + 1, 'x')).why.why == refused);
  CHECK(over(R"({"result":{)" + header + R"(,"events":[{"kv":{}}]}})" + "\n").why.why == refused);
  CHECK(over(R"({"result":{)" + header + R"(,"events":{}}})" + "\n").why.why == refused);
}

TEST_CASE("servers of a store are asked in turn, and those of another store are told apart", "[etcd]") {
  endpoints x{{"a", "b", "c"}};
  CHECK(x.current() == "a");
  x.failed("b"); // old news
  CHECK(x.current() == "a");
  x.failed("a");
  CHECK(x.current() == "b");
  x.failed("a");
  CHECK(x.current() == "b");
  x.failed("b");
  x.failed("c");
  CHECK(x.current() == "a");
  CHECK_FALSE(x.is_ours(0));
  CHECK(x.is_ours(7));
  CHECK_FALSE(x.is_ours(8));
  CHECK_FALSE(x.is_ours(0));
  CHECK(x.is_ours(7));
}

} // namespace modelforge::etcd_test
