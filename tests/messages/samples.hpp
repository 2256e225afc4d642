#pragma once

#include <modelforge/messages/interfaces.hpp>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/byte_buffer.hpp>
#include <caf/config.hpp>
#include <caf/init_global_meta_objects.hpp>

#include <chrono>
#include <string>
#include <tuple>

/// One value of each message type, with every field set to something else than its default, and the way to bytes.

namespace modelforge::test {

inline const bool caf_is_ready = [] {
  caf::init_global_meta_objects<caf::id_block::modelforge>();
  caf::init_global_meta_objects<caf::id_block::modelforge_handles>();
  caf::core::init_global_meta_objects();
  return true;
}();

inline attempt_record sample_attempt() {
  using namespace std::chrono_literals;
  return {3, "key2/demo", wait_reason::breaker, 1ns, 2us, 3ms, 503, errc::overloaded};
}

inline token_usage sample_usage() {
  return {1320, 58, 1152, 64, 40};
}

inline failure sample_failure() {
  return {errc::overloaded,
          "it broke",
          "openai",
          "demo-mini",
          "key1",
          503,
          "server_error",
          "sorry",
          "req_1",
          std::chrono::seconds{7},
          "try again",
          {sample_attempt()},
          "not JSON",
          sample_usage(),
          0.5,
          true};
}

inline timings sample_timings() {
  using namespace std::chrono_literals;
  return {5ms, 1s, 2s};
}

inline attempts_made sample_attempts_made() {
  return {2, std::chrono::seconds{5}, {sample_attempt()}, true};
}

inline sampling sample_sampling() {
  return {100, 0.5, 0.25, 40, -1.5, 2.0, -7, {"END", "\n"}, "low", 2048};
}

inline response_format sample_format() {
  return {response_kind::json_schema, "reply", R"({"type":"object"})", false, json_check::fail};
}

inline tool_definition sample_tool() {
  return {"look", "Looks at things", R"({"type":"object"})", true, true};
}

inline tool_choice sample_choice() {
  return {tool_mode::named, "look", false};
}

/// A message with a part of each kind; no provider would take it.
inline chat_message sample_message() {
  return {role::tool,
          {text_part{"Grüße", true}, image_part{"https://example.com/a.png", "image/png", "AAAA", "low", true},
           tool_call{"call_1", "look", "{}", "seal"}, tool_result{"call_1", "a cat", true, true},
           reasoning_part{"hm", "seal"}},
          "ada"};
}

inline chat_request sample_request() {
  return {{1, 2},
          "demo-mini",
          {sample_message(), text_message(role::user, "Hi")},
          sample_sampling(),
          sample_format(),
          {sample_tool()},
          sample_choice(),
          priority::batch,
          "acme",
          {{"a", "1"}, {"b", "2"}},
          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          "vendor=opaque",
          std::chrono::seconds{30},
          R"({"user":"u"})",
          "prefix-1",
          std::chrono::hours{1},
          sample_attempts_made(),
          true};
}

inline completion sample_completion() {
  return {{1, 2},
          "Hello",
          {{"call_1", "look", "{}", "seal"}},
          {{"hm", "seal"}},
          "no",
          finish_reason::paused,
          "brand_new",
          answer_flaw::unclear,
          sample_usage(),
          0.125,
          "openai",
          "demo",
          "req_1",
          {sample_attempt()},
          sample_timings(),
          {"one choice of two"},
          {"seed: 42"},
          R"({"content":[]})",
          {{"Hi", {{"call_2", "look", "{}", ""}}, {{"mm", ""}}, "nope", finish_reason::length, "length", "{}"}}};
}

inline batch_job_status sample_job_status() {
  using namespace std::chrono_literals;
  return {"n1", "batch_1", batch_job_state::cancelled, "cancelled", 3, 1, 2, 9s, 60s};
}

inline batch_job_result sample_job_result() {
  return {7, false, sample_failure()};
}

inline batch_job_request sample_job_request() {
  return {"n1", batch_job_start::attach, "demo", {{7, sample_request()}}, "batch_1", 1'700'000'000, {"batch_0"}, true};
}

inline batch_share sample_share() {
  return {"openai", 1, 2, 3, 5, sample_usage(), 90, 0.125, 0.25, 4};
}

inline batch_progress sample_progress() {
  return {
    1,    2, 1,           3, 4, {5, 6, 7, 8}, 6, sample_usage(), 0.125, {sample_job_status()}, std::chrono::seconds{9},
    true, 4, {"it waits"}};
}

inline batch_report sample_report() {
  return {1,
          2,
          1,
          {5, 6, 7, 8},
          5,
          true,
          std::chrono::seconds{9},
          {sample_share()},
          sample_failure(),
          sample_failure(),
          {"no batch API"},
          "out.jsonl",
          "out.jsonl.ledger"};
}

inline lane_status sample_lane() {
  return {"team/gpt-*", "half_open", 2, 16, 3, std::chrono::seconds{4}, true, {{"requests", 500, 17}}};
}

inline provider_status sample_status() {
  provider_status x;
  x.name = "openai";
  x.kind = "openai";
  x.base_url = "https://api.openai.com/v1";
  x.max_concurrent = 16;
  x.queued = 1;
  x.queued_batch = 2;
  x.queued_bytes = 3;
  x.waiting = 4;
  x.next_retry = std::chrono::seconds{5};
  x.in_flight = 6;
  x.predicted_wait = std::chrono::seconds{7};
  x.answered = 8;
  x.failed = 9;
  x.late = 10;
  x.attempts = 11;
  x.retries = {{"rate", 12}};
  x.refusals = {{"queue_full", 13}};
  x.draining = true;
  x.problem = "another process";
  x.lanes = {sample_lane()};
  return x;
}

inline stream_piece sample_piece() {
  return {piece_kind::tool_call, "{\"a\":", 1, "call_1", "look", "seal"};
}

inline subscription sample_subscription() {
  return {slow_policy::coalesce, 7, 3};
}

inline stream_request sample_stream_request() {
  using namespace std::chrono_literals;
  return {sample_request(), sample_subscription(), disconnect_policy::drain_for, 1s, 2s, 4096, true};
}

inline embedding_request sample_embedding_request() {
  return {{1, 2},
          "demo-embed",
          {"Grüße", "two"},
          256,
          embedding_purpose::document,
          priority::batch,
          "acme",
          {{"a", "1"}},
          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          "vendor=opaque",
          std::chrono::seconds{30},
          R"({"user":"u"})",
          sample_attempts_made(),
          true};
}

inline embedding sample_embedding() {
  return {{1, 2},           {{0.5F, -0.25F}, {1.0F, 0.0F}},
          sample_usage(),   0.125,
          "openai",         "demo-embed",
          "req_1",          {sample_attempt()},
          sample_timings(), {"cut"}};
}

inline stream_status sample_stream_status() {
  return {{1, 2}, stream_stage::paused, 2, 100, 120, 40, 1234, 3};
}

/// Every type in the id block that is no atom, in the block's order.
inline auto samples() {
  return std::tuple{
    node_hello{99, "0.1.0", "modelforge", "a"},
    errc::internal,
    sample_failure(),
    sample_attempt(),
    request_id{0x0123456789abcdef, 0xfedcba9876543210},
    text_part{"Grüße", true},
    image_part{"https://example.com/a.png", "image/png", "AAAA", "low", true},
    tool_call{"call_1", "look", "{}", "seal"},
    tool_result{"call_1", "a cat", true, true},
    reasoning_part{"hm", "seal"},
    sample_message(),
    sample_request(),
    sample_completion(),
    sample_progress(),
    sample_report(),
    sample_status(),
    sample_lane().limits[0],
    sample_lane(),
    sample_piece(),
    stream_chunk{{1, 2}, 5, 7, {sample_piece()}, 9},
    stream_done{{1, 2}, sample_completion(), 7, std::chrono::milliseconds{30}},
    stream_failed{{1, 2}, sample_failure(), 7, 9},
    sample_subscription(),
    sample_stream_request(),
    sample_stream_status(),
    sample_embedding_request(),
    sample_embedding(),
    model_list{"openai", {"demo-mini", "demo"}},
    sample_share(),
    batch_job_item{7, sample_request()},
    sample_job_request(),
    sample_job_status(),
    sample_job_result(),
    batch_job_results{"n1", {sample_job_result()}},
    batch_job_end{"n1", "batch_1", batch_job_outcome::undecided, sample_failure(), true},
    provider_names{{"main", "local"}},
    peer_status{"b", "10.0.0.2:4711", true, "refused", std::chrono::nanoseconds{5}},
    node_status{"a", "lab", "10.0.0.1:4711", true, {{"b", "", false, "lost", std::chrono::nanoseconds{7}}}},
    reload_report{{"new"}, {"main"}, {"moved"}, {"old"}, {"same"}, {"node"}},
    sample_attempts_made()};
}

/// Returns the name that CAF knows a type by, without the namespace.
inline std::string name_of_type(caf::type_id_t id) {
  auto text = caf::query_type_name(id); // of a type that differs between CAF's versions
  std::string name(text.data(), text.size());
  return name.substr(name.rfind(':') + 1);
}

/// Calls `visit(name, sample)` for each.
template <class Function>
void for_each_sample(Function visit) {
  auto each = [&]<class T>(const T& x) { visit(name_of_type(caf::type_id_v<T>), x); };
  std::apply([&](const auto&... x) { (each(x), ...); }, samples());
}

template <class T>
caf::byte_buffer to_bytes(const T& x) {
  caf::byte_buffer bytes;
#if CAF_MAJOR_VERSION >= 1
  caf::binary_serializer out{bytes};
#else
  caf::binary_serializer out{nullptr, bytes};
#endif
  if (!out.apply(x))
    bytes.clear();
  return bytes;
}

/// Reads a value; false unless the bytes are just one of it.
template <class T>
bool from_bytes(const caf::byte_buffer& bytes, T& x) {
#if CAF_MAJOR_VERSION >= 1
  caf::binary_deserializer in{bytes};
#else
  caf::binary_deserializer in{nullptr, bytes};
#endif
  return in.apply(x) && in.remaining() == 0;
}

} // namespace modelforge::test
