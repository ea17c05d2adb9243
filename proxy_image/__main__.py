"""`python -m proxy_image`: the balancer, in a container (environment only) or anywhere else (flags)."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import NoReturn

from proxy_image import logs
from proxy_image.envoy.overload import max_heap_bytes
from proxy_image.machine import (
    cgroup_cpus,
    cgroup_memory,
    memory_limit,
    raise_descriptors,
    read_task,
    usable_cpus,
    workers,
)
from proxy_image.settings import SOURCES, VARIABLES, Settings, SettingsError, from_environment, unknown_variables
from proxy_image.supervisor.preflight import PreflightError, check_ports, remove_run_dir, take_state_directory
from proxy_image.supervisor.supervisor import CONTROL_PLANE, WRONG_SETTING, Supervisor

log = logging.getLogger(__name__)

_DESCRIPTION = """\
Balances each gRPC call between the targets of a target document: Envoy carries the calls, a control plane tells it
where to, and this process keeps both running.

With targets from a file, without AWS:
  python -m proxy_image --targets targets.json --state-dir /tmp/balancer --bind 127.0.0.1
With targets from SSM, as on ECS (AWS credentials and region from the environment):
  python -m proxy_image --parameter-prefix /grpc-lb/my-stack/my-balancer
The state of a running balancer, as on its web page:
  python -m proxy_image status --url http://127.0.0.1:8080"""

TARGETS_FILE = """\
  {"services": [{"name": "orders", "hosts": ["orders.internal"], "grpc_services": ["orders.v1.Orders"],
                 "targets": ["10.0.0.1:50051", {"address": "10.0.0.2:50051", "zone": "a", "draining": true}]}],
   "balancers": ["10.0.0.3:8080"]}"""

_EPILOG = f"""\
A targets file, with every field that it can have (required: "services", "name" and "targets", and the
"address" of a target that is an object):
{TARGETS_FILE}
By default, a service takes the calls of all hosts and gRPC services. A draining target gets no new calls. "balancers"
are the pages of others with the same targets: each page shows the sums of all.

Flags win over variables. SIGTERM or Ctrl-C drains: readiness fails, then clients are sent away (GOAWAY) while their
calls finish; a second one shortens that. Exit codes: 0 stopped, 1 this machine is in the way (a port is taken, a
directory is not writable), 2 a setting is wrong. `status` has its own: see `python -m proxy_image status --help`."""


def main(argv: Sequence[str] | None = None, control_plane: Sequence[str] = CONTROL_PLANE) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "status":
        # Only here: a balancer that starts needs none of it.
        from proxy_image.control_plane.web import status_command

        return status_command.main(argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # until there is something to drain; the first process has no default action
    flags = vars(_parser().parse_args(argv))
    try:
        settings = from_environment(_overlay(os.environ, flags))
    except SettingsError as error:
        return _fail(error.problems, WRONG_SETTING)
    endpoint = flags["endpoint_url"]
    if endpoint is not None:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
    logs.configure("supervisor", settings.log_level)
    for sentence in unknown_variables():
        log.warning("unknown setting", extra={"facts": {"problem": sentence}})
    try:
        state = take_state_directory(settings)
        try:
            check_ports(settings)
            return _run(replace(settings, run_dir=state.run_dir), control_plane)
        finally:
            remove_run_dir(settings.state_dir / "run")
            state.lock.close()
    except PreflightError as error:
        return _fail(error.problems, 1)


def _run(settings: Settings, control_plane: Sequence[str]) -> int:
    task = read_task(os.environ)
    concurrency = settings.envoy_concurrency or workers(usable_cpus(), cgroup_cpus(), task.cpus)
    descriptors = raise_descriptors()
    if settings.telemetry.tracing is not None:
        # Here and once: what the listener for calls says must not depend on a second look at the task's metadata.
        itself = {"service.instance.id": task.node.id, "cloud.availability_zone": task.node.zone}
        attributes = settings.telemetry.tracing.attributes.with_defaults(itself)
        settings = replace(settings, tracing_attributes=attributes)
    memory = memory_limit(cgroup_memory(), task.memory)
    facts = {
        "node": task.node.id,
        "workers": concurrency,
        "descriptors": descriptors,
        "heap_mib": None if memory is None else max_heap_bytes(memory) // 2**20,
        "run_dir": settings.run_dir,
    }
    log.info("starting", extra={"facts": facts})

    async def run() -> int:
        supervisor = Supervisor(
            settings,
            task.node,
            concurrency=concurrency,
            descriptors=descriptors,
            memory=memory,
            control_plane=control_plane,
        )
        return await supervisor.run()

    return asyncio.run(run())


def _overlay(env: Mapping[str, str], flags: Mapping[str, str | None]) -> dict[str, str]:
    """The environment as if the flags had been set in it; a source given as a flag replaces any other source."""
    overlaid = dict(env)
    given = {variable.name: flags[variable.field] for variable in VARIABLES if flags.get(variable.field) is not None}
    sources = {source.name for source in SOURCES}
    if sources & given.keys():
        for name in sources:
            overlaid.pop(name, None)
    overlaid.pop("GRPC_LB_RUN_DIR", None)  # the supervisor's own choice, for its children
    return overlaid | {name: value for name, value in given.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proxy_image",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for variable in VARIABLES:
        if variable.flag is not None:
            default = "" if variable.default is None else f"; default {variable.default}"
            text = f"{variable.help} [{variable.name}{default}]"
            parser.add_argument(variable.flag, dest=variable.field, metavar=variable.metavar, help=text)
    parser.add_argument(
        "--endpoint-url", metavar="URL", help="an AWS endpoint other than the region's own [AWS_ENDPOINT_URL]"
    )
    return parser


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _fail(problems: Sequence[str], code: int) -> int:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
