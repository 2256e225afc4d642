"""What a night's guests ask, what each answer has to be, and whether it came once and truthfully.

The right answers are known without the product: a sum is added here, a story is asked of another simulator with the same seed, in its
own words, by this file. An error is the truth only while the provider has the trouble that it tells of.
"""
import collections
import json
import random
import threading
import time

from world import HANG, STORY_MODEL, exchange

# What may be said of a provider in trouble, by the trouble. While a breaker is open nothing is asked: circuit_open.
ERRORS = {
    "503": {"overloaded", "circuit_open", "deadline_exceeded", "rate_limited"},
    "429": {"rate_limited", "circuit_open", "deadline_exceeded", "overloaded"},
    "hang": {"attempt_timeout", "circuit_open", "deadline_exceeded", "stream_interrupted"},
    "garbage": {"invalid_response", "circuit_open", "deadline_exceeded", "stream_interrupted"},
    "death": {"connect_failed", "connection_lost", "circuit_open", "deadline_exceeded", "stream_interrupted"},
}

# A provider is in trouble for its callers until a request has tried it: the breaker opens it for a second, and an attempt may hang.
AFTERMATH = 1 + 2 * HANG + 3

Asked = collections.namedtuple("Asked", "at guest provider prompt right")


class Troubles:
    """Which provider has which trouble, from when to when, in monotonic time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.all = []  # [provider, fault, begin, end]

    def begin(self, provider, fault):
        with self.lock:
            self.all.append([provider, fault, time.monotonic(), None])

    def end(self, provider, fault):
        with self.lock:
            trouble = next(x for x in self.all if x[:2] == [provider, fault] and x[3] is None)
            trouble[3] = time.monotonic()

    def explain(self, providers, code, begin, end):
        """Whether an error between these times may be of one of the providers' troubles."""
        with self.lock:
            return any(
                provider in providers and code in ERRORS[fault] and since <= end and (until is None or begin <= until + AFTERMATH)
                for provider, fault, since, until in self.all
            )


class Book:
    """Every request that was asked, until it is answered. Used by all threads."""

    def __init__(self, troubles):
        self.troubles = troubles
        self.lock = threading.Lock()
        self.open = {}
        self.ended = set()
        self.violations = []
        self.counts = collections.Counter()

    def ask(self, guest, name, what, provider, rank, prompt, right):
        with self.lock:
            self.counts["asked"] += 1
            number = str(self.counts["asked"])
            self.open[number] = Asked(time.monotonic(), name, provider, prompt, right)
        if not guest.ask(number, what, provider, rank, prompt):
            with self.lock:
                self.open.pop(number, None)
                self.counts["asked"] -= 1

    def take(self, number, outcome, text):
        now = time.monotonic()
        with self.lock:
            asked = self.open.pop(number, None)
            if asked is None:
                how = "answered twice" if number in self.ended else "answered though nobody asked"
                return self.violations.append(f"request {number} was {how}: {outcome} {text[:200]!r}")
            self.ended.add(number)
            self.judge(asked, outcome, text, now)

    def judge(self, asked, outcome, text, now):
        self.counts["answered" if outcome == "ok" else outcome] += 1
        if outcome == "ok" and text != asked.right:
            self.violations.append(f"{asked.provider} was asked {asked.prompt!r}: {text!r} instead of {asked.right!r}")
        elif outcome != "ok" and not self.troubles.explain({asked.provider}, outcome, asked.at, now):
            self.violations.append(f"{asked.provider} had no trouble that explains {outcome}, {now - asked.at:.1f} s after {asked.prompt!r}: {text[:300]}")

    def forget(self, name):
        """What a guest had asked that was killed; nobody is left to answer."""
        with self.lock:
            lost = [x for x, asked in self.open.items() if asked.guest == name]
            for number in lost:
                del self.open[number]
            self.counts["lost with their guest"] += len(lost)

    def complain(self, text):
        with self.lock:
            self.violations.append(text)

    def note_crash(self, crash):
        """A thread has ended in an exception (see `threading.excepthook`): what it had to do, or to judge, was left out."""
        threading.__excepthook__(crash)
        name = crash.thread.name if crash.thread else "a thread"
        self.complain(f"{name} has crashed: {crash.exc_type.__name__}: {crash.exc_value}")

    def add(self, what, count=1):
        with self.lock:
            self.counts[what] += count


# What a second of the night has at least, in outages, and on a busy machine: else there was nothing to judge.
LEAST = {"answered": 2, "commands": 1 / 60, "batches": 1 / 60, "batch: answered": 1 / 2, "scrapes": 1 / 2}


def shortages(counts, seconds):
    """Returns of what there was too little in a night of so many seconds, as texts."""
    return [f"only {counts[x]} {x} in {seconds} s" for x, least in LEAST.items() if counts[x] < least * seconds]


def sum_of(chance):
    """A question and its only right answer."""
    a, b = chance.randint(1, 10**6), chance.randint(1, 10**6)
    return f"What is {a} + {b}?", f"{a} + {b} = {a + b}."


