"""Regular expressions over hosts: which hosts they may take, where no route can say so."""

from __future__ import annotations

import re
from functools import lru_cache

# What Go and Python read alike, with few repetitions and none of a group, so that no host takes long to compare:
# labels are untrusted.
_TOKEN = re.compile(
    r"\\[dw!-/:-@\[-`{-~]|\[\^?(?:[A-Za-z0-9_.-]|\\[.-])+\]|\(\?i\)|\(\?:|[()|^$.A-Za-z0-9_:-]"
    r"|\{(?![0-9])|\{[0-9]{1,2}(?:,[0-9]{0,2})?\}|\}|[+*?]"
)
_AFTER_GROUP = re.compile(r"\)[+*?{]")
_REPEATED = re.compile(r"(?<!\\)(?:[+*]|\{[0-9])")
_MOST_REPEATED = 2
_LONGEST = 500
# https://github.com/google/re2/wiki/Syntax
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_ENDS_WITH = re.compile(r"\\\.((?:[A-Za-z0-9_-]|\\\.)+)\$")


def may_take(pattern: str, host: str) -> bool:
    """Whether a host, in lower case, may be one that fits; True where that cannot be told."""
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(host) is not None or compiled.search(f"{host}.") is not None


def with_pythons_classes(pattern: str) -> str:
    """With `a-z` for `[:lower:]` and its like, which Python has not."""
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", characters)
    return pattern


def domain_of(pattern: str) -> str | None:
    """`example.com`, where nothing fits but what ends with `.example.com`."""
    found = _ENDS_WITH.search(pattern)
    if found is None or found.end() != len(pattern) or _has_alternatives(pattern):
        return None
    return found[1].replace("\\.", ".").lower()


def from_template(text: str) -> str:
    """Version 2's `{name:pattern}.example.com` as one regular expression."""
    parts = re.split(r"\{([^{}:]*)(?::([^{}]*))?\}", text)
    made = ""
    for number in range(0, len(parts), 3):
        made += parts[number].replace(".", "\\.")
        if number + 1 < len(parts):
            made += f"(?:{parts[number + 2] or '[^.]+'})"
    return f"^{made}$"


def is_refused(pattern: str) -> bool:
    """Whether Go takes it for no regular expression, as far as Python can tell."""
    try:
        re.compile(with_pythons_classes(pattern))
    except re.error:
        # What only Go has begins so.
        return re.search(r"\\[A-Za-z]|\(\?|\[:", pattern) is None
    return False


def _has_alternatives(pattern: str) -> bool:
    """Outside all groups, or where that cannot be told."""
    depth, at = 0, 0
    while at < len(pattern):
        found = _TOKEN.match(pattern, at)
        if found is None:
            return "|" in pattern
        depth += found[0] in ("(", "(?:")
        depth -= found[0] == ")"
        if found[0] == "|" and depth == 0:
            return True
        at = found.end()
    return False


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    pattern = with_pythons_classes(pattern)
    at = 0
    while at < len(pattern):
        found = _TOKEN.match(pattern, at)
        if found is None:
            return None
        at = found.end()
    if len(pattern) > _LONGEST or _AFTER_GROUP.search(pattern) or len(_REPEATED.findall(pattern)) > _MOST_REPEATED:
        return None
    try:
        return re.compile(pattern, re.ASCII)
    except re.error:
        return None
