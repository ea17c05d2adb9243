"""What runs inside the namespaces: the tests of the images, then the demo with tasks as containers, whole or short."""

from __future__ import annotations

import subprocess
import sys

from local_aws.containers.places import FIGURES, RUN, SHORT
from local_aws.containers.scene import hardened
from local_aws.demo import main as demo
from local_aws.demo.scenes import PROGRAMME, SHORT_PROGRAMME
from local_aws.layout import ROOT
from local_aws.progress import say

TESTS = "tests/containers"


def main() -> int:
    say("the images, hardened (pytest)")
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q", "--no-header", TESTS], cwd=ROOT, check=False)
    if tested.returncode != 0:
        return tested.returncode
    programme = SHORT_PROGRAMME if SHORT in sys.argv[1:] else PROGRAMME
    return demo(["--figures", str(FIGURES)], RUN, (hardened, *programme))


if __name__ == "__main__":
    sys.exit(main())
