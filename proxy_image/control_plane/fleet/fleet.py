"""The fleet as one balancer knows it: itself, and what the others said when they were last asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from grpc_lb_contract import Balancer, Document
from grpc_lb_contract.names import address_order
from proxy_image.control_plane.fleet.ask import NoAnswerError, ask
from proxy_image.control_plane.fleet.summary import Summary

# However many pages are open, each balancer is asked so often; nobody looks: it is asked nothing.
ASK_SECONDS = 2.0
MAX_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Member:
    """Another balancer. `summary` is its last one, None where it never answered; `problem` why it did not this time,
    since `silent_since` (seconds since 1970).
    """

    balancer: Balancer
    summary: Summary | None = None
    problem: str | None = None
    silent_since: float | None = None


class Fleet:
    def __init__(
        self,
        own_names: Collection[str],
        own_task: str,
        own_page: tuple[str, int],
        *,
        asking: Callable[[Balancer], Awaitable[Summary]] = ask,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """own_names: the parameter prefixes of this balancer, none where its targets come from a file. own_page: the
        address and port where its own page is.
        """
        self._names = frozenset(own_names) or frozenset({""})
        self._task = own_task
        self._page = own_page
        self._asking = asking
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked_at = -ASK_SECONDS
        self._members: dict[Balancer, Member] = {}

    @property
    def members(self) -> tuple[Member, ...]:
        """The others, by address."""
        return tuple(sorted(self._members.values(), key=lambda each: address_order(each.balancer.address)))

    async def refresh(self, document: Document | None) -> None:
        """Ask all, at once and not again within ASK_SECONDS. Never raises."""
        async with self._lock:
            if time.monotonic() - self._asked_at < ASK_SECONDS:
                return
            others = [] if document is None else [each for each in document.balancers if self._is_another(each)]
            few = asyncio.Semaphore(MAX_AT_ONCE)

            async def one(balancer: Balancer) -> Member:
                async with few:
                    return await self._ask(balancer)

            found = await asyncio.gather(*map(one, others))
            self._members = {member.balancer: member for member in found}
            self._asked_at = time.monotonic()

    def _is_another(self, balancer: Balancer) -> bool:
        is_own = (balancer.ip, balancer.port) == self._page or (bool(balancer.task) and balancer.task == self._task)
        return balancer.name in self._names and not is_own

    async def _ask(self, balancer: Balancer) -> Member:
        before = self._members.get(balancer, Member(balancer))
        try:
            return Member(balancer, await self._asking(balancer))
        except NoAnswerError as error:
            since = before.silent_since if before.silent_since is not None else self._clock()
            return Member(balancer, before.summary, str(error), since)
