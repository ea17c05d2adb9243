"""A run's own addresses, so that two checkouts can run at once.

Linux answers on all of 127.0.0.0/8 without any set-up. A run takes 127.0.N.0/24 by an abstract Unix socket of its name,
so that the range stays taken while nobody listens there, as in an outage, and until the last process that has the
socket is gone.
Tasks that are containers have a bridge of their own, 10.88.0.0/24, inside a network namespace of the run.
"""

from __future__ import annotations

import errno
import random
import socket
from dataclasses import dataclass

from local_aws.errors import LocalAwsError

FRONT_HOST, GATEWAY_HOST, METADATA_HOST = 1, 2, 3
BALANCER_HOSTS = range(10, 20)
TASK_HOSTS = range(20, 255)
GATEWAY_PORT = 4566  # what AWS stand-ins are known by
METADATA_PORT = 4567  # the ECS agent's, 51678, is one of those that systems hand out to whoever asks for any


@dataclass(frozen=True, slots=True)
class Range:
    number: int
    net: str = "127.0"

    def address(self, host: int) -> str:
        return f"{self.net}.{self.number}.{host}"

    @property
    def front(self) -> str:
        return f"http://{self.address(FRONT_HOST)}:{GATEWAY_PORT}"

    @property
    def gateway(self) -> str:
        return f"http://{self.address(GATEWAY_HOST)}:{GATEWAY_PORT}"

    @property
    def metadata(self) -> str:
        return f"{self.address(METADATA_HOST)}:{METADATA_PORT}"


BRIDGE = Range(0, net="10.88")


@dataclass(frozen=True, slots=True)
class Claim:
    addresses: Range
    held: socket.socket
    """The range is taken as long as this is open, in whichever process."""
    front: socket.socket
    """Listens where the run's clients look for AWS."""


def claim_bridge() -> Claim:
    """The range of the bridge, which nobody else can be on: the network namespace is the run's own."""
    try:
        return _claim(BRIDGE)
    except OSError as error:
        raise LocalAwsError(
            f"the bridge's address {BRIDGE.address(FRONT_HOST)} must be there, got '{error.strerror}': "
            "tasks run as containers only inside the namespaces that `make containers` makes"
        ) from error


def claim_range() -> Claim:
    """A range nobody else runs on."""
    numbers = random.sample(range(16, 250), k=40)  # 127.0.0 and 127.0.1 are the machine's own names
    problem: OSError | None = None
    for number in numbers:
        try:
            return _claim(Range(number))
        except OSError as error:
            problem = error
            if error.errno != errno.EADDRINUSE:
                break
    if problem is not None and problem.errno == errno.EADDRNOTAVAIL:
        raise LocalAwsError(
            "every address of 127.0.0.0/8 must be bindable, got 'address not available': this works on Linux "
            "(on macOS only 127.0.0.1 is there); run it in a Linux virtual machine or container"
        )
    raise LocalAwsError(
        f"a range 127.0.N.0/24 with port {GATEWAY_PORT} free must be there, got '{problem}' on 40 of them; "
        f"stop the program that listens on all addresses: ss -ltnp 'sport = :{GATEWAY_PORT}'"
    )


def _claim(addresses: Range) -> Claim:
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0grpc-lb {addresses.address(0)}")  # unix(7): a name in no folder, one a network namespace
        front = socket.create_server((addresses.address(FRONT_HOST), GATEWAY_PORT), backlog=512)
    except OSError:
        held.close()
        raise
    return Claim(addresses, held, front)
