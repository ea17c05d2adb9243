"""Make everything a checkout needs under build/: the environments, Node and the CDK CLI.

Runs on a bare python3 (3.11 or later), so it uses the standard library alone. A part whose requirements did not change
since it was made is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = BUILD / "venv"
UV_VENV = BUILD / "uv-venv"
UV = UV_VENV / "bin" / "uv"
NODE = BUILD / "node"
PYRIGHT = BUILD / "pyright"
NODE_GRPC = BUILD / "node-grpc"
AXE = BUILD / "axe"
BYTECODE = BUILD / "bytecode"
COLLECTED = BYTECODE / "tests-collected"

# The newest CLI that reads what aws-cdk-lib 2.275 writes; npm's `latest` is 3.x, which cannot.
CDK_CLI = "aws-cdk@2.1148.1"
# What checks the types of wheels and apps: for tests/wheel and tests/apps.
PYRIGHT_PACKAGE = "pyright@1.1.407"
# gRPC clients of Node, which the tests let call by xds:///.
NODE_GRPC_PACKAGES = ("@grpc/grpc-js@1.14.7", "@grpc/grpc-js-xds@1.14.1")
# What looks at the page for those who cannot see it, or use no mouse: for tests/browser.
AXE_CORE = "axe-core@4.10.3"
# What the first processes of a stack import, for each environment: its app, its tasks, its stand-in for AWS.
IMPORTS = (
    ("dev", ("cdk_grpc_lb", "aws_cdk.aws_ecr", "aws_cdk.aws_kms", "aws_cdk.aws_s3")),
    ("dev", ("boto3", "proxy_image.control_plane.app", "rng_service.client", "rng_service.server")),
    ("ministack", ("boto3", "ministack.app", "ministack.services.cloudformation")),
)
# What each process of the tests does first unless another has kept it: compiles what it imports and the tests with
# pytest's assertions in them, and makes Hypothesis's tables of characters.
FIRST_OF_TESTS = (
    ("-m", "pytest", "--collect-only", "-q"),
    ("-c", "from hypothesis.strategies import text; text().validate()"),
)
OLDEST_PYTHON = (3, 11)
PROGRESS_EVERY_SECONDS = 5


class SetUpError(Exception):
    """Set-up cannot go on; the message says what is missing and what to do."""


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(
        "set_up.py", description="make the environments, Node and the CDK CLI under build/"
    )
    parser.add_argument("--to-run", action="store_true", help="without what tests alone need")
    parser.add_argument("optional", nargs="*", help="environments that few targets need: publish, traefik, peers")
    options = parser.parse_args(arguments)
    try:
        check_python()
        of_npm: dict[Path, tuple[str, ...]] = {NODE: (CDK_CLI,)}
        if not options.to_run:
            of_npm |= {PYRIGHT: (PYRIGHT_PACKAGE,), NODE_GRPC: NODE_GRPC_PACKAGES, AXE: (AXE_CORE,)}
        BUILD.mkdir(exist_ok=True)
        make_part(UV_VENV, requirements_stamp("uv"), make_uv)
        with ThreadPoolExecutor() as side_by_side:
            ministack, *parts = [
                side_by_side.submit(make_environment, name) for name in ("ministack", *options.optional)
            ]
            make_environment("dev")  # has Node, which the next ones are made with
            ministack.result()
            parts += [side_by_side.submit(npm_install, folder, *packages) for folder, packages in of_npm.items()]
            # While npm waits for its registry: otherwise the first processes all compile the same.
            compile_imports()
            if not options.to_run:
                compile_tests()
            for part in parts:
                part.result()
    except SetUpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def check_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise SetUpError(
            f"python3 must be 3.11 or later, got {sys.version.split()[0]} ({sys.executable}); "
            "install a newer one, or name it: make PYTHON=python3.12 ..."
        )
    try:
        import ensurepip  # noqa: F401 - Debian's python3 comes without it until python3-venv is installed
        import venv  # noqa: F401 - and others without this
    except ImportError as error:
        raise SetUpError(
            f"python3 must be able to make virtual environments, got one without {error.name}; "
            "on Debian and Ubuntu: apt-get install python3-venv"
        ) from error


def requirements_stamp(name: str) -> str:
    requirements = ROOT / "requirements" / f"{name}.txt"
    if not requirements.exists():
        known = ", ".join(sorted(path.stem for path in requirements.parent.glob("*.txt")))
        raise SetUpError(f"an environment must be one of {known}, got {name}")
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def make_part(folder: Path, stamp: str, make: Callable[[], None]) -> None:
    """Rebuild the folder unless it is complete, in this place, with the same stamp."""
    stamp = f"{stamp} {folder}\n"
    stamp_file = folder / ".made-from"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with progress(f"setting up {folder.relative_to(ROOT)}"):
        make()
    stamp_file.write_text(stamp)


def environment(name: str) -> Path:
    return VENV if name == "dev" else BUILD / f"{name}-venv"


def make_environment(name: str) -> None:
    """build/NAME-venv from requirements/NAME.txt; that of dev is build/venv."""
    folder = environment(name)
    requirements = ROOT / "requirements" / f"{name}.txt"
    make_part(folder, requirements_stamp(name), lambda: make_venv(folder, requirements))


def make_venv(folder: Path, requirements: Path) -> None:
    import venv

    venv.create(folder, with_pip=False)
    if UV.exists():
        try:
            uv_install(folder, requirements)
        except SetUpError as error:
            print(f"uv fails here, pip with its own settings is used, which takes minutes: {error}", flush=True)
        else:
            return
    run(str(folder / "bin" / "python"), "-m", "ensurepip")
    pip_install(folder, requirements)


def compile_imports() -> None:
    """Leave the byte code of what will be imported where make lets Python keep it."""
    if not keeps_bytecode():
        return

    def compile_all() -> None:
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(compile_some, *zip(*IMPORTS, strict=True)))

    make_part(BYTECODE, requirements_stamp("dev"), compile_all)


def compile_some(name: str, modules: Sequence[str]) -> None:
    importing = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(modules)}"
    run(str(environment(name) / "bin" / "python"), "-c", importing)


def compile_tests() -> None:
    """The same for the tests, which several processes of `make test` collect at once."""
    if not keeps_bytecode():
        return

    def collect() -> None:
        COLLECTED.mkdir(parents=True)
        for arguments in FIRST_OF_TESTS:
            command = (str(VENV / "bin" / "python"), *arguments)
            # Not checked: a test that cannot be collected is the tests' own to report.
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    make_part(COLLECTED, requirements_stamp("dev"), collect)


def keeps_bytecode() -> bool:
    """Whether Python keeps byte code in this checkout's own folder, as make has it do."""
    return os.environ.get("PYTHONPYCACHEPREFIX") == str(BYTECODE)


