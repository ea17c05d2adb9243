"""The supervisor as it is, with the tests' static control plane.

SUBREAPER=1 gives it a first process's orphans, BEAT_SECONDS a heart of another pace.
"""

import ctypes
import os
import sys

from proxy_image.__main__ import main
from proxy_image.supervisor import heartbeat

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

if __name__ == "__main__":
    if os.environ.get("SUBREAPER") == "1":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    heartbeat.BEAT_SECONDS = float(os.environ.get("BEAT_SECONDS", heartbeat.BEAT_SECONDS))
    sys.exit(main(control_plane=(sys.executable, "-m", "tests.proxy_image.static_ads")))
