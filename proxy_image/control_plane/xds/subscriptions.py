"""What one ADS stream has asked for, been sent and accepted: the state-of-the-world protocol without any I/O.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from envoy.service.discovery.v3 import discovery_pb2

from proxy_image.control_plane.xds.resource_types import BY_URL, ResourceType
from proxy_image.control_plane.xds.snapshot import Resource, Resources, version_of

WILDCARD = "*"

# A string's and a set's or dictionary's entry's own, in CPython.
_BYTES_A_NAME = 100

_LED_TO = (ResourceType.CLUSTER, ResourceType.ENDPOINTS)
_LEADING = (ResourceType.LISTENER, ResourceType.ROUTES)


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of a DiscoveryRequest that matter here. `error` is None, or what the client says is wrong (NACK)."""

    type_url: str
    names: tuple[str, ...] = ()
    nonce: str = ""
    version: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    type: ResourceType
    version: str
    nonce: str
    resources: tuple[Resource, ...]

    @property
    def wire(self) -> bytes:
        """A DiscoveryResponse. Its parts in a row are one message: https://protobuf.dev/programming-guides/encoding/#last-one-wins"""
        own = discovery_pb2.DiscoveryResponse(
            version_info=self.version, nonce=self.nonce, type_url=self.type.url
        ).SerializeToString()
        return b"".join((own, *(resource.wire for resource in self.resources)))


class Meaning(Enum):
    """What a request turned out to be."""

    SUBSCRIPTION = auto()
    ACK = auto()
    NACK = auto()
    STALE = auto()
    UNKNOWN_TYPE = auto()


@dataclass(slots=True)
class _Subscription:
    wildcard: bool = False
    names: frozenset[str] = frozenset()
    named_before: bool = False
    sent: dict[str, Resource] = field(default_factory=dict)
    nonce: str = ""
    answered: bool = False
    accepted: bool = False
    owed: bool = False
    """An answer is due even where nothing changed."""


