"""What can be wrong with labels and with documents."""

from __future__ import annotations

from dataclasses import dataclass


class DocumentError(ValueError):
    """A target document that a reader must refuse whole, keeping the one it has."""


class UnknownFormat(DocumentError):  # noqa: N818 - the name says what is the matter, as its siblings' names do
    """The document's format is of a major version that this reader does not know."""


class MissingShard(DocumentError):  # noqa: N818
    """The index names a shard that the reader did not get."""


class MixedGenerations(DocumentError):  # noqa: N818
    """A shard, or all of them together, is not the content that the index names."""


class ForeignIndex(DocumentError):  # noqa: N818
    """The index was written for another cluster or parameter prefix."""


class OldIndex(DocumentError):  # noqa: N818
    """The index was written before the one that the reader has."""


class DocumentTooLarge(DocumentError):  # noqa: N818
    """The document has more shards than one index can name."""


@dataclass(frozen=True, slots=True, order=True)
class LabelError:
    """A docker label that cannot be applied: whose it is, what it holds, and what is allowed."""

    family: str
    label: str
    value: str
    problem: str

    def __str__(self) -> str:
        subject = self.label.rpartition(".")[2] or self.label
        return f"{subject} {self.problem}, got {self.value!r} (label {self.label} of task family {self.family})"
