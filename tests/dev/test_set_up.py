"""A checkout is set up with uv, and with pip where there is no uv."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
Command = tuple[str, ...]


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a checkout that is empty but for its requirements, and without running what it would run."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "dev" / "set_up.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    for name in ("VENV", "NODE", "PYRIGHT", "NODE_GRPC", "AXE", "BYTECODE"):
        monkeypatch.setattr(module, name, tmp_path / "build" / getattr(module, name).name)
    monkeypatch.setattr(module, "COLLECTED", module.BYTECODE / "tests-collected")
    monkeypatch.setattr(module, "UV_VENV", tmp_path / "build" / "uv-venv")
    monkeypatch.setattr(module, "UV", tmp_path / "build" / "uv-venv" / "bin" / "uv")
    (tmp_path / "requirements").mkdir()
    for name in ("uv", "dev", "ministack"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("six==1.17.0 --hash=sha256:0\n")
    return module


def commands_of(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    ran: list[Command] = []
    monkeypatch.setattr(set_up, "run", lambda *command: ran.append(command))
    return ran


def is_checked_and_not_compiled(command: Command) -> bool:
    return "--require-hashes" in command and "--no-deps" in command and "--compile-bytecode" not in command


def test_an_environment_is_made_by_uv(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up.UV.parent.mkdir(parents=True)
    set_up.UV.touch()
    ran = commands_of(set_up, monkeypatch)
    set_up.make_environment("ministack")
    ((program, *rest),) = ran
    assert program == str(set_up.UV)
    assert is_checked_and_not_compiled((program, *rest))


def test_and_by_its_own_pip_where_uv_cannot_be_installed(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_command: str) -> None:
        raise set_up.SetUpError("no wheel for this machine")

    monkeypatch.setattr(set_up, "run", fails)
    set_up.make_uv()
    assert "pip is used in its place, which takes minutes: no wheel for this machine" in capsys.readouterr().out
    ran = commands_of(set_up, monkeypatch)
    set_up.make_environment("ministack")
    ensure_pip, command = ran
    python = set_up.BUILD / "ministack-venv" / "bin" / "python"
    assert ensure_pip == (str(python), "-m", "ensurepip")
    assert subprocess.check_output([*ensure_pip, "--version"], text=True).startswith("pip ")
    assert command[:4] == (str(python), "-m", "pip", "install")
    assert is_checked_and_not_compiled(command)
    assert "--no-compile" in command


def test_or_where_uv_cannot_install_as_without_the_index_of_pips_settings(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up.UV.parent.mkdir(parents=True)
    set_up.UV.touch()
    ran: list[Command] = []

    def fails_in_uv(*command: str) -> None:
        ran.append(command)
        if command[0] == str(set_up.UV):
            raise set_up.SetUpError("no route to the index")

    monkeypatch.setattr(set_up, "run", fails_in_uv)
    set_up.make_environment("ministack")
    assert "is used, which takes minutes: no route to the index" in capsys.readouterr().out
    assert [command[:3] for command in ran[1:]] == [
        (str(set_up.BUILD / "ministack-venv" / "bin" / "python"), "-m", module) for module in ("ensurepip", "pip")
    ]
    assert is_checked_and_not_compiled(ran[-1])


def test_a_python_that_is_too_old_is_told_before_anything_else(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(set_up, "OLDEST_PYTHON", (99, 0))
    assert set_up.main() == 1
    assert capsys.readouterr().err.startswith("error: python3 must be 3.11 or later, got ")
    assert not set_up.BUILD.exists()


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_python_that_makes_no_environments_is_told_with_what_to_install(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('no {module}', name='{module}')\n")
    ran = subprocess.run(
        [sys.executable, str(ROOT / "dev" / "set_up.py")],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == (
        f"error: python3 must be able to make virtual environments, got one without {module}; "
        "on Debian and Ubuntu: apt-get install python3-venv\n"
    )


def test_what_is_made_already_is_left_as_it_is(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up.UV.parent.mkdir(parents=True)
    set_up.UV.touch()
    ran = commands_of(set_up, monkeypatch)
    set_up.make_environment("ministack")
    set_up.make_environment("ministack")
    assert len(ran) == 1
    # WHEN its requirements change, THEN it is made again
    (set_up.ROOT / "requirements" / "ministack.txt").write_text("six==1.16.0 --hash=sha256:0\n")
    set_up.make_environment("ministack")
    assert len(ran) == 2


def test_imports_are_compiled_once_and_only_into_the_folder_of_make(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[Command] = []

    def compiles(*command: str) -> None:
        ran.append(command)
        set_up.BYTECODE.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(set_up, "run", compiles)
    # GIVEN a folder of the user's own for byte code THEN nothing is compiled, and it stays as it is
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "mine"))
    set_up.compile_imports()
    assert ran == []
    assert (tmp_path / "mine").exists()
    # WHEN it is that of make
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(set_up.BYTECODE))
    set_up.compile_imports()
    set_up.compile_imports()
    assert len(ran) == len(set_up.IMPORTS)
    (ministack,) = (program for python, _c, program in ran if python == f"{set_up.BUILD}/ministack-venv/bin/python")
    assert ministack.endswith("import boto3, ministack.app, ministack.services.cloudformation")


def test_tests_are_compiled_once_as_pytest_rewrites_them(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compiled() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in set_up.BYTECODE.rglob("test_*-pytest-*.pyc")}

    monkeypatch.setattr(set_up, "VENV", Path(sys.prefix))
    collects, *_ = set_up.FIRST_OF_TESTS
    monkeypatch.setattr(set_up, "FIRST_OF_TESTS", [collects])
    # All that is imported is compiled into the new folder, and the two tests need no plugins.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # GIVEN two tests, one of which cannot be collected
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert True\n")
    (tmp_path / "test_other.py").write_text("import nothing_of_that_name\n")
    # WHEN they are compiled, THEN into the folder of make alone
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "mine"))
    set_up.compile_tests()
    assert compiled() == {}
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(set_up.BYTECODE))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    set_up.compile_tests()
    first = compiled()
    assert [name.partition(".")[0] for name in sorted(first)] == ["test_one", "test_other"]
    # AND once
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert 1\n")
    set_up.compile_tests()
    assert compiled() == first


def test_to_run_the_stack_less_is_made_than_to_test_it(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(folder: Path, *_more: object) -> None:
        made.append(folder.name)
        folder.mkdir(parents=True)

    monkeypatch.setattr(set_up, "make_venv", make)
    monkeypatch.setattr(set_up, "run_npm", make)
    monkeypatch.setattr(set_up, "make_uv", lambda: make(set_up.UV_VENV))
    monkeypatch.setattr(set_up, "compile_imports", lambda: None)
    monkeypatch.setattr(set_up, "compile_tests", lambda: make(set_up.COLLECTED))
    assert set_up.main(["--to-run"]) == 0
    assert sorted(made) == ["ministack-venv", "node", "uv-venv", "venv"]
    # WHEN it is made for tests after that, THEN only what is missing is
    made.clear()
    assert set_up.main() == 0
    assert sorted(made) == ["axe", "node-grpc", "pyright", "tests-collected"]
