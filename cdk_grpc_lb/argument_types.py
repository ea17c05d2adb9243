"""One check of the types of arguments, before anything uses them: jsii's own errors name neither prop nor construct."""

from __future__ import annotations

import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.tokens import is_token
from cdk_grpc_lb.validation import Props

_SUCH_AS: Mapping[str, str] = {
    "cdk.Duration": "cdk.Duration.seconds(45)",
    "ec2.IConnectable": 'a service, a function, a security group or ec2.Peer.ipv4("10.0.0.0/8")',
    "ec2.SubnetSelection": "ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)",
    "ecs.CapacityProviderStrategy": 'ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1)',
    "ecs.ContainerImage": 'ecs.ContainerImage.from_registry("example/orders:1")',
    "ecs.Secret": "ecs.Secret.from_secrets_manager(secret)",
    "acm.ICertificate": 'acm.Certificate.from_certificate_arn(self, "Certificate", "arn:aws:acm:…")',
    "route53.IHostedZone": "route53.HostedZone.from_hosted_zone_attributes(…)",
    "servicediscovery.INamespace": "servicediscovery.PrivateDnsNamespace(…)",
    "logs.RetentionDays": "logs.RetentionDays.ONE_WEEK",
}
# Checked where they are used, by errors with an example of their own.
_SAID_BETTER = frozenset({"metadata", "routes", "policy", "task_definition", "only_services", "balancer", "service"})
# Modules that few apps need, and that a check alone does not load: their types are known by name.
_BY_NAME: Mapping[str, str] = {
    "acm": "aws_certificatemanager",
    "cloudwatch": "aws_cloudwatch",
    "route53": "aws_route53",
    "servicediscovery": "aws_servicediscovery",
    "sns": "aws_sns",
}


