"""Middlewares of versions 2 and 3: what routers do to calls before they reach a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from traefik_labels import policies
from traefik_labels.model import Draft
from traefik_labels.unsupported import MIDDLEWARES, remark, unsupported_setting
from traefik_labels.versions.middleware_checks import refusal

Settings = Mapping[str, str]
"""The names of labels, by what they set: `retry.attempts`."""

_DEEPEST_CHAIN = 8


class Middlewares:
    """Those of one container, and which of its routers have them."""

    def __init__(
        self, defined: Mapping[str, Settings], draft: Draft, ignored: Sequence[str], services: Set[str]
    ) -> None:
        self._defined = defined
        self._draft = draft
        self._ignored = {_own_name(name).lower() for name in ignored}
        self._services = services
        self._of_router: dict[str, list[str]] = {}

    def let_through(self, router: str, labels: Sequence[str | None]) -> bool:
        """Whether calls may come through this router although some of its middlewares have no counterpart. The labels
        name those of the router and of its service.
        """
        names: dict[str, str] = {}
        ends = [label is None or self._gather(names, label, self._draft.written[label], label) for label in labels]
        self._of_router[router] = list(names)
        return not [name for name, label in names.items() if not self._lets_through(name, label)] and all(ends)

    def used_by(self, router: str) -> frozenset[str]:
        return frozenset(self._of_router[router])

    def put(self, routers: Sequence[str], draft: Draft) -> None:
        """Put the labels for those middlewares that all of these routers have: a policy is a service's."""
        used = dict.fromkeys(name for router in routers for name in self._of_router[router])
        for name in used:
            settings = self._defined.get(name, {})
            if name.lower() in self._ignored or "chain.middlewares" in settings:
                continue
            everywhere = all(name in self._of_router[router] for router in routers)
            for kind in dict.fromkeys(_kind(setting) for setting in settings):
                labels = {setting: label for setting, label in settings.items() if _kind(setting) == kind}
                if kind in _READERS and everywhere:
                    _READERS[kind](draft, labels)
                elif kind in _READERS:
                    draft.leave_out(
                        next(iter(labels.values())),
                        "a policy holds for all calls of a service, and not every router has this middleware",
                    )
        everyone = {name for names in self._of_router.values() for name in names}
        for name, settings in self._defined.items():
            if name not in everyone and settings:
                draft.not_needed(next(iter(settings.values())), "no router of this container has it")

    def _gather(self, names: dict[str, str], label: str, text: str, origin: str, within: tuple[str, ...] = ()) -> bool:
        """Add those of a router or a chain, each once; False where a chain has no end, and Traefik refuses it."""
        if len(within) > _DEEPEST_CHAIN or (within and within[-1] in within[:-1]):
            self._draft.reject(label, f"must be chains of chains at most {_DEEPEST_CHAIN} deep, and none hold itself")
            return False
        ends = True
        for name in dict.fromkeys(map(_own_name, text.split(","))) if text else ():
            chain = self._defined.get(name, {}).get("chain.middlewares")
            if name in within or name not in names:
                names[name] = origin
                if chain is not None and not self._gather(
                    names, chain, self._draft.written[chain], origin, (*within, name)
                ):
                    ends = False
        return ends

    def _lets_through(self, name: str, label: str) -> bool:
        settings = self._defined.get(name)
        if name.lower() in self._ignored:
            self._draft.not_needed(label, f"calls may go without {name} (ignored_middlewares)")
            return True
        if settings is None:
            self._draft.leave_out(
                label,
                f"{name or 'an empty name'} is defined elsewhere, and may keep callers out: the router is left out "
                "(name it in ignored_middlewares where calls may go without)",
            )
            return False
        if len({_kind(setting) for setting in settings}) != 1:
            where = next(iter(settings.values()), label)
            self._draft.reject(where, f"must make {name} a middleware of one kind: Traefik leaves its routers out")
            return False
        kind = _kind(next(iter(settings)))
        refused = refusal(kind, {setting: self._draft.written[one] for setting, one in settings.items()})
        if refused is not None:
            setting, must_be = refused
            where = settings.get(setting, f"traefik.http.middlewares.{name}.{setting}")
            self._draft.reject(where, f"must be {must_be}: Traefik leaves its routers out")
            return False
        let_through = [self._lets_setting_through(setting, one) for setting, one in settings.items()]
        return all(let_through)

    def _lets_setting_through(self, setting: str, label: str) -> bool:
        row = unsupported_setting(MIDDLEWARES, setting)
        if row is not None:
            remark(self._draft, row, label)
            return not row.drops_router
        if setting == "errors.service":
            self._draft.leave_out(label, "a gRPC error is a status, not a page")
            return self._draft.written[label].removesuffix("@ecs") in self._services
        if _kind(setting) not in _READERS and setting != "chain.middlewares":
            self._draft.leave_out(label, "what is not known here may keep callers out: the router is left out")
            return False
        return True


