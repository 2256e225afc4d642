#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What OTLP's specification and its protocol buffers ask of an `ExportTraceServiceRequest` in JSON, as a judge that
/// shares no code with what it judges.

namespace modelforge::test {

class otlp_judge {
public:
  /// All that is wrong with it; empty: nothing is.
  static std::vector<std::string> faults_of(const nlohmann::json& request) {
    otlp_judge judge;
    judge.judge(request);
    return std::move(judge.faults_);
  }

private:
  using json = nlohmann::json;
  using names = std::set<std::string>;

  void fault(const std::string& what) { faults_.push_back(what); }

  /// Members that the message does not have are errors: readers skip them, so what stands there is lost.
  void members(const json& object, const names& known, const std::string& of) {
    if (!object.is_object())
      return fault(of + " is no object");
    for (auto& [name, value] : object.items())
      if (!known.contains(name))
        fault(of + " has a member " + name);
  }

  static bool is_hex(const json& text, std::size_t digits) {
    if (!text.is_string())
      return false;
    auto& is = text.get_ref<const std::string&>();
    return is.size() == digits && is.find_first_not_of("0123456789abcdef") == is.npos
           && is.find_first_not_of('0') != is.npos;
  }

  /// 64 bits are texts of decimal digits.
  static bool is_long(const json& text, bool may_be_negative) {
    if (!text.is_string())
      return false;
    std::string_view is = text.get_ref<const std::string&>();
    if (may_be_negative && is.starts_with('-'))
      is.remove_prefix(1);
    uint64_t ignored = 0;
    auto [end, error] = std::from_chars(is.data(), is.data() + is.size(), ignored);
    return !is.empty() && error == std::errc{} && end == is.data() + is.size();
  }

  void value(const json& x, const std::string& of) {
    members(x, {"stringValue", "boolValue", "intValue", "doubleValue", "arrayValue"}, of);
    if (!x.is_object() || x.size() != 1)
      return fault(of + " is not one value");
    auto kind = x.begin().key();
    auto& is = x.begin().value();
    if (kind == "stringValue" && !is.is_string())
      fault(of + " is no text");
    if (kind == "boolValue" && !is.is_boolean())
      fault(of + " is no boolean");
    if (kind == "intValue" && !is_long(is, true))
      fault(of + " is no text of digits");
    if (kind == "doubleValue" && !is.is_number())
      fault(of + " is no number");
    if (kind == "arrayValue") {
      members(is, {"values"}, of);
      for (auto& each : is.value("values", json::array()))
        value(each, of);
    }
  }

  void attributes(const json& object, const std::string& of) {
    names seen;
    for (auto& each : object.value("attributes", json::array())) {
      members(each, {"key", "value"}, of);
      auto key = each.value("key", "");
      if (key.empty() || !seen.insert(key).second)
        fault(of + " has an attribute without a name of its own: " + key);
      value(each.value("value", json()), of + "." + key);
    }
  }

  void span(const json& x) {
    members(x,
            {"traceId", "spanId", "traceState", "parentSpanId", "flags", "name", "kind", "startTimeUnixNano",
             "endTimeUnixNano", "attributes", "droppedAttributesCount", "events", "droppedEventsCount", "links",
             "droppedLinksCount", "status"},
            "span");
    if (!x.is_object())
      return;
    if (!is_hex(x.value("traceId", json()), 32))
      fault("traceId is no 32 small digits");
    if (!is_hex(x.value("spanId", json()), 16))
      fault("spanId is no 16 small digits");
    if (x.contains("parentSpanId") && !is_hex(x["parentSpanId"], 16))
      fault("parentSpanId is no 16 small digits");
    if (!x.value("name", json()).is_string() || x["name"] == "")
      fault("a span has no name");
    if (!x.value("kind", json()).is_number_unsigned() || x["kind"] < 1 || x["kind"] > 5)
      fault("kind is no number of SpanKind");
    if (x.contains("flags") && (!x["flags"].is_number_unsigned() || x["flags"] > 0x3ff))
      fault("flags have bits that mean nothing");
    for (auto time : {"startTimeUnixNano", "endTimeUnixNano"})
      if (!is_long(x.value(time, json()), false))
        fault(std::string{time} + " is no text of digits");
    if (faults_.empty()
        && std::stoull(x["startTimeUnixNano"].get<std::string>())
             > std::stoull(x["endTimeUnixNano"].get<std::string>()))
      fault("a span ends before it begins");
    if (x.contains("status")) {
      members(x["status"], {"code", "message"}, "status");
      auto code = x["status"].value("code", json());
      if (!code.is_number_unsigned() || code > 2)
        fault("status.code is no number of StatusCode");
    }
    attributes(x, "span");
  }

  void judge(const json& request) {
    members(request, {"resourceSpans"}, "request");
    if (!request.contains("resourceSpans") || !request["resourceSpans"].is_array())
      return fault("there are no resourceSpans");
    for (auto& resource : request["resourceSpans"]) {
      members(resource, {"resource", "scopeSpans", "schemaUrl"}, "resourceSpans");
      members(resource.value("resource", json()), {"attributes", "droppedAttributesCount"}, "resource");
      attributes(resource.value("resource", json::object()), "resource");
      for (auto& scope : resource.value("scopeSpans", json::array())) {
        members(scope, {"scope", "spans", "schemaUrl"}, "scopeSpans");
        members(scope.value("scope", json()), {"name", "version", "attributes", "droppedAttributesCount"}, "scope");
        for (auto& each : scope.value("spans", json::array()))
          span(each);
      }
    }
  }

  std::vector<std::string> faults_;
};

} // namespace modelforge::test
