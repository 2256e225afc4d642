#include "bench/nginx.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
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

nginx::nginx(const std::string& body, std::string type) : type_(std::move(type)) {
  auto pattern = (std::filesystem::temp_directory_path() / "modelforge-nginx-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  std::filesystem::permissions(folder_, std::filesystem::perms{0755});
  std::ofstream{folder_ / "body"} << body;
  for (int i = 0; i < 5 && url_.empty(); ++i)
    start(free_port());
  if (url_.empty())
    throw std::runtime_error("nginx did not start (is it installed? script/bootstrap --servers)");
}

void nginx::start(uint16_t port) {
  std::ofstream{folder_ / "nginx.conf"} << "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\n"
                                           "error_log stderr crit;\nevents { worker_connections 4096; }\nhttp {\n"
                                           "  access_log off;\n  keepalive_requests 100000000;\n"
                                           "  client_body_temp_path bodies;\n  proxy_temp_path proxy;\n"
                                           "  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n"
                                           "  scgi_temp_path scgi;\n  server {\n    listen 127.0.0.1:"
                                        << port << ";\n    root .;\n    default_type " << type_
                                        << ";\n    types {}\n"
                                           "    open_file_cache max=10;\n"
                                           "    location / { error_page 405 =200 /body; try_files /body =404; }\n"
                                           "  }\n}\n";
  process_ = fork();
  if (process_ == 0) {
    auto prefix = folder_.string() + "/";
    execlp("nginx", "nginx", "-p", prefix.c_str(), "-c", "nginx.conf", "-e", "stderr", nullptr);
    _exit(127);
  }
  for (int i = 0; i < 200; ++i) {
    if (waitpid(process_, nullptr, WNOHANG) == process_)
      break; // the port was taken, or there is no nginx
    if (accepts(port)) {
      url_ = "http://127.0.0.1:" + std::to_string(port);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  process_ = -1;
}

nginx::~nginx() {
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

} // namespace modelforge::bench
