"""Exec a command that dies with the process that started it: python child.py PARENT_PID COMMAND ...

A program of its own, not a preexec_fn, because the parents are multi-threaded: between fork and exec only a fresh
interpreter is safe. prctl(2): the parent-death signal survives execve and comes when the *thread* that forked ends, so
the starter must be a thread that lives as long as its process.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was asked for
        sys.exit(1)
    # An interactive interrupt is for the process in front, which stops the others in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - arguments of our own
    except OSError as error:
        print(f"error: {command[0]} must be a program that can be run, got {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
