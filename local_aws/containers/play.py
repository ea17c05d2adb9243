"""What runs inside the namespaces: the tests of the images, then the demo with tasks as containers."""

from __future__ import annotations

import subprocess
import sys

from local_aws.containers.places import FIGURES, RUN
from local_aws.containers.scene import hardened
from local_aws.demo import main as demo
from local_aws.demo.scenes import PROGRAMME
from local_aws.layout import ROOT
from local_aws.progress import say

TESTS = "tests/containers"


def main() -> int:
    say("the images, hardened (pytest)")
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q", "--no-header", TESTS], cwd=ROOT, check=False)
    if tested.returncode != 0:
        return tested.returncode
    return demo(["--figures", str(FIGURES)], RUN, (hardened, *PROGRAMME))


if __name__ == "__main__":
    sys.exit(main())
