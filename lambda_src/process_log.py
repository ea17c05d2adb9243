"""What a process of the Lambda logs once, and again only where it changes: not with the refresh of every minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from lambda_src import log
from lambda_src.discovery.ecs_listing import Listing
from lambda_src.discovery.selection import Selection
from lambda_src.transform.balancers import overlapping, registered_elsewhere
from lambda_src.transform.document import Transformed
from lambda_src.transform.label_parsing import TraefikRemark
from traefik_labels import Outcome


class ProcessLog:
    """`prefix` and `selection` are those of the balancer whose document it is."""

    def __init__(self, prefix: str, selection: Selection) -> None:
        self._prefix = prefix
        self._selection = selection
        self._remarked: frozenset[TraefikRemark] = frozenset()
        self._overlap: frozenset[str] = frozenset()
        self._foreign: Mapping[str, str] = {}

    def tell(self, draft: Transformed, listing: Listing) -> None:
        self._tell_of_remarks(draft.remarks)
        self._tell_of_overlap(overlapping(draft.document.balancers, self._prefix, self._selection))
        names = {service.name for service in draft.document.services}
        foreign = registered_elsewhere(listing.tasks.values(), listing.definitions, names, self._prefix)
        self._tell_of_foreign_services(foreign)

    def _tell_of_remarks(self, remarks: Iterable[TraefikRemark]) -> None:
        """Each revision of a task definition once."""
        for one in remarks:
            if one not in self._remarked:
                facts = {
                    "family": one.family,
                    "revision": one.revision,
                    "container": one.container,
                    **asdict(one.remark),
                }
                if one.remark.outcome is Outcome.NOT_NEEDED:
                    log.info("traefik label", **facts)
                else:
                    log.warning("traefik label", **facts)
        self._remarked = frozenset(remarks)

    def _tell_of_overlap(self, others: frozenset[str]) -> None:
        """The balancers that this one takes services of."""
        if others and others != self._overlap:
            log.warning(
                "balancers overlap",
                others=sorted(others),
                problem="this balancer serves every labelled service of the cluster, those of the others too, which "
                "have to let it in; give each balancer only_services or only_label",
            )
        self._overlap = others

    def _tell_of_foreign_services(self, services: Mapping[str, str]) -> None:
        """Those that only other balancers let in, with the names of these."""
        if services and services != self._foreign:
            log.warning(
                "services of other balancers",
                services=dict(sorted(services.items())),
                problem="this balancer serves services that are registered with others alone, and whose security "
                "groups do not let it in; give it only_services or only_label, or register them with it too",
            )
        self._foreign = services
