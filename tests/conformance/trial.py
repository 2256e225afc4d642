"""What tests/conformance/servers needs to start servers and to run the program against them."""
import collections
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request

PORT = object()  # in a command: a free port
Result = collections.namedtuple("Result", "code out err")
running = []


class Missing(Exception):
    """A server that cannot be had on this machine."""


def call(*command):
    try:
        done = subprocess.run([str(x) for x in command], capture_output=True, text=True)
    except OSError as problem:
        raise Missing(problem) from problem
    if done.returncode != 0:
        raise Missing(f"{pathlib.Path(str(command[0])).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")


def venv(folder, *packages):
    """Returns a folder with these packages of Python, installed once."""
    mark = folder / "installed"
    if not mark.exists() or mark.read_text() != " ".join(packages):
        shutil.rmtree(folder, ignore_errors=True)
        call(sys.executable, "-m", "venv", folder)
        call(folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages)
        mark.write_text(" ".join(packages))
    return folder


def wait_until(happened, otherwise, patience=30):
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def stop_all():
    while running:
        running.pop().kill()


class Server:
    """A server that runs until `kill`; `start` starts it again at the same port. It is ready when it answers the path `ready`, or, without
    one, when it listens."""

    def __init__(self, command, environment, ready="", port=0, patience=30):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [str(self.port if x is PORT else x) for x in command]
        self.environment, self.ready, self.patience = environment, ready, patience
        running.append(self)  # before it starts: what does not become ready ends, too
        self.start()

    def start(self):
        self.file = open(f"/proc/self/fd/{os.memfd_create('log')}", "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file, env=os.environ | self.environment)
        end = time.monotonic() + self.patience
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Missing(f"{pathlib.Path(self.command[0]).name} did not start: {self.log()[-300:]}")
            time.sleep(0.1)

    def is_ready(self):
        try:
            if self.ready:
                self.get(self.ready)
            else:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except (OSError, http.client.HTTPException):
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return os.pread(self.file.fileno(), 1 << 24, 0).decode(errors="replace")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()


class Started:
    """The program while it runs."""

    def __init__(self, command, place, environment):
        self.process = subprocess.Popen(command, cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.begun = b""

    def read_some(self):
        self.begun = os.read(self.process.stdout.fileno(), 4096)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def wait(self):
        out, err = self.process.communicate(timeout=120)
        return Result(self.process.returncode, (self.begun + out).decode(), err.decode())


class Batch:
    def __init__(self, started, output):
        self.started, self.output = started, output

    def wait(self):
        result = self.started.wait()
        text = self.output.read_text() if self.output.exists() else ""
        return result, [json.loads(x) for x in text.splitlines()]


class Program:
    """The program under test, with a configuration of its own that grows by `provider`."""

    def __init__(self, path, place, schema):
        self.path, self.place, self.passed, self.failed = path, place, 0, 0
        self.environments = {}
        (place / "schema.json").write_text(json.dumps(schema))
        (place / "modelforge.toml").write_text('[runtime]\nstate_folder = "none"\n')

    def provider(self, name, kind, url, model, key="any", environment=None, **more):
        members = {"kind": kind, "base_url": url, "default_model": model, "default_embedding_model": model} | more
        lines = [f"[providers.{name}]"] + [f'{x} = "{y}"' for x, y in members.items()] + [f'api_key_env = "KEY_{name}"']
        with open(self.place / "modelforge.toml", "a") as out:
            out.write("\n".join(lines) + "\n")
        self.environments |= {f"KEY_{name}": key} | (environment or {})

    def start(self, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.place)} | self.environments
        return Started([self.path, *arguments], self.place, environment)

    def run(self, *arguments):
        return self.start(*arguments).wait()

    def start_batch(self, provider, lines):
        (self.place / "lines.jsonl").write_text(lines)
        output = self.place / "results.jsonl"
        arguments = ["batch", "-q", "-p", provider, "--fresh", "--max-concurrent", "8", "lines.jsonl", "-o", str(output)]
        return Batch(self.start(*arguments), output)

    def batch(self, provider, lines):
        return self.start_batch(provider, lines).wait()

    @contextlib.contextmanager
    def check(self, name):
        try:
            yield
            self.passed += 1
            print(f"ok      {name}", flush=True)
        except Exception as problem:  # the next check may tell more
            self.failed += 1
            line = traceback.extract_tb(problem.__traceback__)[1].lineno
            print(f"FAILED  {name} (line {line}): {type(problem).__name__}: {str(problem)[:2000]}", flush=True)


# -- what stands in front of servers ----------------------------------------------

Proxy = collections.namedtuple("Proxy", "urls environment")

NGINX = """
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 20s; limit_req_zone $server_port zone=rate:1m rate=5r/s;
  gzip on; gzip_min_length 1; gzip_types text/event-stream application/json; keepalive_requests 3;
  ssl_certificate cert.pem; ssl_certificate_key key.pem;
  server {{ listen 127.0.0.1:{short}; location / {{ proxy_pass http://127.0.0.1:{to_short}; }} }}
  server {{ listen 127.0.0.1:{endless}; location / {{ proxy_pass http://127.0.0.1:{to_endless}; }} }}
  server {{ listen 127.0.0.1:{tls} ssl http2; location / {{ proxy_pass http://127.0.0.1:{to_short}; }} }}
  server {{ listen 127.0.0.1:{endless_tls} ssl http2; location / {{ proxy_pass http://127.0.0.1:{to_endless}; }} }}
  server {{ listen 127.0.0.1:{limited}; location / {{ limit_req zone=rate burst=1 nodelay; proxy_pass http://127.0.0.1:{to_short}; }} }}
  server {{ listen 127.0.0.1:{small}; client_max_body_size 1k; location / {{ proxy_pass http://127.0.0.1:{to_short}; }} }}
  server {{ listen 127.0.0.1:{down}; location / {{ proxy_pass http://127.0.0.1:{to_nobody}; }} }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
frontend short
  bind 127.0.0.1:{short}
  bind 127.0.0.1:{tls} ssl crt both.pem alpn h2,http/1.1
  compression algo gzip
  compression type text/event-stream application/json
  default_backend short
frontend endless
  bind 127.0.0.1:{endless}
  bind 127.0.0.1:{endless_tls} ssl crt both.pem alpn h2,http/1.1
  default_backend endless
frontend limited
  bind 127.0.0.1:{limited}
  http-request track-sc0 src table rates
  http-request deny deny_status 429 hdr retry-after 2 if {{ sc_http_req_rate(0,rates) gt 10 }}
  default_backend short
frontend small
  bind 127.0.0.1:{small}
  http-request deny deny_status 413 if {{ req.body_size gt 1024 }}
  default_backend short
frontend down
  bind 127.0.0.1:{down}
  default_backend down
backend rates
  stick-table type ip size 1k expire 10s store http_req_rate(2s)
backend short
  server a 127.0.0.1:{to_short}
backend endless
  server a 127.0.0.1:{to_endless}
backend down
  server a 127.0.0.1:{to_nobody}
"""


def proxies(folder, to_short, to_endless):
    """Starts those that are installed, in front of a server of short answers and one of endless ones."""
    place = folder / "proxies"
    place.mkdir(exist_ok=True)
    call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place / "key.pem", "-out", place / "cert.pem")
    (place / "both.pem").write_text((place / "key.pem").read_text() + (place / "cert.pem").read_text())
    found = {}
    for name, text, start in (("nginx", NGINX, ["-p", f"{place}/", "-e", "stderr", "-c"]), ("haproxy", HAPROXY, ["-C", str(place), "-db", "-f"])):
        binary = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        if binary is None:
            print(f"skipped {name}: it is not installed", flush=True)
            continue
        ports = {x: free_port() for x in ("short", "endless", "tls", "endless_tls", "limited", "small", "down")}
        settings = place / f"{name}.conf"
        settings.write_text(text.format(**ports, to_short=to_short, to_endless=to_endless, to_nobody=free_port()))
        Server([binary, *start, str(settings)], {}, port=ports["down"])
        urls = {x: f"http{'s' if 'tls' in x else ''}://127.0.0.1:{y}" for x, y in ports.items()}
        found[name] = Proxy(urls, {"CURL_CA_BUNDLE": str(place / "cert.pem")})
    return found
