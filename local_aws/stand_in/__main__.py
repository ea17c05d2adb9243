"""The stand-in's process: python -m local_aws.stand_in SETTINGS, by the interpreter that has ministack."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

from local_aws import control
from local_aws.addresses import GATEWAY_HOST, GATEWAY_PORT, METADATA_HOST, METADATA_PORT
from local_aws.errors import LocalAwsError
from local_aws.stand_in.settings import Settings


def main() -> None:
    settings = Settings.read(Path(sys.argv[1]))
    # ministack reads these when it is imported.
    os.environ |= {
        "BIND_HOST": settings.addresses.address(GATEWAY_HOST),
        "GATEWAY_PORT": str(GATEWAY_PORT),
        "MINISTACK_REGION": settings.region,
        "AWS_ENDPOINT_URL": settings.addresses.front,  # the Lambda's own calls go through the front
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": settings.runtime,
        "LOG_LEVEL": os.environ.get("LOCAL_AWS_LOG_LEVEL", "WARNING"),
    }
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serve(settings)


def serve(settings: Settings) -> None:
    from ministack import app
    from ministack.core.iam_evaluator import _gather_role_policies as policies
    from ministack.services import eventbridge

    from local_aws.behaviour.edge import Edge
    from local_aws.behaviour.permissions import Place
    from local_aws.behaviour.timings import DOCUMENTED, INSTANT
    from local_aws.deploy.without_cli import ACCOUNT
    from local_aws.stand_in import patches
    from local_aws.stand_in.ecs import metadata
    from local_aws.stand_in.ecs.ecs_thread import EcsThread
    from local_aws.stand_in.ecs.events import TaskEvents
    from local_aws.stand_in.ecs.services import Services
    from local_aws.stand_in.ecs.tasks import Tasks
    from local_aws.stand_in.functions import patch_functions
    from local_aws.stand_in.gate import Gate
    from local_aws.stand_in.load_balancing.load_balancers import LoadBalancers
    from local_aws.stand_in.load_balancing.target_groups import ServiceTargets
    from local_aws.stand_in.ministack_stores import EcsStores, Elbv2Stores

    edge = Edge(INSTANT if settings.seed is None else DOCUMENTED, settings.seed or 0)
    thread = EcsThread()
    elbv2 = Elbv2Stores()
    balancers = LoadBalancers(settings, elbv2, health_changed=lambda: services.reconcile_all())
    targets = ServiceTargets(elbv2, balancers, changed=balancers.follow)
    balancers.draining = targets.draining
    # Only AWS itself may send events from an aws.* source; here that is us.
    events = TaskEvents(lambda request: eventbridge._put_events(request, allow_aws_source=True), edge.delays)
    stores = EcsStores()
    tasks = Tasks(settings, stores, events.emit, edge.start_seconds)
    tasks.followers = services = Services(stores, tasks, targets)
    patches.patch_ecs(tasks, services, thread)
    patches.patch_load_balancers(balancers, targets.draining)
    patches.patch_registry()
    patches.patch_parameters()
    patches.patch_cloudformation()
    patch_functions(edge, shares_cpu=settings.seed is not None)
    place = Place(settings.region, ACCOUNT)
    gate = Gate(edge, place, tasks.history, is_gone=stores.is_gone, policies=lambda role: policies(role, ACCOUNT))
    app._dispatch_service_request = gate.before(app._dispatch_service_request)

    thread.start()
    asyncio.run_coroutine_threadsafe(balancers.run(), thread.loop)
    answer = Control(tasks, services, balancers)
    asyncio.run_coroutine_threadsafe(control.serve(Path(settings.control), answer), thread.loop).result()
    metadata.serve((settings.addresses.address(METADATA_HOST), METADATA_PORT), thread.owns(tasks.find))

    sys.argv = ["ministack"]
    app.main()


class Control:
    """What can be asked of ECS here, past every API and outage."""

    def __init__(self, tasks: Any, services: Any, balancers: Any) -> None:
        self._tasks = tasks
        self._services = services
        self._balancers = balancers

    async def __call__(self, request: dict[str, Any]) -> Any:
        match request:
            case {"do": "tasks"}:
                return self._tasks.show()
            case {"do": "services"}:
                return self._services.show()
            case {"do": "balancers"}:
                return self._balancers.show()
            case {"do": "stop-task", "task": str(task)}:
                found = self._tasks.find(task)
                self._tasks.stop(found, "Task stopped by user", "UserInitiated")
                return found["taskArn"]
            case {"do": "kill-task", "task": str(task)}:
                found = self._tasks.find(task)
                self._tasks.kill(found["taskArn"])
                return found["taskArn"]
        raise LocalAwsError(
            f"a request must be tasks, services, balancers, stop-task or kill-task, got {request.get('do')!r}"
        )


if __name__ == "__main__":
    main()