def check_arguments(props: Props, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise ValueError for the first argument that is none of its type.

    :param function: Whose annotations say the types.
    :param given: The arguments by name; others in it are passed over.
    """
    its_type: Any = function  # mypy takes the __hash__ of a function for that of its type
    _check(props, _hints(its_type), given)


def check_props(props: Props, kind: type[Any], given: Mapping[str, Any]) -> None:
    """The same for those of a TypedDict; raises TypeError for a name that is none of them."""
    its_type: Any = kind
    hints = _hints(its_type)
    for name in given:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            hint = f": did you mean {near[0]}" if near else ""
            raise TypeError(f"{props.construct} got an unexpected prop {name!r}{hint} ({props.construct} {props.path})")
    _check(props, hints, given)


def _check(props: Props, hints: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name, hint in hints.items():
        if name in given and name not in _SAID_BETTER:
            wrong = _wrong(name, hint, given[name])
            if wrong is not None:
                where, expected, value = wrong
                raise props.error(where, _told(expected), repr(value), prop=name)


def _wrong(name: str, hint: Any, value: Any) -> tuple[str, Any, Any] | None:
    """Where the value is wrong, what is expected there, and what is there."""
    if _fits(hint, value):
        return None
    options = [option for option in _options(hint) if option is not type(None)]
    if len(options) == 1 and get_origin(options[0]) is not None:
        (option,) = options
        arguments = get_args(option)
        if issubclass(get_origin(option), Mapping) and isinstance(value, Mapping):
            for key, each in value.items():
                if not _fits(arguments[1], each):
                    return f"{name}[{key!r}]", arguments[1], each
        if _is_list(value):
            for number, each in enumerate(value):
                if not _fits(arguments[0], each):
                    return f"{name}[{number}]", arguments[0], each
    return name, hint, value


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits(hint: Any, value: Any) -> bool:
    return any(_fits_one(option, value) for option in _options(hint)) or _is_token(value)


def _fits_one(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return True
    if isinstance(hint, _Named):
        return hint.fits(value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(get_args(hint)[1], each) for each in value.values())
    if origin is not None and issubclass(origin, Sequence):
        (kind,) = get_args(hint)
        # A text where a list of texts is asked for is told with how to leave it out.
        return (kind is str and isinstance(value, str)) or (
            _is_list(value) and all(_fits(kind, each) for each in value)
        )
    if hint in (int, float):
        # Whole numbers are checked with their range, in one sentence.
        return isinstance(value, (int, float, str)) and (hint is int or not isinstance(value, (str, bool)))
    if getattr(hint, "_is_protocol", False):
        return _is_jsii(value) and all(_has(value, member) for member in _members(hint))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_jsii(value: Any) -> bool:
    return hasattr(type(value), "__jsii_type__") or hasattr(value, "__jsii_ref__") or _is_dynamic(value)


def _is_dynamic(value: Any) -> bool:
    """An object of an interface, whose class jsii does not tell."""
    return type(value).__name__ == "InterfaceDynamicProxy"


def _has(value: Any, member: str) -> bool:
    return any(hasattr(type(each), member) for each in (value, *getattr(value, "_delegates", ())))


@cache
def _members(protocol: Any) -> frozenset[str]:
    return frozenset(
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name in vars(base)
        if not name.startswith("_")
    )


def _is_token(value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False  # jsii cannot be asked about these
    plain = isinstance(value, (str, int, float, list)) or _is_jsii(value)
    return plain and not isinstance(value, bool) and is_token(value)


class _Named:
    """A type of a module that is not loaded unless the app has loaded it: then the type itself is asked."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.__name__ = name

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007 - it is what | is made of

    def __call__(self) -> None:  # typing takes what can be called for a type
        raise TypeError(self.__name__)

    def fits(self, value: Any) -> bool:
        loaded = sys.modules.get(f"aws_cdk.{_BY_NAME[self.module]}")
        return _is_jsii(value) and (loaded is None or _fits_one(getattr(loaded, self.__name__), value))


class _Module:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return _Named(self._name, name)


@cache
def _hints(of: Any) -> Mapping[str, Any]:
    names = {name: _Module(name) for name in _BY_NAME}
    modules = [sys.modules[base.__module__] for base in of.__orig_bases__] if hasattr(of, "__orig_bases__") else []
    scope: dict[str, Any] = {"ec2": ec2, "ecs": ecs, "cdk": cdk, **names}
    for module in (*modules, sys.modules[of.__module__]):
        scope = {**vars(module), **{name: value for name, value in scope.items() if name not in vars(module)}}
    annotations = of.__annotations__
    hints = {}
    for name, hint in annotations.items():
        text = getattr(hint, "__forward_arg__", hint)
        if name == "return":
            continue
        try:
            hints[name] = eval(text, scope) if isinstance(text, str) else hint  # noqa: S307 - our own annotations
        except NameError:
            hints[name] = Any  # of our own, and checked by who uses it
    return hints


def _told(hint: Any) -> str:
    options = [option for option in _options(hint) if option is not type(None)]
    return " or ".join(map(_told_one, options))


def _told_one(hint: Any) -> str:
    plain = {str: "a string", bool: "True or False", int: "a whole number", float: "a number"}
    if hint in plain:
        return plain[hint]
    origin = get_origin(hint)
    if origin is not None and issubclass(origin, Mapping):
        return f"a dict of {_plural(get_args(hint)[1])} by name"
    if origin is not None:
        return f"a list of {_plural(get_args(hint)[0])}"
    name = _name(hint)
    such_as = _SUCH_AS.get(name)
    if such_as is None:
        return f"{_article(name)} {name}"
    return (
        f"{_article(name)} {name}: {such_as}"
        if such_as.startswith("a ")
        else f"{_article(name)} {name} such as {such_as}"
    )


def _plural(hint: Any) -> str:
    if hint is str:
        return "strings"
    name = _name(hint)
    such_as = _SUCH_AS.get(name)
    return name if such_as is None else f"{name} such as {such_as}"


def _article(name: str) -> str:
    spoken_with_a_vowel = name.startswith(("a", "e", "sns.")) if "." in name else name[:1] in "AEIO"
    return "an" if spoken_with_a_vowel else "a"


def _name(hint: Any) -> str:
    if isinstance(hint, _Named):
        return f"{hint.module}.{hint.__name__}"
    module = str(getattr(hint, "__module__", ""))
    short = {"aws_cdk": "cdk", **{f"aws_cdk.{each}": each.removeprefix("aws_") for each in ("aws_ec2", "aws_ecs")}}
    if module in short:
        return f"{short[module]}.{hint.__name__}"
    if module.startswith("aws_cdk."):
        return f"{module.removeprefix('aws_cdk.').removeprefix('aws_')}.{hint.__name__}"
    return str(getattr(hint, "__name__", hint))
