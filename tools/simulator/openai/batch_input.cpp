#include "tools/simulator/openai/batch_input.hpp"

#include "tools/simulator/body_reader.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace modelforge::simulator::openai {

namespace {

constexpr std::size_t max_problems = 100;

/// Reads a file line by line. Goes on after a bad line, since the job reports all problems, up to a hundred.
class reader {
public:
  reader(std::string_view endpoint, std::size_t max_items) : endpoint_(endpoint), max_items_(max_items) {}

  /// Reads the whole file; may be called once.
  batch_input read(std::string_view text) {
    for (line_ = 1; !text.empty(); ++line_) {
      auto line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      if (line.find_first_not_of(" \t\r") != line.npos)
        read_line(line);
    }
    line_ = 0;
    if (lines_ == 0)
      fail("empty_file", "The input file is empty. Please ensure that the batch contains at least one request.");
    if (lines_ > max_items_)
      fail("too_many_requests", "The batch has " + std::to_string(lines_) + " requests; at most "
                                  + std::to_string(max_items_) + " are allowed.");
    return std::move(result_);
  }

private:
  /// Reads one request; its body is checked only when it is run.
  void read_line(std::string_view line) {
    ++lines_;
    auto request = json::parse(line, nullptr, false);
    if (!request.is_object())
      return fail("invalid_json_line", "This line is not parseable as valid JSON.");
    auto* id = member(request, "custom_id");
    auto* body = member(request, "body");
    if (id == nullptr || !id->is_string() || *id == "")
      return fail("missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id");
    if (auto* method = member(request, "method"); method == nullptr || *method != "POST")
      return fail("invalid_method", "The method of each request must be POST.", "method");
    if (auto* url = member(request, "url"); url == nullptr || *url != endpoint_)
      return fail("invalid_url", "The URL provided for this request does not match the batch endpoint.", "url");
    if (body == nullptr || !body->is_object())
      return fail("missing_required_parameter", "Missing required parameter: 'body'.", "body");
    if (!ids_.insert(id->get<std::string>()).second)
      return fail("duplicate_custom_id",
                  "The custom_id '" + id->get<std::string>() + "' is that of another request of this batch, too.",
                  "custom_id");
    read_model(*body);
    result_.items.push_back({id->get<std::string>(), body->dump()});
    result_.tokens += count_tokens(result_.items.back().body);
  }

  /// All requests of a file must be for the same model.
  void read_model(const json& body) {
    auto* model = member(body, "model");
    if (model == nullptr || !model->is_string())
      return fail("missing_required_parameter", "Missing required parameter: 'model'.", "body.model");
    auto name = model->get<std::string>();
    if (name.starts_with("missing"))
      fail("model_not_found", "The model '" + name + "' does not exist.", "body.model");
    if (result_.model.empty())
      result_.model = name;
    else if (result_.model != name)
      fail("mismatched_model", "The model '" + name + "' is not that of the requests before, '" + result_.model + "'.",
           "body.model");
  }

  /// Notes a problem of the present line.
  void fail(std::string_view code, std::string message, std::string_view param = {}) {
    if (result_.problems.size() < max_problems)
      result_.problems.push_back(batch_problem(code, message, line_, param));
  }

  std::string_view endpoint_;
  std::size_t max_items_;
  batch_input result_;
  std::unordered_set<std::string> ids_; ///< The clients' own: they must differ.
  std::size_t line_ = 0;                ///< The present one, from 1.
  std::size_t lines_ = 0;               ///< Those that are not blank.
};

} // namespace

batch_input read_batch_input(std::string_view text, std::string_view endpoint, std::size_t max_items) {
  return reader(endpoint, max_items).read(text);
}

json batch_problem(std::string_view code, std::string_view message, std::size_t line, std::string_view param) {
  json problem = {{"code", code}, {"line", nullptr}, {"message", message}, {"param", nullptr}};
  if (line > 0)
    problem["line"] = line;
  if (!param.empty())
    problem["param"] = param;
  return problem;
}

} // namespace modelforge::simulator::openai
