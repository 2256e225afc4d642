#include "bench/nginx.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace modelforge::bench {

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in x{};
  x.sin_family = AF_INET;
  x.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  x.sin_port = htons(port);
  return x;
}

/// Asks the system for a free port. Another process may take it before nginx does; `nginx` then tries again.
uint16_t free_port() {
  auto s = socket(AF_INET, SOCK_STREAM, 0);
  auto address = loopback(0);
  socklen_t size = sizeof(address);
  auto failed = bind(s, reinterpret_cast<sockaddr*>(&address), size) != 0
                || getsockname(s, reinterpret_cast<sockaddr*>(&address), &size) != 0;
  close(s);
  if (failed)
    throw std::runtime_error(std::string{"no free port: "} + std::strerror(errno));
  return ntohs(address.sin_port);
}

bool accepts(uint16_t port) {
  auto s = socket(AF_INET, SOCK_STREAM, 0);
  auto address = loopback(port);
  auto ok = connect(s, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(s);
  return ok;
}

} // namespace

nginx::nginx(nginx_options options) : options_(std::move(options)) {
  auto pattern = (std::filesystem::temp_directory_path() / "modelforge-nginx-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  std::filesystem::permissions(folder_, std::filesystem::perms{0755});
  std::ofstream{folder_ / "body"} << options_.body;
  if (options_.tls)
    make_certificate();
  for (int i = 0; i < 5 && url_.empty(); ++i)
    start(free_port());
  if (url_.empty())
    throw std::runtime_error("nginx did not start (is it installed? script/bootstrap --servers)");
}

void nginx::make_certificate() const {
  auto command = "cd '" + folder_.string()
                 + "' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                   "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem "
                   "2> openssl.log";
  if (std::system(command.c_str()) != 0)
    throw std::runtime_error("openssl made no certificate");
}

std::string nginx::configuration(uint16_t port) const {
  auto buffer = options_.send_buffer > 0 ? " sndbuf=" + std::to_string(options_.send_buffer) : "";
  std::string result = "daemon off;\nmaster_process " + std::string{options_.workers > 1 ? "on" : "off"}
                       + ";\nworker_processes " + std::to_string(options_.workers)
                       + ";\npid nginx.pid;\nerror_log stderr crit;\nevents { worker_connections 20000; }\nhttp {\n"
                         "  access_log off;\n  keepalive_requests 100000000;\n"
                         "  client_body_temp_path bodies;\n  proxy_temp_path proxy;\n"
                         "  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n"
                         "  scgi_temp_path scgi;\n  server {\n    listen 127.0.0.1:"
                       + std::to_string(port) + (options_.tls ? " ssl http2" : "")
                       + (options_.workers > 1 ? " reuseport" : "") + " backlog=4096" + buffer + ";\n";
  if (options_.tls)
    result += "    ssl_certificate certificate.pem;\n    ssl_certificate_key key.pem;\n";
  if (options_.only_http2)
    result += "    if ($http2 = \"\") { return 505; }\n";
  if (!options_.proxy_to.empty())
    return result + "    location / {\n      proxy_pass " + options_.proxy_to
           + ";\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n"
             "      proxy_buffering off;\n      proxy_buffer_size 4k;\n      proxy_read_timeout 600s;\n    }\n  }\n}\n";
  return result + "    root .;\n    default_type " + options_.type
         + ";\n    types {}\n    open_file_cache max=10;\n"
           "    location / { error_page 405 =200 /body; try_files /body =404; }\n  }\n}\n";
}

void nginx::start(uint16_t port) {
  std::ofstream{folder_ / "nginx.conf"} << configuration(port);
  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    auto prefix = folder_.string() + "/";
    execlp("nginx", "nginx", "-p", prefix.c_str(), "-c", "nginx.conf", "-e", "stderr", nullptr);
    _exit(127);
  }
  for (int i = 0; i < 200; ++i) {
    if (waitpid(process_, nullptr, WNOHANG) == process_)
      break; // the port was taken, or there is no nginx
    if (accepts(port)) {
      url_ = (options_.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  process_ = -1;
}

uint64_t nginx::bytes_read() const {
  std::ifstream in{"/proc/" + std::to_string(process_) + "/io"};
  std::string name;
  uint64_t value = 0;
  while (in >> name >> value)
    if (name == "rchar:")
      return value;
  throw std::runtime_error("/proc does not tell what nginx reads");
}

nginx::~nginx() {
  if (process_ > 0) {
    kill(process_, SIGTERM); // ends the workers, too
    waitpid(process_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

} // namespace modelforge::bench
