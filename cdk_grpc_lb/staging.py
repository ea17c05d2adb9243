"""The folders that an asset is made of, put side by side, wherever this package runs from.

The asset's hash comes from names and contents alone, so it is the same from a checkout and from an installed wheel as
long as what a machine leaves in such folders (byte code, caches, dotfiles) stays out.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

_PACKAGE = Path(__file__).resolve().parent
_LEFT_OUT = frozenset({"__pycache__", "tests"})
_STAGED = "grpc-lb-staged"


def stage(scope: Construct, *names: str) -> str:
    """Copy these folders of ours into one directory of the cloud assembly and return its path.

    The directory lives as long as the assembly: `cdk synth --no-staging` refers to it after this process has ended.
    The folders are read once a process, as an installed package is.
    """
    assembly = cdk.Stage.of(scope)
    if assembly is None:
        raise ValueError(f"scope must be in an App or a Stage, got one outside of any ({scope.node.path})")
    files, sums = _read_once(*names)
    within = Path(assembly.asset_outdir) / _STAGED
    staged = within / f"{'-'.join(names)}-{sums[:16]}"
    if not staged.exists():
        within.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=within) as unfinished:
            whole = Path(unfinished) / "whole"
            write(files, whole)
            whole.replace(staged)
    return os.fspath(staged)


@cache
def _read_once(*names: str) -> tuple[Mapping[str, bytes], str]:
    files = read([find_folder(name) for name in names])
    return files, digest(files)


def find_folder(name: str, package: Path = _PACKAGE) -> Path:
    """The folder where the wheel puts it, or beside the package. Raises FileNotFoundError when neither is there."""
    places = (package / "_assets" / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(
        f"the folder {name} must be at {places[0]} (installed) or {places[1]} (checkout), got neither: "
        "install cdk-grpc-lb again"
    )


def files_of(folder: Path) -> Iterator[Path]:
    """The files that belong into an asset, sorted by path."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in _LEFT_OUT or entry.suffix == ".pyc":
            continue
        if entry.is_dir():
            yield from files_of(entry)
        else:
            yield entry


def read(folders: list[Path]) -> dict[str, bytes]:
    """The content of each file that belongs into an asset, by its path there."""
    return {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for folder in folders
        for file in files_of(folder)
    }


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write them into a folder, readable for all whatever this machine's umask is: in a Lambda and in a container they
    are another user's. https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html
    """
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for written in (folder, *folder.rglob("*")):
        mode = written.stat().st_mode
        readable = mode | (0o555 if written.is_dir() else 0o444)
        # Only where it must be: not every file system knows modes.
        if readable != mode:
            written.chmod(readable)


def digest(files: Mapping[str, bytes]) -> str:
    """A hash of names and contents."""
    sums = hashlib.sha256()
    for name, content in files.items():
        sums.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return sums.hexdigest()
