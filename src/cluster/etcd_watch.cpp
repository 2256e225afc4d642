#include "cluster/etcd.hpp"

#include "base/ascii.hpp"
#include "cluster/etcd_json.hpp"

namespace modelforge::cluster::etcd {

call watch(const std::string& prefix) {
  call result{"/v3/watch", {}};
  json::writer out{result.body};
  out.open('{');
  out.key("create_request");
  out.open('{');
  put_prefix(out, prefix);
  out.close('}');
  out.close('}');
  return result;
}

std::vector<watch_event> watch_reader::feed(std::string_view bytes) {
  std::vector<watch_event> result;
  while (!is_over_ && !bytes.empty()) {
    auto end = bytes.find('\n');
    if (rest_.size() + std::min(end, bytes.size()) > max_body) {
      this->end(result, {not_understood("too many bytes")});
      break;
    }
    rest_ += bytes.substr(0, end);
    if (end == bytes.npos)
      break;
    bytes.remove_prefix(end + 1);
    auto line = std::exchange(rest_, {});
    if (!ascii::trim(line).empty())
      read_line(ascii::trim(line), result);
  }
  return result;
}

void watch_reader::end(std::vector<watch_event>& to, watch_over why) {
  to.emplace_back(std::move(why));
  is_over_ = true;
  rest_.clear();
}

void watch_reader::read_line(std::string_view line, std::vector<watch_event>& to) {
  auto read = read_good(200, line, true);
  if (auto* refused = std::get_if<refusal>(&read))
    return end(to, {std::move(refused->is), refused->needs_token});
  auto& good = std::get<message>(read);
  if (good.canceled.text == "true") { // the reason is that of another answer's error
    std::string scratch;
    message error;
    error.error = good.cancel_reason.is_string() ? good.cancel_reason : json::raw{"\"the watch was ended\""};
    auto why = *refusal_in(200, error);
    return end(to, {std::move(why.is), why.needs_token});
  }
  if (good.created.text == "true")
    to.emplace_back(watch_began{});
  auto is_good = true;
  json::reader in{good.events};
  if (!good.events.text.empty())
    is_good = in.elements([&] {
      json::raw type, kv;
      std::string scratch;
      auto is_event = json::read_fields(in.value(), {{"type", &type}, {"kv", &kv}});
      auto one = is_event ? read_record(kv) : std::nullopt;
      is_good = is_good && one.has_value();
      if (one)
        to.emplace_back(watch_change{std::move(one->key), std::move(one->value), one->changed,
                                     json::string_in(type, scratch) == "DELETE"});
    }) && is_good;
  if (!is_good)
    end(to, {not_understood("a change that cannot be")});
}

} // namespace modelforge::cluster::etcd
