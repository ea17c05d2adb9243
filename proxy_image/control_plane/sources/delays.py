"""When to read again."""

from __future__ import annotations

from proxy_image.control_plane.sources.sink import Trouble

# Balancers that start together do not stay in step.
JITTER = 0.2

# SSM's reads are counted for the whole account, so a throttled reader leaves room for the others. One that cannot reach
# SSM harms nobody by asking, and wants to know soon that SSM is back.
MAX_SECONDS = {Trouble.THROTTLED: 10.0, Trouble.TORN: 10.0}
MAX_SECONDS_OTHERWISE = 3.0

# A torn document is one that is being written: the rest comes soon. One that stays torn is read ever less often.
TORN_SECONDS = 0.1
TORN_QUICKLY = 5


def delay(poll_seconds: float, trouble: Trouble | None, count: int, random: float) -> float:
    """Seconds to the next reading. `count` is of readings with this trouble since a good one; `random` is 0..1."""
    spread = 1 - JITTER + 2 * JITTER * random
    if trouble is None or trouble in (Trouble.MISSING, Trouble.UNKNOWN_FORMAT, Trouble.BROKEN):
        return poll_seconds * spread
    if trouble is Trouble.TORN:
        if count <= TORN_QUICKLY:
            return TORN_SECONDS * spread
        count -= TORN_QUICKLY
    longest = max(poll_seconds, MAX_SECONDS.get(trouble, MAX_SECONDS_OTHERWISE))
    return float(min(longest, poll_seconds * 2 ** min(count, 16)) * (0.5 + random / 2))
