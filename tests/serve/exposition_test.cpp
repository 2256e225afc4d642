#include "telemetry/exposition.hpp"

#include "telemetry/program_metrics.hpp"
#include "tests/support/metric_lint.hpp"
#include "tests/support/prometheus_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace modelforge::exposition_test {

using telemetry::exposition;

TEST_CASE("metrics are written as Prometheus reads them, without times", "[telemetry]") {
  exposition out;
  out.family("a_total", "counter", "With a \\ and a\nline break");
  out.sample({}, uint64_t{18'446'744'073'709'551'615u});
  out.family("b_seconds", "histogram", "Times");
  out.sample({{"x", "a \"quoted\" \\ value\n"}, {"le", "0.5"}}, int64_t{-3}, "_bucket");
  out.sample({{"x", "y"}}, 1.5e-7, "_sum");
  auto text = out.take();
  CHECK(text
        == "# HELP a_total With a \\\\ and a\\nline break\n# TYPE a_total counter\na_total 18446744073709551615\n"
           "# HELP b_seconds Times\n# TYPE b_seconds histogram\n"
           "b_seconds_bucket{x=\"a \\\"quoted\\\" \\\\ value\\n\",le=\"0.5\"} -3\nb_seconds_sum{x=\"y\"} 1.5e-07\n");
  CHECK(out.take().empty());
}

