"""Which containers, and how the provider names them."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import Box, Call, Job, LabelSet
from tests.traefik_labels.judge.words import A, box, full

_H2C = full({"services.s~.loadbalancer.server.scheme": "h2c"})


def _named(about: str, job: Job, *hosts: str) -> LabelSet:
    return LabelSet(about, (job,), tuple(Call(host, "/rng.~.R/Get") for host in hosts))


SETS: list[LabelSet] = [
    _named("the default rule of an ECS service", Job((Box(_H2C),)), "service-rng~-app", "family-rng~-app", "rng~-app"),
    _named("the default rule of RunTask", Job((Box(_H2C),), service=None), "service-~-app", "family-~-0-app"),
    _named(
        "the default rule of RunTask with a group of its own",
        Job((Box(_H2C),), service=None, group="nightly~"),
        "nightly~-app",
        "family-nightly~-app",
    ),
    _named(
        "a group with a colon",
        Job((Box(_H2C),), service=None, group="nightly~:x:y"),
        "nightly~-x-y-app",
        "nightly~-x:y-app",
    ),
    _named(
        "names with other characters",
        Job((Box(_H2C, name="my_app"),), service="Rng_~"),
        "service-Rng-~-my-app",
        "service-rng-~-my-app",
        "service-rng_~-my_app",
    ),
    LabelSet("several tasks", (Job((box(A),), tasks=3),)),
    LabelSet(
        "two ECS services of one Traefik service", (Job((box(A),), service="one~"), Job((box(A),), service="two~"))
    ),
    LabelSet(
        "two ECS services of one Traefik service, with several tasks",
        (Job((box(A),), service="one~", tasks=2), Job((box(A),), service="two~", tasks=2)),
    ),
    LabelSet("a sidecar without labels", (Job((box(A), Box({}, "sidecar", (8080,)))),)),
    LabelSet(
        "a sidecar with a web page",
        (
            Job(
                (
                    box(A),
                    Box(
                        full({"routers.w~.rule": "Host(`w.~`)", "services.w~.loadbalancer.server.port": "8080"}),
                        "web",
                        (8080,),
                    ),
                )
            ),
        ),
    ),
    LabelSet(
        "a sidecar with a web page on a part of the host",
        (
            Job(
                (
                    box(A),
                    Box(
                        full(
                            {
                                "routers.w~.rule": "Host(`a.~`) && PathPrefix(`/rng.~.R/`)",
                                "services.w~.loadbalancer.server.port": "8080",
                            }
                        ),
                        "web",
                        (8080,),
                    ),
                )
            ),
        ),
    ),
]
