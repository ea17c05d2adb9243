"""`python -m tests.hostile.attacker KIND HOST PORT`: attacks until its standard input ends, and says what it did."""

from __future__ import annotations

import json
import os
import sys
import time

# Whatever becomes of the test: no attack lasts longer.
MAX_SECONDS = 60.0


def is_over(started: float) -> bool:
    """Whether the test has closed standard input, or the time is up."""
    if time.monotonic() - started > MAX_SECONDS:
        return True
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


def main() -> int:
    kind, address = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
    # Only what is needed: an attack of bytes starts without asyncio and gRPC.
    if kind.startswith("xds "):
        import asyncio

        from tests.hostile.xds_clients import XDS_ATTACKS

        def attack(started: float) -> object:
            return asyncio.run(XDS_ATTACKS[kind](address, lambda: is_over(started)))

    else:
        from tests.hostile.floods import ATTACKS, LINE_RATE_ATTACKS

        flood = LINE_RATE_ATTACKS[kind]() if kind in LINE_RATE_ATTACKS else ATTACKS[kind]

        def attack(started: float) -> object:
            return flood(address, lambda: is_over(started))

    os.set_blocking(0, False)
    sys.stdout.write("attacking\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(attack(time.monotonic())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
