"""Labels of versions 2 and 3 taken apart as Traefik does it: where it cannot, it leaves the whole container out.

https://github.com/traefik/paerser/tree/master/parser
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from traefik_labels.configuration.schema import STRUCTURES, VALUES, Type

ROOT = "traefik"
# What the ECS provider reads; a label beside these means nothing to it.
CONFIGURATION = ("traefik.http", "traefik.tcp", "traefik.udp", "traefik.tls.stores.default")
ENABLING = ("traefik.ecs.", "traefik.enable")

_WHOLE = re.compile(r"[+-]?[0-9]+")
# https://pkg.go.dev/time#ParseDuration
_TIME = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class CannotDecode(ValueError):  # noqa: N818 - the name says what is the matter
    """A label that Traefik cannot decode. The message goes on after "must be"."""

    def __init__(self, label: str, must_be: str) -> None:
        super().__init__(must_be)
        self.label = label


@dataclass(slots=True)
class Node:
    """A part of a label's name. `label` is one that has it, `is_off` says that Traefik takes no heed of it."""

    name: str
    label: str
    value: str = ""
    children: list[Node] = field(default_factory=list)
    is_said: bool = False
    is_off: bool = False
    overwritten: list[tuple[str, str]] = field(default_factory=list)
    """Of the root: labels, and those that say the same and stand behind them."""

    def child(self, name: str) -> Node | None:
        """The one of this name, which differs by case at most."""
        return next((node for node in self.children if node.name.casefold() == name.casefold()), None)

    def leaves(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """What is set below, by its path in lower case: `loadbalancer.server.port`."""
        for node in self.children:
            here = f"{path}{node.name.lower()}"
            if node.is_off and not node.children:
                yield here, node
            elif node.children:
                if node.value:
                    yield here, node
                yield from node.leaves(f"{here}.")
            else:
                yield here, node


def decode(labels: Mapping[str, str]) -> Node:
    """The configuration in a container's labels. Raises CannotDecode."""
    return _decode(labels, CONFIGURATION, "root")


def enabled(labels: Mapping[str, str]) -> bool | None:
    """What `traefik.enable` says, None where nothing does. Raises CannotDecode."""
    node = _decode(labels, ENABLING, "enabling").child("enable")
    return None if node is None else node.value in _TRUE


def _decode(labels: Mapping[str, str], filters: Sequence[str], structure: str) -> Node:
    root = Node(ROOT, "")
    for label in sorted(labels):
        if label.lower().startswith(tuple(filters)):
            _add(root, _parts(label), label, labels[label])
    _check_fields(root, structure)
    return root


def _parts(label: str) -> list[str]:
    root, *rest = label.split(".")
    if root != ROOT:
        raise CannotDecode(label, f"a label that begins with {ROOT}., in lower case")
    parts: list[str] = []
    for part in rest:
        if not part or part[0] == "[":
            raise CannotDecode(label, "a name whose parts are not empty and do not begin with [")
        name, bracket, index = part.partition("[")
        parts += [name, bracket + index] if bracket and part.endswith("]") else [part]
    return parts


def _add(root: Node, parts: Sequence[str], label: str, value: str) -> None:
    node = root
    for part in parts:
        found = node.child(part)
        if found is None:
            found = Node(part, label)
            node.children.append(found)
        node = found
    if node.is_said:
        root.overwritten.append((node.label, label))
    node.value, node.label, node.is_said = value, label, True


def _check_fields(node: Node, structure: str) -> None:
    fields = STRUCTURES[structure]
    for child in node.children:
        known = fields.get(child.name.lower())
        if known is None:
            allowed = ", ".join(sorted(name for name, one in fields.items() if not one.is_ignored)) or "nothing"
            raise CannotDecode(child.label, f"a setting that Traefik has ({allowed})")
        _check(child, known)


def _check(node: Node, known: Type) -> None:
    if known.kind in ("struct", "map"):
        if not node.children and not known.may_be_empty and not known.is_ignored:
            raise CannotDecode(node.label, f"followed by what it sets, as {node.name}. and a setting")
        node.is_off = known.may_be_empty and node.value != "" and node.value.lower() != "true"
    node.is_off = node.is_off or known.is_ignored
    if known.kind == "struct" or (known.kind == "list" and known.is_one and node.children):
        _check_fields(node, known.of)
    elif known.kind == "list" or (known.kind == "map" and known.of in STRUCTURES):
        for child in node.children:
            _check_fields(child, known.of)
    elif known.kind == "map" and known.of in VALUES:
        for child in node.children:
            _check_value(child, known.of)
    elif known.kind in VALUES:
        _check_no_fields(node, known.kind)
        if not node.is_off:
            _check_value(node, known.kind)
    elif known.kind == "list" and known.is_one:
        raise CannotDecode(node.label, f"followed by what it sets, as {node.name}. and a setting")
    if node.is_off:
        for _, leaf in node.leaves():
            leaf.is_off = True


def _check_no_fields(node: Node, kind: str) -> None:
    if kind == "l":
        for child in node.children:
            if child.children:
                raise CannotDecode(child.label, "a list of texts, with commas between")
    elif node.children:
        raise CannotDecode(node.children[0].label, f"{node.name} alone: it has no settings of its own")


def _check_value(node: Node, kind: str) -> None:
    text = node.value
    if kind == "b" and text not in _TRUE | _FALSE:
        raise CannotDecode(node.label, "true or false")
    if kind == "i" and (_WHOLE.fullmatch(text) is None or not -(2**63) <= int(text[:40]) < 2**63):
        raise CannotDecode(node.label, "a whole number, without spaces")
    if kind == "d" and _WHOLE.fullmatch(text) is None and _TIME.fullmatch(text) is None:
        raise CannotDecode(node.label, "a time such as 10s")
