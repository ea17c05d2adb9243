"""The whole way here: the Lambda's own code, the document in SSM, a balancer with its Envoy."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lambda_src.discovery.ecs_listing import EcsCluster
from lambda_src.discovery.events import read_batch
from lambda_src.discovery.selection import Selection
from lambda_src.publish import ParameterStore
from lambda_src.refresh import Refresher
from lambda_src.transform.document import Transformed
from tests.lambda_src.fake_aws import CLUSTER, PREFIX, REGION, FakeAws, Time
from tests.proxy_image.balancer import REAL, Balancer, start_balancer
from tests.traefik_labels.judge.aws import Cluster
from traefik_labels import TraefikLabels

SECONDS = 60.0
_MINUTE = {"detail-type": "Scheduled Event", "source": "aws.events", "time": "2026-09-21T14:13:20Z"}


@dataclass
class Ours:
    """`drafts` are what the Lambda made of each listing."""

    aws: FakeAws
    balancer: Balancer
    drafts: list[Transformed] = field(default_factory=list)

    @property
    def calls(self) -> tuple[str, int]:
        return "127.0.0.1", self.balancer.ports["port"]

    def refresh(self, settings: TraefikLabels, seconds_left: float = 60.0) -> Transformed:
        """Have the Lambda publish what runs, and wait for the balancer to serve it. Raises what the Lambda raises."""
        refresher = _Refresher(self.aws, settings)
        refresher.refresh(read_batch(_MINUTE, CLUSTER), lambda: seconds_left)
        generation = refresher.generation()
        deadline = time.monotonic() + SECONDS
        while self._generation() != generation:
            assert time.monotonic() < deadline, self.balancer.log.read_text()[-3000:]
            time.sleep(0.05)
        return refresher.drafts[-1]

    def _generation(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.balancer.ports['web']}/healthz", timeout=5) as answer:
                return str(json.load(answer).get("generation"))
        except OSError:
            return ""


class _Refresher(Refresher):
    """The Lambda's, with its drafts kept for a look."""

    def __init__(self, aws: FakeAws, settings: TraefikLabels) -> None:
        store = ParameterStore(aws.client("ssm"), PREFIX)
        selection = Selection(traefik=settings)
        super().__init__(EcsCluster(aws.client("ecs"), CLUSTER), store, Time().clock(), selection)
        self.drafts: list[Transformed] = []
        self._parameters = store

    def _draft(self, *arguments: object) -> Transformed:
        draft = super()._draft(*arguments)  # type: ignore[arg-type]  # whatever they are
        self.drafts.append(draft)
        return draft

    def generation(self) -> str:
        return str(self._parameters.read(fully=True).generation)


@contextmanager
def ours(cluster: Cluster, endpoint: str, folder: Path) -> Iterator[Ours]:
    environment = {
        "GRPC_LB_PARAMETER_PREFIX": PREFIX,
        "GRPC_LB_TARGETS_FILE": "",
        "GRPC_LB_POLL_SECONDS": "0.2",
        "GRPC_LB_IDLE_POLL_SECONDS": "0.2",
        "GRPC_LB_ENVOY_CONCURRENCY": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    balancer = start_balancer(folder / "balancer", REAL, "127.0.0.1:9", environment)
    try:
        yield Ours(cluster.aws, balancer)
    finally:
        balancer.process.kill()
        balancer.process.wait()
