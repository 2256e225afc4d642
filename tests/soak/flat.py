"""Whether something stays as it is over a night: its slope between the first quarter and the end.

The slope is the median of those of all pairs of samples (Theil 1950, Sen 1968), which up to 29 % of outliers do not move: a guest that
comes, or a queue that fills in an outage, is none of a leak. The pairs of up to 300 samples are looked at.
"""
import statistics

MOST_SAMPLES = 300


def thinned(samples):
    step = -(-len(samples) // MOST_SAMPLES)
    return samples[::max(step, 1)]


def slope(samples):
    """Of pairs (time, value); 0 where there are fewer than two times."""
    few = thinned(samples)
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(few) for x2, y2 in few[i + 1 :] if x2 > x1]
    return statistics.median(slopes) if slopes else 0.0


def growth(samples):
    """How much a value grows from the first quarter to the end, by its slope."""
    if not samples:
        return 0.0
    begin, end = samples[0][0], samples[-1][0]
    late = [x for x in samples if x[0] >= begin + (end - begin) / 4]
    return slope(late) * (late[-1][0] - late[0][0])
