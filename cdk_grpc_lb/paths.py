"""Where constructs are, which never changes: the CDK is asked once, because each question is a call to its Node."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import aws_cdk as cdk
from constructs import IConstruct

_PATHS: WeakKeyDictionary[IConstruct, str] = WeakKeyDictionary()
_STACKS: WeakKeyDictionary[IConstruct, str] = WeakKeyDictionary()


def path_of(construct: IConstruct) -> str:
    """Its path from the app on, ``Stack/Service``."""
    if construct not in _PATHS:
        _PATHS[construct] = construct.node.path
    return _PATHS[construct]


def stack_path_of(construct: IConstruct) -> str:
    """The path of its stack."""
    if construct not in _STACKS:
        _STACKS[construct] = path_of(cdk.Stack.of(construct))
    return _STACKS[construct]


def in_one_stack(one: IConstruct, other: IConstruct) -> bool:
    return stack_path_of(one) == stack_path_of(other)


def identity_of(construct: IConstruct) -> str:
    """What identifies it in this process. What Node has made is another object in Python each time it is asked for."""
    reference: Any = construct.__jsii_ref__  # type: ignore[attr-defined]  # jsii's own, of all that Node knows
    return str(reference.ref)
