"""Commands do what the documents say, configurations are accepted.

The blocks of a document run in order in a folder of its own. In place of real providers a simulated one answers.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import names

LONGEST = 120  # seconds, for a block
NEEDED = {"curl ": "curl", "jq ": "jq", "script/certs": "openssl"}  # tools that not every machine has
ADDRESSES = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta", "ollama": ""}  # of the simulator, by kind

# A command that ends in & is a server: it is waited for.
PRELUDE = """set -euo pipefail
background() {
  local said
  said=$(mktemp)
  "$@" >"$said" 2>&1 &
  until grep -q '^listening ' "$said" || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
  cat "$said"
  grep -q '^listening ' "$said"
}
"""


@contextlib.contextmanager
def simulator(program):
    """A simulated provider's address, as long as it is wanted."""
    command = [program, "simulate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            yield server.stdout.readline().split()[1]
        finally:
            server.terminate()


class Ports:
    """Free ports in place of those that a document names; where it starts no server itself, the simulator's."""

    _given = set()

    def __init__(self, document, simulated):
        text = "\n".join(block.text for block in document.blocks)
        own = set(re.findall(r'listen(?: = "| )127\.0\.0\.1:([1-9]\d*)', text))
        self._simulated = simulated.rpartition(":")[2]
        self._ports = {port: self._free() for port in own}

    @classmethod
    def _free(cls):
        for port in random.sample(range(20000, 30000), 1000):  # below those that the system hands out to others
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if port not in cls._given:
                    cls._given.add(port)
                    return str(port)
        raise OSError("no port is free")

    def into(self, text):
        return re.sub(r"(?<=127\.0\.0\.1:)[1-9]\d*", lambda port: self._ports.get(port[0], self._simulated), text)

    def out_of(self, text):
        for named, used in self._ports.items():
            text = text.replace(f"127.0.0.1:{used}", f"127.0.0.1:{named}")
        return text


def with_simulator(toml, simulated):
    """The same configuration with the simulator in place of public addresses."""
    tables = re.split(r"^(?=\[)", toml, flags=re.M)
    for number, table in enumerate(tables):
        kind = re.search(r'^kind = "(\w+)"', table, re.M)
        if kind and kind[1] in ADDRESSES and "base_url" not in table:
            tables[number] = table.replace(kind[0], f'{kind[0]}\nbase_url = "{simulated}{ADDRESSES[kind[1]]}"')
    return "".join(tables)


def comparable(text):
    """The text without what differs from run to run."""
    text = re.sub(r"\b\d+(\.\d+)? (ms|s|min)\b", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)?/s\b", "SPEED", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"\b(created\":|estimated: )\d+", r"\1NUMBER", text)
    return "".join(line.rstrip() + "\n" for line in text.strip("\n").split("\n"))


def same(said, shown):
    """Whether a document shows what was said; `...` stands for any text, and alone on a line for any lines."""
    pattern = ""
    for line in comparable(shown).splitlines():
        pattern += r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, comparable(said)) is not None


class Walk:
    """Through one document, in its folder."""

    def __init__(self, source, build, document, simulated, report):
        self._source, self._document, self._simulated, self._report = source, document, simulated, report
        self._ports = Ports(document, simulated)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="modelforge-docs-"))
        self._groups = []
        # What a reader has in a clone, with the program as an installed one is found.
        for name in ("config", "examples", "script"):
            (self._folder / name).symlink_to(source / name)
        (self._folder / "build").mkdir()
        (self._folder / "build/release").symlink_to(build)
        self._environment = {
            "HOME": str(self._folder), "TMPDIR": str(self._folder), "LC_ALL": "C.UTF-8",
            "PATH": f"{build}/bin:{os.environ['PATH']}",
            "OPENAI_BASE_URL": simulated + "/v1", "ANTHROPIC_BASE_URL": simulated}
        text = "\n".join(block.text for block in document.blocks)
        for name in re.findall(r'env = "(\w+)"', text) + ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]:
            self._environment[name] = "a-key-of-the-test"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)  # the servers that its blocks have left
        shutil.rmtree(self._folder)

    def go(self):
        for block in self._document.blocks:
            for name in block.marks.get("with", "").split():
                self._write(pathlib.Path(name).name, (self._source / name).read_text())
            if name := block.marks.get("file") or self._name_within(block):
                self._write(name, block.text, block.fails)
            if block.language == "toml":
                self._load(block)
            elif block.language == "sh":
                self._run(block)

    def _name_within(self, block):
        """`# name.toml` as the first line names the file, too."""
        first = re.match(r"# ([\w-]+\.toml)\n", block.text) if block.language == "toml" else None
        return first and first[1]

    def _write(self, name, text, as_it_is=False):
        text = self._ports.into(text)
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".toml" and not as_it_is:
            text = with_simulator(text, self._simulated)
        path.write_text(text)

    def _load(self, block):
        path = self._folder / ".block.toml"
        path.write_text(block.text)
        status, said = self._bash("modelforge config check .block.toml")
        if (status == 0) == block.fails:
            self._report.fault(block.place, f"`config check` ends with {status}:\n{said}")
        self._report.count("configurations checked")

    def _run(self, block):
        if "not run" in block.marks:
            return self._report.count("blocks not run, but looked through")
        for name, tool in NEEDED.items():
            if name in block.text and not shutil.which(tool):
                return self._report.note(f"{block.place} is not run: {tool} is not here")
        text = re.sub(r"^(modelforge (?:[^#\n]|\\\n)*?) &( *#.*)?$", r"background \1", block.text, flags=re.M)
        status, said = self._bash(self._ports.into(text))
        said = self._ports.out_of(said).replace(str(self._folder), "~")
        if (status == 0) == block.fails:
            self._report.fault(block.place, f"ends with {status}:\n{said}")
        elif block.output and not same(said, block.output.text):
            self._report.fault(block.output.place, f"the output is:\n{said}")
        self._report.count("blocks run")
        if block.output:
            self._report.count("outputs compared")

    def _bash(self, text):
        with tempfile.TemporaryFile("w+") as output:  # not a pipe: servers keep it open
            bash = subprocess.Popen(["bash", "-c", PRELUDE + text], cwd=self._folder, env=self._environment,
                                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
            if "background " in text:
                self._groups.append(bash.pid)
            try:
                status = bash.wait(LONGEST)
            except subprocess.TimeoutExpired:
                self._report.fault(self._document.name, f"takes more than {LONGEST} s: {text}")
                os.killpg(bash.pid, signal.SIGKILL)
                status = bash.wait()
            output.seek(0)
            return status, re.sub(r"(?m)^(.{500}).*", r"\1...", output.read())


def check(source, build, documents, report):
    program = build / "bin/modelforge"
    known = names.Known(source, build, program)
    with simulator(program) as simulated, concurrent.futures.ThreadPoolExecutor(3) as pool:
        def one(document):
            for place, what in document.faults:
                report.fault(place, what)
            known.check(document, report)
            with Walk(source, build, document, simulated, report) as walk:
                walk.go()
        list(pool.map(one, documents))
