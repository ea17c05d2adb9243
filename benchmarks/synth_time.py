"""How long `cdk synth` of the example takes, beside an app of the CDK's own NetworkLoadBalancedFargateService.

    python benchmarks/synth_time.py [--runs 9]

Each synth is a process of its own, as the CDK CLI starts it; the two apps take turns, so that a machine that is busy
for a while slows both. Exit code 1 where the ratio of the fastest ones, those that were disturbed least, is above the
bound.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOUND = 1.3
APPS = {"the example": ROOT / "app.py", "NetworkLoadBalancedFargateService": Path(__file__).parent / "plain_app.py"}


def synth_seconds(app: Path, context: str) -> float:
    node = Path(sys.executable).parent / "node"
    with tempfile.TemporaryDirectory() as out:
        env = {**os.environ, "CDK_OUTDIR": out, "CDK_CONTEXT_JSON": context, "PYTHONPATH": str(ROOT)}
        if node.exists():
            env.setdefault("JSII_NODE", str(node))
        started = time.perf_counter()
        subprocess.run([sys.executable, str(app)], env=env, check=True, capture_output=True)
        return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="synths of each app (default 9)")
    runs = parser.parse_args().runs
    if runs < 1:
        parser.error(f"--runs must be at least 1, got {runs}")
    context = json.dumps(json.loads((ROOT / "cdk.json").read_text())["context"])  # what the CLI hands to an app
    seconds: dict[str, list[float]] = {name: [] for name in APPS}
    for run in range(runs + 1):
        for name, app in APPS.items():
            took = synth_seconds(app, context)
            if run:  # the first one of each warms the file system's cache
                seconds[name].append(took)
                print(f"run {run} of {runs}: {took:5.2f} s  {name}", flush=True)
    for name, taken in seconds.items():
        print(f"fastest {min(taken):5.2f} s, median {statistics.median(taken):5.2f} s  {name}")
    example, plain = (min(taken) for taken in seconds.values())
    print(f"ratio {example / plain:.2f} (bound {BOUND})")
    return 0 if example / plain <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
