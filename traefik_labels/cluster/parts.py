"""What one container's labels say, as far as other containers' labels have a say in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from traefik_labels.model import Container, Draft
from traefik_labels.rules.calls import Calls

Content = Mapping[str, object]

_PRIORITY = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(slots=True, eq=False)
class Router:
    """A router (or frontend), and what becomes of it.

    `label` holds its rule (or would, where the rule is the default one), `priority_label` its priority, "" for none.
    `calls` are those that routes can tell, `reach` is all that its rule may take. `service` is Traefik's name of where
    it sends them. A router that `is_kept_out` gets no route; where it `checks` calls, no other router may take them in
    its place, and else none of another service. One that is `apart` takes no call that comes to the balancer.
    """

    name: str
    label: str
    rule: str
    draft: Draft
    calls: tuple[Calls, ...] = ()
    reach: tuple[Calls, ...] = ()
    service: str = ""
    said_priority: str = ""
    priority_label: str = ""
    entry_points: frozenset[str] = frozenset()
    is_kept_out: bool = False
    checks: bool = False
    is_apart: bool = False
    written_priority: str = ""
    """What its routes have as priority; "" for none."""

    @property
    def priority(self) -> int:
        """As Traefik has it: https://doc.traefik.io/traefik/v3.6/routing/routers/#priority"""
        said = int(self.said_priority) if _PRIORITY.fullmatch(self.said_priority) else 0
        return said or len(self.rule.encode(errors="surrogatepass"))

    def keep_out(self, *, checks: bool = True) -> None:
        self.is_kept_out = True
        self.checks = self.checks or checks

    def leave_out(self, calls: Calls, why: str) -> None:
        """Take one alternative of its rule away, and say why."""
        self.calls = tuple(one for one in self.calls if one != calls)
        self.draft.leave_out(self.label, f"{why}{' (the other alternatives of the rule stay)' if self.calls else ''}")


@dataclass(slots=True, eq=False)
class Defined:
    """A router, service or middleware by its name, and what it says; `label` is one that says it."""

    kind: str
    name: str
    content: Content
    label: str


@dataclass(slots=True, eq=False)
class Served:
    """A service that a container is. `service` is Traefik's name of it, `wanted` the name that it would have here,
    which `is_said` by a label; `label` is one that says it, or would. `put` puts what it has beside its routes
    and its port.
    """

    service: str
    wanted: str
    is_said: bool
    label: str
    port: str
    port_label: str
    put: Callable[[Draft, list[Router]], None]
    name: str | None = None
    """Its name here; None for the one that it has without a label."""


@dataclass(slots=True, eq=False)
class Part:
    """What a container's labels say, as far as they can be read: routers, and the services that it is."""

    container: Container
    draft: Draft
    routers: list[Router]
    served: list[Served]
    defined: list[Defined] = field(default_factory=list)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The middlewares of each router, by the router's name."""
