"""Functions as Lambda runs them: as their role, with the CPU that their memory buys, and cold at times.

ministack ends a function at its timeout by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime

from local_aws.behaviour.cpu_share import Governor
from local_aws.behaviour.edge import Edge
from local_aws.behaviour.timings import Functions


def patch_functions(edge: Edge, *, shares_cpu: bool) -> None:
    credentials = lambda_runtime.execution_credentials

    def of_role(config: dict[str, Any]) -> dict[str, str]:
        return {**credentials(config), "AWS_SESSION_TOKEN": str(config.get("Role", ""))}

    lambda_runtime.execution_credentials = of_role
    if shares_cpu:
        lambda_runtime.Worker.invoke = _governed(lambda_runtime.Worker.invoke, edge)


def _governed(invoke: Callable[..., Any], edge: Edge) -> Callable[..., Any]:
    def governed(worker: Any, *arguments: Any, **named: Any) -> Any:
        with worker._lock:
            process = worker._proc
            if process is not None and process.poll() is None and edge.is_cold():
                process.kill()
                process.wait()
            if process is None or process.poll() is not None:
                worker._spawn()  # with all of a CPU, as Lambda's init phase has
        governor = Governor(worker._proc.pid, Functions().cpu_share(int(worker.config.get("MemorySize", 128))))
        governor.start()
        try:
            return invoke(worker, *arguments, **named)
        finally:
            governor.stop()

    return governed
