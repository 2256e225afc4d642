#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/embedding.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::limits {

/// Says, before a request is sent, how many tokens its prompt and its answer will take, without a tokenizer.
///
/// The raw estimate is one pass over the bytes, 1 to 2.5 ns each: a byte costs hundredths of a token by what it is and
/// by what stands before it (the fourth letter of a word, a third digit, punctuation after a space, a Han character
/// after another). The costs were fitted to o200k_base, the tokenizer of GPT-4o and later, on 6 MB of prose in 29
/// languages, code, JSON, logs and base64. Mean absolute error on other texts of these kinds: 7 % (cl100k_base 13 %,
/// Llama 3 10 %, Mistral 7B 26 %: older tokenizers take more, for other scripts than Latin up to four times as much).
/// On the short prompts in examples/prompts.jsonl, without their frames, the error is 7.5 % (mean +2.3 %, from -22 % to
/// +31 %).
///
/// So it learns, per model and size of prompt, from the usage that comes back: an exponential average of real / raw and
/// of that ratio's deviation, as TCP does it for round trips (Jacobson, "Congestion avoidance and control", 1988).
///
/// `provider::admission` asks it, `settlement` teaches it; a batch counts its prompts by `raw`. A plain class, not
/// synchronized.
class token_estimator {
public:
  /// Models kept; beyond, the one that was trained least recently is forgotten.
  static constexpr std::size_t max_models = 256;

  /// Tokens of a text, at least 0. Takes any bytes; what is not UTF-8 counts roughly.
  static uint64_t raw(std::string_view text);

  /// Tokens of a whole prompt, at least 1: messages with their frames, tools, response schema, and a constant for each
  /// image. Reasoning counts only where it goes back sealed; `extra` does not count.
  static uint64_t raw(const chat_request& request);

  /// Tokens of all texts that vectors are made of, at least 1.
  static uint64_t raw(const embedding_request& request);

  /// Prompt tokens to reserve for a raw estimate: mean ratio + 2 x mean deviation, at most twice the mean; at least 1.
  /// So the sum over a minute's requests is rarely less than what the provider counts. Before a model's first usage:
  /// 1.5 x `raw`.
  uint64_t estimate(std::string_view model, uint64_t raw) const;

  /// The same without the lean to the safe side: what is most likely, at least 1.
  uint64_t likely(std::string_view model, uint64_t raw) const;

  /// What a prompt of text will certainly take: a quarter of what is likely, and of the raw estimate. Tokenizers differ
  /// less, and so do kinds of text that a word's length says nothing of. For refusing what can never go.
  uint64_t least(std::string_view model, uint64_t raw) const;

  /// Learns from an answer: `real` is usage.input, cached tokens included. A usage of 0 teaches nothing; a ratio that
  /// differs from the mean by more than a factor of 4 counts as that, so no answer lifts the mean by more than 3/4 of
  /// it, and after the first dozen by 3/16.
  void train(std::string_view model, uint64_t raw, uint64_t real);

  /// Tokens an answer will take: the 95th percentile of the model's last 256, capped by `max_tokens`. With fewer than
  /// 20 answers seen: the longest of them, and at least 1,024.
  uint64_t expected_output(std::string_view model, std::optional<uint32_t> max_tokens) const;

  /// Learns from an answer: `real` is usage.output.
  void train_output(std::string_view model, uint64_t real);

  /// How good the estimates were, each judged before it was learned from.
  struct error_report {
    uint64_t answers = 0;
    double mean_error = 0;          ///< Of `likely`, relative to the real count and signed: above 0 it was too high.
    double mean_absolute_error = 0; ///< Of `likely`, relative.
    double underestimated = 0;      ///< Share of answers whose real count exceeded `estimate`.
  };

  error_report errors(std::string_view model) const;

  std::size_t models() const { return models_.size(); }

private:
  /// Ratio of real to raw.
  struct ratio {
    double mean = 1;
    double deviation = 0.25;
    uint32_t answers = 0;

    void learn(double observed);
    double safe() const;
  };

  /// The last lengths of answers.
  class length_window {
  public:
    void add(uint64_t tokens);
    uint64_t expected() const;

  private:
    std::vector<uint64_t> recent_; ///< A ring, once full.
    std::vector<uint64_t> sorted_; ///< The same in order.
    std::size_t next_ = 0;
  };

  /// By size of the raw estimate: below 64, 256, 1,024, 4,096, 16,384, and the rest. What a provider adds to a prompt
  /// unseen weighs more in short ones.
  static constexpr std::size_t size_classes = 6;

  struct known_model {
    std::array<ratio, size_classes> ratios;
    length_window outputs;
    uint64_t answers = 0;
    uint64_t underestimated = 0;
    double error_sum = 0;
    double absolute_error_sum = 0;
    uint64_t trained = 0; ///< When last, in trainings of all models.

    const ratio& best_ratio(uint64_t raw) const;
  };

  const known_model* find(std::string_view model) const;
  known_model& touch(std::string_view model);
  ratio ratio_for(std::string_view model, uint64_t raw) const;

  std::map<std::string, known_model, std::less<>> models_;
  uint64_t trainings_ = 0;
};

} // namespace modelforge::limits
