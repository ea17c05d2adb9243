"""What a large fleet costs the control plane and Envoy, and how that grows with the number of services.

    python benchmarks/control_plane_scale.py [--services 50 500] [--targets 10] [--policy]

For each size: the CPU time from the document's text to the snapshot, once for all of it, as at a start, and once for a
change of one target; then a balancer is started (supervisor, control plane, Envoy) that reads the document from a
Parameter Store of this process, and targets of one service drain and return. Its memory is that of the processes: of
the control plane the resident set, of Envoy what it has allocated. Linux only. Times on the clock are also those of
whatever else the machine does; compare ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta

from running_balancer import (
    Balancer,
    ParameterStore,
    balancer,
    seconds_until,
)  # it puts the packages beside this folder on the path

from grpc_lb_contract import (
    Deadline,
    Document,
    DocumentDecoder,
    Group,
    OutlierDetection,
    Packed,
    Retry,
    RetryStatus,
    Route,
    Service,
    Target,
    TargetState,
    TrafficPolicy,
    assemble,
    pack,
    read_index,
)
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.snapshot import Snapshot
from proxy_image.control_plane.xds.snapshot_maker import SnapshotMaker

PORTS = Ports("127.0.0.1", 1, 2)
POLICY = TrafficPolicy(
    deadline=Deadline(default=timedelta(seconds=2)),
    retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE})),
    outlier_detection=OutlierDetection(consecutive_errors=5),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one size. The names are the table's columns."""

    services: float
    all_cpu_ms: float
    change_cpu_ms: float
    start_s: float
    change_s: float
    control_plane_mib: float
    envoy_mib: float


def fleet(services: int, targets: int, policy: TrafficPolicy) -> Document:
    return Document(tuple(service(number, targets, policy) for number in range(services)))


def service(number: int, targets: int, policy: TrafficPolicy) -> Service:
    name = f"service-{number:04d}"
    return Service(
        name,
        (Route("*", f"company.team.v1.Service{number:04d}"),),
        (Group(name),),
        tuple(
            Target(
                f"10.{number // 250}.{number % 250}.{target + 1}",
                50051,
                "us-east-1" + "abc"[target % 3],
                TargetState.SERVING,
                name,
                f"{number:016x}{target:016x}",
            )
            for target in range(targets)
        ),
        policy,
    )


def with_one_draining(document: Document) -> tuple[Document, str]:
    """The document after a change of one target, and the name of its service."""
    changed = document.services[len(document.services) // 2]
    first, *rest = changed.targets
    changed = replace(changed, targets=(replace(first, state=TargetState.DRAINING), *rest))
    others = tuple(each for each in document.services if each.name != changed.name)
    return Document((*others, changed)), changed.name


def cpu_ms(work: Callable[[], object], runs: int) -> float:
    """The least of several runs: what comes on top is other work of the machine."""
    taken = []
    for _ in range(runs):
        started = time.process_time()
        work()
        taken.append((time.process_time() - started) * 1000)
    return min(taken)


def snapshot_of(packed: Packed, decoder: DocumentDecoder, maker: SnapshotMaker) -> Snapshot:
    index = read_index(packed.index)
    return maker.make(assemble(index, packed.shards, decoder.decode), index.generation)


def work_of(before: Packed, after: Packed, runs: int) -> tuple[float, float]:
    """CPU milliseconds for all of it, and for a change of one target."""
    decoder, maker = DocumentDecoder(), SnapshotMaker(PORTS)
    turns = [after, before] * (runs + 1)
    snapshot_of(turns.pop(), decoder, maker)
    return (
        cpu_ms(lambda: snapshot_of(before, DocumentDecoder(), SnapshotMaker(PORTS)), runs),
        cpu_ms(lambda: snapshot_of(turns.pop(), decoder, maker), 2 * runs),
    )


def changed_in_envoy(running: Balancer, store: ParameterStore, packed: Packed, cluster: str) -> float:
    """Seconds from the publication until Envoy has it."""
    before = running.updates(cluster)
    published = time.monotonic()
    store.publish(packed)
    return seconds_until(lambda: running.updates(cluster) not in ("", before), published)


def figures(services: int, arguments: argparse.Namespace) -> Figures:
    document = fleet(services, arguments.targets, POLICY if arguments.policy else TrafficPolicy())
    changed, name = with_one_draining(document)
    before, after = pack(document), pack(changed)
    all_ms, change_ms = work_of(before, after, arguments.runs)
    print(f"{services} services: {all_ms:.0f} ms for all of it, {change_ms:.1f} ms for a change", flush=True)
    store = ParameterStore()
    threading.Thread(target=store.serve_forever, daemon=True).start()
    store.publish(before)
    started = time.monotonic()
    with contextlib.closing(store.socket), balancer(store) as running:
        start = seconds_until(lambda: running.admin("/ready") == "LIVE\n", started)
        turns = [after, before] * arguments.changes
        seconds = [changed_in_envoy(running, store, packed, name) for packed in turns]
        print(
            f"{services} services: ready after {start:.1f} s; {len(seconds)} changes reached Envoy after "
            f"{min(seconds):.2f} to {max(seconds):.2f} s",
            flush=True,
        )
        allocated = int(json.loads(running.admin("/memory"))["allocated"]) / 2**20
        resident = running.resident_mib()
        store.shutdown()
    return Figures(services, all_ms, change_ms, start, statistics.median(seconds), resident, allocated)


def table(rows: Mapping[str, Figures]) -> Iterator[str]:
    names = [field.name for field in fields(Figures)]
    yield " ".join(["      ", *(f"{name.replace('_', ' '):>18}" for name in names)])
    for title, row in rows.items():
        yield " ".join([f"{title:6}", *(f"{getattr(row, name):18.4g}" for name in names)])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--services", type=int, nargs="+", default=[50, 100, 200, 500], metavar="N", help="the sizes")
    parser.add_argument("--targets", type=int, default=10, metavar="N", help="of each service (default 10)")
    parser.add_argument("--policy", action="store_true", help="each service with deadline, retries and ejection")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of the work, the least counts (default 5)")
    parser.add_argument("--changes", type=int, default=4, metavar="N", help="pairs of changes (default 4)")
    arguments = parser.parse_args()
    for what in ("targets", "runs", "changes"):
        if not 1 <= getattr(arguments, what) <= 250:
            parser.error(f"--{what} must be 1 to 250, got {getattr(arguments, what)}")
    if not all(1 <= services <= 1000 for services in arguments.services):
        parser.error(f"--services must be 1 to 1000, got {arguments.services}")
    sizes = sorted(set(arguments.services))
    rows = {f"{services}": figures(services, arguments) for services in sizes}
    first, last = rows[f"{sizes[0]}"], rows[f"{sizes[-1]}"]
    growth = Figures(*(getattr(last, field.name) / getattr(first, field.name) for field in fields(Figures)))
    print(*table({**rows, "growth": growth}), sep="\n")
    print(f"with {sizes[-1]} services a change is 1/{last.all_cpu_ms / last.change_cpu_ms:.0f} of all of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
