"""The edge to AWS, and a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grpc_lb_contract import Cause, Document, index_parameter, pack, shard_parameter
from proxy_image.control_plane.sources.parameters import ReadFailedError
from proxy_image.control_plane.sources.sink import Origin, Trouble

PREFIX = "/grpc-lb/test"


@dataclass
class FakeParameters:
    """SSM as the reader sees it. `fails` and `hangs` say how it is not there."""

    texts: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    fails: Trouble | None = None
    hangs: bool = False

    def publish(
        self, document: Document, cause: Cause | None = None, *, changes_expected_until: float | None = None
    ) -> None:
        """As the Lambda does: shards, then the index, then what is left over goes."""
        packed = pack(document, cause, changes_expected_until=changes_expected_until)
        self.texts.update({shard_parameter(PREFIX, name): text for name, text in packed.shards.items()})
        self.texts[index_parameter(PREFIX)] = packed.index

    async def get(self, name: str) -> str | None:
        await self._answer(name)
        return self.texts.get(name)

    async def get_many(self, names: Sequence[str]) -> Mapping[str, str]:
        await self._answer(*names)
        return {name: self.texts[name] for name in names if name in self.texts}

    async def _answer(self, *names: str) -> None:
        self.reads += [name.removeprefix(PREFIX) for name in names]
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise ReadFailedError(self.fails, "as the test wants")


@dataclass
class RememberingSink:
    document: Document | None = None
    origins: list[Origin] = field(default_factory=list)
    causes: list[Cause | None] = field(default_factory=list)
    confirmations: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    async def found(
        self, document: Document, origin: Origin, generation: str | None = None, cause: Cause | None = None
    ) -> None:
        self.causes.append(cause)
        self.document = document
        self.origins.append(origin)

    def confirmed(self) -> None:
        self.confirmations += 1

    def troubled(self, trouble: Trouble, message: str) -> None:
        self.troubles.append(trouble)
        self.messages.append(message)
