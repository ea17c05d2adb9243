"""The Lambda's entry: records of the queue in, a published document out."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from grpc_lb_contract.cloudwatch import BALANCER, REFRESH_FAILURES, Directive, metrics_line
from lambda_src import log, removal
from lambda_src.discovery.definitions import AT_ONCE
from lambda_src.discovery.ecs_listing import EcsCluster
from lambda_src.discovery.events import read_batch
from lambda_src.publish import ParameterStore
from lambda_src.refresh import Refresher
from lambda_src.settings import CLUSTER, Settings

# Throttles are met with botocore's own back-off, of at most 1 + 2 + 4 s; what lasts longer is for the refresh, which
# restarts with a fresh listing. A connection that hangs is given up after 3 s.
PATIENCE = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=3,
    read_timeout=3,
    max_pool_connections=AT_ONCE,
)


class Context(Protocol):
    """What Lambda says about an invocation: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    def get_remaining_time_in_millis(self) -> int: ...


class Handler:
    """Refreshes for a batch of records. A failure is raised, so that the whole batch comes again: one listing serves
    all of its records, and none of them is dealt with before the others.
    """

    def __init__(self, settings: Settings, refresher: Refresher) -> None:
        self._settings = settings
        self._refresher = refresher

    def __call__(self, event: Any, context: Context) -> None:
        batch = read_batch(event, self._settings.cluster)
        for problem in batch.rejected:
            log.warning("event rejected", problem=problem)
        try:
            self._refresher.refresh(batch, lambda: context.get_remaining_time_in_millis() / 1000)
        except Exception as error:
            log.error("refresh failed", error=type(error).__name__, problem=str(error), events=batch.count)
            self._publish(max(1, self._refresher.failures))
            raise
        self._publish(self._refresher.failures)

    def _publish(self, failures: int) -> None:
        balancer = self._settings.cloudwatch_balancer
        if balancer is None:
            return
        told = Directive(((BALANCER,),), {REFRESH_FAILURES: failures, **self._refresher.metrics})
        namespace = self._settings.cloudwatch_namespace
        # Lambda hands what is printed to CloudWatch Logs, which makes metrics of it.
        print(metrics_line(told, at=time.time(), namespace=namespace, dimensions={BALANCER: balancer}))


@cache
def warm() -> Handler:
    """The handler of this process, made of its environment once."""
    log.configure()
    settings = Settings.from_environment(os.environ)
    return Handler(
        settings,
        Refresher(
            EcsCluster(boto3.client("ecs", config=PATIENCE), settings.cluster),
            ParameterStore(boto3.client("ssm", config=PATIENCE), settings.prefix),
            selection=settings.selection,
        ),
    )


def handler(event: Any, context: Context) -> None:
    if removal.is_request(event):
        removal.answer(event)
        return
    warm()(event, context)


if CLUSTER in os.environ:
    # While a function is initialised it has more of a CPU than later, and no event waits for it. What is wrong with the
    # environment is for the first invocation to say. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    with contextlib.suppress(ValueError, BotoCoreError):
        warm()
    gc.freeze()  # the service models of AWS are large, and stay: no invocation looks through them for garbage
