"""The processes and disks of a night: simulated providers, the node, its guests, and what is done to them."""
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
STORY_MODEL = "simulated-mini"
SIMULATOR_SEED = "7"
SLOTS = 16  # requests in flight at a provider; a reload has one less, or one more again
HANG = 3  # seconds until an attempt is given up whose answer does not come, or does not go on


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_until(happened, what, patience=30):
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {patience} s for {what}")
        time.sleep(0.05)


def exchange(port, method, path, body=None, headers=None, timeout=10):
    """Asks a server of this machine; returns its answer's body. What is no 200 is an OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
    except http.client.HTTPException as problem:
        raise OSError(str(problem)) from problem
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{path}: HTTP {answer.status}")
    return text


class Simulator:
    """A simulated provider at a port that it keeps over its deaths."""

    NAMES = {"503": "503", "429": "429_retry_after", "hang": "timeout", "garbage": "garbage"}

    def __init__(self, program, log, *options):
        self.port = free_port()
        self.command = [program, "simulate", "--listen", f"127.0.0.1:{self.port}", "--seed", SIMULATOR_SEED, *options]
        self.log = log
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        if not self.process.stdout.readline().startswith(b"listening"):
            raise RuntimeError("the simulator does not start")

    def begin(self, fault):
        if fault == "death":
            self.kill()
        else:
            self.configure({"faults": {self.NAMES[fault]: 1.0}, "retry_after": 1})

    def end(self, fault):
        if fault == "death":
            self.start()
        else:
            self.configure({"faults": {}})

    def configure(self, settings):
        exchange(self.port, "POST", "/__simulator/configure", json.dumps(settings))

    def stats(self):
        return json.loads(exchange(self.port, "GET", "/__simulator/stats"))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Disk:
    """A folder whose disk can be filled: a small file system in memory, which only root may make. Elsewhere it is the usual disk, and
    the node is kept from writing by the size that its files may have (RLIMIT_FSIZE), which strikes all its files at once."""

    def __init__(self, folder, size):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue

    def empty(self):
        (self.folder / "filler").unlink(missing_ok=True)

    def release(self):
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True)


PROVIDER = """
[providers.{name}]
kind = "{kind}"
base_url = "http://127.0.0.1:{port}{path}"
default_model = "{model}"
nodes = ["owner"]
deadline = 20
max_concurrent = {slots}
timeouts = {{ connect = 2, first_token = {hang}, idle = {hang}, total = {total} }}
retry = {{ max_attempts = 3, base_wait = 0.2, max_wait = 1 }}
rate_limit = {{ requests_per_minute = 60000, window = 10 }}
circuit_breaker = {{ open_for = 1 }}
"""

NODE = """
[node]
name = "{name}"
{link}
heartbeat = 0.5
timeout = 4

