"""Signatures as help() shows them: those of props that are declared elsewhere, and those of classes of jsii."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cdk_grpc_lb.checked_calls import checked_init

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type[Any])


def takes(props: Any, defaults: Mapping[str, Any]) -> Callable[[_Function], _Function]:
    """Show a function's ``**props`` as the keywords of a TypedDict."""

    def marked(function: _Function) -> _Function:
        shown = inspect.signature(function)
        own = [each for each in shown.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name),
                annotation=getattr(kind, "__forward_arg__", kind),
            )
            for name, kind in props.__annotations__.items()
        ]
        function.__signature__ = shown.replace(parameters=[*own, *keywords])  # type: ignore[attr-defined]  # inspect's own
        return function

    return marked


def shown(construct: _Class) -> _Class:
    """Show a class as its ``__init__`` takes arguments, which the metaclass of jsii hides, and have it name others."""
    whole = inspect.signature(construct.__init__)
    construct.__init__ = checked_init(construct, construct.__init__)
    _, *parameters = whole.parameters.values()
    construct.__signature__ = whole.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return construct
