"""Selection: which containers of a cluster are this balancer's, where several balancers or teams share the cluster."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

from grpc_lb_contract import service_name_from
from grpc_lb_contract.labels.names import ENABLE, SERVICE
from lambda_src.discovery.tasks import Container
from traefik_labels import TraefikLabels


@dataclass(frozen=True, slots=True)
class Selection:
    """`exposed_by_default` takes containers in that no label asks for. `only_services` are patterns (`*`, `?`) of the
    logical names that are taken, () for all; `only_label` is a label that a container must have, `name=value` or
    `name`, None for no such condition. `traefik` says how Traefik's labels are to be read, None for not at all.
    """

    exposed_by_default: bool = False
    only_services: tuple[str, ...] = ()
    only_label: str | None = None
    traefik: TraefikLabels | None = None

    def labels_of(self, container: Container, default_service: str) -> Mapping[str, str] | None:
        """The labels to read of a container, None for one that is passed over: it may be another balancer's."""
        labels = container.labels
        if self.exposed_by_default and ENABLE not in labels:
            if not container.ports:
                return None  # a sidecar
            labels = {**labels, ENABLE: "true"}
        return labels if self._has_label(labels) and self._has_name(labels, default_service) else None

    def _has_label(self, labels: Mapping[str, str]) -> bool:
        if self.only_label is None:
            return True
        name, separator, value = self.only_label.partition("=")
        return name in labels and (not separator or labels[name] == value)

    def _has_name(self, labels: Mapping[str, str], default_service: str) -> bool:
        name = labels.get(SERVICE, service_name_from(default_service)).strip()
        return self.takes(name)

    def takes(self, service: str) -> bool:
        """Whether a logical service of this name is this balancer's."""
        return not self.only_services or any(fnmatch.fnmatchcase(service, pattern) for pattern in self.only_services)
