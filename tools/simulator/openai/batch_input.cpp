#include "tools/simulator/openai/batch_input.hpp"

#include "tools/simulator/body_reader.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace modelforge::simulator::openai {

namespace {

constexpr std::size_t most_problems = 100;

class reader {
public:
  reader(std::string_view endpoint, std::size_t most_items) : endpoint_(endpoint), most_items_(most_items) {}

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
    if (lines_ > most_items_)
      fail("too_many_requests", "The batch has " + std::to_string(lines_) + " requests; at most "
                                  + std::to_string(most_items_) + " are allowed.");
    return std::move(result_);
  }

private:
  void read_line(std::string_view line) {
    ++lines_;
    auto x = json::parse(line, nullptr, false);
    if (!x.is_object())
      return fail("invalid_json_line", "This line is not parseable as valid JSON.");
    auto* id = member(x, "custom_id");
    auto* body = member(x, "body");
    if (id == nullptr || !id->is_string() || *id == "")
      return fail("missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id");
    if (auto* method = member(x, "method"); method == nullptr || *method != "POST")
      return fail("invalid_method", "The method of each request must be POST.", "method");
    if (auto* url = member(x, "url"); url == nullptr || *url != endpoint_)
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

  void fail(std::string_view code, std::string message, std::string_view param = {}) {
    if (result_.problems.size() < most_problems)
      result_.problems.push_back(batch_problem(code, message, line_, param));
  }

  std::string_view endpoint_;
  std::size_t most_items_;
  batch_input result_;
  std::unordered_set<std::string> ids_;
  std::size_t line_ = 0; ///< The present one, from 1.
  std::size_t lines_ = 0;
};

} // namespace

batch_input read_batch_input(std::string_view text, std::string_view endpoint, std::size_t most_items) {
  return reader(endpoint, most_items).read(text);
}

json batch_problem(std::string_view code, std::string_view message, std::size_t line, std::string_view param) {
  json x = {{"code", code}, {"line", nullptr}, {"message", message}, {"param", nullptr}};
  if (line > 0)
    x["line"] = line;
  if (!param.empty())
    x["param"] = param;
  return x;
}

} // namespace modelforge::simulator::openai