[node.tls]
certificate = "certs/{name}.pem"
key = "certs/{name}.key"
ca = "certs/ca.pem"
"""


class World:
    """All of it, in a folder of its own."""

    def __init__(self, build, folder, say):
        self.program = str(build / "bin/modelforge")
        self.guest_program = str(build / "tests/soak-guest")
        self.shim = build / "tests/libclock-step.so"
        self.folder = pathlib.Path(folder)
        self.say = say
        self.errors = open(self.folder / "stderr.txt", "ab")
        self.guests = {}
        self.slots = SLOTS
        self.state, self.log_disk = Disk(self.folder / "state", "1m"), Disk(self.folder / "log", "64m")
        self.log_path = self.log_disk.folder / "node.json"
        self.step_file = self.folder / "step"
        self.step_file.write_bytes(struct.pack("q", 0))
        self.ahead = 0
        self.make_certificates("owner", "steady", "early", "late", "command", "batch")
        pace = ("--latency", "150", "--tokens-per-second", "400")
        self.reference = Simulator(self.program, self.errors)
        self.providers = {x: Simulator(self.program, self.errors, *pace) for x in ("alpha", "beta")}
        self.port, self.metrics_port = free_port(), free_port()
        self.write_settings()
        for name in ("steady", "early", "late", "command", "batch"):
            self.write_guest(name)

    # -- settings and certificates ------------------------------------------------------

    def make_certificates(self, *names, folder="certs"):
        subprocess.run([SOURCE / "script/certs", self.folder / folder, *names], check=True, stdout=subprocess.DEVNULL)

    def provider_tables(self):
        common = {"model": STORY_MODEL, "hang": HANG, "total": HANG + 1, "slots": self.slots}
        ports = {x: y.port for x, y in self.providers.items()}
        return PROVIDER.format(name="alpha", kind="openai_compatible", path="/v1", port=ports["alpha"], **common) + PROVIDER.format(
            name="beta", kind="anthropic", path="", port=ports["beta"], **common
        )

    def write_settings(self, more=""):
        text = f'{more}[runtime]\nstate_folder = "state"\ngrace_period = 5\n[log]\nlevel = "debug"\nformat = "json"\n'
        text += f'sink = "log/node.json"\n[metrics]\nlisten = "127.0.0.1:{self.metrics_port}"\n'
        text += self.provider_tables() + NODE.format(name="owner", link=f'listen = "127.0.0.1:{self.port}"')
        fresh = self.folder / "owner.toml.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "owner.toml")

    def write_guest(self, name):
        text = '[runtime]\nstate_folder = "none"\nthreads = 2\ngrace_period = 20\n'
        text += self.provider_tables() + NODE.format(name=name, link=f'peers = ["127.0.0.1:{self.port}"]')
        (self.folder / f"{name}.toml").write_text(text)

    def reload(self, how):
        if how == "taken":
            self.slots = SLOTS - 1 if self.slots == SLOTS else SLOTS
            self.write_settings()
        elif how == "refused":
            self.write_settings('nonsense = "yes"\n')
        else:
            os.rename(self.log_path, self.folder / f"log/node.json.{time.monotonic_ns()}")
        self.node.send_signal(signal.SIGHUP)
        if how == "refused":
            time.sleep(1)  # it reads the file before the good one is back
            self.write_settings()

    def renew_certificate(self):
        """As certificates are renewed: made elsewhere, then put in the place of the old ones."""
        certs, fresh = self.folder / "certs", self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name in ("ca.pem", "ca.key"):
            shutil.copy(certs / name, fresh / name)
        self.make_certificates("owner", folder="fresh")
        for name in ("owner.key", "owner.pem"):
            (fresh / name).replace(certs / name)

    def spoil_certificate(self):
        good = self.folder / "certs/owner.pem"
        shutil.copy(good, self.folder / "owner.pem.good")
        good.write_text("no certificate\n")

    def mend_certificate(self):
        (self.folder / "owner.pem.good").replace(self.folder / "certs/owner.pem")

    # -- the node ---------------------------------------------------------------------

    def start_node(self):
        environment = dict(os.environ, MODELFORGE_CLOCK_STEP=str(self.step_file))
        if self.shim.exists():
            environment["LD_PRELOAD"] = str(self.shim)
        # what may not be written is an error (EFBIG), not a signal: RLIMIT_FSIZE is this test's full disk without root
        quiet = lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        command = [self.program, "node", "-c", str(self.folder / "owner.toml")]
        self.node = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, env=environment, cwd=self.folder, preexec_fn=quiet
        )
        if not self.node.stdout.readline().startswith(b"listening"):
            raise RuntimeError(f"the node does not start; see {self.errors.name}")

    def step_clock(self, seconds):
        self.ahead += seconds
        with open(self.step_file, "r+b") as file:
            file.write(struct.pack("q", self.ahead))

    def fill(self, disk):
        if self.log_disk.is_mounted:
            (self.state if disk == "state" else self.log_disk).fill()
        else:
            resource.prlimit(self.node.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def make_room(self, disk):
        if self.log_disk.is_mounted:
            (self.state if disk == "state" else self.log_disk).empty()
        else:
            resource.prlimit(self.node.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def scrape(self):
        return exchange(self.metrics_port, "GET", "/metrics")

    def log_files(self):
        """Those that were moved away first, in their order."""
        return sorted(self.log_disk.folder.glob("node.json.*")) + [self.log_path]

    def usage(self):
        """Of the node now: KiB in memory, descriptors, threads."""
        fields = dict(x.split(":", 1) for x in pathlib.Path(f"/proc/{self.node.pid}/status").read_text().splitlines())
        descriptors = len(os.listdir(f"/proc/{self.node.pid}/fd"))
        return int(fields["RssAnon"].split()[0]), descriptors, int(fields["Threads"])

    # -- guests -----------------------------------------------------------------------

    def start_guest(self, name, take):
        self.guests[name] = Guest(self.guest_program, self.folder / f"{name}.toml", self.errors, take)
        return self.guests[name]

    def run(self, *arguments):
        """Runs a command beside the node to its end."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run([self.program, *arguments], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def stop(self):
        """Ends all that is left, each by its own id."""
        for guest in self.guests.values():
            guest.kill()
        for simulator in [self.reference, *self.providers.values()]:
            if simulator.process.poll() is None:
                simulator.kill()
        if getattr(self, "node", None) and self.node.poll() is None:
            self.node.kill()
            self.node.wait()


class Guest:
    """A host program that asks the node; `take` gets each of its answers: id, outcome, text."""

    def __init__(self, program, settings, errors, take):
        self.process = subprocess.Popen([program, str(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.lock = threading.Lock()
        self.has_ended_well = False
        self.reader = threading.Thread(target=self.read, args=(take,), daemon=True)
        self.reader.start()

    def read(self, take):
        for line in self.process.stdout:
            if not line.endswith("\n"):
                return  # it was killed while it wrote
            if line == "end\n":
                self.has_ended_well = True
                continue
            number, outcome, text = line.rstrip("\n").split("\t", 2)
            take(number, outcome, re.sub(r"\\(.)", lambda x: {"n": "\n", "t": "\t"}.get(x[1], x[1]), text))

    def ask(self, *parts):
        try:
            with self.lock:
                self.process.stdin.write("\t".join(parts) + "\n")
                self.process.stdin.flush()
            return True
        except (BrokenPipeError, ValueError):  # it has ended
            return False

    def leave(self):
        """Ends when what it asked has been answered."""
        with self.lock:
            self.process.stdin.close()
        self.process.wait()
        self.reader.join()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()
