"""AWS's JSON protocol over HTTP in real time: each call takes its time at the edge, and then gets its answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local_aws.behaviour.edge import Edge

Answer = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]
"""From an operation and its parameters to HTTP status and body. Called by one thread at a time."""


@contextmanager
def serving(answer: Answer, edge: Edge, now: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1; gives the endpoint's URL. `now` is the clock of the quotas."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # headers and body in one segment

        def do_POST(self) -> None:
            parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            due = time.monotonic()
            met = edge.meet(operation, parameters, now())
            due += met.seconds
            if met.rejection is not None:
                status, body = 400, dict(met.rejection.body)
            else:
                with lock:
                    status, body = answer(operation, parameters)
            content = json.dumps(body).encode()
            time.sleep(max(0.0, due - time.monotonic()))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="aws", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
