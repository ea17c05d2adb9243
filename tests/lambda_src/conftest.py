from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grpc_lb_contract import Document, TargetState, assemble, index_parameter, read_index, shard_parameter
from lambda_src.discovery.ecs_listing import EcsCluster
from lambda_src.handler import Handler
from lambda_src.publish import ParameterStore
from lambda_src.refresh import Refresher
from lambda_src.settings import Settings
from local_aws.behaviour.edge import AwsRejection
from local_aws.behaviour.permissions import Place
from tests.iam import Role, evaluator, policies_of, pseudo_parameters, read_template
from tests.lambda_src.fake_aws import ACCOUNT, CLUSTER, NOW, PREFIX, REGION, FakeAws, Json, Time


@dataclass
class Context:
    """An invocation of a function with a timeout of 60 s."""

    time: Time
    ends: float = NOW + 60

    def get_remaining_time_in_millis(self) -> int:
        return round((self.ends - self.time.now) * 1000)


@dataclass
class Sync:
    """The real handler, with boto3's clients, at a fake AWS."""

    aws: FakeAws
    time: Time = field(default_factory=Time)
    cluster: str = CLUSTER
    prefix: str = PREFIX
    timeout: float = 60
    """How long an invocation may take, in seconds."""

    _read: tuple[dict[str, str], Document] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process, which knows nothing of what the one before knew."""
        self.handler = Handler(
            Settings(self.cluster, self.prefix),
            Refresher(
                EcsCluster(self.aws.client("ecs"), self.cluster),
                ParameterStore(self.aws.client("ssm"), self.prefix),
                self.time.clock(),
            ),
        )

    def handle(self, *events: Any) -> None:
        records = [
            {
                "messageId": str(number),
                "receiptHandle": f"receipt-{number}",
                "body": event if isinstance(event, str) else json.dumps(event),
            }
            for number, event in enumerate(events)
        ]
        self.handler({"Records": records}, Context(self.time, self.time.now + self.timeout))

    def minute(self) -> None:
        """The minute rule's event."""
        self.handle({"detail-type": "Scheduled Event", "source": "aws.events", "time": "2026-09-21T14:13:20Z"})

    def document(self) -> Document:
        """What is published. Parameters that are still the same are not read again."""
        if self._read is None or self._read[0] != self.aws.parameters:
            self._read = dict(self.aws.parameters), self._assembled()
        return self._read[1]

    def _assembled(self) -> Document:
        index = read_index(self.aws.parameters[index_parameter(self.prefix)])
        return assemble(index, {name: self.aws.parameters[shard_parameter(self.prefix, name)] for name in index.shards})

    def targets(self, state: TargetState, service: str = "rng") -> set[str]:
        found = self.document().service(service)
        return {target.task for target in found.targets if target.state is state} if found is not None else set()

    def serving(self, service: str = "rng") -> set[str]:
        return self.targets(TargetState.SERVING, service)

    def draining(self, service: str = "rng") -> set[str]:
        return self.targets(TargetState.DRAINING, service)


@dataclass
class Lines:
    """What was logged: (message, facts)."""

    lines: list[tuple[str, Json]] = field(default_factory=list)

    def about(self, message: str) -> list[Json]:
        return [facts for logged, facts in self.lines if logged == message]


@pytest.fixture(scope="session")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """The function's role as the construct makes it for the fake's cluster and prefix, behind IAM's evaluation."""
    import aws_cdk as cdk
    from aws_cdk import aws_ecs as ecs

    from cdk_grpc_lb import TargetSync

    app = cdk.App(outdir=str(tmp_path_factory.mktemp("sync")), builtin_cloud_formation_validation=False)
    stack = cdk.Stack(app, "Sync")
    cluster = ecs.Cluster.from_cluster_arn(stack, "Cluster", CLUSTER)
    TargetSync(stack, "Sync", cluster=cluster, parameter_prefix=PREFIX)
    app.synth()
    place = Place(REGION, ACCOUNT)
    template = read_template(Path(app.outdir) / "Sync.template.json")
    with evaluator() as judge:
        yield Role("sync", policies_of(template, "SyncRole", pseudo_parameters(place)), place, judge)


@pytest.fixture(autouse=True)
def enforced(role: Role, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every call of every test is one that the synthesised policies allow."""
    role.denials.clear()
    monkeypatch.setattr(FakeAws, "permit", staticmethod(partial(ask, role)))
    yield
    assert role.denials == []


def ask(role: Role, operation: str, parameters: Json) -> AwsRejection | None:
    return role.rejection("ssm" if "Parameter" in operation else "ecs", operation, parameters)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))  # its back-off
    return FakeAws()


@pytest.fixture
def sync(aws: FakeAws) -> Sync:
    return Sync(aws)


@pytest.fixture
def logged() -> Iterator[Lines]:
    lines = Lines()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.lines.append((record.getMessage(), vars(record)["facts"]))

    logger, collect = logging.getLogger("grpc_lb.sync"), Collect()
    level = logger.level
    logger.addHandler(collect)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(collect)
    logger.setLevel(level)
