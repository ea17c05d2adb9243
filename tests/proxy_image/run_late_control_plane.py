"""The balancer as it is, whose control plane starts once the file START_AFTER is there."""

import os
import sys
import time
from pathlib import Path

from proxy_image.__main__ import main
from proxy_image.control_plane import __main__ as control_plane

CONTROL_PLANE = "--control-plane"
LOOK_EVERY_SECONDS = 0.05

if __name__ == "__main__":
    if sys.argv[1:] == [CONTROL_PLANE]:
        while not Path(os.environ["START_AFTER"]).exists():
            time.sleep(LOOK_EVERY_SECONDS)
        sys.exit(control_plane.main())
    sys.exit(main(control_plane=(sys.executable, "-m", "tests.proxy_image.run_late_control_plane", CONTROL_PLANE)))
