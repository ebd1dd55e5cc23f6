"""How long the loop rests after minions have spoken, so that what comes next is taken together. Pure.

A turn of the loop costs as much as to take ten returns, and a commit as much as to write fifty. A thousand minions that answer one job
were taken one or two a turn, in 900 turns and 400 commits: two thirds of the processor time of a broadcast. Whoever takes in much at a
high rate elsewhere does the same (interrupt coalescing of network cards); here it is known how much is still to come.
"""

#: Nobody who waits for a thousand answers sees it, and nobody at a keyboard feels it.
LONGEST_US = 10_000
#: For each target that has not ended: one or ten answers are waited for hardly at all.
TARGET_US = 100
#: For each session: at rest their heartbeats come one by one.
SESSION_US = 2


def rest_us(taken: int, limit: int, open_targets: int, sessions: int) -> int:
    """How long to rest, in microseconds.

    Args:
        taken: frames of minions in the turn that is over.
        limit: how many a turn takes at the most: with so many there are more already.
        open_targets: of all jobs.
        sessions: minions that are connected.
    """
    if not 0 < taken < limit:
        return 0
    return min(LONGEST_US, TARGET_US * open_targets + SESSION_US * sessions)
