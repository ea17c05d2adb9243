"""A base image without a registry: Debian with its own Python, by mmdebstrap from the mirror that apt uses here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from local_aws.containers.namespaces import in_own
from local_aws.containers.places import CACHE
from local_aws.errors import LocalAwsError
from local_aws.process.commands import output_of, run

REPOSITORY = "localhost/grpc-lb-base"
PACKAGES = ("ca-certificates", "python3", "python3-venv", "usr-is-merged")
# Makes /bin and the like links into /usr, as debootstrap does: otherwise a package of Debian's does it, in Perl.
MERGE_USR = "--hook-directory=/usr/share/mmdebstrap/hooks/merged-usr"
# What a base image on a registry leaves out as well.
NOT_IN_AN_IMAGE = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/log",
    "var/lib/apt/lists",
)
EMPTIED = ("var/cache/apt", "var/cache/debconf")


@dataclass(frozen=True, slots=True)
class Source:
    mirror: str
    suite: str

    @property
    def tag(self) -> str:
        """By what it is made from; the mirror is a matter of the machine."""
        recipe = repr((self.suite, PACKAGES, NOT_IN_AN_IMAGE, EMPTIED))
        return f"{REPOSITORY}:{self.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def read_source(os_release: str, index_targets: str) -> Source:
    """This machine's own release, from the first of apt's mirrors that has the main part of it.

    `index_targets` is what `apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)'` says.
    Raises LocalAwsError.
    """
    names = dict(line.partition("=")[::2] for line in os_release.splitlines())
    suite = names.get("VERSION_CODENAME", "").strip('"')
    for line in index_targets.splitlines():
        mirror, _, rest = line.partition(" ")
        if rest.split() == [suite, "main"]:
            return Source(mirror, suite)
    raise LocalAwsError(f"apt must know a mirror of {suite or 'this system'} main, got none; see: apt-get indextargets")


async def source() -> Source:
    targets = await output_of("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)")
    return read_source(_os_release(), targets)


def _os_release() -> str:
    return Path("/etc/os-release").read_text()


async def make(made_from: Source) -> Path:
    """The base's file system as a folder, for `podman import`. Raises LocalAwsError.

    mmdebstrap makes the same as debootstrap for half of its work: that unpacks the first packages twice.
    """
    root = CACHE / "base"
    shutil.rmtree(root, ignore_errors=True)
    await run(
        # In namespaces of its own: mmdebstrap mounts things in there, and a killed one would leave them.
        *in_own(["mmdebstrap", "--mode=root", "--variant=minbase", MERGE_USR], network=False),
        *(f"--include={','.join(PACKAGES)}", "--format=directory", made_from.suite, str(root), made_from.mirror),
        log=CACHE / "mmdebstrap.log",
        environment=dict(os.environ),
    )
    await asyncio.to_thread(_slim, root)
    return root


def _slim(root: Path) -> None:
    for folder in NOT_IN_AN_IMAGE:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    for folder in EMPTIED:
        for entry in (root / folder).rglob("*"):
            if entry.is_file():
                entry.unlink()
