"""What is done to a node in a night, drawn from a seed.

A night is made of rounds of a minute, each with all kinds of trouble: two faults of each provider, reloads, certificates, guests, the
disk of the state, and at its end, where nothing else happens, the disk of the log and the clock, since both make the log say less.
Between two faults of one provider lie more than ten seconds: what repeats itself sooner is only counted by the log.
"""
import collections
import random

ROUND = 60
PROVIDERS = ("alpha", "beta")
FAULTS = ("503", "429", "hang", "garbage", "death")

# From `begin` to `end`, in seconds of the night; what takes no time has the same in both. `detail`: a clock's step.
Happening = collections.namedtuple("Happening", "begin end kind of detail", defaults=(None,))


def bag(chance, items):
    """Yields the items in any order, all of them before one comes again."""
    while True:
        yield from chance.sample(items, len(items))


def round_of(chance, start, faults):
    """Returns what happens in the minute that begins at `start`."""
    found = []

    def add(kind, of, begin, length=0.0, detail=None):
        found.append(Happening(round(start + begin, 3), round(start + begin + length, 3), kind, of, detail))

    def within(low, high):
        return chance.uniform(low, high)

    for provider in PROVIDERS:
        add("fault " + next(faults), provider, within(4, 8), within(6, 9))
        add("fault " + next(faults), provider, within(28, 31), within(6, 9))
    add("reload", "taken", within(5, 11))
    add("reload", "refused", within(18, 22))
    add("reload", "rotation", within(38, 43))
    add("certificate", "renewed", within(13, 17))
    add("certificate", "spoiled", within(24, 26), within(6, 9))
    add("guest", "early", within(3, 8), within(10, 16))
    add("guest", "late", within(26, 30), within(10, 14))
    add("disk", "state", within(10, 14), within(7, 10))
    add("disk", "log", 47, within(3, 4))
    step = chance.randint(120, 7200)  # ahead, and back: certificates made today are not valid yesterday
    add("clock", "step", within(53, 54), 0, step)
    add("clock", "step", within(56, 57), 0, -step)
    return found


def draw(seed, seconds):
    """Returns a night of so many seconds (60 at least), in the order of its happenings."""
    chance = random.Random(seed)
    faults = bag(chance, FAULTS)
    found = []
    for i in range(int(seconds // ROUND)):
        found += round_of(chance, i * ROUND, faults)
    return sorted(found)
