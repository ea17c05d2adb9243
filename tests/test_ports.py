"""Ports that tests are given, by any number of processes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ports import MAX_HELD, PortClaims, free_ports

ROOT = Path(__file__).parents[1]
TAKE = "import sys; from tests.ports import free_ports; print(*free_ports(100), flush=True); sys.stdin.read()"


def test_no_port_is_given_twice_in_a_process() -> None:
    assert len({port for _ in range(50) for port in free_ports(4)}) == 200


def test_no_port_is_given_twice_among_processes_that_live() -> None:
    others = [
        subprocess.Popen(
            (sys.executable, "-c", TAKE), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        given = [each.stdout.readline().split() for each in others if each.stdout is not None]
        ports = [int(port) for ports in given for port in ports] + free_ports(100)
        assert len(set(ports)) == len(ports) == 500
    finally:
        for each in others:
            each.communicate("")


def test_a_process_gives_back_what_it_no_longer_needs(tmp_path: Path) -> None:
    claims = PortClaims(tmp_path / "ports")
    for _ in range(10):
        claims.take(MAX_HELD // 4)
    assert len(claims._held) == MAX_HELD
