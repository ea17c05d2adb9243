"""Which services a balancer takes, and which calls they have: what can be known of it at synth."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from constructs import Construct, IConstruct

from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.routing.groups import ServiceGroup, Validation
from cdk_grpc_lb.routing.labels import LabelledCalls
from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.tokens import is_token, is_unresolved, texts_of
from cdk_grpc_lb.validation import Props
from grpc_lb_contract.document.model import RouteMatch
from grpc_lb_contract.labels.names import SERVICE, is_ours
from grpc_lb_contract.policy.traffic_policy import PREFIX

_ALL_CALLS = "host * and gRPC service *"
_PATTERN = re.compile(r"[a-z0-9*?-]{1,63}")
# A container has it as a docker label, and `only_label` writes it as name=value.
_LABEL_NAME = re.compile(r"[^\s=:,]+")


@dataclass(frozen=True, slots=True)
class ServiceRegistry:
    """What a balancer takes, and what its services have asked for so far."""

    only_services: Sequence[str] | None
    only_label: str | None
    _holders: dict[RouteMatch, tuple[str, str]] = field(default_factory=dict)
    _names_of_ids: dict[str, str] = field(default_factory=dict)
    _groups: dict[str, ServiceGroup] = field(default_factory=dict)
    labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """The docker labels of each service that was registered, by its path."""

    @classmethod
    def checked(cls, props: Props, only_services: Sequence[str] | None, only_label: str | None) -> ServiceRegistry:
        """Raises ValueError for patterns that no name fits, and a label that no container can have."""
        check_admission(props, only_services, only_label)
        return cls(None if only_services is None else texts_of(only_services), only_label)

    def watch(self, balancer: Construct, *, knows_all: bool) -> None:
        """Look at all services together at synth. `knows_all` says that other apps hardly add to them."""
        check_at_synth(balancer, Validation(self._groups, knows_all=knows_all).validate)

    def admit(self, props: Props, labelled: LabelledCalls, service: IConstruct, *, name_is_given: bool) -> None:
        """Raise ValueError for a service that the balancer does not take, or that asks for another one's calls."""
        name = labelled.service_name
        if is_unresolved(name):
            return
        named_after = None if name_is_given else path_of(service)
        allowed = self.only_services
        if allowed is not None and not any(_may_fit(name, pattern) for pattern in allowed):
            raise props.error(
                "service_name", f"one that the balancer's only_services takes, {', '.join(allowed)}", repr(name)
            )
        if named_after is not None and self._names_of_ids.get(name, named_after) != named_after:
            raise props.error(
                "service_name",
                f"given where {self._names_of_ids[name]} has the same name by its id (the same to share its calls)",
                repr(name),
            )
        for route in labelled.routes:
            holder, holder_path = self._holders.get(route.match, (name, ""))
            if holder != name:
                calls = "all calls" if str(route) == _ALL_CALLS else f"the calls to {route}"
                raise props.sentence(
                    "hosts",
                    f"{holder_path} and {path_of(service)} both take {calls} on this balancer: give one of them "
                    "hosts=, grpc_services=, methods= or metadata= of its own, or both the same service_name= to "
                    "share them",
                )
        self._holders.update((route.match, (name, path_of(service))) for route in labelled.routes)
        if named_after is not None:
            self._names_of_ids[name] = named_after
        self._groups[path_of(service)] = ServiceGroup(service, labelled)

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether a container with these labels would be served, as far as they are known."""
        name = labels[SERVICE]
        if self.only_services is not None and not any(_may_fit(name, pattern) for pattern in self.only_services):
            return False
        if self.only_label is None or is_unresolved(name):
            return self.only_label is None
        label, has_value, value = self.only_label.partition("=")
        return label in labels and (not has_value or labels[label] == value)

    def labels_for(self, labelled: LabelledCalls, said: Mapping[str, str]) -> Mapping[str, str]:
        """The labels that a container needs, which says some already, to be taken in and to get its calls."""
        if self.only_label is None:
            return labelled.labels
        name, has_value, value = self.only_label.partition("=")
        return {**labelled.labels, name: value if has_value else said.get(name, "")}


def _may_fit(name: str, pattern: str) -> bool:
    return is_unresolved(pattern) or fnmatch.fnmatchcase(name, pattern)


def check_admission(props: Props, only_services: Sequence[str] | None, only_label: str | None) -> None:
    """Raise ValueError for patterns that no name fits, and a label that no container can have."""
    if only_services is not None:
        if isinstance(only_services, str) or not only_services:
            raise props.error(
                "only_services",
                "a list of names, with * and ? as wildcards (leave it out for all)",
                repr(only_services),
            )
        for pattern in texts_of(only_services):
            if not isinstance(pattern, str):
                raise props.error("only_services", "a list of names", repr(only_services))
            if not is_unresolved(pattern) and _PATTERN.fullmatch(pattern) is None:
                raise props.error("only_services", "names of a-z, 0-9 and -, with * and ? as wildcards", repr(pattern))
    if only_label is not None:
        name, _, _ = only_label.partition("=")
        if _LABEL_NAME.fullmatch(name) is None or is_ours(name) or is_token(name):
            raise props.error(
                "only_label",
                f"a label of your own whose name is known at synth, such as team=orders (not {PREFIX}...)",
                repr(only_label),
            )
