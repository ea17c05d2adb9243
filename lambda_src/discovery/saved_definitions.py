"""What the Lambda knows of task definitions, kept in SSM: a new process of a large fleet need not ask ECS for them all.

ECS describes 20 definitions a second: a thousand take most of an invocation. A parameter holds about a hundred of them,
compressed, and is named by its content; one that cannot be read is passed over, for ECS can be asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from grpc_lb_contract import MAX_PARAMETER_BYTES
from grpc_lb_contract.document.compression import compressed, decompressed
from grpc_lb_contract.document.parameter_json import parameter_json
from grpc_lb_contract.document.shards import content_hash
from lambda_src import log
from lambda_src.clock import SecondsLeft
from lambda_src.discovery.tasks import Container, TaskDefinition
from lambda_src.parameters import chunks, parameters_below

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

FORMAT = 1
MAX_PARAMETERS = 120

RESERVED_SECONDS = 4.0
"""Of the invocation's time: with less left nothing is written."""

# A parameter that holds so few that are in use is rewritten with others like it, once there are many of them.
FEW = 20
MAX_WITH_FEW = 8

MAX_TEXT = 1_000_000
"""Of a parameter, decompressed: it was written here, but whoever spoils it must not take the Lambda's memory."""


def definitions_path(prefix: str) -> str:
    return f"{prefix}/definitions"


class SavedDefinitions:
    """`put` writes one parameter, at the rate that SSM allows; `path` is theirs alone."""

    def __init__(self, ssm: SSMClient, path: str, put: Callable[[str, str], None]) -> None:
        self._ssm = ssm
        self._path = path
        self._put = put
        self._parameters: dict[str, frozenset[str]] = {}
        self._too_large: set[str] = set()
        self.is_loaded = False
        """Whether all that is there was read."""

    def load(self) -> dict[str, TaskDefinition]:
        """All that is there, by ARN. Does not raise."""
        found: dict[str, TaskDefinition] = {}
        try:
            for name, text in parameters_below(self._ssm, self._path):
                definitions = _decoded(text)
                self._parameters[name] = frozenset(definitions)
                found |= definitions
            self.is_loaded = True
        except (BotoCoreError, ClientError) as error:
            log.warning("saved definitions not read", problem=str(error))
        return found

    def save(self, definitions: Mapping[str, TaskDefinition], seconds_left: SecondsLeft) -> None:
        """Write those that are not there. Does not raise."""
        if not self.is_loaded:
            self.load()
        if not self.is_loaded:
            return  # they would be written once more by each new process
        there = frozenset[str]().union(*self._parameters.values())
        try:
            self._write(definitions, [arn for arn in definitions if arn not in there], seconds_left)
            self._tidy(definitions, seconds_left)
        except (BotoCoreError, ClientError) as error:
            log.warning("definitions not saved", problem=str(error))

    def _write(self, definitions: Mapping[str, TaskDefinition], arns: Iterable[str], seconds_left: SecondsLeft) -> None:
        wanted = [(arn, definitions[arn]) for arn in arns if arn not in self._too_large]
        while wanted and len(self._parameters) < MAX_PARAMETERS and seconds_left() > RESERVED_SECONDS:
            text, count = _packed(wanted)
            if not count:
                self._too_large.add(wanted.pop(0)[0])
                continue
            name = f"{self._path}/{content_hash(text)}"
            self._put(name, text)
            self._parameters[name] = frozenset(arn for arn, _ in wanted[:count])
            del wanted[:count]

    def _tidy(self, in_use: Mapping[str, TaskDefinition], seconds_left: SecondsLeft) -> None:
        few = [name for name, arns in self._parameters.items() if len(arns & in_use.keys()) < FEW]
        if len(few) <= MAX_WITH_FEW or seconds_left() < 2 * RESERVED_SECONDS:
            return
        arns = sorted(frozenset[str]().union(*(self._parameters[name] for name in few)) & in_use.keys())
        old = {name: self._parameters.pop(name) for name in few}
        try:
            self._write(in_use, arns, seconds_left)
        except BaseException:
            self._parameters |= old
            raise
        for chunk in chunks([name for name in few if name not in self._parameters]):
            self._ssm.delete_parameters(Names=chunk)


def _packed(definitions: Sequence[tuple[str, TaskDefinition]]) -> tuple[str, int]:
    """The text of as many of the first ones as a parameter holds, and their number."""
    count = min(256, len(definitions))
    while count:
        text = _encoded(definitions[:count])
        if len(text) <= MAX_PARAMETER_BYTES:
            return text, count
        count = min(count - 1, count * MAX_PARAMETER_BYTES // len(text))
    return "", 0


def _encoded(definitions: Iterable[tuple[str, TaskDefinition]]) -> str:
    records = [[arn, each.family, each.revision, list(map(_container, each.containers))] for arn, each in definitions]
    return compressed(parameter_json([FORMAT, records]))


def _container(container: Container) -> list[object]:
    return [container.name, dict(container.labels), list(container.ports), container.health_checked]


def _decoded(text: str) -> dict[str, TaskDefinition]:
    """None of it where any cannot be read."""
    try:
        version, records = json.loads(decompressed(text, MAX_TEXT))
        return dict(map(_definition, records)) if version == FORMAT else {}
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return {}


def _definition(record: Any) -> tuple[str, TaskDefinition]:
    arn, family, revision, containers = record
    definition = TaskDefinition(str(family), int(revision), tuple(_containers(containers)))
    return str(arn), definition


def _containers(records: Any) -> Iterator[Container]:
    for name, labels, ports, health_checked in records:
        texts = {str(label): str(value) for label, value in labels.items()}
        yield Container(str(name), texts, tuple(int(port) for port in ports), bool(health_checked))
