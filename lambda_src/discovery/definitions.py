"""Task definitions: read within ECS's quota, once, and kept whatever happens next."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lambda_src import log
from lambda_src.clock import Clock, OutOfTime, SecondsLeft
from lambda_src.discovery.saved_definitions import SavedDefinitions
from lambda_src.discovery.tasks import UNREADABLE, TaskDefinition, task_definition_from
from lambda_src.token_bucket import TokenBucket, is_throttle

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
QUOTA_BURST = 50
PER_SECOND = 20
AT_ONCE = 10
BURST = QUOTA_BURST - 1
"""ECS's bucket is full until the first request arrives, which takes longer than later ones: its connection is made."""

RESERVED_SECONDS = 7.0
"""Of the invocation's time, kept for saving what was read."""
RESERVED_SECONDS_OF_FEW = 2.0

SAVED_FROM = QUOTA_BURST
"""So few are read again in no time: only more of them are worth a parameter."""
SAVED_AT_ONCE = 200
LAST_FEW = PER_SECOND
MAX_KNOWN = 10_000

GONE_FOR_SECONDS = 60.0
"""ECS describes an INACTIVE definition only while something refers to it. Whether it does is asked once a minute."""

PASSED_OVER_AFTER_SECONDS = 60.0
"""A definition that ECS fails to describe for so long is one that it cannot describe."""

MAX_FAILURES = 10

_GONE = frozenset({"ClientException", "InvalidParameterException"})


@dataclass(frozen=True, slots=True)
class Described:
    """The definitions that were asked for, by ARN; why each of the others cannot be had; and the requests made.

    `unread` are those for which there was no time yet, `failing` those that ECS failed to describe, not yet for long.
    """

    definitions: Mapping[str, TaskDefinition]
    unreadable: Mapping[str, str]
    calls: int
    unread: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()


