"""A task for tests. A connection is told the task's id, then each line it sends is an order, answered by a line."""

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request

ADDRESS = os.environ["BIND_ADDRESS"]
METADATA = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
healthy = threading.Event()
healthy.set()
deaf = threading.Event()


def task_id() -> str:
    with urllib.request.urlopen(f"{METADATA}/task") as answer:  # noqa: S310 - http, given by the launcher
        return str(json.load(answer)["TaskARN"]).rpartition("/")[2]


class Orders(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(f"{task_id()}\n".encode())
        for line in self.rfile:
            order, _, rest = line.decode().strip().partition(" ")
            answer = "done"
            if order == "environment":
                answer = os.environ.get(rest, "")
            elif order == "sicken":
                healthy.clear()
            elif order == "ignore-sigterm":
                deaf.set()
            elif order == "exit":
                os._exit(int(rest))
            self.wfile.write(f"{answer}\n".encode())


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if healthy.is_set() else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if os.environ.get("CRASH"):
        sys.exit(3)
    signal.signal(signal.SIGTERM, lambda *_: None if deaf.is_set() else os._exit(0))
    # One child that would outlive us: it is in a session of its own.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    for server in (
        socketserver.ThreadingTCPServer((ADDRESS, int(os.environ["PORT"])), Orders),
        http.server.ThreadingHTTPServer((ADDRESS, 8081), Ready),
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:  # signals are handled here
        time.sleep(3600)


if __name__ == "__main__":
    main()
