"""The balancer as it is, whose minutes for CloudWatch last MINUTE_SECONDS."""

import os
import sys

from proxy_image.__main__ import main
from proxy_image.control_plane import __main__ as control_plane

CONTROL_PLANE = "--control-plane"

if __name__ == "__main__":
    if sys.argv[1:] == [CONTROL_PLANE]:
        # Only here: the supervisor needs none of it.
        from proxy_image.control_plane.metrics import cloudwatch

        cloudwatch.EVERY_SECONDS = float(os.environ["MINUTE_SECONDS"])
        sys.exit(control_plane.main())
    sys.exit(main(control_plane=(sys.executable, "-m", "tests.proxy_image.run_short_minutes", CONTROL_PLANE)))
