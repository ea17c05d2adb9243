"""Who a gRPC client is, by what its xDS node says, and which policies it can follow.

The first versions are those of https://github.com/grpc/grpc/blob/master/doc/grpc_xds_features.md. A client of an
unknown language or version is sent what every gRPC client knows (gRFC A27, A28).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Language(StrEnum):
    """An implementation of gRPC with xDS. Python, Ruby, PHP and C++ share one: C-core."""

    CORE = "C-core"
    JAVA = "Java"
    GO = "Go"
    NODE = "Node"
    OTHER = "other"


class Feature(StrEnum):
    """What not every client knows, by its gRFC (https://github.com/grpc/proposal)."""

    TIMEOUT = "A31"
    FAULT = "A33"
    RING_HASH = "A42"
    RETRY = "A44"
    OUTLIER = "A50"
    POLICY_LIST = "A52"
    """A list of balancing policies, of which a client takes the first that it knows."""
    LEAST_REQUEST = "A48"
    """Only with `POLICY_LIST`, so that a client that has it switched off takes the next one."""
    EARLY_TIMEOUT = "#34547"
    """A fault, https://github.com/grpc/grpc/issues/34547: a timeout of the configuration ends calls 1 to 2 s early."""


class Quoted(StrEnum):
    """What a client's error quotes of a service that has no targets: there it is told which names exist."""

    CLUSTER = "the cluster's name"
    DROPS = "the category of dropped calls"
    ADDRESS = "the address that it cannot connect to"


_QUOTED = {Language.NODE: Quoted.DROPS, Language.GO: Quoted.ADDRESS}

Version = tuple[int, ...]

# C-core counts its versions by itself: 29 came with 1.51, 32 with 1.55. Where the releases before that are not one to
# one, the later one is taken: a policy that comes late does less harm than one that is rejected.
FIRST_VERSIONS: Mapping[Language, Mapping[Feature, Version]] = {
    Language.CORE: {
        Feature.TIMEOUT: (17,),
        Feature.FAULT: (17,),
        # Known from 20 on, but 29 (1.51) ends its process with it: https://github.com/grpc/grpc/issues/31766.
        Feature.RING_HASH: (31,),
        Feature.RETRY: (20,),
        Feature.OUTLIER: (29,),
        Feature.POLICY_LIST: (32,),
        # Measured in 1.51 to 1.85.
        Feature.EARLY_TIMEOUT: (17,),
    },
    Language.JAVA: {
        Feature.TIMEOUT: (1, 37, 1),
        Feature.FAULT: (1, 37, 1),
        Feature.RING_HASH: (1, 40, 1),
        Feature.RETRY: (1, 40, 1),
        Feature.OUTLIER: (1, 49),
        Feature.POLICY_LIST: (1, 47),
        Feature.LEAST_REQUEST: (1, 48),
    },
    Language.GO: {
        Feature.TIMEOUT: (1, 37),
        Feature.FAULT: (1, 37),
        Feature.RING_HASH: (1, 41),
        Feature.RETRY: (1, 41),
        Feature.OUTLIER: (1, 50),
        Feature.POLICY_LIST: (1, 56),
    },
    Language.NODE: {
        Feature.TIMEOUT: (1, 4),
        Feature.FAULT: (1, 4),
        Feature.RING_HASH: (1, 10),
        Feature.RETRY: (1, 8),
        Feature.OUTLIER: (1, 7),
        Feature.POLICY_LIST: (1, 10),
    },
    Language.OTHER: {},
}

# The document has ring hash and retries for C++ and Python only.
_NOT_IN_RUBY_AND_PHP = frozenset({Feature.RING_HASH, Feature.RETRY})

# As the implementations call themselves in `user_agent_name`, and where the number is in `user_agent_version`.
_AGENTS = (
    (re.compile(r"gRPC C-core\b"), re.compile(r"C-core (\d{1,4}(?:\.\d{1,4}){0,2})"), Language.CORE),
    (re.compile(r"gRPC Java\b"), re.compile(r"(\d{1,4}(?:\.\d{1,4}){1,2})"), Language.JAVA),
    (re.compile(r"gRPC Go\b"), re.compile(r"(\d{1,4}(?:\.\d{1,4}){1,2})"), Language.GO),
    (re.compile(r"gRPC Node\b"), re.compile(r"(\d{1,4}(?:\.\d{1,4}){1,2})"), Language.NODE),
)
# C-core's wrappers add their name to the agent, and to its version their own: "C-core 58.0.0 1.85.1", in Python
# "C-core 58.0.0 Python 1.85.1". Builds of Linux distributions add neither.
_WRAPPERS = {"python": "Python", "ruby": "Ruby", "php": "PHP"}
_WRAPPER = re.compile(rf"\b({'|'.join(_WRAPPERS)})$", re.IGNORECASE)
_WRAPPERS_VERSION = re.compile(r"C-core \S+ (?:\w+ )?(\d{1,4}(?:\.\d{1,4}){0,2})")


@dataclass(frozen=True, slots=True, order=True)
class ClientKind:
    """A kind of client: `language` and `version` decide what it is sent, `name` is for people ("Python 1.85.1")."""

    language: Language = Language.OTHER
    version: Version = ()
    name: str = "unknown"

    @property
    def features(self) -> frozenset[Feature]:
        """All that it can follow beyond what every client can."""
        return _features(self)

    @property
    def quoted(self) -> Quoted:
        return _QUOTED.get(self.language, Quoted.CLUSTER)


@functools.lru_cache(maxsize=1_000)
def _features(kind: ClientKind) -> frozenset[Feature]:
    first = FIRST_VERSIONS[kind.language]
    known = frozenset(feature for feature, version in first.items() if kind.version >= version)
    return known - _NOT_IN_RUBY_AND_PHP if kind.name.startswith(("Ruby", "PHP")) else known


def read_client_kind(node: Any) -> ClientKind:
    """Of a `core.v3.Node`. Never raises: the node is what a stranger says."""
    agent, version = node.user_agent_name[:200], node.user_agent_version[:200]
    for name, number, language in _AGENTS:
        found = number.search(version) if name.match(agent) else None
        if found is not None:
            wrapper, own = _WRAPPER.search(agent), _WRAPPERS_VERSION.match(version)
            shown = f"{_WRAPPERS[wrapper[1].lower()]} {own[1]}" if wrapper and own else f"{language} {found[1]}"
            return ClientKind(language, tuple(map(int, found[1].split("."))), shown)
    return ClientKind()