def make_uv() -> None:
    """uv installs in seconds what takes pip minutes. Where it has no wheel for this machine, pip does it all."""
    import venv

    has_pip = importlib.util.find_spec("pip") is not None
    venv.create(UV_VENV, with_pip=not has_pip)
    try:
        pip_install(UV_VENV, ROOT / "requirements" / "uv.txt", Path(sys.executable) if has_pip else None)
    except SetUpError as error:
        print(f"uv cannot be installed here, pip is used in its place, which takes minutes: {error}", flush=True)


def uv_install(folder: Path, requirements: Path) -> None:
    """With the certificates of the system, as pip: a company's own are among them."""
    run(
        *(str(UV), "pip", "install", "--quiet", "--system-certs", "--no-deps"),
        *("--python", str(folder / "bin" / "python"), "--require-hashes", "--requirement", str(requirements)),
    )


def pip_install(folder: Path, requirements: Path, by: Path | None = None) -> None:
    """With the environment's own pip, or that of another Python, which saves the seconds that making one takes."""
    python = folder / "bin" / "python"
    run(
        *((str(python), "-m", "pip") if by is None else (str(by), "-m", "pip", "--python", str(python))),
        *("install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-compile"),
        *("--require-hashes", "--requirement", str(requirements)),
    )


def npm_install(folder: Path, *packages: str) -> None:
    make_part(folder, " ".join(packages), lambda: run_npm(folder, packages))


def run_npm(folder: Path, packages: Sequence[str]) -> None:
    # No lock file: it would name the registry of whoever made it.
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    run(str(VENV / "bin" / "npm"), "install", "--prefix", str(folder), *options, *packages)


def run(*command: str) -> None:
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode != 0:
        last_lines = "\n  ".join((finished.stdout + finished.stderr).strip().splitlines()[-15:])
        raise SetUpError(
            f"a set-up step failed with exit code {finished.returncode}: {' '.join(command)}\n  {last_lines}\n"
            "check that the package registries can be reached (pip and npm use your own settings), then run it again"
        )


@contextmanager
def progress(what: str) -> Iterator[None]:
    started = time.monotonic()
    finished = threading.Event()

    def tell() -> None:
        print(f"{what} ...", flush=True)
        while not finished.wait(PROGRESS_EVERY_SECONDS):
            print(f"{what} ... {time.monotonic() - started:.0f} s", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        finished.set()
        teller.join()
    print(f"{what}: done in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
