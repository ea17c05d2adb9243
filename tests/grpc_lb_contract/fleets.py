"""Documents of a chosen size."""

from __future__ import annotations

from ipaddress import IPv4Address

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState


def target(number: int, *, state: TargetState = TargetState.SERVING, group: str = "rng-service") -> Target:
    return Target(
        str(IPv4Address("10.0.0.0") + number),
        50051,
        "us-east-1" + "abc"[number % 3],
        state,
        group,
        f"{number * 2654435761:032x}",
    )


def fleet(targets: int, *, services: int = 1) -> Document:
    """`targets` targets, dealt to `services` services of one route each."""
    return Document(
        tuple(
            Service(
                f"service-{index}",
                (Route("*", f"pkg.v1.Service{index}"),),
                (Group("rng-service"),),
                tuple(target(number) for number in range(index, targets, services)),
            )
            for index in range(services)
        )
    )
