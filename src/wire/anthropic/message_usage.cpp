#include "wire/anthropic/message_usage.hpp"

namespace modelforge::wire::anthropic {

void message_usage::take(json::raw value) {
  json::raw input, output, cached, cache_written, details, thought;
  read_fields(value, {{"input_tokens", &input},
                      {"cache_creation_input_tokens", &cache_written},
                      {"cache_read_input_tokens", &cached},
                      {"output_tokens", &output},
                      {"output_tokens_details", &details},
                      {"prompt_tokens", &input}, // gateways
                      {"completion_tokens", &output},
                      {"inputTokenCount", &input}, // Bedrock
                      {"outputTokenCount", &output},
                      {"cacheReadInputTokenCount", &cached},
                      {"cacheWriteInputTokenCount", &cache_written}});
  read_fields(details, {{"thinking_tokens", &thought}});
  auto note = [](json::raw told, told_tokens& kept) {
    if (told_tokens count{told}; count.is_told() || count.is_too_large())
      kept = count;
  };
  note(input, plain_input_);
  note(output, told_.output);
  note(cached, told_.cached);
  note(cache_written, told_.cache_written);
  note(thought, told_.reasoning);
  told_.input = plain_input_;
  for (auto& part : {told_.cached, told_.cache_written})
    told_.input += part;
}

} // namespace modelforge::wire::anthropic
