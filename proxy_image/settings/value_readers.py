"""How the text of a variable is read: each reader raises ValueError with what is allowed."""

import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path

LOG_LEVELS = ("debug", "info", "warning", "error")


def read_parameter_prefix(text: str) -> str:
    # Parameter names: letters, digits and ._-/ (SSM API reference, PutParameter).
    prefixes = text.split(",")
    if any(re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", prefix) is None for prefix in prefixes):
        raise ValueError(
            "must be a parameter path such as /grpc-lb/stack/name, of letters, digits and ._-, or several with commas"
        )
    if len(set(prefixes)) != len(prefixes):
        raise ValueError("must be parameter paths that differ")
    return text


def read_bind_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address of this machine, or 0.0.0.0 for all of them") from None


def read_hosts(text: str) -> str:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name != "*" and re.fullmatch(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name) is None:
            raise ValueError("must be host names with commas, such as lb.example.com,*.corp.example.com, or *")
    return ",".join(names)


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) is None or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number {lowest}..{highest}")
        return int(text)

    return read


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:  # NaN compares false
            raise ValueError(f"must be seconds, {lowest:g}..{highest:g}")
        return value

    return read


def read_path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("must be a path")
    return Path(text)


def read_flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def read_log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.lower()


def matching(pattern: str, rule: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be {rule}")
        return text

    return read
