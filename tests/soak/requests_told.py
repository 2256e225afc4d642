"""Follows each request through a node's log (at the level debug): taken in once, ended once.

What the log lost with its full disk is left out of the account: a request that was under way while lines were missing may lack either. How
long they were is told behind the first lines that are there again, so the account is made at the end.
"""

ENDS = {"request.answered", "request.failed"}


class Requests:
    def __init__(self):
        self.open = {}  # id: when it was taken in
        self.gaps = []  # [begin, end] of missing lines
        self.violations = []
        self.strays = []  # ends of what is not under way: [begin, end, what]
        self.ended = 0

    def missing(self, begin, end):
        self.gaps.append((begin, end))

    def is_in_gap(self, begin, end):
        return any(begin <= until + 1 and since - 1 <= end for since, until in self.gaps)

    def take(self, now, event):
        name, number = event["event"], event.get("request")
        if name == "request.admitted":
            if number in self.open:
                self.violations.append(f"the log has request {number} taken in twice")
            self.open[number] = now
        elif name in ENDS:
            self.ended += 1
            begun = self.open.pop(number, None)
            if begun is None:
                self.strays.append((now - event.get("duration_seconds", 0), now, f"request {number} ended ({name})"))

    def finish(self, now):
        for begin, end, what in self.strays:
            if not self.is_in_gap(begin, end):
                self.violations.append(f"the log has {what} that is not under way")
        for number, begun in self.open.items():
            if not self.is_in_gap(begun, now):
                self.violations.append(f"the log has no end of request {number}, taken in {now - begun:.0f} s before its own")