TEST_CASE("numbers are written so that they read as the same ones", "[telemetry]") {
  for (auto x : {0.0, -0.5, 0.1, 1.0 / 3, 1e300, 5e-324, 1'764'550'000.25})
    CHECK(std::strtod(telemetry::number_text(x).c_str(), nullptr) == x);
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  CHECK(telemetry::number_text(0.0002) == "0.0002");
  CHECK(telemetry::number_text(81.92) == "81.92");
  CHECK(telemetry::number_text(1e6) == "1000000");
  CHECK(telemetry::number_text(infinity) == "+Inf");
  CHECK(telemetry::number_text(-infinity) == "-Inf");
  CHECK(telemetry::number_text(std::nan("")) == "NaN");
}

TEST_CASE("a metric's full name has its unit and, for a sum, _total", "[telemetry]") {
  CHECK(telemetry::full_name("gen_ai", "client.operation.duration", "seconds", false)
        == "gen_ai_client_operation_duration_seconds");
  CHECK(telemetry::full_name("caf.system", "rejected-messages", "1", true) == "caf_system_rejected_messages_total");
}

TEST_CASE("the lint finds what promtool would find", "[telemetry]") {
  auto problems = [](const std::string& name, const std::string& type = "gauge") {
    return test::problems_of_name(name, type).size();
  };
  CHECK(problems("good_seconds") == 0);
  CHECK(problems("good_bytes_total", "counter") == 0);
  CHECK(problems("bad", "counter") == 1);
  CHECK(problems("bad_total") == 1);
  CHECK(problems("bad_count") == 1);
  CHECK(problems("good", "histogram") == 0);
  CHECK(problems("bad_milliseconds") == 1);
  CHECK(problems("bad_hours") == 1);
  CHECK(problems("bad_kilobits") == 1);
  CHECK(problems("bad_ms") == 1);
  CHECK(problems("bad:rule") == 1);
  CHECK(problems("badCase") == 1);
  CHECK(problems("bad_gauge") == 1);
  CHECK(test::problems_of_labels("x{le=\"1\"}", "gauge").size() == 1);
  CHECK(test::problems_of_labels("x{a=\"1\",quantile=\"1\",camelCase=\"\"}", "gauge").size() == 2);
  test::prometheus_text silent{"# TYPE bad gauge\nbad 1\n"};
  CHECK(test::lint(silent) == std::vector<std::string>{"bad: no help"});
  CHECK_FALSE(test::prometheus_text{"# TYPE timed gauge\ntimed 1 1764550000000\n"}.problem.empty());
}

TEST_CASE("what is found out at a scrape is one series for each, whatever names there are", "[telemetry]") {
  telemetry::program_status x;
  x.build = {"0.1.0", "", "GNU 12", "0.18.7"};
  x.settings.emplace();
  x.settings->is_last_refused = true;
  x.providers = {{telemetry::provider_state::failing, "", {}}, {telemetry::provider_state::ready, "", {}}};
  for (auto& each : x.providers)
    each.status.name = "twin";
  x.node.emplace();
  x.node->status.peers = {{"a", "h:1", true, "", {}},
                          {"a", "h:2", true, "", {}},
                          {"b", "", true, "", {}},
                          {"", "h:3", false, "", {}},
                          {"b", "", true, "", {}}};
  x.node->guests = {{"a", "twin"}, {"b", "twin"}, {"b", "unknown"}};
  x.dropped_events = 7;
  x.dropped_requests = 3;
  x.spans = {1, 2, 3};
  exposition out;
  telemetry::write_metrics(out, x, {});
  test::prometheus_text text{out.take()};
  CHECK(text.problem == "");
  CHECK(test::lint(text) == std::vector<std::string>{});
  CHECK(text.at("modelforge_build_info{version=\"0.1.0\",commit=\"\",compiler=\"GNU 12\"}") == 1);
  CHECK(text.at("modelforge_ready") == 1);
  CHECK(text.at("modelforge_provider_usable{modelforge_provider=\"twin\"}") == 1);
  CHECK(text.at("modelforge_settings_last_reload_successful") == 0);
  CHECK(text.at("modelforge_link_up{address=\"h:2\"}") == 1);
  CHECK(text.at("modelforge_link_up{address=\"h:3\"}") == 0);
  CHECK(text.at("modelforge_linked_nodes") == 2);
  CHECK(text.at("modelforge_provider_guests{modelforge_provider=\"twin\"}") == 2);
  CHECK(text.at("modelforge_log_events_dropped_total") == 7);
  CHECK(text.at("modelforge_access_log_lines_dropped_total") == 3);
  CHECK(text.at("modelforge_spans_exported_total") == 1);
  CHECK(text.at("modelforge_spans_failed_total") == 2);
  CHECK(text.at("modelforge_spans_dropped_total") == 3);
  CHECK(text.types.count("process_open_fds") == 0); // nobody has told
}

TEST_CASE("a series that is told is told right, however many there are", "[telemetry]") {
  telemetry::program_status x;
  x.node.emplace();
  for (std::size_t i = 0; i < telemetry::max_series; ++i) {
    x.providers.push_back({telemetry::provider_state::failing, "", {}});
    x.providers.back().status.name = std::to_string(i);
    x.node->status.peers.push_back({"", "h:" + std::to_string(i), false, "", {}});
  }
  x.providers.push_back({telemetry::provider_state::ready, "", {}}); // a host's second one of that name
  x.providers.back().status.name = "7";
  x.node->status.peers.push_back({"a", "h:7", true, "", {}});
  exposition out;
  telemetry::write_metrics(out, x, {});
  test::prometheus_text text{out.take()};
  CHECK(text.at("modelforge_provider_usable{modelforge_provider=\"7\"}") == 1);
  CHECK(text.at("modelforge_link_up{address=\"h:7\"}") == 1);
  CHECK(text.at("modelforge_metrics_series_left_out") == 0);
}

TEST_CASE("the number of series is bounded", "[telemetry]") {
  telemetry::program_status x;
  x.node.emplace();
  for (int i = 0; i < 3'000; ++i) {
    x.providers.emplace_back().status.name = std::to_string(i);
    x.node->status.peers.push_back({std::to_string(i), "h:" + std::to_string(i), true, "", {}});
  }
  exposition out;
  telemetry::write_metrics(out, x, {});
  test::prometheus_text text{out.take()};
  CHECK(text.values.size() < 3 * telemetry::max_series + 20);
  CHECK(text.at("modelforge_metrics_series_left_out") == 3 * 2'000);
  CHECK(text.at("modelforge_linked_nodes") == 3'000);
}

} // namespace modelforge::exposition_test