def _own_name(name: str) -> str:
    return name.strip().removesuffix("@ecs")


def _kind(setting: str) -> str:
    return setting.partition(".")[0]


def _retry(draft: Draft, labels: Settings) -> None:
    for setting, label in labels.items():
        text = draft.written[label].strip()
        if setting == "retry.attempts" and policies.number(text):
            # Traefik counts the first try: https://github.com/traefik/traefik/blob/v3.6.0/pkg/middlewares/retry/retry.go
            draft.put("grpc-lb.retry.max-retries", str(int(text) - 1), label)
        elif setting == "retry.attempts":
            draft.reject(label, "must be a number of tries, 1 or more")
        elif setting == "retry.initialinterval":
            policies.put_time(draft, "grpc-lb.retry.base-backoff", label, text)
        else:
            draft.leave_out(label, "no label does this")


def _breaker(draft: Draft, labels: Settings) -> None:
    for setting, label in labels.items():
        if setting == "circuitbreaker.expression":
            policies.put_breaker(draft, label, draft.written[label])
        elif setting == "circuitbreaker.fallbackduration":
            policies.put_time(draft, policies.EJECTION_TIME, label, draft.written[label])
        else:
            draft.leave_out(label, "ejection has no such setting")


def _is_by_host(draft: Draft, labels: Settings, kind: str, *, by_default: bool) -> bool:
    criteria = {setting: label for setting, label in labels.items() if "sourcecriterion" in setting}
    if not criteria:
        return by_default
    return all(
        setting == f"{kind}.sourcecriterion.requesthost" and policies.is_true(draft.written[label].strip())
        for setting, label in criteria.items()
    )


def _rate_limit(draft: Draft, labels: Settings) -> None:
    label = labels.get("ratelimit.average", next(iter(labels.values())))
    texts = {setting: draft.written[one].strip() for setting, one in labels.items()}
    # By default it goes by the client's address:
    # https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/http/middlewares/ratelimit/
    if not _is_by_host(draft, labels, "ratelimit", by_default=False):
        draft.leave_out(label, policies.PER_CLIENT.format(ours=policies.CALLS_PER_SECOND))
    elif policies.number(texts.get("ratelimit.average", "0")) == 0:
        draft.not_needed(label, "an average of 0 is no limit")
    else:
        policies.put_rate(
            draft,
            label,
            average=texts["ratelimit.average"],
            period=texts.get("ratelimit.period", "1s"),
            burst=texts.get("ratelimit.burst", "1"),
            burst_label=labels.get("ratelimit.burst", label),
        )


def _in_flight(draft: Draft, labels: Settings) -> None:
    label = labels.get("inflightreq.amount", next(iter(labels.values())))
    # By default it goes by the host:
    # https://doc.traefik.io/traefik/v3.6/reference/routing-configuration/http/middlewares/inflightreq/
    if _is_by_host(draft, labels, "inflightreq", by_default=True):
        draft.put(policies.REQUESTS, draft.written[label].strip(), label)
        draft.differs(label, "it holds for each host; here for all calls of the service in flight in one balancer")
    else:
        draft.leave_out(label, policies.PER_CLIENT.format(ours=policies.REQUESTS))


def _grpc_web(draft: Draft, labels: Settings) -> None:
    for setting, label in labels.items():
        draft.put(policies.WEB, "true", label)
        if setting == "grpcweb.alloworigins":
            draft.put(policies.WEB_ORIGINS, draft.written[label].strip(), label)
        else:
            draft.leave_out(label, "no label does this")


_READERS: Mapping[str, Callable[[Draft, Settings], None]] = {
    "retry": _retry,
    "circuitbreaker": _breaker,
    "ratelimit": _rate_limit,
    "inflightreq": _in_flight,
    "grpcweb": _grpc_web,
}
