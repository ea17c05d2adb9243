"""Times in buckets: what was added between two looks, and percentiles of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PERCENTILES = (50.0, 95.0, 99.0)

# Envoy records whole milliseconds, cut off: 3 stands for 3 up to 4, where its bucket is a tenth as wide.
MIN_WIDTH = 1.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket: (lower bound, width) in milliseconds."""

    buckets: Mapping[tuple[float, float], int]

    @classmethod
    def of(cls, buckets: Iterable[Mapping[str, float]]) -> Histogram:
        """Envoy's buckets, which are a tenth of their value wide, as its admin interface has them."""
        found: dict[tuple[float, float], int] = {}
        for each in buckets:
            bucket = each["lower_bound"], max(each["width"], MIN_WIDTH)
            found[bucket] = found.get(bucket, 0) + int(each["count"])
        return cls(found)

    def __add__(self, other: Histogram) -> Histogram:
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        return Histogram(buckets)


NO_TIMES = Histogram({})


def difference(before: Histogram, after: Histogram) -> Histogram:
    grown = {bucket: count - before.buckets.get(bucket, 0) for bucket, count in after.buckets.items()}
    restarted = any(count < 0 for count in grown.values())
    return after if restarted else Histogram({bucket: count for bucket, count in grown.items() if count})


def percentiles(histogram: Histogram, wanted: Iterable[float] = PERCENTILES) -> tuple[float | None, ...]:
    """Milliseconds, interpolated within the buckets; None where there is no time."""
    ordered = sorted(histogram.buckets.items())
    total = sum(count for _, count in ordered)
    return tuple(_percentile(ordered, total * percent / 100) if total else None for percent in wanted)


def _percentile(ordered: Sequence[tuple[tuple[float, float], int]], rank: float) -> float:
    passed = 0
    for (lower, width), count in ordered:
        if passed + count >= rank:
            return lower + width * (rank - passed) / count
        passed += count
    (lower, width), _ = ordered[-1]
    return lower + width
