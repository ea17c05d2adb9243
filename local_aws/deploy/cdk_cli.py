"""The unmodified CDK CLI against the local AWS, which is bootstrapped by the CLI's own template, without it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws.deploy.docker_stub import IMAGES_VARIABLE
from local_aws.deploy.images import ImageStore
from local_aws.deploy.synth_environment import synth_environment
from local_aws.deploy.without_cli import WithoutCli
from local_aws.layout import Layout
from local_aws.process.commands import run
from local_aws.process.processes import RUN_MARK


class CdkCli:
    def __init__(self, layout: Layout, *, endpoint: str, region: str, mark: str) -> None:
        self._layout = layout
        self._region = region
        self._without_cli = WithoutCli(endpoint, region)
        self._environment = {
            # The user's proxies are for the outside; every address here is this machine's.
            **{
                name: value for name, value in os.environ.items() if not _is_proxy(name) and not name.startswith("AWS_")
            },
            **synth_environment(layout),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DOCKER": str(self._write_docker_stub()),
            IMAGES_VARIABLE: str(layout.images),
            RUN_MARK: mark,
        }

    @property
    def assembly(self) -> Path:
        return self._layout.assembly or self._layout.run / "cdk.out"

    async def synth(self, context: Mapping[str, str]) -> None:
        """Unless the layout names what was synthesised before."""
        if self._layout.assembly is not None:
            return
        values = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
        await self._run("synth", "--quiet", "--output", str(self.assembly), *values)

    async def bootstrap(self) -> None:
        """By the CLI's own template, without the CLI, which takes longer to start than the rest of it does."""
        await asyncio.to_thread(self._without_cli.bootstrap, self._layout.bootstrap_template)

    async def deploy(self) -> dict[str, dict[str, str]]:
        """Deploy every stack of the assembly; the outputs of each, by its name.

        By the CLI, unless the layout names what was synthesised before.
        """
        outputs = self._layout.run / "outputs.json"
        if self._layout.assembly is not None:
            made = await asyncio.to_thread(self._without_cli.deploy, self.assembly, ImageStore(self._layout.images))
            outputs.write_text(json.dumps(made))
            return made
        await self._run(
            *("deploy", "--all", "--app", str(self.assembly), "--require-approval", "never"),
            *("--outputs-file", str(outputs), "--progress", "events"),
            # A change set says what will change, and to describe it takes the CLI a third of its time.
            "--method=direct",
        )
        return {str(stack): dict(values) for stack, values in json.loads(outputs.read_text()).items()}

    def templates(self) -> list[Any]:
        return [json.loads(file.read_text()) for file in sorted(self.assembly.glob("*.template.json"))]

    async def _run(self, command: str, *arguments: str) -> None:
        await run(
            *(str(self._layout.cdk), command, *arguments, "--no-notices", "--ci"),
            log=self._layout.run / f"cdk-{command}.log",
            environment=self._environment,
            folder=self._layout.app_folder,
            what=f"cdk {command}",
        )

    def _write_docker_stub(self) -> Path:
        """An executable that the CLI can start by its path; the stub itself is a module of ours."""
        stub = self._layout.run / "bin" / "docker"
        stub.parent.mkdir(parents=True, exist_ok=True)
        python, root = shlex.quote(str(self._layout.venv / "python")), shlex.quote(str(self._layout.root))
        stub.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {python} -m local_aws.deploy.docker_stub "$@"\n')
        stub.chmod(0o755)
        return stub


def _is_proxy(name: str) -> bool:
    return name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
