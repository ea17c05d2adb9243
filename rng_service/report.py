"""What a load has seen: which task answered, how fast, and what failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

OK = "OK"
UNKNOWN_TASK = "(unknown)"
BAR_WIDTH = 40
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is over."""

    started: float
    """When it was made, in Unix time."""
    seconds: float
    """Until its answer (of a stream: the first one), or until it failed."""
    task: str | None
    """The task that served it, when the call came back with its name."""
    code: str = OK
    """The gRPC status code by name. An answer that is not what was asked for is DATA_LOSS."""
    details: str = ""

    @property
    def answered(self) -> float:
        """When its answer came, in Unix time."""
        return self.started + self.seconds


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The calls of a load that are over, in the order in which they ended. Times are Unix times."""

    address: str
    channels: int
    started: float
    finished: float
    calls: tuple[Call, ...]

    @property
    def failures(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.code != OK)

    @property
    def tasks(self) -> Mapping[str, int]:
        """How many calls each task answered, by task, most first."""
        counts = Counter(call.task if call.task is not None else UNKNOWN_TASK for call in self.calls if call.code == OK)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def failures_by_code(self) -> Mapping[str, tuple[Call, ...]]:
        failures = self.failures
        codes = sorted({call.code for call in failures})
        return {code: tuple(call for call in failures if call.code == code) for code in codes}

    @property
    def seconds(self) -> float:
        return self.finished - self.started

    @property
    def first_answers(self) -> Mapping[str, float]:
        """When each task's first answer came."""
        first: dict[str, float] = {}
        for call in self.calls:
            if call.code == OK and call.task is not None:
                first[call.task] = min(call.answered, first.get(call.task, math.inf))
        return first

    def first_answer(self, task: str) -> float | None:
        """When the task's first answer came, or None when it gave none."""
        return self.first_answers.get(task)

    def between(self, start: float, end: float = math.inf) -> LoadReport:
        """The part of the load that was made in that time, `end` not included."""
        return replace(
            self,
            started=max(self.started, start),
            finished=min(self.finished, end),
            calls=tuple(call for call in self.calls if start <= call.started < end),
        )

    def latencies(self, *percents: float) -> tuple[float, ...]:
        """Seconds until the answer at these percentiles (nearest rank) of the calls that had one; NaN without any."""
        ordered = sorted(call.seconds for call in self.calls if call.code == OK)
        if not ordered:
            return tuple(math.nan for _ in percents)
        return tuple(ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] for percent in percents)

    def latency(self, percent: float) -> float:
        return self.latencies(percent)[0]

    def to_json(self) -> dict[str, object]:
        """The report as plain values; null where there is nothing to tell."""
        p50, p95, p99, slowest = (
            None if math.isnan(seconds) else round(seconds * 1000, 3) for seconds in self.latencies(*PERCENTILES, 100)
        )
        return {
            "address": self.address,
            "channels": self.channels,
            "started": self.started,
            "seconds": self.seconds,
            "calls": len(self.calls),
            "failed": len(self.failures),
            "tasks": dict(self.tasks),
            "first_answers": dict(self.first_answers),
            "latency_ms": {"p50": p50, "p95": p95, "p99": p99, "max": slowest},
            "failures": {
                code: {"count": len(calls), "sample": calls[0].details, "task": calls[0].task}
                for code, calls in self.failures_by_code.items()
            },
        }


def render(report: LoadReport, bar: str = "█") -> str:
    """The report for people: the share of each task as bars, latencies, failures."""
    return "\n".join((headline(report), "", *shares(report, bar), *latency_lines(report), *failure_lines(report)))


def headline(report: LoadReport) -> str:
    rate = f" ({len(report.calls) / report.seconds:.0f} a second)" if report.seconds > 0 else ""
    connections = plural(report.channels, "connection")
    return f"{plural(len(report.calls), 'call')} to {report.address} on {connections} in {report.seconds:.2f} s{rate}"


def shares(report: LoadReport, bar: str) -> list[str]:
    tasks = report.tasks
    if not tasks:
        return []
    total, name_width = sum(tasks.values()), max(map(len, tasks))
    count_width = len(str(max(tasks.values())))
    return [
        f"  {task:<{name_width}}  {count:>{count_width}}  {count / total:>6.1%}  "
        f"{bar * round(BAR_WIDTH * count / total)}".rstrip()
        for task, count in tasks.items()
    ] + [""]


def latency_lines(report: LoadReport) -> list[str]:
    if not report.tasks:
        return []
    named = zip(("p50", "p95", "p99", "max"), report.latencies(*PERCENTILES, 100), strict=True)
    return ["  latency  " + "   ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in named)]


def failure_lines(report: LoadReport) -> list[str]:
    if not report.failures:
        return ["  no call failed"]
    return [f"  {plural(len(report.failures), 'call')} failed"] + [
        f"    {code}  {len(calls)}  {' '.join(calls[0].details.split())[:200]}"
        for code, calls in report.failures_by_code.items()
    ]


def plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
