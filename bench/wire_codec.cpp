/// What a dialect costs: encoding a typical question and decoding its answer, beside one parse of that answer into
/// nlohmann_json's tree, which is what a client that reads answers through it pays at least.
///
/// Usage: wire_codec [ROUNDS=20000]. Exits with 1 where a dialect costs more.

#include "bench/measure.hpp"
#include "wire/vendors.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace modelforge;
using nlohmann::json;
using clock_type = std::chrono::steady_clock;

/// Some 1,500 bytes with what texts have: line breaks, quotes, other scripts.
std::string typical_text() {
  std::string text;
  for (auto i = 1; i <= 8; ++i)
    text += std::to_string(i)
            + ". The weather in Oslo is \"mild\" for the season: wind from the fjord, clouds, and now and "
              "then a shower. Grüße!\nTake a coat, and good shoes for the hills around the town.\n";
  return text;
}

chat_request typical_question() {
  chat_request x;
  x.model = "demo-mini";
  x.messages.push_back(text_message(role::system, "You help travellers. Answer in short paragraphs, with numbers."));
  x.messages.push_back(
    text_message(role::user, "What is the weather like in Oslo in May, and what should I take along?"));
  x.sampling.max_tokens = 800;
  return x;
}

json answer_of(std::string_view dialect, const std::string& text) {
  if (dialect == "anthropic")
    return {{"id", "msg_1"},
            {"type", "message"},
            {"role", "assistant"},
            {"model", "claude-demo"},
            {"content", {{{"type", "text"}, {"text", text}}}},
            {"stop_reason", "end_turn"},
            {"stop_sequence", nullptr},
            {"usage",
             {{"input_tokens", 40},
              {"cache_creation_input_tokens", 0},
              {"cache_read_input_tokens", 0},
              {"output_tokens", 380},
              {"service_tier", "standard"}}}};
  if (dialect == "gemini")
    return {{"candidates",
             {{{"index", 0},
               {"content", {{"role", "model"}, {"parts", {{{"text", text}}}}}},
               {"finishReason", "STOP"},
               {"safetyRatings", json::array()}}}},
            {"usageMetadata", {{"promptTokenCount", 40}, {"candidatesTokenCount", 380}, {"totalTokenCount", 420}}},
            {"modelVersion", "gemini-demo"},
            {"responseId", "r1"}};
  if (dialect == "ollama")
    return {{"model", "demo:8b"},
            {"created_at", "2026-09-01T10:00:00.1Z"},
            {"message", {{"role", "assistant"}, {"content", text}}},
            {"done", true},
            {"done_reason", "stop"},
            {"total_duration", 900000000},
            {"load_duration", 100000000},
            {"prompt_eval_count", 40},
            {"prompt_eval_duration", 50000000},
            {"eval_count", 380},
            {"eval_duration", 300000000}};
  if (dialect == "openai_responses")
    return {{"id", "resp_1"},
            {"object", "response"},
            {"created_at", 1790000010},
            {"status", "completed"},
            {"model", "demo-large"},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"output",
             {{{"type", "message"},
               {"id", "msg_1"},
               {"role", "assistant"},
               {"status", "completed"},
               {"content", {{{"type", "output_text"}, {"text", text}, {"annotations", json::array()}}}}}}},
            {"usage",
             {{"input_tokens", 40},
              {"input_tokens_details", {{"cached_tokens", 0}}},
              {"output_tokens", 380},
              {"output_tokens_details", {{"reasoning_tokens", 0}}},
              {"total_tokens", 420}}}};
  return {{"id", "chatcmpl-1"},
          {"object", "chat.completion"},
          {"created", 1790000001},
          {"model", "demo-mini"},
          {"choices",
           {{{"index", 0},
             {"message", {{"role", "assistant"}, {"content", text}, {"refusal", nullptr}}},
             {"logprobs", nullptr},
             {"finish_reason", "stop"}}}},
          {"usage",
           {{"prompt_tokens", 40},
            {"completion_tokens", 380},
            {"total_tokens", 420},
            {"prompt_tokens_details", {{"cached_tokens", 0}, {"audio_tokens", 0}}},
            {"completion_tokens_details", {{"reasoning_tokens", 0}, {"audio_tokens", 0}}}}},
          {"service_tier", "default"},
          {"system_fingerprint", "fp_1"}};
}

/// Nanoseconds of one call, as the mean of `rounds`.
template <class F>
double cost(int rounds, F f) {
  auto begin = clock_type::now();
  for (auto i = 0; i < rounds; ++i)
    f();
  return std::chrono::duration<double, std::nano>(clock_type::now() - begin).count() / rounds;
}

/// What keeps the compiler from leaving the work out.
volatile std::size_t seen = 0;

bool measure(const wire::dialect& by, int rounds) {
  auto question = typical_question();
  if (by.name() == "anthropic")
    question.model = "claude-demo";
  auto body = answer_of(by.name(), typical_text()).dump();
  const http::response_head head{200, {{"content-type", "application/json"}, {"x-request-id", "req_1"}}};
  auto encode = [&] { seen = seen + std::get<wire::encoded_request>(by.encode(question)).body.size(); };
  auto decode = [&] { seen = seen + std::get<completion>(by.decode(head, body)).text.size(); };
  auto parse = [&] { seen = seen + json::parse(body).size(); };
  std::vector<double> encodes, decodes, parses, ratios;
  for (auto slice = 0; slice < 10; ++slice) { // in turn, so that all see the same machine
    parses.push_back(cost(rounds / 10, parse));
    encodes.push_back(cost(rounds / 10, encode));
    decodes.push_back(cost(rounds / 10, decode));
    ratios.push_back((encodes.back() + decodes.back()) / parses.back());
  }
  auto middle = [](const std::vector<double>& x) { return bench::quantile(x, 0.5); };
  std::printf("%-18s %5zu bytes: encode %5.0f ns, decode %5.0f ns; one parse into a tree %5.0f ns; ratio %.2f\n",
              std::string{by.name()}.c_str(), body.size(), middle(encodes), middle(decodes), middle(parses),
              middle(ratios));
  return middle(ratios) <= 1;
}

} // namespace

int main(int argc, char** argv) {
  auto rounds = static_cast<int>(std::max<std::size_t>(10, bench::argument(argc, argv, 1, 20'000)));
  auto kept = true;
  for (auto* name : {"openai", "openai_responses", "anthropic", "gemini", "ollama"})
    kept = measure(*wire::find_dialect(name), rounds) && kept;
  bench::promise("encoding and decoding cost at most one parse", kept);
  return kept ? 0 : 1;
}
