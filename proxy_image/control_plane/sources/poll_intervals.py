"""When a balancer reads the target list again."""

from __future__ import annotations

from dataclasses import dataclass

from proxy_image.control_plane.sources.sink import Trouble

# Balancers that start together do not stay in step.
JITTER = 0.1

# SSM's reads are counted for the whole account, so a throttled reader leaves room for the others. One that cannot reach
# SSM harms nobody by asking, and wants to know soon that SSM is back.
MAX_SECONDS = {Trouble.THROTTLED: 10.0, Trouble.TORN: 10.0}
MAX_SECONDS_OTHERWISE = 3.0

# A torn document is one that is being written: the rest comes soon. One that stays torn is read ever less often.
TORN_SECONDS = 0.1
TORN_QUICKLY = 5

# A document that is not there yet is about to be: at the start, the Lambda writes it. One that stays away is not.
MISSING_QUICKLY = 120


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two readings, on average: `expecting` while the index announces changes, else `idle`."""

    expecting: float
    idle: float

    def after(self, trouble: Trouble | None, count: int, *, expects_changes: bool) -> float:
        """`count` is of readings with this trouble since a good one."""
        if expects_changes:
            return self.expecting
        match trouble:
            case Trouble.UNREACHABLE | Trouble.THROTTLED | Trouble.TORN | Trouble.INTERNAL | Trouble.DENIED:
                return self.expecting  # `delay` makes them longer
            case Trouble.MISSING if count <= MISSING_QUICKLY:
                return self.expecting
        return self.idle


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
