"""Apps as `cdk init` makes them, without the work that no test of a template needs."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from typing import Any

import aws_cdk as cdk

from app import ROOT

FLAGS: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
UNSTAGED = FLAGS | {"aws:cdk:disable-asset-staging": True}


def template_app() -> cdk.App:
    """An app whose templates alone are looked at.

    All of a process have one directory, so that assets are copied and hashed once: read a template where it is
    synthesised. CloudFormation's schema is for the apps of conftest.py: it takes a process 3 s of CPU to load.
    """
    return cdk.App(context=UNSTAGED, outdir=_directory(), tree_metadata=False, builtin_cloud_formation_validation=False)


@cache
def _directory() -> str:
    made = tempfile.mkdtemp(prefix="templates-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
