"""The cost of telemetry in Envoy: CPU time of a call with statistics, traces or an access log, beside none.

    python benchmarks/telemetry_cost.py [--rounds 30] [--calls 3000] [--each 3]

All Envoys have the balancer's own configuration; load, turns and figures are those of envoys.py. The ratio is to those
with all off, and how far Envoys of one way differ from each other says what chance makes of it.
"""

from __future__ import annotations

import argparse
import asyncio

from envoys import Way, add_arguments, measure, report
from grpc_server import server

OFF = {"GRPC_LB_CALL_STATISTICS": "off"}
# An empty answer is a whole ExportTraceServiceResponse.
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def ways(collector: int) -> dict[str, Way]:
    traced = {**OFF, "GRPC_LB_TRACING_COLLECTOR": f"127.0.0.1:{collector}"}
    return {
        "all off": Way(OFF),
        "statistics by service": Way({"GRPC_LB_CALL_STATISTICS": "services"}),
        "statistics by service, read each second": Way({"GRPC_LB_CALL_STATISTICS": "services"}, is_read=True),
        "statistics by method": Way({"GRPC_LB_CALL_STATISTICS": "methods"}),
        "traces, 1 %": Way({**traced, "GRPC_LB_TRACING_PERCENT": "1"}),
        "traces, 100 %": Way({**traced, "GRPC_LB_TRACING_PERCENT": "100"}),
        "access log, failures (of which there are none)": Way({**OFF, "GRPC_LB_ACCESS_LOG": "failures"}),
        "access log, 1 %": Way({**OFF, "GRPC_LB_ACCESS_LOG": "sampled"}),
        "access log, all": Way({**OFF, "GRPC_LB_ACCESS_LOG": "all"}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    with server(EXPORT, "") as collector:
        for line in report(asyncio.run(measure(ways(collector), options.rounds, options.calls, options.each))):
            print(line)


if __name__ == "__main__":
    main()
