"""What is put before the judge: tasks with labels, and calls.

In every text `~` stands for a mark of the set's own, so that many sets share one Traefik and one Envoy: hosts, gRPC
services and the names of routers, services and middlewares have it, and no set takes another's calls.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

Labels = Mapping[str, str]
Metadata = tuple[tuple[str, str], ...]

GRPC_PORT, OTHER_PORT = 50051, 50052

MOST_CALLS = 40
_HOST = re.compile(r"Host(?:Header)?\(([^)]*)\)", re.IGNORECASE)
_PATH = re.compile(r"Path(?:Prefix)?\(([^)]*)\)", re.IGNORECASE)
_HEADER = re.compile(r"Headers?\(\s*[`\"]([^`\"]*)[`\"]\s*,\s*[`\"]([^`\"]*)[`\"]", re.IGNORECASE)
_TEXT = re.compile(r"`([^`]*)`|\"([^\"\\]*)\"")


@dataclass(frozen=True)
class Box:
    """A container: its docker labels and mapped ports."""

    labels: Labels
    name: str = "app"
    ports: tuple[int, ...] = (GRPC_PORT,)


@dataclass(frozen=True)
class Job:
    """What ECS runs: a task definition, and its tasks. Without a `service` they are of RunTask, in `group`."""

    boxes: tuple[Box, ...]
    service: str | None = "rng~"
    group: str | None = None
    revision: int = 1
    tasks: int = 1


@dataclass(frozen=True)
class Call:
    authority: str
    path: str
    metadata: Metadata = ()

    def __str__(self) -> str:
        return f"{self.authority}{self.path} {dict(self.metadata) or ''}".strip()


@dataclass(frozen=True)
class LabelSet:
    """`alone` is a set whose rules take calls of any host: no other can stand beside it."""

    about: str
    jobs: tuple[Job, ...]
    calls: tuple[Call, ...] = ()
    alone: bool = False
    hosts: tuple[str, ...] = field(default=("a.~", "other.~"))

    def all_calls(self) -> tuple[Call, ...]:
        """Those of the set, and those that its rules name: each host with each path and each metadata."""
        texts = [value for job in self.jobs for box in job.boxes for value in box.labels.values()]
        hosts = dict.fromkeys((*self.hosts, *_arguments(_HOST, texts)))
        paths = dict.fromkeys(
            ("/rng.~.R/Get", *(_full_path(path) for path in _arguments(_PATH, texts) if path.startswith("/")))
        )
        pairs = dict.fromkeys(
            (key.lower(), value)
            for text in texts
            for key, value in _HEADER.findall(text)
            # Each call has these already.
            if value and key and key.lower() not in ("content-type", "te", "host", ":authority")
        )
        metadata: list[Metadata] = [(), *((pair,) for pair in pairs)]
        made = (
            Call(host.lower(), path, told)
            for host, path, told in itertools.product(filter(_is_host, hosts), paths, metadata)
        )
        return tuple(dict.fromkeys((*self.calls, *itertools.islice(made, MOST_CALLS))))


def _arguments(matcher: re.Pattern[str], texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for arguments in matcher.findall(text):
            yield from (raw or quoted for raw, quoted in _TEXT.findall(arguments))


def _full_path(path: str) -> str:
    parts = path.strip("/").split("/")
    return "/" + "/".join(parts if len(parts) > 1 else [parts[0] or "any.~.S", "Get"])


def _is_host(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9.~-]+", text) is not None


def with_mark(one: LabelSet, mark: str) -> LabelSet:
    """The set with its mark in the place of `~`."""

    def marked(text: str) -> str:
        return text.replace("~", mark)

    return replace(
        one,
        jobs=tuple(
            replace(
                job,
                boxes=tuple(
                    replace(box, labels={marked(name): marked(value) for name, value in box.labels.items()})
                    for box in job.boxes
                ),
                service=None if job.service is None else marked(job.service),
                group=None if job.group is None else marked(job.group),
            )
            for job in one.jobs
        ),
        calls=tuple(
            Call(marked(call.authority), marked(call.path), tuple((key, marked(value)) for key, value in call.metadata))
            for call in one.all_calls()
        ),
    )
