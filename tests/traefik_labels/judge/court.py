"""Puts label sets before both, and compares."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lambda_src.transform.document import Transformed
from tests.traefik_labels.judge.aws import Cluster
from tests.traefik_labels.judge.backends import backends
from tests.traefik_labels.judge.caller import Answer, ask, until_answered
from tests.traefik_labels.judge.ours import Ours, ours
from tests.traefik_labels.judge.sets import Box, Call, Job, LabelSet, with_mark
from tests.traefik_labels.judge.traefik import Traefik, traefik
from traefik_labels import TraefikLabels

TIMES = 4
"""How often a call is made where several tasks may answer it."""

IN_DEPLOYMENT = "while tasks of two revisions say different things"
"""In a deployment that changes labels Traefik answers no call and this balancer does, and says so."""

# What a proxy owns: where a server sees it as the caller wrote it, the caller chooses who it is.
OWNED = ("x-forwarded-for", "x-real-ip", "x-user")


class Verdict(StrEnum):
    """Of one call, or, as the worst of its calls, of one set."""

    SAME = "same"
    NARROWER_TOLD = "narrower, and told"
    BETTER = "better, and told"
    SILENT = "narrower, and silent"
    NEIGHBOUR = "narrower for what another set says"
    WIDER = "wider"
    ELSEWHERE = "elsewhere"


SETTINGS = TraefikLabels(version=3)
"""As the judge's Traefik is set up, where nothing is said of its entry points."""

GOOD = frozenset({Verdict.SAME, Verdict.NARROWER_TOLD, Verdict.BETTER})
_ORDER = tuple(Verdict)
_MARK = re.compile(r"s[0-9]{5}")


@dataclass(frozen=True)
class Judged:
    one: LabelSet
    verdict: Verdict
    differences: tuple[str, ...]
    told: tuple[str, ...]

    def __str__(self) -> str:
        labels = "\n".join(
            f"    {job.service or job.group}/{box.name} {name}={value}"
            for job in self.one.jobs
            for box in job.boxes
            for name, value in box.labels.items()
        )
        differences = "\n".join(f"    {one}" for one in self.differences)
        told = "\n".join(f"    {one}" for one in self.told)
        return f"{self.verdict}: {self.one.about}\n{labels}\n  calls:\n{differences}\n  told:\n{told}"


@dataclass
class Court:
    cluster: Cluster
    traefik: Traefik
    ours: Ours
    settings: TraefikLabels

    def __post_init__(self) -> None:
        self._marks = itertools.count(1)

    def begin_at(self, number: int) -> None:
        """Have other marks than another court has on the same cluster."""
        self._marks = itertools.count(number)

    def judge(self, sets: Sequence[LabelSet]) -> list[Judged]:
        """Those that stand alone one by one, the others all at once."""
        together = [one for one in sets if not one.alone]
        judged = self._judge(together) if together else []
        return [*judged, *(verdict for one in sets if one.alone for verdict in self._judge([one]))]

    def _judge(self, sets: Sequence[LabelSet]) -> list[Judged]:
        marked = [(f"s{next(self._marks):05d}", one) for one in sets]  # as _MARK
        marked_sets = [(mark, with_mark(one, mark)) for mark, one in marked]
        batch = f"marker-{marked[0][0]}"
        marker = Job((Box(_marker(batch)),), service=batch)
        jobs = [(f"{mark}-{number}", job) for mark, one in marked_sets for number, job in enumerate(one.jobs)]
        marker_at = self.cluster.run(jobs, (batch, marker))
        draft = self.ours.refresh(self.settings)
        served_at = Call(f"{batch}.test", "/rng.v1.R/Get")
        until_answered(self.traefik.web, served_at, marker_at, self.traefik.log)
        until_answered(self.ours.calls, served_at, marker_at, self.ours.balancer.log)
        calls = [(one, call) for _, one in marked_sets for call in one.calls for _ in range(_times(one))]
        theirs = ask(self.traefik.web, [call for _, call in calls])
        here = ask(self.ours.calls, [call for _, call in calls])
        answers: dict[str, list[tuple[Call, Answer, Answer]]] = {}
        for (one, call), there, ours_ in zip(calls, theirs, here, strict=True):
            answers.setdefault(str(id(one)), []).append((call, there, ours_))
        return [
            _judged(original, answers.get(str(id(one)), []), told_of(draft, mark), mark)
            for (mark, one), (_, original) in zip(marked_sets, marked, strict=True)
        ]


