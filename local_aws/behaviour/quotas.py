"""Token buckets, as AWS throttles: one a group of API operations, shared by everyone in the account."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from local_aws.behaviour.timings import BUCKET_OF, QUOTAS, Quota


class QuotaBucket:
    """Full at first. `now` may be any clock's seconds, as long as it is the same one."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._tokens = quota.burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        if self._at is not None and now > self._at:
            self._tokens = min(self._quota.burst, self._tokens + (now - self._at) * self._quota.per_second)
        self._at = now if self._at is None else max(now, self._at)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Quotas:
    """Every bucket, and what was asked of it. Safe to use from several threads."""

    def __init__(self, quotas: Mapping[str, Quota] = QUOTAS) -> None:
        self._buckets = {name: QuotaBucket(quota) for name, quota in quotas.items()}
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()

    def allow(self, operation: str, now: float) -> bool:
        """False where AWS would answer with ThrottlingException. An operation without a bucket is never throttled."""
        with self._lock:
            self.asked[operation] += 1
            bucket = self._buckets.get(BUCKET_OF.get(operation, ""))
            if bucket is None or bucket.take(now):
                return True
            self.throttled[operation] += 1
            return False
