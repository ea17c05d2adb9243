"""What `cdk synth` of the example costs, beside an app of the CDK's own NetworkLoadBalancedFargateService.

    python benchmarks/synth_time.py [--runs 9]

Each synth is a process of its own, as the CDK CLI starts it; the two apps take turns. The ratio that counts is that of
the CPU time (of Python and of the CDK's Node below it), because the time on the clock is also that of whatever else the
machine does. Exit code 1 where it is above the bound.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOUND = 1.3
APPS = {"the example": ROOT / "app.py", "NetworkLoadBalancedFargateService": Path(__file__).parent / "plain_app.py"}


@dataclass(frozen=True, slots=True)
class Cost:
    """In seconds."""

    cpu: float
    clock: float


def synth(app: Path, context: str) -> Cost:
    node = Path(sys.executable).parent / "node"
    with tempfile.TemporaryDirectory() as out:
        env = {**os.environ, "CDK_OUTDIR": out, "CDK_CONTEXT_JSON": context, "PYTHONPATH": str(ROOT)}
        if node.exists():
            env.setdefault("JSII_NODE", str(node))
        cpu, clock = cpu_of_children(), time.perf_counter()
        subprocess.run([sys.executable, str(app)], env=env, check=True, capture_output=True)
        return Cost(cpu_of_children() - cpu, time.perf_counter() - clock)


def cpu_of_children() -> float:
    """Of those that have ended, and their own children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="synths of each app (default 9)")
    runs = parser.parse_args().runs
    if runs < 1:
        parser.error(f"--runs must be at least 1, got {runs}")
    context = json.dumps(json.loads((ROOT / "cdk.json").read_text())["context"])  # what the CLI hands to an app
    costs: dict[str, list[Cost]] = {name: [] for name in APPS}
    for run in range(runs + 1):
        for name, app in APPS.items():
            cost = synth(app, context)
            if run:  # the first one of each warms the file system's cache
                costs[name].append(cost)
                print(f"run {run} of {runs}: {cost.cpu:5.2f} s CPU, {cost.clock:5.2f} s  {name}", flush=True)
    cpu = {name: statistics.median(cost.cpu for cost in taken) for name, taken in costs.items()}
    clock = {name: min(cost.clock for cost in taken) for name, taken in costs.items()}
    for name in APPS:
        print(f"median {cpu[name]:5.2f} s CPU, fastest {clock[name]:5.2f} s  {name}")
    (example, plain), (fastest, plain_fastest) = cpu.values(), clock.values()
    print(f"ratio {example / plain:.2f} of CPU (bound {BOUND}), {fastest / plain_fastest:.2f} of the fastest synths")
    return 0 if example / plain <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
