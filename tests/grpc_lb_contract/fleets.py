"""Documents of a chosen size."""

from __future__ import annotations

from functools import cache

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState


@cache  # targets never change, and fleets of many sizes are made of the same ones
def target(number: int, *, state: TargetState = TargetState.SERVING, group: str = "rng-service") -> Target:
    return Target(
        f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
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
