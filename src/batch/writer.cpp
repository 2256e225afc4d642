#include "batch/writer.hpp"

#include "batch/ledger_line.hpp"
#include "batch/output_check.hpp"
#include "batch/output_file.hpp"
#include "wire/openai/format.hpp"
#include "json/writer.hpp"

namespace modelforge::batch {

namespace {

constexpr std::size_t buffer_size = 64u << 10;

class line_sink : public sink {
public:
  explicit line_sink(output_file output) : output_(std::move(output)) { buffer_.reserve(2 * buffer_size); }

  std::optional<failure> write(std::string_view line) override {
    if (problem_)
      return problem_;
    is_empty_ = false;
    (buffer_ += line) += '\n';
    return buffer_.size() >= buffer_size ? flush() : std::nullopt;
  }

  std::optional<failure> flush() override {
    if (!problem_)
      problem_ = output_.write(buffer_);
    buffer_.clear();
    return problem_;
  }

  std::optional<failure> finish(bool complete) override {
    is_discarded_ = !complete && is_empty_; // a part that says nothing need not lie around
    if (is_discarded_)
      output_.discard();
    else if (!flush())
      problem_ = output_.finish(complete);
    return problem_;
  }

  std::string place() const override { return is_discarded_ ? "" : output_.place(); }

private:
  output_file output_;
  std::string buffer_;
  bool is_empty_ = true; ///< No line has come.
  bool is_discarded_ = false;
  std::optional<failure> problem_; ///< The first one: from then on nothing is written.
};

bool holds_results(std::string_view beginning) {
  return beginning.starts_with(ledger_line::id_key);
}

void append_response(json::writer& out, uint16_t status, const std::string& request_id, const std::string& body) {
  out.open('{');
  out.key("status_code");
  out.number(status);
  out.key("request_id");
  out.repaired(request_id);
  out.key("body");
  out.raw(body);
  out.close('}');
}

} // namespace

std::string result_line(uint64_t item, const std::string& custom_id, const std::variant<completion, failure>& result,
                        const std::string& body) {
  std::string line;
  json::writer out{line};
  out.open('{');
  out.key("id");
  out.repaired("batch_req_" + std::to_string(item + 1));
  out.key("custom_id");
  out.repaired(custom_id);
  auto* answer = std::get_if<completion>(&result);
  auto* problem = std::get_if<failure>(&result);
  out.key("response");
  if (answer != nullptr)
    append_response(out, 200, answer->provider_request_id,
                    body.empty() ? wire::openai::write_completion(*answer) : body);
  else if (problem->http_status >= 400)
    append_response(out, problem->http_status, problem->provider_request_id, wire::openai::write_error_body(*problem));
  else
    out.raw("null");
  out.key("error");
  out.raw(answer != nullptr ? "null" : wire::openai::write_error(*problem));
  if (answer != nullptr && !answer->warnings.empty()) {
    out.key("warnings"); // OpenAI's lines have none, and its readers skip it
    out.open('[');
    for (auto& warning : answer->warnings)
      out.repaired(warning);
    out.close(']');
  }
  if (answer != nullptr && answer->flaw != answer_flaw::none) {
    out.key("flaw");
    out.word(name_of(answer->flaw));
  }
  out.close('}');
  return line;
}

std::variant<std::unique_ptr<sink>, failure> open_sink(const std::string& path, bool are_known) {
  auto opened = path == "-" ? output_file::standard_output()
                            : output_file::open(path, part_ending, are_known ? holds_results : nullptr);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  return std::make_unique<line_sink>(std::move(std::get<output_file>(opened)));
}

} // namespace modelforge::batch
