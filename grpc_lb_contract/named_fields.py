"""Settings that name the field that is meant where a misspelt one is given."""

from __future__ import annotations

from typing import Any, ClassVar, Self


class NamedFields:
    """A dataclass that raises TypeError with its fields for one that it does not have."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __new__(cls, *_values: object, **named: object) -> Self:
        known = cls.__dataclass_fields__
        for name in named:
            if name not in known:
                import difflib  # only here: the Lambda and the balancer misspell nothing, and start sooner

                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}" if near else f"it has {', '.join(known)}"
                raise TypeError(f"{cls.__name__} got an unexpected field {name!r}: {hint}")
        return super().__new__(cls)
