#pragma once

#include <cstddef>
#include <string>

namespace modelforge::bench {

/// An OpenAI chunk of about 250 bytes, as an event.
inline std::string sse_chunk(const std::string& delta, const std::string& reason) {
  return R"(data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1790000000,)"
         R"("model":"demo-mini-2026-01-01","service_tier":"default","system_fingerprint":"fp_demo","choices":)"
         R"([{"index":0,"delta":{)"
         + delta + R"(},"logprobs":null,"finish_reason":)" + reason + "}]}\n\n";
}

/// A whole stream: so many chunks with text, one with the finish reason, and the end mark.
inline std::string sse_body(std::size_t chunks) {
  std::string result;
  for (std::size_t i = 0; i < chunks; ++i)
    result += sse_chunk(R"("content":" word)" + std::to_string(i % 10) + "\"", "null");
  return result + sse_chunk("", "\"stop\"") + "data: [DONE]\n\n";
}

} // namespace modelforge::bench
