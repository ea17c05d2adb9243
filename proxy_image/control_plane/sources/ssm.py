"""Follows the document in SSM: the index at every poll, shards only when it changed, the last good one in doubt."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter

from grpc_lb_contract import (
    Document,
    DocumentDecoder,
    DocumentError,
    ForeignIndex,
    Index,
    MissingShard,
    MixedGenerations,
    OldIndex,
    UnknownFormat,
    assemble,
    check_source,
    index_parameter,
    read_index,
    shard_parameter,
)
from grpc_lb_contract.document.shards import content_hash
from proxy_image.control_plane.sources.last_good import LastGood, Texts
from proxy_image.control_plane.sources.parameters import Parameters, ReadFailedError
from proxy_image.control_plane.sources.poll_intervals import Intervals, delay
from proxy_image.control_plane.sources.sink import Origin, Sink, Trouble

log = logging.getLogger(__name__)

# SSM has this long to answer before a start goes on with the last good targets, which may be old.
FIRST_ANSWER_SECONDS = 1.5


# The Lambda rewrites within a minute what someone copied or put back. What it leaves there is its own, as after a
# change of the cluster.
ODD_FOR_SECONDS = 180.0


class SsmSource:
    def __init__(
        self, parameters: Parameters, *, prefix: str, intervals: Intervals, last_good: LastGood, sink: Sink
    ) -> None:
        self._parameters = parameters
        self._prefix = prefix
        self._intervals = intervals
        self._last_good = last_good
        self._sink = sink
        self._accepted: str | None = None
        self._index: Index | None = None
        self._refused: tuple[str, Trouble, str] | None = None
        self._decoder = DocumentDecoder()
        self._shards: dict[str, str] = {}
        self._torn_shards: dict[str, str] = {}
        self._odd: tuple[tuple[type[DocumentError], str], float] | None = None
        self._has_whole = False

    async def run(self) -> None:
        """Never returns, and no reading's trouble ends it."""
        await self.follow(await self.start())

    async def start(self) -> Trouble | None:
        """The first reading, or the last good document where it fails or takes long."""
        reading = asyncio.ensure_future(self.read())
        await asyncio.wait((reading,), timeout=FIRST_ANSWER_SECONDS)
        if not reading.done() or reading.result() is not None:
            await self._use_last_good()
        return await reading

    async def follow(self, trouble: Trouble | None) -> None:
        """Never returns. `trouble` is that of the last reading."""
        counts: Counter[Trouble] = Counter()
        while True:
            if trouble is None:
                counts.clear()
            else:
                counts[trouble] += 1
            count = 0 if trouble is None else counts[trouble]
            interval = self._intervals.after(trouble, count, expects_changes=self.expects_changes)
            await asyncio.sleep(delay(interval, trouble, count, random.random()))  # noqa: S311 - jitter
            trouble = await self.read()

    @property
    def expects_changes(self) -> bool:
        """Whether the index announces changes now."""
        return self._index is not None and self._index.expects_changes(time.time())

    async def _use_last_good(self) -> None:
        if self._has_whole:
            return
        loaded = await asyncio.to_thread(self._last_good.load)
        if loaded is not None and self._accepted is None:
            document, texts = loaded
            self._shards.update(texts.shards)
            self._has_whole = not read_index(texts.index).incomplete
            await self._sink.found(document, Origin.LAST_GOOD, texts.generation, texts.cause)

    async def read(self) -> Trouble | None:
        """One reading. None when the source's document is the one in use afterwards."""
        try:
            trouble, message = await self._read()
        except ReadFailedError as error:
            trouble, message = error.trouble, str(error)
        except Exception as error:  # whatever it is, the targets in use stay and the next reading comes
            log.exception("reading failed")
            trouble, message = Trouble.INTERNAL, str(error)
        if trouble is None:
            self._sink.confirmed()
        else:
            self._sink.troubled(trouble, message)
        return trouble

    async def _read(self) -> tuple[Trouble | None, str]:
        name = index_parameter(self._prefix)
        text = await self._parameters.get(name)
        if text is None:
            # Not there yet, or taken away: either way no reason to send calls nowhere.
            return Trouble.MISSING, f"parameter {name} is not there: has the Lambda published to this prefix?"
        if text == self._accepted:
            self._odd = None
            return None, ""
        if self._refused is not None and text == self._refused[0]:
            return self._refused[1:]
        try:
            index = read_index(text)
            self._check_source(index)
            if index.incomplete and not self._has_whole:
                await self._use_last_good()
            if index.incomplete and self._has_whole:
                return Trouble.MISSING, f"parameter {name} is not complete yet: the Lambda reads task definitions"
            document, texts = await self._fetch(index, text)
        except (MissingShard, MixedGenerations) as error:
            return Trouble.TORN, str(error)
        except (ForeignIndex, OldIndex) as error:
            return Trouble.BROKEN, str(error)
        except DocumentError as error:
            trouble = Trouble.UNKNOWN_FORMAT if isinstance(error, UnknownFormat) else Trouble.BROKEN
            self._refused = text, trouble, str(error)
            return trouble, str(error)
        await self._sink.found(document, Origin.SSM, texts.generation, texts.cause)
        self._index = index
        self._has_whole = not index.incomplete
        self._accepted, self._refused, self._shards, self._torn_shards = text, None, dict(texts.shards), {}
        await asyncio.to_thread(self._last_good.save, texts)
        return None, ""

    def _check_source(self, index: Index) -> None:
        try:
            check_source(index, prefix=self._prefix, accepted=self._index)
        except (ForeignIndex, OldIndex) as error:
            # Whatever else the index says: where tasks come and go, no index stays for so long.
            odd = type(error), index.cluster
            if self._odd is None or self._odd[0] != odd:
                self._odd = odd, time.monotonic()
            if index.prefix not in ("", self._prefix) or time.monotonic() - self._odd[1] < ODD_FOR_SECONDS:
                raise
        else:
            self._odd = None

    async def _fetch(self, index: Index, text: str) -> tuple[Document, Texts]:
        # Shards are named by their content, so the ones that are here already are not read again.
        here = self._shards | self._torn_shards
        shards = {name: here[name] for name in index.shards if name in here}
        parameters = {shard_parameter(self._prefix, name): name for name in index.shards if name not in shards}
        if parameters:
            found = await self._parameters.get_many(tuple(parameters))
            shards |= {
                parameters[parameter]: content for parameter, content in found.items() if parameter in parameters
            }
            # Of a torn document only the rest is read again.
            self._torn_shards = {name: content for name, content in shards.items() if content_hash(content) == name}
        return assemble(index, shards, self._decoder.decode), Texts(text, shards)