class Definitions:
    """What is known of task definitions, which never change: for as long as the process lives, and in SSM beyond that.

    `describe` asks ECS for one, by its ARN.
    """

    def __init__(self, describe: Callable[[str], Any], saved: SavedDefinitions, clock: Clock) -> None:
        self._describe = describe
        self._saved = saved
        self._clock = clock
        self._bucket = TokenBucket(BURST, PER_SECOND, clock.now)
        self._known: dict[str, TaskDefinition] = {}
        self._gone: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        self._in_use: frozenset[str] = frozenset()
        self._has_looked = False

    @property
    def known(self) -> Set[str]:
        return self._known.keys()

    @property
    def has_looked(self) -> bool:
        """Whether what is in SSM was asked for, which is done once in a process."""
        return self._has_looked

    def load_saved(self) -> None:
        """Learn what is in SSM: it takes a call, while ECS lists the tasks. Does not raise."""
        self._has_looked = True
        self._learn(self._saved.load())

    def read(
        self,
        arns: Set[str],
        seconds_left: SecondsLeft,
        *,
        needed: Set[str] = frozenset(),
        soon: Set[str] = frozenset(),
        for_seconds: float = math.inf,
    ) -> Described:
        """Those of these ARNs that can be had. `needed` are those without which targets would leave that serve: they
        are read first, whatever it takes, then those wanted `soon`, and then the others for as long as `for_seconds`.

        Raises `OutOfTime` when the invocation ends before all that are needed are read, or any is, and botocore's error
        where ECS fails to describe one that is needed; all that was read until then is kept.
        """
        if len(arns - self._known.keys()) > SAVED_FROM and not self._saved.is_loaded:
            # SSM failed to tell: it takes one call to ask again, and minutes to ask ECS for them all.
            self._learn(self._saved.load())
        now = self._clock.now()
        self._gone = {arn: at for arn, at in self._gone.items() if now - at < GONE_FOR_SECONDS}
        unknown = sorted(
            arns - self._known.keys() - self._gone.keys(),
            # By family, as the document is sorted: what is published is not cut again for what comes later.
            key=lambda arn: (arn in self._failing, arn not in needed, arn not in soon, arn.rpartition(":")),
        )
        failures: dict[str, Exception] = {}
        calls = self._read(unknown, failures, seconds_left, needed, now + for_seconds) if unknown else 0
        failing = self._failing_since(failures, needed)
        self._in_use = frozenset(arns)
        self._known |= {arn: self._known.pop(arn) for arn in arns if arn in self._known}  # the newest are last
        for arn in list(self._known)[:-MAX_KNOWN]:
            del self._known[arn]
        gone = dict.fromkeys(arns & self._gone.keys(), "ECS does not describe it any more, or not as documented")
        unread = frozenset(arns - self._known.keys() - gone.keys() - failures.keys())
        if unread & needed or (len(unread) == len(unknown) > 0 and seconds_left() < _reserved(len(unknown))):
            raise OutOfTime(
                f"{len(arns) - len(unread)} of {len(arns)} task definitions were read; the next refresh continues"
            )
        failed = {arn: str(error) for arn, error in failures.items()}
        return Described(
            {arn: self._known[arn] for arn in arns if arn in self._known}, {**failed, **gone}, calls, unread, failing
        )

    def save(self, seconds_left: SecondsLeft) -> None:
        """Keep in SSM what is in use, where it is much. Does not raise."""
        if len(self._in_use) > SAVED_FROM:
            self._saved.save({arn: self._known[arn] for arn in self._in_use if arn in self._known}, seconds_left)

    def _learn(self, definitions: Mapping[str, TaskDefinition]) -> None:
        self._known = {**definitions, **self._known}

    def _read(
        self,
        arns: Sequence[str],
        failures: dict[str, Exception],
        seconds_left: SecondsLeft,
        needed: Set[str],
        until: float,
    ) -> int:
        waiting, running, fails = deque(arns), dict[Future[Any], str](), False
        calls, unsaved, had, wanted = 0, 0, len(self._known), len(waiting)
        reserved = _reserved(wanted)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while waiting or running:
                if waiting and seconds_left() < reserved:
                    break
                if self._is_long_enough(waiting, running.values(), needed, until):
                    break
                fails = len(failures) >= MAX_FAILURES and len(self._known) == had
                if waiting and not fails and len(running) < AT_ONCE:
                    pause = self._bucket.pause()
                    if not pause:
                        arn = waiting.popleft()
                        running[pool.submit(self._describe, arn)] = arn
                        calls += 1
                        continue
                    if not running:
                        self._clock.sleep(pause)
                        continue
                elif not running:
                    break  # ECS fails: the others are not worth asking for now
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    unsaved += self._take(running.pop(future), future, waiting, failures)
                if unsaved >= SAVED_AT_ONCE:
                    self._saved.save(self._known, seconds_left)
                    unsaved = 0
        for future, arn in running.items():
            self._take(arn, future, waiting, failures)
        if waiting and fails:
            failures |= dict.fromkeys(waiting, next(iter(failures.values())))
        elif waiting and seconds_left() < reserved and wanted > SAVED_FROM:
            self._saved.save(self._known, seconds_left)
        return calls

    def _is_long_enough(
        self, waiting: Collection[str], running: Collection[str], needed: Set[str], until: float
    ) -> bool:
        """Whether to publish what was read before the rest is. The last few are waited for."""
        now = self._clock.now()
        if now < until or len(waiting) <= LAST_FEW:
            return False
        return needed.isdisjoint((*waiting, *running))

    def _take(self, arn: str, future: Future[Any], waiting: deque[str], failures: dict[str, Exception]) -> bool:
        """Whether a definition was read."""
        try:
            answer = future.result()
            definition = task_definition_from(answer["taskDefinition"])
        except (BotoCoreError, ClientError) as error:
            if is_throttle(error):
                self._bucket.throttled()
                waiting.append(arn)
            elif isinstance(error, ClientError) and error.response["Error"]["Code"] in _GONE:
                self._gone[arn] = self._clock.now()
            else:
                failures[arn] = error
            return False
        except UNREADABLE as error:
            log.error("task definition not readable", definition=arn, problem=f"{type(error).__name__}: {error}")
            self._gone[arn] = self._clock.now()
            return False
        self._bucket.answered(answer)
        self._known[arn] = definition
        return True

    def _failing_since(self, failures: Mapping[str, Exception], needed: Set[str]) -> frozenset[str]:
        """Those that have not failed for long; raises for one that is needed."""
        now = self._clock.now()
        self._failing = {arn: self._failing.get(arn, now) for arn in failures}
        for arn, error in sorted(failures.items()):
            if arn in needed:
                raise error
        return frozenset(arn for arn, since in self._failing.items() if now - since < PASSED_OVER_AFTER_SECONDS)


def _reserved(wanted: int) -> float:
    """With less of the invocation's time left, none of so many definitions is asked for."""
    return RESERVED_SECONDS if wanted > SAVED_FROM else RESERVED_SECONDS_OF_FEW
