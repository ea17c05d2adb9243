"""How long a call is at a target, about: Envoy times calls by service, and counts those in flight by target.

By Little's law the time is the calls in flight, on average, divided by the calls that end in a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts

# With so many seen in flight over all readings, chance is a third of the figure.
ENOUGH_SEEN = 10

_NOTHING = ServiceCounts({})


@dataclass(frozen=True, slots=True)
class Wait:
    """The mean time of a call at a target in milliseconds; `at_most` where too few were seen to say more than that."""

    ms: float
    at_most: bool


def wait_of(service: str, address: str, readings: Sequence[Reading]) -> Wait | None:
    """None where no call ended."""
    known = [each.services.get(service, _NOTHING).targets.get(address) for each in readings]
    first = next((place for place, each in enumerate(known) if each is not None), len(known))
    seen: list[TargetCounts] = [each for each in known[first:] if each is not None]
    if len(seen) < 2:
        return None
    seconds = readings[-1].at - readings[first].at
    ended = (seen[-1].calls - seen[-1].in_flight) - (seen[0].calls - seen[0].in_flight)
    if ended <= 0 or seconds <= 0:
        return None
    in_flight = sum(each.in_flight for each in seen)
    ms = 1000 * max(in_flight, ENOUGH_SEEN) / len(seen) / (ended / seconds)
    return Wait(ms, at_most=in_flight < ENOUGH_SEEN)
