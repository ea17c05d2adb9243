"""What open pages cost the balancer: CPU of its control plane, in percent of a core.

    python benchmarks/open_pages.py [--pages 0 1 50] [--services 20] [--targets 20] [--seconds 10]

A balancer is started (supervisor, control plane, Envoy) that reads a document of so many services, with so many targets
each, from a Parameter Store of this process. Half of the pages are the overview, half that of one service. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

from running_balancer import (
    Balancer,
    ParameterStore,
    balancer,
    seconds_until,
)  # it puts the packages beside this folder on the path

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState, pack

SETTLE_SECONDS = 4.0


def fleet(services: int, targets: int) -> Document:
    def service(number: int) -> Service:
        its = (
            Target(
                f"127.{number // 250 + 1}.{number % 250}.{place + 1}", 50051, "", TargetState.SERVING, "g", f"t{place}"
            )
            for place in range(targets)
        )
        return Service(f"service-{number}", (Route("*", f"pkg.v1.Service{number}"),), (Group("g"),), tuple(its))

    return Document(tuple(service(number) for number in range(services)))


@contextlib.contextmanager
def open_pages(port: int, count: int) -> Iterator[list[int]]:
    """Live pages, as a browser follows them; the bytes that each has read."""
    connections = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(count)]
    read = [0] * count

    def follow(number: int) -> None:
        path = "/" if number % 2 else "/services/service-0"
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            connections[number].request("GET", f"/live?page={path}", headers={"Accept-Encoding": "gzip"})
            answer = connections[number].getresponse()
            while part := answer.read1(65536):
                read[number] += len(part)

    threads = [threading.Thread(target=follow, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield read
    finally:
        # `close` alone waits for the lock that a thread holds while it reads.
        for connection in connections:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def is_shown(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/services/service-0")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measure(one: Balancer, pages: int, seconds: float) -> tuple[float, float]:
    """Percent of a core, and KiB a second for each page."""
    with open_pages(one.web_port, pages) as read:
        time.sleep(SETTLE_SECONDS)
        used, had, began = one.cpu_seconds(), sum(read), time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - began
        return 100 * (one.cpu_seconds() - used) / lasted, (sum(read) - had) / 1024 / lasted / max(1, pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[0, 1, 50])
    parser.add_argument("--services", type=int, default=20)
    parser.add_argument("--targets", type=int, default=20, help="of each service")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is measured")
    arguments = parser.parse_args()
    store = ParameterStore()
    threading.Thread(target=store.serve_forever, daemon=True).start()
    store.publish(pack(fleet(arguments.services, arguments.targets)))
    with balancer(store) as one:
        seconds_until(lambda: is_shown(one.web_port), time.monotonic())
        print(f"{arguments.services} services, {arguments.targets} targets each")
        for pages in arguments.pages:
            percent, kib = measure(one, pages, arguments.seconds)
            print(f"{pages:4} open pages: {percent:4.1f} % of a core, {kib:5.1f} KiB/s each", flush=True)


if __name__ == "__main__":
    main()
