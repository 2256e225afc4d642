#include "wire/anthropic/open_blocks.hpp"

#include <algorithm>

namespace modelforge::wire::anthropic {

open_block& open_blocks::begin(std::optional<int64_t> index, uint64_t text_from) {
  std::erase_if(open_, [](auto& block) { return !block.call; });
  begun_ = std::max(begun_, index);
  return open_.emplace_back(open_block{index, {}, text_from});
}

void open_blocks::end(open_block& block) {
  open_.erase(open_.begin() + (&block - open_.data()));
}

open_block* open_blocks::find(std::optional<int64_t> index) {
  auto found = std::find_if(open_.begin(), open_.end(), [index](auto& block) { return block.index == index; });
  return found == open_.end() ? nullptr : &*found;
}

open_block* open_blocks::of_end(std::optional<int64_t> index) {
  auto* block = find(index);
  return block == nullptr && !index && open_.size() == 1 ? &open_.front() : block;
}

open_block* open_blocks::of_arguments() {
  auto takes_more = [this](auto& block) {
    auto* arguments = block.call ? &calls_[*block.call].arguments : nullptr;
    return block.is_left_out || (arguments != nullptr && (!arguments->is_whole() || arguments->is_placeholder()));
  };
  auto found = std::find_if(open_.begin(), open_.end(), takes_more);
  auto is_only = found != open_.end() && std::find_if(found + 1, open_.end(), takes_more) == open_.end();
  return is_only ? &*found : nullptr;
}

bool open_blocks::is_again(const open_block* block, const content_block& content) const {
  std::string scratch;
  auto id = id_in(content.call.own_id(), scratch);
  return block != nullptr && block->call && !id.empty() && id == calls_[*block->call].call.id;
}

bool open_blocks::is_of(const open_block* block, const content_block& content) const {
  if (block == nullptr || block->is_left_out || block->call.has_value() != content.is_call())
    return block != nullptr && block->is_left_out && !content.is_call();
  std::string scratch;
  return !block->call || id_in(content.call.own_id(), scratch).empty() || is_again(block, content);
}

bool open_blocks::is_new(const content_block& content, std::optional<int64_t> index) const {
  if (!content.is_call() || (index && index > begun_))
    return index && index > begun_;
  std::string scratch;
  auto id = id_in(content.call.own_id(), scratch);
  for (std::size_t i = 0; i < calls_.size() && !id.empty(); ++i)
    if (calls_[i].call.id == id)
      return false;
  return !id.empty() || !calls_.has(content.call);
}

} // namespace modelforge::wire::anthropic
