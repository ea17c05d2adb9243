"""Random label sets over every label that the contract knows: good, bad and hostile; the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

from grpc_lb_contract.labels.names import (
    ENABLE,
    GRPC_SERVICES,
    HOSTS,
    METADATA,
    METHODS,
    PORT,
    PRIORITY,
    ROUTE_SETTINGS,
    ROUTES,
    SERVICE,
    WEIGHT,
    route_label,
)
from grpc_lb_contract.labels.registration import PRIORITY_KIND, WEIGHT_KIND
from grpc_lb_contract.policy.traffic_policy import PREFIX, TABLE
from grpc_lb_contract.policy.value_types import ValueType

SETS = 1_000
MANY_SETS = 10_000
SEED = 4
MAPPED_PORT = 50051

# Texts of which every setting allows some: the ends of what it may hold, and what is between them.
_WORDS = ["true", "false", "x-key", "a.B", "UNAVAILABLE", "CANCELLED,INTERNAL", "ABORTED", "s1", "a.test"]
_METHODS = ["round-robin", "least-request", "random", "ring-hash", "maglev"]
_NUMBERS = ["0", "0.0001", "0.5", "1", "2", "10", "99.9999", "100", "1000", "1000000"]
_TIMES = ["1ms", "10ms", "20ms", "100ms", "1s", "59s", "1m", "1h", "24h"]
_PROTOCOL = ["none", "system", "*", "https://a.test,http://b.test:8080", "x-key,authorization", "A" * 43 + "="]
_TEXTS = _WORDS + _METHODS + _NUMBERS + _TIMES + _PROTOCOL

_HOSTS = ["*", "*.test", "A.test", *(f"h{number}.test" for number in range(40)), f"*.{'d' * 63}.test"]
_SERVICES = ["*", "a.B", "rng.v1.RandomNumber", "_._", *(f"pkg{number}.S" for number in range(40)), "s" * 255]
_FULL_METHODS = ["a.B/C", "rng.v1.RandomNumber/Get", *(f"pkg{number}.S/M" for number in range(40)), f"a.B/{'m' * 128}"]
_CONDITIONS = [
    "k=v",
    "k!=v",
    "k^=v",
    "k",
    "!k",
    "x-canary=yes",
    "k='\"\\^$(.*)+",
    "l=" + "v" * 128,
    "-",
    "k==",
    "k!==~",
]
_LISTS = {HOSTS: _HOSTS, GRPC_SERVICES: _SERVICES, METHODS: _FULL_METHODS, METADATA: _CONDITIONS}

_HOSTILE = [
    *("", " ", ",", ",,,,", "*", "**", "-", "--", ".", "/", "a/b", "a//b", "NaN", "inf", "-1", "+1", "1e309", "0x10"),
    *(
        "\0",
        "a\0b",
        "\n",
        "a\r\nb: c",
        "\x1b[31mred",
        "\u202e",
        "\u200b",
        "é",
        "١٢٣",
        "ﬁ",
        "ß",
        "İ",
        "😀" * 40,
        "\ud800",
    ),
    *("true\n", "%s%n", "${jndi:ldap://a}", "{{7*7}}", "<script>", "'; --", '"', "\\", "../../etc", "null", "None"),
    *("a" * 5_000, "9" * 5_000, "," * 5_000, "h," * 2_000, "*." * 500, "k=v," * 500, "a.B/C," * 300, "=" * 300),
    *("999999h", "9" * 9 + "h", "1.00001", "1 s", "1S", "TRUE", "Round-Robin", "localhost:80", "[::1]", "10.0.0.1"),
]
_HOSTILE_LABELS = [
    *(
        f"{PREFIX}{name}"
        for name in ("", ".", "x", "host", "\0", "é", "\ud800", "a" * 3_000, "retry", "retry.", "routes")
    ),
    *(f"{ROUTES}{name}" for name in ("", "a", "a.", ".a", "A.hosts", "a.b.c", "é.hosts", "a.host", "\0.hosts")),
    *(f"{ROUTES}{'n' * length}.hosts" for length in (63, 64, 3_000)),
    *(
        f"{ROUTES}a.{name}"
        for name in ("weight", "enable", "port", "retry", "retry.budget-min-concurrency", "limits.requests")
    ),
]


@cache
def allowed_texts(kind: ValueType) -> tuple[str, ...]:
    return tuple(text for text in _TEXTS if kind.read(text) is not None)


def label_sets(count: int, seed: int = SEED) -> Iterator[dict[str, str]]:
    chance = Random(seed)  # noqa: S311 - a fixed order, so that a failure comes again
    for _ in range(count):
        yield _label_set(chance)


def _label_set(chance: Random) -> dict[str, str]:
    labels = {ENABLE: "true", PORT: str(MAPPED_PORT), SERVICE: f"s{chance.randrange(1000)}"}
    for label in (HOSTS, GRPC_SERVICES, METHODS, METADATA):
        if chance.random() < (0.8 if label == HOSTS else 0.3):
            labels[label] = _list(chance, label)
    for label, kind in ((WEIGHT, WEIGHT_KIND), (PRIORITY, PRIORITY_KIND)):
        if chance.random() < 0.3:
            labels[label] = chance.choice(allowed_texts(kind))
    for row in TABLE:
        if chance.random() < 0.2:
            labels[row.label] = chance.choice(allowed_texts(row.setting.kind))
    for number in range(chance.choice((0, 0, 1, 2, 5))):
        for setting in chance.sample(ROUTE_SETTINGS, chance.randint(1, 4)):
            labels[route_label(f"r{number}", setting)] = _text_of_route(chance, PREFIX + setting)
    if chance.random() < 0.5:
        _spoil(chance, labels)
    return labels


def _list(chance: Random, label: str) -> str:
    values = _LISTS[label]
    return ", ".join(chance.choice(values) for _ in range(chance.choice((1, 1, 2, 3))))


def _text_of_route(chance: Random, label: str) -> str:
    if label in _LISTS:
        return _list(chance, label) if chance.random() < 0.9 else ""
    kinds = {PRIORITY: PRIORITY_KIND} | {row.label: row.setting.kind for row in TABLE}
    return chance.choice(allowed_texts(kinds[label]))


def _spoil(chance: Random, labels: dict[str, str]) -> None:
    """One to four labels that should not be there, or not so."""
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.2:
            labels[chance.choice(_HOSTILE_LABELS)] = chance.choice(_HOSTILE)
            continue
        label = chance.choice(sorted(labels))
        text = labels[label]
        place = chance.randint(0, len(text))
        labels[label] = chance.choice(
            [chance.choice(_HOSTILE), text[:place] + chance.choice(_HOSTILE) + text[place:], text[:place], text[::-1]]
        )
