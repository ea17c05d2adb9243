"""python -m local_aws: the stack on this machine, and the means to hurt it."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT, Layout, TasksAs
from local_aws.lifecycle.down import down
from local_aws.lifecycle.up import up
from local_aws.stack import LocalStack


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    layout = Layout(
        app_folder=options.app.resolve(),
        name=options.name,
        tasks_as=options.tasks_as,
        seed=options.seed,
        assembly=options.assembly,
    )
    try:
        return int(options.run(layout, options))
    except LocalAwsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(layout: Layout, options: argparse.Namespace) -> int:
    asyncio.run(up(layout, dict(options.context or [("compare", "nlb")])))
    return 0


def _down(layout: Layout, _options: argparse.Namespace) -> int:
    print("stopped" if down(layout) else "nothing was up")
    return 0


def _tasks(layout: Layout, options: argparse.Namespace) -> int:
    tasks = LocalStack.attach(layout).tasks()
    if options.table:
        print(_table([asdict(task) for task in tasks]))
    else:
        print(json.dumps([asdict(task) for task in tasks], indent=2))
    return 0


def _table(tasks: Sequence[dict[str, Any]]) -> str:
    head = ("ID", "SERVICE", "ADDRESS", "ZONE", "LAST", "DESIRED", "HEALTH", "AGE", "PIDS")
    rows = [
        (
            task["id"][:12],
            task["service"],
            task["ip"],
            task["zone"],
            task["last_status"],
            task["desired_status"],
            task["health"],
            f"{time.time() - task['created_at']:.0f} s",
            " ".join(str(pid) for pid in (task["pid"], *task["child_pids"]) if pid is not None),
        )
        for task in sorted(tasks, key=lambda task: (task["service"], task["created_at"]))
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    )


def _stop_task(layout: Layout, options: argparse.Namespace) -> int:
    LocalStack.attach(layout).stop_task(options.task, via=options.via)
    return 0


def _kill_task(layout: Layout, options: argparse.Namespace) -> int:
    LocalStack.attach(layout).kill_task(options.task)
    return 0


def _outage(layout: Layout, options: argparse.Namespace) -> int:
    LocalStack.attach(layout).outage(options.mode)
    return 0


def _demo(layout: Layout, options: argparse.Namespace) -> int:
    from local_aws.demo import play

    return play.main(options.arguments, layout if layout.seed is not None else replace(layout, seed=play.SEED))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m local_aws",
        description="the whole stack on this machine: a local AWS, tasks as processes, real load balancers",
    )
    parser.add_argument(
        "--app", type=Path, default=ROOT, metavar="FOLDER", help="where cdk.json is (default: this checkout)"
    )
    parser.add_argument(
        "--name", type=_name, default="local", help="of the run: build/NAME/ and build/NAME.json (default: local)"
    )
    parser.add_argument(
        "--tasks-as",
        type=TasksAs,
        choices=list(TasksAs),
        default=TasksAs.PROCESSES,
        help="what `up` runs tasks as (default: processes; containers need what `make containers` sets up)",
    )
    parser.add_argument(
        "--assembly",
        type=Path,
        metavar="FOLDER",
        help="what `cdk synth` wrote, to deploy in place of synthesising the app",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="have the local AWS be as slow, throttled, late and out of date as AWS is, the same way for the same N "
        "(default: it answers at once; `demo` has it on)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "up", "start it and stay until Ctrl-C")
    command.add_argument(
        "-c",
        "--context",
        action="append",
        type=_context,
        metavar="NAME=VALUE",
        help="context for cdk synth (default: compare=nlb)",
    )
    command.set_defaults(run=_up)

    command = _command(commands, "down", "stop what `up` started, also after a crash")
    command.set_defaults(run=_down)

    command = _command(commands, "tasks", "every task, as JSON")
    command.add_argument("--table", action="store_true", help="for reading")
    command.set_defaults(run=_tasks)

    command = _command(commands, "stop-task", "stop a task as ECS does: SIGTERM, then SIGKILL after its stop timeout")
    command.add_argument("task", metavar="ARN", help="or its id")
    command.add_argument(
        "--via", choices=("control", "api"), default="control", help="api: by StopTask (default: control)"
    )
    command.set_defaults(run=_stop_task)

    command = _command(commands, "kill-task", "SIGKILL all processes of a task")
    command.add_argument("task", metavar="ARN", help="or its id")
    command.set_defaults(run=_kill_task)

    command = _command(commands, "outage", "make every AWS API hang or refuse, for tasks, Lambda and clients")
    command.add_argument("mode", choices=("hang", "refuse", "none"))
    command.set_defaults(run=_outage)

    # Its options are the demo's own to read, so that here nothing begins with what an option begins with.
    command = commands.add_parser("demo", help="show the problem and its cure", add_help=False, prefix_chars="\0")
    command.add_argument("arguments", nargs="*")
    command.set_defaults(run=_demo)
    return parser


def _command(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=does, description=does)
    return made


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise argparse.ArgumentTypeError(f"must be 1..40 of a-z, 0-9 and -, got {text}")
    return text


def _context(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text}")
    return name, value
