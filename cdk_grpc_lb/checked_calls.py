"""Arguments that a method does not have, or of another type: told in a sentence, before anything is made."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from constructs import Construct

from cdk_grpc_lb.argument_types import check_arguments
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.validation import Props

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ANY_NUMBER = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def checked(method: _Function) -> _Function:
    """A method of a construct, or a function of its class that makes one, that names what is wrong with its arguments.

    Raises TypeError for arguments that there are not or that are missing, ValueError for those of another type.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(owner: Any, *args: Any, **kwargs: Any) -> Any:
        given = _named(f"{_class_of(owner).__name__}.{method.__name__}", signature, (owner, *args), kwargs)
        _check_place(_class_of(owner).__name__, given)
        check_arguments(_props(owner, given), method, given)
        return method(owner, *args, **kwargs)

    return call  # type: ignore[return-value]  # it takes and gives what the method does


def checked_init(construct: type[Any], init: _Function) -> _Function:
    """The same for what makes a construct. Its own code checks the types of its props."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is construct:
            given = _named(construct.__name__, signature, (self, *args), kwargs)
            _check_place(construct.__name__, given)
        init(self, *args, **kwargs)

    return call  # type: ignore[return-value]  # as above


def _named(
    called: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The arguments by name."""
    parameters = signature.parameters
    by_position = [each.name for each in parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in kwargs:
        if name not in parameters and not takes_any:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f": did you mean {near[0]}" if near else f", it has {', '.join(list(parameters)[1:]) or 'none'}"
            raise TypeError(f"{called} got an unexpected prop {name!r}{hint}")
    if len(args) > len(by_position):
        extra = repr(args[len(by_position)])
        names = ", ".join(f"{name}=" for name in parameters if name not in by_position)
        raise TypeError(f"{called} takes its props by name ({names or 'it has none'}), got {extra} without one")
    given = {**dict(zip(by_position, args, strict=False)), **kwargs}
    for name, parameter in parameters.items():
        if name not in given and parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER:
            raise TypeError(f"{called} must be given {name}, got none")
    return given


def _check_place(called: str, given: Mapping[str, Any]) -> None:
    if "scope" in given and not isinstance(given["scope"], Construct):
        raise TypeError(f"scope must be a construct, such as the stack (self), got {given['scope']!r} ({called})")
    if "id" in given and (not isinstance(given["id"], str) or not given["id"]):
        raise TypeError(f"id must be a string that is not empty, got {given['id']!r} ({called})")


def _props(owner: Any, given: Mapping[str, Any]) -> Props:
    if isinstance(owner, type):
        return Props(owner.__name__, f"{path_of(given['scope'])}/{given['id']}")
    return Props(type(owner).__name__, path_of(owner))


def _class_of(owner: Any) -> type[Any]:
    return owner if isinstance(owner, type) else type(owner)
