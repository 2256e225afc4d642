"""Reads a node's JSON log and says what happened when: which provider failed and how, reloads, certificates, guests, disks, the clock.

It knows the log's own words alone (docs/logs.md), not what was done to the node. Times are seconds of the wall clock, without its steps.
"""
import collections
import datetime
import json
import re

# `end` is None where the log does not tell it.
Incident = collections.namedtuple("Incident", "begin end kind of detail", defaults=(None,))

STEP = 60  # seconds: nothing keeps a busy log silent for so long, so such a jump is the clock's
PAUSE_GAP = 11  # seconds without a refusal for load, after which the next one is another incident: what repeats itself is told after ten
UNKEPT_GAP = 5  # seconds: a disk that is full to its last page takes one small file and refuses the next
SPOILED_GAP = 3  # seconds: files that fit again so soon were being replaced

# What the reason of an open breaker says of its provider; the first that is found counts.
REASONS = (
    ("503", re.compile(r"overloaded|HTTP 503|HTTP 529")),
    ("hang", re.compile(r"took longer than|sent nothing of the answer|timed out")),
    ("death", re.compile(r"could not connect|connection .*lost|connection refused")),
    ("garbage", re.compile(r"broken JSON|not JSON|is not an answer|not understood")),
)


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def read(lines):
    """Yields the events of lines of JSON. A last line that was cut, as by a full disk, is left out; so is one in the middle."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def fault_of(reason):
    for name, words in REASONS:
        if words.search(reason):
            return name
    return "unknown"


class Clock:
    """Takes the steps out of the log's times. A step is taken to be of whole seconds: else the time between the two lines around each,
    some hundredths of a second, would add up."""

    def __init__(self):
        self.before = None
        self.steps = []
        self.ahead = 0.0

    def read(self, text):
        stepped = seconds_of(text)
        if self.before is not None and abs(stepped - self.before) > STEP:
            step = round(stepped - self.before)
            self.ahead += step
            self.steps.append(Incident(stepped - self.ahead, stepped - self.ahead, "clock", "step", step))
        self.before = stepped
        return stepped - self.ahead

    def read_past(self, text):
        """A time that another event tells of: of before a step, perhaps."""
        now = (self.before if self.before is not None else seconds_of(text)) - self.ahead
        past = seconds_of(text) - self.ahead
        return past if abs(past - now) < STEP else now


class Reader:
    """Gathers incidents from events, given in the log's order."""

    def __init__(self):
        self.clock = Clock()
        self.found = []
        self.outages = {}  # provider: [begin, kind]
        self.over = {}  # provider: the end of its last outage; what tells of before is no news
        self.pauses = {}  # provider: [begin, end]
        self.guests = {}  # peer: [begin, providers]
        self.unkept = set()  # providers
        self.was_full = None  # the disk of the state: [begin, end so far]
        self.spoiled = None
        self.latest = None

    def take(self, event):
        if "last" in event:  # told behind the time that it is of
            now = self.clock.read_past(event["last"])
        else:
            now = self.latest = self.clock.read(event["time"])
        take = getattr(self, "on_" + event["event"].replace(".", "_"), None)
        if take:
            take(now, event)

    def finish(self):
        for provider in list(self.outages):
            self.end_outage(provider, None)
        for provider in list(self.pauses):
            self.end_pause(provider)
        for peer in list(self.guests):
            self.found.append(Incident(self.guests[peer][0], None, "guest", peer))
        if self.was_full:
            self.end_full_disk()
        if self.spoiled is not None:
            self.found.append(Incident(self.spoiled, None, "certificate", "spoiled"))
        return sorted(self.found + self.clock.steps, key=lambda x: x.begin)

    # -- providers ------------------------------------------------------------------

    def is_over(self, provider, now):
        return now <= self.over.get(provider, now - 1)

    def on_breaker_opened(self, now, event):
        if self.is_over(event["provider"], now):
            return
        outage = self.outages.setdefault(event["provider"], [now, "unknown"])
        if outage[1] == "unknown":
            outage[1] = fault_of(event.get("reason", ""))

    def on_breaker_closed(self, now, event):
        if event["provider"] in self.outages:
            self.end_outage(event["provider"], now)

    def end_outage(self, provider, now):
        begin, kind = self.outages.pop(provider)
        pause = self.pauses.get(provider)
        if pause and pause[1] >= begin - PAUSE_GAP:  # refusals for load before an outage are its first sign
            begin = min(begin, pause[0])
            del self.pauses[provider]
        self.over[provider] = now
        self.found.append(Incident(begin, now, "fault " + kind, provider))

    def on_limits_paused(self, now, event):
        provider = event["provider"]
        if provider in self.outages or self.is_over(provider, now):
            return
        pause = self.pauses.get(provider)
        if pause and now - pause[1] > PAUSE_GAP:
            self.end_pause(provider)
            pause = None
        if pause:
            pause[1] = max(pause[1], now)
        else:
            self.pauses[provider] = [now, now]

    def end_pause(self, provider):
        begin, end = self.pauses.pop(provider)
        self.found.append(Incident(begin, end, "fault 429", provider))

    # -- settings and certificates --------------------------------------------------

    def on_reload_taken(self, now, event):
        is_changed = any(event.get(x) for x in ("changed", "added", "replaced", "removed"))
        self.found.append(Incident(now, now, "reload", "taken" if is_changed else "rotation"))

    def on_reload_refused(self, now, event):
        self.found.append(Incident(now, now, "reload", "refused"))

    def on_certificate_refused(self, now, event):
        if self.spoiled is not None:
            self.found.append(Incident(self.spoiled, None, "certificate", "spoiled"))
        self.spoiled = now

    def on_certificate_renewed(self, now, event):
        if self.spoiled is not None and now - self.spoiled > SPOILED_GAP:
            self.found.append(Incident(self.spoiled, None, "certificate", "spoiled"))
        self.spoiled = None
        self.found.append(Incident(now, now, "certificate", "renewed"))

    # -- guests ---------------------------------------------------------------------

    def on_guest_came(self, now, event):
        self.guests.setdefault(event["peer"], [now, set()])[1].add(event["provider"])

    def on_guest_left(self, now, event):
        guest = self.guests.get(event["peer"])
        if guest is None:
            return
        guest[1].discard(event["provider"])
        if not guest[1]:
            self.found.append(Incident(self.guests.pop(event["peer"])[0], now, "guest", event["peer"]))

    # -- disks ----------------------------------------------------------------------

    def on_log_dropped(self, now, event):
        self.found.append(Incident(now - event["duration_seconds"], now, "disk", "log"))

    def on_limits_not_kept(self, now, event):
        if self.was_full and not self.unkept and now - self.was_full[1] > UNKEPT_GAP:
            self.end_full_disk()
        if not self.was_full:
            self.was_full = [now, now]
        self.unkept.add(event["provider"])

    def on_limits_kept(self, now, event):
        self.unkept.discard(event["provider"])
        if self.was_full:
            self.was_full[1] = max(self.was_full[1], now)

    def end_full_disk(self):
        begin, end = self.was_full
        self.was_full = None
        self.found.append(Incident(begin, None if self.unkept else end, "disk", "state"))


def incidents(events):
    """Returns what happened, in order."""
    reader = Reader()
    for event in events:
        reader.take(event)
    return reader.finish()


def is_command(peer):
    """Whether a peer is a command beside a node: NAME.PID."""
    return re.search(r"\.\d+$", peer) is not None