class Subscriptions:
    """The state of one stream: `receive` takes what the client says, `due` gives what it must now be sent."""

    def __init__(self) -> None:
        self._by_type: dict[ResourceType, _Subscription] = {}
        self._responses = 0

    def receive(self, request: Request) -> Meaning:
        resource_type = BY_URL.get(request.type_url)
        if resource_type is None:
            return Meaning.UNKNOWN_TYPE
        subscription = self._by_type.setdefault(resource_type, _Subscription())
        # A request with another nonce crossed with a later response: it answers nothing, but names what the client now
        # wants. A first request may carry version and nonce of an earlier stream; what the client holds is not known
        # then, so everything is sent.
        meaning = Meaning.SUBSCRIPTION
        if request.nonce and subscription.nonce and request.nonce != subscription.nonce:
            meaning = Meaning.STALE
        elif request.nonce and subscription.nonce and not subscription.answered:
            meaning = Meaning.ACK if request.error is None else Meaning.NACK
            subscription.answered, subscription.accepted = True, request.error is None
        if not _subscribe(subscription, resource_type, request.names) and meaning is Meaning.SUBSCRIPTION:
            # Nothing new, and nothing to answer: the client dropped these and asks again within one request (Envoy
            # when a cluster is replaced; go-control-plane#431, consul#10339). It waits for them, although they did
            # not change.
            subscription.owed = bool(subscription.nonce)
        return meaning

    def due(self, resources: Resources) -> list[Response]:
        """The responses that bring the client a step towards these resources.

        Make before break: listeners and routes wait until the client has answered clusters and endpoints, so that what
        they lead to is there. Envoy answers clusters once all of them are warm, for which it needs the endpoints: those
        do not wait (ClusterManagerImpl::updateClusterCounts in Envoy's source). Ask again after each request.
        """
        responses: list[Response] = []
        for resource_type in ResourceType:
            subscription = self._by_type.get(resource_type)
            if subscription is None or (resource_type in _LEADING and self._awaits_answers(_LED_TO)):
                continue
            wanted = _wanted(subscription, resources.by_type[resource_type])
            if resource_type is ResourceType.CLUSTER and not self._routes_are_settled(resources):
                # The routes that the client has may still name clusters that are gone: those leave after the routes.
                gone = [name for name in subscription.sent if name not in resources.by_type[resource_type]]
                wanted = {**wanted, **{name: subscription.sent[name] for name in sorted(gone)}}
            responses += self._response(resource_type, subscription, wanted)
        return responses

    def is_in_use(self, resources: Resources) -> bool:
        """Whether the client has taken all of these resources, and nothing is left that it had before."""
        for resource_type, there in resources.by_type.items():
            subscription = self._by_type.get(resource_type)
            if subscription is None:
                if there:
                    return False
                continue
            wanted = _wanted(subscription, there)
            kept = (
                subscription.sent if resource_type.is_full else {name: subscription.sent.get(name) for name in wanted}
            )
            if (wanted and not subscription.accepted) or wanted != kept:
                return False
        return True

    def names(self, resource_type: ResourceType) -> frozenset[str]:
        subscription = self._by_type.get(resource_type)
        return frozenset() if subscription is None else subscription.names

    @property
    def held_bytes(self) -> int:
        """About how much memory this takes: what the client made up, and what it was sent."""
        return sum(
            sum(map(len, each.names)) + _BYTES_A_NAME * (len(each.names) + len(each.sent))
            for each in self._by_type.values()
        )

    def _awaits_answers(self, types: Iterable[ResourceType]) -> bool:
        # Who no longer wants any of a type may not answer what came meanwhile (grpc-java#11232).
        asked = (self._by_type[each] for each in types if each in self._by_type)
        wanted = (each for each in asked if each.names or each.wildcard)
        return any(subscription.nonce and not subscription.answered for subscription in wanted)

    def _routes_are_settled(self, resources: Resources) -> bool:
        """Whether the client uses the listeners and routes of these resources, as far as it asked for any."""
        for resource_type in _LEADING:
            subscription = self._by_type.get(resource_type)
            if subscription is not None:
                wanted = _wanted(subscription, resources.by_type[resource_type])
                if not subscription.accepted or wanted != subscription.sent:
                    return False
        return True

    def _response(
        self,
        resource_type: ResourceType,
        subscription: _Subscription,
        wanted: Mapping[str, Resource],
    ) -> list[Response]:
        changed = {name: resource for name, resource in wanted.items() if subscription.sent.get(name) != resource}
        if resource_type.is_full:
            is_due = bool(changed) or wanted.keys() != subscription.sent.keys()
            # The first answer is owed even where it is empty: a client starts only after it.
            if not is_due and not subscription.owed and subscription.nonce:
                return []
            content = dict(wanted)
            subscription.sent = content
            version = version_of(content.values())
        else:
            content = dict(wanted) if subscription.owed else changed
            if not content:
                return []
            subscription.sent.update(content)
            version = version_of(subscription.sent.values())
        self._responses += 1
        subscription.nonce = str(self._responses)
        subscription.answered = subscription.accepted = False
        subscription.owed = False
        self._forget_what_warms(resource_type, changed)
        return [Response(resource_type, version, subscription.nonce, tuple(content.values()))]

    def _forget_what_warms(self, resource_type: ResourceType, changed: Iterable[str]) -> None:
        """A changed cluster waits for endpoints, a changed listener for routes, also where those did not change.

        https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#resource-warming
        """
        warms = resource_type.warms
        if warms is not None and warms in self._by_type:
            for name in changed:
                self._by_type[warms].sent.pop(name, None)


def _subscribe(subscription: _Subscription, resource_type: ResourceType, names: tuple[str, ...]) -> bool:
    """Take over what the client now wants. Says whether that is new."""
    wanted = frozenset(names) - {WILDCARD}
    # No names in the first request stand for all; later they stand for none (the protocol's legacy wildcard).
    wildcard = resource_type.is_full and (WILDCARD in names or (not names and not subscription.named_before))
    is_new = (wanted, wildcard) != (subscription.names, subscription.wildcard)
    if resource_type.is_full and wanted - subscription.names:
        subscription.owed = True  # even where it is not there: the answer that leaves it out says so
    if not wildcard:
        subscription.sent = {name: resource for name, resource in subscription.sent.items() if name in wanted}
    subscription.names, subscription.wildcard = wanted, wildcard
    subscription.named_before = subscription.named_before or bool(names)
    return is_new


def _wanted(subscription: _Subscription, there: Mapping[str, Resource]) -> dict[str, Resource]:
    if subscription.wildcard:
        return dict(there)
    return {name: there[name] for name in sorted(subscription.names) if name in there}
