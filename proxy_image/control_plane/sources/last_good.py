"""The last good document on disk, for a start while SSM is out of reach."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grpc_lb_contract import Cause, Document, DocumentError, assemble, read_index

log = logging.getLogger(__name__)

FILE_NAME = "last-good.json"


@dataclass(frozen=True, slots=True)
class Texts:
    """A generation as it was read: what its hashes are of."""

    index: str
    shards: Mapping[str, str]

    @property
    def generation(self) -> str:
        return read_index(self.index).generation

    @property
    def cause(self) -> Cause | None:
        return read_index(self.index).cause


class LastGood:
    """Keeps the texts of one SSM prefix. Trouble with the disk is logged and otherwise goes unnoticed."""

    def __init__(self, state_dir: Path, prefix: str) -> None:
        self._path = state_dir / FILE_NAME
        self._prefix = prefix
        self._saves = True

    def save(self, texts: Texts) -> None:
        content = json.dumps({"prefix": self._prefix, "index": texts.index, "shards": dict(texts.shards)})
        try:
            _write_whole(self._path, content)
        except OSError as error:
            if self._saves:
                log.warning(
                    "last good targets not saved",
                    extra={"facts": {"path": str(self._path), "error": str(error), "fix": "make it writable"}},
                )
            self._saves = False
        else:
            self._saves = True

    def load(self) -> tuple[Document, Texts] | None:
        """None where there is none, or none that can be trusted."""
        try:
            content = json.loads(self._path.read_text())
            texts = Texts(content["index"], dict(content["shards"]))
            if content["prefix"] != self._prefix:
                raise DocumentError(f"prefix must be {self._prefix}, got {content['prefix']!r}")
            return assemble(read_index(texts.index), texts.shards), texts
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            log.warning("last good targets ignored", extra={"facts": {"path": str(self._path), "error": str(error)}})
            return None


def _write_whole(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
