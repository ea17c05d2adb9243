"""Balancers of one app that would serve each other's services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.paths import identity_of, path_of
from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.tokens import is_unresolved

if TYPE_CHECKING:
    from cdk_grpc_lb.balancer.balancer_base import GrpcBalancerBase

_OF_APP: dict[str, list[GrpcBalancerBase]] = {}


def watch_overlap(balancer: GrpcBalancerBase) -> None:
    """Compare it, at synth, with the other balancers of its app."""
    of_app = _OF_APP.setdefault(identity_of(balancer.node.root), [])
    of_app.append(balancer)
    check_at_synth(balancer, _Overlap(balancer, of_app).validate)


class _Overlap:
    """Says at one balancer which services of others it would serve too."""

    def __init__(self, balancer: GrpcBalancerBase, of_app: Sequence[GrpcBalancerBase]) -> None:
        self._balancer = balancer
        self._of_app = of_app

    def validate(self) -> list[str]:
        problems = []
        for other, problem in self._problems():
            if self._balancer.is_imported or other.is_imported:
                # Of an imported one is not known what it takes, nor whether it is the other one.
                cdk.Annotations.of(self._balancer).add_warning_v2("cdk-grpc-lb:balancersOverlap", problem)
            else:
                problems.append(problem)
        return problems

    def _problems(self) -> Iterator[tuple[GrpcBalancerBase, str]]:
        balancer = self._balancer
        for other in self._of_app:
            shared = None if other is balancer else _shared_cluster(balancer, other)
            if shared is None:
                continue
            taken = [path for path, labels in other._admission.labels.items() if _takes(balancer, path, labels)]
            if taken:
                yield (
                    other,
                    f"{path_of(balancer)} would also serve {', '.join(taken)}, registered with {path_of(other)} of "
                    f"the same cluster, {path_of(shared)}: its calls to them would fail, because their security "
                    "groups do not let it in. Give each balancer only_services or only_label, let the services share "
                    "one balancer (balancer=), or register them with both",
                )


def _takes(balancer: GrpcBalancerBase, path: str, labels: Mapping[str, str]) -> bool:
    return path not in balancer._admission.labels and balancer._admission.takes(labels)


def _shared_cluster(one: GrpcBalancerBase, other: GrpcBalancerBase) -> ecs.ICluster | None:
    for cluster in one.clusters:
        if any(_surely_same(cluster, another) for another in other.clusters):
            return cluster
    return None


def _surely_same(one: ecs.ICluster, other: ecs.ICluster) -> bool:
    if path_of(one) == path_of(other):
        return True
    names = {one.cluster_name, other.cluster_name}
    return len(names) == 1 and not any(map(is_unresolved, names)) and _environment(one) == _environment(other)


def _environment(cluster: ecs.ICluster) -> tuple[str, str, str]:
    """The account and region that it is in, as far as they are known: unknown ones are the same within a stage only."""
    stack = cdk.Stack.of(cluster)
    stage = cdk.Stage.of(cluster)
    is_known = not is_unresolved(stack.account) and not is_unresolved(stack.region)
    return stack.account, stack.region, "" if is_known or stage is None else stage.node.path
