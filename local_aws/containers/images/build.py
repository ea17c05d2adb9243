"""Builds the image of every asset of the example, from the very folder that `cdk deploy` would build it from."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws.containers import podman
from local_aws.containers.images import base, wheels
from local_aws.containers.images.assets import ImageAsset, image_assets
from local_aws.containers.namespaces import in_own
from local_aws.containers.places import ASSEMBLY, BUILT, CACHE
from local_aws.deploy.synth_environment import synth_environment
from local_aws.errors import LocalAwsError
from local_aws.layout import Layout
from local_aws.process.commands import run
from local_aws.progress import say, step

# ECS and docker call machines by other names than the kernel does.
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
KEPT_HOURS = 48


async def build_all(layout: Layout) -> None:
    """The base and the images, as far as they are not there yet. Raises LocalAwsError."""
    podman.write_configuration()
    async with step("cdk synth: which images the example asks for"):
        await _synth(layout)
    assets = image_assets(ASSEMBLY)
    for asset in assets:
        if MACHINES.get(asset.platform or "", platform.machine()) != platform.machine():
            raise LocalAwsError(f"the machine must be {asset.platform}, as app.py has it, got {platform.machine()}")
    base_tag, python = await _base()
    async with step(f"pip: every requirement of the images has a wheel for {' and '.join(MACHINES)}"):
        for asset in assets:
            for machine in MACHINES.values():
                await wheels.fetch(asset.requirements, python=asset.default_python or python, machine=machine)
    known = _built()
    new = [asset for asset in assets if not await _is_current(asset, base_tag, known)]
    for asset in new:
        started = time.monotonic()
        async with step(f"podman builds image {asset.name}"):
            await _build(asset, base_tag, python)
        if (before := known.get(asset.name, {}).get("image")) not in (None, asset.tag) and await _is_there(before):
            await _podman("untag", before, what="untag")
        known[asset.name] = {
            "base": base_tag,
            "image": asset.tag,
            "bytes": await _size(asset.tag),
            "seconds": round(time.monotonic() - started, 1),
        }
    known = {asset.name: known[asset.name] for asset in assets}
    BUILT.write_text(json.dumps(known, indent=2) + "\n")
    for asset in assets:
        size, when = (
            known[asset.name]["bytes"] / 1e6,
            "built now" if asset in new else "built before, from the same asset",
        )
        say(f"image {asset.name}: {size:.0f} MB, {when}")
    if new:
        await _podman("image", "prune", "--force", "--filter", f"until={KEPT_HOURS}h", what="prune")


async def _is_current(asset: ImageAsset, base_tag: str, known: Mapping[str, Mapping[str, Any]]) -> bool:
    made = known.get(asset.name, {})
    return made.get("image") == asset.tag and made.get("base") == base_tag and await _is_there(asset.tag)


async def _size(tag: str) -> int:
    await _podman("image", "inspect", "--format", "{{.Size}}", tag, what="inspect")
    return int((CACHE / "podman-inspect.log").read_text())


async def _synth(layout: Layout) -> None:
    shutil.rmtree(ASSEMBLY, ignore_errors=True)
    await run(
        *(str(layout.cdk), "synth", "--quiet", "--output", str(ASSEMBLY), "-c", "compare=nlb"),
        *("--no-notices", "--ci"),
        log=CACHE / "synth.log",
        environment=os.environ | synth_environment(layout),
        folder=layout.app_folder,
    )


async def _base() -> tuple[str, str]:
    """Its tag, and the version of its Python."""
    source = await base.source()
    if not await _is_there(source.tag):
        async with step(f"mmdebstrap makes the base image, {source.suite} with its own Python"):
            root = await base.make(source)
            tarball = CACHE / "base.tar"
            await run("tar", "-C", str(root), "-cf", str(tarball), ".", log=CACHE / "tar.log", environment={})
            await _podman("import", str(tarball), source.tag, what="import")
            (CACHE / "base.python").write_text(_python_of(root))
            tarball.unlink()
            shutil.rmtree(root)
    return source.tag, (CACHE / "base.python").read_text()


def _python_of(root: Path) -> str:
    """`3.11`, from where /usr/bin/python3 leads."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


async def _build(asset: ImageAsset, base_tag: str, python: str) -> None:
    found = await wheels.fetch(asset.requirements, python=python, machine=platform.machine())
    await _podman(
        # The docker format has health checks, the OCI one drops them.
        *("build", "--format=docker", "--isolation=chroot", "--pull=never", "--layers"),
        *("--volume", f"{found}:{wheels.MOUNTED_AT}:ro", "--build-arg", f"BASE_IMAGE={base_tag}"),
        *("--build-arg", f"PIP_CONFIG_FILE={wheels.MOUNTED_AT}/pip.conf"),
        *("--tag", asset.tag, "--file", str(asset.folder / asset.dockerfile), str(asset.folder)),
        what=f"build-{asset.name}",
    )


async def _is_there(tag: str) -> bool:
    try:
        await _podman("image", "exists", tag, what="exists")
    except LocalAwsError:
        return False
    return True


async def _podman(*arguments: str, what: str) -> None:
    """Without a network, in mount and process id namespaces of its own: a killed build leaves no mount."""
    inside = [sys.executable, "-m", "local_aws.containers.inside", "build", "podman", *arguments]
    await run(
        *in_own(inside, network=True),
        log=CACHE / f"podman-{what}.log",
        environment=os.environ | podman.environment(podman.TO_BUILD),
        folder=Layout().root,
    )


def _built() -> dict[str, dict[str, Any]]:
    """What is on record, by the name of the image."""
    try:
        return dict(json.loads(BUILT.read_text()))
    except (OSError, ValueError):
        return {}
