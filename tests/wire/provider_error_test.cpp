#include "wire/openai/openai.hpp"
#include "wire/provider_error.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::provider_error_test {

using namespace modelforge::wire;

namespace {

failure read(uint16_t status, std::string_view body) {
  auto result = openai::compatible_chat_api().decode({status, {}}, body);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

std::string error(std::string_view type, std::string_view code, std::string_view message = "made up") {
  auto word = [](std::string_view x) { return x.empty() ? "null" : '"' + std::string{x} + '"'; };
  return R"({"error":{"message":)" + word(message) + R"(,"type":)" + word(type) + R"(,"param":null,"code":)"
         + word(code) + "}}";
}

} // namespace

TEST_CASE("each kind of refusal means what its provider says it means", "[wire][errors]") {
  struct {
    std::string_view what;
    uint16_t status;
    std::string body;
    errc code;
  } table[] = {
    // 400 and 422: the request
    {"malformed", 400, error("invalid_request_error", ""), errc::invalid_request},
    {"unsupported parameter", 400, error("invalid_request_error", "unsupported_parameter"), errc::invalid_request},
    {"unsupported value", 400, error("invalid_request_error", "unsupported_value"), errc::invalid_request},
    {"unprocessable", 422, error("invalid_request_error", ""), errc::invalid_request},
    {"context, OpenAI", 400, error("invalid_request_error", "context_length_exceeded"), errc::context_length},
    {"context, llama.cpp", 400, error("exceed_context_size_error", ""), errc::context_length},
    {"context, older llama.cpp", 400, error("", "", "the request exceeds the available context size"),
     errc::context_length},
    {"context, vLLM", 400, error("BadRequestError", "", "This model's maximum context length is 8192 tokens."),
     errc::context_length},
    {"context, Anthropic", 400,
     error("invalid_request_error", "", "prompt is too long: 208310 tokens > 200000 maximum"), errc::context_length},
    {"context, Gemini", 400,
     error("", "", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
     errc::context_length},
    {"context, Ollama", 400, R"({"error":"prompt too long; exceeded max context length by 12 tokens"})",
     errc::context_length},
    {"context, Ollama embeddings", 400, R"({"error":"the input length exceeds the context length"})",
     errc::context_length},
    {"context, with a 422", 422, error("", "context_length_exceeded"), errc::context_length},
    {"context, with a 413", 413, error("", "context_length_exceeded"), errc::context_length},
    {"model, LiteLLM", 400,
     error("invalid_request_error", "400",
           "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models."),
     errc::not_found},
    {"model, Mistral", 400, error("invalid_model", "1500", "Invalid model: x"), errc::not_found},
    {"model, DeepSeek", 400, error("invalid_request_error", "invalid_request_error", "Model Not Exist"),
     errc::not_found},
    {"model, OpenRouter", 400, R"({"error":{"message":"x is not a valid model ID","code":400}})", errc::not_found},
    {"tools, Ollama", 400, R"({"error":"registry.ollama.ai/library/tiny:latest does not support tools"})",
     errc::unsupported},
    {"tools, Ollama's /v1", 400, error("api_error", "", "tiny:latest does not support tools"), errc::unsupported},
    {"key, LiteLLM without a database", 400, error("no_db_connection", "400", "No connected db."),
     errc::authentication},
    {"filter, Azure", 400, error("", "content_filter"), errc::content_filtered},
    {"spend limit that a user set, Anthropic", 400,
     error("invalid_request_error", "", "You have reached your specified API usage limits."), errc::quota_exhausted},
    {"no credit, Anthropic", 400,
     error("invalid_request_error", "", "Your credit balance is too low to access the API."), errc::quota_exhausted},
    {"billing limit, OpenAI", 400, error("invalid_request_error", "billing_hard_limit_reached"), errc::quota_exhausted},
    // 401 to 410: the key, the path
    {"key", 401, error("invalid_request_error", "invalid_api_key"), errc::authentication},
    {"key that has no quota", 401, error("insufficient_quota", "invalid_api_key"), errc::authentication},
    {"not a member", 401, error("", "", "You must be a member of an organization"), errc::authentication},
    {"no credit, DeepSeek", 402, error("unknown_error", "invalid_request_error", "Insufficient Balance"),
     errc::quota_exhausted},
    {"no credit, OpenRouter", 402, R"({"error":{"code":402,"message":"Insufficient credits"}})", errc::quota_exhausted},
    {"no key, Gemini", 403, error("", "", "Method doesn't allow unregistered callers (callers without identity)."),
     errc::authentication},
    {"country", 403, error("", "unsupported_country_region_territory"), errc::permission},
    {"quota with a 403", 403, error("insufficient_quota", ""), errc::quota_exhausted},
    {"moderation, OpenRouter", 403, R"({"error":{"code":403,"message":"no","metadata":{"reasons":["hate"]}}})",
     errc::content_filtered},
    {"model", 404, error("invalid_request_error", "model_not_found"), errc::not_found},
    {"gone, GitHub Models", 410, "", errc::not_found},
    // may be tried again
    {"request timeout", 408, "", errc::server_error},
    {"conflict", 409, error("conflict_error", ""), errc::server_error},
    {"too early", 425, "", errc::server_error},
    {"internal", 500, error("server_error", ""), errc::server_error},
    {"internal, Anthropic", 500, error("api_error", ""), errc::server_error},
    {"bad gateway", 502, "<html>Bad Gateway</html>", errc::server_error},
    {"gateway timeout", 504, error("timeout_error", ""), errc::server_error},
    {"Cloudflare", 524, "<html></html>", errc::server_error},
    // never
    {"body too large", 413, error("request_too_large", ""), errc::too_large},
    {"larger than the token limit, Groq", 413, error("tokens", "rate_limit_exceeded"), errc::too_large},
    {"cancelled", 499, "", errc::invalid_request},
    {"not supported, llama.cpp", 501, error("not_supported_error", ""), errc::unsupported},
    // no capacity
    {"flex capacity, Groq", 498, error("", "capacity_exceeded"), errc::overloaded},
    {"overloaded, OpenAI", 503, error("service_unavailable_error", "server_is_overloaded"), errc::overloaded},
    {"loading, llama.cpp", 503, R"({"error":{"code":503,"message":"Loading","type":"unavailable_error"}})",
     errc::overloaded},
    {"queue full, Ollama", 503, R"({"error":"server busy, please try again. maximum pending requests exceeded"})",
     errc::overloaded},
    {"overloaded, Anthropic", 529, error("overloaded_error", ""), errc::overloaded},
    {"overloaded with a 429, by type", 429, error("overloaded_error", ""), errc::overloaded},
    {"overloaded with a 429, by code", 429, error("", "engine_overloaded_error"), errc::overloaded},
    {"overloaded with a 429, by its words", 429,
     error("server_error", "", "That model is currently Overloaded with other requests."), errc::overloaded},
    {"queue, Cerebras", 429, error("too_many_requests_error", "queue_exceeded"), errc::overloaded},
    // 429: the rate
    {"rate", 429, error("rate_limit_error", "rate_limit_exceeded"), errc::rate_limited},
    {"rate, older words", 429, error("requests", "rate_limit_exceeded"), errc::rate_limited},
    {"rate, tokens", 429, error("tokens", "rate_limit_exceeded"), errc::rate_limited},
    {"rate, Anthropic", 429, error("rate_limit_error", "", "This request would exceed your rate limit."),
     errc::rate_limited},
    {"rate, whatever it blames", 429,
     error("rate_limit_error", "rate_limit_exceeded", "Rate limit reached; servers may be overloaded."),
     errc::rate_limited},
    {"rate, Cerebras", 429, error("too_many_requests_error", "request_quota_exceeded"), errc::rate_limited},
    {"concurrency, Z.ai", 429, error("", "1302"), errc::rate_limited},
    {"without a body", 429, "", errc::rate_limited},
    {"ramp", 429, error("rate_limit_error", "slow_down"), errc::rate_limited},
    {"ramp with a 503", 503, error("", "slow_down"), errc::rate_limited},
    {"larger than the token limit, OpenAI", 429,
     error("tokens", "rate_limit_exceeded",
           "Request too large for demo-mini on tokens per min (TPM): Limit 10000, Requested 15000."),
     errc::too_large},
    // 429: the quota
    {"quota", 429, error("insufficient_quota", "insufficient_quota"), errc::quota_exhausted},
    {"quota by type", 429, error("insufficient_quota", "rate_limit_exceeded"), errc::quota_exhausted},
    {"quota by code", 429, error("", "credit_balance_exhausted"), errc::quota_exhausted},
    {"organization's spend limit", 429, error("", "organization_spend_limit_exceeded"), errc::quota_exhausted},
    {"project's spend limit", 429, error("", "project_spend_limit_exceeded"), errc::quota_exhausted},
    {"usage limit", 429, error("", "organization_usage_limit_exceeded"), errc::quota_exhausted},
    {"weekly limit, Ollama", 429, R"({"error":"you have reached your weekly usage limit, upgrade for higher limits"})",
     errc::quota_exhausted},
    {"account not active", 429, error("billing_not_active", "billing_not_active"), errc::quota_exhausted},
    {"spend cap, Anthropic", 429,
     R"({"type":"error","error":{"type":"rate_limit_error","message":"cap",
         "details":{"error_code":"enforced_spend_limit_reached"}}})",
     errc::quota_exhausted},
    {"suspended, Moonshot", 429, error("exceeded_current_quota_error", "", "Your account is suspended"),
     errc::quota_exhausted},
    {"no money, Zhipu", 429, error("", "1113", "余额不足或无可用资源包,请充值。"), errc::quota_exhausted},
    {"no money, DashScope", 400, error("Arrearage", "Arrearage"), errc::quota_exhausted},
    {"no money, SiliconFlow", 403, R"({"code":30001,"message":"Sorry, your account balance is insufficient"})",
     errc::quota_exhausted},
    {"no money, Volcengine", 403, error("Forbidden", "AccountOverdueError"), errc::quota_exhausted},
    {"no money, xAI", 403,
     R"({"code":"The caller does not have permission","error":"Your team has either used all available credits or reached its limit."})",
     errc::quota_exhausted},
    {"not in the plan, Gemini", 429,
     R"({"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"* Quota exceeded for metric: x, limit: 0, model: demo"}})",
     errc::quota_exhausted},
    // words of others
    {"key, xAI", 400, R"({"code":"Client specified an invalid argument","error":"Incorrect API key provided: x."})",
     errc::authentication},
    {"model, Azure", 400, error("", "unknown_model", "Unknown model: demo"), errc::not_found},
    {"model, SiliconFlow", 400, R"({"code":20012,"message":"Model does not exist. Please check it carefully."})",
     errc::not_found},
    {"model, Zhipu", 400, error("", "1211", "模型不存在，请检查模型代码。"), errc::not_found},
    {"filter, Anthropic", 400, error("invalid_request_error", "", "Output blocked by content filtering policy"),
     errc::content_filtered},
    {"filter, DashScope", 400, error("data_inspection_failed", "data_inspection_failed"), errc::content_filtered},
    {"filter, Volcengine", 400, error("BadRequest", "InputTextSensitiveContentDetected"), errc::content_filtered},
    {"filter, Zhipu", 400, error("", "1301", "系统检测到输入或生成内容可能包含不安全或敏感内容"),
     errc::content_filtered},
    {"rate, Amazon", 400, R"({"__type":"com.amazon.coral.service#ThrottlingException","message":"Too many requests"})",
     errc::rate_limited},
    {"no capacity, Azure", 429, error("", "NoCapacity"), errc::overloaded},
    {"no capacity, Volcengine", 429, error("TooManyRequests", "ServerOverloaded"), errc::overloaded},
    {"context, Anthropic", 400,
     error("invalid_request_error", "", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
     errc::context_length},
    {"context, text-generation-inference", 422,
     R"({"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097","error_type":"validation"})",
     errc::context_length},
    {"context, LM Studio", 400,
     R"({"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"})",
     errc::context_length},
    {"context, Moonshot", 400, error("", "", "Your request exceeded model token limit: 8192"), errc::context_length},
    {"context, DashScope", 400, error("", "", "Range of input length should be [1, 30720]"), errc::context_length},
    {"context, SGLang", 400,
     error("", "", "Input length (40000 tokens) exceeds the maximum allowed length (32768 tokens)."),
     errc::context_length},
    {"context, SGLang again", 400,
     error("", "", "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
     errc::context_length},
    {"context, vLLM", 400,
     error("", "", "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
     errc::context_length},
    {"context, Copilot", 400, error("", "model_max_prompt_tokens_exceeded"), errc::context_length},
    {"context, Cohere", 400,
     R"({"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"})", errc::context_length},
    {"context, GitHub", 413, error("", "tokens_limit_reached"), errc::context_length},
    {"context with a 500", 500, error("", "", "This model's maximum context length is 4096 tokens."),
     errc::context_length},
    // inside a 200
    {"200: refused, text-generation-inference", 200, R"({"error":"Input validation error","error_type":"validation"})",
     errc::invalid_request},
    {"200: overloaded, text-generation-inference", 200, R"({"error":"Model is overloaded","error_type":"overloaded"})",
     errc::overloaded},
    {"200: rate", 200, error("rate_limit_error", ""), errc::rate_limited},
    {"200: too large for the limit", 200, error("tokens", "rate_limit_exceeded", "Request too large for demo"),
     errc::too_large},
    {"200: quota", 200, error("", "insufficient_quota"), errc::quota_exhausted},
    {"200: queue", 200, error("", "queue_exceeded"), errc::overloaded},
    {"200: flex capacity", 200, error("", "capacity_exceeded"), errc::overloaded},
    {"200: overloaded", 200, error("engine_overloaded_error", ""), errc::overloaded},
    {"200: size", 200, error("request_too_large", ""), errc::too_large},
    {"200: conflict", 200, error("conflict_error", ""), errc::server_error},
    {"200: not supported", 200, error("not_supported_error", ""), errc::unsupported},
    {"200: context", 200, error("invalid_request_error", "", "prompt is too long: 9 tokens > 8 maximum"),
     errc::context_length},
    {"200: unknown words", 200, error("brand_new", "brand_new"), errc::server_error},
  };
  for (auto& row : table) {
    auto x = read(row.status, row.body);
    CAPTURE(row.what, row.status, row.body, x.message);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK_FALSE(x.message.empty());
  }
}

TEST_CASE("the provider's own code is told, wherever it stands", "[wire][errors]") {
  auto x = read(429, R"({"type":"error","error":{"type":"rate_limit_error","message":"cap",
                         "details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"})");
  CHECK(x.provider_code == "enforced_spend_limit_reached");
  CHECK(x.provider_request_id == "req_1");
  CHECK(read(429, R"({"error":{"code":"a","details":{"error_code":"b"}}})").provider_code == "a");
  CHECK(read(429, R"({"error":{"type":"c","details":[{"error_code":"b"}]}})").provider_code == "c");
}

} // namespace modelforge::provider_error_test
