"""The shards of a document in SSM: read once, written as fast as SSM allows, deleted when no reader needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from grpc_lb_contract import shard_parameter
from grpc_lb_contract.document.shards import content_hash
from lambda_src import log
from lambda_src.clock import OutOfTime, SecondsLeft
from lambda_src.parameters import PER_CALL, PUTS_AT_ONCE, ParameterWriter, chunks, parameters_below

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

RESERVED_SECONDS = 2.0
"""Of the invocation's time: with less left, no shard is begun."""


class ShardParameters:
    """Those under one prefix. The texts are kept, so that a warm process reads the index alone."""

    def __init__(self, ssm: SSMClient, prefix: str, writer: Callable[[], ParameterWriter]) -> None:
        self._ssm = ssm
        self._prefix = prefix
        self._writer = writer
        self._texts: Mapping[str, str] = {}
        # By attempts that failed before they wrote an index.
        self._written: set[str] = set()
        # All that SSM holds, where this process has looked.
        self._there: set[str] | None = None
        # What the index names, or the one before it; None where this process wrote none.
        self._needed: frozenset[str] | None = None

    def forget_what_is_there(self) -> None:
        """Another writer may have deleted what no index names."""
        self._written.clear()
        self._there = self._needed = None

    def read(self, names: Sequence[str], *, again: bool) -> Mapping[str, str]:
        """The texts by name, as far as they are there; with `again`, also those that are known are read."""
        known = {} if again else self._texts
        texts = {name: known[name] for name in names if name in known}
        by_parameter = {shard_parameter(self._prefix, name): name for name in names if name not in known}
        for chunk in chunks(list(by_parameter)):
            for parameter in self._ssm.get_parameters(Names=chunk)["Parameters"]:
                texts[by_parameter[parameter["Name"]]] = parameter["Value"]
        self._texts = texts
        return texts

    def write(self, shards: Mapping[str, str], seconds_left: SecondsLeft) -> None:
        """Raises botocore's error, or `OutOfTime`. What was written is not written again by the next attempt."""
        if len(shards) > PUTS_AT_ONCE and not self._written and self._there is None:
            # An invocation that ended too early may have written most of them.
            self._written = self._read_all()
        # Not again what an attempt wrote that failed later: PutParameter allows but about three a second.
        self._put({name: text for name, text in shards.items() if name not in self._written}, seconds_left)

    def indexed(self, shards: Mapping[str, str], before: Sequence[str]) -> None:
        """An index was written that names these. Readers that got the one `before` are reading the shards of that."""
        self._written.clear()
        self._texts = shards
        self._needed = frozenset(shards) | frozenset(before)
        if self._there is not None and len(self._there - self._needed) >= PER_CALL:
            self._delete_all_but(self._needed)

    def tidy(self) -> None:
        """Delete shards that no index names any more, where there are any. Does not raise."""
        if self._needed is not None and (self._needed if self._there is None else self._there - self._needed):
            self._delete_all_but(self._needed)

    def _put(self, shards: Mapping[str, str], seconds_left: SecondsLeft) -> None:
        """As many at once as the quota allows. All that was written is noted, whichever fails."""
        writer = self._writer()
        writing: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            for name, text in shards.items():
                writer.wait()
                if seconds_left() < RESERVED_SECONDS or any(one.done() and one.exception() for one in writing.values()):
                    break
                writing[name] = pool.submit(writer.put_now, shard_parameter(self._prefix, name), text)
        written = {name for name, one in writing.items() if one.exception() is None}
        self._written |= written
        if self._there is not None:
            self._there |= written
        for one in writing.values():
            one.result()
        if len(written) < len(shards):
            raise OutOfTime(
                f"{len(shards) - len(written)} of {len(shards)} new shards are not written; the next refresh continues"
            )

    def _read_all(self) -> set[str]:
        try:
            there = dict(self._by_path())
            self._there = set(there)
            return {name for name, text in there.items() if content_hash(text) == name}
        except (BotoCoreError, ClientError):
            return set()  # they are written again

    def _by_path(self) -> Iterator[tuple[str, str]]:
        path = shard_parameter(self._prefix, "")
        for name, text in parameters_below(self._ssm, path.rstrip("/")):
            yield name.removeprefix(path), text

    def _delete_all_but(self, needed: frozenset[str]) -> None:
        try:
            # What others left there is looked for by each process once.
            there = {name for name, _ in self._by_path()} if self._there is None else self._there
            for chunk in chunks(sorted(there - needed)):
                self._writer().wait()
                self._ssm.delete_parameters(Names=[shard_parameter(self._prefix, name) for name in chunk])
            self._there = set(needed)
        except (BotoCoreError, ClientError) as error:
            # What is left over costs nothing and is found again by the next sharded generation.
            log.warning("old shards not deleted", problem=str(error))