def told_story(port, provider, prompt):
    """What the simulator tells to that prompt, asked in the words of the provider's API."""
    body = {"model": STORY_MODEL, "messages": [{"role": "user", "content": prompt}]}
    if provider == "beta":
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "any"}
        answer = json.loads(exchange(port, "POST", "/v1/messages", json.dumps(body | {"max_tokens": 4096}), headers))
        return "".join(x["text"] for x in answer["content"])
    headers = {"content-type": "application/json"}
    answer = json.loads(exchange(port, "POST", "/v1/chat/completions", json.dumps(body), headers))
    return answer["choices"][0]["message"]["content"]


class Caller(threading.Thread):
    """Keeps a guest asking, at a pace of so many requests a second, until `stop`."""

    def __init__(self, world, book, guest, name, pace, seed):
        super().__init__(daemon=True)
        self.world, self.book, self.guest, self.name_of_guest, self.pace = world, book, guest, name, pace
        self.chance = random.Random(seed)
        self.stopped = threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.stopped.wait(max(0, due - time.monotonic())):
            due += 1 / self.pace
            self.ask_one()

    def ask_one(self):
        provider = self.chance.choice(("alpha", "beta"))
        kind = self.chance.random()
        prompt, right = sum_of(self.chance)
        if kind < 0.1:
            prompt = f"Tell me about river {self.chance.randint(1, 10**6)}"
            right = told_story(self.world.reference.port, provider, prompt)
        what = "stream" if kind < 0.25 else "chat"
        rank = "batch" if kind > 0.9 else "interactive"
        self.book.ask(self.guest, self.name_of_guest, what, provider, rank, prompt, right)

    def stop(self):
        self.stopped.set()
        self.join()


class Commands(threading.Thread):
    """Runs `modelforge chat` beside the node, again and again, each a guest for a moment."""

    def __init__(self, world, book, seed):
        super().__init__(daemon=True)
        self.world, self.book, self.chance, self.stopped = world, book, random.Random(seed), threading.Event()

    def run(self):
        while not self.stopped.wait(2.5):
            provider = self.chance.choice(("alpha", "beta"))
            prompt, right = sum_of(self.chance)
            asked = Asked(time.monotonic(), "command", provider, prompt, right)
            result = self.world.run("chat", "-c", "command.toml", "-p", provider, prompt)
            said = result.stderr.split("[", 1)
            outcome = "ok" if result.returncode == 0 else said[1].split("]")[0].split(",")[0] if len(said) == 2 else "nothing that is known"
            with self.book.lock:
                self.book.counts["commands"] += 1
                self.book.judge(asked, outcome, result.stdout.strip() if outcome == "ok" else result.stderr, time.monotonic())

    def stop(self):
        self.stopped.set()
        self.join()


class Batches(threading.Thread):
    """Runs one batch after the other over both providers. Each has a line for each item, in order: the answer, or an error that is
    explained."""

    ITEMS = 150

    def __init__(self, world, book, seed):
        super().__init__(daemon=True)
        self.world, self.book, self.chance, self.stopped = world, book, random.Random(seed), threading.Event()
        self.number = 0

    def run(self):
        while not self.stopped.wait(0.5):
            self.number += 1
            self.run_one(f"batch{self.number}")

    def run_one(self, name):
        sums = [sum_of(self.chance) for _ in range(self.ITEMS)]
        folder = self.world.folder
        lines = [json.dumps({"id": str(i), "prompt": prompt}) for i, (prompt, _) in enumerate(sums)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        begun = time.monotonic()
        command = ("batch", "-q", "-c", "batch.toml", "-p", "alpha,beta", "--max-concurrent", "4", f"{name}.jsonl", "-o", f"{name}.out")
        result = self.world.run(*command)
        self.book.add("batches")
        output = folder / f"{name}.out"
        answers = [json.loads(x) for x in output.read_text().splitlines()] if output.exists() else []
        if [x.get("custom_id") for x in answers] != [str(i) for i in range(self.ITEMS)]:
            return self.book.complain(f"{name} has {len(answers)} lines for {self.ITEMS} items (exit code {result.returncode}): {result.stderr[-300:]}")
        for (prompt, right), answer in zip(sums, answers):
            self.judge(name, prompt, right, answer, begun)
        for file in folder.glob(f"{name}.*"):
            file.unlink()

    def judge(self, name, prompt, right, answer, begun):
        if answer.get("error"):
            code = answer["error"]["code"]
            self.book.add("batch: " + code)
            if not self.book.troubles.explain({"alpha", "beta"}, code, begun, time.monotonic()):
                self.book.complain(f"{name}: no trouble explains {code} to {prompt!r}")
            return
        self.book.add("batch: answered")
        text = answer["response"]["body"]["choices"][0]["message"]["content"]
        if text != right:
            self.book.complain(f"{name}: {prompt!r}: {text!r} instead of {right!r}")

    def stop(self):
        self.stopped.set()
        self.join()
