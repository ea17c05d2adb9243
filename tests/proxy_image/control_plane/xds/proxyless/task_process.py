"""A gRPC server as a process of its own, to be killed: says its port, and answers with its name."""

from __future__ import annotations

import asyncio
import sys

from tests.proxy_image.control_plane.support import Backend


async def main() -> None:
    backend = Backend(sys.argv[1])
    await backend.start()
    print(backend.port, flush=True)
    await backend.server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
