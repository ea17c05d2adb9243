"""What runs inside the namespaces: the tests of the images, then the demo with tasks as containers, or one of both."""

from __future__ import annotations

import subprocess
import sys

from local_aws.containers.places import CLAIMS, FIGURES, RUN, SHORT, TESTS
from local_aws.containers.scene import hardened
from local_aws.demo import main as demo
from local_aws.demo.scenes import PROGRAMME, SHORT_PROGRAMME
from local_aws.layout import ROOT
from local_aws.progress import say

IMAGES = "tests/containers"
# What failed is for the run of all tests to remember, which may be at work beside this one.
NO_CACHE = ("-p", "no:cacheprovider")


def main() -> int:
    options = sys.argv[1:]
    if CLAIMS not in options:
        say("the images, hardened (pytest)")
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--no-header", *NO_CACHE, IMAGES], cwd=ROOT, check=False
        )
        if ran.returncode != 0 or TESTS in options:
            return ran.returncode
    programme = SHORT_PROGRAMME if SHORT in options else PROGRAMME
    return demo(["--figures", str(FIGURES)], RUN, (hardened, *programme))


if __name__ == "__main__":
    sys.exit(main())
