"""Requests at the rate that AWS allows, and slower where others use up the account's share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MIN_SHARE = 0.1
"""Of the rate: however much is throttled, something is asked."""

MIN_PAUSE_SECONDS = 0.001
"""Any clock goes on by so much."""

THROTTLES = frozenset({"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "Throttling"})


class TokenBucket:
    """AWS throttles by token buckets: `burst` requests at once, then `rate` a second.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
    """

    def __init__(self, burst: float, rate: float, now: Callable[[], float]) -> None:
        self._burst, self._rate, self._now = burst, rate, now
        self._tokens, self._share, self._at = burst, 1.0, now()

    def pause(self) -> float:
        """Seconds until the next request may be made; 0 takes it."""
        now = self._now()
        rate = self._rate * self._share
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return max(MIN_PAUSE_SECONDS, (1 - self._tokens) / rate)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """Of an answer that botocore had to ask for several times, the throttles count."""
        if answer.get("ResponseMetadata", {}).get("RetryAttempts", 0):
            self.throttled()
        else:
            self._share = min(1.0, self._share * 1.05)

    def collided(self) -> None:
        """Let the next requests be made one at a time, at the same rate."""
        self._tokens = min(self._tokens, 0.0)

    def throttled(self) -> None:
        self.collided()
        self._share = max(MIN_SHARE, self._share / 2)


def is_throttle(error: Exception) -> bool:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code") in THROTTLES
