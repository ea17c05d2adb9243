"""The demo from its first line to its exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from local_aws.demo import page, scenes
from local_aws.demo.claims import Claim
from local_aws.demo.stage import SceneError, Stage, Watched
from local_aws.errors import LocalAwsError
from local_aws.layout import ROOT, Layout
from local_aws.progress import step
from local_aws.side_by_side import all_of
from local_aws.stack import LocalStack
from rng_service.load import SteadyLoad, UnreachableError

LOAD_RATE = 250.0
LOAD_CHANNELS = 4
SEED = 1
FIGURES = ROOT / "build" / "demo.json"


def main(arguments: Sequence[str], layout: Layout | None = None, programme: scenes.Programme = scenes.PROGRAMME) -> int:
    """Play it, by default on a stack of the example as processes; the exit code."""
    parser = argparse.ArgumentParser(
        "make demo",
        description="deploy the example into a local AWS, show 100 / 0 and 50 / 50, then break things under load; "
        "exit code 0 only if every claim held",
    )
    parser.add_argument(
        "--attach", action="store_true", help="play on the stack that `make up` started, in place of one of its own"
    )
    parser.add_argument("--figures", type=Path, default=FIGURES, help="where the figures go (default: build/demo.json)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    claims: list[Claim] = []
    problem = None
    try:
        if options.attach:
            asyncio.run(play(LocalStack.attach(layout), claims, programme))
        else:
            with LocalStack.up(layout or Layout(seed=SEED)) as stack:
                asyncio.run(play(stack, claims, programme))
    except (LocalAwsError, SceneError, UnreachableError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = "interrupted"
    if claims:
        seconds = time.monotonic() - started
        write_figures(options.figures, claims, seconds, problem)
        page.summary(claims, seconds)
        print(f"figures: {shown(options.figures)}", flush=True)
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)
    return 0 if problem is None and claims and all(claim.held for claim in claims) else 1


async def play(stack: LocalStack, claims: list[Claim], programme: scenes.Programme = scenes.PROGRAMME) -> None:
    """Play every scene; its claims are shown and added to the list once it is over."""
    stage = Stage(stack)
    await stage.steady()

    for part in programme:
        if not isinstance(part, tuple):
            await play_at_once(claims, (part.__name__, part(stage)))
            continue
        print(f"under a steady load of {LOAD_RATE:g} calls a second on {LOAD_CHANNELS} connections", flush=True)
        async with SteadyLoad(stack.addresses.balancer, rate=LOAD_RATE, channels=LOAD_CHANNELS) as load:
            for scene in part:
                at_once = scene if isinstance(scene, tuple) else (scene,)
                await play_at_once(claims, *((each.__name__, each(stage, Watched(load))) for each in at_once))


async def play_at_once(claims: list[Claim], *scenes: tuple[str, AsyncIterator[Claim]]) -> None:
    """Play scenes, by their names; the claims of each are shown and added together, also where one breaks off."""
    seen: list[list[Claim]] = [[] for _ in scenes]

    async def watch(scene: AsyncIterator[Claim], into: list[Claim]) -> None:
        async for claim in scene:
            into.append(claim)  # noqa: PERF401 - what was seen before a scene breaks off is shown too

    try:
        async with step("  " + ", ".join(name.replace("_", " ") for name, _ in scenes)):
            await all_of(*(watch(scene, into) for (_, scene), into in zip(scenes, seen, strict=True)))
    finally:
        for claim in chain.from_iterable(seen):
            page.verdict(claim)
            claims.append(claim)


def shown(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def write_figures(file: Path, claims: Sequence[Claim], seconds: float, problem: str | None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "held": problem is None and all(claim.held for claim in claims),
        "problem": problem,
        "seconds": round(seconds, 1),
        "claims": [asdict(claim) for claim in claims],
    }
    file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
