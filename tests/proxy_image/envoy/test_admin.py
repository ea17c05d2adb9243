"""Envoy's admin interface, where Envoy is not as it should be."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_image.envoy.admin import Admin, AdminError
from proxy_image.envoy.alive import ANSWER_SECONDS, is_alive


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket that takes connections and never answers, and a balancer that waits as long as it does."""
    monkeypatch.setattr("proxy_image.envoy.admin.ANSWER_SECONDS", ANSWER_SECONDS)
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(5)
        yield path


def test_an_envoy_that_hangs_costs_a_second(silent: Path) -> None:
    started = time.monotonic()
    with pytest.raises(AdminError, match="timed out"):
        Admin(silent).activity()
    assert time.monotonic() - started > 0.9 * ANSWER_SECONDS  # that is what ended it
    assert ANSWER_SECONDS == 1
    assert not is_alive(silent)
    with pytest.raises(AdminError):
        Admin(silent).listens()  # it may well be serving


def test_where_no_envoy_is_nothing_listens(tmp_path: Path) -> None:
    assert not is_alive(tmp_path / "admin.sock")
    admin = Admin(tmp_path / "admin.sock")
    assert not admin.listens()
    with pytest.raises(AdminError):
        admin.fail_readiness()


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"stats": [{"name": "x", "value": "many"}]}'])
def test_statistics_in_another_shape_are_an_error_of_envoys(tmp_path: Path, body: str) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(5)

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AdminError):
            Admin(path).activity()
        thread.join()
