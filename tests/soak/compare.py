"""Holds what the log tells against what was done."""
import collections

# How much later than it was done a kind may be told, and its end: in seconds.
#   fault: five failures open the breaker. A hanging attempt takes its timeout (4 s) before it is one; while the breaker is open, requests
#     try the provider once a second, and one that hangs delays the end by its timeout.
#   certificate: the files are looked at when somebody connects, which a command does every few seconds.
#   guest: a node that is killed is missed at once; one that ends waits for what it runs, batch items among it, which wait out an outage.
#   disk: the use of limits and the log are tried again within some seconds.
LATE = {"fault": 6, "reload": 2, "certificate": 9, "guest": 4, "disk": 6, "clock": 2}
LATE_END = {"fault": 9, "guest": 20, "disk": 8}  # of all kinds that have an end in the log
EARLY = 0.5  # the driver notes what it does a moment after it has done it

Verdict = collections.namedtuple("Verdict", "matched missing surprising")


def fits(done, told):
    if done.kind != told.kind or done.of != told.of:
        return False
    family = done.kind.split()[0]
    if not done.begin - EARLY <= told.begin <= done.begin + LATE[family]:
        return False
    if done.detail is not None and abs(done.detail - told.detail) > 5:
        return False
    if done.end == done.begin:
        return True
    if told.end is None:  # it goes on, as far as the log tells, or is of a kind whose end is never told
        return family not in LATE_END
    if done.kind == "fault 429":  # its end is not told: the last refusal that was
        return told.end <= done.end + LATE_END[family]
    return done.end - EARLY <= told.end <= done.end + LATE_END[family]


def compare(happenings, incidents):
    """Returns what was found in both, what was done and is not told, and what is told and was not done."""
    left = list(incidents)
    matched, missing = [], []
    for done in happenings:
        told = next((x for x in left if fits(done, x)), None)
        if told is None:
            missing.append(done)
        else:
            left.remove(told)
            matched.append((done, told))
    return Verdict(matched, missing, left)
