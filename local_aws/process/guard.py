"""Cleans up after `up`, however it ended: python guard.py MARK RUNTIME_FOLDER [FILE ...].

Its standard input is a pipe from `up`, which never writes to it: the end of the pipe is the end of `up`, also when it
is killed. The guard then kills all that carries the mark of the run and removes what must not outlive it. The lock of
the run and its claim on addresses stay held until that is done.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

# Run as a file, so that it starts without the package and its imports.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from local_aws.process.processes import RUN_MARK, kill_marked


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    mark, runtime, *files = sys.argv[1:]
    sys.stdin.buffer.read()
    kill_marked(RUN_MARK, mark)
    shutil.rmtree(runtime, ignore_errors=True)
    for file in files:
        Path(file).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
