#include "batch/table_source.hpp"

#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "batch/line_reader.hpp"
#include "batch/prompt_template.hpp"
#include "batch/source_parts.hpp"
#include "batch/table_row.hpp"

#include <modelforge/messages/content.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace modelforge::batch {

namespace {

/// Items from a table (CSV, TSV): the header names the columns, and each row behind it fills a template. A row may go
/// over several lines, inside quotes, up to 16 MiB. As with lines, a row that is wrong is an item with a failure: what
/// is wrong stays in `wrong_` until the item is made of it. Rows are numbered from 0, and known by the line that they
/// begin in. Used by one thread at a time.
class table_source : public source {
public:
  table_source(file input, std::string name, bool by_tabs)
    : lines_(std::move(input)), row_(by_tabs ? '\t' : ','), by_tabs_(by_tabs), name_(std::move(name)) {}

  /// Reads up to the first row behind the header: a table without one is no batch.
  std::optional<failure> start(const std::string& prompt) {
    if (auto problem = read_row())
      return problem;
    if (is_at_end_)
      return refuse(name_ + " is empty: it has no header");
    if (!wrong_.empty())
      return refuse(name_ + ": the header cannot be read: " + wrong_);
    columns_ = row_.fields();
    for (auto& column : columns_)
      column.erase(column.find_last_not_of(" \t") + 1).erase(0, column.find_first_not_of(" \t"));
    if (std::all_of(columns_.begin(), columns_.end(), [](auto& x) { return x.empty(); }))
      return refuse(name_ + " has no names of columns in its first line");
    auto has_prompts = std::find(columns_.begin(), columns_.end(), "prompt") != columns_.end();
    auto made = prompt_template::make(prompt.empty() && has_prompts ? "{{prompt}}" : prompt, columns_);
    if (auto* problem = std::get_if<failure>(&made)) {
      problem->message = name_ + ": " + (prompt.empty() ? "a table needs a prompt" : problem->message);
      if (prompt.empty())
        problem->suggestion = "add --prompt 'Summarise {{" + columns_.front() + "}}'; " + problem->suggestion;
      return std::move(*problem);
    }
    prompt_ = std::move(std::get<prompt_template>(made));
    auto problem = read_row();
    if (!problem && is_at_end_)
      return refuse(name_ + " is empty: it has no row below the header");
    is_ahead_ = true;
    return problem;
  }

  std::variant<std::optional<item>, failure> next() override {
    if (!std::exchange(is_ahead_, false))
      if (auto problem = read_row())
        return std::move(*problem);
    if (is_at_end_)
      return std::optional<item>{};
    item x;
    x.index = index_++;
    x.line = begins_at_;
    x.request = read(x);
    if (x.custom_id.empty())
      x.custom_id = "line-" + std::to_string(begins_at_);
    complete(x, ids_, name_ + ":" + std::to_string(begins_at_));
    return std::optional<item>{std::move(x)};
  }

private:
  /// Reads the next row that is not blank. What is wrong with one is left in `wrong_`.
  std::optional<failure> read_row() {
    using result = line_reader::result;
    auto state = result::line;
    std::size_t size = 0;
    wrong_.clear();
    raw_.clear();
    for (auto how = table_row::result::open; how == table_row::result::open;) {
      state = lines_.next(line_);
      if (state == result::failed)
        return io_failure("cannot read", name_);
      if (state == result::end)
        break;
      if (number_++ == 0) {
        if (auto encoding = foreign_encoding(line_); !encoding.empty())
          return refuse(name_ + " is " + std::string{encoding} + "; save it as UTF-8");
        if (auto form = packed_form(line_); !form.empty())
          return refuse(name_ + " is " + std::string{form} + ", no text; unpack it, or export it as CSV");
        line_.erase(0, line_.size() - without_mark(line_).size());
        if (!by_tabs_ && line_.find(',') == line_.npos && line_.find(';') != line_.npos)
          row_ = table_row{';'}; // as spreadsheets write it where commas are for numbers
      }
      auto is_first = raw_.empty() && size == 0;
      if (is_first && state == result::line && line_.find_first_not_of(" \t") == line_.npos)
        continue;
      if (is_first)
        begins_at_ = number_;
      size += line_.size() + 1;
      if (state == result::too_long || size > max_line) {
        row_.reset();
        wrong_ = "the row is longer than 16 MiB" + quote_hint(is_first);
        break;
      }
      (raw_ += line_) += '\n';
      how = row_.add(line_);
      if (how == table_row::result::broken)
        wrong_ = "something follows the closing quote of a field; a quote inside quotes is written twice";
    }
    is_at_end_ = state == result::end && size == 0;
    if (state == result::end && size > 0) {
      row_.reset();
      wrong_ = "a field that begins with a quote is not closed";
    }
    return {};
  }

  static std::string quote_hint(bool is_first) { return is_first ? "" : "; is a quote left open?"; }

  std::variant<chat_request, failure> read(item& x) {
    x.sum = sum_of(raw_);
    if (!wrong_.empty())
      return refuse(wrong_);
    auto& row = row_.fields();
    if (auto problem = text_problem(raw_, "row"); !problem.empty())
      return refuse(std::move(problem));
    if (row.size() != columns_.size())
      return refuse("the row has " + std::to_string(row.size()) + (row.size() == 1 ? " field" : " fields")
                    + ", and the header " + std::to_string(columns_.size()));
    for (auto* name : {"custom_id", "id"})
      if (auto column = std::find(columns_.begin(), columns_.end(), name);
          column != columns_.end() && x.custom_id.empty())
        x.custom_id = row[static_cast<std::size_t>(column - columns_.begin())];
    chat_request request;
    request.messages.push_back(text_message(role::user, prompt_->fill(row)));
    return request;
  }

  line_reader lines_;
  table_row row_;
  bool by_tabs_;
  std::string name_; ///< As people are told it.
  std::vector<std::string> columns_;
  std::optional<prompt_template> prompt_;
  std::string line_;
  std::string raw_;   ///< The row's lines.
  std::string wrong_; ///< With the row.
  bool is_at_end_ = false;
  bool is_ahead_ = false;  ///< The first row has been read, and not been given yet.
  uint64_t number_ = 0;    ///< Of the line read last.
  uint64_t begins_at_ = 0; ///< The row's first line.
  uint64_t index_ = 0;
  id_set ids_;
};

} // namespace

std::variant<std::unique_ptr<source>, failure> open_table(file input, std::string name, const input_form& form) {
  auto table = std::make_unique<table_source>(std::move(input), std::move(name), form.format == batch_format::tsv);
  if (auto problem = table->start(form.prompt))
    return std::move(*problem);
  return table;
}

} // namespace modelforge::batch