def _marker(name: str) -> dict[str, str]:
    """Labels that both serve: once they do, they have the whole batch."""
    return {
        f"traefik.http.routers.{name}.rule": f"Host(`{name}.test`)",
        f"traefik.http.services.{name}.loadbalancer.server.scheme": "h2c",
    }


def _times(one: LabelSet) -> int:
    return TIMES if sum(job.tasks for job in one.jobs) > 1 else 1


def told_of(draft: Transformed, mark: str) -> tuple[str, ...]:
    """What the Lambda's log says of a set."""
    return tuple(
        dict.fromkeys(
            (
                *(str(one.remark) for one in draft.remarks if one.family.startswith(mark)),
                *(
                    f"{one.error.label}: {one.error.problem}"
                    for one in draft.rejected
                    if one.error.family.startswith(mark)
                ),
                *(str(one) for one in draft.conflicts if mark in str(one)),
            )
        )
    )


def _judged(one: LabelSet, answers: Sequence[tuple[Call, Answer, Answer]], told: tuple[str, ...], mark: str) -> Judged:
    by_call: dict[Call, tuple[list[Answer], list[Answer]]] = {}
    for call, there, here in answers:
        both = by_call.setdefault(call, ([], []))
        both[0].append(there)
        both[1].append(here)
    found = [(call, *_compare(there, here, told)) for call, (there, here) in by_call.items()]
    assert found, one
    worst = max((verdict for _, verdict, _ in found), key=_ORDER.index)
    if worst is Verdict.NARROWER_TOLD and any(set(_MARK.findall(remark)) - {mark} for remark in told):
        worst = Verdict.NEIGHBOUR
    differences = tuple(f"{verdict}: {call}: {words}" for call, verdict, words in found if verdict is not Verdict.SAME)
    return Judged(one, worst, differences, told)


def _compare(there: Sequence[Answer], here: Sequence[Answer], told: tuple[str, ...]) -> tuple[Verdict, str]:
    theirs, ours_ = _servers(there), _servers(here)
    words = f"Traefik {sorted(theirs) or sorted({one.status for one in there})}, here {sorted(ours_) or 'none'}"
    if not ours_:
        narrower = Verdict.NARROWER_TOLD if _warns(told) else Verdict.SILENT
        return (narrower if theirs else Verdict.SAME), words
    if not theirs:
        in_deployment = any(IN_DEPLOYMENT in one for one in told)
        return (Verdict.BETTER if in_deployment else Verdict.WIDER), words
    if not ours_ <= theirs:
        return Verdict.ELSEWHERE, words
    passed = _owned(here) - _owned(there)
    return (Verdict.WIDER, f"{words}: servers see {sorted(passed)}") if passed else (Verdict.SAME, words)


def _warns(told: Sequence[str]) -> bool:
    return any(": not needed: " not in one for one in told)


def _servers(answers: Sequence[Answer]) -> set[str]:
    return {str(one.told["server"]) for one in answers if one.told is not None}


def _owned(answers: Sequence[Answer]) -> set[tuple[str, str]]:
    return {
        (key, value) for one in answers if one.told is not None for key, value in one.told["metadata"] if key in OWNED
    }


def count(judged: Sequence[Judged]) -> str:
    verdicts = Counter(one.verdict for one in judged)
    return ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict)


@contextmanager
def court(folder: Path, settings: TraefikLabels | None = None, *options: str) -> Iterator[Court]:
    """`options` are Traefik's, where `settings` say other than the usual."""
    cluster = Cluster()
    with ExitStack() as stack:
        stack.enter_context(backends())
        endpoint = stack.enter_context(cluster.serve())
        there = stack.enter_context(traefik(endpoint, folder, *options))
        here = stack.enter_context(ours(cluster, endpoint, folder))
        yield Court(cluster, there, here, settings if settings is not None else TraefikLabels())
