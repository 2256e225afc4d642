#pragma once

#include "http/message.hpp"
#include "limits/charge.hpp"
#include "wire/optimizable.hpp"
#include "wire/stream.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::wire {

/// A request in a provider's own words. The caller adds the base URL, the credential and configured headers.
struct encoded_request {
  std::string path; ///< Appended to the provider's base URL, e.g. "/chat/completions".
  std::vector<http::header> headers;
  std::string body;
  std::vector<std::string> warnings; ///< What the provider will ignore; goes into the completion.
  uint64_t choices = 1;              ///< Answers that `extra` asks for.
  bool logprobs = false;             ///< Whether `extra` asks how likely the tokens are.
};

/// What an answer tells beside what was asked: how to pace what comes next.
struct answer_hints {
  limits::server_limits limits;     ///< By its headers.
  std::optional<bool> should_retry; ///< The provider's own word; or false where nothing else would come.
  bool slow_down = false;           ///< The traffic grew too fast, although within its limits: grow more slowly.
};

class batch_api;

/// One provider's language. Stateless: one object serves all threads.
class dialect {
public:
  virtual ~dialect() = default;

  /// What messages call it, and signatures; of most it is the kind's name in TOML, e.g. "openai".
  virtual std::string_view name() const = 0;

  /// The public address, without a trailing slash, used where the settings give no `base_url`.
  virtual std::string_view default_base_url() const = 0;

  /// The header that carries a credential.
  virtual http::header authorize(std::string_view key) const = 0;

  /// What every request carries beside the credential; configured headers of the same name replace it.
  virtual std::vector<http::header> headers() const { return {}; }

  /// Writes a request whose `model` is set. A failure names the field that cannot be sent (`invalid_request` for text
  /// that is not UTF-8 or JSON that does not parse, `unsupported` for what the provider has not got). `stream`: the
  /// answer shall come piece by piece, for `read_stream`.
  virtual std::variant<encoded_request, failure> encode(const chat_request& request, bool stream = false) const = 0;

  /// Reads a whole answer, whatever its status. Fills what the answer tells: text, tool calls, usage, model, ids; for
  /// a failure code, status, the provider's words, retry_after and a suggestion. Attempts, timings and the provider's
  /// configured name are the caller's to fill.
  virtual std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const = 0;

  /// Makes the reader for the body of a streamed answer of status 200. It keeps of the head what it needs.
  virtual std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const = 0;

  /// Reads the hints in an answer, good or bad. `why`: the failure it was decoded to, or null.
  virtual answer_hints hints(const http::response_head& head, const failure* why) const;

  /// When, and which, tokens the provider counts against its limits.
  virtual limits::token_accounting accounting() const = 0;

  /// How max_tokens counts where `accounting` is `arrival`.
  virtual limits::output_rule output_rule() const { return limits::output_rule::sum; }

  /// What of its requests can be optimized.
  virtual optimizable optimizations() const { return {}; }

  /// How many inputs one request for embeddings may carry; 0: the provider makes none.
  virtual std::size_t max_inputs() const { return 0; }

  /// Writes a request for embeddings whose `model` is set and that has 1 to `max_inputs` inputs. Failures as in
  /// `encode`.
  virtual std::variant<encoded_request, failure> encode_embedding(const embedding_request& request) const;

  /// Reads a whole answer to it, whatever its status; as `decode` does, with as many vectors as there were `inputs`.
  virtual std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                            std::size_t inputs) const;

  /// The provider's batch jobs; null where it has none that we know.
  virtual std::unique_ptr<batch_api> batches() const;

  /// Where the list of models is, appended to the base URL; read with GET.
  virtual std::string_view models_path() const { return "/models"; }

  /// Where the next page of that list is, as the page in `body` says; empty: it was the last one.
  std::string next_models_path(std::string_view body) const;

  /// Reads the list of models, or one page of it, or why there is none. Unless a dialect knows better, they are the
  /// `id`s in `data`.
  virtual std::variant<model_list, failure> decode_models(const http::response_head& head, std::string_view body) const;

private:
  /// By which lists that tell their last entry's id (`has_more`, `last_id`) are asked for what comes behind it.
  virtual std::string_view after_parameter() const { return "after"; }
};

/// What settings say of how to speak to a provider, in the words of TOML.
struct dialect_choice {
  std::string_view kind;
  std::string_view api = "chat";         ///< Or "responses".
  std::string_view flavor = "automatic"; ///< By `base_url`; or "none", or a name of `known_quirks`.
  std::string_view base_url = {};
  std::string_view api_version = {}; ///< Azure's.

  bool wants_responses() const { return api == "responses"; }
};

} // namespace modelforge::wire
